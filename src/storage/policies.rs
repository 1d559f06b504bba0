//! Policies: the documents as they were written. Their meaning is in the model.

use crate::error::{Error, Result};
use crate::storage::db::{Tx, exec, on};
use crate::storage::page::Page;
use crate::storage::select::{Select, changed_one, key, page_rows};
use crate::storage::types::TextArray;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::FromRow;
use sqlx::types::Json;
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct PolicyRow {
    pub id: Uuid,
    pub name: String,
    pub description: Option<String>,
    pub policy_document: Json<Value>,
    /// Entities that the policy holds for besides those whose token names it.
    pub entity_bindings: TextArray,
    pub max_ttl_seconds: Option<i64>,
    pub deny_policy: bool,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT id, name, description, policy_document, entity_bindings, max_ttl_seconds, deny_policy, created_at, \
             updated_at FROM policies",
            $tail
        )
    };
}

/// Every policy, in order of their names.
pub async fn all(tx: &mut Tx) -> Result<Vec<PolicyRow>> {
    on!(tx, c => sqlx::query_as(select!(" ORDER BY name")).fetch_all(c))
}

pub async fn find(tx: &mut Tx, name: &str) -> Result<Option<PolicyRow>> {
    on!(tx, c => sqlx::query_as(select!(" WHERE name = $1")).bind(name).fetch_optional(c))
}

pub async fn by_id(tx: &mut Tx, id: Uuid) -> Result<Option<PolicyRow>> {
    on!(tx, c => sqlx::query_as(select!(" WHERE id = $1")).bind(id).fetch_optional(c))
}

/// # Errors
/// `CONFLICT` if the name is taken.
pub async fn insert(tx: &mut Tx, row: &PolicyRow) -> Result<()> {
    let inserted = exec!(
        tx,
        sqlx::query(
            "INSERT INTO policies (id, name, description, policy_document, entity_bindings, max_ttl_seconds, \
             deny_policy, created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) \
             ON CONFLICT (name) DO NOTHING"
        )
        .bind(row.id)
        .bind(&row.name)
        .bind(&row.description)
        .bind(&row.policy_document)
        .bind(&row.entity_bindings)
        .bind(row.max_ttl_seconds)
        .bind(row.deny_policy)
        .bind(row.created_at)
        .bind(row.updated_at)
    )?;
    if inserted == 0 {
        return Err(Error::conflict(
            "a policy with this name exists already: update it or choose another name",
        ));
    }
    Ok(())
}

/// Every column that can change, by id: not name and creation.
///
/// # Errors
/// `CONFLICT` if the row is gone.
pub async fn update(tx: &mut Tx, row: &PolicyRow) -> Result<()> {
    let changed = exec!(
        tx,
        sqlx::query(
            "UPDATE policies SET description = $2, policy_document = $3, entity_bindings = $4, max_ttl_seconds = $5, \
             deny_policy = $6, updated_at = $7 WHERE id = $1"
        )
        .bind(row.id)
        .bind(&row.description)
        .bind(&row.policy_document)
        .bind(&row.entity_bindings)
        .bind(row.max_ttl_seconds)
        .bind(row.deny_policy)
        .bind(row.updated_at)
    )?;
    changed_one(changed)
}

/// Whether there was one to remove.
pub async fn remove(tx: &mut Tx, name: &str) -> Result<bool> {
    exec!(tx, sqlx::query("DELETE FROM policies WHERE name = $1").bind(name)).map(|removed| removed == 1)
}

/// In order of their names (compared byte by byte).
pub async fn list(tx: &mut Tx, page: &Page) -> Result<Vec<PolicyRow>> {
    let mut select = Select::new(select!(""));
    select.page(page, &key!("name"));
    page_rows!(tx, select, page)
}

pub async fn count(tx: &mut Tx) -> Result<i64> {
    on!(tx, c => sqlx::query_scalar("SELECT count(*) FROM policies").fetch_one(c))
}
