//! What nodes tell each other about their caches: beside each generation of `audit_head`, what it changed. Only PostgreSQL has
//! several nodes, and an append tells them (`audit_append.rs`); on SQLite nothing is told, and a second process that changes the file makes the first forget everything.

use crate::error::Result;
use crate::storage::db::{Tx, exec, on};
use sqlx::FromRow;

/// One effect of one generation.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct EffectRow {
    pub generation: i64,
    pub kind: String,
    pub key: String,
}

/// The effects of the generations after `known` up to `store`, in order, at most `limit`.
pub async fn since(tx: &mut Tx, known: i64, store: i64, limit: i64) -> Result<Vec<EffectRow>> {
    on!(tx, c => sqlx::query_as(
        "SELECT generation, kind, key FROM cache_effects WHERE generation > $1 AND generation <= $2 \
         ORDER BY generation LIMIT $3"
    ).bind(known).bind(store).bind(limit).fetch_all(c))
}

/// Removes up to `limit` effects that are older than the last 10,000 generations: a node that slept that long forgets
/// everything anyway. How many.
pub async fn purge(tx: &mut Tx, limit: i64) -> Result<u64> {
    exec!(
        tx,
        sqlx::query(
            "DELETE FROM cache_effects WHERE (generation, kind, key) IN (SELECT generation, kind, key FROM cache_effects \
             WHERE generation < (SELECT generation FROM audit_head) - 10000 LIMIT $1)"
        )
        .bind(limit)
    )
}
