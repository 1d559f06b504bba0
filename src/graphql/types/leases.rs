//! Leases as clients see them.

use crate::graphql::ids::NodeId;
use crate::graphql::result::{Result, op};
use crate::graphql::scalars::{DateTime, Json, Path, int};
use crate::graphql::types::engines::Engine;
use crate::model::leases;
use crate::service::engines;
use crate::service::leases::LeaseView;
use async_graphql::{Context, Enum, ID, Object};

/// How far a lease has come.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "leases::LeaseState")]
pub enum LeaseState {
    /// The engine is being asked for the credentials.
    Issuing,
    /// The credentials are out and good.
    Active,
    /// The lease has ended; the target is asked until it has ended the credentials too.
    Revoking,
    /// The credentials are gone.
    Revoked,
}

pub struct Lease(LeaseView);

impl From<LeaseView> for Lease {
    fn from(view: LeaseView) -> Self {
        Self(view)
    }
}

/// A lease: credentials with an end. Seen by who asked for it, by who may `revoke` at its path, and by who administers
/// `leases`.
#[Object]
impl Lease {
    /// The id among all nodes: `lease:` and the `leaseId`.
    pub async fn id(&self) -> ID {
        NodeId::Lease(self.0.id).to_string().into()
    }

    /// Names the lease when it is renewed and revoked: a UUID.
    async fn lease_id(&self) -> ID {
        self.0.id.into()
    }

    /// The path that it was issued at.
    async fn path(&self) -> Path {
        (&self.0.path).into()
    }

    /// The engine that issued it; null to who does not administer `engines`.
    async fn engine(&self, ctx: &Context<'_>) -> Result<Option<Engine>> {
        Ok(engines::if_administered(op(ctx)?, self.0.engine_id).await?.map(Into::into))
    }

    /// The kind of that engine, such as `postgresql`.
    async fn engine_type(&self) -> &str {
        &self.0.engine_type
    }

    /// How far it has come.
    async fn state(&self) -> LeaseState {
        self.0.state.into()
    }

    /// Who asked for it: an entity such as `role:billing`, or the accessor of a token.
    async fn actor_id(&self) -> &str {
        &self.0.actor_id
    }

    /// When it began.
    async fn issued_at(&self) -> DateTime {
        self.0.issued_at.into()
    }

    /// When it ends, or ended.
    async fn expires_at(&self) -> DateTime {
        self.0.expires_at.into()
    }

    /// The end that no renewal passes.
    async fn max_expires_at(&self) -> DateTime {
        self.0.max_expires_at.into()
    }

    /// The lifetime that was granted last, in seconds.
    async fn ttl_seconds(&self) -> i32 {
        int(self.0.ttl_seconds)
    }

    /// Whether it can be renewed.
    async fn renewable(&self) -> bool {
        self.0.is_renewable()
    }

    /// How often it was renewed.
    async fn renewed_count(&self) -> i32 {
        int(self.0.renewed_count)
    }

    /// How often it can be renewed; null for no limit.
    async fn max_renewals(&self) -> Option<i32> {
        self.0.max_renewals.map(int)
    }

    /// When it was last renewed; null if never.
    async fn last_renewed_at(&self) -> Option<DateTime> {
        self.0.last_renewed_at.map(Into::into)
    }

    /// When its credentials were gone; null while they may be there.
    async fn revoked_at(&self) -> Option<DateTime> {
        self.0.revoked_at.map(Into::into)
    }

    /// Why it ended, such as `expired`; null while it has not.
    async fn revocation_reason(&self) -> Option<&str> {
        self.0.revocation_reason.as_deref()
    }

    /// How long the credentials have outlived their lease, in seconds, while revocation is being retried; else null.
    async fn overdue_seconds(&self) -> Option<i32> {
        self.0.overdue_seconds.map(int)
    }

    /// What the target said the last time it did not revoke; null if it did.
    async fn last_revocation_error(&self) -> Option<&str> {
        self.0.last_revocation_error.as_deref()
    }

    /// What the engine calls the credentials on its target, such as a user's name; never a credential.
    async fn handle(&self) -> Json {
        Json(self.0.handle.clone())
    }
}
