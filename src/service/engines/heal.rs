//! Healing: what the target has lost is made anew, and what has no lease is removed if an operator asks for it.

use super::super::context::{OpContext, settle};
use super::super::ledger::Attempt;
use super::ask::{ask_background, client_error, recorded};
use super::drift::{AT_ONCE, DEADLINE, Found, SAMPLE, compare, found_event, note};
use super::roles::open_role;
use super::{EngineView, named, store};
use crate::error::{Error, Result};
use crate::model::audit::EventType;
use crate::model::policies::Area;
use crate::storage::engine_roles as role_store;
use crate::storage::engines::EngineRow;
use crate::storage::leases as lease_store;
use secrethub_engine::wire::{Done, Operation};
use secrethub_engine::{Account, Lease, Live, Revocation};
use serde_json::json;
use std::collections::HashSet;
use uuid::Uuid;

/// Accounts and leases that one healing sees to; the rest is left for the next.
const MOST_HEALED: usize = 1000;
/// Accounts that one call of the engine removes.
const BATCH: usize = 200;

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
    let restored = i64::try_from(restored.len()).unwrap_or(i64::MAX);
    problems.truncate(SAMPLE);
    let left = compare(ctx, &row, AT_ONCE)
        .await
        .map_err(|error| client_error(error, "name"))?
        .unwrap_or(Found { unknown: Vec::new(), missing: Vec::new() });
    let drift = left.summary(ctx.app().clock().now());
    let differs = drift.unknown_on_target + drift.missing_on_target > 0;
    let event = differs.then(|| found_event(ctx, &row, &drift));
    settle!(note(ctx, &row, &drift, event.clone()))?;
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

/// Which were made anew.
pub(super) async fn restore(
    ctx: &OpContext,
    row: &EngineRow,
    missing: &[Uuid],
    problems: &mut Vec<String>,
) -> Result<HashSet<Uuid>> {
    let mut restored = HashSet::new();
    for id in &missing[..missing.len().min(MOST_HEALED)] {
        match restore_one(ctx, row, *id).await? {
            Ok(()) => {
                restored.insert(*id);
            }
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
    if asked.is_ok() {
        end_if_over(ctx, row, id).await?;
    }
    Ok(asked.map(drop).map_err(|error| recorded(&error)))
}

/// A lease that was revoked while its account was made anew has been revoked too early: it is once more.
async fn end_if_over(ctx: &OpContext, row: &EngineRow, id: Uuid) -> Result<()> {
    let lease = {
        let mut tx = ctx.app().read().await?;
        lease_store::by_id(&mut tx, id).await?
    };
    if lease.is_some_and(|lease| lease.state == "active") {
        return Ok(());
    }
    let revocations = vec![Revocation { lease_id: id, handle: None, role: None }];
    if let Err(error) = ask_background(ctx.app(), row, Operation::Revoke { revocations }, DEADLINE).await {
        // the next comparison finds an account without a lease
        tracing::warn!(engine = %row.name, error = recorded(&error), "an account was made anew for a lease that ended");
    }
    Ok(())
}

async fn record(ctx: &OpContext, row: &EngineRow, removed: i64, restored: i64) -> Result<(), Attempt> {
    let access = ctx.access().await?;
    let mut event = access.event(EventType::EngineDriftHealed);
    event.event_data = json!({ "engine": row.name, "removed": removed, "restored": restored });
    access.record(vec![event]).await
}
