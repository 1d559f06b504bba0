//! The seal's configuration and the wrapped data keys.

use crate::error::{Error, Result};
use crate::storage::db::{Tx, exec, on};
use crate::storage::select::changed_one;
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

/// The one row of the seal's configuration. No `Debug`: it holds wrapped keys.
#[derive(Clone, PartialEq, FromRow)]
pub struct SealConfigRow {
    pub set_id: Vec<u8>,
    pub shares: i64,
    pub threshold: i64,
    /// `shamir` or `static`.
    pub seal_type: String,
    pub wrapped_root_key: Vec<u8>,
    pub audit_public_key: Vec<u8>,
    pub audit_private_key_encrypted: Vec<u8>,
    pub cluster_name: String,
    pub cluster_id: Uuid,
    pub created_at: DateTime<Utc>,
    pub rekeyed_at: Option<DateTime<Utc>>,
}

/// A data key wrapped by the root key. No `Debug`.
#[derive(Clone, PartialEq, FromRow)]
pub struct KeyringRow {
    pub version: i64,
    pub wrapped_key: Vec<u8>,
    pub created_at: DateTime<Utc>,
}

/// `None` before initialisation.
pub async fn config(tx: &mut Tx) -> Result<Option<SealConfigRow>> {
    on!(tx, c => sqlx::query_as(
        "SELECT set_id, shares, threshold, seal_type, wrapped_root_key, audit_public_key, audit_private_key_encrypted, \
         cluster_name, cluster_id, created_at, rekeyed_at FROM seal_config WHERE id = 1"
    ).fetch_optional(c))
}

/// # Errors
/// `CONFLICT` if there is one already: of any number of initialisations at the same time, one succeeds.
pub async fn insert_config(tx: &mut Tx, row: &SealConfigRow) -> Result<()> {
    let inserted = exec!(
        tx,
        sqlx::query(
            "INSERT INTO seal_config (id, set_id, shares, threshold, seal_type, wrapped_root_key, audit_public_key, \
             audit_private_key_encrypted, cluster_name, cluster_id, created_at, rekeyed_at) \
             VALUES (1, $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (id) DO NOTHING"
        )
        .bind(&row.set_id)
        .bind(row.shares)
        .bind(row.threshold)
        .bind(&row.seal_type)
        .bind(&row.wrapped_root_key)
        .bind(&row.audit_public_key)
        .bind(&row.audit_private_key_encrypted)
        .bind(&row.cluster_name)
        .bind(row.cluster_id)
        .bind(row.created_at)
        .bind(row.rekeyed_at)
    )?;
    if inserted == 0 {
        return Err(Error::conflict("the server is initialised already: unseal it with its key shares"));
    }
    Ok(())
}

/// Puts a new set of shares, and the root key wrapped by it, in place of the old one.
///
/// # Errors
/// `CONFLICT` if the server is not initialised.
pub async fn replace_shares(
    tx: &mut Tx,
    set_id: &[u8],
    shares: i64,
    threshold: i64,
    wrapped_root_key: &[u8],
    rekeyed_at: DateTime<Utc>,
) -> Result<()> {
    let changed = exec!(
        tx,
        sqlx::query(
            "UPDATE seal_config SET set_id = $1, shares = $2, threshold = $3, wrapped_root_key = $4, rekeyed_at = $5 \
             WHERE id = 1"
        )
        .bind(set_id)
        .bind(shares)
        .bind(threshold)
        .bind(wrapped_root_key)
        .bind(rekeyed_at)
    )?;
    changed_one(changed)
}

/// Every data key, oldest first.
pub async fn keyring(tx: &mut Tx) -> Result<Vec<KeyringRow>> {
    on!(tx, c => sqlx::query_as("SELECT version, wrapped_key, created_at FROM keyring ORDER BY version").fetch_all(c))
}

/// # Errors
/// `CONFLICT` if this version is there already: someone else rotated at the same time.
pub async fn insert_key(tx: &mut Tx, row: &KeyringRow) -> Result<()> {
    let inserted = exec!(
        tx,
        sqlx::query(
            "INSERT INTO keyring (version, wrapped_key, created_at) VALUES ($1, $2, $3) \
             ON CONFLICT (version) DO NOTHING"
        )
        .bind(row.version)
        .bind(&row.wrapped_key)
        .bind(row.created_at)
    )?;
    if inserted == 0 {
        return Err(Error::conflict("the data key was rotated meanwhile: read the key versions and retry"));
    }
    Ok(())
}
