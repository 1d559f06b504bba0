//! Leases, followed.

use super::super::context::{Access, OpContext, settle};
use super::super::leases::{LeaseView, ListFilter};
use super::super::ledger::Attempt;
use super::{Changes, Judge, beginning, cursor, follow, number};
use crate::error::Result;
use crate::model::audit::{AuditEvent, EventType};
use crate::model::leases::LeaseState;
use crate::model::paths::SecretPath;
use crate::model::policies::{Action, Area};
use crate::storage::audit::Filter;
use crate::storage::engines as engine_store;
use crate::storage::leases as store;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use std::sync::Arc;
use uuid::Uuid;

/// What became of a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaseChangeKind {
    Issuing,
    Issued,
    IssueFailed,
    Renewed,
    RevocationRequested,
    RevocationOverdue,
    Revoked,
    Forced,
}

/// The events that are changes of one lease.
const KINDS: [(EventType, LeaseChangeKind); 8] = [
    (EventType::LeaseIssuing, LeaseChangeKind::Issuing),
    (EventType::SecretDynamicIssued, LeaseChangeKind::Issued),
    (EventType::LeaseIssueFailed, LeaseChangeKind::IssueFailed),
    (EventType::SecretLeaseRenewed, LeaseChangeKind::Renewed),
    (EventType::LeaseRevocationRequested, LeaseChangeKind::RevocationRequested),
    (EventType::LeaseRevocationOverdue, LeaseChangeKind::RevocationOverdue),
    (EventType::LeaseRevoked, LeaseChangeKind::Revoked),
    (EventType::LeaseForced, LeaseChangeKind::Forced),
];

/// A change of a lease.
#[derive(Debug, Clone)]
pub struct LeaseChange {
    pub cursor: String,
    pub lease_id: Uuid,
    /// The path that it was issued at.
    pub path: SecretPath,
    pub kind: LeaseChangeKind,
    pub at: DateTime<Utc>,
    /// Who did it.
    pub actor_id: Option<String>,
}

/// Changes of leases: of all of them to who administers `leases` at that moment, else of the caller's own.
///
/// # Errors
/// `UNAUTHENTICATED`, `SEALED`, `BAD_USER_INPUT` at `after`.
pub async fn leases(
    ctx: &OpContext,
    filter: ListFilter,
    after: Option<&str>,
) -> Result<Changes<LeaseChange>> {
    let after = number(after)?;
    settle!(open(ctx, &filter))?;
    let engine = match &filter.engine {
        None => None,
        Some(name) => Some(engine_of(ctx, name).await?),
    };
    let seen = beginning(ctx.app(), after).await?;
    let prefix = filter.path_prefix.as_ref();
    let events = Filter {
        event_types: KINDS.iter().map(|(event_type, _)| event_type.as_str().to_owned()).collect(),
        secret_path_prefix: prefix.map(|prefix| (prefix.as_str().to_owned(), format!("{prefix}/"))),
        ..Filter::default()
    };
    Ok(follow(ctx, events, seen, Leases { filter, engine }))
}

async fn open(ctx: &OpContext, filter: &ListFilter) -> Result<(), Attempt> {
    let access = ctx.access().await?;
    let area = access.decide(&Action::Administer(Area::Leases));
    let mut event = access.granted(EventType::LeaseListed, &area);
    event.secret_path = filter.path_prefix.as_ref().map(ToString::to_string);
    event.event_data = json!({ "subscribed": "lease_changed", "own": !area.allowed });
    access.record(vec![event]).await
}

/// The id behind an engine's name; of one that is not there, an id that no lease has.
async fn engine_of(ctx: &OpContext, name: &str) -> Result<Uuid> {
    if !super::super::input::is_name(name) {
        return Ok(Uuid::nil());
    }
    let mut tx = ctx.app().read().await?;
    let engine = engine_store::find(&mut tx, name).await?;
    Ok(engine.map_or(Uuid::nil(), |engine| engine.id))
}

struct Leases {
    filter: ListFilter,
    engine: Option<Uuid>,
}

impl Leases {
    /// Whether the lease itself must be looked at to know if the filter holds.
    fn asks_for_lease(&self) -> bool {
        let filter = &self.filter;
        self.engine.is_some()
            || !filter.states.is_empty()
            || filter.expires_before.is_some()
            || filter.overdue_only
    }

    fn meets(&self, lease: &LeaseView) -> bool {
        let filter = &self.filter;
        let alive = lease.state != LeaseState::Revoked;
        self.engine.is_none_or(|engine| lease.engine_id == engine)
            && (filter.states.is_empty() || filter.states.contains(&lease.state))
            && filter.expires_before.is_none_or(|time| alive && lease.expires_at < time)
            && (!filter.overdue_only || lease.overdue_seconds.is_some())
    }

    /// Whether the caller is told of this lease, as it is now.
    async fn concerns(&self, access: &Access, lease_id: Uuid) -> Result<bool> {
        let everyones = access.decide(&Action::Administer(Area::Leases)).allowed;
        if everyones && !self.asks_for_lease() {
            return Ok(true);
        }
        let row = {
            let mut tx = access.app().read().await?;
            store::by_id(&mut tx, lease_id).await?
        };
        let Some(row) = row else { return Ok(false) };
        let lease = LeaseView::from_row(row, access.now)?;
        Ok((everyones || lease.actor_id == access.caller.actor_id) && self.meets(&lease))
    }
}

impl Judge for Leases {
    type Change = LeaseChange;

    async fn judge(&self, access: &Access, event: &Arc<AuditEvent>) -> Result<Option<LeaseChange>> {
        // credentials that were only shown once more: nothing became of the lease
        if event.event_data.get("repeated") == Some(&Value::Bool(true)) {
            return Ok(None);
        }
        let kind = KINDS.iter().find(|(event_type, _)| event_type.as_str() == event.event_type);
        let path = event.secret_path.as_deref().and_then(|path| SecretPath::parse(path).ok());
        let (Some((_, kind)), Some(path), Some(lease_id)) = (kind, path, event.lease_id) else {
            return Ok(None);
        };
        if !self.concerns(access, lease_id).await? {
            return Ok(None);
        }
        Ok(Some(LeaseChange {
            cursor: cursor(event),
            lease_id,
            path,
            kind: *kind,
            at: event.timestamp,
            actor_id: event.actor_id.clone(),
        }))
    }
}
