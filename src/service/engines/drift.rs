//! Drift: what the target has, compared with the leases, both ways. Only names that carry this installation's mark are looked at.

use super::super::context::{OpContext, settle};
use super::super::ledger::{Attempt, Change};
use super::ask::{ask_background, client_error, recorded};
use super::roles::open_role;
use super::{Drift, EngineView, named, store};
use crate::engine::CallError;
use crate::error::{Error, Result};
use crate::model::audit::EventType;
use crate::model::policies::Area;
use crate::storage::engines::EngineRow;
use crate::storage::leases as lease_store;
use crate::storage::{engine_roles as role_store, engines};
use chrono::{DateTime, Utc};
use secrethub_engine::wire::{Done, Operation};
use secrethub_engine::{Account, EngineError, ErrorKind, Lease, Live, Revocation};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::time::Duration;
use uuid::Uuid;

const DEADLINE: Duration = Duration::from_secs(120);
/// Leases read from the store at a time.
const PAGE: i64 = 2000;
/// Names that are kept of each kind.
const SAMPLE: usize = 20;
/// Accounts and leases that one healing sees to; the rest is left for the next.
const MOST_HEALED: usize = 1000;
/// Differences of each kind that are counted.
const MOST_KEPT: usize = 10_000;
/// Accounts that one call of the engine removes.
const BATCH: usize = 200;

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
struct Found {
    unknown: Vec<Account>,
    missing: Vec<Uuid>,
}

impl Found {
    fn summary(&self, now: DateTime<Utc>) -> Drift {
        Drift {
            unknown_on_target: i64::try_from(self.unknown.len()).unwrap_or(i64::MAX),
            missing_on_target: i64::try_from(self.missing.len()).unwrap_or(i64::MAX),
            unknown_names: self.unknown.iter().take(SAMPLE).map(|account| account.name.clone()).collect(),
            missing_leases: self.missing.iter().take(SAMPLE).map(Uuid::to_string).collect(),
            checked_at: now,
        }
    }
}

/// On its own the server counts no lease as missing its account that is younger than this.
const SETTLED: chrono::Duration = chrono::Duration::seconds(60);
/// Healing looks at all: making an account anew that is there does nothing.
const AT_ONCE: chrono::Duration = chrono::Duration::zero();

/// `None`: this engine cannot list.
async fn compare(
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
    Ok(Found { unknown, missing })
}

/// Compares every engine with its target; how many differ. An engine that does not answer is left for the next time.
///
/// # Errors
/// `SEALED`, `UNAVAILABLE`.
pub async fn check_all(ctx: &OpContext) -> Result<u64> {
    let app = ctx.app();
    app.keys.get()?;
    let mut differ = 0;
    let mut after = None;
    loop {
        let ids = {
            let mut tx = app.read().await?;
            engines::ids(&mut tx, after, 100).await?
        };
        let Some(last) = ids.last() else { return Ok(differ) };
        after = Some(*last);
        for id in ids {
            let row = {
                let mut tx = app.read().await?;
                engines::by_id(&mut tx, id).await?
            };
            let Some(row) = row.filter(|_| app.engines.is_open(id).is_none()) else { continue };
            match compare(ctx, &row, SETTLED).await {
                Ok(Some(found)) => {
                    let drift = found.summary(app.clock().now());
                    differ += u64::from(drift.unknown_on_target + drift.missing_on_target > 0);
                    settle!(note(ctx, &row, &drift, EventType::EngineDriftFound))?;
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::warn!(engine = %row.name, error = recorded(&error), "accounts could not be compared");
                }
            }
        }
    }
}

/// Keeps what was found; an event only if something was.
async fn note(ctx: &OpContext, row: &EngineRow, drift: &Drift, kind: EventType) -> Result<(), Attempt> {
    let app = ctx.app();
    let differs = drift.unknown_on_target + drift.missing_on_target > 0;
    let mut event = ctx.event(kind, None);
    event.event_data = json!({
        "engine": row.name,
        "unknown_on_target": drift.unknown_on_target,
        "missing_on_target": drift.missing_on_target,
        "names": drift.unknown_names,
    });
    let (id, json) = (row.id, drift.to_json());
    app.ledger
        .change(app.undecided(), None, move |tx| {
            Box::pin(async move {
                if engines::by_id(tx, id).await?.is_some() {
                    engines::set_drift(tx, id, &json).await?;
                }
                let events = if differs { vec![event] } else { Vec::new() };
                Ok(Change { value: (), events, effects: Vec::new() })
            })
        })
        .await
}

/// What healing did.
#[derive(Debug, Clone)]
pub struct Healed {
    pub engine: EngineView,
    /// Accounts without a lease that were removed.
    pub removed: i64,
    /// Accounts of leases that were made anew, exactly as they were.
    pub restored: i64,
    /// What neither could be done with, and why; at most twenty.
    pub problems: Vec<String>,
}

/// Compares an engine with its target, removes the accounts of this installation that have no lease, and makes anew those that the
/// target has lost, where the engine can. A thousand of each at most. Needs the area `engines`.
///
/// # Errors
/// `NOT_FOUND`, `BAD_USER_INPUT` if the engine cannot list, `ENGINE_UNAVAILABLE`.
pub async fn heal(ctx: &OpContext, name: &str) -> Result<Healed> {
    let row = settle!(authorise(ctx, name))?;
    let found = compare(ctx, &row, AT_ONCE).await.map_err(|error| client_error(error, "name"))?;
    let Some(found) = found else {
        let message = "this engine cannot list what is on its target";
        return Err(Error::new(crate::error::ErrorCode::BadUserInput, message));
    };
    let mut problems = Vec::new();
    let removed = remove(ctx, &row, &found.unknown, &mut problems).await?;
    let restored = restore(ctx, &row, &found.missing, &mut problems).await?;
    problems.truncate(SAMPLE);
    let left = compare(ctx, &row, AT_ONCE)
        .await
        .map_err(|error| client_error(error, "name"))?
        .unwrap_or(Found { unknown: Vec::new(), missing: Vec::new() });
    let drift = left.summary(ctx.app().clock().now());
    settle!(note(ctx, &row, &drift, EventType::EngineDriftFound))?;
    settle!(record(ctx, &row, removed, restored))?;
    let mut tx = ctx.app().read().await?;
    let row = store::by_id(&mut tx, row.id).await?.unwrap_or(row);
    Ok(Healed { engine: EngineView::seen(ctx.app(), &mut tx, row).await?, removed, restored, problems })
}

async fn authorise(ctx: &OpContext, name: &str) -> Result<EngineRow, Attempt> {
    let access = ctx.access().await?;
    access.administer(Area::Engines, "heal_engine_drift").await?;
    let mut tx = access.app().read().await?;
    Ok(named(&mut tx, name).await?)
}

async fn remove(
    ctx: &OpContext,
    row: &EngineRow,
    unknown: &[Account],
    problems: &mut Vec<String>,
) -> Result<i64> {
    let mut removed = 0;
    for batch in unknown[..unknown.len().min(MOST_HEALED)].chunks(BATCH) {
        let revocations = batch
            .iter()
            .map(|account| Revocation { lease_id: account.lease_id, handle: None, role: None })
            .collect();
        let answer = ask_background(ctx.app(), row, Operation::Revoke { revocations }, DEADLINE)
            .await
            .map_err(|error| client_error(error, "name"))?;
        let done: Vec<Done> = serde_json::from_value(answer).unwrap_or_default();
        for (account, done) in batch.iter().zip(done) {
            match done {
                Done::Ok => removed += 1,
                Done::Error(error) => {
                    problems.push(super::super::input::shown_long(&format!("{}: {error}", account.name)));
                }
            }
        }
    }
    Ok(removed)
}

async fn restore(
    ctx: &OpContext,
    row: &EngineRow,
    missing: &[Uuid],
    problems: &mut Vec<String>,
) -> Result<i64> {
    let mut restored = 0;
    for id in &missing[..missing.len().min(MOST_HEALED)] {
        match restore_one(ctx, row, *id).await? {
            Ok(()) => restored += 1,
            Err(problem) => problems.push(format!("lease {id}: {problem}")),
        }
    }
    Ok(restored)
}

async fn restore_one(ctx: &OpContext, row: &EngineRow, id: Uuid) -> Result<std::result::Result<(), String>> {
    let app = ctx.app();
    let (lease, sealed) = {
        let mut tx = app.read().await?;
        let lease = lease_store::by_id(&mut tx, id).await?;
        let sealed = match &lease {
            Some(lease) => role_store::sealed_config(&mut tx, lease.secret_id).await?,
            None => None,
        };
        (lease, sealed)
    };
    let Some(lease) = lease.filter(|lease| lease.state == "active") else {
        return Ok(Err("has ended meanwhile".to_owned()));
    };
    let Some((sealed, version)) = sealed else { return Ok(Err("its role is gone".to_owned())) };
    let live = Live {
        role: open_role(app, lease.secret_id, &sealed, version).await?,
        credentials: super::super::leases::open_credentials(app, &lease).await?,
        handle: lease.engine_metadata.0.clone(),
        lease: Lease { id, expires_at: lease.expires_at },
    };
    let asked = ask_background(app, row, Operation::Restore { live }, DEADLINE).await;
    Ok(asked.map(drop).map_err(|error| recorded(&error)))
}

async fn record(ctx: &OpContext, row: &EngineRow, removed: i64, restored: i64) -> Result<(), Attempt> {
    let access = ctx.access().await?;
    let mut event = access.event(EventType::EngineDriftHealed);
    event.event_data = json!({ "engine": row.name, "removed": removed, "restored": restored });
    access.record(vec![event]).await
}
