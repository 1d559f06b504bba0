//! Requests for certificates that wait for an operator, and what was decided.

use crate::error::Result;
use crate::storage::db::{Tx, change, exec, on};
use crate::storage::page::Page;
use crate::storage::select::{Arg, Select, key, page_rows};
use crate::storage::types::Inet;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::FromRow;
use sqlx::types::Json;
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct EnrollmentRow {
    /// A UUID of version 7: lists are in the order of their making.
    pub id: Uuid,
    pub role_path: String,
    pub csr_pem: String,
    /// What was asked for beside the CSR.
    pub request: Json<Value>,
    /// `pending`, `approved`, `denied` or `expired`.
    pub state: String,
    pub requested_by: String,
    pub token_accessor: Uuid,
    pub source_ip: Option<Inet>,
    /// What was issued; with `approved`, and only then.
    pub certificate_id: Option<Uuid>,
    pub decided_by: Option<String>,
    pub reason: Option<String>,
    pub created_at: DateTime<Utc>,
    /// `None` while it is pending, and only then.
    pub decided_at: Option<DateTime<Utc>>,
    /// Who has not decided by then cannot any more.
    pub expires_at: DateTime<Utc>,
}

macro_rules! columns {
    () => {
        "id, role_path, csr_pem, request, state, requested_by, token_accessor, source_ip, certificate_id, decided_by, \
         reason, created_at, decided_at, expires_at"
    };
}

macro_rules! select {
    ($tail:literal) => {
        concat!("SELECT ", columns!(), " FROM enrollments", $tail)
    };
}

pub async fn by_id(tx: &mut Tx, id: Uuid) -> Result<Option<EnrollmentRow>> {
    on!(tx, c => sqlx::query_as(select!(" WHERE id = $1")).bind(id).fetch_optional(c))
}

pub async fn insert(tx: &mut Tx, row: &EnrollmentRow) -> Result<()> {
    exec!(
        tx,
        sqlx::query(concat!(
            "INSERT INTO enrollments (",
            columns!(),
            ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
        ))
        .bind(row.id)
        .bind(&row.role_path)
        .bind(&row.csr_pem)
        .bind(&row.request)
        .bind(&row.state)
        .bind(&row.requested_by)
        .bind(row.token_accessor)
        .bind(row.source_ip)
        .bind(row.certificate_id)
        .bind(&row.decided_by)
        .bind(&row.reason)
        .bind(row.created_at)
        .bind(row.decided_at)
        .bind(row.expires_at)
    )
    .map(drop)
}

/// Which requests a list is of.
#[derive(Debug, Clone, Default)]
pub struct ListEnrollments {
    pub state: Option<String>,
    pub role_path: Option<String>,
    /// Only of this caller.
    pub requested_by: Option<String>,
}

/// A page of requests in the order in which they were made, oldest first; the page's keys are ids as texts.
///
/// # Errors
/// `BAD_USER_INPUT` at `after` or `before` for a key that is no id.
pub async fn list(tx: &mut Tx, filter: &ListEnrollments, page: &Page) -> Result<Vec<EnrollmentRow>> {
    let mut select = Select::new(select!(""));
    for (condition, value) in [
        ("state = $?", &filter.state),
        ("role_path = $?", &filter.role_path),
        ("requested_by = $?", &filter.requested_by),
    ] {
        if let Some(value) = value {
            select.and(condition, Arg::Text(value));
        }
    }
    select.page_by_id(page, &key!("id"))?;
    page_rows!(tx, select, page)
}

/// What was decided on a request, and by whom.
#[derive(Debug, Clone)]
pub struct Decision<'a> {
    /// `approved` or `denied`.
    pub state: &'a str,
    pub by: &'a str,
    pub reason: Option<&'a str>,
    /// With `approved`.
    pub certificate_id: Option<Uuid>,
    pub at: DateTime<Utc>,
}

/// Decides on a request that is in the state `from`, and before it expires. `false`: it is not, or too late.
pub async fn decide(tx: &mut Tx, id: Uuid, from: &str, decision: &Decision<'_>) -> Result<bool> {
    let changed = exec!(
        tx,
        sqlx::query(
            "UPDATE enrollments SET state = $3, decided_by = $4, reason = $5, certificate_id = $6, decided_at = $7 \
             WHERE id = $1 AND state = $2 AND expires_at > $7"
        )
        .bind(id)
        .bind(from)
        .bind(decision.state)
        .bind(decision.by)
        .bind(decision.reason)
        .bind(decision.certificate_id)
        .bind(decision.at)
    )?;
    Ok(changed == 1)
}

/// Ends up to `limit` requests that nobody decided on in time; which, in no order.
pub async fn expire(tx: &mut Tx, now: DateTime<Utc>, limit: i64) -> Result<Vec<Uuid>> {
    let rows: Vec<(Uuid,)> = change!(tx, c => sqlx::query_as(
        "UPDATE enrollments SET state = 'expired', decided_at = $1 WHERE state = 'pending' AND id IN \
         (SELECT id FROM enrollments WHERE state = 'pending' AND expires_at <= $1 ORDER BY expires_at LIMIT $2) RETURNING id"
    ).bind(now).bind(limit).fetch_all(c))?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// How many requests of this caller are pending.
pub async fn count_pending(tx: &mut Tx, requested_by: &str) -> Result<i64> {
    let (count,): (i64,) = on!(tx, c => sqlx::query_as(
        "SELECT count(*) FROM enrollments WHERE requested_by = $1 AND state = 'pending'"
    ).bind(requested_by).fetch_one(c))?;
    Ok(count)
}

/// Removes up to `limit` requests that were decided on, or expired, before this time. How many.
pub async fn purge(tx: &mut Tx, before: DateTime<Utc>, limit: i64) -> Result<u64> {
    exec!(
        tx,
        sqlx::query(
            "DELETE FROM enrollments WHERE id IN (SELECT id FROM enrollments WHERE decided_at < $1 LIMIT $2)"
        )
        .bind(before)
        .bind(limit)
    )
}
