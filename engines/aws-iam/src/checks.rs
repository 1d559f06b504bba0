//! What can be told before anything is issued, and what is there.

use crate::Account;
use crate::config::Config;
use crate::failure::{Cause, Failure};
use crate::role::{Kind, Role, UserRole};
use aws_sdk_iam::error::{ProvideErrorMetadata, SdkError};
use secrethub_engine::{EngineError, Result};

/// Whether STS accepts the engine's access key, and IAM answers. Which rights the key has is not looked at: an engine that only
/// assumes roles needs none in IAM, and a role is rehearsed when it is saved.
///
/// # Errors
/// As AWS answers.
pub async fn account(account: &Account) -> Result<()> {
    let key = |failure: Failure, doing: &str| match failure.cause {
        Cause::Key => failure.doing(doing).at("secret_access_key"),
        _ => failure.doing(doing),
    };
    account.clients.identify().await.map_err(|failure| key(failure, "cannot ask STS who the engine is"))?;
    match account.clients.iam.get_user().send().await.map_err(Failure::from) {
        // anything else that IAM says shows that it is there: a role's session, say, has no user to get
        Err(failure) if matches!(failure.cause, Cause::Passing | Cause::Key) => {
            Err(key(failure, "cannot ask IAM who the engine is"))
        }
        _ => Ok(()),
    }
}

/// Whether the role has a form that AWS can take, and the groups and policies that it names are there.
///
/// # Errors
/// [`EngineError::bad_input`] naming the field.
pub async fn role(account: &Account, role: &Role) -> Result<()> {
    match role.validate(&account.config)? {
        Kind::User(user) => named_by(account, user).await,
        // what a session needs shows when it is issued
        Kind::Assumed(_) | Kind::Federated(_) => Ok(()),
    }
}

async fn named_by(account: &Account, user: &UserRole) -> Result<()> {
    let iam = &account.clients.iam;
    for (index, group) in user.groups.iter().enumerate() {
        let found = iam.get_group().group_name(group).max_items(1).send().await;
        there(found, "there is no such group", &format!("iam_user.groups[{index}]"))?;
    }
    for (index, arn) in user.managed_policies.iter().enumerate() {
        let found = iam.get_policy().policy_arn(arn).send().await;
        there(found, "there is no such policy", &format!("iam_user.managed_policies[{index}]"))?;
    }
    if let Some(boundary) = &user.permissions_boundary {
        let found = iam.get_policy().policy_arn(boundary).send().await;
        there(found, "there is no such policy", "iam_user.permissions_boundary")?;
    }
    Ok(())
}

/// Refuses what is not there. An engine that may not look cannot tell, and issuing will.
fn there<T, E: ProvideErrorMetadata>(
    found: std::result::Result<T, SdkError<E>>,
    missing: &str,
    field: &str,
) -> Result<()> {
    match found.map_err(Failure::from) {
        Ok(_) => Ok(()),
        Err(failure) if failure.cause == Cause::Refused => Ok(()),
        Err(failure) if failure.cause == Cause::Gone => Err(EngineError::bad_input(field, missing)),
        Err(failure) => Err(failure.at("cannot look it up", field)),
    }
}

/// The names of all users under the configured path.
///
/// # Errors
/// As AWS answers.
pub async fn users(account: &Account) -> Result<Vec<String>> {
    let Config { user_path, .. } = &account.config;
    let users = account.clients.iam.list_users().path_prefix(user_path).into_paginator().items().send();
    let users = users.try_collect().await;
    let users = users.map_err(|error| Failure::from(error).doing("cannot list the users"))?;
    Ok(users.into_iter().map(|user| user.user_name).collect())
}
