//! Changing an engine: another configuration, tried as that of a new engine is, and other limits.

use super::super::cache::Effect;
use super::super::context::{OpContext, settle};
use super::super::ledger::{Attempt, Change};
use super::super::seal::open_record;
use super::super::{App, to_the_end};
use super::ask;
use super::configure::{EnableEngine, apply, authorised, check, plugin, summary, try_out};
use super::holds::{Held, being_changed, let_go, take};
use super::moved::moved;
use super::shown::without_secrets;
use super::{EngineView, config_record, no_engine, store};
use crate::engine::{PluginInfo, Target};
use crate::error::{Error, Result};
use crate::model::audit::EventType;
use crate::model::policies::Area;
use crate::storage::db::Tx;
use crate::storage::engines::EngineRow;
use crate::storage::errors::corrupt;
use crate::storage::root_rotations::{Hold, Purpose};
use crate::storage::{account_rotations, root_rotations};
use chrono::Duration;
use serde_json::{Value, json};
use std::sync::Arc;

/// How long nobody else begins, after someone has: longer than a configuration can be tried.
const HOLD: Duration = Duration::seconds(75);

/// Gives an engine another configuration, all of it, and other limits. Its leases stay and are renewed and revoked with it from
/// then on. A new secret of its own account that the target has not taken is given up: what is configured now is tried on the target.
/// Needs the area `engines`.
///
/// # Errors
/// As [`enable`](super::enable), `NOT_FOUND`, and `CONFLICT` while somebody is at it or at the secret of its own account, or while a new
/// one may still take effect, or if it would be about another target while leases or bound accounts live on the present one.
pub async fn update(ctx: &OpContext, input: EnableEngine) -> Result<EngineView> {
    check(&input)?;
    let (_, before) = settle!(authorised(ctx, "update_engine", &input.name))?;
    let before = before.ok_or_else(no_engine)?;
    if before.engine_type != input.kind {
        return Err(Error::bad_input("kind", "the kind of an engine cannot be changed: enable another one"));
    }
    let ctx = ctx.clone();
    to_the_end(async move {
        // nobody gives the account another secret while this configuration is tried
        let taken = take(&ctx, before.id, Purpose::Instead, HOLD).await?;
        let (before, held) = taken.ok_or_else(being_changed)?;
        match change(&ctx, &input, &before, &held).await {
            Ok(view) => Ok(view),
            Err(error) => {
                let_go(&ctx, held, None).await;
                Err(error)
            }
        }
    })
    .await
}

async fn change(
    ctx: &OpContext,
    input: &EnableEngine,
    before: &EngineRow,
    held: &Held,
) -> Result<EngineView> {
    let app = ctx.app();
    require_no_end(before)?;
    let plugin = plugin(app, &input.kind).await?;
    try_out(app, before.id, input).await?;
    let moved = if input.same_target { None } else { moved_field(app, before, input, &plugin).await? };
    let shown = without_secrets(&input.config, &plugin.config_schema);
    let (view, target) = settle!(update_once(ctx, input, before, &shown, moved.as_deref(), held.hold))?;
    app.holds.forget(before.id);
    // what is under way with the former configuration may finish
    app.engines.renew(&target);
    Ok(view)
}

/// What is being disabled does not come back by another configuration.
///
/// # Errors
/// `CONFLICT`.
fn require_no_end(row: &EngineRow) -> Result<()> {
    if super::disable::is_ending(row) {
        return Err(Error::conflict("the engine is being disabled: enable another one"));
    }
    Ok(())
}

/// The field by which the new configuration is about another target.
async fn moved_field(
    app: &App,
    before: &EngineRow,
    input: &EnableEngine,
    plugin: &PluginInfo,
) -> Result<Option<String>> {
    let id = before.id.to_string();
    let name = config_record(&id, before.config_version);
    let plain = open_record(app, &name, &before.config_encrypted).await?;
    let former: Value =
        serde_json::from_slice(&plain).map_err(|_| corrupt("engines", "config_encrypted", &id))?;
    Ok(moved(&former, &input.config, &plugin.config_schema))
}

/// What lives on the target can be reached only there.
///
/// # Errors
/// `CONFLICT` if anything does.
async fn refuse_to_leave(tx: &mut Tx, row: &EngineRow, field: &str) -> Result<()> {
    let leases = row.live_leases;
    let accounts = account_rotations::count_of(tx, row.id).await?;
    if leases == 0 && accounts == 0 {
        return Ok(());
    }
    Err(Error::conflict(format!(
        "with another {field} this is another target, and the engine has {leases} live leases and {accounts} bound accounts \
         on the present one: revoke and unbind them first, enable another engine, or, if it is the same target, say sameTarget: true"
    )))
}

async fn update_once(
    ctx: &OpContext,
    input: &EnableEngine,
    before: &EngineRow,
    shown: &Value,
    moved: Option<&str>,
    hold: Hold,
) -> Result<(EngineView, Target), Attempt> {
    let access = ctx.access().await?;
    let decision = access.administer(Area::Engines, "update_engine").await?;
    let mut event = access.granted(EventType::EngineUpdated, &decision);
    let (mut row, expected) = (before.clone(), before.config_version);
    apply(&access, &mut row, input, shown)?;
    row.pending_encrypted = None;
    event.event_data = summary(&row);
    if input.same_target {
        event.event_data["same_target"] = json!(true);
    }
    if before.pending_encrypted.is_some() {
        event.event_data["root_rotation_given_up"] = json!(true);
    }
    let (app, moved) = (Arc::clone(access.app()), moved.map(str::to_owned));
    access
        .change(&event.clone(), move |tx| {
            Box::pin(async move {
                let current = store::by_id(tx, row.id).await?.ok_or_else(no_engine)?;
                require_no_end(&current)?;
                if let Some(field) = moved {
                    refuse_to_leave(tx, &current, &field).await?;
                }
                if !root_rotations::release(tx, &hold, None).await? {
                    // it took too long, and another one may be at it
                    return Err(being_changed());
                }
                let row = EngineRow { drift: current.drift, live_leases: current.live_leases, ..row };
                store::update(tx, &row, expected).await?;
                let target = ask::target(&app, &row);
                let view = EngineView::seen(&app, tx, row).await?;
                Ok(Change::new((view, target), event, vec![Effect::Issuance]))
            })
        })
        .await
}
