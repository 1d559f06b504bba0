//! Writing: a new version by value or by merge patch.

use super::super::cache::Effect;
use super::super::context::{Access, OpContext, settle};
use super::super::input;
use super::super::ledger::{Attempt, Change};
use super::super::seal::{Keys, refresh_keyring};
use super::{SecretView, about, record_name, require};
use crate::crypto::barrier::OpenError;
use crate::error::{Error, Result};
use crate::model::audit::{AuditEvent, EventType};
use crate::model::paths::SecretPath;
use crate::model::policies::Operation;
use crate::storage::batch::Want;
use crate::storage::db::Tx;
use crate::storage::errors::corrupt;
use crate::storage::secrets as store;
use crate::storage::secrets::{SecretRow, VersionRow};
use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use sqlx::types::Json;
use std::sync::Arc;
use uuid::Uuid;
use zeroize::Zeroizing;

/// A value to store.
pub struct PutSecret {
    pub path: SecretPath,
    /// A JSON object.
    pub data: Value,
    /// The current version that the write builds on; 0: there must be no secret yet; `None`: whatever there is.
    pub expected_version: Option<i64>,
    pub description: Option<String>,
    pub metadata: Option<Value>,
}

/// A change to the current value.
pub struct PatchSecret {
    pub path: SecretPath,
    /// A JSON merge patch (RFC 7396): an object, in which null removes a key.
    pub data: Value,
    pub expected_version: Option<i64>,
}

/// What a write may carry along besides the value.
#[derive(Clone, Default)]
struct Extras {
    description: Option<String>,
    metadata: Option<Value>,
}

/// Everything a change needs, apart from the value.
pub(super) struct Writing {
    pub path: SecretPath,
    pub expected_version: Option<i64>,
    pub keys: Arc<Keys>,
    pub now: DateTime<Utc>,
    /// Who writes, for the version.
    pub author: String,
    pub event: AuditEvent,
}

impl Writing {
    pub fn new(access: &Access, path: &SecretPath, expected_version: Option<i64>, event: AuditEvent) -> Self {
        Self {
            path: path.clone(),
            expected_version,
            keys: Arc::clone(&access.keys),
            now: access.now,
            author: access.caller.actor_id.clone(),
            event,
        }
    }

    fn fresh_secret(&self) -> SecretRow {
        SecretRow::fresh(Uuid::new_v4(), self.path.as_str(), "static", &self.author, self.now)
    }
}

/// Stores a value as a new version.
///
/// # Errors
/// `CONFLICT` if the current version is not the expected one, `BAD_USER_INPUT` naming the field, `NOT_FOUND` or
/// `FORBIDDEN` without the right.
pub async fn put(ctx: &OpContext, input: PutSecret) -> Result<SecretView> {
    let plain = serialise(&input.data, ctx.app().limits().max_secret_bytes)?;
    let extras = Extras {
        description: input::description(input.description.as_deref())?,
        metadata: input::metadata(input.metadata.as_ref())?,
    };
    check_expected(input.expected_version)?;
    settle!(put_once(ctx, &input, &plain, &extras))
}

async fn put_once(
    ctx: &OpContext,
    input: &PutSecret,
    plain: &Zeroizing<Vec<u8>>,
    extras: &Extras,
) -> Result<SecretView, Attempt> {
    let access = ctx.access().await?;
    let decision = require(&access, Operation::Write, &input.path).await?;
    let event = about(access.granted(EventType::SecretUpdated, &decision), &input.path, None, None);
    let writing = Writing::new(&access, &input.path, input.expected_version, event.clone());
    let (plain, extras) = (plain.clone(), extras.clone());
    let wants = vec![Want::Secret(input.path.as_str().to_owned())];
    let view = access
        .change_knowing(wants, &event, move |tx| {
            Box::pin(async move {
                let before = store::find_for_update(tx, writing.path.as_str()).await?;
                expect(before.as_ref(), writing.expected_version)?;
                let made = before.is_none();
                let row = before.unwrap_or_else(|| writing.fresh_secret());
                add_version(tx, writing, (row, made), &plain, extras, json!({})).await
            })
        })
        .await?;
    Ok(view.shown_to(&access))
}

/// Applies a merge patch to the current value, which must be live, and stores the result as a new version. Needs the
/// right to write; the answer shows nothing of the value.
///
/// # Errors
/// As [`put`], and `CONFLICT` if the current version is deleted or destroyed.
pub async fn patch(ctx: &OpContext, input: PatchSecret) -> Result<SecretView> {
    if !input.data.is_object() {
        return Err(Error::bad_input("data", "a merge patch is a JSON object: write {\"key\": \"value\"}"));
    }
    check_expected(input.expected_version)?;
    if let Some(view) = settle!(patch_once(ctx, &input, false))? {
        return Ok(view);
    }
    refresh_keyring(ctx.app()).await?;
    settle!(patch_once(ctx, &input, true))?.ok_or_else(key_still_missing)
}

async fn patch_once(ctx: &OpContext, input: &PatchSecret, last: bool) -> Result<Option<SecretView>, Attempt> {
    let access = ctx.access().await?;
    let decision = require(&access, Operation::Write, &input.path).await?;
    let event = about(access.granted(EventType::SecretUpdated, &decision), &input.path, None, None);
    let writing = Writing::new(&access, &input.path, input.expected_version, event.clone());
    let limit = access.app().limits().max_secret_bytes;
    let change = input.data.clone();
    let view = access
        .change(&event, move |tx| {
            Box::pin(async move {
                let row = store::find_for_update(tx, writing.path.as_str()).await?;
                let row = row.ok_or_else(super::absent)?;
                expect(Some(&row), writing.expected_version)?;
                let version = row.version;
                let Some(mut value) = live_value(tx, &writing.keys, &row, version, last).await? else {
                    return Ok(nothing_done());
                };
                merge(&mut value, change);
                let plain = serialise(&value, limit)?;
                let note = json!({ "patched": true });
                add_version(tx, writing, (row, false), &plain, Extras::default(), note).await.map(done)
            })
        })
        .await?;
    Ok(view.map(|view| view.shown_to(&access)))
}

/// Appends a version and prunes the oldest beyond the number that is kept. With the row: whether it is only made by this.
async fn add_version(
    tx: &mut Tx,
    writing: Writing,
    (mut row, made): (SecretRow, bool),
    plain: &[u8],
    extras: Extras,
    note: Value,
) -> Result<Change<SecretView>> {
    if row.secret_type != "static" {
        return Err(Error::conflict("a dynamic role has no value to write: change the role instead"));
    }
    if !made {
        super::bound::refuse_bound(tx, &row).await?;
    }
    if let Some(description) = extras.description {
        row.description = (!description.is_empty()).then_some(description);
    }
    if let Some(metadata) = extras.metadata {
        row.metadata = Json(metadata);
    }
    super::settings::note_rotation(&mut row, writing.now)?;
    append(tx, writing, (row, made), plain, note).await
}

/// The part of it that rotations share.
pub(super) async fn append(
    tx: &mut Tx,
    writing: Writing,
    (mut row, made): (SecretRow, bool),
    plain: &[u8],
    note: Value,
) -> Result<Change<SecretView>> {
    let Writing { path, keys, now, author, mut event, .. } = writing;
    row.version += 1;
    row.updated_at = now;
    let id = row.id.to_string();
    let sealed = keys.barrier.seal(&record_name(&id, row.version), plain)?;
    let version = VersionRow {
        secret_id: row.id,
        version: row.version,
        encrypted_data: Some(sealed),
        key_version: i64::from(keys.barrier.keyring().active().version()),
        created_at: now,
        created_by: Some(author),
        deleted_at: None,
        destroyed: false,
    };
    if made {
        event.event_type = EventType::SecretCreated.as_str().to_owned();
    }
    store::write(tx, row.clone(), version).await?;
    event.event_data = note;
    let event = about(event, &path, Some(&row), Some(row.version));
    Ok(Change::new(SecretView::from_row(&row)?, event, vec![Effect::Secret(path)]))
}

/// Stores the value of an older version as a new one. `None`, and nothing done: as [`live_value`].
pub(super) async fn roll_back(
    tx: &mut Tx,
    writing: Writing,
    to_version: i64,
    last: bool,
) -> Result<Change<Option<SecretView>>> {
    let row = store::find_for_update(tx, writing.path.as_str()).await?.ok_or_else(super::absent)?;
    expect(Some(&row), writing.expected_version)?;
    let Some(value) = live_value(tx, &writing.keys, &row, to_version, last).await? else {
        return Ok(nothing_done());
    };
    let plain = serialise(&value, usize::MAX)?;
    let note = json!({ "rolled_back_to": to_version });
    add_version(tx, writing, (row, false), &plain, Extras::default(), note).await.map(done)
}

fn done(change: Change<SecretView>) -> Change<Option<SecretView>> {
    Change { value: Some(change.value), events: change.events, effects: change.effects }
}

/// For a change that could not begin for want of a data key: it is made again.
fn nothing_done() -> Change<Option<SecretView>> {
    Change { value: None, events: Vec::new(), effects: Vec::new() }
}

pub fn key_still_missing() -> Error {
    Error::internal("a change that had its last try asked for another")
}

/// The value of a version that is neither deleted nor destroyed. `None`: it is sealed with a data key that this node does
/// not hold yet, since another one rotated; the keyring cannot be read here, within a change (see [`refresh_keyring`]), so the
/// caller reads it outside and tries once more, saying that it is the `last` time.
async fn live_value(
    tx: &mut Tx,
    keys: &Keys,
    row: &SecretRow,
    version: i64,
    last: bool,
) -> Result<Option<Value>> {
    let stored = store::version(tx, row.id, version).await?;
    let stored = stored.ok_or_else(|| super::read::no_such_version(version))?;
    let live = stored.encrypted_data.filter(|_| stored.deleted_at.is_none() && !stored.destroyed);
    let sealed = live.ok_or_else(|| {
        Error::conflict(format!(
            "version {version} is deleted or destroyed: restore it, or write a new value"
        ))
    })?;
    let id = row.id.to_string();
    let plain = match keys.barrier.open(&record_name(&id, version), &sealed) {
        Err(OpenError::UnknownKeyVersion(_)) if !last => return Ok(None),
        opened => opened?,
    };
    serde_json::from_slice(&plain).map(Some).map_err(|_| corrupt("secret_versions", "encrypted_data", &id))
}

/// The current value as far as there is one: empty before the first version, and for one that is deleted or destroyed. `None`: as
/// [`live_value`].
pub(super) async fn current_object(
    tx: &mut Tx,
    keys: &Keys,
    row: &SecretRow,
    last: bool,
) -> Result<Option<Map<String, Value>>> {
    let stored = store::version(tx, row.id, row.version).await?;
    let live = stored.filter(|stored| stored.deleted_at.is_none() && !stored.destroyed);
    let Some(sealed) = live.and_then(|stored| stored.encrypted_data) else { return Ok(Some(Map::new())) };
    let id = row.id.to_string();
    let plain = match keys.barrier.open(&record_name(&id, row.version), &sealed) {
        Err(OpenError::UnknownKeyVersion(_)) if !last => return Ok(None),
        opened => opened?,
    };
    serde_json::from_slice(&plain).map(Some).map_err(|_| corrupt("secret_versions", "encrypted_data", &id))
}

/// Compare and swap: the check before any change.
pub(super) fn expect(row: Option<&SecretRow>, expected: Option<i64>) -> Result<()> {
    let current = row.map_or(0, |row| row.version);
    match expected {
        Some(0) if current != 0 => {
            Err(Error::conflict("the secret exists already: give its current version as expectedVersion"))
        }
        Some(expected) if expected != current => Err(Error::conflict(format!(
            "expected version {expected}, but the current version is {current}: read it again and decide anew"
        ))),
        _ => Ok(()),
    }
}

pub(super) fn check_expected(expected: Option<i64>) -> Result<()> {
    match expected {
        Some(version) if version < 0 => Err(Error::bad_input(
            "expectedVersion",
            "versions count from 1; 0 means that there must be no secret yet",
        )),
        _ => Ok(()),
    }
}

fn serialise(data: &Value, limit: usize) -> Result<Zeroizing<Vec<u8>>> {
    if !data.is_object() {
        return Err(Error::bad_input(
            "data",
            "the value of a secret is a JSON object: write {\"value\": \"...\"}",
        ));
    }
    let plain = Zeroizing::new(serde_json::to_vec(data).map_err(Error::internal)?);
    if plain.len() > limit {
        return Err(Error::bad_input(
            "data",
            format!("the value is larger than {limit} bytes: store less in one secret"),
        ));
    }
    Ok(plain)
}

/// RFC 7396, section 2.
fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(fields) = target else { return };
    for (key, value) in patch {
        if value.is_null() {
            fields.remove(&key);
        } else {
            merge(fields.entry(key).or_insert(Value::Null), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of RFC 7396, appendix A, whose patch is an object.
    #[test]
    fn merges_as_the_rfc_says() {
        let cases = [
            (json!({"a":"b"}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"b"}), json!({"b":"c"}), json!({"a":"b","b":"c"})),
            (json!({"a":"b"}), json!({"a":null}), json!({})),
            (json!({"a":"b","b":"c"}), json!({"a":null}), json!({"b":"c"})),
            (json!({"a":["b"]}), json!({"a":"c"}), json!({"a":"c"})),
            (json!({"a":"c"}), json!({"a":["b"]}), json!({"a":["b"]})),
            (json!({"a":{"b":"c"}}), json!({"a":{"b":"d","c":null}}), json!({"a":{"b":"d"}})),
            (json!({"a":[{"b":"c"}]}), json!({"a":[1]}), json!({"a":[1]})),
            (json!({"e":null}), json!({"a":1}), json!({"e":null,"a":1})),
            (json!([1, 2]), json!({"a":"b","c":null}), json!({"a":"b"})),
            (json!({}), json!({"a":{"bb":{"ccc":null}}}), json!({"a":{"bb":{}}})),
        ];
        for (mut target, patch, expected) in cases {
            merge(&mut target, patch);
            assert_eq!(target, expected);
        }
    }
}
