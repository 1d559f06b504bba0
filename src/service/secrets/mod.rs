//! Static secrets: encrypted, versioned, and shown only to whom a policy lets.
//!
//! Who may neither list nor read a path gets the same answer whether there is a secret or not.

mod bound;
mod list;
mod read;
mod settings;
mod versions;
mod write;

pub(super) use bound::{BoundSecret, NewPassword, store_password};
pub use list::{ListSecrets, list};
pub use read::{Opened, SecretValue, VersionView, by_id, find, open, read, versions};
pub use settings::{RotationInput, UpdateSettings, update_settings};
pub use versions::{delete, destroy, restore, rollback};
pub(super) use write::key_still_missing;
pub use write::{PatchSecret, PutSecret, patch, put};

use super::context::Access;
use super::ledger::Attempt;
use crate::crypto::barrier::RecordName;
use crate::error::{Error, Result};
use crate::model::audit::{AuditEvent, EventType};
use crate::model::paths::SecretPath;
use crate::model::policies::{Action, Area, Decision, Operation, evaluate};
use crate::storage::errors::corrupt;
use crate::storage::secrets::{CurrentRow, SecretRow};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use std::sync::Arc;
use uuid::Uuid;

/// A secret without its value.
#[derive(Debug, Clone)]
pub struct SecretView {
    pub id: Uuid,
    pub path: SecretPath,
    /// `static` or `dynamic_role`.
    pub secret_type: String,
    /// The current version; versions count from 1.
    pub version: i64,
    pub metadata: Value,
    pub description: Option<String>,
    /// How many versions are kept.
    pub max_versions: i64,
    pub rotation: Option<Rotation>,
    pub created_by: Option<String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// When the value is due to be changed. The server keeps and shows the dates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    pub enabled: bool,
    pub schedule: Option<String>,
    pub last_rotated_at: Option<DateTime<Utc>>,
    pub next_rotation_at: Option<DateTime<Utc>>,
}

impl SecretView {
    pub(super) fn from_row(row: &SecretRow) -> Result<Self> {
        let path = SecretPath::parse(&row.secret_path)
            .map_err(|_| corrupt("secrets", "secret_path", &row.id.to_string()))?;
        let set = row.rotation_enabled || row.rotation_schedule.is_some() || row.last_rotated_at.is_some();
        let rotation = set.then(|| Rotation {
            enabled: row.rotation_enabled,
            schedule: row.rotation_schedule.clone(),
            last_rotated_at: row.last_rotated_at,
            next_rotation_at: row.next_rotation_at,
        });
        Ok(Self {
            id: row.id,
            path,
            secret_type: row.secret_type.clone(),
            version: row.version,
            metadata: row.metadata.0.clone(),
            description: row.description.clone(),
            max_versions: row.max_versions,
            rotation,
            created_by: row.created_by.clone(),
            created_at: row.created_at,
            updated_at: row.updated_at,
        })
    }
}

impl SecretView {
    /// What a change answers with: who may write or delete but not know of the secret sees no more than its bare state.
    fn shown_to(self, access: &Access) -> Self {
        if Rights::of(access, &self.path).may_know() {
            return self;
        }
        Self { metadata: json!({}), description: None, rotation: None, created_by: None, ..self }
    }
}

/// The name that a version's ciphertext is bound to.
pub(super) fn record_name(secret_id: &str, version: i64) -> RecordName<'_> {
    RecordName { table: "secret_versions", column: "encrypted_data", id: secret_id, version }
}

/// What a caller may do with one path.
struct Rights {
    list: Decision,
    read: Decision,
}

impl Rights {
    fn of(access: &Access, path: &SecretPath) -> Self {
        let decide = |operation| access.decide(&Action::Secret { operation, path });
        let mut list = decide(Operation::List);
        if !list.allowed {
            // whoever administers secrets sees that they are there, but not their values
            let area = access.decide(&Action::Administer(Area::Secrets));
            if area.allowed {
                list = area;
            }
        }
        Self { list, read: decide(Operation::Read) }
    }

    /// Whether the caller may know that there is a secret. A deny policy on reading does not hide what may be listed.
    fn may_know(&self) -> bool {
        self.list.allowed || self.read.allowed
    }

    /// The decision that shows the secret, or that hides it.
    fn showing(&self) -> &Decision {
        if self.list.allowed { &self.list } else { &self.read }
    }
}

/// Whether the caller may know that there is a secret at this path.
pub(super) fn may_know(access: &Access, path: &SecretPath) -> bool {
    Rights::of(access, path).may_know()
}

fn absent() -> Error {
    Error::not_found(
        "there is no such secret, or this token may not know of it: check the path and the token's policies",
    )
}

/// Fills in which secret an event is about.
pub(super) fn about(
    mut event: AuditEvent,
    path: &SecretPath,
    row: Option<&SecretRow>,
    version: Option<i64>,
) -> AuditEvent {
    event.secret_path = Some(path.as_str().to_owned());
    event.secret_id = row.map(|row| row.id);
    event.secret_type = row.map(|row| row.secret_type.clone());
    event.secret_version = version;
    event
}

/// Requires a right on a path. A refusal is recorded; it says `FORBIDDEN` only to who may know of the secret.
async fn require(access: &Access, operation: Operation, path: &SecretPath) -> Result<Decision, Attempt> {
    require_for(access, operation, path, None).await
}

/// The same for a lifetime that is issued or renewed.
pub(super) async fn require_for(
    access: &Access,
    operation: Operation,
    path: &SecretPath,
    ttl_seconds: Option<i64>,
) -> Result<Decision, Attempt> {
    require_or(access, operation, path, ttl_seconds, |knows| refused(knows, operation, path)).await
}

/// The same, with the refusal made of whether the caller may know of what is at the path.
pub(super) async fn require_or(
    access: &Access,
    operation: Operation,
    path: &SecretPath,
    ttl_seconds: Option<i64>,
    refusal: impl FnOnce(bool) -> Error,
) -> Result<Decision, Attempt> {
    let action = Action::Secret { operation, path };
    let decision = evaluate(&access.policies, &action, &access.circumstances(ttl_seconds));
    if decision.allowed {
        return Ok(decision);
    }
    let mut event = about(access.refused(EventType::SecretAccessDenied, &decision), path, None, None);
    event.event_data = json!({ "operation": operation.as_str() });
    access.record(vec![event]).await?;
    Err(refusal(Rights::of(access, path).may_know()).into())
}

pub(super) fn refused(knows: bool, operation: Operation, path: &SecretPath) -> Error {
    if knows { forbidden(operation, path) } else { absent() }
}

pub(super) fn forbidden(operation: Operation, path: &SecretPath) -> Error {
    Error::forbidden(format!("this token may not {operation} {path}: ask for a policy that allows it"))
}

/// The current state of a secret, from the cache or the store.
async fn current(access: &Access, path: &SecretPath) -> Result<Option<Arc<CurrentRow>>> {
    let app = access.app();
    if let Some(row) = app.caches.secret(path) {
        return Ok(Some(row));
    }
    let row = {
        let mut tx = app.read().await?;
        crate::storage::secrets::find_current(&mut tx, path.as_str()).await?
    };
    let Some(row) = row.map(Arc::new) else { return Ok(None) };
    app.caches.put_secret(access.generation, path, &row);
    Ok(Some(row))
}
