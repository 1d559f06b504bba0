//! Deletion of a user with all that belongs to it, from its name alone.

use crate::failure::{Cause, Failure, unless_gone};
use crate::{keys, leftovers};
use aws_sdk_iam::Client;
use secrethub_engine::Result;

/// Deletes a user in the order that IAM demands: access keys, inline policies, attached policies, groups, login profile, user.
/// The keys come first, so that a deletion that fails on the way leaves a user that nobody can use. What is gone already counts
/// as deleted at every step.
///
/// # Errors
/// As AWS answers. Repeating goes on where it stopped.
pub async fn remove(iam: &Client, name: &str) -> Result<()> {
    if !keys::delete_all(iam, name).await? {
        return Ok(());
    }
    delete_inline_policies(iam, name).await?;
    detach_policies(iam, name).await?;
    leave_groups(iam, name).await?;
    let deleted = iam.delete_login_profile().user_name(name).send().await;
    unless_gone(deleted, "cannot delete the user's login profile")?;
    match delete_user(iam, name).await {
        Err(failure) if failure.cause == Cause::Conflict => {
            // what the engine never makes, but a user with enough rights may have made for itself
            leftovers::remove(iam, name).await?;
            delete_user(iam, name).await.map_err(|failure| failure.doing("cannot delete the user"))
        }
        outcome => outcome.map_err(|failure| failure.doing("cannot delete the user")),
    }
}

/// Whether the engine may look at this user. One that may not has made none: for sessions it needs no rights in IAM.
pub async fn may_look(iam: &Client, name: &str) -> bool {
    let looked = iam.list_access_keys().user_name(name).send().await.map_err(Failure::from);
    !looked.is_err_and(|failure| failure.cause == Cause::Refused)
}

async fn delete_user(iam: &Client, name: &str) -> Result<(), Failure> {
    match iam.delete_user().user_name(name).send().await.map_err(Failure::from) {
        Ok(_) => Ok(()),
        Err(failure) if failure.cause == Cause::Gone => Ok(()),
        Err(failure) => Err(failure),
    }
}

async fn delete_inline_policies(iam: &Client, name: &str) -> Result<()> {
    let policies =
        iam.list_user_policies().user_name(name).into_paginator().items().send().try_collect().await;
    for policy in unless_gone(policies, "cannot list the user's inline policies")?.unwrap_or_default() {
        let deleted = iam.delete_user_policy().user_name(name).policy_name(policy).send().await;
        unless_gone(deleted, "cannot delete the user's inline policy")?;
    }
    Ok(())
}

async fn detach_policies(iam: &Client, name: &str) -> Result<()> {
    let policies =
        iam.list_attached_user_policies().user_name(name).into_paginator().items().send().try_collect().await;
    for policy in unless_gone(policies, "cannot list the user's attached policies")?.unwrap_or_default() {
        let detached =
            iam.detach_user_policy().user_name(name).set_policy_arn(policy.policy_arn).send().await;
        unless_gone(detached, "cannot detach the user's policy")?;
    }
    Ok(())
}

async fn leave_groups(iam: &Client, name: &str) -> Result<()> {
    let groups =
        iam.list_groups_for_user().user_name(name).into_paginator().items().send().try_collect().await;
    for group in unless_gone(groups, "cannot list the user's groups")?.unwrap_or_default() {
        let left = iam.remove_user_from_group().user_name(name).group_name(group.group_name).send().await;
        unless_gone(left, "cannot remove the user from its group")?;
    }
    Ok(())
}
