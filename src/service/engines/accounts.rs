//! Long-lived accounts of a target whose password a static secret holds. The new password is stored before the target has it, and
//! becomes the secret's value when the target has it: a crash at any point leaves a password that is known and works.

use super::super::context::{OpContext, settle};
use super::super::ledger::{Attempt, Change};
use super::super::secrets::{BoundSecret, SecretView, require_for, store_rotated};
use super::super::{App, input, to_the_end};
use super::ask::{ask, client_error, recorded, told};
use super::{named, store};
use crate::crypto::barrier::RecordName;
use crate::engine::CallError;
use crate::error::{Error, ErrorCode, Result};
use crate::failpoint::failpoint;
use crate::model::audit::EventType;
use crate::model::leases::retry_after;
use crate::model::paths::SecretPath;
use crate::model::policies::{Action, Area, Operation};
use crate::storage::account_rotations as account_store;
use crate::storage::account_rotations::AccountRow;
use crate::storage::db::{Tx, corrupt};
use crate::storage::engines::EngineRow;
use crate::storage::secrets as secret_store;
use crate::storage::secrets::SecretRow;
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

/// An account to bind.
#[derive(Debug, Clone)]
pub struct BindAccount {
    pub path: SecretPath,
    pub engine: String,
    /// Its name on the target.
    pub account: String,
    /// When the password is replaced: a cron expression in UTC; only on demand without it.
    pub schedule: Option<String>,
    /// Where name and password stand in the secret's value.
    pub username_key: Option<String>,
    pub password_key: Option<String>,
}

/// What a secret is bound to.
#[derive(Debug, Clone)]
pub struct AccountView {
    pub engine: String,
    pub account: String,
    /// Whether a new password is on its way.
    pub pending: bool,
    pub last_error: Option<String>,
}

fn pending_record(id: &str, version: i64) -> RecordName<'_> {
    RecordName { table: "account_rotations", column: "pending_encrypted", id, version }
}

/// Binds a static secret to an account, and gives that a new password at once. The secret is made if there is none; of one that
/// is there the other keys stay. Needs the area `engines`, and `write` on the path.
///
/// # Errors
/// `CONFLICT` if secret or account are bound already, `BAD_USER_INPUT` naming the field: then nothing is bound. `ENGINE_UNAVAILABLE`:
/// then it is bound, and the rotation is tried again in the background, since the target may have the new password.
pub async fn bind(ctx: &OpContext, bind: BindAccount) -> Result<SecretView> {
    check(&bind)?;
    let ctx = ctx.clone();
    to_the_end(async move {
        let (row, before) = settle!(bind_once(&ctx, &bind))?;
        match rotate(&ctx, row.secret_id).await {
            Ok(view) => Ok(view),
            Err(error) => {
                // otherwise the target may have taken the password: the binding stays, and it is tried again
                if error.code() == ErrorCode::BadUserInput {
                    settle!(undo(&ctx, &bind, &row, before.as_ref()))?;
                }
                Err(error)
            }
        }
    })
    .await
}

fn check(bind: &BindAccount) -> Result<()> {
    input::text("account", Some(&bind.account), 256)?;
    if bind.account.is_empty() {
        return Err(Error::bad_input("account", "name the account as the target does"));
    }
    for (field, key) in [("usernameKey", &bind.username_key), ("passwordKey", &bind.password_key)] {
        input::name(field, key.as_deref())?;
    }
    if bind.username_key() == bind.password_key() {
        return Err(Error::bad_input("passwordKey", "must be another key than usernameKey"));
    }
    Ok(())
}

impl BindAccount {
    fn username_key(&self) -> &str {
        self.username_key.as_deref().unwrap_or("username")
    }

    fn password_key(&self) -> &str {
        self.password_key.as_deref().unwrap_or("password")
    }
}

/// The binding, and the secret as it was before.
async fn bind_once(ctx: &OpContext, bind: &BindAccount) -> Result<(AccountRow, Option<SecretRow>), Attempt> {
    let access = ctx.access().await?;
    let decision = access.administer(Area::Engines, "bind_account").await?;
    require_for(&access, Operation::Write, &bind.path, None).await?;
    let mut event = super::super::secrets::about(
        access.granted(EventType::SecretUpdated, &decision),
        &bind.path,
        None,
        None,
    );
    event.event_data =
        json!({ "bound_to": { "engine": input::shown(&bind.engine), "account": bind.account } });
    let (bind, now, author) = (bind.clone(), access.now, access.caller.actor_id.clone());
    access
        .change(&event.clone(), move |tx| {
            Box::pin(async move {
                let engine = named(tx, &bind.engine)
                    .await
                    .map_err(|_| Error::bad_input("engine", "there is no engine of this name"))?;
                let path = bind.path.clone();
                let secret = BoundSecret { path: &path, schedule: bind.schedule.clone(), author, now };
                let (secret_id, before) = secret.find_or_make(tx).await?;
                let row = AccountRow {
                    secret_id,
                    engine_id: engine.id,
                    account: bind.account.clone(),
                    password_key: bind.password_key().to_owned(),
                    username_key: bind.username_key().to_owned(),
                    pending_encrypted: None,
                    pending_version: None,
                    attempts: 0,
                    due_at: None,
                    last_error: None,
                    created_at: now,
                    updated_at: now,
                };
                account_store::insert(tx, &row).await?;
                let effects = vec![super::super::cache::Effect::Secret(path)];
                Ok(Change::new((row, before), event, effects))
            })
        })
        .await
}

/// The first rotation was refused: nothing is bound, and the secret is as it was.
async fn undo(
    ctx: &OpContext,
    bind: &BindAccount,
    row: &AccountRow,
    before: Option<&SecretRow>,
) -> Result<(), Attempt> {
    let app = ctx.app();
    let event = ctx.event(EventType::SecretUpdated, None);
    let mut event = super::super::secrets::about(event, &bind.path, None, None);
    event.event_data = json!({ "not_bound_to": { "account": bind.account } });
    let (id, path, before) = (row.secret_id, bind.path.clone(), before.cloned());
    app.ledger
        .change(app.undecided(), None, move |tx| {
            Box::pin(async move {
                account_store::remove(tx, id).await?;
                match before {
                    None => secret_store::remove(tx, id).await?,
                    Some(before) => {
                        // whatever else was changed meanwhile stays
                        if let Some(mut secret) = secret_store::by_id(tx, id).await? {
                            secret.rotation_enabled = before.rotation_enabled;
                            secret.rotation_schedule = before.rotation_schedule;
                            secret.next_rotation_at = before.next_rotation_at;
                            secret_store::update(tx, &secret).await?;
                        }
                    }
                }
                Ok(Change::new((), event, vec![super::super::cache::Effect::Secret(path)]))
            })
        })
        .await
}

/// Takes the binding off; value and account stay as they are. Needs the area `engines`.
///
/// # Errors
/// `NOT_FOUND`, `CONFLICT` while a new password is on its way.
pub async fn unbind(ctx: &OpContext, path: &SecretPath) -> Result<()> {
    settle!(unbind_once(ctx, path))
}

fn not_bound() -> Error {
    Error::not_found("the secret at this path is not bound to an account: check the path")
}

async fn unbind_once(ctx: &OpContext, path: &SecretPath) -> Result<(), Attempt> {
    let access = ctx.access().await?;
    let decision = access.administer(Area::Engines, "unbind_account").await?;
    let mut event =
        super::super::secrets::about(access.granted(EventType::SecretUpdated, &decision), path, None, None);
    let path = path.clone();
    access
        .change(&event.clone(), move |tx| {
            Box::pin(async move {
                let secret = secret_store::find(tx, path.as_str()).await?.ok_or_else(not_bound)?;
                let row = account_store::by_secret(tx, secret.id).await?.ok_or_else(not_bound)?;
                if row.pending_encrypted.is_some() {
                    return Err(Error::conflict("a new password is on its way: unbind it when that is done"));
                }
                account_store::remove(tx, secret.id).await?;
                event.event_data = json!({ "unbound_from": { "account": row.account } });
                Ok(Change::new((), event, vec![super::super::cache::Effect::Secret(path)]))
            })
        })
        .await
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
async fn rotate(ctx: &OpContext, secret_id: Uuid) -> Result<SecretView> {
    let app = ctx.app();
    super::super::seal::refresh_keyring(app).await?;
    let fresh = PasswordPolicy::default().generate();
    let (row, engine) = settle!(claim(ctx, secret_id, &fresh))?;
    failpoint!("account.pending");
    let password = pending(app, &row)?;
    let operation =
        wire::Operation::RotateAccount { account: row.account.clone(), password: password.clone() };
    if let Err(error) = ask(app, &engine, operation).await {
        settle!(fail(ctx, &row, &error))?;
        return Err(refusal(error));
    }
    failpoint!("account.rotated");
    settle!(promote(ctx, &row, &engine, &password))
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

fn pending(app: &App, row: &AccountRow) -> Result<SecretString> {
    let id = row.secret_id.to_string();
    let damaged = || corrupt("account_rotations", "pending_encrypted", &id);
    let (sealed, version) = row.pending_encrypted.as_ref().zip(row.pending_version).ok_or_else(damaged)?;
    let plain = app.keys.get()?.barrier.open(&pending_record(&id, version), sealed)?;
    std::str::from_utf8(&plain).map(SecretString::from).map_err(|_| damaged())
}

/// Stores the new password, unless one is on its way already.
async fn claim(
    ctx: &OpContext,
    secret_id: Uuid,
    fresh: &SecretString,
) -> Result<(AccountRow, EngineRow), Attempt> {
    let app = ctx.app();
    let now = app.clock.now();
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
) -> Result<SecretView, Attempt> {
    let app = ctx.app();
    let now: DateTime<Utc> = app.clock.now();
    let keys = app.keys.get()?;
    let mut event = ctx.event(EventType::SecretRotated, None);
    event.event_data = json!({ "engine": engine.name, "account": row.account });
    let mut row = row.clone();
    let password = password.clone();
    app.ledger
        .change(app.undecided(), None, move |tx| {
            Box::pin(async move {
                if !is_pending(tx, row.secret_id, row.pending_encrypted.as_deref()).await? {
                    let secret = secret_store::by_id(tx, row.secret_id).await?.ok_or_else(not_bound)?;
                    let value = SecretView::from_row(&secret)?;
                    return Ok(Change { value, events: Vec::new(), effects: Vec::new() });
                }
                let values = [
                    (row.username_key.clone(), row.account.clone()),
                    (row.password_key.clone(), password.expose().to_owned()),
                ];
                let change = store_rotated(tx, &keys, row.secret_id, values, now, event).await?;
                (row.pending_encrypted, row.pending_version, row.due_at) = (None, None, None);
                row.attempts = 0;
                row.last_error = None;
                row.updated_at = now;
                account_store::update(tx, &row).await?;
                Ok(change)
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

/// What a secret is bound to, for who administers `engines`.
///
/// # Errors
/// `UNAUTHENTICATED`, `UNAVAILABLE`.
pub async fn account_of(ctx: &OpContext, secret_id: Uuid) -> Result<Option<AccountView>> {
    let access = settle!(ctx.access())?;
    if !access.decide(&Action::Administer(Area::Engines)).allowed {
        return Ok(None);
    }
    settle!(access.administer_read(Area::Engines, "account", Some(&secret_id.to_string())))?;
    let mut tx = access.app().read().await?;
    let Some(row) = account_store::by_secret(&mut tx, secret_id).await? else { return Ok(None) };
    let engine = store::by_id(&mut tx, row.engine_id).await?;
    Ok(engine.map(|engine| AccountView {
        engine: engine.name,
        account: row.account,
        pending: row.pending_encrypted.is_some(),
        last_error: row.last_error,
    }))
}
