//! Leases: what was issued, until when, and what is still to be revoked. How they begin is in `leases_begun.rs`, later changes of state in
//! `leases_states.rs`, pages in `leases_list.rs` and `leases_ending.rs`.

use crate::error::Result;
use crate::storage::db::{Tx, exec, on};
use crate::storage::glance::{Glance, look};
use crate::storage::leases_begun::insert_all;
use crate::storage::types::Inet;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::FromRow;
use sqlx::types::Json;
use uuid::Uuid;

pub use crate::storage::leases_begun::{Activation, NoRoom, activate, begin};
pub use crate::storage::leases_ending::{ending_key, list_ending};
pub use crate::storage::leases_list::{ListLeases, list};
pub use crate::storage::leases_states::{
    Revoked, Selection, abandon, claim_due, claim_one, expedite, mark_revoking, note_failure, renew, revoked,
};

/// No `Debug`: it holds a ciphertext.
#[derive(Clone, PartialEq, FromRow)]
pub struct LeaseRow {
    pub lease_id: Uuid,
    pub secret_id: Uuid,
    pub secret_path: String,
    pub engine_id: Uuid,
    pub engine_type: String,
    pub agent_id: Option<String>,
    pub app_id: Option<String>,
    pub actor_id: String,
    pub token_accessor: Uuid,
    pub role_name: Option<String>,
    /// `issuing`, `active`, `revoking` or `revoked`.
    pub state: String,
    pub issued_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub max_expires_at: DateTime<Utc>,
    pub ttl_seconds: i64,
    pub renewed_count: i64,
    pub last_renewed_at: Option<DateTime<Utc>>,
    pub max_renewals: Option<i64>,
    pub due_at: Option<DateTime<Utc>>,
    pub revoked: bool,
    pub revoked_at: Option<DateTime<Utc>>,
    pub revocation_reason: Option<String>,
    pub revocation_attempts: i64,
    pub last_revocation_error: Option<String>,
    pub credentials: Option<Vec<u8>>,
    pub engine_metadata: Json<Value>,
    pub idempotency_key: Option<String>,
    pub source_ip: Option<Inet>,
    pub correlation_id: Option<String>,
    /// The process that issues it, or took it last to revoke it.
    pub claimed_by: Option<Uuid>,
}

macro_rules! columns {
    () => {
        "lease_id, secret_id, secret_path, engine_id, engine_type, agent_id, app_id, actor_id, token_accessor, role_name, state, \
         issued_at, expires_at, max_expires_at, ttl_seconds, renewed_count, last_renewed_at, max_renewals, due_at, revoked, \
         revoked_at, revocation_reason, revocation_attempts, last_revocation_error, credentials, engine_metadata, \
         idempotency_key, source_ip, correlation_id, claimed_by"
    };
}
pub(super) use columns;

/// A path and those below it: '/' is the character after '.'. The range is what an index serves; 'a-b' lies in it, and is not below 'a'.
pub(super) const WITHIN: &str =
    "(secret_path >= $? AND secret_path < $? || '/' AND (secret_path = $? OR secret_path > $? || '.'))";

macro_rules! select {
    ($tail:literal) => {
        concat!("SELECT ", columns!(), " FROM leases", $tail)
    };
}

pub async fn by_id(tx: &mut Tx, lease_id: Uuid) -> Result<Option<LeaseRow>> {
    on!(tx, c => sqlx::query_as(select!(" WHERE lease_id = $1")).bind(lease_id).fetch_optional(c))
}

/// The lease that this caller asked for with this key.
pub async fn by_key(tx: &mut Tx, actor_id: &str, key: &str) -> Result<Option<LeaseRow>> {
    on!(tx, c => sqlx::query_as(BY_KEY).bind(actor_id).bind(key).fetch_optional(c))
}

const BY_KEY: &str = select!(" WHERE actor_id = $1 AND idempotency_key = $2");

/// As [`by_key`], looked at alone.
pub async fn seen_by_key(glance: Glance, actor_id: &str, key: &str) -> Result<Option<LeaseRow>> {
    look!(glance, c => sqlx::query_as(BY_KEY).bind(actor_id).bind(key).fetch_optional(c))
}

/// A lease that nobody's limits are asked about, and that counts for nothing; others [`begin`].
///
/// # Errors
/// `CONFLICT` if the caller has used the idempotency key for another lease.
pub async fn insert(tx: &mut Tx, row: &LeaseRow) -> Result<()> {
    tx.settle().await?;
    tx.touch();
    insert_all(&mut tx.connection, std::slice::from_ref(row)).await
}

/// A lease that is not revoked, as the comparison with the target looks at it.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct LiveLease {
    pub lease_id: Uuid,
    pub state: String,
    pub issued_at: DateTime<Utc>,
}

/// An engine's leases that are not revoked, in the order of their ids, after this one.
pub async fn live_of(
    tx: &mut Tx,
    engine_id: Uuid,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<LiveLease>> {
    on!(tx, c => sqlx::query_as(
        "SELECT lease_id, state, issued_at FROM leases \
         WHERE engine_id = $1 AND NOT revoked AND lease_id > $2 ORDER BY lease_id LIMIT $3"
    ).bind(engine_id).bind(after.unwrap_or(Uuid::nil())).bind(limit).fetch_all(c))
}

/// Leases that have outlived their expiry, by kind of engine: how many, counted up to `most` in all, and the oldest expiry.
pub async fn overdue(
    tx: &mut Tx,
    now: DateTime<Utc>,
    most: i64,
) -> Result<Vec<(String, i64, DateTime<Utc>)>> {
    on!(tx, c => sqlx::query_as(
        "SELECT engine_type, count(*), min(expires_at) FROM (SELECT engine_type, expires_at FROM leases \
         WHERE NOT revoked AND expires_at < $1 ORDER BY expires_at LIMIT $2) AS late GROUP BY engine_type"
    ).bind(now).bind(most).fetch_all(c))
}

/// How many leases are on their way, by state (`issuing` or `revoking`) and counted up to `most` each.
pub async fn on_their_way(tx: &mut Tx, most: i64) -> Result<[i64; 2]> {
    on!(tx, c => sqlx::query_as(
        "SELECT (SELECT count(*) FROM (SELECT 1 FROM leases WHERE state = 'issuing' LIMIT $1) AS i), \
                (SELECT count(*) FROM (SELECT 1 FROM leases WHERE state = 'revoking' LIMIT $1) AS r)"
    ).bind(most).fetch_one(c))
    .map(|(issuing, revoking)| [issuing, revoking])
}

/// What was said to the last attempt to revoke the lease of an engine that ended first of those that could not be revoked yet, and
/// when it ended.
pub async fn refused(tx: &mut Tx, engine_id: Uuid) -> Result<Option<(String, DateTime<Utc>)>> {
    on!(tx, c => sqlx::query_as(
        "SELECT last_revocation_error, expires_at FROM leases \
         WHERE engine_id = $1 AND state = 'revoking' AND last_revocation_error IS NOT NULL ORDER BY expires_at LIMIT 1"
    ).bind(engine_id).fetch_optional(c))
}

/// Removes up to `limit` leases that were revoked before this time. How many.
pub async fn purge(tx: &mut Tx, before: DateTime<Utc>, limit: i64) -> Result<u64> {
    exec!(
        tx,
        sqlx::query(
            "DELETE FROM leases WHERE lease_id IN \
             (SELECT lease_id FROM leases WHERE revoked AND revoked_at < $1 LIMIT $2)"
        )
        .bind(before)
        .bind(limit)
    )
}
