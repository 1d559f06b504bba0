//! Tokens, their callers and logins as clients see them.

use crate::graphql::ids::NodeId;
use crate::graphql::scalars::{DateTime, Json, int};
use crate::service::tokens::{CallerInfo, Login, Renewed, TokenInfo};
use async_graphql::{ID, Object, SimpleObject};

/// Who is asking, as the server sees them.
#[derive(SimpleObject)]
pub struct Caller {
    /// The accessor of the token: a UUID that names it without being it. Null for a caller without a token.
    accessor: Option<String>,
    /// The name that the token was given.
    display_name: String,
    /// The policies in force: those of the token, and those bound to the entity.
    policies: Vec<String>,
    /// When the token ends; null for never.
    expires_at: Option<DateTime>,
    /// What the token stands for, such as `role:billing`; null for a token of its own.
    entity: Option<String>,
    /// How many more requests the token is good for; null for any number.
    uses_left: Option<i32>,
    /// Whether the token can be renewed.
    renewable: bool,
}

impl From<CallerInfo> for Caller {
    fn from(info: CallerInfo) -> Self {
        Self {
            accessor: info.accessor.map(|accessor| accessor.to_string()),
            display_name: info.display_name,
            policies: info.policies,
            expires_at: info.expires_at.map(Into::into),
            entity: info.entity,
            uses_left: info.uses_left.map(int),
            renewable: info.renewable,
        }
    }
}

pub struct Token(TokenInfo);

impl From<TokenInfo> for Token {
    fn from(info: TokenInfo) -> Self {
        Self(info)
    }
}

/// What is known about a token that is alive; never the token itself. Seen by callers who administer `tokens`.
#[Object]
impl Token {
    /// The id among all nodes: `token:` and the accessor.
    pub async fn id(&self) -> ID {
        NodeId::Token(self.0.accessor).to_string().into()
    }

    /// The handle that renews and revokes it and cannot be used as a token: a UUID.
    async fn accessor(&self) -> ID {
        self.0.accessor.into()
    }

    /// The name that it was given.
    async fn display_name(&self) -> &str {
        &self.0.display_name
    }

    /// What it stands for, such as `role:billing`; null for a token of its own.
    async fn entity(&self) -> Option<&str> {
        self.0.entity.as_deref()
    }

    /// What kind of caller holds it: `admin`, `app` or `agent`.
    async fn entity_type(&self) -> &str {
        &self.0.entity_type
    }

    /// The role whose login made it; null for one made otherwise.
    async fn role_name(&self) -> Option<&str> {
        self.0.role_name.as_deref()
    }

    /// The policies that it names.
    async fn policies(&self) -> &[String] {
        &self.0.policies
    }

    /// The networks that it may be used from, in CIDR notation; empty for anywhere.
    async fn bound_cidr_list(&self) -> &[String] {
        &self.0.bound_cidr_list
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// When it ends; null for never.
    async fn expires_at(&self) -> Option<DateTime> {
        self.0.expires_at.map(Into::into)
    }

    /// How many more requests it is good for; null for any number.
    async fn uses_left(&self) -> Option<i32> {
        self.0.uses_left.map(int)
    }

    /// Whether it can be renewed.
    async fn renewable(&self) -> bool {
        self.0.renewable
    }

    /// Labels of the client's own, a JSON object.
    async fn metadata(&self) -> Json {
        Json(self.0.metadata.clone())
    }
}

/// A token that was just made or renewed.
#[derive(SimpleObject)]
pub struct LoginPayload {
    /// The token, shown this once: send it as `Authorization: Bearer TOKEN`. Null after a renewal, where it stays the same.
    token: Option<String>,
    /// The handle that renews and revokes it and cannot be used as a token: a UUID.
    accessor: ID,
    /// When it ends; null for never.
    expires_at: Option<DateTime>,
    /// The policies that it names.
    policies: Vec<String>,
    /// How long it lives from now, in seconds; null for ever.
    ttl_seconds: Option<i32>,
    /// Whether it can be renewed.
    renewable: bool,
    /// What was granted otherwise than asked for, such as a shorter life.
    warnings: Vec<String>,
}

impl From<Login> for LoginPayload {
    fn from(login: Login) -> Self {
        Self {
            token: Some(login.token.as_str().to_owned()),
            accessor: login.accessor.into(),
            expires_at: login.expires_at.map(Into::into),
            policies: login.policies,
            ttl_seconds: login.ttl_seconds.map(int),
            renewable: login.renewable,
            warnings: login.warnings,
        }
    }
}

impl From<Renewed> for LoginPayload {
    fn from(renewed: Renewed) -> Self {
        Self {
            token: None,
            accessor: renewed.accessor.into(),
            expires_at: renewed.expires_at.map(Into::into),
            policies: renewed.policies,
            ttl_seconds: renewed.ttl_seconds.map(int),
            renewable: renewed.renewable,
            warnings: renewed.warnings,
        }
    }
}
