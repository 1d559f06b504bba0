//! Long-lived accounts of targets: which static secret holds whose password, and the password that is on its way.

use crate::error::{Error, Result};
use crate::storage::db::{Tx, exec, on};
use crate::storage::select::changed_one;
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

/// No `Debug`: it holds a ciphertext.
#[derive(Clone, PartialEq, FromRow)]
pub struct AccountRow {
    pub secret_id: Uuid,
    pub engine_id: Uuid,
    pub account: String,
    pub password_key: String,
    pub username_key: String,
    pub pending_encrypted: Option<Vec<u8>>,
    pub pending_version: Option<i64>,
    pub attempts: i64,
    pub due_at: Option<DateTime<Utc>>,
    pub last_error: Option<String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
    /// The process that took it last to rotate it.
    pub claimed_by: Option<Uuid>,
}

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT secret_id, engine_id, account, password_key, username_key, pending_encrypted, pending_version, attempts, \
             due_at, last_error, created_at, updated_at, claimed_by FROM account_rotations",
            $tail
        )
    };
}

pub async fn by_secret(tx: &mut Tx, secret_id: Uuid) -> Result<Option<AccountRow>> {
    on!(tx, c => sqlx::query_as(select!(" WHERE secret_id = $1")).bind(secret_id).fetch_optional(c))
}

/// # Errors
/// `CONFLICT` if another secret holds the password of this account.
pub async fn insert(tx: &mut Tx, row: &AccountRow) -> Result<()> {
    let inserted = exec!(
        tx,
        sqlx::query(
            "INSERT INTO account_rotations (secret_id, engine_id, account, password_key, username_key, pending_encrypted, \
             pending_version, attempts, due_at, last_error, created_at, updated_at, claimed_by) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING"
        )
        .bind(row.secret_id)
        .bind(row.engine_id)
        .bind(&row.account)
        .bind(&row.password_key)
        .bind(&row.username_key)
        .bind(&row.pending_encrypted)
        .bind(row.pending_version)
        .bind(row.attempts)
        .bind(row.due_at)
        .bind(&row.last_error)
        .bind(row.created_at)
        .bind(row.updated_at)
        .bind(row.claimed_by)
    )?;
    if inserted == 0 {
        return Err(Error::conflict(
            "the secret is bound to an account already, or the account to another secret: unbind it there first",
        ));
    }
    Ok(())
}

/// Every column that can change, by secret.
///
/// # Errors
/// `CONFLICT` if the row is gone.
pub async fn update(tx: &mut Tx, row: &AccountRow) -> Result<()> {
    changed_one(exec!(
        tx,
        sqlx::query(
            "UPDATE account_rotations SET pending_encrypted = $2, pending_version = $3, attempts = $4, due_at = $5, \
             last_error = $6, updated_at = $7, claimed_by = $8 WHERE secret_id = $1"
        )
        .bind(row.secret_id)
        .bind(&row.pending_encrypted)
        .bind(row.pending_version)
        .bind(row.attempts)
        .bind(row.due_at)
        .bind(&row.last_error)
        .bind(row.updated_at)
        .bind(row.claimed_by)
    )?)
}

/// Nothing happens if it is not there.
pub async fn remove(tx: &mut Tx, secret_id: Uuid) -> Result<()> {
    exec!(tx, sqlx::query("DELETE FROM account_rotations WHERE secret_id = $1").bind(secret_id)).map(drop)
}

/// How many accounts are bound to an engine.
pub async fn count_of(tx: &mut Tx, engine_id: Uuid) -> Result<i64> {
    let (count,): (i64,) = on!(tx, c => sqlx::query_as(
        "SELECT count(*) FROM account_rotations WHERE engine_id = $1"
    ).bind(engine_id).fetch_one(c))?;
    Ok(count)
}

/// Accounts whose new password is on its way and due, and those whose secret's schedule has come; at most `limit`.
pub async fn due(tx: &mut Tx, now: DateTime<Utc>, limit: i64) -> Result<Vec<AccountRow>> {
    let mut rows: Vec<AccountRow> = on!(tx, c => sqlx::query_as(select!(
        " WHERE due_at <= $1 ORDER BY due_at LIMIT $2"
    )).bind(now).bind(limit).fetch_all(c))?;
    let scheduled: Vec<AccountRow> = on!(tx, c => sqlx::query_as(select!(
        " WHERE due_at IS NULL AND secret_id IN \
          (SELECT id FROM secrets WHERE rotation_enabled AND next_rotation_at <= $1) LIMIT $2"
    )).bind(now).bind(limit).fetch_all(c))?;
    rows.extend(scheduled);
    Ok(rows)
}

/// Makes due at once the rotations that a node had taken whose process has ended. How many.
pub async fn expedite(tx: &mut Tx, node: Uuid, now: DateTime<Utc>) -> Result<u64> {
    exec!(
        tx,
        sqlx::query(
            "UPDATE account_rotations SET due_at = $2 WHERE due_at > $2 AND attempts = 0 AND claimed_by = $1"
        )
        .bind(node)
        .bind(now)
    )
}
