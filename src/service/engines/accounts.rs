//! Long-lived accounts of a target whose password a static secret holds: binding a secret to one, and taking it off. `rotate.rs`
//! gives them new passwords.

use super::super::context::{OpContext, settle};
use super::super::ledger::{Attempt, Change};
use super::super::seal::refresh_keyring;
use super::super::secrets::{
    BoundSecret, NewPassword, SecretView, key_still_missing, require_for, store_password,
};
use super::super::{input, to_the_end};
use super::rotate::{pending, rotate, value_with};
use super::{named, store};
use crate::error::{Error, ErrorCode, Result};
use crate::model::audit::EventType;
use crate::model::paths::SecretPath;
use crate::model::policies::{Action, Area, Operation};
use crate::storage::account_rotations as account_store;
use crate::storage::account_rotations::AccountRow;
use crate::storage::db::Tx;
use crate::storage::secrets as secret_store;
use crate::storage::secrets::SecretRow;
use serde_json::json;
use uuid::Uuid;

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
                    claimed_by: None,
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

/// Takes the binding off; value and account stay as they are. Needs the area `engines`. While a new password is on its way, nobody
/// knows which of two is in force: then it takes `force`, which needs the area `leases` as well, as giving up leases by force does. The new
/// password becomes the newest version, and the version before is kept.
///
/// # Errors
/// `NOT_FOUND`, `FORBIDDEN`, `CONFLICT` while a new password is on its way, without `force`.
pub async fn unbind(ctx: &OpContext, path: &SecretPath, force: bool) -> Result<()> {
    if settle!(unbind_once(ctx, path, force, false))?.is_some() {
        return Ok(());
    }
    refresh_keyring(ctx.app()).await?;
    settle!(unbind_once(ctx, path, force, true))?.ok_or_else(key_still_missing)
}

pub(super) fn not_bound() -> Error {
    Error::not_found("the secret at this path is not bound to an account: check the path")
}

/// `None`, and nothing done: a data key has to be read first.
async fn unbind_once(
    ctx: &OpContext,
    path: &SecretPath,
    force: bool,
    last: bool,
) -> Result<Option<()>, Attempt> {
    let access = ctx.access().await?;
    let decision = access.administer(Area::Engines, "unbind_account").await?;
    if force {
        access.administer(Area::Leases, "force_unbind_account").await?;
    }
    let app = access.app();
    let found = {
        let mut tx = app.read().await?;
        bound_at(&mut tx, path).await?
    };
    // opened here, since the keyring is not read within a change
    let password = match (&found.pending_encrypted, force) {
        (Some(_), true) => Some(pending(app, &found).await?),
        _ => None,
    };
    let mut event =
        super::super::secrets::about(access.granted(EventType::SecretUpdated, &decision), path, None, None);
    event.event_data = json!({ "unbound_from": { "account": found.account } });
    let (path, keys, now) = (path.clone(), app.keys.get()?, access.now);
    let author = access.caller.actor_id.clone();
    access
        .change(&event.clone(), move |tx| {
            Box::pin(async move {
                let row = bound_at(tx, &path).await?;
                let effects = vec![super::super::cache::Effect::Secret(path)];
                if row.pending_encrypted.is_none() {
                    account_store::remove(tx, row.secret_id).await?;
                    return Ok(Change::new(Some(()), event, effects));
                }
                let password = password.filter(|_| row.pending_encrypted == found.pending_encrypted);
                let password = password.ok_or_else(on_its_way)?;
                event.event_data["forced"] = json!(true);
                let values = value_with(&row, &password);
                let new = NewPassword { keys, values, author, now, event, in_force: false, last };
                let Some(change) = store_password(tx, row.secret_id, new).await? else {
                    return Ok(Change { value: None, events: Vec::new(), effects: Vec::new() });
                };
                account_store::remove(tx, row.secret_id).await?;
                Ok(Change { value: Some(()), events: change.events, effects: change.effects })
            })
        })
        .await
}

fn on_its_way() -> Error {
    Error::conflict(
        "a new password is on its way: unbind it when that is done, or, if the target is gone for good, say force: true",
    )
}

async fn bound_at(tx: &mut Tx, path: &SecretPath) -> Result<AccountRow> {
    let secret = secret_store::find(tx, path.as_str()).await?.ok_or_else(not_bound)?;
    account_store::by_secret(tx, secret.id).await?.ok_or_else(not_bound)
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
