//! Certificates that sign others, with the counters of their revocation lists; the lists themselves have a table of their own.
//! Those that wait for a signature from outside are in `pending_authorities.rs`.

use crate::error::{Error, Result};
use crate::storage::db::{Tx, change, exec, on};
use crate::storage::page::Page;
use crate::storage::select::{Select, changed_one, key, page_rows};
use chrono::{DateTime, Utc};
use sqlx::FromRow;
use uuid::Uuid;

/// What a certificate has beside its row in `certificates`.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct AuthorityRow {
    /// Of its certificate.
    pub id: Uuid,
    pub is_default: bool,
    /// Whether it signs new certificates.
    pub enabled: bool,
    /// The certificates above it, nearest first; empty for a root.
    pub chain_pem: String,
    /// Of how many of its certificates the revocation was numbered.
    pub revocations: i64,
    /// How many of those its list holds.
    pub crl_covers: i64,
    pub crl_number: i64,
    /// `None`: there is no list yet.
    pub crl_this_update: Option<DateTime<Utc>>,
    pub crl_next_update: Option<DateTime<Utc>>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

macro_rules! columns {
    () => {
        "id, is_default, enabled, chain_pem, revocations, crl_covers, crl_number, crl_this_update, crl_next_update, \
         created_at, updated_at"
    };
}

macro_rules! select {
    ($tail:literal) => {
        concat!("SELECT ", columns!(), " FROM certificate_authorities", $tail)
    };
}

pub async fn by_id(tx: &mut Tx, id: Uuid) -> Result<Option<AuthorityRow>> {
    on!(tx, c => sqlx::query_as(select!(" WHERE id = $1")).bind(id).fetch_optional(c))
}

/// As [`by_id`], and nobody else changes the row until the transaction ends.
pub async fn by_id_for_update(tx: &mut Tx, id: Uuid) -> Result<Option<AuthorityRow>> {
    // SQLite has one writer at a time, and no such clause
    let text =
        if tx.is_postgres() { select!(" WHERE id = $1 FOR UPDATE") } else { select!(" WHERE id = $1") };
    on!(tx, c => sqlx::query_as(text).bind(id).fetch_optional(c))
}

/// The one that signs where none is named.
pub async fn default(tx: &mut Tx) -> Result<Option<AuthorityRow>> {
    on!(tx, c => sqlx::query_as(select!(" WHERE is_default")).fetch_optional(c))
}

/// Every one, oldest first; 1,000 at most.
pub async fn all(tx: &mut Tx) -> Result<Vec<AuthorityRow>> {
    on!(tx, c => sqlx::query_as(select!(" ORDER BY id LIMIT 1000")).fetch_all(c))
}

/// A page of them, oldest first; the page's keys are ids as texts.
///
/// # Errors
/// `BAD_USER_INPUT` at `after` or `before` for a key that is no id.
pub async fn list(tx: &mut Tx, page: &Page) -> Result<Vec<AuthorityRow>> {
    let mut select = Select::new(select!(""));
    select.page_by_id(page, &key!("id"))?;
    page_rows!(tx, select, page)
}

/// An authority's certificate.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct AnchorRow {
    pub id: Uuid,
    pub fingerprint: String,
    pub certificate_pem: String,
}

/// The certificates of authorities that are neither revoked nor outside their time at `now`, oldest first; 1,000 at most. Whether
/// those above them stand, [`chain`](super::certificates::chain) tells.
pub async fn anchors(tx: &mut Tx, now: DateTime<Utc>) -> Result<Vec<AnchorRow>> {
    // a cross join is what SQLite takes in this order: it would begin with every certificate that is not revoked
    on!(tx, c => sqlx::query_as(
        "SELECT c.id, c.fingerprint, c.certificate_pem FROM certificate_authorities a CROSS JOIN certificates c \
         WHERE c.id = a.id AND NOT c.revoked AND c.valid_from <= $1 AND c.valid_until > $1 ORDER BY a.id LIMIT 1000"
    ).bind(now).fetch_all(c))
}

/// Its certificate must be there.
///
/// # Errors
/// `CONFLICT` if it is there already, or is to be the default and another one is.
pub async fn insert(tx: &mut Tx, row: &AuthorityRow) -> Result<()> {
    let inserted = exec!(
        tx,
        sqlx::query(concat!(
            "INSERT INTO certificate_authorities (",
            columns!(),
            ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING"
        ))
        .bind(row.id)
        .bind(row.is_default)
        .bind(row.enabled)
        .bind(&row.chain_pem)
        .bind(row.revocations)
        .bind(row.crl_covers)
        .bind(row.crl_number)
        .bind(row.crl_this_update)
        .bind(row.crl_next_update)
        .bind(row.created_at)
        .bind(row.updated_at)
    )?;
    if inserted == 0 {
        return Err(Error::conflict(
            "this authority, or another one as the default, is there already: read the authorities again and retry",
        ));
    }
    Ok(())
}

/// Makes this one the default in place of the one before.
///
/// # Errors
/// `CONFLICT` if it is gone; the change must be undone then.
pub async fn set_default(tx: &mut Tx, id: Uuid, now: DateTime<Utc>) -> Result<()> {
    if tx.is_postgres() {
        // of two at the same time the second is to see what the first has done
        let lock = "SELECT id FROM certificate_authorities ORDER BY id FOR UPDATE";
        exec!(tx, sqlx::query(lock))?;
    }
    exec!(
        tx,
        sqlx::query(
            "UPDATE certificate_authorities SET is_default = false, updated_at = $2 WHERE is_default AND id <> $1"
        )
        .bind(id)
        .bind(now)
    )?;
    changed_one(exec!(
        tx,
        sqlx::query("UPDATE certificate_authorities SET is_default = true, updated_at = $2 WHERE id = $1")
            .bind(id)
            .bind(now)
    )?)
}

/// # Errors
/// `CONFLICT` if it is gone.
pub async fn set_enabled(tx: &mut Tx, id: Uuid, enabled: bool, now: DateTime<Utc>) -> Result<()> {
    changed_one(exec!(
        tx,
        sqlx::query("UPDATE certificate_authorities SET enabled = $2, updated_at = $3 WHERE id = $1")
            .bind(id)
            .bind(enabled)
            .bind(now)
    )?)
}

/// The number of its next revocation: from 1, each once, none left out (if the transaction is undone, it is given again).
///
/// # Errors
/// `CONFLICT` if the authority is gone.
pub async fn next_revocation(tx: &mut Tx, id: Uuid) -> Result<i64> {
    let number: Option<(i64,)> = change!(tx, c => sqlx::query_as(
        "UPDATE certificate_authorities SET revocations = revocations + 1 WHERE id = $1 RETURNING revocations"
    ).bind(id).fetch_optional(c))?;
    changed_one(u64::from(number.is_some()))?;
    Ok(number.map_or(0, |(number,)| number))
}

/// A revocation list.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct CrlRow {
    pub der: Vec<u8>,
    pub number: i64,
    /// How many of the authority's revocations it holds.
    pub covers: i64,
    pub this_update: DateTime<Utc>,
    pub next_update: DateTime<Utc>,
}

/// The latest list of an authority.
pub async fn crl(tx: &mut Tx, id: Uuid) -> Result<Option<CrlRow>> {
    on!(tx, c => sqlx::query_as(
        "SELECT l.crl_der AS der, a.crl_number AS number, a.crl_covers AS covers, a.crl_this_update AS this_update, \
         a.crl_next_update AS next_update FROM certificate_authorities a JOIN certificate_crls l ON l.id = a.id WHERE a.id = $1"
    ).bind(id).fetch_optional(c))
}

/// What is to be known of a list without reading it.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct CrlState {
    pub id: Uuid,
    pub revocations: i64,
    pub crl_covers: i64,
    pub crl_number: i64,
    pub crl_this_update: Option<DateTime<Utc>>,
    pub crl_next_update: Option<DateTime<Utc>>,
}

macro_rules! state {
    ($tail:literal) => {
        concat!(
            "SELECT id, revocations, crl_covers, crl_number, crl_this_update, crl_next_update FROM certificate_authorities",
            $tail
        )
    };
}

pub async fn crl_state(tx: &mut Tx, id: Uuid) -> Result<Option<CrlState>> {
    on!(tx, c => sqlx::query_as(state!(" WHERE id = $1")).bind(id).fetch_optional(c))
}

/// The authorities whose list is missing, lacks a revocation, or is to be followed by the next by this time; at most `limit`.
pub async fn crl_due(tx: &mut Tx, by: DateTime<Utc>, limit: i64) -> Result<Vec<CrlState>> {
    on!(tx, c => sqlx::query_as(state!(
        " WHERE crl_next_update IS NULL OR crl_next_update <= $1 OR crl_covers < revocations ORDER BY id LIMIT $2"
    )).bind(by).bind(limit).fetch_all(c))
}

/// A list in place of the one of number `old_number`. `false`: somebody has made another one meanwhile, or the authority is gone.
pub async fn store_crl(tx: &mut Tx, id: Uuid, old_number: i64, crl: &CrlRow) -> Result<bool> {
    let changed = exec!(
        tx,
        sqlx::query(
            "UPDATE certificate_authorities SET crl_number = $3, crl_covers = $4, crl_this_update = $5, \
             crl_next_update = $6 WHERE id = $1 AND crl_number = $2"
        )
        .bind(id)
        .bind(old_number)
        .bind(crl.number)
        .bind(crl.covers)
        .bind(crl.this_update)
        .bind(crl.next_update)
    )?;
    if changed == 1 {
        exec!(
            tx,
            sqlx::query(
                "INSERT INTO certificate_crls (id, crl_der) VALUES ($1, $2) \
                 ON CONFLICT (id) DO UPDATE SET crl_der = excluded.crl_der"
            )
            .bind(id)
            .bind(&crl.der)
        )?;
    }
    Ok(changed == 1)
}
