//! Finding and reading.

use super::super::context::{Access, OpContext, settle};
use super::super::ledger::Attempt;
use super::super::paging::{Connection, Cursor, PageRequest};
use super::super::seal::open_record;
use super::{Rights, SecretView, about, absent, current, forbidden, record_name};
use crate::error::{Error, Result};
use crate::model::audit::EventType;
use crate::model::paths::SecretPath;
use crate::model::policies::Operation;
use crate::storage::errors::corrupt;
use crate::storage::page::VersionPage;
use crate::storage::secrets as store;
use crate::storage::secrets::{CurrentRow, VersionInfo};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

/// A value, on its way to the caller.
#[derive(Clone)]
pub struct SecretValue {
    pub version: i64,
    /// A JSON object.
    pub data: Value,
}

/// A secret, and what came of reading its current value at the same time.
pub struct Opened {
    pub view: SecretView,
    /// `None`: there is no value (a deleted version, a dynamic role).
    pub value: Result<Option<SecretValue>>,
}

/// The secret at a path, if the caller may list or read it.
///
/// # Errors
/// `UNAUTHENTICATED`, `SEALED`, `UNAVAILABLE`.
pub async fn find(ctx: &OpContext, path: &SecretPath) -> Result<Option<SecretView>> {
    settle!(find_once(ctx, path))
}

async fn find_once(ctx: &OpContext, path: &SecretPath) -> Result<Option<SecretView>, Attempt> {
    let access = ctx.access().await?;
    let rights = Rights::of(&access, path);
    if !rights.may_know() {
        hide(&access, path, &rights).await?;
        return Ok(None);
    }
    let row = current(&access, path).await?;
    let event = access.granted(EventType::SecretListed, rights.showing());
    let mut event = about(event, path, row.as_ref().map(|row| &row.secret), None);
    event.event_data = json!({ "found": row.is_some() });
    access.record(vec![event]).await?;
    Ok(row.map(|row| SecretView::from_row(&row.secret)).transpose()?)
}

async fn hide(access: &Access, path: &SecretPath, rights: &Rights) -> Result<(), Attempt> {
    let mut event = about(access.refused(EventType::SecretAccessDenied, rights.showing()), path, None, None);
    event.event_data = json!({ "operation": Operation::List.as_str() });
    access.record(vec![event]).await
}

/// A secret by its id; what [`find`] shows of its path.
///
/// # Errors
/// As [`find`].
pub async fn by_id(ctx: &OpContext, id: Uuid) -> Result<Option<SecretView>> {
    let Some(path) = settle!(path_of(ctx, id))? else { return Ok(None) };
    // the path may have been given to another secret since
    Ok(find(ctx, &path).await?.filter(|view| view.id == id))
}

/// The path of an id, to be asked for then. That there is none is recorded too, and takes as long as a refusal.
async fn path_of(ctx: &OpContext, id: Uuid) -> Result<Option<SecretPath>, Attempt> {
    let access = ctx.access().await?;
    let row = {
        let mut tx = access.app().read().await?;
        store::by_id(&mut tx, id).await?
    };
    if let Some(row) = row {
        return Ok(Some(SecretView::from_row(&row)?.path));
    }
    let mut event = access.event(EventType::SecretListed);
    event.event_data = json!({ "found": false, "id": id.to_string() });
    access.record(vec![event]).await?;
    Ok(None)
}

/// [`find`] and [`read`] of the current version in one step, with one audit event: for a query that asks for both.
///
/// # Errors
/// As [`find`].
pub async fn open(ctx: &OpContext, path: &SecretPath) -> Result<Option<Opened>> {
    settle!(open_once(ctx, path))
}

async fn open_once(ctx: &OpContext, path: &SecretPath) -> Result<Option<Opened>, Attempt> {
    let access = ctx.access().await?;
    let rights = Rights::of(&access, path);
    if !rights.may_know() {
        hide(&access, path, &rights).await?;
        return Ok(None);
    }
    let Some(row) = current(&access, path).await? else {
        let mut event = about(access.granted(EventType::SecretListed, rights.showing()), path, None, None);
        event.event_data = json!({ "found": false });
        access.record(vec![event]).await?;
        return Ok(None);
    };
    let view = SecretView::from_row(&row.secret)?;
    if !rights.read.allowed {
        let mut event = access.refused(EventType::SecretAccessDenied, &rights.read);
        event.event_data = json!({ "operation": Operation::Read.as_str() });
        access.record(vec![about(event, path, Some(&row.secret), Some(row.secret.version))]).await?;
        return Ok(Some(Opened { view, value: Err(forbidden(Operation::Read, path)) }));
    }
    let value = current_value(&access, &row).await;
    let mut event = about(
        access.granted(EventType::SecretAccessed, &rights.read),
        path,
        Some(&row.secret),
        Some(row.secret.version),
    );
    if !matches!(&value, Ok(Some(_))) {
        event.event_data = json!({ "value": false });
    }
    access.record(vec![event]).await?;
    Ok(Some(Opened { view, value }))
}

async fn current_value(access: &Access, row: &CurrentRow) -> Result<Option<SecretValue>> {
    let sealed = row.encrypted_data.as_deref().filter(|_| row.deleted_at.is_none() && !row.destroyed);
    let Some(sealed) = sealed else { return Ok(None) };
    decrypt(access, row.secret.id, row.secret.version, sealed).await.map(Some)
}

async fn decrypt(access: &Access, id: Uuid, version: i64, sealed: &[u8]) -> Result<SecretValue> {
    let secret_id = id.to_string();
    let plain = open_record(access.app(), &record_name(&secret_id, version), sealed).await?;
    let data = serde_json::from_slice(&plain)
        .map_err(|_| corrupt("secret_versions", "encrypted_data", &format!("{id} version {version}")))?;
    Ok(SecretValue { version, data })
}

/// The value of a version, or of the current one. `None` for a deleted or destroyed version and for a dynamic role.
///
/// # Errors
/// `FORBIDDEN` for who may list the secret but not read it, `NOT_FOUND` for who may neither, and for a version that
/// never was.
pub async fn read(ctx: &OpContext, path: &SecretPath, version: Option<i64>) -> Result<Option<SecretValue>> {
    if version.is_none() {
        return open(ctx, path).await?.ok_or_else(absent)?.value;
    }
    settle!(read_once(ctx, path, version.unwrap_or_default()))
}

async fn read_once(ctx: &OpContext, path: &SecretPath, version: i64) -> Result<Option<SecretValue>, Attempt> {
    let access = ctx.access().await?;
    let decision = super::require(&access, Operation::Read, path).await?;
    let row = current(&access, path).await?.ok_or_else(absent)?;
    let found = if version == row.secret.version {
        current_value(&access, &row).await?
    } else {
        let stored = {
            let mut tx = access.app().read().await?;
            store::version(&mut tx, row.secret.id, version).await?
        };
        let stored = stored.ok_or_else(|| no_such_version(version))?;
        match stored.encrypted_data.filter(|_| stored.deleted_at.is_none() && !stored.destroyed) {
            Some(sealed) => Some(decrypt(&access, row.secret.id, version, &sealed).await?),
            None => None,
        }
    };
    let event = access.granted(EventType::SecretAccessed, &decision);
    access.record(vec![about(event, path, Some(&row.secret), Some(version))]).await?;
    Ok(found)
}

pub(super) fn no_such_version(version: i64) -> Error {
    Error::not_found(format!("the secret has no version {version}: ask for its versions"))
}

/// A version without its value.
#[derive(Debug, Clone)]
pub struct VersionView {
    pub version: i64,
    pub created_at: DateTime<Utc>,
    pub created_by: Option<String>,
    pub deleted_at: Option<DateTime<Utc>>,
    pub destroyed: bool,
}

impl From<VersionInfo> for VersionView {
    fn from(row: VersionInfo) -> Self {
        Self {
            version: row.version,
            created_at: row.created_at,
            created_by: row.created_by,
            deleted_at: row.deleted_at,
            destroyed: row.destroyed,
        }
    }
}

/// The versions of a secret, newest first, for who may list or read it.
///
/// # Errors
/// `NOT_FOUND`, `BAD_USER_INPUT` at the paging arguments.
pub async fn versions(
    ctx: &OpContext,
    path: &SecretPath,
    page: PageRequest,
) -> Result<Connection<VersionView>> {
    settle!(versions_once(ctx, path, &page))
}

async fn versions_once(
    ctx: &OpContext,
    path: &SecretPath,
    page: &PageRequest,
) -> Result<Connection<VersionView>, Attempt> {
    let access = ctx.access().await?;
    let window = page.window()?;
    let (after, before) = window.numbers()?;
    let rights = Rights::of(&access, path);
    if !rights.may_know() {
        hide(&access, path, &rights).await?;
        return Err(absent().into());
    }
    let row = current(&access, path).await?.ok_or_else(absent)?;
    let rows = {
        let mut tx = access.app().read().await?;
        let page = VersionPage { limit: window.page()?.limit, after, before, backward: window.backward };
        store::versions(&mut tx, row.secret.id, &page).await?
    };
    let mut event =
        about(access.granted(EventType::SecretListed, rights.showing()), path, Some(&row.secret), None);
    event.event_data = json!({ "versions": rows.len() });
    access.record(vec![event]).await?;
    Ok(window.connection(rows, |row| Cursor::text(row.version.to_string()), VersionView::from))
}
