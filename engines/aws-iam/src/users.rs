//! IAM users: made for a lease, with what the role gives them.

use crate::Account;
use crate::clients::credentials;
use crate::failure::{Cause, Failure};
use crate::keys::{self, Key};
use crate::removal;
use crate::role::UserRole;
use aws_sdk_iam::types::Tag;
use chrono::{DateTime, SecondsFormat, Utc};
use secrethub_engine::{EngineError, Installation, Issued, Lease, Result};
use serde_json::json;
use std::time::Duration;

/// The inline policy by which AWS itself ends a lease.
pub const EXPIRY_POLICY: &str = "secrethub-expiry";
/// How long deleting what a failed issue has made may take; the server does it again.
const TIDY: Duration = Duration::from_secs(10);

/// A user to be made.
pub struct NewUser<'a> {
    pub account: &'a Account,
    pub installation: &'a Installation,
    pub name: &'a str,
    pub role: &'a UserRole,
    pub lease: &'a Lease,
}

impl NewUser<'_> {
    /// Makes the user and one access key that works. If that fails on the way, what was made is deleted.
    ///
    /// # Errors
    /// As AWS answers; `BadInput` names the part of the role that AWS does not take.
    pub async fn issue(&self) -> Result<Issued> {
        let made = self.make().await;
        if made.is_err() {
            // if this fails too, the server finds the user by the lease's name when it revokes
            let _ = tokio::time::timeout(TIDY, removal::remove(&self.account.clients.iam, self.name)).await;
        }
        made
    }

    async fn make(&self) -> Result<Issued> {
        let arn = self.create().await?;
        self.put_policies().await?;
        self.attach_policies().await?;
        self.join_groups().await?;
        let key = self.create_key().await?;
        self.wait_for(&key).await?;
        Ok(Issued {
            credentials: json!({
                "access_key_id": key.id,
                "secret_access_key": key.secret.expose(),
                "user_name": self.name,
                "user_arn": arn,
            }),
            handle: json!({ "user_name": self.name, "user_arn": arn, "access_key_id": key.id }),
        })
    }

    /// Creates the user, anew if an issue whose answer was lost has left one behind. Its ARN.
    async fn create(&self) -> Result<String> {
        let created = match self.create_once().await {
            Err(failure) if failure.cause == Cause::Exists => {
                removal::remove(&self.account.clients.iam, self.name).await?;
                self.create_once().await
            }
            created => created,
        };
        created.map_err(|failure| {
            let field = match failure.cause {
                Cause::Gone => "iam_user.permissions_boundary",
                _ => "iam_user",
            };
            failure.at("cannot create the user", field)
        })
    }

    async fn create_once(&self) -> Result<String, Failure> {
        let path = self.role.path.as_ref().unwrap_or(&self.account.config.user_path);
        let mut request = self
            .account
            .clients
            .iam
            .create_user()
            .user_name(self.name)
            .path(path)
            .set_permissions_boundary(self.role.permissions_boundary.clone())
            .tags(tag("secrethub:installation", self.installation.as_str())?)
            .tags(tag("secrethub:lease", &self.lease.id.to_string())?);
        for (key, value) in &self.role.tags {
            request = request.tags(tag(key, value)?);
        }
        let user = request.send().await?.user.ok_or_else(Failure::unreadable)?;
        Ok(user.arn)
    }

    async fn put_policies(&self) -> Result<()> {
        for (policy, document) in &self.role.policies {
            let put = self
                .account
                .clients
                .iam
                .put_user_policy()
                .user_name(self.name)
                .policy_name(policy)
                .policy_document(document.text())
                .send()
                .await;
            put.map_err(|error| {
                self.failed(
                    error.into(),
                    "cannot add the inline policy",
                    &format!("iam_user.policies.{policy}"),
                )
            })?;
        }
        if self.role.deny_after_expiry {
            put_expiry(self.account, self.name, self.lease.expires_at)
                .await
                .map_err(|failure| self.failed(failure, "cannot add the policy of the expiry", "iam_user"))?;
        }
        Ok(())
    }

    async fn attach_policies(&self) -> Result<()> {
        for (index, arn) in self.role.managed_policies.iter().enumerate() {
            let iam = &self.account.clients.iam;
            let attached = iam.attach_user_policy().user_name(self.name).policy_arn(arn).send().await;
            attached.map_err(|error| {
                let field = format!("iam_user.managed_policies[{index}]");
                self.failed(error.into(), "cannot attach the managed policy", &field)
            })?;
        }
        Ok(())
    }

    async fn join_groups(&self) -> Result<()> {
        for (index, group) in self.role.groups.iter().enumerate() {
            let iam = &self.account.clients.iam;
            let joined = iam.add_user_to_group().user_name(self.name).group_name(group).send().await;
            joined.map_err(|error| {
                let field = format!("iam_user.groups[{index}]");
                self.failed(error.into(), "cannot add the user to the group", &field)
            })?;
        }
        Ok(())
    }

    /// Makes the one key. After an answer that was lost there may be one that nobody knows: it is deleted first.
    async fn create_key(&self) -> Result<Key> {
        let iam = &self.account.clients.iam;
        let mut attempt = 1;
        loop {
            let failure = match keys::create_once(iam, self.name).await.map_err(|f| f.for_new_user(self.name))
            {
                Ok(key) => return Ok(key),
                Err(failure) => failure,
            };
            if failure.cause != Cause::Passing || attempt >= self.account.config.max_attempts {
                return Err(failure.doing("cannot create the access key"));
            }
            tokio::time::sleep(Duration::from_millis(200) * attempt).await;
            keys::delete_all(iam, self.name).await?;
            attempt += 1;
        }
    }

    /// Waits until STS accepts the key. Other services and regions may take a little longer.
    async fn wait_for(&self, key: &Key) -> Result<()> {
        let bound = self.account.config.key_wait();
        if bound.is_zero() {
            return Ok(());
        }
        let clients = &self.account.clients;
        let attempt = || clients.identify_other(credentials(&key.id, &key.secret, None));
        match keys::wait(bound, attempt).await {
            Ok(_) => Ok(()),
            Err(failure) => Err(EngineError::retry(format!(
                "the new access key did not work within {} seconds: {}",
                bound.as_secs(),
                failure.message
            ))),
        }
    }

    fn failed(&self, failure: Failure, doing: &str, field: &str) -> EngineError {
        failure.for_new_user(self.name).at(doing, field)
    }
}

/// Gives a user the inline policy that denies everything after this moment, or moves it.
///
/// # Errors
/// As AWS answers; [`Cause::Gone`] if there is no such user.
pub async fn put_expiry(account: &Account, name: &str, ends: DateTime<Utc>) -> Result<(), Failure> {
    let document = json!({
        "Version": "2012-10-17",
        "Statement": [{
            "Effect": "Deny",
            "Action": "*",
            "Resource": "*",
            "Condition": {
                "DateGreaterThan": { "aws:CurrentTime": ends.to_rfc3339_opts(SecondsFormat::Secs, true) },
            },
        }],
    });
    account
        .clients
        .iam
        .put_user_policy()
        .user_name(name)
        .policy_name(EXPIRY_POLICY)
        .policy_document(document.to_string())
        .send()
        .await?;
    Ok(())
}

/// Lets a user live until this moment. IAM users do not end by themselves, so that there is something to do only for the policy
/// that ends them; but a lease whose user is gone must not seem to go on.
///
/// # Errors
/// As AWS answers; `Refused` if there is no such user.
pub async fn renew(account: &Account, name: &str, role: &UserRole, ends: DateTime<Utc>) -> Result<()> {
    let renewed = if role.deny_after_expiry {
        put_expiry(account, name, ends).await
    } else {
        account.clients.iam.get_user().user_name(name).send().await.map(drop).map_err(Failure::from)
    };
    renewed.map_err(|failure| match failure.cause {
        Cause::Gone => EngineError::refused("the user is gone: request new credentials"),
        _ => failure.doing("cannot renew the user"),
    })
}

fn tag(key: &str, value: &str) -> Result<Tag, Failure> {
    Tag::builder().key(key).value(value).build().map_err(|_| Failure::unreadable())
}
