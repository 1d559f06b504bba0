//! Tokens: hashes, never the tokens themselves.

use crate::error::Result;
use crate::storage::batch::Later;
use crate::storage::db::{Connected, Tx, change, exec, on};
use crate::storage::page::Page;
use crate::storage::select::{Arg, Select, changed_one, key, page_rows};
use crate::storage::texts::{Texts, exec_rows, select_keys};
use crate::storage::types::TextArray;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::FromRow;
use sqlx::types::Json;
use std::sync::LazyLock;
use uuid::Uuid;

/// One token. No `Debug`: it holds the hash.
#[derive(Clone, PartialEq, FromRow)]
pub struct TokenRow {
    pub accessor: Uuid,
    pub token_hash: Vec<u8>,
    pub parent_accessor: Option<Uuid>,
    pub display_name: String,
    pub entity: Option<String>,
    /// `app`, `agent` or `admin`.
    pub entity_type: String,
    pub role_id: Option<Uuid>,
    pub role_name: Option<String>,
    pub policies: TextArray,
    pub bound_cidr_list: TextArray,
    pub ttl_seconds: Option<i64>,
    pub period_seconds: Option<i64>,
    /// `None` = no limit.
    pub uses_left: Option<i64>,
    pub renewable: bool,
    pub created_at: DateTime<Utc>,
    /// `None` = never.
    pub expires_at: Option<DateTime<Utc>>,
    /// No renewal reaches beyond this.
    pub max_expires_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
    pub revocation_reason: Option<String>,
    pub metadata: Json<Value>,
    /// The client certificate that it, or the token that made it, was got with.
    pub certificate_id: Option<Uuid>,
    /// Of that certificate: SHA-256 of the DER, lower-case hex.
    pub certificate_fingerprint: Option<String>,
}

/// A token that was revoked just now. No `Debug`: it holds the hash.
#[derive(Clone, PartialEq, Eq, FromRow)]
pub struct RevokedToken {
    pub accessor: Uuid,
    pub token_hash: Vec<u8>,
}

macro_rules! columns {
    () => {
        "accessor, token_hash, parent_accessor, display_name, entity, entity_type, role_id, role_name, policies, \
         bound_cidr_list, ttl_seconds, period_seconds, uses_left, renewable, created_at, expires_at, max_expires_at, \
         revoked_at, revocation_reason, metadata, certificate_id, certificate_fingerprint"
    };
}
macro_rules! select {
    ($tail:literal) => {
        concat!("SELECT ", columns!(), " FROM tokens", $tail)
    };
}

/// Revokes the tokens of this condition and all their descendants.
macro_rules! revoke {
    ($condition:literal) => {
        concat!(
            "WITH RECURSIVE tree (accessor) AS (SELECT accessor FROM tokens WHERE ",
            $condition,
            " UNION SELECT t.accessor FROM tokens t JOIN tree ON t.parent_accessor = tree.accessor) \
             UPDATE tokens SET revoked_at = $2, revocation_reason = $3 \
             WHERE accessor IN (SELECT accessor FROM tree) AND revoked_at IS NULL RETURNING accessor, token_hash"
        )
    };
}

pub async fn by_hash(tx: &mut Tx, hash: &[u8]) -> Result<Option<TokenRow>> {
    on!(tx, c => sqlx::query_as(select!(" WHERE token_hash = $1")).bind(hash).fetch_optional(c))
}

pub async fn by_accessor(tx: &mut Tx, accessor: Uuid) -> Result<Option<TokenRow>> {
    on!(tx, c => sqlx::query_as(select!(" WHERE accessor = $1")).bind(accessor).fetch_optional(c))
}

/// In a batch the row is put off: nobody in it can hold the token yet.
pub async fn insert(tx: &mut Tx, row: &TokenRow) -> Result<()> {
    tx.put_off(Later::Token(Box::new(row.clone()))).await
}

/// Binds the columns of a token in their order.
macro_rules! bind_token {
    ($query:expr, $row:expr) => {
        $query
            .bind($row.accessor)
            .bind(&$row.token_hash)
            .bind($row.parent_accessor)
            .bind(&$row.display_name)
            .bind(&$row.entity)
            .bind(&$row.entity_type)
            .bind($row.role_id)
            .bind(&$row.role_name)
            .bind(&$row.policies)
            .bind(&$row.bound_cidr_list)
            .bind($row.ttl_seconds)
            .bind($row.period_seconds)
            .bind($row.uses_left)
            .bind($row.renewable)
            .bind($row.created_at)
            .bind($row.expires_at)
            .bind($row.max_expires_at)
            .bind($row.revoked_at)
            .bind(&$row.revocation_reason)
            .bind(&$row.metadata)
            .bind($row.certificate_id)
            .bind(&$row.certificate_fingerprint)
    };
}

pub(super) async fn insert_all(connection: &mut Connected, rows: &[TokenRow]) -> Result<()> {
    static TEXTS: LazyLock<Texts> =
        LazyLock::new(|| Texts::new(concat!("INSERT INTO tokens (", columns!(), ") VALUES "), 22, "", 6));
    exec_rows!(connection, &TEXTS, rows, bind_token);
    Ok(())
}

/// Until when a token lives.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct TokenLife {
    pub accessor: Uuid,
    pub revoked_at: Option<DateTime<Utc>>,
    /// `None` = never.
    pub expires_at: Option<DateTime<Utc>>,
}

impl TokenLife {
    #[must_use]
    pub fn is_live(&self, now: DateTime<Utc>) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|end| now < end)
    }
}

impl TokenRow {
    #[must_use]
    pub fn life(&self) -> TokenLife {
        TokenLife { accessor: self.accessor, revoked_at: self.revoked_at, expires_at: self.expires_at }
    }
}

pub async fn life(tx: &mut Tx, accessor: Uuid) -> Result<Option<TokenLife>> {
    if let Some(known) = tx.ahead().and_then(|ahead| ahead.tokens.get(&accessor)) {
        return Ok(known.clone());
    }
    Ok(lives(tx, &[accessor]).await?.pop())
}

/// Of all these tokens, in no order.
pub(super) async fn lives(tx: &mut Tx, accessors: &[Uuid]) -> Result<Vec<TokenLife>> {
    static TEXTS: LazyLock<Texts> = LazyLock::new(|| {
        Texts::new("SELECT accessor, revoked_at, expires_at FROM tokens WHERE accessor IN (", 1, ")", 6)
    });
    select_keys!(tx, &TEXTS, accessors, query, accessor => query.bind(accessor))
}

/// # Errors
/// `CONFLICT` if the token is gone or revoked.
pub async fn renew(tx: &mut Tx, accessor: Uuid, expires_at: impl Into<Option<DateTime<Utc>>>) -> Result<()> {
    let expires_at: Option<DateTime<Utc>> = expires_at.into();
    let changed = exec!(
        tx,
        sqlx::query("UPDATE tokens SET expires_at = $2 WHERE accessor = $1 AND revoked_at IS NULL")
            .bind(accessor)
            .bind(expires_at)
    )?;
    changed_one(changed)
}

/// Takes one use; `false` if none is left, or the token is gone or revoked. A token without a limit stays without.
pub async fn use_once(tx: &mut Tx, accessor: Uuid) -> Result<bool> {
    exec!(
        tx,
        sqlx::query(
            "UPDATE tokens SET uses_left = uses_left - 1 \
             WHERE accessor = $1 AND (uses_left IS NULL OR uses_left > 0) AND revoked_at IS NULL"
        )
        .bind(accessor)
    )
    .map(|changed| changed == 1)
}

/// Revokes the token and all its descendants; those that were not revoked before, in no order.
pub async fn revoke_tree(
    tx: &mut Tx,
    accessor: Uuid,
    now: DateTime<Utc>,
    reason: &str,
) -> Result<Vec<RevokedToken>> {
    change!(tx, c => sqlx::query_as(revoke!("accessor = $1")).bind(accessor).bind(now).bind(reason).fetch_all(c))
}

/// Revokes the tokens of a role and all their descendants; those that were not revoked before, in no order.
pub async fn revoke_of_role(
    tx: &mut Tx,
    role_id: Uuid,
    now: DateTime<Utc>,
    reason: &str,
) -> Result<Vec<RevokedToken>> {
    change!(tx, c => sqlx::query_as(revoke!("role_id = $1")).bind(role_id).bind(now).bind(reason).fetch_all(c))
}

/// Revokes the tokens that were got with a certificate or with one below it, and all their descendants; those that were not
/// revoked before, in no order.
pub async fn revoke_of_certificate(
    tx: &mut Tx,
    certificate_id: Uuid,
    now: DateTime<Utc>,
    reason: &str,
) -> Result<Vec<RevokedToken>> {
    change!(tx, c => sqlx::query_as(revoke!(
        "certificate_id IN (WITH RECURSIVE below (id) AS (SELECT id FROM certificates WHERE id = $1 \
         UNION SELECT c.id FROM certificates c JOIN below ON c.issuer_id = below.id) SELECT id FROM below)"
    )).bind(certificate_id).bind(now).bind(reason).fetch_all(c))
}

/// The tokens of a certificate that are neither revoked nor expired at `now`, by accessor; at most `limit`.
pub async fn live_of_certificate(
    tx: &mut Tx,
    certificate_id: Uuid,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Uuid>> {
    let rows: Vec<(Uuid,)> = on!(tx, c => sqlx::query_as(
        "SELECT accessor FROM tokens WHERE certificate_id = $1 AND revoked_at IS NULL \
         AND (expires_at IS NULL OR expires_at > $2) ORDER BY accessor LIMIT $3"
    ).bind(certificate_id).bind(now).bind(limit).fetch_all(c))?;
    Ok(rows.into_iter().map(|(accessor,)| accessor).collect())
}

/// A page of the tokens that are neither revoked nor expired at `now`, by accessor; the page's keys are accessors as texts.
///
/// # Errors
/// `BAD_USER_INPUT` at `after` or `before` for a key that is no accessor.
pub async fn list(tx: &mut Tx, now: DateTime<Utc>, page: &Page) -> Result<Vec<TokenRow>> {
    let mut select = Select::new(select!(""));
    select.when("revoked_at IS NULL");
    select.and("(expires_at IS NULL OR expires_at > $?)", Arg::Time(now));
    select.page_by_id(page, &key!("accessor"))?;
    page_rows!(tx, select, page)
}

/// Removes up to `limit` tokens that expired or were revoked before this time. How many.
///
/// Leaves first: a token whose children are still recorded stays, so that revoking it reaches them. Call again until 0.
pub async fn purge(tx: &mut Tx, before: DateTime<Utc>, limit: i64) -> Result<u64> {
    exec!(
        tx,
        sqlx::query(
            "DELETE FROM tokens WHERE accessor IN (SELECT t.accessor FROM tokens t \
             WHERE (t.expires_at < $1 OR t.revoked_at < $1) \
             AND NOT EXISTS (SELECT 1 FROM tokens child WHERE child.parent_accessor = t.accessor) LIMIT $2)"
        )
        .bind(before)
        .bind(limit)
    )
}
