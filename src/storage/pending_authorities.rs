//! Intermediate authorities whose certificate an authority outside is yet to sign: the request, and the sealed key.

use crate::error::Result;
use crate::storage::db::{Tx, change, exec, on};
use crate::storage::page::Page;
use crate::storage::select::{Arg, Select, key, page_rows};
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

/// No `Debug`: it holds a ciphertext.
#[derive(Clone, PartialEq, Eq, FromRow)]
pub struct PendingAuthorityRow {
    pub id: Uuid,
    pub common_name: String,
    pub organization: Option<String>,
    pub organizational_unit: Option<String>,
    pub key_type: String,
    pub csr_pem: String,
    pub private_key_encrypted: Vec<u8>,
    /// Of `private_key_encrypted`.
    pub key_version: i64,
    pub requested_by: String,
    pub created_at: DateTime<Utc>,
}

macro_rules! columns {
    () => {
        "id, common_name, organization, organizational_unit, key_type, csr_pem, private_key_encrypted, key_version, \
         requested_by, created_at"
    };
}

macro_rules! select {
    ($tail:literal) => {
        concat!("SELECT ", columns!(), " FROM pending_authorities", $tail)
    };
}

pub async fn by_id(tx: &mut Tx, id: Uuid) -> Result<Option<PendingAuthorityRow>> {
    on!(tx, c => sqlx::query_as(select!(" WHERE id = $1")).bind(id).fetch_optional(c))
}

pub async fn insert(tx: &mut Tx, row: &PendingAuthorityRow) -> Result<()> {
    exec!(
        tx,
        sqlx::query(concat!(
            "INSERT INTO pending_authorities (",
            columns!(),
            ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
        ))
        .bind(row.id)
        .bind(&row.common_name)
        .bind(&row.organization)
        .bind(&row.organizational_unit)
        .bind(&row.key_type)
        .bind(&row.csr_pem)
        .bind(&row.private_key_encrypted)
        .bind(row.key_version)
        .bind(&row.requested_by)
        .bind(row.created_at)
    )
    .map(drop)
}

/// How many there are, counted up to `most`.
pub async fn count(tx: &mut Tx, most: i64) -> Result<i64> {
    let (found,): (i64,) = on!(tx, c => sqlx::query_as(
        "SELECT count(*) FROM (SELECT 1 FROM pending_authorities LIMIT $1) AS counted"
    ).bind(most).fetch_one(c))?;
    Ok(found)
}

/// A page of those that were asked for after this time, oldest first; the page's keys are ids as texts.
///
/// # Errors
/// `BAD_USER_INPUT` at `after` or `before` for a key that is no id.
pub async fn list(tx: &mut Tx, since: DateTime<Utc>, page: &Page) -> Result<Vec<PendingAuthorityRow>> {
    let mut select = Select::new(select!(""));
    select.and("created_at > $?", Arg::Time(since));
    select.page_by_id(page, &key!("id"))?;
    page_rows!(tx, select, page)
}

/// `false`: it was not there.
pub async fn delete(tx: &mut Tx, id: Uuid) -> Result<bool> {
    let removed = exec!(tx, sqlx::query("DELETE FROM pending_authorities WHERE id = $1").bind(id))?;
    Ok(removed == 1)
}

/// Removes up to `limit` that were asked for before this time: their ids, oldest first.
pub async fn purge(tx: &mut Tx, before: DateTime<Utc>, limit: i64) -> Result<Vec<Uuid>> {
    let rows: Vec<(Uuid,)> = change!(tx, c => sqlx::query_as(
        "DELETE FROM pending_authorities WHERE id IN \
         (SELECT id FROM pending_authorities WHERE created_at < $1 ORDER BY id LIMIT $2) RETURNING id"
    ).bind(before).bind(limit).fetch_all(c))?;
    let mut ids: Vec<Uuid> = rows.into_iter().map(|(id,)| id).collect();
    ids.sort_unstable();
    Ok(ids)
}

/// Those whose private key is sealed under an older data key than `active`; at most `limit`.
pub async fn sealed_under_older_key(
    tx: &mut Tx,
    active: i64,
    limit: i64,
) -> Result<Vec<PendingAuthorityRow>> {
    on!(tx, c => sqlx::query_as(select!(" WHERE key_version < $1 ORDER BY id LIMIT $2"))
        .bind(active).bind(limit).fetch_all(c))
}

/// Another ciphertext of the same private key in place of `old`. `false`: that is not what is there.
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
            "UPDATE pending_authorities SET private_key_encrypted = $3, key_version = $4 \
             WHERE id = $1 AND private_key_encrypted = $2"
        )
        .bind(id)
        .bind(old)
        .bind(sealed)
        .bind(key_version)
    )?;
    Ok(changed == 1)
}
