//! Being at the secret of an engine's own account, or at its whole configuration: one at a time in this process, and by a claim in the
//! store over all of them.

use super::super::App;
use super::super::context::{OpContext, settle};
use super::super::ledger::{Attempt, Change};
use super::super::turns::{Turn, Turns};
use super::store;
use crate::error::{Error, Result};
use crate::model::leases::retry_after;
use crate::storage::engines::EngineRow;
use crate::storage::root_rotations as claims;
use crate::storage::root_rotations::{Hold, Purpose};
use chrono::{DateTime, Duration, Utc};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::time::Instant;
use uuid::Uuid;

/// What was sent to a target has taken effect this long after its sender gave up, or never will.
pub(in super::super) const SETTLING: Duration = Duration::seconds(30);

/// Of this process.
#[derive(Default)]
pub struct Holds {
    turns: Arc<Turns>,
    /// How many attempts of the task have failed in a row, and when it makes the next one.
    waits: Mutex<HashMap<Uuid, (i64, Instant)>>,
}

impl Holds {
    /// Whether the task makes an attempt now.
    pub(super) fn is_due(&self, engine: Uuid) -> bool {
        self.waits.lock().get(&engine).is_none_or(|(_, next)| *next <= Instant::now())
    }

    /// An attempt of the task has failed.
    pub(super) fn failed(&self, engine: Uuid) {
        let mut waits = self.waits.lock();
        let (failures, next) = waits.entry(engine).or_insert((0, Instant::now()));
        *failures += 1;
        *next = Instant::now() + retry_after(*failures).to_std().unwrap_or_default();
    }

    /// There is nothing to attempt any more.
    pub(super) fn forget(&self, engine: Uuid) {
        self.waits.lock().remove(&engine);
    }
}

/// Nobody else is at it, until [`let_go`] or until the claim ends.
pub(super) struct Held {
    pub hold: Hold,
    _turn: Turn,
}

pub(super) fn being_changed() -> Error {
    let message =
        "the engine or the secret of its own account is being changed at this moment: try again shortly";
    Error::conflict(message).with_retry_after(5)
}

/// Claims it for so long, with what the store has of the engine then. `None`: somebody is at it, or it is too early, or the engine is
/// gone.
pub(super) async fn take(
    ctx: &OpContext,
    engine_id: Uuid,
    purpose: Purpose,
    length: Duration,
) -> Result<Option<(EngineRow, Held)>> {
    let app = ctx.app();
    let Some(turn) = app.holds.turns.begin(engine_id) else { return Ok(None) };
    let hold = Hold { engine_id, node: app.node.id, until: app.clock.now() + length };
    let row = settle!(take_once(app, hold, purpose))?;
    Ok(row.map(|row| (row, Held { hold, _turn: turn })))
}

async fn take_once(app: &App, hold: Hold, purpose: Purpose) -> Result<Option<EngineRow>, Attempt> {
    let now = app.clock.now();
    app.ledger
        .change(app.undecided(), None, move |tx| {
            Box::pin(async move {
                let value = match claims::take(tx, &hold, purpose, now).await? {
                    true => store::by_id(tx, hold.engine_id).await?,
                    false => None,
                };
                Ok(Change { value, events: Vec::new(), effects: Vec::new() })
            })
        })
        .await
}

/// Lets others begin. `unsettled`: until when what was sent to the target may take effect.
pub(super) async fn let_go(ctx: &OpContext, held: Held, unsettled: Option<DateTime<Utc>>) {
    if let Err(error) = settle!(let_go_once(ctx.app(), held.hold, unsettled)) {
        // it ends by itself, and does not keep this process from trying the same again
        tracing::warn!(
            context = error.log_context(),
            "a claim on an engine's own secret stays until it ends"
        );
    }
}

async fn let_go_once(app: &App, hold: Hold, unsettled: Option<DateTime<Utc>>) -> Result<(), Attempt> {
    app.ledger
        .change(app.undecided(), None, move |tx| {
            Box::pin(async move {
                claims::release(tx, &hold, unsettled).await?;
                Ok(Change { value: (), events: Vec::new(), effects: Vec::new() })
            })
        })
        .await
}
