//! The reaper: finds what is due by an index, never by loading all, and has it revoked, engine by engine. It never gives up.

use super::super::context::{OpContext, settle};
use super::super::engines::{finish_disabled, finish_root_rotation, is_ending};
use super::super::ledger::{Attempt, Change};
use super::revoke::CLAIM;
use super::revoker::{BATCH, attempt};
use super::store;
use crate::error::{Error, Result};
use crate::storage::engines as engine_store;
use crate::storage::engines::EngineRow;
use crate::storage::leases::LeaseRow;
use futures_util::StreamExt;
use futures_util::stream;
use std::sync::atomic::Ordering;

/// Engines that are seen to at the same time.
const ENGINES: usize = 8;
/// Engines that one pass sees to.
const MOST_ENGINES: i64 = 1000;
/// Batches of one engine in one pass: then it is another's turn to be looked at.
const MOST_BATCHES: usize = 50;

/// What a pass did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reaped {
    pub revoked: u64,
    /// Attempts that the targets did not answer with success.
    pub failed: u64,
    /// Engines that are not asked at the moment, since they failed too often.
    pub resting: u64,
}

/// One pass over everything that is due. May run on every node: what one takes the others leave.
///
/// # Errors
/// `SEALED`, `UNAVAILABLE`.
pub async fn reap(ctx: &OpContext) -> Result<Reaped> {
    let app = ctx.app();
    // a sealed node opens no configuration
    app.keys.get()?;
    if !app.db.is_postgres() && !app.expedited.load(Ordering::Acquire) {
        settle!(expedite(ctx))?;
        app.expedited.store(true, Ordering::Release);
    }
    let engines = {
        let mut tx = app.read().await?;
        engine_store::with_work(&mut tx, app.clock().now(), MOST_ENGINES).await?
    };
    let passes = stream::iter(engines).map(|engine| async move {
        let name = engine.name.clone();
        of_engine(ctx, engine).await.unwrap_or_else(|error| {
            tracing::warn!(engine = %name, context = error.log_context(), "leases could not be seen to");
            Reaped { failed: 1, ..Reaped::default() }
        })
    });
    let mut total = Reaped::default();
    let mut done = passes.buffer_unordered(ENGINES);
    while let Some(one) = done.next().await {
        total.revoked += one.revoked;
        total.failed += one.failed;
        total.resting += one.resting;
    }
    Ok(total)
}

async fn of_engine(ctx: &OpContext, engine: EngineRow) -> Result<Reaped> {
    let app = ctx.app();
    let mut reaped = Reaped::default();
    let engine = if engine.pending_encrypted.is_some() { rotated(ctx, engine).await? } else { engine };
    for _ in 0..MOST_BATCHES {
        if app.engines.is_open(engine.id).is_some() {
            reaped.resting = 1;
            break;
        }
        let rows = settle!(claim(ctx, &engine))?;
        if rows.is_empty() {
            break;
        }
        let outcomes = attempt(ctx, &engine, rows).await?;
        let failed = outcomes.values().filter(|outcome| outcome.is_err()).count();
        reaped.failed += failed as u64;
        reaped.revoked += (outcomes.len() - failed) as u64;
        if failed == outcomes.len() {
            break;
        }
        tokio::task::yield_now().await;
    }
    // the last of its leases may also have ended elsewhere
    if is_ending(&engine) && (reaped.revoked > 0 || engine.live_leases == 0) {
        finish_disabled(ctx, engine.id).await?;
    }
    Ok(reaped)
}

/// The engine after its own secret was replaced. If that fails, leases are seen to all the same: the former secret may be in force.
async fn rotated(ctx: &OpContext, engine: EngineRow) -> Result<EngineRow> {
    if let Err(error) = finish_root_rotation(ctx, &engine).await {
        tracing::warn!(
            engine = %engine.name,
            reason = error.message(),
            context = error.log_context(),
            "the secret of an engine's account could not be replaced"
        );
        return Ok(engine);
    }
    let mut tx = ctx.app().read().await?;
    Ok(engine_store::by_id(&mut tx, engine.id).await?.unwrap_or(engine))
}

async fn claim(ctx: &OpContext, engine: &EngineRow) -> Result<Vec<LeaseRow>, Attempt> {
    let app = ctx.app();
    let (id, now) = (engine.id, app.clock().now());
    let limit = i64::try_from(BATCH).map_err(Error::internal)?;
    app.ledger
        .change(app.undecided(), None, move |tx| {
            Box::pin(async move {
                let value = store::claim_due(tx, id, now, now + CLAIM, limit).await?;
                Ok(Change { value, events: Vec::new(), effects: Vec::new() })
            })
        })
        .await
}

/// On the only node of a store, what was half issued when this process started is lost: it is due at once. How many.
///
/// # Errors
/// `SEALED`, `UNAVAILABLE`.
async fn expedite(ctx: &OpContext) -> Result<u64, Attempt> {
    let app = ctx.app();
    let (started, now) = (app.started_at, app.clock().now());
    app.ledger
        .change(app.undecided(), None, move |tx| {
            Box::pin(async move {
                let value = store::expedite_issues(tx, started, now).await?;
                Ok(Change { value, events: Vec::new(), effects: Vec::new() })
            })
        })
        .await
}
