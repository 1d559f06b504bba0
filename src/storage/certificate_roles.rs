//! Certificate roles: what may be issued, and by which authority.

use crate::error::{Error, Result};
use crate::storage::db::{Tx, exec, on};
use crate::storage::glance::{Glance, look};
use crate::storage::page::Page;
use crate::storage::select::{Arg, Select, changed_one, key, page_rows};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::FromRow;
use sqlx::types::Json;
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct CertificateRoleRow {
    pub id: Uuid,
    pub path: String,
    /// `None`: the default authority.
    pub issuer_id: Option<Uuid>,
    /// [`RoleRules`](crate::model::certificates::RoleRules).
    pub rules: Json<Value>,
    pub ttl_seconds: i64,
    pub max_ttl_seconds: i64,
    pub renewable: bool,
    pub requires_approval: bool,
    pub enabled: bool,
    pub description: Option<String>,
    pub metadata: Json<Value>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

macro_rules! columns {
    () => {
        "id, path, issuer_id, rules, ttl_seconds, max_ttl_seconds, renewable, requires_approval, enabled, description, \
         metadata, created_at, updated_at"
    };
}

macro_rules! select {
    ($tail:literal) => {
        concat!("SELECT ", columns!(), " FROM certificate_roles", $tail)
    };
}

/// A path and those below it; see [`WITHIN`](super::leases::WITHIN).
const WITHIN: &str = "(path >= $? AND path < $? || '/' AND (path = $? OR path > $? || '.'))";

pub async fn by_id(tx: &mut Tx, id: Uuid) -> Result<Option<CertificateRoleRow>> {
    on!(tx, c => sqlx::query_as(select!(" WHERE id = $1")).bind(id).fetch_optional(c))
}

pub async fn by_path(tx: &mut Tx, path: &str) -> Result<Option<CertificateRoleRow>> {
    on!(tx, c => sqlx::query_as(select!(" WHERE path = $1")).bind(path).fetch_optional(c))
}

/// The role at a path, and the authority that signs by it: the one that it names, or the default. `None`: there is no default.
pub async fn with_issuer(glance: Glance, path: &str) -> Result<Option<(CertificateRoleRow, Option<Uuid>)>> {
    #[derive(FromRow)]
    struct WithIssuer {
        #[sqlx(flatten)]
        role: CertificateRoleRow,
        signed_by: Option<Uuid>,
    }
    let found: Option<WithIssuer> = look!(glance, c => sqlx::query_as(concat!(
        "SELECT ",
        columns!(),
        ", COALESCE(issuer_id, (SELECT a.id FROM certificate_authorities a WHERE a.is_default)) AS signed_by \
         FROM certificate_roles WHERE path = $1"
    )).bind(path).fetch_optional(c))?;
    Ok(found.map(|found| (found.role, found.signed_by)))
}

/// # Errors
/// `CONFLICT` if the path is taken.
pub async fn insert(tx: &mut Tx, row: &CertificateRoleRow) -> Result<()> {
    let inserted = exec!(
        tx,
        sqlx::query(concat!(
            "INSERT INTO certificate_roles (",
            columns!(),
            ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT (path) DO NOTHING"
        ))
        .bind(row.id)
        .bind(&row.path)
        .bind(row.issuer_id)
        .bind(&row.rules)
        .bind(row.ttl_seconds)
        .bind(row.max_ttl_seconds)
        .bind(row.renewable)
        .bind(row.requires_approval)
        .bind(row.enabled)
        .bind(&row.description)
        .bind(&row.metadata)
        .bind(row.created_at)
        .bind(row.updated_at)
    )?;
    if inserted == 0 {
        return Err(Error::conflict(
            "a certificate role with this path exists already: update it or choose another path",
        ));
    }
    Ok(())
}

/// Every column that can change, by id.
///
/// # Errors
/// `CONFLICT` if the row is gone.
pub async fn update(tx: &mut Tx, row: &CertificateRoleRow) -> Result<()> {
    changed_one(exec!(
        tx,
        sqlx::query(
            "UPDATE certificate_roles SET issuer_id = $2, rules = $3, ttl_seconds = $4, max_ttl_seconds = $5, renewable = $6, \
             requires_approval = $7, enabled = $8, description = $9, metadata = $10, updated_at = $11 WHERE id = $1"
        )
        .bind(row.id)
        .bind(row.issuer_id)
        .bind(&row.rules)
        .bind(row.ttl_seconds)
        .bind(row.max_ttl_seconds)
        .bind(row.renewable)
        .bind(row.requires_approval)
        .bind(row.enabled)
        .bind(&row.description)
        .bind(&row.metadata)
        .bind(row.updated_at)
    )?)
}

/// `false`: it was not there.
pub async fn delete(tx: &mut Tx, id: Uuid) -> Result<bool> {
    let removed = exec!(tx, sqlx::query("DELETE FROM certificate_roles WHERE id = $1").bind(id))?;
    Ok(removed == 1)
}

/// A page of roles by path; with a prefix, those of this path and below it.
pub async fn list(tx: &mut Tx, page: &Page, prefix: Option<&str>) -> Result<Vec<CertificateRoleRow>> {
    let mut select = Select::new(select!(""));
    if let Some(prefix) = prefix {
        select.and(WITHIN, Arg::Text(prefix));
    }
    select.page(page, &key!("path"));
    page_rows!(tx, select, page)
}

/// The paths of the roles that name an authority, in order; at most `limit`.
pub async fn paths_of(tx: &mut Tx, issuer_id: Uuid, limit: i64) -> Result<Vec<String>> {
    let rows: Vec<(String,)> = on!(tx, c => sqlx::query_as(
        "SELECT path FROM certificate_roles WHERE issuer_id = $1 ORDER BY path LIMIT $2"
    ).bind(issuer_id).bind(limit).fetch_all(c))?;
    Ok(rows.into_iter().map(|(path,)| path).collect())
}
