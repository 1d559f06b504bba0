//! Disabling an engine: with nothing left behind on its target.

use super::super::cache::Effect;
use super::super::context::{OpContext, settle};
use super::super::ledger::{Attempt, Change};
use super::configure::summary;
use super::holds::being_changed;
use super::{named, store};
use crate::error::{Error, Result};
use crate::model::audit::{AuditEvent, EventType};
use crate::model::paths::SecretPath;
use crate::model::policies::Area;
use crate::storage::db::Tx;
use crate::storage::engines::EngineRow;
use crate::storage::leases::{Selection, mark_revoking};
use crate::storage::{account_rotations, engine_roles, root_rotations};
use serde_json::json;
use sqlx::types::Json;
use uuid::Uuid;

/// Leases whose revocation is begun in one change.
const STEP: i64 = 1000;
/// Most roles of one engine that are removed with it.
const MOST_ROLES: i64 = 10_000;

/// What came of disabling an engine.
#[derive(Debug, Clone)]
pub struct Disabled {
    pub name: String,
    /// Leases that are still to be revoked: when they are, the engine goes. 0: it is gone.
    pub pending_leases: i64,
}

/// Whether an engine only waits for the end of its leases.
pub(in super::super) fn is_ending(row: &EngineRow) -> bool {
    row.metadata.0["ending"] == json!(true)
}

/// Removes an engine with its roles. With live leases it is refused, or with `revoke_leases` it issues no more, its leases are
/// revoked, and it goes with the last of them. Needs the area `engines`.
///
/// # Errors
/// `NOT_FOUND`, `CONFLICT` while leases live or accounts are bound to it, `FORBIDDEN`.
pub async fn disable(ctx: &OpContext, name: &str, revoke_leases: bool) -> Result<Disabled> {
    let (id, disabled) = settle!(disable_once(ctx, name, revoke_leases))?;
    if disabled.pending_leases == 0 {
        ctx.app().engines.stop(id).await;
        return Ok(disabled);
    }
    while settle!(revoke_some(ctx, id))? > 0 {}
    ctx.app().leases_due().notify_one();
    Ok(disabled)
}

async fn disable_once(ctx: &OpContext, name: &str, revoke_leases: bool) -> Result<(Uuid, Disabled), Attempt> {
    let access = ctx.access().await?;
    let decision = access.administer(Area::Engines, "disable_engine").await?;
    let mut event = access.granted(EventType::EngineDisabled, &decision);
    event.event_data = json!({ "engine": name.chars().take(128).collect::<String>() });
    let (name, now) = (name.to_owned(), access.now);
    access
        .change(&event.clone(), move |tx| {
            Box::pin(async move {
                let mut row = named(tx, &name).await?;
                let accounts = account_rotations::count_of(tx, row.id).await?;
                if accounts > 0 {
                    return Err(Error::conflict(format!(
                        "{accounts} secrets hold passwords of accounts of this engine: unbind them first"
                    )));
                }
                if row.live_leases == 0 {
                    // what is on its way to the target would be known to nobody
                    if root_rotations::is_taken(tx, row.id, now).await? {
                        return Err(being_changed());
                    }
                    return remove(tx, row, event).await;
                }
                if !revoke_leases {
                    return Err(Error::conflict(format!(
                        "leases of the engine are live ({}): revoke them first, or say revokeLeases: true",
                        row.live_leases
                    )));
                }
                row.enabled = false;
                row.metadata = Json(json!({ "ending": true }));
                row.updated_at = now;
                store::update(tx, &row, row.config_version).await?;
                event.event_type = EventType::EngineUpdated.as_str().to_owned();
                event.event_data = summary(&row);
                let disabled = Disabled { name: row.name, pending_leases: row.live_leases };
                Ok(Change::new((row.id, disabled), event, vec![Effect::Issuance]))
            })
        })
        .await
}

/// Removes an engine without leases, and its roles.
async fn remove(tx: &mut Tx, row: EngineRow, mut event: AuditEvent) -> Result<Change<(Uuid, Disabled)>> {
    let paths = engine_roles::paths_of(tx, row.id, MOST_ROLES + 1).await?;
    if i64::try_from(paths.len()).unwrap_or(i64::MAX) > MOST_ROLES {
        return Err(Error::conflict("the engine has more than 10000 roles: delete some of them first"));
    }
    engine_roles::remove_of(tx, row.id).await?;
    store::remove(tx, row.id).await?;
    event.event_data = summary(&row);
    event.event_data["roles"] = json!(paths.len());
    let paths = paths.iter().filter_map(|path| SecretPath::parse(path).ok());
    let effects = paths.map(Effect::Secret).chain([Effect::Issuance]).collect();
    Ok(Change::new((row.id, Disabled { name: row.name, pending_leases: 0 }), event, effects))
}

async fn revoke_some(ctx: &OpContext, id: Uuid) -> Result<u64, Attempt> {
    let app = ctx.app();
    let now = app.clock().now();
    let mut event = ctx.event(EventType::LeaseRevocationRequested, None);
    app.ledger
        .change(app.undecided(), None, move |tx| {
            Box::pin(async move {
                let count =
                    mark_revoking(tx, &Selection::Engine(id), "the engine was disabled", now, STEP).await?;
                event.event_data = json!({ "engine_id": id.to_string(), "leases": count });
                let events = if count > 0 { vec![event] } else { Vec::new() };
                Ok(Change { value: count, events, effects: Vec::new() })
            })
        })
        .await
}

/// For the task that revokes: removes an engine that is being disabled and has no lease left. `true`: it is gone.
///
/// # Errors
/// `SEALED`, `UNAVAILABLE`.
pub async fn finish_disabled(ctx: &OpContext, id: Uuid) -> Result<bool> {
    let gone = settle!(finish_once(ctx, id))?;
    if gone {
        ctx.app().holds.forget(id);
        ctx.app().engines.stop(id).await;
    }
    Ok(gone)
}

async fn finish_once(ctx: &OpContext, id: Uuid) -> Result<bool, Attempt> {
    let app = ctx.app();
    let (event, now) = (ctx.event(EventType::EngineDisabled, None), app.clock().now());
    app.ledger
        .change(app.undecided(), None, move |tx| {
            Box::pin(async move {
                let row = store::by_id(tx, id).await?;
                match row.filter(|row| is_ending(row) && row.live_leases == 0) {
                    // its turn comes when that is over
                    Some(row) if !root_rotations::is_taken(tx, row.id, now).await? => {
                        let Change { events, effects, .. } = remove(tx, row, event).await?;
                        Ok(Change { value: true, events, effects })
                    }
                    _ => Ok(Change { value: false, events: Vec::new(), effects: Vec::new() }),
                }
            })
        })
        .await
}
