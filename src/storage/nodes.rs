//! The processes that work on this store, and where they run.

use crate::error::Result;
use crate::storage::db::{Tx, exec, on};
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct NodeRow {
    pub id: Uuid,
    /// Kernel and PID namespace; empty: not known.
    pub place: String,
    pub pid: i64,
    /// When the process began, in clock ticks since the kernel did.
    pub began_ticks: i64,
    pub seen_at: DateTime<Utc>,
}

/// Adds a node, or says that it is still there.
pub async fn put(tx: &mut Tx, row: &NodeRow) -> Result<()> {
    exec!(
        tx,
        sqlx::query(
            "INSERT INTO nodes (id, place, pid, began_ticks, seen_at) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (id) DO UPDATE SET seen_at = excluded.seen_at"
        )
        .bind(row.id)
        .bind(&row.place)
        .bind(row.pid)
        .bind(row.began_ticks)
        .bind(row.seen_at)
    )
    .map(drop)
}

/// All but this one, up to `limit`.
pub async fn others(tx: &mut Tx, id: Uuid, limit: i64) -> Result<Vec<NodeRow>> {
    on!(tx, c => sqlx::query_as(
        "SELECT id, place, pid, began_ticks, seen_at FROM nodes WHERE id <> $1 ORDER BY id LIMIT $2"
    ).bind(id).bind(limit).fetch_all(c))
}

/// Nothing happens if it is not there.
pub async fn remove(tx: &mut Tx, id: Uuid) -> Result<()> {
    exec!(tx, sqlx::query("DELETE FROM nodes WHERE id = $1").bind(id)).map(drop)
}

/// Removes those that nobody has seen since. How many.
pub async fn forget(tx: &mut Tx, before: DateTime<Utc>) -> Result<u64> {
    exec!(tx, sqlx::query("DELETE FROM nodes WHERE seen_at < $1").bind(before))
}
