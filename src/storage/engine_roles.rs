//! What a secret of type `dynamic_role` has beside its row in `secrets`, where its sealed configuration is.

use crate::error::Result;
use crate::storage::db::{Tx, exec, on};
use crate::storage::engines::{EngineRow, columns as engine_columns};
use crate::storage::glance::{Glance, look};
use crate::storage::select::changed_one;
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct EngineRoleRow {
    pub id: Uuid,
    pub secret_id: Uuid,
    pub engine_id: Uuid,
    /// Of `secrets.encrypted_data`.
    pub key_version: i64,
    pub default_ttl_seconds: i64,
    pub max_ttl_seconds: i64,
    pub max_leases: Option<i64>,
    pub max_renewals: Option<i64>,
    /// Kept by what begins and ends leases, never by [`update`].
    pub live_leases: i64,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

pub async fn by_secret(tx: &mut Tx, secret_id: Uuid) -> Result<Option<EngineRoleRow>> {
    on!(tx, c => sqlx::query_as(
        "SELECT id, secret_id, engine_id, key_version, default_ttl_seconds, max_ttl_seconds, max_leases, max_renewals, \
         live_leases, created_at, updated_at FROM engine_roles WHERE secret_id = $1"
    ).bind(secret_id).fetch_optional(c))
}

/// What is issued by: a role and its engine. No `Debug`: it holds ciphertexts.
#[derive(FromRow)]
pub struct Issuing {
    pub secret_id: Uuid,
    /// The sealed configuration of the role, and the version that it is bound to.
    pub sealed: Vec<u8>,
    pub sealed_version: i64,
    pub default_ttl_seconds: i64,
    pub role_max_ttl_seconds: i64,
    pub max_renewals: Option<i64>,
    #[sqlx(flatten)]
    pub engine: EngineRow,
}

impl Issuing {
    /// What it takes in memory, roughly.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let EngineRow {
            config_encrypted, pending_encrypted, description, config_shown, drift, metadata, ..
        } = &self.engine;
        let sealed = [Some(&self.sealed), Some(config_encrypted), pending_encrypted.as_ref()];
        let values = [Some(&config_shown.0), drift.as_ref().map(|drift| &drift.0), Some(&metadata.0)];
        sealed.into_iter().flatten().map(Vec::len).sum::<usize>()
            + values.into_iter().flatten().map(|value| value.to_string().len() * 4).sum::<usize>()
            + description.as_ref().map_or(0, String::len)
            + 1000
    }
}

/// The role at a path, and its engine.
pub async fn at_path(glance: Glance, path: &str) -> Result<Option<Issuing>> {
    look!(glance, c => sqlx::query_as(concat!(
        "SELECT secret_id, sealed, sealed_version, default_ttl_seconds, role_max_ttl_seconds, max_renewals, ",
        engine_columns!(),
        " FROM (SELECT id AS role_of, encrypted_data AS sealed, version AS sealed_version FROM secrets \
         WHERE secret_path = $1 AND secret_type = 'dynamic_role' AND encrypted_data IS NOT NULL) AS s \
         JOIN (SELECT secret_id, engine_id, default_ttl_seconds, max_ttl_seconds AS role_max_ttl_seconds, max_renewals \
         FROM engine_roles) AS r ON r.secret_id = s.role_of JOIN engines ON engines.id = r.engine_id"
    )).bind(path).fetch_optional(c))
}

/// The sealed configuration of a role, and the version that it is bound to.
pub async fn sealed_config(tx: &mut Tx, secret_id: Uuid) -> Result<Option<(Vec<u8>, i64)>> {
    on!(tx, c => sqlx::query_as(
        "SELECT encrypted_data, version FROM secrets \
         WHERE id = $1 AND secret_type = 'dynamic_role' AND encrypted_data IS NOT NULL"
    ).bind(secret_id).fetch_optional(c))
}

/// The sealed configuration of a role in place of the one before, with the version that it is bound to.
///
/// # Errors
/// `CONFLICT` if the secret is gone.
pub async fn set_sealed_config(tx: &mut Tx, secret_id: Uuid, sealed: &[u8], version: i64) -> Result<()> {
    changed_one(exec!(
        tx,
        sqlx::query(
            "UPDATE secrets SET encrypted_data = $2, version = $3 WHERE id = $1 AND secret_type = 'dynamic_role'"
        )
        .bind(secret_id)
        .bind(sealed)
        .bind(version)
    )?)
}

pub async fn insert(tx: &mut Tx, row: &EngineRoleRow) -> Result<()> {
    exec!(
        tx,
        sqlx::query(
            "INSERT INTO engine_roles (id, secret_id, engine_id, key_version, default_ttl_seconds, max_ttl_seconds, max_leases, \
             max_renewals, live_leases, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
        )
        .bind(row.id)
        .bind(row.secret_id)
        .bind(row.engine_id)
        .bind(row.key_version)
        .bind(row.default_ttl_seconds)
        .bind(row.max_ttl_seconds)
        .bind(row.max_leases)
        .bind(row.max_renewals)
        .bind(row.live_leases)
        .bind(row.created_at)
        .bind(row.updated_at)
    )
    .map(drop)
}

/// Every column that can change but the count of leases, by id.
///
/// # Errors
/// `CONFLICT` if the row is gone.
pub async fn update(tx: &mut Tx, row: &EngineRoleRow) -> Result<()> {
    changed_one(exec!(
        tx,
        sqlx::query(
            "UPDATE engine_roles SET key_version = $2, default_ttl_seconds = $3, max_ttl_seconds = $4, max_leases = $5, \
             max_renewals = $6, updated_at = $7 WHERE id = $1"
        )
        .bind(row.id)
        .bind(row.key_version)
        .bind(row.default_ttl_seconds)
        .bind(row.max_ttl_seconds)
        .bind(row.max_leases)
        .bind(row.max_renewals)
        .bind(row.updated_at)
    )?)
}

/// The roles, by secret, whose configuration is sealed under an older data key than `active`; at most `limit`.
pub async fn sealed_under_older_key(tx: &mut Tx, active: i64, limit: i64) -> Result<Vec<Uuid>> {
    let rows: Vec<(Uuid,)> = on!(tx, c => sqlx::query_as(
        "SELECT secret_id FROM engine_roles WHERE key_version < $1 ORDER BY secret_id LIMIT $2"
    ).bind(active).bind(limit).fetch_all(c))?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Another ciphertext of the same configuration in place of `old`. `false`: that is not what is there.
pub async fn replace_sealed(
    tx: &mut Tx,
    secret_id: Uuid,
    old: &[u8],
    sealed: &[u8],
    key_version: i64,
) -> Result<bool> {
    let changed = exec!(
        tx,
        sqlx::query("UPDATE secrets SET encrypted_data = $3 WHERE id = $1 AND encrypted_data = $2")
            .bind(secret_id)
            .bind(old)
            .bind(sealed)
    )?;
    if changed == 1 {
        exec!(
            tx,
            sqlx::query("UPDATE engine_roles SET key_version = $2 WHERE secret_id = $1")
                .bind(secret_id)
                .bind(key_version)
        )?;
    }
    Ok(changed == 1)
}

/// The paths of an engine's roles, in order; at most `limit`.
pub async fn paths_of(tx: &mut Tx, engine_id: Uuid, limit: i64) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = on!(tx, c => sqlx::query_as(
        "SELECT s.secret_path FROM engine_roles r JOIN secrets s ON s.id = r.secret_id WHERE r.engine_id = $1 \
         ORDER BY s.secret_path LIMIT $2"
    ).bind(engine_id).bind(limit).fetch_all(c))?;
    Ok(rows.into_iter().map(|(path,)| path).collect())
}

/// Removes the roles of an engine, with their secrets.
pub async fn remove_of(tx: &mut Tx, engine_id: Uuid) -> Result<u64> {
    exec!(
        tx,
        sqlx::query(
            "DELETE FROM secrets WHERE id IN (SELECT secret_id FROM engine_roles WHERE engine_id = $1)"
        )
        .bind(engine_id)
    )
}

/// So many live leases less; nothing happens if the role is gone.
pub async fn discount_leases(tx: &mut Tx, secret_id: Uuid, count: i64) -> Result<()> {
    exec!(
        tx,
        sqlx::query("UPDATE engine_roles SET live_leases = live_leases - $2 WHERE secret_id = $1")
            .bind(secret_id)
            .bind(count)
    )
    .map(drop)
}
