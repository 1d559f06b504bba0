//! The SecretIDs of roles: hashes, never the SecretIDs themselves.

use crate::error::Result;
use crate::storage::db::{Tx, exec, exec_known, on};
use crate::storage::errors::corrupt;
use crate::storage::page::Page;
use crate::storage::roles::RoleRow;
use crate::storage::select::{Arg, Select, key, page_rows};
use crate::storage::texts::{Texts, select_keys};
use crate::storage::types::TextArray;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, FromRow};
use std::sync::LazyLock;
use uuid::Uuid;

/// One SecretID. No `Debug`: it holds the hash.
#[derive(Clone, PartialEq, FromRow)]
pub struct SecretIdRow {
    pub accessor: Uuid,
    pub role_id: Uuid,
    pub secret_id_hash: Vec<u8>,
    /// `None` = no limit.
    pub uses_left: Option<i64>,
    /// `None` = never.
    pub expires_at: Option<DateTime<Utc>>,
    pub bound_cidr_list: TextArray,
    pub metadata: Json<Value>,
    pub created_by: Option<String>,
    pub created_at: DateTime<Utc>,
    pub last_used_at: Option<DateTime<Utc>>,
}

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT accessor, role_id, secret_id_hash, uses_left, expires_at, bound_cidr_list, metadata, created_by, \
             created_at, last_used_at FROM role_secret_ids",
            $tail
        )
    };
}

/// A role, and the hash of the SecretID that is presented for it.
pub type PresentedKey = (Uuid, Option<[u8; 32]>);

/// A role, and which of its SecretIDs was presented.
#[derive(FromRow)]
struct Presented {
    /// The hash that was asked for.
    asked: Option<Vec<u8>>,
    #[sqlx(flatten)]
    role: RoleRow,
    accessor: Option<Uuid>,
    secret_id_hash: Option<Vec<u8>>,
    uses_left: Option<i64>,
    expires_at: Option<DateTime<Utc>>,
    secret_id_cidr_list: Option<TextArray>,
    secret_id_metadata: Option<Json<Value>>,
    secret_id_created_by: Option<String>,
    secret_id_created_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
}

/// The role with this id, and its SecretID with this hash, expired or not: in one look, so that a role that there is not takes as
/// long as one that there is.
pub async fn presented(tx: &mut Tx, key: PresentedKey) -> Result<Option<(RoleRow, Option<SecretIdRow>)>> {
    if let Some(known) = tx.ahead().and_then(|ahead| ahead.presented.get(&key)) {
        return Ok(known.clone());
    }
    Ok(presented_by(tx, &[key]).await?.pop().map(|(_, found)| found))
}

/// The same for all these, in no order.
pub(super) async fn presented_by(
    tx: &mut Tx,
    keys: &[PresentedKey],
) -> Result<Vec<(PresentedKey, (RoleRow, Option<SecretIdRow>))>> {
    static TEXTS: LazyLock<Texts> =
        LazyLock::new(|| Texts::new("WITH asked (role_id, hash) AS (VALUES ", 2, ROLES, 6));
    let found: Result<Vec<Presented>> = select_keys!(
        tx, &TEXTS, keys, query, key => query.bind(key.0).bind(key.1.as_ref().map(|hash| &hash[..]))
    );
    found?.into_iter().map(Presented::split).collect()
}

const ROLES: &str = ") SELECT a.hash AS asked, \
     r.role_id, r.role_name, r.policies, r.token_policies, r.ttl_seconds, r.max_ttl_seconds, r.bind_secret_id, \
     r.secret_id_num_uses, r.secret_id_ttl_seconds, r.bound_cidr_list, r.token_bound_cidr_list, r.token_num_uses, \
     r.token_period_seconds, r.entity_type, r.enabled, r.description, r.metadata, r.created_at, r.updated_at, \
     s.accessor, s.secret_id_hash, s.uses_left, s.expires_at, s.bound_cidr_list AS secret_id_cidr_list, \
     s.metadata AS secret_id_metadata, s.created_by AS secret_id_created_by, s.created_at AS secret_id_created_at, \
     s.last_used_at FROM asked a JOIN roles r ON r.role_id = a.role_id \
     LEFT JOIN role_secret_ids s ON s.role_id = a.role_id AND s.secret_id_hash = a.hash";

impl Presented {
    fn split(self) -> Result<(PresentedKey, (RoleRow, Option<SecretIdRow>))> {
        let role_id = self.role.role_id;
        let damaged = |_| corrupt("role_secret_ids", "secret_id_hash", &role_id.to_string());
        let key = (role_id, self.asked.map(|hash| hash.try_into().map_err(damaged)).transpose()?);
        let found = (self.accessor, self.secret_id_hash, self.secret_id_created_at);
        let (Some(accessor), Some(secret_id_hash), Some(created_at)) = found else {
            return Ok((key, (self.role, None)));
        };
        let row = SecretIdRow {
            accessor,
            role_id,
            secret_id_hash,
            uses_left: self.uses_left,
            expires_at: self.expires_at,
            bound_cidr_list: self.secret_id_cidr_list.unwrap_or_default(),
            metadata: self.secret_id_metadata.unwrap_or_default(),
            created_by: self.secret_id_created_by,
            created_at,
            last_used_at: self.last_used_at,
        };
        Ok((key, (self.role, Some(row))))
    }
}

pub async fn secret_id_by_accessor(tx: &mut Tx, accessor: Uuid) -> Result<Option<SecretIdRow>> {
    on!(tx, c => sqlx::query_as(select!(" WHERE accessor = $1")).bind(accessor).fetch_optional(c))
}

pub async fn insert_secret_id(tx: &mut Tx, row: &SecretIdRow) -> Result<()> {
    exec!(
        tx,
        sqlx::query(
            "INSERT INTO role_secret_ids (accessor, role_id, secret_id_hash, uses_left, expires_at, bound_cidr_list, \
             metadata, created_by, created_at, last_used_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
        )
        .bind(row.accessor)
        .bind(row.role_id)
        .bind(&row.secret_id_hash)
        .bind(row.uses_left)
        .bind(row.expires_at)
        .bind(&row.bound_cidr_list)
        .bind(&row.metadata)
        .bind(&row.created_by)
        .bind(row.created_at)
        .bind(row.last_used_at)
    )
    .map(drop)
}

/// Takes one use; `last` says that it is the last one, with which the SecretID is removed. `false` if it is gone, used up,
/// expired at `now`, or the last when that was not said: of any number of transactions at the same time, as many get `true`
/// as there were uses left.
pub async fn use_secret_id(tx: &mut Tx, accessor: Uuid, last: bool, now: DateTime<Utc>) -> Result<bool> {
    let usable = "accessor = $1 AND (expires_at IS NULL OR expires_at > $2)";
    let text = if last {
        format!("DELETE FROM role_secret_ids WHERE {usable} AND uses_left = 1")
    } else {
        format!(
            "UPDATE role_secret_ids SET uses_left = uses_left - 1, last_used_at = $2 \
             WHERE {usable} AND (uses_left IS NULL OR uses_left > 1)"
        )
    };
    if let Some(ahead) = tx.ahead() {
        let is_used = |found: &Option<(RoleRow, Option<SecretIdRow>)>| {
            found.iter().any(|(_, row)| row.iter().any(|row| row.accessor == accessor))
        };
        ahead.presented.retain(|_, found| !is_used(found));
    }
    exec_known!(tx, sqlx::query(AssertSqlSafe(text.as_str())).bind(accessor).bind(now)).map(|used| used == 1)
}

/// Whether there was one to remove.
pub async fn remove_secret_id(tx: &mut Tx, accessor: Uuid) -> Result<bool> {
    exec!(tx, sqlx::query("DELETE FROM role_secret_ids WHERE accessor = $1").bind(accessor))
        .map(|removed| removed == 1)
}

/// A page of the SecretIDs of a role, by accessor; the page's keys are accessors as texts.
///
/// # Errors
/// `BAD_USER_INPUT` at `after` or `before` for a key that is no accessor.
pub async fn secret_ids(tx: &mut Tx, role_id: Uuid, page: &Page) -> Result<Vec<SecretIdRow>> {
    let mut select = Select::new(select!(""));
    select.and("role_id = $?", Arg::Uuid(role_id));
    select.page_by_id(page, &key!("accessor"))?;
    page_rows!(tx, select, page)
}

/// Removes up to `limit` SecretIDs that have expired at `now`. How many.
pub async fn purge_secret_ids(tx: &mut Tx, now: DateTime<Utc>, limit: i64) -> Result<u64> {
    exec!(
        tx,
        sqlx::query(
            "DELETE FROM role_secret_ids WHERE accessor IN \
             (SELECT accessor FROM role_secret_ids WHERE expires_at <= $1 LIMIT $2)"
        )
        .bind(now)
        .bind(limit)
    )
}
