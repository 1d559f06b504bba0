//! The versions of secrets, with their sealed data.

use crate::error::Result;
use crate::storage::db::{Tx, exec, on};
use crate::storage::page::VersionPage;
use crate::storage::secrets::SecretRow;
use crate::storage::select::{Arg, Select, bind_all, changed_one};
use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, FromRow};
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

macro_rules! select {
    ($tail:literal) => {
        concat!(
            "SELECT secret_id, version, encrypted_data, key_version, created_at, created_by, deleted_at, destroyed \
             FROM secret_versions",
            $tail
        )
    };
}

pub async fn insert_version(tx: &mut Tx, row: &VersionRow) -> Result<()> {
    exec!(
        tx,
        sqlx::query(
            "INSERT INTO secret_versions (secret_id, version, encrypted_data, key_version, created_at, created_by, \
             deleted_at, destroyed) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
        )
        .bind(row.secret_id)
        .bind(row.version)
        .bind(&row.encrypted_data)
        .bind(row.key_version)
        .bind(row.created_at)
        .bind(&row.created_by)
        .bind(row.deleted_at)
        .bind(row.destroyed)
    )
    .map(drop)
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
    let Select { text, args, .. } = select;
    let mut rows: Vec<VersionInfo> =
        on!(tx, c => bind_all!(sqlx::query_as(AssertSqlSafe(text)), &args).fetch_all(c))?;
    if page.backward {
        rows.reverse();
    }
    Ok(rows)
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

/// How often a write looks at all older versions for something to prune.
const SWEEP_EVERY: i64 = 64;

/// Prunes the oldest versions of a secret whose current version is `current`: of all but the newest `kept` the data is removed
/// for good, and of all but the newest [`REMEMBERED`] the rows of destroyed ones too. How many lost their data.
pub async fn prune(tx: &mut Tx, secret_id: Uuid, current: i64, kept: i64) -> Result<u64> {
    prune_above(tx, secret_id, current, kept, 0).await
}

/// One more version of a secret that there is: its row as changed, the version, and what is then one over.
///
/// # Errors
/// `CONFLICT` if the row is gone.
pub async fn add_version(tx: &mut Tx, secret: &SecretRow, version: &VersionRow) -> Result<()> {
    if !tx.is_postgres() {
        super::secrets::update(tx, secret).await?;
        insert_version(tx, version).await?;
        return prune_next(tx, secret.id, version.version, secret.max_versions).await.map(drop);
    }
    // all in one round trip; what is pruned here is forgotten by a later call, which sees it pruned
    let above = |newest: i64| above(newest, span_at(version.version));
    let (kept, remembered) = (version.version - secret.max_versions, version.version - REMEMBERED);
    let changed = exec!(
        tx,
        sqlx::query(ADD_VERSION)
            .bind(secret.id)
            .bind(secret.version)
            .bind(&secret.metadata)
            .bind(&secret.description)
            .bind(secret.max_versions)
            .bind(secret.rotation_enabled)
            .bind(&secret.rotation_schedule)
            .bind(secret.last_rotated_at)
            .bind(secret.next_rotation_at)
            .bind(secret.updated_at)
            .bind(version.version)
            .bind(&version.encrypted_data)
            .bind(version.key_version)
            .bind(version.created_at)
            .bind(&version.created_by)
            .bind(version.deleted_at)
            .bind(version.destroyed)
            .bind(kept)
            .bind(above(kept))
            .bind(remembered)
            .bind(above(remembered))
    )?;
    changed_one(changed)
}

const ADD_VERSION: &str = "WITH added AS (INSERT INTO secret_versions (secret_id, version, encrypted_data, key_version, \
     created_at, created_by, deleted_at, destroyed) VALUES ($1, $11, $12, $13, $14, $15, $16, $17)), \
     pruned AS (UPDATE secret_versions SET encrypted_data = NULL, destroyed = true \
     WHERE secret_id = $1 AND version <= $18 AND version > $19 AND encrypted_data IS NOT NULL), \
     forgotten AS (DELETE FROM secret_versions \
     WHERE secret_id = $1 AND version <= $20 AND version > $21 AND encrypted_data IS NULL) \
     UPDATE secrets SET version = $2, metadata = $3, description = $4, max_versions = $5, rotation_enabled = $6, \
     rotation_schedule = $7, last_rotated_at = $8, next_rotation_at = $9, updated_at = $10 WHERE id = $1";

/// The same after one more version was written: what is one over is pruned, and only now and then is everything gone over. A
/// secret is written again and again, and PostgreSQL keeps what was pruned in its indexes until it vacuums.
async fn prune_next(tx: &mut Tx, secret_id: Uuid, current: i64, kept: i64) -> Result<u64> {
    prune_above(tx, secret_id, current, kept, span_at(current)).await
}

/// How many of the newest that are over a write looks at.
fn span_at(current: i64) -> i64 {
    if current % SWEEP_EVERY == 0 { current } else { 1 }
}

/// The number above which that is; 0 for all.
fn above(newest: i64, span: i64) -> i64 {
    if span == 0 { 0 } else { (newest - span).max(0) }
}

/// Goes over the newest `span` of those to be pruned; 0 for all.
async fn prune_above(tx: &mut Tx, secret_id: Uuid, current: i64, kept: i64, span: i64) -> Result<u64> {
    let oldest = current - kept;
    let destroyed = if oldest > 0 {
        exec!(tx, sqlx::query(PRUNE).bind(secret_id).bind(oldest).bind(above(oldest, span)))?
    } else {
        0
    };
    let oldest = current - REMEMBERED;
    if oldest > 0 {
        exec!(tx, sqlx::query(FORGET).bind(secret_id).bind(oldest).bind(above(oldest, span)))?;
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
