//! The engine's own access key: a second one is made, verified and put in the place of the first.

use crate::Account;
use crate::clients::Clients;
use crate::config::Config;
use crate::failure::{Cause, Failure, unless_gone};
use crate::keys;
use secrethub_engine::{EngineError, Result};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The least time that a proposed key is given to work; the configuration may give it more.
const LEAST_WAIT: Duration = Duration::from_secs(15);
/// How long calls that began with the old key may take to end before it is deleted.
const CALLS: Duration = Duration::from_secs(10);

/// The IAM user that the engine's key belongs to.
///
/// # Errors
/// `Refused` if it is a root account or temporary credentials.
async fn own_user(account: &Account) -> Result<String> {
    if account.config.session_token.is_some() {
        return Err(EngineError::refused(
            "temporary credentials end by themselves and cannot be rotated: configure an IAM user's access key",
        ));
    }
    let identity = account
        .clients
        .identify()
        .await
        .map_err(|failure| failure.doing("cannot ask STS who the engine is"))?;
    let resource = identity.arn.splitn(6, ':').nth(5).unwrap_or_default();
    match resource.split_once('/') {
        Some(("user", path)) => Ok(path.rsplit('/').next().unwrap_or_default().to_owned()),
        _ if resource == "root" => Err(EngineError::refused(
            "the access key is the AWS account's root key, which IAM does not rotate: configure an IAM user's key",
        )),
        _ => Err(EngineError::refused("only the access key of an IAM user can be rotated")),
    }
}

/// Makes a second access key for the engine's own user. The first goes on working. Of two that are there already, the one that is
/// not in use here is taken for one that an earlier proposal left behind, and deleted if AWS knows of no use of it.
///
/// # Errors
/// `Refused` if there is a second key that is in use, and as AWS answers.
pub async fn propose(account: &Account) -> Result<Config> {
    let user = own_user(account).await?;
    let iam = &account.clients.iam;
    let current = &account.config.access_key_id;
    let ids = keys::list(iam, &user).await?.unwrap_or_default();
    for id in ids.iter().filter(|id| *id != current) {
        let used = iam.get_access_key_last_used().access_key_id(id).send().await;
        let used = unless_gone(used, "cannot find out whether the second access key is in use")?;
        let last = used.as_ref().and_then(|used| used.access_key_last_used());
        if last.is_some_and(|last| last.last_used_date().is_some()) {
            return Err(EngineError::refused(format!(
                "the engine's user {user} has a second access key, {id}, that is in use: AWS allows two, so \
                 delete it to rotate"
            )));
        }
        keys::delete(iam, &user, id).await?;
    }
    let key = keys::create_once(iam, &user)
        .await
        .map_err(|failure| failure.doing("cannot create a second access key for the engine's user"))?;
    Ok(Config { access_key_id: key.id, secret_access_key: key.secret, ..account.config.clone() })
}

/// Waits until the proposed key works on STS and IAM, lets the engine `switch` to it, and deletes the user's other key. `current` is
/// the configuration in force: the old one, or after a crash the proposal itself.
///
/// # Errors
/// `Refused` if the proposed key is gone or is another user's, and as AWS answers. Repeating goes on where it stopped.
pub async fn rotate(current: &Arc<Account>, proposed: &Account, switch: impl FnOnce()) -> Result<()> {
    if proposed.config.session_token.is_some() {
        return Err(EngineError::bad_input(
            "session_token",
            "must be left out: such credentials cannot be rotated",
        ));
    }
    let bound = proposed.config.key_wait().max(LEAST_WAIT);
    if proves_itself(&proposed.clients).await.is_err_and(|failure| failure.cause == Cause::Key)
        && is_gone(current, &proposed.config.access_key_id).await
    {
        return Err(EngineError::refused("the proposed access key is gone: begin the rotation anew"));
    }
    keys::wait(bound, || proves_itself(&proposed.clients)).await.map_err(|failure| {
        EngineError::retry(format!("the proposed access key does not work yet: {}", failure.message))
    })?;
    let user = own_user(proposed).await?;
    // the old key may have been deleted by an earlier attempt: then there is nothing to compare with
    match own_user(current).await {
        Ok(old) if old != user => {
            return Err(EngineError::refused("the proposed access key belongs to another user"));
        }
        Err(error) if error.is_passing() => return Err(error),
        _ => {}
    }
    let (iam, id) = (&proposed.clients.iam, &proposed.config.access_key_id);
    switch();
    if current.config.access_key_id != *id {
        wait_for_calls(current).await;
    }
    for other in keys::list(iam, &user).await?.unwrap_or_default().iter().filter(|other| *other != id) {
        keys::delete(iam, &user, other).await?;
    }
    Ok(())
}

/// Waits until no call but this one holds the old account, so that its key does not end under them.
async fn wait_for_calls(old: &Arc<Account>) {
    let end = Instant::now() + CALLS;
    while Arc::strong_count(old) > 1 && Instant::now() < end {
        sleep(Duration::from_millis(50)).await;
    }
}

/// Whether a key works on both services.
async fn proves_itself(clients: &Clients) -> Result<(), Failure> {
    clients.identify().await?;
    match clients.iam.list_access_keys().send().await.map_err(Failure::from) {
        Err(failure) if matches!(failure.cause, Cause::Key | Cause::Passing) => Err(failure),
        // whatever the user may do shows when the old key is deleted
        _ => Ok(()),
    }
}

/// Whether the engine's user is known not to have this key. One that is merely new is listed already.
async fn is_gone(current: &Account, id: &str) -> bool {
    let Ok(user) = own_user(current).await else { return false };
    matches!(keys::list(&current.clients.iam, &user).await, Ok(Some(ids)) if !ids.iter().any(|other| other == id))
}
