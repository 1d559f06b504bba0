//! The audit chain: its head, appending to it, checkpoints. Reading it is in this module too, in another file.

use crate::error::Result;
use crate::model::audit::AuditEvent;
use crate::storage::db::{Tx, exec, on};
use crate::storage::select::changed_one;
use crate::storage::types::Inet;
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use sqlx::types::Json;
use std::fmt::Write;
use std::sync::LazyLock;

pub use crate::storage::audit_query::{Filter, by_event_id, by_sequence, list, range};

/// The columns of an event, in the order of [`bind_event`].
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

/// How many columns that is.
const COLUMNS: usize = 33;
/// The longest INSERT has `1 << LONGEST` rows: 256 rows of 33 values are 8,448 arguments, of the 32,766 that SQLite takes.
const LONGEST: usize = 8;

/// INSERTs of 1, 2, 4, ... 256 rows: any number of events takes few statements, and few texts to prepare and keep.
static POSTGRES: LazyLock<[String; LONGEST + 1]> =
    LazyLock::new(|| std::array::from_fn(|power| insert_text(1 << power, true)));
/// The same with `?` for `$1`: SQLite finds the number of a named argument by a search through all names, so binding thousands
/// of them takes time by the square of their number.
static SQLITE: LazyLock<[String; LONGEST + 1]> =
    LazyLock::new(|| std::array::from_fn(|power| insert_text(1 << power, false)));

fn insert_text(rows: usize, numbered: bool) -> String {
    let mut text = concat!("INSERT INTO audit_logs (", columns!(), ") VALUES ").to_owned();
    for row in 0..rows {
        text.push_str(if row == 0 { "(" } else { "), (" });
        for column in 0..COLUMNS {
            if column > 0 {
                text.push_str(", ");
            }
            if numbered {
                // writing to a String does not fail
                let _ = write!(text, "${}", row * COLUMNS + column + 1);
            } else {
                text.push('?');
            }
        }
    }
    text.push(')');
    text
}

macro_rules! bind_event {
    ($query:expr, $event:expr) => {
        $query
            .bind($event.event_id)
            .bind($event.sequence_number)
            .bind($event.timestamp)
            .bind(&$event.event_type)
            .bind(&$event.actor_type)
            .bind(&$event.actor_id)
            .bind(&$event.token_accessor)
            .bind(&$event.role_name)
            .bind(&$event.agent_id)
            .bind(&$event.app_id)
            .bind(&$event.admin_id)
            .bind(&$event.agent_cert_fingerprint)
            .bind(&$event.app_cert_fingerprint)
            .bind(&$event.admin_cert_fingerprint)
            .bind($event.secret_id)
            .bind(&$event.secret_path)
            .bind($event.secret_version)
            .bind(&$event.secret_type)
            .bind($event.lease_id)
            .bind($event.access_granted)
            .bind(&$event.policy_matched)
            .bind(&$event.denial_reason)
            .bind($event.source_ip.map(Inet))
            .bind(&$event.hostname)
            .bind(&$event.k8s_namespace)
            .bind(&$event.k8s_pod)
            .bind(Json(&$event.event_data))
            .bind($event.response_time_ms)
            .bind(&$event.correlation_id)
            .bind($event.batch_end)
            .bind(&$event.previous_hash[..])
            .bind(&$event.current_hash[..])
            .bind(&$event.signature)
    };
}

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

pub async fn put_head(tx: &mut Tx, head: &Head) -> Result<()> {
    let changed = exec!(
        tx,
        sqlx::query(
            "UPDATE audit_head SET sequence_number = $1, current_hash = $2, signature = $3, generation = $4, \
             updated_at = $5 WHERE id = 1"
        )
        .bind(head.sequence_number)
        .bind(&head.current_hash)
        .bind(&head.signature)
        .bind(head.generation)
        .bind(head.updated_at)
    )?;
    changed_one(changed)
}

/// Appends the events as they are: numbers and hashes are the caller's, who holds the head's lock.
pub async fn append(tx: &mut Tx, events: &[AuditEvent]) -> Result<()> {
    let texts: &'static [String; LONGEST + 1] = if tx.is_postgres() { &POSTGRES } else { &SQLITE };
    let mut rest = events;
    while !rest.is_empty() {
        let power = (rest.len().ilog2() as usize).min(LONGEST);
        let (chunk, later) = rest.split_at(1 << power);
        let text: &'static str = &texts[power];
        exec!(tx, {
            let mut query = sqlx::query(text);
            for event in chunk {
                query = bind_event!(query, event);
            }
            query
        })?;
        rest = later;
    }
    Ok(())
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
