//! Static secrets whose value an engine's account has: made, written by rotations only, and refused to everyone else.

use super::super::ledger::Change;
use super::super::seal::Keys;
use super::settings::{next_rotation, parse_schedule};
use super::write::{Writing, append, current_object};
use super::{SecretView, absent};
use crate::error::{Error, Result};
use crate::model::audit::AuditEvent;
use crate::model::paths::SecretPath;
use crate::storage::account_rotations as account_store;
use crate::storage::db::Tx;
use crate::storage::secrets as store;
use crate::storage::secrets::SecretRow;
use chrono::{DateTime, Utc};
use serde_json::Value;
use std::sync::Arc;
use uuid::Uuid;
use zeroize::Zeroizing;

/// A secret that is about to be bound.
pub struct BoundSecret<'a> {
    pub path: &'a SecretPath,
    /// A cron expression in UTC.
    pub schedule: Option<String>,
    pub author: String,
    pub now: DateTime<Utc>,
}

impl BoundSecret<'_> {
    /// The secret's id, and what it was before; `None`: it was made now, without a version. The first rotation writes one.
    ///
    /// # Errors
    /// `CONFLICT` for a dynamic role, `BAD_USER_INPUT` at `schedule`.
    pub async fn find_or_make(self, tx: &mut Tx) -> Result<(Uuid, Option<SecretRow>)> {
        if let Some(schedule) = &self.schedule {
            parse_schedule(schedule).map_err(|error| error.at_field("schedule"))?;
        }
        let before = store::find_for_update(tx, self.path.as_str()).await?;
        let mut row = before.clone().unwrap_or_else(|| {
            SecretRow::fresh(Uuid::new_v4(), self.path.as_str(), "static", &self.author, self.now)
        });
        if row.secret_type != "static" {
            return Err(Error::conflict("a dynamic role is bound to no account: choose another path"));
        }
        row.rotation_enabled = self.schedule.is_some();
        row.rotation_schedule = self.schedule;
        row.next_rotation_at = next_rotation(&row, self.now)?;
        row.updated_at = self.now;
        if before.is_none() {
            store::insert(tx, &row).await?
        } else {
            store::update(tx, &row).await?
        }
        Ok((row.id, before))
    }
}

/// A password that becomes part of a bound secret's value.
pub struct NewPassword {
    pub keys: Arc<Keys>,
    /// The keys of the value that hold the account's name and the password, and these.
    pub values: [(String, String); 2],
    pub author: String,
    pub now: DateTime<Utc>,
    pub event: AuditEvent,
    /// Whether the target has it for certain. Otherwise the version before is kept too, and it is not called a rotation.
    pub in_force: bool,
    /// Whether the keyring has been read anew for it.
    pub last: bool,
}

/// Stores a value in which the keys have their texts; what else the current value has stays. `None`, and nothing done: the
/// current value is sealed with a data key that this node has to read first, outside of the change.
///
/// # Errors
/// `NOT_FOUND` if the secret is gone.
pub async fn store_password(
    tx: &mut Tx,
    secret_id: Uuid,
    new: NewPassword,
) -> Result<Option<Change<SecretView>>> {
    let NewPassword { keys, values, author, now, event, in_force, last } = new;
    let mut row = store::by_id(tx, secret_id).await?.ok_or_else(absent)?;
    let path = SecretView::from_row(&row)?.path;
    let Some(mut object) = current_object(tx, &keys, &row, last).await? else { return Ok(None) };
    for (key, text) in values {
        object.insert(key, Value::String(text));
    }
    let plain = Zeroizing::new(serde_json::to_vec(&object).map_err(Error::internal)?);
    if in_force {
        row.last_rotated_at = Some(now);
        row.next_rotation_at = next_rotation(&row, now)?;
    } else if row.max_versions == 1 {
        row.max_versions = 2;
    }
    let note = event.event_data.clone();
    let writing = Writing { path, expected_version: None, keys, now, author, event };
    append(tx, writing, (row, false), &plain, note).await.map(Some)
}

/// Only rotations write what an account of a target has.
///
/// # Errors
/// `CONFLICT`.
pub async fn refuse_bound(tx: &mut Tx, row: &SecretRow) -> Result<()> {
    // a secret that was never rotated is bound to nothing
    if (row.last_rotated_at.is_some() || row.version == 0)
        && account_store::by_secret(tx, row.id).await?.is_some()
    {
        return Err(Error::conflict(
            "the value is that of an account of an engine, which only a rotation replaces: rotate it, or unbind it first",
        ));
    }
    Ok(())
}

/// What is deleted is not in the secret any more when its account needs it: the binding goes first.
///
/// # Errors
/// `CONFLICT`.
pub async fn refuse_removal(tx: &mut Tx, row: &SecretRow) -> Result<()> {
    match account_store::by_secret(tx, row.id).await? {
        None => Ok(()),
        Some(_) => {
            Err(Error::conflict("the secret holds the password of an account of an engine: unbind it first"))
        }
    }
}
