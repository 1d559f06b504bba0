//! Who is at the secret of an engine's own account: one at a time, over all nodes. Two that give the target different secrets would
//! leave it with one that the store has not kept.

use crate::error::Result;
use crate::storage::db::{Tx, exec, on};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// A claim. It ends by itself when whatever its holder does is certainly over, at a time that no other claim of this engine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    pub engine_id: Uuid,
    pub node: Uuid,
    pub until: DateTime<Utc>,
}

/// What a claim is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// To bring the secret there that is on its way already: an earlier attempt that goes on after all does the same. A claim of the
    /// same process is taken over; it knows whether it still is at it.
    Again,
    /// To put another secret or configuration in its place, when no earlier attempt can take effect any more.
    Instead,
}

/// What the claim before was for may still take effect until its end.
macro_rules! take {
    ($free:literal) => {
        concat!(
            "UPDATE engines SET unsettled_until = COALESCE(rotating_until, unsettled_until), rotating_by = $2, \
             rotating_until = $3 WHERE id = $1 AND ",
            $free
        )
    };
}

/// `false`: another one has it, or for [`Purpose::Instead`] it is too early; or the engine is gone.
pub async fn take(tx: &mut Tx, hold: &Hold, purpose: Purpose, now: DateTime<Utc>) -> Result<bool> {
    let text = match purpose {
        Purpose::Again => take!("(rotating_until IS NULL OR rotating_until <= $4 OR rotating_by = $2)"),
        Purpose::Instead => take!(
            "(rotating_until IS NULL OR rotating_until <= $4) AND (unsettled_until IS NULL OR unsettled_until <= $4)"
        ),
    };
    let changed =
        exec!(tx, sqlx::query(text).bind(hold.engine_id).bind(hold.node).bind(hold.until).bind(now))?;
    Ok(changed == 1)
}

/// `unsettled`: until when what was sent may take effect; `None`: all of it has, or never will. `false`: the claim had ended, and another
/// one may have it.
pub async fn release(tx: &mut Tx, hold: &Hold, unsettled: Option<DateTime<Utc>>) -> Result<bool> {
    let changed = exec!(
        tx,
        sqlx::query(
            "UPDATE engines SET rotating_by = NULL, rotating_until = NULL, \
             unsettled_until = CASE WHEN unsettled_until > $4 THEN unsettled_until ELSE COALESCE($4, unsettled_until) END \
             WHERE id = $1 AND rotating_by = $2 AND rotating_until = $3"
        )
        .bind(hold.engine_id)
        .bind(hold.node)
        .bind(hold.until)
        .bind(unsettled)
    )?;
    Ok(changed == 1)
}

/// Ends what a node had taken whose process has ended. What that has sent to a target may take effect until then. How many.
pub async fn expedite(tx: &mut Tx, node: Uuid, unsettled: DateTime<Utc>) -> Result<u64> {
    exec!(
        tx,
        sqlx::query(
            "UPDATE engines SET rotating_by = NULL, rotating_until = NULL, \
             unsettled_until = CASE WHEN unsettled_until > $2 THEN unsettled_until ELSE $2 END WHERE rotating_by = $1"
        )
        .bind(node)
        .bind(unsettled)
    )
}

/// Whether somebody is at it.
pub async fn is_taken(tx: &mut Tx, engine_id: Uuid, now: DateTime<Utc>) -> Result<bool> {
    let found: Option<(Uuid,)> = on!(tx, c => sqlx::query_as(
        "SELECT id FROM engines WHERE id = $1 AND rotating_until > $2"
    ).bind(engine_id).bind(now).fetch_optional(c))?;
    Ok(found.is_some())
}
