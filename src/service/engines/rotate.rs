//! New passwords for accounts of targets. The new password is stored before the target has it, and becomes the secret's value when the
//! target has it: a crash at any point leaves a password that is known and works.

use super::super::context::{OpContext, settle};
use super::super::ledger::{Attempt, Change};
use super::super::seal::{open_record, refresh_keyring};
use super::super::secrets::{NewPassword, SecretView, key_still_missing, require_for, store_password};
use super::super::{App, input, to_the_end};
use super::accounts::not_bound;
use super::ask::{ask, client_error, recorded, told};
use super::store;
use crate::crypto::barrier::RecordName;
use crate::engine::CallError;
use crate::error::{Error, ErrorCode, Result};
use crate::failpoint::failpoint;
use crate::model::audit::EventType;
use crate::model::leases::retry_after;
use crate::model::paths::SecretPath;
use crate::model::policies::Operation;
use crate::storage::account_rotations as account_store;
use crate::storage::account_rotations::AccountRow;
use crate::storage::db::Tx;
use crate::storage::engines::EngineRow;
use crate::storage::errors::corrupt;
use crate::storage::secrets as secret_store;
use chrono::{DateTime, Duration, Utc};
use futures_util::{StreamExt, stream};
use secrethub_engine::{EngineError, ErrorKind, PasswordPolicy, SecretString, wire};
use serde_json::json;
use std::collections::HashMap;
use uuid::Uuid;

/// Nobody else takes a rotation before this, after someone has taken it.
const CLAIM: Duration = Duration::seconds(60);
/// Engines whose accounts are rotated at the same time.
const ENGINES: usize = 16;
/// Rotations that one pass of the task sees to.
const MOST: i64 = 100;

fn pending_record(id: &str, version: i64) -> RecordName<'_> {
    RecordName { table: "account_rotations", column: "pending_encrypted", id, version }
}

/// Gives the account of a secret a new password now. Needs `rotate` on the path.
///
/// # Errors
/// `NOT_FOUND`, `FORBIDDEN`, `ENGINE_UNAVAILABLE`: then it is tried again in the background.
pub async fn rotate_secret(ctx: &OpContext, path: &SecretPath) -> Result<SecretView> {
    let secret_id = settle!(may_rotate(ctx, path))?;
    let ctx = ctx.clone();
    to_the_end(async move {
        match rotate(&ctx, secret_id).await {
            Err(error) if error.code() == ErrorCode::EngineUnavailable => Err(told(&ctx, error).await),
            // the caller named the secret, not its account
            Err(error) if error.field().is_some() => Err(error.at_field("path")),
            rotated => rotated,
        }
    })
    .await
}

async fn may_rotate(ctx: &OpContext, path: &SecretPath) -> Result<Uuid, Attempt> {
    let access = ctx.access().await?;
    require_for(&access, Operation::Rotate, path, None).await?;
    let mut tx = access.app().read().await?;
    let secret = secret_store::find(&mut tx, path.as_str()).await?.ok_or_else(not_bound)?;
    account_store::by_secret(&mut tx, secret.id).await?.ok_or_else(not_bound)?;
    Ok(secret.id)
}

/// One rotation, from whatever state the last one left.
pub(super) async fn rotate(ctx: &OpContext, secret_id: Uuid) -> Result<SecretView> {
    let app = ctx.app();
    let fresh = PasswordPolicy::default().generate();
    let (row, engine) = settle!(claim(ctx, secret_id, &fresh))?;
    failpoint!("account.pending");
    let password = pending(app, &row).await?;
    let operation =
        wire::Operation::RotateAccount { account: row.account.clone(), password: password.clone() };
    if let Err(error) = ask(app, &engine, operation).await {
        settle!(fail(ctx, &row, &error))?;
        return Err(refusal(error));
    }
    failpoint!("account.rotated");
    promote(ctx, &row, &engine, &password).await
}

/// Whatever is wrong with the input of a rotation is wrong with its account.
fn refusal(error: CallError) -> Error {
    match error {
        CallError::Engine(EngineError { kind: ErrorKind::BadInput, message, .. }) => {
            Error::bad_input("account", input::shown_long(&message))
        }
        error => client_error(error, "account"),
    }
}

/// The password that is on its way.
pub(super) async fn pending(app: &App, row: &AccountRow) -> Result<SecretString> {
    let id = row.secret_id.to_string();
    let damaged = || corrupt("account_rotations", "pending_encrypted", &id);
    let (sealed, version) = row.pending_encrypted.as_ref().zip(row.pending_version).ok_or_else(damaged)?;
    let plain = open_record(app, &pending_record(&id, version), sealed).await?;
    std::str::from_utf8(&plain).map(SecretString::from).map_err(|_| damaged())
}

/// What the value of an account's secret has with this password.
pub(super) fn value_with(row: &AccountRow, password: &SecretString) -> [(String, String); 2] {
    let name = (row.username_key.clone(), row.account.clone());
    [name, (row.password_key.clone(), password.expose().to_owned())]
}

/// Stores the new password, unless one is on its way already.
async fn claim(
    ctx: &OpContext,
    secret_id: Uuid,
    fresh: &SecretString,
) -> Result<(AccountRow, EngineRow), Attempt> {
    let app = ctx.app();
    let (node, now) = (app.node.id, app.clock.now());
    let keys = app.keys.get()?;
    let fresh = fresh.clone();
    app.ledger
        .change(app.undecided(), None, move |tx| {
            Box::pin(async move {
                let mut row = account_store::by_secret(tx, secret_id).await?.ok_or_else(not_bound)?;
                if row.pending_encrypted.is_some()
                    && row.due_at.is_some_and(|due| due > now)
                    && row.attempts == 0
                {
                    return Err(Error::conflict("the password is being replaced: look at it again shortly"));
                }
                let engine = store::by_id(tx, row.engine_id).await?;
                let engine = engine.ok_or_else(|| Error::conflict("the engine of this account is gone"))?;
                if row.pending_encrypted.is_none() {
                    let secret = secret_store::by_id(tx, secret_id).await?.ok_or_else(not_bound)?;
                    let (id, version) = (secret_id.to_string(), secret.version + 1);
                    let sealed =
                        keys.barrier.seal(&pending_record(&id, version), fresh.expose().as_bytes())?;
                    row.pending_encrypted = Some(sealed);
                    row.pending_version = Some(version);
                    row.attempts = 0;
                }
                row.due_at = Some(now + CLAIM);
                row.claimed_by = Some(node);
                row.updated_at = now;
                account_store::update(tx, &row).await?;
                Ok(Change { value: (row, engine), events: Vec::new(), effects: Vec::new() })
            })
        })
        .await
}

/// What is certain not to have happened is forgotten; anything else is tried again with the same password.
async fn fail(ctx: &OpContext, row: &AccountRow, error: &CallError) -> Result<(), Attempt> {
    let app = ctx.app();
    let now = app.clock.now();
    let refused = matches!(
        error,
        CallError::Engine(EngineError { kind: ErrorKind::BadInput | ErrorKind::Unsupported, .. })
    );
    let mut row = row.clone();
    let was = row.pending_encrypted.clone();
    row.attempts += 1;
    row.last_error = Some(recorded(error));
    row.updated_at = now;
    row.due_at = Some(now + retry_after(row.attempts));
    if refused {
        (row.pending_encrypted, row.pending_version, row.due_at) = (None, None, None);
    }
    app.ledger
        .change(app.undecided(), None, move |tx| {
            Box::pin(async move {
                if is_pending(tx, row.secret_id, was.as_deref()).await? {
                    account_store::update(tx, &row).await?;
                }
                Ok(Change { value: (), events: Vec::new(), effects: Vec::new() })
            })
        })
        .await
}

/// Whether this very password is still on its way: a retry may have brought it there meanwhile.
async fn is_pending(tx: &mut Tx, secret_id: Uuid, pending: Option<&[u8]>) -> Result<bool> {
    let row = account_store::by_secret(tx, secret_id).await?;
    Ok(row.is_some_and(|row| row.pending_encrypted.as_deref() == pending))
}

/// The target has the password: it becomes the secret's value.
async fn promote(
    ctx: &OpContext,
    row: &AccountRow,
    engine: &EngineRow,
    password: &SecretString,
) -> Result<SecretView> {
    if let Some(view) = settle!(promote_once(ctx, row, engine, password, false))? {
        return Ok(view);
    }
    refresh_keyring(ctx.app()).await?;
    settle!(promote_once(ctx, row, engine, password, true))?.ok_or_else(key_still_missing)
}

/// `None`, and nothing done: a data key has to be read first.
async fn promote_once(
    ctx: &OpContext,
    row: &AccountRow,
    engine: &EngineRow,
    password: &SecretString,
    last: bool,
) -> Result<Option<SecretView>, Attempt> {
    let app = ctx.app();
    let now: DateTime<Utc> = app.clock.now();
    let mut event = ctx.event(EventType::SecretRotated, None);
    event.event_data = json!({ "engine": engine.name, "account": row.account });
    let new = NewPassword {
        keys: app.keys.get()?,
        values: value_with(row, password),
        author: "rotation".to_owned(),
        now,
        event,
        in_force: true,
        last,
    };
    let mut row = row.clone();
    app.ledger
        .change(app.undecided(), None, move |tx| {
            Box::pin(async move {
                let nothing = |value| Change { value, events: Vec::new(), effects: Vec::new() };
                if !is_pending(tx, row.secret_id, row.pending_encrypted.as_deref()).await? {
                    let secret = secret_store::by_id(tx, row.secret_id).await?.ok_or_else(not_bound)?;
                    return Ok(nothing(Some(SecretView::from_row(&secret)?)));
                }
                let Some(change) = store_password(tx, row.secret_id, new).await? else {
                    return Ok(nothing(None));
                };
                (row.pending_encrypted, row.pending_version, row.due_at) = (None, None, None);
                row.attempts = 0;
                row.last_error = None;
                row.updated_at = now;
                account_store::update(tx, &row).await?;
                Ok(Change { value: Some(change.value), events: change.events, effects: change.effects })
            })
        })
        .await
}

/// For the task: rotates what its schedule asks for, and goes on with what broke off. How many succeeded.
///
/// # Errors
/// `SEALED`, `UNAVAILABLE`.
pub async fn rotate_due(ctx: &OpContext) -> Result<u64> {
    let app = ctx.app();
    app.keys.get()?;
    let rows = {
        let mut tx = app.read().await?;
        account_store::due(&mut tx, app.clock.now(), MOST).await?
    };
    let mut by_engine: HashMap<Uuid, Vec<AccountRow>> = HashMap::new();
    for row in rows {
        by_engine.entry(row.engine_id).or_default().push(row);
    }
    // a target that does not answer keeps no other waiting
    let each = stream::iter(by_engine.into_values()).map(|rows| rotate_each(ctx, rows));
    Ok(each.buffer_unordered(ENGINES).fold(0, async |done, more| done + more).await)
}

/// The accounts of one engine, one after another. How many succeeded.
async fn rotate_each(ctx: &OpContext, rows: Vec<AccountRow>) -> u64 {
    let mut done = 0;
    for row in rows {
        if ctx.app().engines.is_open(row.engine_id).is_some() {
            break;
        }
        match rotate(ctx, row.secret_id).await {
            Ok(_) => done += 1,
            Err(error) => tracing::warn!(
                secret_id = %row.secret_id,
                reason = error.message(),
                context = error.log_context(),
                "a password could not be rotated"
            ),
        }
    }
    done
}
