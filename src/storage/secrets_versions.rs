//! The versions of secrets, with their sealed data.

use crate::error::Result;
use crate::storage::db::{Connected, Tx, exec, on};
use crate::storage::page::VersionPage;
use crate::storage::select::{Arg, Select, bind_all, page_rows};
use crate::storage::texts::{Texts, exec_rows};
use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, FromRow};
use std::sync::LazyLock;
use uuid::Uuid;

/// How many versions are named in one statement.
const CHUNK: usize = 500;
/// How many versions of a secret leave a row behind when they are destroyed, counted from the newest.
pub const REMEMBERED: i64 = 1000;

/// One version. No `Debug`: it holds sealed data.
#[derive(Clone, PartialEq, FromRow)]
pub struct VersionRow {
    pub secret_id: Uuid,
    pub version: i64,
    /// `None` once destroyed.
    pub encrypted_data: Option<Vec<u8>>,
    /// The data key that `encrypted_data` is sealed under.
    pub key_version: i64,
    pub created_at: DateTime<Utc>,
    pub created_by: Option<String>,
    pub deleted_at: Option<DateTime<Utc>>,
    pub destroyed: bool,
}

/// One version without its data.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct VersionInfo {
    pub secret_id: Uuid,
    pub version: i64,
    pub key_version: i64,
    pub created_at: DateTime<Utc>,
    pub created_by: Option<String>,
    pub deleted_at: Option<DateTime<Utc>>,
    pub destroyed: bool,
}

macro_rules! columns {
    () => {
        "secret_id, version, encrypted_data, key_version, created_at, created_by, deleted_at, destroyed"
    };
}
macro_rules! select {
    ($tail:literal) => {
        concat!("SELECT ", columns!(), " FROM secret_versions", $tail)
    };
}
pub(super) use columns;

/// Binds the columns of a version in their order.
macro_rules! bind_version {
    ($query:expr, $row:expr) => {
        $query
            .bind($row.secret_id)
            .bind($row.version)
            .bind(&$row.encrypted_data)
            .bind($row.key_version)
            .bind($row.created_at)
            .bind(&$row.created_by)
            .bind($row.deleted_at)
            .bind($row.destroyed)
    };
}

pub(super) async fn insert_all(connection: &mut Connected, rows: &[VersionRow]) -> Result<()> {
    static TEXTS: LazyLock<Texts> = LazyLock::new(|| {
        Texts::new(concat!("INSERT INTO secret_versions (", columns!(), ") VALUES "), 8, "", 6)
    });
    exec_rows!(connection, &TEXTS, rows, bind_version);
    Ok(())
}

pub async fn version(tx: &mut Tx, secret_id: Uuid, version: i64) -> Result<Option<VersionRow>> {
    on!(tx, c => sqlx::query_as(select!(" WHERE secret_id = $1 AND version = $2"))
        .bind(secret_id).bind(version).fetch_optional(c))
}

/// Those of these versions that there are, without their data, in no order.
pub async fn these_versions(tx: &mut Tx, secret_id: Uuid, versions: &[i64]) -> Result<Vec<VersionInfo>> {
    let mut found = Vec::with_capacity(versions.len());
    for chunk in versions.chunks(CHUNK) {
        let mut select = Select::new(INFO);
        select.and("secret_id = $?", Arg::Uuid(secret_id));
        select.any_of("version", chunk.iter().map(|version| Arg::Int(*version)));
        let Select { text, args, .. } = select;
        let rows: Vec<VersionInfo> =
            on!(tx, c => bind_all!(sqlx::query_as(AssertSqlSafe(text)), &args).fetch_all(c))?;
        found.extend(rows);
    }
    Ok(found)
}

const INFO: &str = "SELECT secret_id, version, key_version, created_at, created_by, deleted_at, destroyed FROM secret_versions";

/// Newest first.
pub async fn versions(tx: &mut Tx, secret_id: Uuid, page: &VersionPage) -> Result<Vec<VersionInfo>> {
    let mut select = Select::new(INFO);
    select.and("secret_id = $?", Arg::Uuid(secret_id));
    if let Some(after) = page.after {
        select.and("version < $?", Arg::Int(after));
    }
    if let Some(before) = page.before {
        select.and("version > $?", Arg::Int(before));
    }
    select.order(if page.backward { "version" } else { "version DESC" }, page.limit);
    page_rows!(tx, select, page)
}

/// Marks versions as deleted, or with `None` as not; destroyed ones stay as they are. How many were changed.
pub async fn set_deleted(
    tx: &mut Tx,
    secret_id: Uuid,
    versions: &[i64],
    deleted_at: Option<DateTime<Utc>>,
) -> Result<u64> {
    let mut changed = 0;
    for chunk in versions.chunks(CHUNK) {
        let (text, args) = of_versions("UPDATE secret_versions SET deleted_at = $1", 1, secret_id, chunk);
        changed += exec!(tx, bind_all!(sqlx::query(AssertSqlSafe(text.as_str())).bind(deleted_at), &args))?;
    }
    Ok(changed)
}

/// Removes the data of versions for good. How many were changed.
pub async fn destroy(tx: &mut Tx, secret_id: Uuid, versions: &[i64]) -> Result<u64> {
    let mut changed = 0;
    for chunk in versions.chunks(CHUNK) {
        let (text, args) = of_versions(
            "UPDATE secret_versions SET encrypted_data = NULL, destroyed = $1",
            1,
            secret_id,
            chunk,
        );
        changed += exec!(tx, bind_all!(sqlx::query(AssertSqlSafe(text.as_str())).bind(true), &args))?;
    }
    Ok(changed)
}

/// An update's text and arguments, limited to these versions that are not destroyed.
fn of_versions<'a>(
    head: &'static str,
    bound: usize,
    secret_id: Uuid,
    versions: &[i64],
) -> (String, Vec<Arg<'a>>) {
    let mut select = Select::after(head, bound);
    select.and("secret_id = $?", Arg::Uuid(secret_id));
    select.when("NOT destroyed");
    select.any_of("version", versions.iter().map(|version| Arg::Int(*version)));
    (select.text, select.args)
}

/// Prunes the oldest versions of a secret whose current version is `current`: of all but the newest `kept` the data is removed
/// for good, and of all but the newest [`REMEMBERED`] the rows of destroyed ones too. How many lost their data.
pub async fn prune(tx: &mut Tx, secret_id: Uuid, current: i64, kept: i64) -> Result<u64> {
    let oldest = current - kept;
    let destroyed =
        if oldest > 0 { exec!(tx, sqlx::query(PRUNE).bind(secret_id).bind(oldest).bind(0_i64))? } else { 0 };
    let oldest = current - REMEMBERED;
    if oldest > 0 {
        exec!(tx, sqlx::query(FORGET).bind(secret_id).bind(oldest).bind(0_i64))?;
    }
    Ok(destroyed)
}

/// The condition is that of the index `secret_versions_data`, word for word, so that both planners use it.
pub(super) const PRUNE: &str = "UPDATE secret_versions SET encrypted_data = NULL, destroyed = true \
     WHERE secret_id = $1 AND version <= $2 AND version > $3 AND encrypted_data IS NOT NULL";

/// Below this number only tombstones are left, and those of earlier calls are gone: what the primary key finds goes.
pub(super) const FORGET: &str = "DELETE FROM secret_versions \
     WHERE secret_id = $1 AND version <= $2 AND version > $3 AND encrypted_data IS NULL";

/// Versions whose data is sealed under an older data key than this one: what is left to rewrap, in order of (data key, secret,
/// version), from the first after `after`, so that one that cannot be rewrapped does not hold up the rest.
pub async fn sealed_under_older_key(
    tx: &mut Tx,
    key_version: i64,
    after: Option<(i64, Uuid, i64)>,
    limit: i64,
) -> Result<Vec<VersionRow>> {
    let (after_key, after_id, after_version) = after.unwrap_or_default();
    on!(tx, c => sqlx::query_as(select!(
        " WHERE encrypted_data IS NOT NULL AND key_version < $1 AND (key_version, secret_id, version) > ($2, $3, $4) \
         ORDER BY key_version, secret_id, version LIMIT $5"
    )).bind(key_version).bind(after_key).bind(after_id).bind(after_version).bind(limit).fetch_all(c))
}

/// Puts the same data sealed under another key in place of `old`; `false` if the stored data is not `old` any more.
pub async fn replace_sealed(
    tx: &mut Tx,
    secret_id: Uuid,
    version: i64,
    old: &[u8],
    new: &[u8],
    key_version: i64,
) -> Result<bool> {
    exec!(
        tx,
        sqlx::query(
            "UPDATE secret_versions SET encrypted_data = $4, key_version = $5 \
             WHERE secret_id = $1 AND version = $2 AND encrypted_data = $3"
        )
        .bind(secret_id)
        .bind(version)
        .bind(old)
        .bind(new)
        .bind(key_version)
    )
    .map(|changed| changed == 1)
}
