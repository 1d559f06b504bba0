//! The audit chain: its head and its checkpoints. Appending and reading are in this module too, in files of their own.

use crate::error::Result;
use crate::storage::db::{Tx, exec, on};
use chrono::{DateTime, Utc};
use sqlx::FromRow;

pub use crate::storage::audit_append::{Step, advance, advance_alone, advances_alone};
pub use crate::storage::audit_query::{Filter, by_event_id, by_sequence, list, range};

/// The columns of an event, in the order in which `audit_append.rs` binds them.
macro_rules! columns {
    () => {
        "event_id, sequence_number, timestamp, event_type, actor_type, actor_id, token_accessor, role_name, agent_id, app_id, \
         admin_id, agent_cert_fingerprint, app_cert_fingerprint, admin_cert_fingerprint, secret_id, secret_path, \
         secret_version, secret_type, lease_id, access_granted, policy_matched, denial_reason, source_ip, hostname, \
         k8s_namespace, k8s_pod, event_data, response_time_ms, correlation_id, batch_end, previous_hash, current_hash, \
         signature"
    };
}
pub(super) use columns;

/// The end of the chain.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Head {
    /// Of the last event; 0 before the first.
    pub sequence_number: i64,
    /// Of the last event; 32 zero bytes before the first.
    pub current_hash: Vec<u8>,
    /// Over `current_hash`.
    pub signature: Option<Vec<u8>>,
    /// How often anything changed that other nodes hold in memory.
    pub generation: i64,
    pub updated_at: Option<DateTime<Utc>>,
}

/// A place in the chain that was signed and kept by itself.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct CheckpointRow {
    pub sequence_number: i64,
    pub hash: Vec<u8>,
    pub signature: Vec<u8>,
    pub created_at: DateTime<Utc>,
}

macro_rules! select_head {
    ($tail:literal) => {
        concat!(
            "SELECT sequence_number, current_hash, signature, generation, updated_at FROM audit_head WHERE id = 1",
            $tail
        )
    };
}

/// The head, and nobody else appends until the transaction ends.
pub async fn lock_head(tx: &mut Tx) -> Result<Head> {
    // SQLite has one writer at a time, and no such clause
    let text = if tx.is_postgres() { select_head!(" FOR UPDATE") } else { select_head!("") };
    on!(tx, c => sqlx::query_as(text).fetch_one(c))
}

pub async fn head(tx: &mut Tx) -> Result<Head> {
    on!(tx, c => sqlx::query_as(select_head!("")).fetch_one(c))
}

pub async fn insert_checkpoint(tx: &mut Tx, row: &CheckpointRow) -> Result<()> {
    // the same place signed twice is one checkpoint: the first stays
    exec!(
        tx,
        sqlx::query(
            "INSERT INTO audit_checkpoints (sequence_number, hash, signature, created_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (sequence_number) DO NOTHING"
        )
        .bind(row.sequence_number)
        .bind(&row.hash)
        .bind(&row.signature)
        .bind(row.created_at)
    )
    .map(drop)
}

pub async fn latest_checkpoint(tx: &mut Tx) -> Result<Option<CheckpointRow>> {
    Ok(checkpoints(tx, 1).await?.pop())
}

/// Newest first.
pub async fn checkpoints(tx: &mut Tx, limit: i64) -> Result<Vec<CheckpointRow>> {
    on!(tx, c => sqlx::query_as(
        "SELECT sequence_number, hash, signature, created_at FROM audit_checkpoints ORDER BY sequence_number DESC LIMIT $1"
    ).bind(limit).fetch_all(c))
}
