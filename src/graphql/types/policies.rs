//! Policies as clients see them.

use crate::graphql::ids::NodeId;
use crate::graphql::scalars::{DateTime, Json, int};
use crate::service::policies::{Explanation, PolicyView};
use async_graphql::{ID, Object, SimpleObject};

pub struct Policy(PolicyView);

impl From<PolicyView> for Policy {
    fn from(view: PolicyView) -> Self {
        Self(view)
    }
}

/// A policy: what its holders may do, and under which conditions. What no policy allows is denied.
/// Seen by callers who administer `policies`.
#[Object]
impl Policy {
    /// The id among all nodes: `policy:` and a UUID.
    pub async fn id(&self) -> ID {
        NodeId::Policy(self.0.id).to_string().into()
    }

    /// Its name, by which tokens and roles hold it.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// What it is for.
    async fn description(&self) -> Option<&str> {
        self.0.description.as_deref()
    }

    /// The rules: a JSON object with `version`, `allowed_secrets`, `allowed_operations`, `administers` and `conditions`.
    async fn document(&self) -> Json {
        Json(self.0.document.clone())
    }

    /// The entities that hold it besides those whose token names it, as
    /// `role:NAME`, `app:NAME`, `agent:NAME`, `admin:NAME` or `cert:` and the SHA-256 fingerprint of a certificate in hexadecimal.
    async fn entity_bindings(&self) -> &[String] {
        &self.0.entity_bindings
    }

    /// The longest life, in seconds, of what is issued under it; null for no cap of its own.
    async fn max_ttl_seconds(&self) -> Option<i32> {
        self.0.max_ttl_seconds.map(int)
    }

    /// Whether it denies what it matches. A policy that denies wins over every one that allows.
    async fn deny_policy(&self) -> bool {
        self.0.deny_policy
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// When it last changed.
    async fn updated_at(&self) -> DateTime {
        self.0.updated_at.into()
    }
}

/// Why an access is allowed or not, from the same evaluation that enforces it.
#[derive(SimpleObject)]
pub struct AccessExplanation {
    /// Whether it would be allowed.
    allowed: bool,
    /// The policy that decides; null if none says anything, which denies.
    decided_by: Option<String>,
    /// The decision in a sentence.
    reason: String,
    /// What would have to be different for it to be allowed; empty if it is.
    missing: Vec<String>,
}

impl From<Explanation> for AccessExplanation {
    fn from(explanation: Explanation) -> Self {
        let Explanation { allowed, decided_by, reason, missing } = explanation;
        Self { allowed, decided_by, reason, missing }
    }
}
