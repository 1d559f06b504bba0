//! Secrets as clients see them.

use crate::error::Error;
use crate::graphql::ids::NodeId;
use crate::graphql::pages::{Page, either_way};
use crate::graphql::result::{Result, op};
use crate::graphql::scalars::{DateTime, Json, Path, int};
use crate::graphql::types::engines::{Engine, EngineRole, SecretAccount};
use crate::service::engines;
use crate::service::secrets::{self, Opened, SecretValue, SecretView, VersionView};
use async_graphql::{Context, Enum, ID, Object, SimpleObject};
use parking_lot::Mutex;

/// Where a secret's value comes from.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
pub enum SecretType {
    /// A value that someone wrote, kept encrypted in versions.
    Static,
    /// Credentials that an engine makes anew for each lease.
    DynamicRole,
}

impl SecretType {
    /// The word that is stored.
    pub fn stored(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::DynamicRole => "dynamic_role",
        }
    }
}

pub struct Secret {
    view: SecretView,
    /// What came of reading the current value together with the secret, until the first `data` takes it.
    value: Mutex<Option<crate::error::Result<Option<SecretValue>>>>,
}

impl From<SecretView> for Secret {
    fn from(view: SecretView) -> Self {
        Self { view, value: Mutex::new(None) }
    }
}

impl From<Opened> for Secret {
    fn from(opened: Opened) -> Self {
        Self { view: opened.view, value: Mutex::new(Some(opened.value)) }
    }
}

/// A secret: what is known about it, and behind `data` its value.
/// Seen by callers whose policies allow `list` or `read` on its path.
#[Object]
impl Secret {
    /// The id among all nodes: `secret:` and a UUID.
    pub async fn id(&self) -> ID {
        NodeId::Secret(self.view.id).to_string().into()
    }

    /// Its path, which names it for people, policies and programs.
    async fn path(&self) -> Path {
        (&self.view.path).into()
    }

    /// Where its value comes from.
    #[graphql(name = "type")]
    async fn secret_type(&self) -> Result<SecretType> {
        match self.view.secret_type.as_str() {
            "static" => Ok(SecretType::Static),
            "dynamic_role" => Ok(SecretType::DynamicRole),
            _ => Err(Error::internal("a stored secret has an unknown type").into()),
        }
    }

    /// The number of the latest version, deleted or not; versions count from 1.
    async fn version(&self) -> i32 {
        int(self.view.version)
    }

    /// The value: needs the `read` operation, writes an audit event. Null for a dynamic role, and for a version that is
    /// deleted or destroyed.
    async fn data(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which version; the latest if left out. `NOT_FOUND` for one that never was.")]
        version: Option<i32>,
    ) -> Result<Option<Json>> {
        let at_hand = if version.is_none() { self.value.lock().take() } else { None };
        let value = match at_hand {
            Some(value) => value?,
            None => secrets::read(op(ctx)?, &self.view.path, version.map(i64::from)).await?,
        };
        Ok(value.map(|value| Json(value.data)))
    }

    /// Its versions that are still on record, newest first, without their values.
    async fn versions(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many to return from the start, 1 to 100.", default = 50)] first: Option<i32>,
        #[graphql(desc = "Continue after this cursor.")] after: Option<String>,
        #[graphql(desc = "How many to return from the end, 1 to 100, instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "Stop before this cursor.")] before: Option<String>,
    ) -> Result<Page<SecretVersion>> {
        Ok(secrets::versions(op(ctx)?, &self.view.path, either_way(ctx, first, after, last, before))
            .await?
            .into())
    }

    /// What it is for, in the words of whoever keeps it.
    async fn description(&self) -> Option<&str> {
        self.view.description.as_deref()
    }

    /// Labels of the client's own, a JSON object. Not secret: whoever may list the secret sees them.
    async fn metadata(&self) -> Json {
        Json(self.view.metadata.clone())
    }

    /// How many versions are kept; older ones are destroyed when a new one is written.
    async fn max_versions(&self) -> i32 {
        int(self.view.max_versions)
    }

    /// When its value is to be renewed, and when it was last; null if neither was ever set.
    async fn rotation(&self) -> Option<SecretRotation> {
        self.view.rotation.as_ref().map(|rotation| SecretRotation {
            enabled: rotation.enabled,
            schedule: rotation.schedule.clone(),
            last_rotated_at: rotation.last_rotated_at.map(Into::into),
            next_rotation_at: rotation.next_rotation_at.map(Into::into),
        })
    }

    /// The engine that issues at this path, or whose account's password this is; null for any other secret, and to who does
    /// not administer `engines`.
    async fn engine(&self, ctx: &Context<'_>) -> Result<Option<Engine>> {
        Ok(engines::of_secret(op(ctx)?, self.view.id).await?.map(Into::into))
    }

    /// What is issued at this path; null for a static secret, and to who does not administer `engines`.
    async fn engine_role(&self, ctx: &Context<'_>) -> Result<Option<EngineRole>> {
        Ok(engines::role_of(op(ctx)?, self.view.id).await?.map(Into::into))
    }

    /// The account of a target whose password this is; null for any other secret, and to who does not administer `engines`.
    async fn account(&self, ctx: &Context<'_>) -> Result<Option<SecretAccount>> {
        Ok(engines::account_of(op(ctx)?, self.view.id).await?.map(Into::into))
    }

    /// Who made it: an entity such as `role:billing`, or the accessor of a token.
    async fn created_by(&self) -> Option<&str> {
        self.view.created_by.as_deref()
    }

    /// When its first version was written.
    async fn created_at(&self) -> DateTime {
        self.view.created_at.into()
    }

    /// When it last changed: a new version, or new settings.
    async fn updated_at(&self) -> DateTime {
        self.view.updated_at.into()
    }
}

/// One version of a static secret, without its value.
#[derive(SimpleObject)]
pub struct SecretVersion {
    /// Its number, counting from 1.
    version: i32,
    /// When it was written.
    created_at: DateTime,
    /// Who wrote it: an entity such as `role:billing`, or the accessor of a token.
    created_by: Option<String>,
    /// When it was deleted; it can be restored until it is destroyed. Null while it is alive.
    deleted_at: Option<DateTime>,
    /// Whether its value is gone for good.
    destroyed: bool,
}

impl From<VersionView> for SecretVersion {
    fn from(view: VersionView) -> Self {
        Self {
            version: int(view.version),
            created_at: view.created_at.into(),
            created_by: view.created_by,
            deleted_at: view.deleted_at.map(Into::into),
            destroyed: view.destroyed,
        }
    }
}

/// When a secret's value is to be renewed.
#[derive(SimpleObject)]
pub struct SecretRotation {
    /// Whether the schedule is in force.
    enabled: bool,
    /// The schedule as a cron expression, in UTC.
    schedule: Option<String>,
    /// When the value was last rotated; null if never.
    last_rotated_at: Option<DateTime>,
    /// When the schedule comes up next; null if it is not in force.
    next_rotation_at: Option<DateTime>,
}
