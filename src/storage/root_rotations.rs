//! Who is at the secret of an engine's own account: one attempt at a time, over all nodes. Two that give the target different
//! secrets would leave it with one that the store has not kept.

use crate::error::Result;
use crate::storage::db::{Tx, exec};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// An attempt's claim. It ends by itself, at a time that no other claim of this engine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    pub engine_id: Uuid,
    pub node: Uuid,
    pub until: DateTime<Utc>,
}

/// `false`: another one has it, or the engine is gone.
pub async fn take(tx: &mut Tx, hold: &Hold, now: DateTime<Utc>) -> Result<bool> {
    let changed = exec!(
        tx,
        sqlx::query(
            "UPDATE engines SET rotating_by = $2, rotating_until = $3 \
             WHERE id = $1 AND (rotating_until IS NULL OR rotating_until <= $4)"
        )
        .bind(hold.engine_id)
        .bind(hold.node)
        .bind(hold.until)
        .bind(now)
    )?;
    Ok(changed == 1)
}

/// `false`: it had ended, and another one may have it.
pub async fn release(tx: &mut Tx, hold: &Hold) -> Result<bool> {
    let changed = exec!(
        tx,
        sqlx::query(
            "UPDATE engines SET rotating_by = NULL, rotating_until = NULL \
             WHERE id = $1 AND rotating_by = $2 AND rotating_until = $3"
        )
        .bind(hold.engine_id)
        .bind(hold.node)
        .bind(hold.until)
    )?;
    Ok(changed == 1)
}

/// Ends what a node had taken whose process has ended. How many.
pub async fn expedite(tx: &mut Tx, node: Uuid) -> Result<u64> {
    exec!(
        tx,
        sqlx::query("UPDATE engines SET rotating_by = NULL, rotating_until = NULL WHERE rotating_by = $1")
            .bind(node)
    )
}
