//! Changing policies.

use crate::graphql::result::{AtArgument, Result, op};
use crate::graphql::scalars::Json;
use crate::graphql::types::policies::Policy;
use crate::service::policies;
use async_graphql::{Context, InputObject, Object, SimpleObject};

#[derive(Default)]
pub struct PolicyMutation;

#[Object]
impl PolicyMutation {
    /// Makes a policy. `CONFLICT` if its name is taken. Needs administration of `policies`.
    async fn create_policy(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The whole policy.")] input: PolicyInput,
    ) -> Result<PolicyPayload> {
        Ok(PolicyPayload { policy: policies::create(op(ctx)?, input.into()).await.at_input()?.into() })
    }

    /// Replaces the policy of this name as a whole; it holds for the next request of every caller.
    /// `NOT_FOUND` if there is none. Needs administration of `policies`.
    async fn update_policy(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The whole policy.")] input: PolicyInput,
    ) -> Result<PolicyPayload> {
        Ok(PolicyPayload { policy: policies::update(op(ctx)?, input.into()).await.at_input()?.into() })
    }

    /// Deletes a policy; who holds it by name holds nothing by it from then on. Needs administration of `policies`.
    async fn delete_policy(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which policy.")] input: DeletePolicyInput,
    ) -> Result<DeletePolicyPayload> {
        policies::delete(op(ctx)?, &input.name).await.at_input()?;
        Ok(DeletePolicyPayload { name: input.name })
    }
}

/// A whole policy.
#[derive(InputObject)]
struct PolicyInput {
    /// Its name, which tokens and roles hold it by: 1 to 128 letters, digits, `.`, `_` and `-`.
    name: String,
    /// What it is for.
    description: Option<String>,
    /// The rules: a JSON object with `version`, `allowed_secrets`, `allowed_operations`, `administers` and `conditions`.
    /// Unknown keys are refused.
    document: Json,
    /// The entities that hold it besides those whose token names it, as
    /// `role:NAME`, `app:NAME`, `agent:NAME`, `admin:NAME` or `cert:` and the SHA-256 fingerprint of a certificate in hexadecimal.
    entity_bindings: Option<Vec<String>>,
    /// The longest life, in seconds, of what is issued under it; no cap of its own if left out.
    max_ttl_seconds: Option<i32>,
    /// Whether it denies what it matches. A policy that denies wins over every one that allows.
    #[graphql(default_with = "Some(false)")]
    deny_policy: Option<bool>,
}

impl From<PolicyInput> for policies::PolicyInput {
    fn from(input: PolicyInput) -> Self {
        Self {
            name: input.name,
            description: input.description,
            document: input.document.0,
            entity_bindings: input.entity_bindings.unwrap_or_default(),
            max_ttl_seconds: input.max_ttl_seconds.map(Into::into),
            deny_policy: input.deny_policy.unwrap_or_default(),
        }
    }
}

/// The policy after a change.
#[derive(SimpleObject)]
struct PolicyPayload {
    /// The policy as it now is.
    policy: Policy,
}

/// Which policy to delete.
#[derive(InputObject)]
struct DeletePolicyInput {
    /// The name of the policy.
    name: String,
}

/// What came of deleting a policy.
#[derive(SimpleObject)]
struct DeletePolicyPayload {
    /// The name of the policy that is gone.
    name: String,
}
