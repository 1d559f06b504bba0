//! Engines: how targets are reached. The settings are ciphertext here; what may be shown of them stands beside it.

use crate::error::{Error, Result};
use crate::storage::db::{Tx, exec, on};
use crate::storage::page::Page;
use crate::storage::select::{Select, changed_one, key, page_rows};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::FromRow;
use sqlx::types::Json;
use uuid::Uuid;

/// No `Debug`: it holds ciphertexts.
#[derive(Clone, PartialEq, FromRow)]
pub struct EngineRow {
    pub id: Uuid,
    pub name: String,
    pub engine_type: String,
    pub description: Option<String>,
    pub config_encrypted: Vec<u8>,
    pub config_version: i64,
    pub key_version: i64,
    pub pending_encrypted: Option<Vec<u8>>,
    pub config_shown: Json<Value>,
    pub enabled: bool,
    pub max_ttl_seconds: Option<i64>,
    pub max_leases: Option<i64>,
    /// Kept by [`count_lease`] and the like, never by [`update`].
    pub live_leases: i64,
    pub root_rotated_at: Option<DateTime<Utc>>,
    pub drift: Option<Json<Value>>,
    pub metadata: Json<Value>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

macro_rules! columns {
    () => {
        "id, name, engine_type, description, config_encrypted, config_version, key_version, pending_encrypted, \
         config_shown, enabled, max_ttl_seconds, max_leases, live_leases, root_rotated_at, drift, metadata, created_at, \
         updated_at"
    };
}
pub(super) use columns;

macro_rules! select {
    ($tail:literal) => {
        concat!("SELECT ", columns!(), " FROM engines", $tail)
    };
}

pub async fn find(tx: &mut Tx, name: &str) -> Result<Option<EngineRow>> {
    on!(tx, c => sqlx::query_as(select!(" WHERE name = $1")).bind(name).fetch_optional(c))
}

pub async fn by_id(tx: &mut Tx, id: Uuid) -> Result<Option<EngineRow>> {
    on!(tx, c => sqlx::query_as(select!(" WHERE id = $1")).bind(id).fetch_optional(c))
}

/// # Errors
/// `CONFLICT` if the name is taken.
pub async fn insert(tx: &mut Tx, row: &EngineRow) -> Result<()> {
    let inserted = exec!(
        tx,
        sqlx::query(
            "INSERT INTO engines (id, name, engine_type, description, config_encrypted, config_version, key_version, \
             pending_encrypted, config_shown, enabled, max_ttl_seconds, max_leases, live_leases, root_rotated_at, drift, \
             metadata, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) \
             ON CONFLICT (name) DO NOTHING"
        )
        .bind(row.id)
        .bind(&row.name)
        .bind(&row.engine_type)
        .bind(&row.description)
        .bind(&row.config_encrypted)
        .bind(row.config_version)
        .bind(row.key_version)
        .bind(&row.pending_encrypted)
        .bind(&row.config_shown)
        .bind(row.enabled)
        .bind(row.max_ttl_seconds)
        .bind(row.max_leases)
        .bind(row.live_leases)
        .bind(row.root_rotated_at)
        .bind(&row.drift)
        .bind(&row.metadata)
        .bind(row.created_at)
        .bind(row.updated_at)
    )?;
    if inserted == 0 {
        return Err(Error::conflict(
            "an engine with this name exists already: update it or choose another name",
        ));
    }
    Ok(())
}

/// Every column that can change but the count of leases, by id.
///
/// # Errors
/// `CONFLICT` if the row is gone or its configuration has another version than `expected`.
pub async fn update(tx: &mut Tx, row: &EngineRow, expected: i64) -> Result<()> {
    let changed = exec!(
        tx,
        sqlx::query(
            "UPDATE engines SET description = $3, config_encrypted = $4, config_version = $5, key_version = $6, \
             pending_encrypted = $7, config_shown = $8, enabled = $9, max_ttl_seconds = $10, max_leases = $11, \
             root_rotated_at = $12, drift = $13, metadata = $14, updated_at = $15 WHERE id = $1 AND config_version = $2"
        )
        .bind(row.id)
        .bind(expected)
        .bind(&row.description)
        .bind(&row.config_encrypted)
        .bind(row.config_version)
        .bind(row.key_version)
        .bind(&row.pending_encrypted)
        .bind(&row.config_shown)
        .bind(row.enabled)
        .bind(row.max_ttl_seconds)
        .bind(row.max_leases)
        .bind(row.root_rotated_at)
        .bind(&row.drift)
        .bind(&row.metadata)
        .bind(row.updated_at)
    )?;
    changed_one(changed)
}

/// Engines whose configuration is sealed under an older data key than `active`; at most `limit`.
pub async fn sealed_under_older_key(tx: &mut Tx, active: i64, limit: i64) -> Result<Vec<EngineRow>> {
    on!(tx, c => sqlx::query_as(select!(" WHERE key_version < $1 ORDER BY id LIMIT $2"))
        .bind(active).bind(limit).fetch_all(c))
}

/// Another ciphertext of the same configuration in place of `old`. `false`: that is not what is there.
pub async fn replace_sealed(
    tx: &mut Tx,
    id: Uuid,
    old: &[u8],
    sealed: &[u8],
    key_version: i64,
) -> Result<bool> {
    let changed = exec!(
        tx,
        sqlx::query(
            "UPDATE engines SET config_encrypted = $3, key_version = $4 WHERE id = $1 AND config_encrypted = $2"
        )
        .bind(id)
        .bind(old)
        .bind(sealed)
        .bind(key_version)
    )?;
    Ok(changed == 1)
}

/// # Errors
/// `CONFLICT` if the row is gone.
pub async fn set_drift(tx: &mut Tx, id: Uuid, drift: &Value) -> Result<()> {
    changed_one(exec!(
        tx,
        sqlx::query("UPDATE engines SET drift = $2 WHERE id = $1").bind(id).bind(Json(drift))
    )?)
}

/// Nothing happens if it is not there. Its roles and accounts must be gone.
pub async fn remove(tx: &mut Tx, id: Uuid) -> Result<()> {
    exec!(tx, sqlx::query("DELETE FROM engines WHERE id = $1").bind(id)).map(drop)
}

/// A page of engines, by name.
pub async fn list(tx: &mut Tx, page: &Page) -> Result<Vec<EngineRow>> {
    let mut select = Select::new(select!(""));
    select.page(page, &key!("name"));
    page_rows!(tx, select, page)
}

/// Every engine's id, in order, after this one; at most `limit`.
pub async fn ids(tx: &mut Tx, after: Option<Uuid>, limit: i64) -> Result<Vec<Uuid>> {
    let rows: Vec<(Uuid,)> = on!(tx, c => sqlx::query_as(
        "SELECT id FROM engines WHERE id > $1 ORDER BY id LIMIT $2"
    ).bind(after.unwrap_or(Uuid::nil())).bind(limit).fetch_all(c))?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// What is counted of an engine.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct EngineCounts {
    pub id: Uuid,
    pub engine_type: String,
    pub live_leases: i64,
}

/// The counts of engines, in order of their ids; at most `limit`.
pub async fn counts(tx: &mut Tx, limit: i64) -> Result<Vec<EngineCounts>> {
    on!(tx, c => sqlx::query_as("SELECT id, engine_type, live_leases FROM engines ORDER BY id LIMIT $1")
        .bind(limit).fetch_all(c))
}

/// The engines that have a lease to see to by this time, and those whose own secret is to be replaced while no other node is at it; at
/// most `limit`.
pub async fn with_work(tx: &mut Tx, node: Uuid, now: DateTime<Utc>, limit: i64) -> Result<Vec<EngineRow>> {
    on!(tx, c => sqlx::query_as(select!(
        " WHERE (pending_encrypted IS NOT NULL AND (rotating_until IS NULL OR rotating_until <= $1 OR rotating_by = $3)) \
          OR EXISTS (SELECT 1 FROM leases WHERE leases.engine_id = engines.id AND leases.due_at <= $1) LIMIT $2"
    )).bind(now).bind(limit).bind(node).fetch_all(c))
}

/// Engines that are disabled and have no lease; at most `limit`.
pub async fn disabled_without_leases(tx: &mut Tx, limit: i64) -> Result<Vec<EngineRow>> {
    on!(tx, c => sqlx::query_as(select!(" WHERE NOT enabled AND live_leases = 0 LIMIT $1")).bind(limit).fetch_all(c))
}

/// One live lease more. `false`: the engine has as many as it may, is not enabled, or is gone.
pub async fn count_lease(tx: &mut Tx, id: Uuid) -> Result<bool> {
    let changed = exec!(
        tx,
        sqlx::query(
            "UPDATE engines SET live_leases = live_leases + 1 \
             WHERE id = $1 AND enabled AND (max_leases IS NULL OR live_leases < max_leases)"
        )
        .bind(id)
    )?;
    Ok(changed == 1)
}

/// So many live leases less.
pub async fn discount_leases(tx: &mut Tx, id: Uuid, count: i64) -> Result<()> {
    exec!(
        tx,
        sqlx::query("UPDATE engines SET live_leases = live_leases - $2 WHERE id = $1").bind(id).bind(count)
    )
    .map(drop)
}
