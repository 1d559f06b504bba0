//! Changes as those see them who follow.

use crate::graphql::pages::Edge;
use crate::graphql::result::{Result, op};
use crate::graphql::scalars::{DateTime, Path, int};
use crate::graphql::types::audit::AuditEvent;
use crate::graphql::types::leases::Lease;
use crate::graphql::types::secrets::Secret;
use crate::service::subscriptions::{self as service, AuditEdge};
use crate::service::{leases, secrets};
use async_graphql::{Context, Enum, ID, Object};

impl From<AuditEdge> for Edge<AuditEvent> {
    fn from(edge: AuditEdge) -> Self {
        Self::new(edge.cursor, (*edge.event).clone().into())
    }
}

/// What became of a secret.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "service::SecretChangeKind")]
pub enum SecretChangeKind {
    /// Its first version was written.
    Created,
    /// It has a new version, or other settings; of a dynamic role: it was made or changed.
    Updated,
    /// Versions were deleted, and can be restored.
    Deleted,
    /// Deleted versions are back.
    Restored,
    /// Versions, or all of it, are gone for good.
    Destroyed,
    /// The password of the account that it belongs to was replaced, and it has the new one.
    Rotated,
}

pub struct SecretChange(service::SecretChange);

impl From<service::SecretChange> for SecretChange {
    fn from(change: service::SecretChange) -> Self {
        Self(change)
    }
}

/// A change of a secret: told to callers who may list or read it at that moment.
#[Object]
impl SecretChange {
    /// Its place in the log, for `after`.
    async fn cursor(&self) -> &str {
        &self.0.cursor
    }

    /// The path of the secret.
    async fn path(&self) -> Path {
        (&self.0.path).into()
    }

    /// What became of it.
    async fn kind(&self) -> SecretChangeKind {
        self.0.kind.into()
    }

    /// The version that the change is about; null if it is about none, or about several.
    async fn version(&self) -> Option<i32> {
        self.0.version.map(int)
    }

    /// When it happened.
    async fn at(&self) -> DateTime {
        self.0.at.into()
    }

    /// Who did it: an entity such as `role:billing`, or the accessor of a token; null for the server itself.
    async fn actor_id(&self) -> Option<&str> {
        self.0.actor_id.as_deref()
    }

    /// The secret as it is by now: asked for as with the query `secret`, and recorded like it.
    async fn secret(&self, ctx: &Context<'_>) -> Result<Option<Secret>> {
        if crate::graphql::query::secrets::asks_for_value(ctx) {
            return Ok(secrets::open(op(ctx)?, &self.0.path).await?.map(Into::into));
        }
        Ok(secrets::find(op(ctx)?, &self.0.path).await?.map(Into::into))
    }
}

/// What became of a lease.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "service::LeaseChangeKind")]
pub enum LeaseChangeKind {
    /// The engine is being asked for the credentials.
    Issuing,
    /// The credentials are out.
    Issued,
    /// There are no credentials; what may have come of it is revoked.
    IssueFailed,
    /// It ends later than it would have.
    Renewed,
    /// Its end was asked for.
    RevocationRequested,
    /// The target did not end the credentials: it is asked again.
    RevocationOverdue,
    /// The credentials are gone.
    Revoked,
    /// It was given up without asking the target.
    Forced,
}

pub struct LeaseChange(service::LeaseChange);

impl From<service::LeaseChange> for LeaseChange {
    fn from(change: service::LeaseChange) -> Self {
        Self(change)
    }
}

/// A change of a lease.
#[Object]
impl LeaseChange {
    /// Its place in the log, for `after`.
    async fn cursor(&self) -> &str {
        &self.0.cursor
    }

    /// The lease's own id, a UUID.
    async fn lease_id(&self) -> ID {
        self.0.lease_id.into()
    }

    /// The path that the lease was issued at.
    async fn path(&self) -> Path {
        (&self.0.path).into()
    }

    /// What became of it.
    async fn kind(&self) -> LeaseChangeKind {
        self.0.kind.into()
    }

    /// When it happened.
    async fn at(&self) -> DateTime {
        self.0.at.into()
    }

    /// Who did it: an entity such as `role:billing`, or the accessor of a token; null for the server itself.
    async fn actor_id(&self) -> Option<&str> {
        self.0.actor_id.as_deref()
    }

    /// The lease as it is by now: asked for as with the query `lease`, and recorded like it. Null if it is no longer on record.
    async fn lease(&self, ctx: &Context<'_>) -> Result<Option<Lease>> {
        Ok(leases::find(op(ctx)?, self.0.lease_id).await?.map(Into::into))
    }
}
