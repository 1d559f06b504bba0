//! Secrets: one row per path. The ciphertext of static secrets is in the versions (same module, other file).

use crate::error::{Error, Result};
use crate::storage::db::{Connected, Tx, exec, on};
use crate::storage::page::Page;
use crate::storage::select::{Arg, Select, bind_all, changed_one, key, like_anywhere, page_rows};
use crate::storage::texts::{Texts, exec_rows, select_keys};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, FromRow};
use std::sync::LazyLock;
use uuid::Uuid;

pub use crate::storage::page::VersionPage;
pub use crate::storage::secrets_versions::{
    REMEMBERED, VersionInfo, VersionRow, destroy, prune, replace_sealed, sealed_under_older_key, set_deleted,
    these_versions, version, versions,
};
pub use crate::storage::secrets_writing::write;
pub(super) use crate::storage::secrets_writing::write_all;

/// Versions kept of a new static secret.
const DEFAULT_MAX_VERSIONS: i64 = 10;

/// A secret without its data.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct SecretRow {
    pub id: Uuid,
    pub secret_path: String,
    /// `static` or `dynamic_role`.
    pub secret_type: String,
    /// The current version; 0 before the first.
    pub version: i64,
    pub metadata: Json<Value>,
    pub description: Option<String>,
    /// How many versions are kept; 0 = all.
    pub max_versions: i64,
    pub rotation_enabled: bool,
    pub rotation_schedule: Option<String>,
    pub last_rotated_at: Option<DateTime<Utc>>,
    pub next_rotation_at: Option<DateTime<Utc>>,
    pub created_by: Option<String>,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

impl SecretRow {
    /// A secret that is about to be made, before its first version.
    #[must_use]
    pub fn fresh(id: Uuid, path: &str, secret_type: &str, author: &str, now: DateTime<Utc>) -> Self {
        Self {
            id,
            secret_path: path.to_owned(),
            secret_type: secret_type.to_owned(),
            version: 0,
            metadata: Json(Value::Object(serde_json::Map::new())),
            description: None,
            // a dynamic role has no versions to keep
            max_versions: if secret_type == "static" { DEFAULT_MAX_VERSIONS } else { 0 },
            rotation_enabled: false,
            rotation_schedule: None,
            last_rotated_at: None,
            next_rotation_at: None,
            created_by: Some(author.to_owned()),
            created_at: now,
            updated_at: now,
        }
    }
}

/// A secret with its current version. No `Debug`: it holds sealed data.
#[derive(Clone, FromRow)]
pub struct CurrentRow {
    #[sqlx(flatten)]
    pub secret: SecretRow,
    pub encrypted_data: Option<Vec<u8>>,
    pub deleted_at: Option<DateTime<Utc>>,
    pub destroyed: bool,
    pub version_created_at: DateTime<Utc>,
    pub version_created_by: Option<String>,
}

macro_rules! columns {
    () => {
        "id, secret_path, secret_type, version, metadata, description, max_versions, rotation_enabled, \
         rotation_schedule, last_rotated_at, next_rotation_at, created_by, created_at, updated_at"
    };
}
/// After an INSERT: what can change of those that are there.
macro_rules! renewed {
    () => {
        " ON CONFLICT (id) DO UPDATE SET version = excluded.version, metadata = excluded.metadata, \
         description = excluded.description, max_versions = excluded.max_versions, \
         rotation_enabled = excluded.rotation_enabled, rotation_schedule = excluded.rotation_schedule, \
         last_rotated_at = excluded.last_rotated_at, next_rotation_at = excluded.next_rotation_at, \
         updated_at = excluded.updated_at"
    };
}
macro_rules! select {
    ($tail:literal) => {
        concat!("SELECT ", columns!(), " FROM secrets", $tail)
    };
}
pub(super) use {columns, renewed};

/// Binds the columns of a secret in their order.
macro_rules! bind_secret {
    ($query:expr, $row:expr) => {
        $query
            .bind($row.id)
            .bind(&$row.secret_path)
            .bind(&$row.secret_type)
            .bind($row.version)
            .bind(&$row.metadata)
            .bind(&$row.description)
            .bind($row.max_versions)
            .bind($row.rotation_enabled)
            .bind(&$row.rotation_schedule)
            .bind($row.last_rotated_at)
            .bind($row.next_rotation_at)
            .bind(&$row.created_by)
            .bind($row.created_at)
            .bind($row.updated_at)
    };
}

pub async fn find(tx: &mut Tx, path: &str) -> Result<Option<SecretRow>> {
    on!(tx, c => sqlx::query_as(select!(" WHERE secret_path = $1")).bind(path).fetch_optional(c))
}

/// As [`find`], and nobody else changes the row until the transaction ends. What was read ahead is so too: whoever changes secrets
/// holds the end of the audit chain.
pub async fn find_for_update(tx: &mut Tx, path: &str) -> Result<Option<SecretRow>> {
    if let Some(known) = tx.ahead().and_then(|ahead| ahead.secrets.get(path)) {
        return Ok(known.clone());
    }
    // SQLite has one writer at a time, and no such clause
    let text = if tx.is_postgres() {
        select!(" WHERE secret_path = $1 FOR UPDATE")
    } else {
        select!(" WHERE secret_path = $1")
    };
    on!(tx, c => sqlx::query_as(text).bind(path).fetch_optional(c))
}

/// The secrets at these paths, in no order.
pub(super) async fn at_paths(tx: &mut Tx, paths: &[String]) -> Result<Vec<SecretRow>> {
    static TEXTS: LazyLock<Texts> =
        LazyLock::new(|| Texts::new(select!(" WHERE secret_path IN ("), 1, ")", 6));
    select_keys!(tx, &TEXTS, paths, query, path => query.bind(path))
}

pub async fn by_id(tx: &mut Tx, id: Uuid) -> Result<Option<SecretRow>> {
    on!(tx, c => sqlx::query_as(select!(" WHERE id = $1")).bind(id).fetch_optional(c))
}

/// The secret joined with its current version. A dynamic role has none, and no data here; `None` also for a static secret without any
/// version.
pub async fn find_current(tx: &mut Tx, path: &str) -> Result<Option<CurrentRow>> {
    on!(tx, c => sqlx::query_as(
        "SELECT s.id, s.secret_path, s.secret_type, s.version, s.metadata, s.description, s.max_versions, \
         s.rotation_enabled, s.rotation_schedule, s.last_rotated_at, s.next_rotation_at, s.created_by, s.created_at, \
         s.updated_at, v.encrypted_data, v.deleted_at, COALESCE(v.destroyed, false) AS destroyed, \
         COALESCE(v.created_at, s.updated_at) AS version_created_at, v.created_by AS version_created_by \
         FROM secrets s LEFT JOIN secret_versions v ON v.secret_id = s.id AND v.version = s.version \
         WHERE s.secret_path = $1 AND (v.version IS NOT NULL OR s.secret_type = 'dynamic_role')"
    ).bind(path).fetch_optional(c))
}

/// # Errors
/// `CONFLICT` if the path is taken.
pub async fn insert(tx: &mut Tx, row: &SecretRow) -> Result<()> {
    let inserted = exec!(
        tx,
        bind_secret!(
            sqlx::query(concat!(
                "INSERT INTO secrets (",
                columns!(),
                ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT (secret_path) DO NOTHING"
            )),
            row
        )
    )?;
    if inserted == 0 {
        return Err(Error::conflict(
            "a secret with this path exists already: write a new version of it instead",
        ));
    }
    Ok(())
}

/// Secrets, whether they are there or not: what can change of those that are.
pub(super) async fn upsert_all(connection: &mut Connected, rows: &[SecretRow]) -> Result<()> {
    static TEXTS: LazyLock<Texts> = LazyLock::new(|| {
        let head = concat!("INSERT INTO secrets (", columns!(), ") VALUES ");
        Texts::new(head, 14, renewed!(), 6)
    });
    exec_rows!(connection, &TEXTS, rows, bind_secret);
    Ok(())
}

/// Every column that can change, by id: not path, type and creation.
///
/// # Errors
/// `CONFLICT` if the row is gone.
pub async fn update(tx: &mut Tx, row: &SecretRow) -> Result<()> {
    let changed = exec!(
        tx,
        sqlx::query(
            "UPDATE secrets SET version = $2, metadata = $3, description = $4, max_versions = $5, rotation_enabled = $6, \
             rotation_schedule = $7, last_rotated_at = $8, next_rotation_at = $9, updated_at = $10 WHERE id = $1"
        )
        .bind(row.id)
        .bind(row.version)
        .bind(&row.metadata)
        .bind(&row.description)
        .bind(row.max_versions)
        .bind(row.rotation_enabled)
        .bind(&row.rotation_schedule)
        .bind(row.last_rotated_at)
        .bind(row.next_rotation_at)
        .bind(row.updated_at)
    )?;
    changed_one(changed)
}

/// Removes the secret with all its versions; nothing happens if it is not there.
pub async fn remove(tx: &mut Tx, id: Uuid) -> Result<()> {
    exec!(tx, sqlx::query("DELETE FROM secrets WHERE id = $1").bind(id)).map(drop)
}

/// Secrets in order of their paths (compared byte by byte): those in the half-open range of paths, of this type, with this
/// text in path or description.
///
/// `search` ignores case: of ASCII letters in paths and on SQLite, of all letters in descriptions on PostgreSQL.
pub async fn list(
    tx: &mut Tx,
    range: Option<(String, String)>,
    secret_type: Option<&str>,
    search: Option<&str>,
    page: &Page,
) -> Result<Vec<SecretRow>> {
    let pattern = search.map(like_anywhere);
    let mut select = Select::new(select!(""));
    if let Some((from, to)) = &range {
        select.and("secret_path >= $?", Arg::Text(from));
        select.and("secret_path < $?", Arg::Text(to));
    }
    if let Some(secret_type) = secret_type {
        select.and("secret_type = $?", Arg::Text(secret_type));
    }
    if let Some(pattern) = &pattern {
        select.and(
            r"(lower(secret_path) LIKE lower($?) ESCAPE '\' OR lower(description) LIKE lower($?) ESCAPE '\')",
            Arg::Text(pattern),
        );
    }
    select.page(page, &key!("secret_path"));
    page_rows!(tx, select, page)
}

/// The next `page.limit` paths of a list without further conditions: how many there are (fewer only at its end), and the
/// last of them in the direction of the page. It reads the index alone.
pub async fn step(
    tx: &mut Tx,
    range: Option<&(String, String)>,
    page: &Page,
) -> Result<(i64, Option<String>)> {
    let head = if page.backward {
        "SELECT count(*), min(secret_path) FROM (SELECT secret_path FROM secrets"
    } else {
        "SELECT count(*), max(secret_path) FROM (SELECT secret_path FROM secrets"
    };
    let mut select = Select::new(head);
    if let Some((from, to)) = range {
        select.and("secret_path >= $?", Arg::Text(from));
        select.and("secret_path < $?", Arg::Text(to));
    }
    select.page(page, &key!("secret_path"));
    let Select { mut text, args, .. } = select;
    text.push_str(") AS walked");
    on!(tx, c => bind_all!(sqlx::query_as(AssertSqlSafe(text)), &args).fetch_one(c))
}
