//! Leases: credentials with an end. Issued in two steps, so that none is ever without its lease, and revoked until the target
//! has revoked them.
//!
//! Who asked for a lease may see and end it; who may `renew` or `revoke` at its path may do that with any lease there;
//! administration of `leases` sees and ends all.

mod fresh;
mod issue;
mod make;
mod reaper;
mod rehearsal;
mod renew;
mod repeat;
mod revoke;
mod revoker;

pub use issue::{IssueCredentials, IssuedLease, issue};
pub use reaper::{Reaped, Reaping, reap};
pub(super) use rehearsal::rehearse;
pub use renew::{Renewed, renew};
pub(super) use repeat::open_credentials;
pub use revoke::{RevokeSelection, revoke, revoke_many};
pub use revoker::Revokers;

use super::context::{Access, OpContext, settle};
use super::ledger::Attempt;
use super::paging::{Connection, Cursor, PageRequest};
use crate::crypto::barrier::RecordName;
use crate::error::{Error, Result};
use crate::model::audit::{AuditEvent, EventType};
use crate::model::leases::LeaseState;
use crate::model::paths::SecretPath;
use crate::model::policies::{Action, Area, Decision, Operation};
use crate::storage::engines as engine_store;
use crate::storage::errors::corrupt;
use crate::storage::leases as store;
use crate::storage::leases::{LeaseRow, ListLeases};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

/// A lease without its credentials.
#[derive(Debug, Clone)]
pub struct LeaseView {
    pub id: Uuid,
    pub path: SecretPath,
    pub engine_id: Uuid,
    pub engine_type: String,
    pub state: LeaseState,
    /// Who asked for it.
    pub actor_id: String,
    pub issued_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub max_expires_at: DateTime<Utc>,
    pub ttl_seconds: i64,
    pub renewed_count: i64,
    pub max_renewals: Option<i64>,
    pub last_renewed_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
    pub revocation_reason: Option<String>,
    /// How long the credentials have outlived the lease.
    pub overdue_seconds: Option<i64>,
    pub last_revocation_error: Option<String>,
    /// What the engine calls it on the target; never a credential.
    pub handle: Value,
}

impl LeaseView {
    pub(super) fn from_row(row: LeaseRow, now: DateTime<Utc>) -> Result<Self> {
        let damaged = |column| corrupt("leases", column, &row.lease_id.to_string());
        let state = LeaseState::parse(&row.state).ok_or_else(|| damaged("state"))?;
        let path = SecretPath::parse(&row.secret_path).map_err(|_| damaged("secret_path"))?;
        let over = now >= row.expires_at && state != LeaseState::Revoked;
        Ok(Self {
            id: row.lease_id,
            path,
            engine_id: row.engine_id,
            engine_type: row.engine_type,
            // an expired lease is on its way out, whether the task has got to it or not
            state: if over && state == LeaseState::Active { LeaseState::Revoking } else { state },
            actor_id: row.actor_id,
            issued_at: row.issued_at,
            overdue_seconds: over.then(|| (now - row.expires_at).num_seconds()).filter(|late| *late > 0),
            expires_at: row.expires_at,
            max_expires_at: row.max_expires_at,
            ttl_seconds: row.ttl_seconds,
            renewed_count: row.renewed_count,
            max_renewals: row.max_renewals,
            last_renewed_at: row.last_renewed_at,
            revoked_at: row.revoked_at,
            revocation_reason: row.revocation_reason,
            last_revocation_error: row.last_revocation_error,
            handle: row.engine_metadata.0,
        })
    }

    /// Whether a renewal could be granted.
    #[must_use]
    pub fn is_renewable(&self) -> bool {
        self.state == LeaseState::Active
            && self.expires_at < self.max_expires_at
            && self.max_renewals.is_none_or(|most| self.renewed_count < most)
    }
}

/// The name that a lease's sealed credentials are bound to.
fn credentials_record(id: &str) -> RecordName<'_> {
    RecordName { table: "leases", column: "credentials", id, version: 0 }
}

/// Whether a lease is that of a rehearsal, whose role is not saved yet, or is another one still.
fn is_rehearsal(row: &LeaseRow) -> bool {
    row.secret_id.is_nil()
}

/// What a caller may do with one lease.
struct Rights {
    own: bool,
    area: Decision,
    renew: Decision,
    revoke: Decision,
}

impl Rights {
    fn of(access: &Access, path: &SecretPath, actor_id: &str) -> Self {
        let decide = |operation| access.decide(&Action::Secret { operation, path });
        Self {
            own: access.caller.actor_id == actor_id,
            area: access.decide(&Action::Administer(Area::Leases)),
            renew: access.decide_briefly(&Action::Secret { operation: Operation::Renew, path }),
            revoke: decide(Operation::Revoke),
        }
    }

    fn may_see(&self) -> bool {
        self.own || self.area.allowed || self.revoke.allowed
    }

    /// The decision that the record names; none for one's own lease.
    fn showing(&self) -> Option<&Decision> {
        if self.own { None } else { Some(if self.area.allowed { &self.area } else { &self.revoke }) }
    }
}

fn absent() -> Error {
    Error::not_found("there is no such lease, or this token may not know of it: check the lease id")
}

/// That there is no such lease is recorded too, and takes as long as a refusal.
async fn note_absence(access: &Access, id: Uuid) -> Result<(), Attempt> {
    let mut event = access.event(EventType::LeaseListed);
    event.event_data = json!({ "found": false, "lease": id.to_string() });
    access.record(vec![event]).await
}

async fn not_there(access: &Access, id: Uuid) -> Attempt {
    match note_absence(access, id).await {
        Ok(()) => absent().into(),
        Err(failure) => failure,
    }
}

/// Fills in which lease an event is about.
fn about(mut event: AuditEvent, row: &LeaseRow) -> AuditEvent {
    event.lease_id = Some(row.lease_id);
    event.secret_path = Some(row.secret_path.clone());
    event.secret_id = Some(row.secret_id);
    event.secret_type = Some("dynamic_role".to_owned());
    event
}

/// A lease, if the caller may see it.
///
/// # Errors
/// `UNAUTHENTICATED`, `SEALED`, `UNAVAILABLE`.
pub async fn find(ctx: &OpContext, id: Uuid) -> Result<Option<LeaseView>> {
    settle!(find_once(ctx, id))
}

async fn find_once(ctx: &OpContext, id: Uuid) -> Result<Option<LeaseView>, Attempt> {
    let access = ctx.access().await?;
    let row = {
        let mut tx = access.app().read().await?;
        store::by_id(&mut tx, id).await?
    };
    let Some(row) = row else {
        note_absence(&access, id).await?;
        return Ok(None);
    };
    let view = LeaseView::from_row(row.clone(), access.now)?;
    let rights = Rights::of(&access, &view.path, &view.actor_id);
    let event = match rights.showing() {
        None => access.event(EventType::LeaseListed),
        Some(decision) if decision.allowed => access.granted(EventType::LeaseListed, decision),
        Some(decision) => access.refused(EventType::SecretAccessDenied, decision),
    };
    access.record(vec![about(event, &row)]).await?;
    Ok(rights.may_see().then_some(view))
}

/// Which leases.
#[derive(Debug, Clone, Default)]
pub struct ListFilter {
    pub path_prefix: Option<SecretPath>,
    pub engine: Option<String>,
    pub states: Vec<LeaseState>,
    pub expires_before: Option<DateTime<Utc>>,
    pub overdue_only: bool,
    pub order: Order,
}

/// In which order leases are listed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Order {
    /// As they were asked for, oldest first.
    #[default]
    IssuedAt,
    /// The one that ends first before the others; those that are revoked are left out.
    ExpiresAt,
}

/// Leases: all of them to who administers `leases`, else the caller's own.
///
/// # Errors
/// `BAD_USER_INPUT` at the paging arguments.
pub async fn list(ctx: &OpContext, filter: ListFilter, page: PageRequest) -> Result<Connection<LeaseView>> {
    settle!(list_once(ctx, &filter, &page))
}

async fn list_once(
    ctx: &OpContext,
    filter: &ListFilter,
    page: &PageRequest,
) -> Result<Connection<LeaseView>, Attempt> {
    let access = ctx.access().await?;
    let window = page.window()?;
    let area = access.decide(&Action::Administer(Area::Leases));
    let mut query = ListLeases {
        prefix: filter.path_prefix.as_ref().map(ToString::to_string),
        engine_id: None,
        states: filter.states.iter().map(|state| state.as_str()).collect(),
        expires_before: filter.expires_before,
        overdue_at: filter.overdue_only.then_some(access.now),
        actor_id: (!area.allowed).then(|| access.caller.actor_id.clone()),
        ..ListLeases::default()
    };
    let (rows, stopped) = {
        let mut tx = access.app().read().await?;
        if let Some(name) = &filter.engine {
            let known = super::input::is_name(name);
            let engine = if known { engine_store::find(&mut tx, name).await? } else { None };
            // an engine that is not there has no leases
            query.engine_id = Some(engine.map_or(Uuid::nil(), |engine| engine.id));
        }
        match filter.order {
            Order::IssuedAt => (store::list(&mut tx, &query, &window.page()?).await?, None),
            Order::ExpiresAt => {
                let found = store::list_ending(&mut tx, &query, &window.page()?).await?;
                (found.rows, found.stopped)
            }
        }
    };
    let mut event = access.granted(EventType::LeaseListed, &area);
    event.secret_path = filter.path_prefix.as_ref().map(ToString::to_string);
    event.event_data = json!({ "leases": rows.len(), "own": !area.allowed });
    access.record(vec![event]).await?;
    let views =
        rows.into_iter().map(|row| LeaseView::from_row(row, access.now)).collect::<Result<Vec<_>>>()?;
    let key = |view: &LeaseView| match filter.order {
        Order::IssuedAt => view.id.to_string(),
        Order::ExpiresAt => store::ending_key(view.expires_at, view.id),
    };
    let page = window.connection(views, |view| Cursor::text(key(view)), |view| view);
    Ok(match stopped {
        Some(key) => page.stopped_at(&key, window.backward),
        None => page,
    })
}
