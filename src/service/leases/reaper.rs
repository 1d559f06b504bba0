//! The reaper: finds what is due by an index, never by loading all, and has it revoked, engine by engine. It never gives up.

use super::super::context::{OpContext, settle};
use super::super::engines::{finish_disabled, finish_root_rotation, is_ending};
use super::super::ledger::{Attempt, Change};
use super::super::nodes;
use super::super::turns::{Turn, Turns};
use super::revoke::CLAIM;
use super::revoker::{BATCH, attempt};
use super::store;
use crate::error::{Error, Result};
use crate::storage::engines as engine_store;
use crate::storage::engines::EngineRow;
use crate::storage::leases::LeaseRow;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

/// Engines that are seen to at the same time, those of targets that do not answer among them.
const ENGINES: usize = 64;
/// Engines that one pass sees to.
const MOST_ENGINES: i64 = 1000;
/// Batches of one engine in one pass: then it is another's turn to be looked at.
const MOST_BATCHES: usize = 50;
/// How long a pass waits for what it began. What takes longer, such as a target that does not answer, goes on by itself
/// and keeps no other engine waiting.
const PASS: Duration = Duration::from_secs(1);

/// What a pass did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reaped {
    pub revoked: u64,
    /// Attempts that the targets did not answer with success.
    pub failed: u64,
    /// Engines that are not asked at the moment, since they failed too often.
    pub resting: u64,
    /// Engines that are still seen to.
    pub going_on: u64,
}

/// The engines that this node is at.
pub struct Reaping {
    turns: Arc<Turns>,
    places: Arc<Semaphore>,
}

impl Default for Reaping {
    fn default() -> Self {
        Self { turns: Arc::default(), places: Arc::new(Semaphore::new(ENGINES)) }
    }
}

/// One pass over everything that is due. May run on every node: what one takes the others leave.
///
/// # Errors
/// `SEALED`, `UNAVAILABLE`.
pub async fn reap(ctx: &OpContext) -> Result<Reaped> {
    let app = ctx.app();
    // a sealed node opens no configuration
    app.keys.get()?;
    let others = nodes::others(app, &mut app.read().await?).await?;
    nodes::take_over(ctx, others, CLAIM).await?;
    let (engines, ended) = {
        let mut tx = app.read().await?;
        let engines = engine_store::with_work(&mut tx, app.node.id, app.clock().now(), MOST_ENGINES).await?;
        (engines, engine_store::disabled_without_leases(&mut tx, MOST_ENGINES).await?)
    };
    for engine in ended.into_iter().filter(is_ending) {
        finish_disabled(ctx, engine.id).await?;
    }
    let mut passes = JoinSet::new();
    for engine in engines {
        if let Some(turn) = app.reaping.turns.begin(engine.id) {
            passes.spawn(take_turn(ctx.clone(), turn, engine));
        }
    }
    let mut total = Reaped::default();
    let until = Instant::now() + PASS;
    while let Ok(Some(done)) = timeout_at(until, passes.join_next()).await {
        let one = done.unwrap_or_default();
        total.revoked += one.revoked;
        total.failed += one.failed;
        total.resting += one.resting;
    }
    total.going_on = passes.len() as u64;
    passes.detach_all();
    Ok(total)
}

async fn take_turn(ctx: OpContext, _turn: Turn, engine: EngineRow) -> Reaped {
    // it is never closed
    let _place = Arc::clone(&ctx.app().reaping.places).acquire_owned().await;
    of_engine(&ctx, &engine).await.unwrap_or_else(|error| {
        tracing::warn!(engine = %engine.name, context = error.log_context(), "leases could not be seen to");
        Reaped { failed: 1, ..Reaped::default() }
    })
}

async fn of_engine(ctx: &OpContext, engine: &EngineRow) -> Result<Reaped> {
    let app = ctx.app();
    let mut reaped = Reaped::default();
    if engine.pending_encrypted.is_some()
        && app.engines.is_open(engine.id).is_none()
        && let Err(error) = finish_root_rotation(ctx, engine).await
    {
        // the former secret may be in force still: what is due is tried with it
        tracing::warn!(engine = %engine.name, context = error.log_context(), "a rotation could not be finished");
        reaped.failed += 1;
    }
    for _ in 0..MOST_BATCHES {
        if app.engines.is_open(engine.id).is_some() {
            reaped.resting = 1;
            break;
        }
        // its configuration may have been changed or rotated since
        let current = {
            let mut tx = app.read().await?;
            engine_store::by_id(&mut tx, engine.id).await?
        };
        let Some(engine) = current else { break };
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
    Ok(reaped)
}

async fn claim(ctx: &OpContext, engine: &EngineRow) -> Result<Vec<LeaseRow>, Attempt> {
    let app = ctx.app();
    let (id, node, now) = (engine.id, app.node.id, app.clock().now());
    let limit = i64::try_from(BATCH).map_err(Error::internal)?;
    app.ledger
        .change(app.undecided(), None, move |tx| {
            Box::pin(async move {
                let value = store::claim_due(tx, id, node, now, now + CLAIM, limit).await?;
                Ok(Change { value, events: Vec::new(), effects: Vec::new() })
            })
        })
        .await
}
