//! Roles and their SecretIDs as clients see them.

use crate::graphql::ids::NodeId;
use crate::graphql::pages::{Page, either_way};
use crate::graphql::result::{Result, op};
use crate::graphql::scalars::{DateTime, Json, int};
use crate::service::roles::{self, RoleView, SecretIdView};
use async_graphql::{Context, ID, Object, SimpleObject};

pub struct Role(RoleView);

impl From<RoleView> for Role {
    fn from(view: RoleView) -> Self {
        Self(view)
    }
}

/// A role that programs log in as, with its `roleId` and a SecretID. Seen by callers who administer `roles`.
#[Object]
impl Role {
    /// The id among all nodes: `role:` and the `roleId`.
    pub async fn id(&self) -> ID {
        NodeId::Role(self.0.id).to_string().into()
    }

    /// The RoleID that a login names: a UUID. Not secret by itself.
    async fn role_id(&self) -> ID {
        self.0.id.into()
    }

    /// Its name among roles.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// The policies of those who log in as this role.
    async fn policies(&self) -> &[String] {
        &self.0.policies
    }

    /// More policies for the tokens that its logins get.
    async fn token_policies(&self) -> &[String] {
        &self.0.token_policies
    }

    /// How long the token of a login lives, in seconds.
    async fn ttl_seconds(&self) -> i32 {
        int(self.0.ttl_seconds)
    }

    /// How long such a token can live with all its renewals, in seconds.
    async fn max_ttl_seconds(&self) -> i32 {
        int(self.0.max_ttl_seconds)
    }

    /// Whether a login needs a SecretID.
    async fn bind_secret_id(&self) -> bool {
        self.0.bind_secret_id
    }

    /// For how many logins a new SecretID is good; 0 for any number.
    async fn secret_id_num_uses(&self) -> i32 {
        int(self.0.secret_id_num_uses)
    }

    /// How long a new SecretID is good, in seconds; null for ever.
    async fn secret_id_ttl_seconds(&self) -> Option<i32> {
        self.0.secret_id_ttl_seconds.map(int)
    }

    /// The networks that logins may come from, in CIDR notation; empty for anywhere.
    async fn bound_cidr_list(&self) -> &[String] {
        &self.0.bound_cidr_list
    }

    /// The networks that its tokens may be used from, in CIDR notation; empty for anywhere.
    async fn token_bound_cidr_list(&self) -> &[String] {
        &self.0.token_bound_cidr_list
    }

    /// For how many requests the token of a login is good; 0 for any number. A request counts once, however many
    /// operations it holds.
    async fn token_num_uses(&self) -> i32 {
        int(self.0.token_num_uses)
    }

    /// If set, its tokens live this many seconds, and as many again from each renewal.
    async fn token_period_seconds(&self) -> Option<i32> {
        self.0.token_period_seconds.map(int)
    }

    /// What logs in as this role: `app`, `agent` or `admin`.
    async fn entity_type(&self) -> &str {
        &self.0.entity_type
    }

    /// Whether it can be logged in as. Disabling a role ends its tokens at once.
    async fn enabled(&self) -> bool {
        self.0.enabled
    }

    /// What it is for.
    async fn description(&self) -> Option<&str> {
        self.0.description.as_deref()
    }

    /// Labels of the client's own, a JSON object.
    async fn metadata(&self) -> Json {
        Json(self.0.metadata.clone())
    }

    /// The SecretIDs on record, by accessor: what is known about them, not the SecretIDs themselves.
    async fn secret_ids(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many to return from the start, 1 to 100.", default = 50)] first: Option<i32>,
        #[graphql(desc = "Continue after this cursor.")] after: Option<String>,
        #[graphql(desc = "How many to return from the end, 1 to 100, instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "Stop before this cursor.")] before: Option<String>,
    ) -> Result<Page<SecretId>> {
        Ok(roles::secret_ids(op(ctx)?, &self.0.name, either_way(ctx, first, after, last, before))
            .await?
            .into())
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

/// What is known about a SecretID. The SecretID itself was shown once, when it was made.
#[derive(SimpleObject)]
pub struct SecretId {
    /// The handle that destroys it and cannot log in: a UUID.
    accessor: ID,
    /// When it was made.
    created_at: DateTime,
    /// Who made it: an entity such as `role:deploy`, or the accessor of a token.
    created_by: Option<String>,
    /// When it stops being good; null for never.
    expires_at: Option<DateTime>,
    /// How many logins it has left; null for any number.
    uses_left: Option<i32>,
    /// The networks that it may be used from, in CIDR notation; empty for those of the role.
    bound_cidr_list: Vec<String>,
    /// Labels of the client's own, a JSON object; they pass to the tokens of its logins.
    metadata: Json,
    /// When it last logged in; null if never.
    last_used_at: Option<DateTime>,
}

impl From<SecretIdView> for SecretId {
    fn from(view: SecretIdView) -> Self {
        Self {
            accessor: view.accessor.into(),
            created_at: view.created_at.into(),
            created_by: view.created_by,
            expires_at: view.expires_at.map(Into::into),
            uses_left: view.uses_left.map(int),
            bound_cidr_list: view.bound_cidr_list,
            metadata: Json(view.metadata),
            last_used_at: view.last_used_at.map(Into::into),
        }
    }
}
