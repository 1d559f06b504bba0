//! Logging in, and tokens.

use crate::graphql::ids::uuid_at;
use crate::graphql::result::{AtArgument, Result, op};
use crate::graphql::scalars::Json;
use crate::graphql::types::tokens::LoginPayload;
use crate::service::{roles, tokens};
use async_graphql::{Context, ID, InputObject, Object, SimpleObject};

#[derive(Default)]
pub struct TokenMutation;

#[Object]
impl TokenMutation {
    /// Trades a RoleID and a SecretID for a token. No token needed. An unknown role and a wrong SecretID are answered
    /// alike, with `UNAUTHENTICATED`; after too many failures comes `RATE_LIMITED`.
    async fn login_with_app_role(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The credentials.")] input: LoginWithAppRoleInput,
    ) -> Result<LoginPayload> {
        Ok(roles::login(op(ctx)?, &input.role_id, input.secret_id.as_deref()).await.at_input()?.into())
    }

    /// Makes a token. Needs administration of `tokens`. A caller without the policy `root` passes on only what it holds
    /// itself: policies, networks, and every policy that denies it something.
    async fn create_token(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What the token is to be.")] input: CreateTokenInput,
    ) -> Result<LoginPayload> {
        Ok(tokens::create(op(ctx)?, input.into()).await.at_input()?.into())
    }

    /// Prolongs the life of a token, up to its maximum. One's own needs no right; another's needs administration of
    /// `tokens`.
    async fn renew_token(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which token, and by how much.")] input: RenewTokenInput,
    ) -> Result<LoginPayload> {
        let accessor = input.accessor.map(|id| uuid_at(&id, "input.accessor")).transpose()?;
        let increment = input.increment_seconds.map(i64::from);
        Ok(tokens::renew(op(ctx)?, input.token.as_deref(), accessor, increment).await.at_input()?.into())
    }

    /// Ends a token and those made with it, at once. One's own needs no right; another's needs administration of
    /// `tokens`.
    async fn revoke_token(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which token; the caller's own if neither is given.")] input: RevokeTokenInput,
    ) -> Result<RevokeTokenPayload> {
        let accessor = input.accessor.map(|id| uuid_at(&id, "input.accessor")).transpose()?;
        let revoked = tokens::revoke(op(ctx)?, input.token.as_deref(), accessor).await.at_input()?;
        Ok(RevokeTokenPayload { revoked: i32::try_from(revoked).unwrap_or(i32::MAX) })
    }
}

/// The credentials of a role.
#[derive(InputObject)]
struct LoginWithAppRoleInput {
    /// The RoleID of the role.
    role_id: ID,
    /// A SecretID of the role; left out only for roles that need none.
    #[graphql(secret)]
    secret_id: Option<String>,
}

/// What a new token is to be.
#[derive(InputObject)]
struct CreateTokenInput {
    /// The policies of the token, by name.
    policies: Vec<String>,
    /// How long it lives, in seconds; the server's default if left out.
    ttl_seconds: Option<i32>,
    /// How long it can live with all its renewals, in seconds; the server's maximum if left out.
    max_ttl_seconds: Option<i32>,
    /// Makes a token that lives this many seconds, and as many again from each renewal, instead of `ttlSeconds`.
    period_seconds: Option<i32>,
    /// For how many requests it is good; any number if left out or 0. A request counts once, however many operations
    /// it holds.
    num_uses: Option<i32>,
    /// The networks that it may be used from, in CIDR notation; anywhere if left out.
    bound_cidr_list: Option<Vec<String>>,
    /// A name for people: 1 to 128 letters, digits, `.`, `_` and `-`.
    display_name: Option<String>,
    /// Labels of the client's own: a JSON object, up to 16 KiB.
    metadata: Option<Json>,
    /// Whether it can be renewed; yes if left out.
    renewable: Option<bool>,
    /// Whether it lives on when the token that makes it ends; otherwise it ends with it. Needs the policy `root`.
    #[graphql(default_with = "Some(false)")]
    orphan: Option<bool>,
}

impl From<CreateTokenInput> for tokens::CreateToken {
    fn from(input: CreateTokenInput) -> Self {
        Self {
            policies: input.policies,
            ttl_seconds: input.ttl_seconds.map(Into::into),
            max_ttl_seconds: input.max_ttl_seconds.map(Into::into),
            period_seconds: input.period_seconds.map(Into::into),
            num_uses: input.num_uses.map(Into::into),
            bound_cidr_list: input.bound_cidr_list.unwrap_or_default(),
            display_name: input.display_name,
            metadata: input.metadata.map(|json| json.0),
            renewable: input.renewable,
            no_parent: input.orphan.unwrap_or_default(),
        }
    }
}

/// Which token to prolong, and by how much: `token`, or `accessor`, or the caller's own if neither is given.
#[derive(InputObject)]
struct RenewTokenInput {
    /// The token itself.
    #[graphql(secret)]
    token: Option<String>,
    /// Its accessor, a UUID.
    accessor: Option<ID>,
    /// How long it is to live from now, in seconds; its own TTL if left out.
    increment_seconds: Option<i32>,
}

/// Which token to end: `token`, or `accessor`, or the caller's own if neither is given.
#[derive(InputObject)]
struct RevokeTokenInput {
    /// The token itself.
    #[graphql(secret)]
    token: Option<String>,
    /// Its accessor, a UUID.
    accessor: Option<ID>,
}

/// What came of ending a token.
#[derive(SimpleObject)]
struct RevokeTokenPayload {
    /// How many tokens ended: the one named, and those made with it.
    revoked: i32,
}
