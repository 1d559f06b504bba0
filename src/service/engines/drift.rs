//! Drift: what the target has, compared with the leases, both ways. Only names that carry this installation's mark are looked at.

use super::super::App;
use super::super::context::{OpContext, settle};
use super::super::ledger::{Attempt, Change};
use super::Drift;
use super::ask::{ask_background, recorded};
use super::heal::restore;
use crate::engine::CallError;
use crate::error::Result;
use crate::model::audit::{AuditEvent, EventType};
use crate::storage::engines;
use crate::storage::engines::EngineRow;
use crate::storage::leases as lease_store;
use chrono::{DateTime, Utc};
use secrethub_engine::wire::Operation;
use secrethub_engine::{Account, EngineError, ErrorKind};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::Duration;
use uuid::Uuid;

pub(super) const DEADLINE: Duration = Duration::from_secs(120);
/// Leases read from the store at a time.
const PAGE: i64 = 2000;
/// Names that are kept of each kind.
pub(super) const SAMPLE: usize = 20;
/// Differences of each kind that are counted.
const MOST_KEPT: usize = 10_000;
/// An engine that was compared so short a time ago is left alone on schedule.
const RECENT: chrono::Duration = chrono::Duration::seconds(50);

impl Drift {
    pub(super) fn from_json(json: &Value) -> Option<Self> {
        let texts = |key: &str| {
            let texts = json[key].as_array().into_iter().flatten();
            texts.filter_map(|text| text.as_str().map(str::to_owned)).collect()
        };
        Some(Self {
            unknown_on_target: json["unknown"].as_i64()?,
            missing_on_target: json["missing"].as_i64()?,
            unknown_names: texts("unknown_names"),
            missing_leases: texts("missing_leases"),
            checked_at: DateTime::parse_from_rfc3339(json["checked_at"].as_str()?).ok()?.to_utc(),
        })
    }

    /// Whether it says the same, of another time.
    fn is_like(&self, other: &Self) -> bool {
        let said = |drift: &Self| {
            (
                drift.unknown_on_target,
                drift.missing_on_target,
                drift.unknown_names.clone(),
                drift.missing_leases.clone(),
            )
        };
        said(self) == said(other)
    }

    fn to_json(&self) -> Value {
        json!({
            "unknown": self.unknown_on_target,
            "missing": self.missing_on_target,
            "unknown_names": self.unknown_names,
            "missing_leases": self.missing_leases,
            "checked_at": self.checked_at.to_rfc3339(),
        })
    }
}

/// The whole of a comparison.
pub(super) struct Found {
    pub unknown: Vec<Account>,
    pub missing: Vec<Uuid>,
}

impl Found {
    pub fn summary(&self, now: DateTime<Utc>) -> Drift {
        Drift {
            unknown_on_target: i64::try_from(self.unknown.len()).unwrap_or(i64::MAX),
            missing_on_target: i64::try_from(self.missing.len()).unwrap_or(i64::MAX),
            unknown_names: self.unknown.iter().take(SAMPLE).map(|account| account.name.clone()).collect(),
            missing_leases: self.missing.iter().take(SAMPLE).map(Uuid::to_string).collect(),
            checked_at: now,
        }
    }
}

/// On its own the server counts no lease as missing its account that is younger than this: its issue has certainly ended.
const SETTLED: chrono::Duration = chrono::Duration::seconds(40);
/// Healing looks at all: making an account anew that is there does nothing.
pub(super) const AT_ONCE: chrono::Duration = chrono::Duration::zero();

/// `None`: this engine cannot list.
pub(super) async fn compare(
    ctx: &OpContext,
    engine: &EngineRow,
    settled: chrono::Duration,
) -> Result<Option<Found>, CallError> {
    let app = ctx.app();
    let asked_at = app.clock().now();
    let answer = match ask_background(app, engine, Operation::List, DEADLINE).await {
        Err(CallError::Engine(EngineError { kind: ErrorKind::Unsupported, .. })) => return Ok(None),
        answer => answer?,
    };
    let unavailable =
        |message: &str| CallError::Unavailable { message: message.to_owned(), retry_after: None };
    let accounts: Vec<Account> = serde_json::from_value(answer).map_err(|_| {
        unavailable("the engine's answer is not what an engine answers: report it to its author")
    })?;
    sort_out(ctx, engine.id, accounts, asked_at, asked_at - settled)
        .await
        .map(Some)
        .map_err(|error| unavailable(error.message()))
}

/// What the target has against what the store has now. A lease is there before its account, so an account without a live lease has
/// none, unless it ended after the target was asked; and an active lease without an account lacks it, unless the account was
/// only just being made: leases that began after `settled` are not counted.
async fn sort_out(
    ctx: &OpContext,
    engine_id: Uuid,
    accounts: Vec<Account>,
    asked_at: DateTime<Utc>,
    settled: DateTime<Utc>,
) -> Result<Found> {
    let mut left: HashMap<Uuid, Account> =
        accounts.into_iter().map(|account| (account.lease_id, account)).collect();
    let mut missing = Vec::new();
    let mut after = None;
    loop {
        let page = {
            let mut tx = ctx.app().read().await?;
            lease_store::live_of(&mut tx, engine_id, after, PAGE).await?
        };
        let Some(last) = page.last() else { break };
        after = Some(last.lease_id);
        for lease in page {
            let there = left.remove(&lease.lease_id).is_some();
            if !there && lease.state == "active" && lease.issued_at < settled && missing.len() < MOST_KEPT {
                missing.push(lease.lease_id);
            }
        }
    }
    let mut unknown = Vec::new();
    for (id, account) in left {
        let ended = {
            let mut tx = ctx.app().read().await?;
            lease_store::by_id(&mut tx, id).await?
        };
        if ended.is_none_or(|lease| lease.revoked_at.is_some_and(|time| time < asked_at)) {
            unknown.push(account);
        }
        if unknown.len() == MOST_KEPT {
            break;
        }
    }
    unknown.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(Found { unknown, missing })
}

/// What a comparison on schedule came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checked {
    /// Engines that differ from their targets.
    pub differ: u64,
    /// Accounts of live leases that were made anew.
    pub restored: u64,
}

/// Compares engines with their targets: all of them, or only those with live leases that can make accounts anew. What these have lost is
/// made anew; nothing is removed. An engine that does not answer is left for the next time, and one that was compared a moment ago, on
/// another node say, too.
///
/// # Errors
/// `SEALED`, `UNAVAILABLE`.
pub async fn check_all(ctx: &OpContext, all: bool) -> Result<Checked> {
    let app = ctx.app();
    app.keys.get()?;
    let mut done = Checked::default();
    let mut after = None;
    loop {
        let ids = {
            let mut tx = app.read().await?;
            engines::ids(&mut tx, after, 100).await?
        };
        let Some(last) = ids.last() else { return Ok(done) };
        after = Some(*last);
        for id in ids {
            let row = {
                let mut tx = app.read().await?;
                engines::by_id(&mut tx, id).await?
            };
            let Some(row) = row.filter(|_| app.engines.is_open(id).is_none()) else { continue };
            let restores = restores(app, &row);
            if !(all || restores && row.live_leases > 0) || is_recent(&row, app.clock().now()) {
                continue;
            }
            let checked = check(ctx, &row, all, restores).await?;
            done.differ += checked.differ;
            done.restored += checked.restored;
        }
    }
}

fn restores(app: &App, row: &EngineRow) -> bool {
    app.engines.plugins().iter().any(|plugin| plugin.kind == row.engine_type && plugin.restores)
}

fn is_recent(row: &EngineRow, now: DateTime<Utc>) -> bool {
    let drift = row.drift.as_ref().and_then(|drift| Drift::from_json(&drift.0));
    drift.is_some_and(|drift| drift.checked_at <= now && now - drift.checked_at < RECENT)
}

async fn check(ctx: &OpContext, row: &EngineRow, all: bool, restores: bool) -> Result<Checked> {
    let mut found = match compare(ctx, row, SETTLED).await {
        Ok(Some(found)) => found,
        Ok(None) => return Ok(Checked::default()),
        Err(error) => {
            tracing::warn!(engine = %row.name, error = recorded(&error), "accounts could not be compared");
            return Ok(Checked::default());
        }
    };
    let drift = found.summary(ctx.app().clock().now());
    let differs = drift.unknown_on_target + drift.missing_on_target > 0;
    // between the thorough comparisons only what is new is told
    let known = row.drift.as_ref().and_then(|known| Drift::from_json(&known.0));
    let told = differs && (all || !known.is_some_and(|known| known.is_like(&drift)));
    let event = told.then(|| found_event(ctx, row, &drift));
    settle!(note(ctx, row, &drift, event.clone()))?;
    let mut checked = Checked { differ: u64::from(differs), restored: 0 };
    if !restores || found.missing.is_empty() {
        return Ok(checked);
    }
    let mut problems = Vec::new();
    let restored = restore(ctx, row, &found.missing, &mut problems).await?;
    if let Some(problem) = problems.first() {
        tracing::warn!(engine = %row.name, problem, more = problems.len() - 1, "accounts could not be restored");
    }
    if !restored.is_empty() {
        found.missing.retain(|id| !restored.contains(id));
        checked.restored = u64::try_from(restored.len()).unwrap_or(u64::MAX);
        let mut event = ctx.event(EventType::EngineDriftHealed, None);
        event.event_data = json!({ "engine": row.name, "removed": 0, "restored": checked.restored });
        let left = found.summary(ctx.app().clock().now());
        settle!(note(ctx, row, &left, Some(event.clone())))?;
    }
    Ok(checked)
}

pub(super) fn found_event(ctx: &OpContext, row: &EngineRow, drift: &Drift) -> AuditEvent {
    let mut event = ctx.event(EventType::EngineDriftFound, None);
    event.event_data = json!({
        "engine": row.name,
        "unknown_on_target": drift.unknown_on_target,
        "missing_on_target": drift.missing_on_target,
        "names": drift.unknown_names,
    });
    event
}

/// Keeps what was found.
pub(super) async fn note(
    ctx: &OpContext,
    row: &EngineRow,
    drift: &Drift,
    event: Option<AuditEvent>,
) -> Result<(), Attempt> {
    let app = ctx.app();
    let (id, json) = (row.id, drift.to_json());
    app.ledger
        .change(app.undecided(), None, move |tx| {
            Box::pin(async move {
                if engines::by_id(tx, id).await?.is_some() {
                    engines::set_drift(tx, id, &json).await?;
                }
                Ok(Change { value: (), events: event.into_iter().collect(), effects: Vec::new() })
            })
        })
        .await
}
