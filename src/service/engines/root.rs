//! Replacing the secret of an engine's own account. The new one is stored before the target has it, so a crash at any point leaves
//! a store that knows the secret in force.

use super::super::cache::Effect;
use super::super::context::{OpContext, settle};
use super::super::ledger::{Attempt, Change};
use super::super::seal::open_record;
use super::super::{App, to_the_end};
use super::ask::{ask, ask_background, client_error};
use super::shown::without_secrets;
use super::{EngineView, config_record, named, store};
use crate::error::{Error, Result};
use crate::failpoint::failpoint;
use crate::model::audit::EventType;
use crate::model::policies::Area;
use crate::storage::engines::EngineRow;
use crate::storage::errors::corrupt;
use crate::storage::root_rotations;
use crate::storage::root_rotations::Hold;
use secrethub_engine::wire::Operation;
use serde_json::{Value, json};
use sqlx::types::Json;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;
use zeroize::Zeroizing;

const DEADLINE: Duration = Duration::from_secs(60);
/// How long nobody else begins, after someone has: longer than a call can take.
const HOLD: chrono::Duration = chrono::Duration::seconds(90);

/// Gives the engine's own account a new secret that nobody sees. Needs the area `engines`.
///
/// # Errors
/// `NOT_FOUND`, `BAD_USER_INPUT` if this engine cannot, `CONFLICT` while it is being replaced, `ENGINE_UNAVAILABLE`: then it is finished
/// in the background, if it was begun.
pub async fn rotate_root(ctx: &OpContext, name: &str) -> Result<EngineView> {
    let (ctx, name) = (ctx.clone(), name.to_owned());
    to_the_end(async move {
        let row = settle!(authorise(&ctx, &name))?;
        let (row, hold) = match row.pending_encrypted {
            // one that was begun before is finished first
            Some(_) => settle!(take_up(&ctx, row.id))?.ok_or_else(being_replaced)?,
            None => {
                let proposal = ask(ctx.app(), &row, Operation::ProposeRoot)
                    .await
                    .map_err(|error| client_error(error, "name"))?;
                settle!(propose(&ctx, &row, &proposal))?
            }
        };
        failpoint!("root.proposed");
        let row = carry_out(&ctx, &row, hold).await?;
        let mut tx = ctx.app().read().await?;
        EngineView::seen(ctx.app(), &mut tx, row).await
    })
    .await
}

async fn authorise(ctx: &OpContext, name: &str) -> Result<EngineRow, Attempt> {
    let access = ctx.access().await?;
    access.administer(Area::Engines, "rotate_engine_root").await?;
    let mut tx = access.app().read().await?;
    Ok(named(&mut tx, name).await?)
}

pub(super) fn being_replaced() -> Error {
    let message =
        "the secret of the engine's own account is being replaced at this moment: try again shortly";
    Error::conflict(message).with_retry_after(1)
}

fn hold(app: &App, engine_id: Uuid) -> Hold {
    Hold { engine_id, node: app.node.id, until: app.clock.now() + HOLD }
}

async fn propose(ctx: &OpContext, row: &EngineRow, proposal: &Value) -> Result<(EngineRow, Hold), Attempt> {
    let access = ctx.access().await?;
    let decision = access.administer(Area::Engines, "rotate_engine_root").await?;
    let plain = Zeroizing::new(serde_json::to_vec(proposal).map_err(Error::internal)?);
    let id = row.id.to_string();
    let sealed = access.keys.barrier.seal(&config_record(&id, row.config_version + 1), &plain)?;
    let (engine_id, expected, now) = (row.id, row.config_version, access.now);
    let hold = hold(ctx.app(), engine_id);
    let mut event = access.granted(EventType::EngineRootRotationStarted, &decision);
    event.event_data = json!({ "engine": row.name, "engine_id": id });
    access
        .change(&event.clone(), move |tx| {
            Box::pin(async move {
                // it may have been disabled meanwhile, or its limits changed
                let current = store::by_id(tx, engine_id).await?;
                let at_rest = current.filter(|current| current.pending_encrypted.is_none());
                let current = at_rest.ok_or_else(being_replaced)?;
                if !root_rotations::take(tx, &hold, now).await? {
                    return Err(being_replaced());
                }
                let row = EngineRow { pending_encrypted: Some(sealed), updated_at: now, ..current };
                store::update(tx, &row, expected).await?;
                Ok(Change::new((row, hold), event, vec![Effect::Issuance]))
            })
        })
        .await
}

/// Takes what was begun before, with what the store has of it now. `None`: somebody is at it, or there is nothing to do.
pub(super) async fn take_up(ctx: &OpContext, engine_id: Uuid) -> Result<Option<(EngineRow, Hold)>, Attempt> {
    let app = ctx.app();
    let (hold, now) = (hold(app, engine_id), app.clock.now());
    app.ledger
        .change(app.undecided(), None, move |tx| {
            Box::pin(async move {
                let row = store::by_id(tx, engine_id).await?;
                let value = match row.filter(|row| row.pending_encrypted.is_some()) {
                    Some(row) if root_rotations::take(tx, &hold, now).await? => Some((row, hold)),
                    _ => None,
                };
                Ok(Change { value, events: Vec::new(), effects: Vec::new() })
            })
        })
        .await
}

/// Another attempt may begin at once.
pub(super) async fn let_go(ctx: &OpContext, hold: Hold) {
    if let Err(error) = settle!(release(ctx.app(), hold)) {
        // it ends by itself
        tracing::warn!(context = error.log_context(), "the next attempt at a rotation waits");
    }
}

async fn release(app: &App, hold: Hold) -> Result<(), Attempt> {
    app.ledger
        .change(app.undecided(), None, move |tx| {
            Box::pin(async move {
                root_rotations::release(tx, &hold).await?;
                Ok(Change { value: (), events: Vec::new(), effects: Vec::new() })
            })
        })
        .await
}

/// For the task that finishes what broke off. Nothing happens while somebody is at it.
///
/// # Errors
/// `SEALED`, `UNAVAILABLE`, `ENGINE_UNAVAILABLE`.
pub async fn finish_pending(ctx: &OpContext, row: &EngineRow) -> Result<()> {
    match settle!(take_up(ctx, row.id))? {
        Some((row, hold)) => carry_out(ctx, &row, hold).await.map(drop),
        None => Ok(()),
    }
}

/// Has the target take the stored proposal, and makes it the configuration. Repeated until it succeeds: the engine makes out which
/// of the two secrets is in force.
async fn carry_out(ctx: &OpContext, row: &EngineRow, hold: Hold) -> Result<EngineRow> {
    let carried_out = adopt(ctx, row, hold).await;
    if carried_out.is_err() {
        let_go(ctx, hold).await;
    }
    carried_out
}

async fn adopt(ctx: &OpContext, row: &EngineRow, hold: Hold) -> Result<EngineRow> {
    let app = ctx.app();
    let proposal = pending(app, row).await?;
    let operation = Operation::RotateRoot { proposal: proposal.clone() };
    ask_background(app, row, operation, DEADLINE).await.map_err(|error| client_error(error, "name"))?;
    failpoint!("root.rotated");
    let schema = match app.engines.plugin(&row.engine_type).await {
        Some(plugin) => plugin.config_schema,
        // without a description nothing is shown
        None => Value::Null,
    };
    let shown = without_secrets(&proposal, &schema);
    // its process goes on with the new secret until somebody asks with the new configuration
    settle!(promote(ctx, row, &proposal, &shown, hold))
}

async fn pending(app: &App, row: &EngineRow) -> Result<Value> {
    let id = row.id.to_string();
    let sealed = row.pending_encrypted.as_deref().unwrap_or_default();
    let plain = open_record(app, &config_record(&id, row.config_version + 1), sealed).await?;
    serde_json::from_slice(&plain).map_err(|_| corrupt("engines", "pending_encrypted", &id))
}

async fn promote(
    ctx: &OpContext,
    row: &EngineRow,
    proposal: &Value,
    shown: &Value,
    hold: Hold,
) -> Result<EngineRow, Attempt> {
    let app: &Arc<App> = ctx.app();
    let keys = app.keys.get()?;
    let now = app.clock.now();
    let mut row = row.clone();
    let expected = row.config_version;
    row.config_version += 1;
    let plain = Zeroizing::new(serde_json::to_vec(proposal).map_err(Error::internal)?);
    let id = row.id.to_string();
    row.config_encrypted = keys.barrier.seal(&config_record(&id, row.config_version), &plain)?;
    row.key_version = i64::from(keys.barrier.keyring().active().version());
    row.pending_encrypted = None;
    row.config_shown = Json(shown.clone());
    row.root_rotated_at = Some(now);
    row.updated_at = now;
    let mut event = ctx.event(EventType::EngineRootRotated, None);
    event.event_data = json!({ "engine": row.name, "engine_id": id });
    app.ledger
        .change(app.undecided(), None, move |tx| {
            Box::pin(async move {
                root_rotations::release(tx, &hold).await?;
                // limits and description may have been changed meanwhile, and live leases counted
                let current = store::by_id(tx, row.id).await?;
                let current = current.ok_or_else(|| Error::conflict("the engine was disabled meanwhile"))?;
                if current.config_version != expected {
                    // another node has finished it
                    return Ok(Change { value: current, events: Vec::new(), effects: Vec::new() });
                }
                let row = EngineRow {
                    description: current.description,
                    enabled: current.enabled,
                    max_ttl_seconds: current.max_ttl_seconds,
                    max_leases: current.max_leases,
                    live_leases: current.live_leases,
                    drift: current.drift,
                    metadata: current.metadata,
                    ..row
                };
                store::update(tx, &row, expected).await?;
                Ok(Change::new(row, event, vec![Effect::Issuance]))
            })
        })
        .await
}
