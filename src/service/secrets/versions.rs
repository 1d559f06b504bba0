//! Deleting, restoring, destroying and rolling back versions.

use super::super::cache::Effect;
use super::super::context::{OpContext, settle};
use super::super::ledger::{Attempt, Change};
use super::super::seal::refresh_keyring;
use super::bound::refuse_removal;
use super::write::{Writing, check_expected, key_still_missing, roll_back};
use super::{SecretView, about, absent, require};
use crate::error::{Error, Result};
use crate::model::audit::EventType;
use crate::model::paths::SecretPath;
use crate::model::policies::Operation;
use crate::storage::db::Tx;
use crate::storage::secrets as store;
use crate::storage::secrets::SecretRow;
use serde_json::json;

/// Most versions named in one request.
const MAX_VERSIONS: usize = 100;

/// What happens to versions.
#[derive(Clone, Copy)]
enum Fate {
    Delete,
    Restore,
    Destroy,
}

impl Fate {
    fn operation(self) -> Operation {
        match self {
            Self::Delete | Self::Destroy => Operation::Delete,
            Self::Restore => Operation::Write,
        }
    }

    fn event(self) -> EventType {
        match self {
            Self::Delete => EventType::SecretDeleted,
            Self::Restore => EventType::SecretRestored,
            Self::Destroy => EventType::SecretDestroyed,
        }
    }
}

/// Marks versions as deleted (the current one, if none is named); [`restore`] undoes it. Needs `delete`.
///
/// # Errors
/// `NOT_FOUND`, `FORBIDDEN`, `BAD_USER_INPUT` at `versions`, `CONFLICT` for the current version of a secret that is bound to an account.
pub async fn delete(ctx: &OpContext, path: &SecretPath, versions: Option<Vec<i64>>) -> Result<SecretView> {
    change_versions(ctx, path, versions, Fate::Delete).await
}

/// Takes the mark of deletion off. Needs `write`.
///
/// # Errors
/// As [`delete`]; a destroyed version cannot be restored (`CONFLICT`).
pub async fn restore(ctx: &OpContext, path: &SecretPath, versions: Option<Vec<i64>>) -> Result<SecretView> {
    change_versions(ctx, path, versions, Fate::Restore).await
}

/// Removes the data of versions for good, or with `entire_secret` the secret with its history. Needs `delete`. `None`: the
/// secret is gone.
///
/// # Errors
/// As [`delete`].
pub async fn destroy(
    ctx: &OpContext,
    path: &SecretPath,
    versions: Option<Vec<i64>>,
    entire_secret: bool,
) -> Result<Option<SecretView>> {
    if !entire_secret {
        return change_versions(ctx, path, versions, Fate::Destroy).await.map(Some);
    }
    if versions.is_some() {
        return Err(Error::bad_input("versions", "give either 'versions' or 'entireSecret'"));
    }
    settle!(remove_once(ctx, path)).map(|()| None)
}

/// Stores the value of an older version as a new one. Needs `write`.
///
/// # Errors
/// `NOT_FOUND`, `FORBIDDEN`, `CONFLICT` if that version is deleted or destroyed, or the current one is not the expected.
pub async fn rollback(
    ctx: &OpContext,
    path: &SecretPath,
    to_version: i64,
    expected_version: Option<i64>,
) -> Result<SecretView> {
    check_expected(expected_version)?;
    if to_version < 1 {
        return Err(Error::bad_input("toVersion", "versions count from 1"));
    }
    if let Some(view) = settle!(rollback_once(ctx, path, to_version, expected_version, false))? {
        return Ok(view);
    }
    refresh_keyring(ctx.app()).await?;
    settle!(rollback_once(ctx, path, to_version, expected_version, true))?.ok_or_else(key_still_missing)
}

async fn rollback_once(
    ctx: &OpContext,
    path: &SecretPath,
    to_version: i64,
    expected_version: Option<i64>,
    last: bool,
) -> Result<Option<SecretView>, Attempt> {
    let access = ctx.access().await?;
    let decision = require(&access, Operation::Write, path).await?;
    let event = about(access.granted(EventType::SecretUpdated, &decision), path, None, None);
    let writing = Writing::new(&access, path, expected_version, event.clone());
    let view = access.change(&event, move |tx| Box::pin(roll_back(tx, writing, to_version, last))).await?;
    Ok(view.map(|view| view.shown_to(&access)))
}

fn no_versions() -> Error {
    Error::conflict("this is an engine's role, which has no versions: delete it with deleteEngineRole")
}

async fn remove_once(ctx: &OpContext, path: &SecretPath) -> Result<(), Attempt> {
    let access = ctx.access().await?;
    let decision = require(&access, Operation::Delete, path).await?;
    let mut event = about(access.granted(EventType::SecretDestroyed, &decision), path, None, None);
    event.event_data = json!({ "entire_secret": true });
    let path = path.clone();
    access
        .change(&event.clone(), move |tx| {
            Box::pin(async move {
                let row = store::find_for_update(tx, path.as_str()).await?.ok_or_else(absent)?;
                if row.secret_type != "static" {
                    return Err(no_versions());
                }
                refuse_removal(tx, &row).await?;
                store::remove(tx, row.id).await?;
                let event = about(event, &path, Some(&row), None);
                Ok(Change::new((), event, vec![Effect::Secret(path)]))
            })
        })
        .await
}

async fn change_versions(
    ctx: &OpContext,
    path: &SecretPath,
    mut versions: Option<Vec<i64>>,
    fate: Fate,
) -> Result<SecretView> {
    if let Some(versions) = &mut versions {
        if versions.is_empty() || versions.len() > MAX_VERSIONS {
            return Err(Error::bad_input(
                "versions",
                "name 1 to 100 versions, or leave it out for the current one",
            ));
        }
        if versions.iter().any(|version| *version < 1) {
            return Err(Error::bad_input("versions", "versions count from 1"));
        }
        versions.sort_unstable();
        versions.dedup();
    }
    settle!(change_once(ctx, path, versions.as_deref(), fate))
}

async fn change_once(
    ctx: &OpContext,
    path: &SecretPath,
    versions: Option<&[i64]>,
    fate: Fate,
) -> Result<SecretView, Attempt> {
    let access = ctx.access().await?;
    let decision = require(&access, fate.operation(), path).await?;
    let mut event = about(access.granted(fate.event(), &decision), path, None, None);
    let (path, now) = (path.clone(), access.now);
    let versions = versions.map(<[i64]>::to_vec);
    let view = access
        .change(&event.clone(), move |tx| {
            Box::pin(async move {
                let mut row = store::find_for_update(tx, path.as_str()).await?.ok_or_else(absent)?;
                if row.secret_type != "static" {
                    return Err(no_versions());
                }
                let versions = versions.unwrap_or_else(|| vec![row.version]);
                check_versions(tx, &row, &versions, fate).await?;
                if !matches!(fate, Fate::Restore) && versions.contains(&row.version) {
                    refuse_removal(tx, &row).await?;
                }
                match fate {
                    Fate::Delete => store::set_deleted(tx, row.id, &versions, Some(now)).await?,
                    Fate::Restore => store::set_deleted(tx, row.id, &versions, None).await?,
                    Fate::Destroy => store::destroy(tx, row.id, &versions).await?,
                };
                row.updated_at = now;
                store::update(tx, &row).await?;
                event.event_data = json!({ "versions": versions });
                let only = (versions.len() == 1).then(|| versions.first().copied()).flatten();
                let event = about(event, &path, Some(&row), only);
                Ok(Change::new(SecretView::from_row(&row)?, event, vec![Effect::Secret(path)]))
            })
        })
        .await?;
    Ok(view.shown_to(&access))
}

/// Every version that is named must exist, and one to be restored must still have its data.
async fn check_versions(tx: &mut Tx, row: &SecretRow, versions: &[i64], fate: Fate) -> Result<()> {
    let stored = store::these_versions(tx, row.id, versions).await?;
    for version in versions {
        let stored = stored.iter().find(|stored| stored.version == *version);
        let stored = stored.ok_or_else(|| super::read::no_such_version(*version))?;
        if matches!(fate, Fate::Restore) && stored.destroyed {
            return Err(Error::conflict(format!(
                "version {version} is destroyed: its data is gone for good"
            )));
        }
    }
    Ok(())
}
