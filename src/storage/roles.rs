//! AppRoles and failed logins; the SecretIDs of roles are in this module too, in another file.

use crate::error::{Error, Result};
use crate::storage::db::{Tx, exec, on};
use crate::storage::page::Page;
use crate::storage::select::{Select, changed_one, key, page_rows};
use crate::storage::texts::{Texts, select_keys};
use crate::storage::types::TextArray;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::FromRow;
use sqlx::types::Json;
use std::sync::LazyLock;
use uuid::Uuid;

pub(super) use crate::storage::roles_secret_ids::presented_by;
pub use crate::storage::roles_secret_ids::{
    PresentedKey, SecretIdRow, insert_secret_id, presented, purge_secret_ids, remove_secret_id,
    secret_id_by_accessor, secret_ids, use_secret_id,
};

#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct RoleRow {
    pub role_id: Uuid,
    pub role_name: String,
    pub policies: TextArray,
    pub token_policies: TextArray,
    pub ttl_seconds: i64,
    pub max_ttl_seconds: i64,
    pub bind_secret_id: bool,
    /// 0 = no limit.
    pub secret_id_num_uses: i64,
    pub secret_id_ttl_seconds: Option<i64>,
    pub bound_cidr_list: TextArray,
    pub token_bound_cidr_list: TextArray,
    /// 0 = no limit.
    pub token_num_uses: i64,
    pub token_period_seconds: Option<i64>,
    /// `app`, `agent` or `admin`.
    pub entity_type: String,
    pub enabled: bool,
    pub description: Option<String>,
    pub metadata: Json<Value>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// The failed logins of one subject (a role id or an address) since its last success.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct LoginFailures {
    pub subject: String,
    pub failures: i64,
    pub last_failed_at: DateTime<Utc>,
    pub locked_until: Option<DateTime<Utc>>,
}

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT role_id, role_name, policies, token_policies, ttl_seconds, max_ttl_seconds, bind_secret_id, \
             secret_id_num_uses, secret_id_ttl_seconds, bound_cidr_list, token_bound_cidr_list, token_num_uses, \
             token_period_seconds, entity_type, enabled, description, metadata, created_at, updated_at FROM roles",
            $tail
        )
    };
}

pub async fn find(tx: &mut Tx, name: &str) -> Result<Option<RoleRow>> {
    on!(tx, c => sqlx::query_as(select!(" WHERE role_name = $1")).bind(name).fetch_optional(c))
}

pub async fn by_id(tx: &mut Tx, role_id: Uuid) -> Result<Option<RoleRow>> {
    on!(tx, c => sqlx::query_as(select!(" WHERE role_id = $1")).bind(role_id).fetch_optional(c))
}

/// # Errors
/// `CONFLICT` if the name is taken.
pub async fn insert(tx: &mut Tx, row: &RoleRow) -> Result<()> {
    let inserted = exec!(
        tx,
        sqlx::query(
            "INSERT INTO roles (role_id, role_name, policies, token_policies, ttl_seconds, max_ttl_seconds, bind_secret_id, \
             secret_id_num_uses, secret_id_ttl_seconds, bound_cidr_list, token_bound_cidr_list, token_num_uses, \
             token_period_seconds, entity_type, enabled, description, metadata, created_at, updated_at) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19) \
             ON CONFLICT (role_name) DO NOTHING"
        )
        .bind(row.role_id)
        .bind(&row.role_name)
        .bind(&row.policies)
        .bind(&row.token_policies)
        .bind(row.ttl_seconds)
        .bind(row.max_ttl_seconds)
        .bind(row.bind_secret_id)
        .bind(row.secret_id_num_uses)
        .bind(row.secret_id_ttl_seconds)
        .bind(&row.bound_cidr_list)
        .bind(&row.token_bound_cidr_list)
        .bind(row.token_num_uses)
        .bind(row.token_period_seconds)
        .bind(&row.entity_type)
        .bind(row.enabled)
        .bind(&row.description)
        .bind(&row.metadata)
        .bind(row.created_at)
        .bind(row.updated_at)
    )?;
    if inserted == 0 {
        return Err(Error::conflict(
            "a role with this name exists already: update it or choose another name",
        ));
    }
    Ok(())
}

/// Every column that can change, by id: not name and creation.
///
/// # Errors
/// `CONFLICT` if the row is gone.
pub async fn update(tx: &mut Tx, row: &RoleRow) -> Result<()> {
    let changed = exec!(
        tx,
        sqlx::query(
            "UPDATE roles SET policies = $2, token_policies = $3, ttl_seconds = $4, max_ttl_seconds = $5, \
             bind_secret_id = $6, secret_id_num_uses = $7, secret_id_ttl_seconds = $8, bound_cidr_list = $9, \
             token_bound_cidr_list = $10, token_num_uses = $11, token_period_seconds = $12, entity_type = $13, \
             enabled = $14, description = $15, metadata = $16, updated_at = $17 WHERE role_id = $1"
        )
        .bind(row.role_id)
        .bind(&row.policies)
        .bind(&row.token_policies)
        .bind(row.ttl_seconds)
        .bind(row.max_ttl_seconds)
        .bind(row.bind_secret_id)
        .bind(row.secret_id_num_uses)
        .bind(row.secret_id_ttl_seconds)
        .bind(&row.bound_cidr_list)
        .bind(&row.token_bound_cidr_list)
        .bind(row.token_num_uses)
        .bind(row.token_period_seconds)
        .bind(&row.entity_type)
        .bind(row.enabled)
        .bind(&row.description)
        .bind(&row.metadata)
        .bind(row.updated_at)
    )?;
    changed_one(changed)
}

/// Removes the role with its SecretIDs; whether there was one. Its tokens are for the caller to revoke.
pub async fn remove(tx: &mut Tx, role_id: Uuid) -> Result<bool> {
    exec!(tx, sqlx::query("DELETE FROM roles WHERE role_id = $1").bind(role_id)).map(|removed| removed == 1)
}

/// In order of their names (compared byte by byte).
pub async fn list(tx: &mut Tx, page: &Page) -> Result<Vec<RoleRow>> {
    let mut select = Select::new(select!(""));
    select.page(page, &key!("role_name"));
    page_rows!(tx, select, page)
}

pub async fn failures(tx: &mut Tx, subject: &str) -> Result<Option<LoginFailures>> {
    if let Some(known) = tx.ahead().and_then(|ahead| ahead.failures.get(subject)) {
        return Ok(known.clone());
    }
    Ok(failures_of(tx, &[subject]).await?.pop())
}

/// Those of all these subjects that have any, in no order.
pub(super) async fn failures_of<S: AsRef<str>>(tx: &mut Tx, subjects: &[S]) -> Result<Vec<LoginFailures>> {
    static TEXTS: LazyLock<Texts> = LazyLock::new(|| {
        let head =
            "SELECT subject, failures, last_failed_at, locked_until FROM login_failures WHERE subject IN (";
        Texts::new(head, 1, ")", 6)
    });
    select_keys!(tx, &TEXTS, subjects, query, subject => query.bind(subject.as_ref()))
}

/// Writes the subject's row, whether it is there or not.
pub async fn put_failures(tx: &mut Tx, row: &LoginFailures) -> Result<()> {
    exec!(
        tx,
        sqlx::query(
            "INSERT INTO login_failures (subject, failures, last_failed_at, locked_until) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (subject) DO UPDATE SET failures = excluded.failures, \
             last_failed_at = excluded.last_failed_at, locked_until = excluded.locked_until"
        )
        .bind(&row.subject)
        .bind(row.failures)
        .bind(row.last_failed_at)
        .bind(row.locked_until)
    )
    .map(drop)
}

pub async fn clear_failures(tx: &mut Tx, subject: &str) -> Result<()> {
    exec!(tx, sqlx::query("DELETE FROM login_failures WHERE subject = $1").bind(subject)).map(drop)
}

/// Forgets up to `limit` subjects whose last failure, and lock if any, lie before this time. How many.
pub async fn purge_failures(tx: &mut Tx, before: DateTime<Utc>, limit: i64) -> Result<u64> {
    exec!(
        tx,
        sqlx::query(
            "DELETE FROM login_failures WHERE subject IN (SELECT subject FROM login_failures \
             WHERE last_failed_at < $1 AND (locked_until IS NULL OR locked_until < $1) LIMIT $2)"
        )
        .bind(before)
        .bind(limit)
    )
}
