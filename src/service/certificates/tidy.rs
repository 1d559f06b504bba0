//! Certificates near their end are reported, and long after it removed; requests that nobody decided on or completed end.

use super::super::context::{OpContext, settle};
use super::super::ledger::{Attempt, Change};
use super::about;
use super::outside::PATIENCE;
use crate::error::Result;
use crate::model::audit::EventType;
use crate::storage::certificates as store;
use crate::storage::enrollments as enrollment_store;
use crate::storage::pending_authorities as pending_store;
use chrono::Duration;
use serde_json::json;

/// Rows seen to in one change.
const STEP: i64 = 200;
/// Changes in one pass: the rest waits for the next.
const STEPS: usize = 50;

/// What a pass did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tidied {
    pub expiring: usize,
    pub removed: usize,
    pub expired_enrollments: usize,
    /// Of authorities that nobody completed.
    pub given_up: usize,
}

/// One pass.
///
/// # Errors
/// `SEALED`, `UNAVAILABLE`.
pub async fn tidy(ctx: &OpContext) -> Result<Tidied> {
    ctx.app().keys.get()?;
    let mut done = Tidied::default();
    for _ in 0..STEPS {
        let expiring = settle!(notice(ctx))?;
        let removed = settle!(remove(ctx))?;
        let ended = settle!(end_enrollments(ctx))?;
        let given_up = settle!(give_up(ctx))?;
        done.expiring += expiring;
        done.removed += removed;
        done.expired_enrollments += ended;
        done.given_up += given_up;
        let most = usize::try_from(STEP).unwrap_or(usize::MAX);
        if expiring.max(removed).max(ended).max(given_up) < most {
            break;
        }
    }
    Ok(done)
}

/// Each certificate is reported once.
async fn notice(ctx: &OpContext) -> Result<usize, Attempt> {
    let app = ctx.app();
    let now = app.clock().now();
    let before = now + Duration::seconds(app.pki.settings.expiring_within);
    let ctx = ctx.clone();
    app.ledger
        .change(app.undecided(), None, move |tx| {
            Box::pin(async move {
                let rows = store::expiring(tx, now, before, STEP).await?;
                let ids: Vec<_> = rows.iter().map(|row| row.id).collect();
                store::notice_expiry(tx, &ids).await?;
                let event = |row| {
                    let mut event = ctx.event(EventType::CertificateExpiring, None);
                    event.event_data = about(row);
                    event
                };
                let events = rows.iter().map(event).collect();
                Ok(Change { value: ids.len(), events, effects: Vec::new() })
            })
        })
        .await
}

async fn remove(ctx: &OpContext) -> Result<usize, Attempt> {
    let app = ctx.app();
    let before = app.clock().now() - Duration::seconds(app.pki.settings.tidy_after);
    let mut event = ctx.event(EventType::CertificateTidied, None);
    app.ledger
        .change(app.undecided(), None, move |tx| {
            Box::pin(async move {
                let ids = store::expired_before(tx, before, STEP).await?;
                if ids.is_empty() {
                    return Ok(Change { value: 0, events: Vec::new(), effects: Vec::new() });
                }
                store::remove(tx, &ids).await?;
                event.event_data = json!({ "removed": ids.len(), "expired_before": before.to_rfc3339() });
                Ok(Change::new(ids.len(), event, Vec::new()))
            })
        })
        .await
}

async fn end_enrollments(ctx: &OpContext) -> Result<usize, Attempt> {
    let app = ctx.app();
    let now = app.clock().now();
    let long_ago = now - Duration::seconds(app.pki.settings.tidy_after);
    let ctx = ctx.clone();
    app.ledger
        .change(app.undecided(), None, move |tx| {
            Box::pin(async move {
                // what was decided on long ago has nothing more to say
                enrollment_store::purge(tx, long_ago, STEP).await?;
                let ids = enrollment_store::expire(tx, now, STEP).await?;
                let event = |id: &uuid::Uuid| {
                    let mut event = ctx.event(EventType::CertificateEnrollmentExpired, None);
                    event.event_data = json!({ "id": id.to_string() });
                    event
                };
                let events = ids.iter().map(event).collect();
                Ok(Change { value: ids.len(), events, effects: Vec::new() })
            })
        })
        .await
}

/// Authorities that were to be signed outside, and for which no certificate came: their keys go.
async fn give_up(ctx: &OpContext) -> Result<usize, Attempt> {
    let app = ctx.app();
    let before = app.clock().now() - PATIENCE;
    let mut event = ctx.event(EventType::CertificateTidied, None);
    app.ledger
        .change(app.undecided(), None, move |tx| {
            Box::pin(async move {
                let ids = pending_store::purge(tx, before, STEP).await?;
                if ids.is_empty() {
                    return Ok(Change { value: 0, events: Vec::new(), effects: Vec::new() });
                }
                event.event_data =
                    json!({ "authority_requests": ids, "requested_before": before.to_rfc3339() });
                Ok(Change::new(ids.len(), event, Vec::new()))
            })
        })
        .await
}
