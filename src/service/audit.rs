//! The audit log, read: filtered, verified, exported.

use super::context::{OpContext, settle};
use super::input;
use super::ledger::Attempt;
use super::paging::{Connection, Cursor, PageRequest};
use crate::crypto::audit::{Anchor, ChainVerifier, Checkpoint as SignedPoint, Fault, Problem};
use crate::error::{Error, Result};
use crate::model::audit::{AuditEvent, EventType};
use crate::model::paths::SecretPath;
use crate::model::policies::Area;
use crate::storage::audit as store;
use crate::storage::audit::{CheckpointRow, Filter};
use crate::storage::errors::corrupt;
use chrono::{DateTime, Utc};
use serde_json::json;
use std::net::IpAddr;
use uuid::Uuid;

/// An event as it is shown: as it is stored.
pub type EventView = AuditEvent;

/// Rows read at a time while verifying, and the most that one export page holds.
const CHUNK: i64 = 1000;
/// Most event types in a filter.
const MAX_TYPES: usize = 64;

/// Which events; everything that is given must hold.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    pub event_types: Vec<String>,
    pub actor_id: Option<String>,
    /// This path and everything below it.
    pub secret_path_prefix: Option<SecretPath>,
    pub lease_id: Option<Uuid>,
    pub access_granted: Option<bool>,
    pub source_ip: Option<IpAddr>,
    pub correlation_id: Option<String>,
    /// From this time on.
    pub from: Option<DateTime<Utc>>,
    /// Before this time.
    pub to: Option<DateTime<Utc>>,
}

impl AuditFilter {
    pub(super) fn check(&self) -> Result<Filter> {
        if self.event_types.len() > MAX_TYPES {
            return Err(Error::bad_input("filter.eventTypes", "name at most 64 event types"));
        }
        for (index, name) in self.event_types.iter().enumerate() {
            if EventType::parse(name).is_none() {
                let field = format!("filter.eventTypes[{index}]");
                return Err(Error::bad_input(
                    field,
                    "there is no such event type: write one such as secret.accessed",
                ));
            }
        }
        Ok(Filter {
            event_types: self.event_types.clone(),
            actor_id: input::text("filter.actorId", self.actor_id.as_deref(), 256)?,
            secret_path_prefix: self
                .secret_path_prefix
                .as_ref()
                .map(|prefix| (prefix.as_str().to_owned(), format!("{prefix}/"))),
            lease_id: self.lease_id,
            access_granted: self.access_granted,
            source_ip: self.source_ip,
            correlation_id: input::text("filter.correlationId", self.correlation_id.as_deref(), 256)?,
            from: self.from,
            to: self.to,
        })
    }
}

/// Events, newest first. Needs the area `audit`.
///
/// # Errors
/// `FORBIDDEN`, `BAD_USER_INPUT` naming the filter's field or the paging argument.
pub async fn list(ctx: &OpContext, filter: AuditFilter, page: PageRequest) -> Result<Connection<AuditEvent>> {
    let checked = filter.check()?;
    settle!(list_once(ctx, &checked, &page))
}

async fn list_once(
    ctx: &OpContext,
    checked: &Filter,
    page: &PageRequest,
) -> Result<Connection<AuditEvent>, Attempt> {
    let access = ctx.access().await?;
    let window = page.window()?;
    // newest first: "after" a cursor are the lower numbers
    let (below, above) = window.numbers()?;
    let decision = access.administer(Area::Audit, "audit_events").await?;
    let event = access.granted(EventType::AuditQueried, &decision);
    access.record(vec![event]).await?;
    let mut tx = access.app().read().await?;
    let mut rows = store::list(&mut tx, checked, below, above, window.page()?.limit, window.backward).await?;
    if window.backward {
        rows.reverse();
    }
    Ok(window.connection(rows, |event| Cursor::text(event.sequence_number.to_string()), |event| event))
}

/// The event with this number. Needs the area `audit`.
///
/// # Errors
/// `FORBIDDEN`.
pub async fn by_sequence(ctx: &OpContext, sequence_number: i64) -> Result<Option<AuditEvent>> {
    settle!(allowed(ctx, "audit_event", EventType::AuditQueried))?;
    let mut tx = ctx.app().read().await?;
    store::by_sequence(&mut tx, sequence_number).await
}

/// The event with this id. Needs the area `audit`.
///
/// # Errors
/// `FORBIDDEN`.
pub async fn by_event_id(ctx: &OpContext, event_id: Uuid) -> Result<Option<AuditEvent>> {
    settle!(allowed(ctx, "audit_event", EventType::AuditQueried))?;
    let mut tx = ctx.app().read().await?;
    store::by_event_id(&mut tx, event_id).await
}

/// Requires the area `audit` and records that it was used.
async fn allowed(ctx: &OpContext, operation: &str, event_type: EventType) -> Result<(), Attempt> {
    let access = ctx.access().await?;
    let decision = access.administer(Area::Audit, operation).await?;
    let mut event = access.granted(event_type, &decision);
    event.event_data = json!({ "operation": operation });
    access.record(vec![event]).await
}

/// The end of the chain, signed: keep it elsewhere, and a log that was cut short since is found out.
#[derive(Debug, Clone)]
pub struct Checkpoint {
    pub sequence_number: i64,
    pub hash: [u8; 32],
    pub signature: Vec<u8>,
    pub public_key: [u8; 32],
    pub timestamp: DateTime<Utc>,
    /// What happens after it is what a subscription tells that continues after this.
    pub cursor: String,
}

/// The newest checkpoint. For any token.
///
/// # Errors
/// `UNAUTHENTICATED`, `SEALED`, `UNAVAILABLE`.
pub async fn checkpoint(ctx: &OpContext) -> Result<Checkpoint> {
    let access = settle!(ctx.access())?;
    let mut tx = access.app().read().await?;
    // nothing is recorded here, so nothing else would show a revocation on another node
    super::tokens::require_live(&mut tx, access.caller.accessor, access.now).await?;
    let head = store::head(&mut tx).await?;
    let damaged = |column| corrupt("audit_head", column, "1");
    Ok(Checkpoint {
        sequence_number: head.sequence_number,
        hash: head.current_hash.as_slice().try_into().map_err(|_| damaged("current_hash"))?,
        signature: head.signature.ok_or_else(|| damaged("signature"))?,
        public_key: access.keys.audit_public_key,
        timestamp: head.updated_at.ok_or_else(|| damaged("updated_at"))?,
        cursor: Cursor::text(head.sequence_number.to_string()),
    })
}

/// What verifying found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    pub valid: bool,
    /// Events that were found good.
    pub checked: i64,
    pub first_bad_sequence: Option<i64>,
    pub problem: Option<String>,
}

/// Recomputes the chain from `from` to `to` (both included; all of it, if left out) against the head and every stored
/// checkpoint in between. Needs the area `audit`.
///
/// # Errors
/// `FORBIDDEN`, `BAD_USER_INPUT` at `fromSequence` or `toSequence`.
pub async fn verify(ctx: &OpContext, from: Option<i64>, to: Option<i64>) -> Result<Verification> {
    let first = from.unwrap_or(1);
    if first < 1 {
        return Err(Error::bad_input("fromSequence", "sequence numbers count from 1"));
    }
    if to.is_some_and(|to| to < first) {
        return Err(Error::bad_input(
            "toSequence",
            "the end lies before the beginning: give a higher number",
        ));
    }
    settle!(allowed(ctx, "verify_audit", EventType::AuditVerified))?;
    let app = ctx.app();
    let public_key = app.keys.get()?.audit_public_key;
    let head = {
        let mut tx = app.read().await?;
        store::head(&mut tx).await?
    };
    let damaged = || corrupt("audit_head", "current_hash", "1");
    let head = SignedPoint {
        sequence: head.sequence_number,
        hash: head.current_hash.as_slice().try_into().map_err(|_| damaged())?,
        signature: head.signature.unwrap_or_default(),
    };
    let last = to.unwrap_or(head.sequence).min(head.sequence);
    if first > last {
        return Err(Error::bad_input(
            "fromSequence",
            format!("the log ends at {}: give a lower number", head.sequence),
        ));
    }
    Walk { ctx, public_key, first, last, head }.run().await
}

struct Walk<'a> {
    ctx: &'a OpContext,
    public_key: [u8; 32],
    first: i64,
    last: i64,
    head: SignedPoint,
}

impl Walk<'_> {
    async fn run(self) -> Result<Verification> {
        let app = self.ctx.app();
        let start = match self.first {
            1 => Anchor::BEGINNING,
            first => {
                let mut tx = app.read().await?;
                match store::range(&mut tx, first, first, 1).await?.first() {
                    Some(event) => Anchor::before(event),
                    None => return Ok(bad(0, first, "the event is missing")),
                }
            }
        };
        let mut verifier = ChainVerifier::new(self.public_key, Some(start));
        let points = {
            let mut tx = app.read().await?;
            store::checkpoints(&mut tx, CHUNK).await?
        };
        for point in points.iter().filter(|point| (self.first..=self.last).contains(&point.sequence_number)) {
            if let Err(fault) = verifier.expect(&signed(point)?) {
                return Ok(faulty(0, &fault));
            }
        }
        // a range that ends within a batch has no signature at its end: the walk goes on to the end of the batch
        let to_end = self.last == self.head.sequence;
        let mut checked = 0;
        let mut next = self.first;
        while next <= self.head.sequence {
            let rows = {
                let mut tx = app.read().await?;
                store::range(&mut tx, next, (next + CHUNK - 1).min(self.head.sequence), CHUNK).await
            };
            let rows = match rows {
                Ok(rows) => rows,
                Err(error) if error.code() == crate::error::ErrorCode::Internal => {
                    return self.unreadable(next, checked).await;
                }
                Err(error) => return Err(error),
            };
            if rows.is_empty() {
                let cut = Problem::Truncated { checkpoint: self.head.sequence };
                return Ok(faulty(checked, &Fault { sequence: next, problem: cut }));
            }
            for event in &rows {
                if let Err(fault) = verifier.push(event) {
                    return Ok(faulty(checked, &fault));
                }
                checked += 1;
                next = event.sequence_number + 1;
                if event.sequence_number >= self.last && event.batch_end {
                    return Ok(self.finish(verifier, checked, to_end));
                }
            }
        }
        Ok(self.finish(verifier, checked, to_end))
    }

    fn finish(&self, verifier: ChainVerifier, checked: i64, to_end: bool) -> Verification {
        match verifier.finish(to_end.then_some(&self.head)) {
            Ok(_) => Verification { valid: true, checked, first_bad_sequence: None, problem: None },
            Err(fault) => faulty(checked, &fault),
        }
    }

    /// A row that cannot even be read back: found by reading one at a time.
    async fn unreadable(&self, from: i64, checked: i64) -> Result<Verification> {
        for sequence in from..(from + CHUNK).min(self.head.sequence + 1) {
            let mut tx = self.ctx.app().read().await?;
            if store::range(&mut tx, sequence, sequence, 1).await.is_err() {
                return Ok(bad(
                    checked + sequence - from,
                    sequence,
                    "the event has a value that no writer of ours stored",
                ));
            }
        }
        Err(Error::internal("a range of audit events cannot be read, but each of its rows can"))
    }
}

fn signed(point: &CheckpointRow) -> Result<SignedPoint> {
    let hash = point.hash.as_slice().try_into();
    Ok(SignedPoint {
        sequence: point.sequence_number,
        hash: hash.map_err(|_| corrupt("audit_checkpoints", "hash", &point.sequence_number.to_string()))?,
        signature: point.signature.clone(),
    })
}

fn bad(checked: i64, sequence: i64, problem: &str) -> Verification {
    Verification {
        valid: false,
        checked,
        first_bad_sequence: Some(sequence),
        problem: Some(problem.to_owned()),
    }
}

fn faulty(checked: i64, fault: &Fault) -> Verification {
    bad(checked, fault.sequence, &fault.problem.to_string())
}

/// Events from number `from` on, oldest first, at most 1000. Needs the area `audit`.
///
/// # Errors
/// `FORBIDDEN`, `BAD_USER_INPUT` at `limit`.
pub async fn export_page(ctx: &OpContext, from: i64, limit: i64) -> Result<Vec<AuditEvent>> {
    if !(1..=CHUNK).contains(&limit) {
        return Err(Error::bad_input("limit", "a page of an export has 1 to 1000 events"));
    }
    settle!(allowed(ctx, "export", EventType::AuditQueried))?;
    let mut tx = ctx.app().read().await?;
    store::range(&mut tx, from.max(1), i64::MAX, limit).await
}

/// Stores the head as a checkpoint: the audit task's, now and then. Returns its number, if there is anything to keep.
///
/// # Errors
/// `UNAVAILABLE`.
pub async fn keep_checkpoint(ctx: &OpContext) -> Result<Option<i64>> {
    let app = ctx.app();
    settle!(app.ledger.change(app.undecided(), None, move |tx| {
        Box::pin(async move {
            let head = store::head(tx).await?;
            let row = head.signature.zip(head.updated_at).map(|(signature, created_at)| CheckpointRow {
                sequence_number: head.sequence_number,
                hash: head.current_hash,
                signature,
                created_at,
            });
            if let Some(row) = &row {
                store::insert_checkpoint(tx, row).await?;
            }
            let value = row.map(|row| row.sequence_number);
            Ok(super::ledger::Change { value, events: Vec::new(), effects: Vec::new() })
        })
    }))
}
