//! Secrets, followed.

use super::super::context::{Access, OpContext, settle};
use super::super::ledger::Attempt;
use super::super::secrets::may_know;
use super::{Changes, Judge, beginning, cursor, follow, number};
use crate::error::Result;
use crate::model::audit::{AuditEvent, EventType};
use crate::model::paths::SecretPath;
use crate::storage::audit::Filter;
use chrono::{DateTime, Utc};
use serde_json::json;
use std::sync::Arc;

/// What became of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretChangeKind {
    Created,
    Updated,
    Deleted,
    Restored,
    Destroyed,
    Rotated,
}

/// The events that are changes of secrets.
const KINDS: [(EventType, SecretChangeKind); 8] = [
    (EventType::SecretCreated, SecretChangeKind::Created),
    (EventType::SecretUpdated, SecretChangeKind::Updated),
    (EventType::SecretDeleted, SecretChangeKind::Deleted),
    (EventType::SecretRestored, SecretChangeKind::Restored),
    (EventType::SecretDestroyed, SecretChangeKind::Destroyed),
    (EventType::SecretRotated, SecretChangeKind::Rotated),
    (EventType::EngineRoleSaved, SecretChangeKind::Updated),
    (EventType::EngineRoleDeleted, SecretChangeKind::Destroyed),
];

/// A change of a secret, without its value.
#[derive(Debug, Clone)]
pub struct SecretChange {
    pub cursor: String,
    pub path: SecretPath,
    pub kind: SecretChangeKind,
    /// The version that it is about, if it is about one.
    pub version: Option<i64>,
    pub at: DateTime<Utc>,
    /// Who did it.
    pub actor_id: Option<String>,
}

/// Changes of the secrets at this path and below (of all, without one) that the caller may know of at that moment.
///
/// # Errors
/// `UNAUTHENTICATED`, `SEALED`, `BAD_USER_INPUT` at `after`.
pub async fn secrets(
    ctx: &OpContext,
    prefix: Option<SecretPath>,
    after: Option<&str>,
) -> Result<Changes<SecretChange>> {
    let after = number(after)?;
    settle!(open(ctx, prefix.as_ref()))?;
    let seen = beginning(ctx.app(), after).await?;
    let filter = Filter {
        event_types: KINDS.iter().map(|(event_type, _)| event_type.as_str().to_owned()).collect(),
        secret_path_prefix: prefix.map(|prefix| (prefix.as_str().to_owned(), format!("{prefix}/"))),
        ..Filter::default()
    };
    Ok(follow(ctx, filter, seen, Secrets))
}

async fn open(ctx: &OpContext, prefix: Option<&SecretPath>) -> Result<(), Attempt> {
    let access = ctx.access().await?;
    let mut event = access.event(EventType::SecretListed);
    event.secret_path = prefix.map(ToString::to_string);
    event.event_data = json!({ "subscribed": "secret_changed" });
    access.record(vec![event]).await
}

struct Secrets;

impl Judge for Secrets {
    type Change = SecretChange;

    async fn judge(&self, access: &Access, event: &Arc<AuditEvent>) -> Result<Option<SecretChange>> {
        let Some(path) = event.secret_path.as_deref().and_then(|path| SecretPath::parse(path).ok()) else {
            return Ok(None);
        };
        let kind = KINDS.iter().find(|(event_type, _)| event_type.as_str() == event.event_type);
        let Some((_, kind)) = kind.filter(|_| may_know(access, &path)) else { return Ok(None) };
        Ok(Some(SecretChange {
            cursor: cursor(event),
            path,
            kind: *kind,
            version: event.secret_version,
            at: event.timestamp,
            actor_id: event.actor_id.clone(),
        }))
    }
}
