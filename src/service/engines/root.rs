//! Replacing the secret of an engine's own account. The new one is stored before the target has it, so a crash at any point leaves
//! a store that knows the secret in force.

use super::super::cache::Effect;
use super::super::context::{OpContext, settle};
use super::super::ledger::{Attempt, Change};
use super::super::seal::open_record;
use super::super::{App, to_the_end};
use super::ask::{ask, ask_background, client_error};
use super::holds::{Held, SETTLING, being_changed, let_go, take};
use super::shown::without_secrets;
use super::{EngineView, config_record, named, store};
use crate::engine::CallError;
use crate::error::{Error, Result};
use crate::failpoint::failpoint;
use crate::model::audit::EventType;
use crate::model::policies::Area;
use crate::storage::engines::EngineRow;
use crate::storage::errors::corrupt;
use crate::storage::root_rotations;
use crate::storage::root_rotations::{Hold, Purpose};
use chrono::{DateTime, Utc};
use secrethub_engine::ErrorKind;
use secrethub_engine::wire::Operation;
use serde_json::{Value, json};
use sqlx::types::Json;
use std::sync::Arc;
use std::time::Duration;
use zeroize::Zeroizing;

/// How long the target may take to have a new secret.
const DEADLINE: Duration = Duration::from_secs(60);
/// How long nobody else begins, after someone has: a proposal, an attempt, and what settles after it.
const HOLD: chrono::Duration = chrono::Duration::seconds(120);

/// Gives the engine's own account a new secret that nobody sees. Needs the area `engines`.
///
/// # Errors
/// `NOT_FOUND`, `BAD_USER_INPUT` if this engine cannot, `CONFLICT` while somebody is at it, `ENGINE_UNAVAILABLE`: then it is finished
/// in the background, if it was begun.
pub async fn rotate_root(ctx: &OpContext, name: &str) -> Result<EngineView> {
    let (ctx, name) = (ctx.clone(), name.to_owned());
    to_the_end(async move {
        let row = settle!(authorise(&ctx, &name))?;
        let purpose = if row.pending_encrypted.is_some() { Purpose::Again } else { Purpose::Instead };
        let (row, held) = take(&ctx, row.id, purpose, HOLD).await?.ok_or_else(being_changed)?;
        let row = match begin(&ctx, row, purpose).await {
            Ok(row) => row,
            Err(error) => {
                let_go(&ctx, held, None).await;
                return Err(error);
            }
        };
        failpoint!("root.proposed");
        let row = carry_out(&ctx, &row, held).await?;
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

/// The engine with a secret on its way. One that was begun before is finished first.
async fn begin(ctx: &OpContext, row: EngineRow, purpose: Purpose) -> Result<EngineRow> {
    match (row.pending_encrypted.is_some(), purpose) {
        (true, _) => settle!(resume(ctx, &row)).map(|()| row),
        (false, Purpose::Instead) => {
            let proposal = ask(ctx.app(), &row, Operation::ProposeRoot)
                .await
                .map_err(|error| client_error(error, "name"))?;
            settle!(propose(ctx, &row, &proposal))
        }
        // it was finished a moment ago
        (false, Purpose::Again) => Err(being_changed()),
    }
}

/// On the record: who has it tried again.
async fn resume(ctx: &OpContext, row: &EngineRow) -> Result<(), Attempt> {
    let access = ctx.access().await?;
    let decision = access.administer(Area::Engines, "rotate_engine_root").await?;
    let mut event = access.granted(EventType::EngineRootRotationStarted, &decision);
    event.event_data = json!({ "engine": row.name, "engine_id": row.id.to_string(), "again": true });
    access
        .change(&event.clone(), move |_| Box::pin(async move { Ok(Change::new((), event, Vec::new())) }))
        .await
}

async fn propose(ctx: &OpContext, row: &EngineRow, proposal: &Value) -> Result<EngineRow, Attempt> {
    let access = ctx.access().await?;
    let decision = access.administer(Area::Engines, "rotate_engine_root").await?;
    let plain = Zeroizing::new(serde_json::to_vec(proposal).map_err(Error::internal)?);
    let id = row.id.to_string();
    let sealed = access.keys.barrier.seal(&config_record(&id, row.config_version + 1), &plain)?;
    let (engine_id, expected, now) = (row.id, row.config_version, access.now);
    let mut event = access.granted(EventType::EngineRootRotationStarted, &decision);
    event.event_data = json!({ "engine": row.name, "engine_id": id });
    access
        .change(&event.clone(), move |tx| {
            Box::pin(async move {
                // it may have been disabled meanwhile, or its limits changed
                let current = store::by_id(tx, engine_id).await?;
                let at_rest = current.filter(|current| current.pending_encrypted.is_none());
                let current = at_rest.ok_or_else(being_changed)?;
                let row = EngineRow { pending_encrypted: Some(sealed), updated_at: now, ..current };
                store::update(tx, &row, expected).await?;
                Ok(Change::new(row, event, vec![Effect::Issuance]))
            })
        })
        .await
}

/// For the task that finishes what broke off. Nothing happens while somebody is at it, nor soon after a failure.
///
/// # Errors
/// `SEALED`, `UNAVAILABLE`, `ENGINE_UNAVAILABLE`.
pub async fn finish_pending(ctx: &OpContext, row: &EngineRow) -> Result<()> {
    let holds = &ctx.app().holds;
    if !holds.is_due(row.id) {
        return Ok(());
    }
    let Some((row, held)) = take(ctx, row.id, Purpose::Again, HOLD).await? else { return Ok(()) };
    if row.pending_encrypted.is_none() {
        let_go(ctx, held, None).await;
        return Ok(());
    }
    let finished = carry_out(ctx, &row, held).await;
    if finished.is_err() {
        holds.failed(row.id);
    }
    finished.map(drop)
}

/// An attempt that failed.
struct Failed {
    error: Error,
    /// Until when it may take effect all the same.
    unsettled: Option<DateTime<Utc>>,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self { error, unsettled: None }
    }
}

/// Has the target take the stored proposal, and makes it the configuration. Repeated until it succeeds: the engine makes out which
/// of the two secrets is in force.
async fn carry_out(ctx: &OpContext, row: &EngineRow, held: Held) -> Result<EngineRow> {
    match adopt(ctx, row, &held.hold).await {
        Ok(row) => {
            ctx.app().holds.forget(row.id);
            Ok(row)
        }
        Err(Failed { error, unsettled }) => {
            let_go(ctx, held, unsettled).await;
            Err(error)
        }
    }
}

async fn adopt(ctx: &OpContext, row: &EngineRow, hold: &Hold) -> Result<EngineRow, Failed> {
    let app = ctx.app();
    let proposal = pending(app, row).await?;
    let operation = Operation::RotateRoot { proposal: proposal.clone() };
    // what comes too late must not meet what the next one does
    let left = (hold.until - SETTLING - app.clock.now()).to_std();
    let left = left.map_err(|_| Error::unavailable("the claim on the engine's own secret has run out"))?;
    ask_background(app, row, operation, left.min(DEADLINE)).await.map_err(|failure| Failed {
        unsettled: match &failure {
            CallError::Engine(said) if said.kind != ErrorKind::Retry => None,
            CallError::Engine(_) => Some(app.clock.now() + SETTLING),
            // the engine may still be at it
            _ => Some(hold.until),
        },
        error: client_error(failure, "name"),
    })?;
    failpoint!("root.rotated");
    let schema = match app.engines.plugin(&row.engine_type).await {
        Some(plugin) => plugin.config_schema,
        // without a description nothing is shown
        None => Value::Null,
    };
    let shown = without_secrets(&proposal, &schema);
    // its process goes on with the new secret until somebody asks with the new configuration
    Ok(settle!(promote(ctx, row, &proposal, &shown, *hold))?)
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
                // limits and description may have been changed meanwhile, and live leases counted
                let current = store::by_id(tx, row.id).await?;
                let current = current.ok_or_else(|| Error::conflict("the engine was disabled meanwhile"))?;
                if !root_rotations::release(tx, &hold, None).await? {
                    return Err(Error::conflict(
                        "this took too long, and others were at it: look at the engine again",
                    ));
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
