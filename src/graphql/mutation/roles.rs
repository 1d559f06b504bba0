//! Changing roles and their SecretIDs.

use crate::graphql::ids::uuid_at;
use crate::graphql::result::{AtArgument, Failure, Result, op};
use crate::graphql::scalars::{DateTime, Json, int};
use crate::graphql::types::roles::Role;
use crate::service::roles;
use async_graphql::{Context, ID, InputObject, Object, SimpleObject};

#[derive(Default)]
pub struct RoleMutation;

#[Object]
impl RoleMutation {
    /// Makes a role. `CONFLICT` if its name is taken. Needs administration of `roles`.
    async fn create_role(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The role; what is left out gets its default.")] input: RoleInput,
    ) -> Result<RolePayload> {
        Ok(RolePayload { role: roles::create(op(ctx)?, input.try_into()?).await.at_input()?.into() })
    }

    /// Changes what is given of a role and keeps the rest. Disabling it ends its tokens at once.
    /// Needs administration of `roles`.
    async fn update_role(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The changes; what is left out stays.")] input: RoleInput,
    ) -> Result<RolePayload> {
        Ok(RolePayload { role: roles::update(op(ctx)?, input.try_into()?).await.at_input()?.into() })
    }

    /// Deletes a role with its SecretIDs and ends its tokens. Needs administration of `roles`.
    async fn delete_role(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which role.")] input: DeleteRoleInput,
    ) -> Result<DeleteRolePayload> {
        roles::delete(op(ctx)?, &input.name).await.at_input()?;
        Ok(DeleteRolePayload { name: input.name })
    }

    /// Makes a SecretID, which is shown this once. Needs administration of `roles`.
    async fn generate_secret_id(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "For which role, and how far it is good.")] input: GenerateSecretIdInput,
    ) -> Result<GenerateSecretIdPayload> {
        let made = roles::generate_secret_id(op(ctx)?, input.into()).await.at_input()?;
        Ok(GenerateSecretIdPayload {
            secret_id: made.secret_id.as_str().to_owned(),
            accessor: made.accessor.into(),
            expires_at: made.expires_at.map(Into::into),
            num_uses: int(made.num_uses),
        })
    }

    /// Destroys a SecretID; tokens of its earlier logins live on. Needs administration of `roles`.
    async fn destroy_secret_id(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which SecretID.")] input: DestroySecretIdInput,
    ) -> Result<DestroySecretIdPayload> {
        let accessor = uuid_at(&input.accessor, "input.accessor")?;
        roles::destroy_secret_id(op(ctx)?, &input.role_name, accessor).await.at_input()?;
        Ok(DestroySecretIdPayload { accessor: input.accessor })
    }
}

/// A role, or changes to one.
#[derive(InputObject)]
struct RoleInput {
    /// Its name among roles: 1 to 128 letters, digits, `.`, `_` and `-`.
    name: String,
    /// A RoleID of the client's own choice, a UUID, for a new role; a random one if left out. It cannot be changed.
    role_id: Option<ID>,
    /// The policies of those who log in as this role, by name.
    policies: Option<Vec<String>>,
    /// More policies for the tokens that its logins get, by name.
    token_policies: Option<Vec<String>>,
    /// How long the token of a login lives, in seconds.
    ttl_seconds: Option<i32>,
    /// How long such a token can live with all its renewals, in seconds; not less than `ttlSeconds`.
    max_ttl_seconds: Option<i32>,
    /// Whether a login needs a SecretID. Without it `boundCidrList` must not be empty.
    bind_secret_id: Option<bool>,
    /// For how many logins a new SecretID is good; 0 for any number.
    secret_id_num_uses: Option<i32>,
    /// How long a new SecretID is good, in seconds; 0 for ever.
    secret_id_ttl_seconds: Option<i32>,
    /// The networks that logins may come from, in CIDR notation; empty for anywhere.
    bound_cidr_list: Option<Vec<String>>,
    /// The networks that its tokens may be used from, in CIDR notation; empty for anywhere.
    token_bound_cidr_list: Option<Vec<String>>,
    /// For how many requests the token of a login is good; 0 for any number. A request counts once, however many
    /// operations it holds.
    token_num_uses: Option<i32>,
    /// Gives its tokens this many seconds, and as many again from each renewal, instead of `ttlSeconds`; 0 for not so.
    token_period_seconds: Option<i32>,
    /// What logs in as this role: `app`, `agent` or `admin`; `app` if never given.
    entity_type: Option<String>,
    /// Whether it can be logged in as.
    enabled: Option<bool>,
    /// What it is for.
    description: Option<String>,
    /// Labels of the client's own: a JSON object.
    metadata: Option<Json>,
}

impl TryFrom<RoleInput> for roles::RoleInput {
    type Error = Failure;

    fn try_from(input: RoleInput) -> Result<Self> {
        Ok(Self {
            role_id: input.role_id.map(|id| uuid_at(&id, "input.roleId")).transpose()?,
            name: input.name,
            policies: input.policies,
            token_policies: input.token_policies,
            ttl_seconds: input.ttl_seconds.map(Into::into),
            max_ttl_seconds: input.max_ttl_seconds.map(Into::into),
            bind_secret_id: input.bind_secret_id,
            secret_id_num_uses: input.secret_id_num_uses.map(Into::into),
            secret_id_ttl_seconds: input.secret_id_ttl_seconds.map(Into::into),
            bound_cidr_list: input.bound_cidr_list,
            token_bound_cidr_list: input.token_bound_cidr_list,
            token_num_uses: input.token_num_uses.map(Into::into),
            token_period_seconds: input.token_period_seconds.map(Into::into),
            entity_type: input.entity_type,
            enabled: input.enabled,
            description: input.description,
            metadata: input.metadata.map(|json| json.0),
        })
    }
}

/// The role after a change.
#[derive(SimpleObject)]
struct RolePayload {
    /// The role as it now is.
    role: Role,
}

/// Which role to delete.
#[derive(InputObject)]
struct DeleteRoleInput {
    /// The name of the role.
    name: String,
}

/// What came of deleting a role.
#[derive(SimpleObject)]
struct DeleteRolePayload {
    /// The name of the role that is gone.
    name: String,
}

/// For which role a SecretID is made, and how far it is good.
#[derive(InputObject)]
struct GenerateSecretIdInput {
    /// The name of the role.
    role_name: String,
    /// How long it is good, in seconds; not longer than the role says, which holds if left out.
    ttl_seconds: Option<i32>,
    /// For how many logins it is good; not more than the role says, which holds if left out.
    num_uses: Option<i32>,
    /// The networks that it may be used from, in CIDR notation, within those of the role, which hold if left out.
    bound_cidr_list: Option<Vec<String>>,
    /// Labels of the client's own, a JSON object; they pass to the tokens of its logins and into the audit log.
    metadata: Option<Json>,
    /// A SecretID of the client's own making, at least 20 characters; a random one if left out.
    #[graphql(secret)]
    secret_id: Option<String>,
}

impl From<GenerateSecretIdInput> for roles::GenerateSecretId {
    fn from(input: GenerateSecretIdInput) -> Self {
        Self {
            role_name: input.role_name,
            ttl_seconds: input.ttl_seconds.map(Into::into),
            num_uses: input.num_uses.map(Into::into),
            bound_cidr_list: input.bound_cidr_list.unwrap_or_default(),
            metadata: input.metadata.map(|json| json.0),
            secret_id: input.secret_id,
        }
    }
}

/// A new SecretID.
#[derive(SimpleObject)]
struct GenerateSecretIdPayload {
    /// The SecretID, shown this once.
    secret_id: String,
    /// The handle that destroys it and cannot log in: a UUID.
    accessor: ID,
    /// When it stops being good; null for never.
    expires_at: Option<DateTime>,
    /// For how many logins it is good; 0 for any number.
    num_uses: i32,
}

/// Which SecretID to destroy.
#[derive(InputObject)]
struct DestroySecretIdInput {
    /// The name of its role.
    role_name: String,
    /// Its accessor, a UUID.
    accessor: ID,
}

/// What came of destroying a SecretID.
#[derive(SimpleObject)]
struct DestroySecretIdPayload {
    /// The accessor of the SecretID that is gone.
    accessor: ID,
}
