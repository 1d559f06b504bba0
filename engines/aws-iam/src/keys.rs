//! Access keys: made, waited for, deleted.

use crate::failure::{Failure, unless_gone};
use aws_sdk_iam::Client;
use aws_sdk_iam::config::retry::RetryConfig;
use secrethub_engine::{Result, SecretString};
use std::future::Future;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// The first pause while a key does not work yet; each next is twice as long, to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// A new access key.
pub struct Key {
    pub id: String,
    pub secret: SecretString,
}

/// Makes an access key, in one attempt: after an answer that was lost there may be a key whose secret nobody knows, and
/// repeating would add a second.
///
/// # Errors
/// As AWS answers.
pub async fn create_once(iam: &Client, user: &str) -> Result<Key, Failure> {
    let once = aws_sdk_iam::Config::builder().retry_config(RetryConfig::disabled());
    let answer = iam.create_access_key().user_name(user).customize().config_override(once).send().await?;
    let key = answer.access_key.ok_or_else(Failure::unreadable)?;
    Ok(Key { id: key.access_key_id, secret: SecretString::from(key.secret_access_key) })
}

/// The ids of a user's access keys; `None` if there is no such user.
///
/// # Errors
/// As AWS answers.
pub async fn list(iam: &Client, user: &str) -> Result<Option<Vec<String>>> {
    let keys = iam.list_access_keys().user_name(user).into_paginator().items().send().try_collect().await;
    let keys = unless_gone(keys, "cannot list the user's access keys")?;
    Ok(keys.map(|keys| keys.into_iter().filter_map(|key| key.access_key_id).collect()))
}

/// Deletes one key. Succeeds if it is gone.
///
/// # Errors
/// As AWS answers.
pub async fn delete(iam: &Client, user: &str, id: &str) -> Result<()> {
    let deleted = iam.delete_access_key().user_name(user).access_key_id(id).send().await;
    unless_gone(deleted, "cannot delete the user's access key").map(drop)
}

/// Deletes all keys of a user. Whether there is such a user.
///
/// # Errors
/// As AWS answers.
pub async fn delete_all(iam: &Client, user: &str) -> Result<bool> {
    let Some(ids) = list(iam, user).await? else { return Ok(false) };
    for id in ids {
        delete(iam, user, &id).await?;
    }
    Ok(true)
}

/// Tries until it works, at least once, and at most until `bound` is over.
///
/// # Errors
/// The last failure.
pub async fn wait<T, A>(bound: Duration, mut attempt: impl FnMut() -> A) -> Result<T, Failure>
where
    A: Future<Output = Result<T, Failure>>,
{
    let end = Instant::now() + bound;
    let mut pause = FIRST_PAUSE;
    loop {
        match attempt().await {
            Err(_) if Instant::now() + pause <= end => sleep(pause).await,
            outcome => return outcome,
        }
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    async fn attempts_within(bound: Duration, works_at: u32) -> (bool, u32) {
        let attempts = AtomicU32::new(0);
        let outcome = wait(bound, || async {
            let attempt = attempts.fetch_add(1, Ordering::Relaxed) + 1;
            if attempt >= works_at { Ok(()) } else { Err(Failure::unreadable()) }
        })
        .await;
        (outcome.is_ok(), attempts.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn waiting_is_bounded() {
        assert_eq!(attempts_within(Duration::ZERO, 1).await, (true, 1));
        assert_eq!(attempts_within(Duration::ZERO, 2).await, (false, 1));
        assert_eq!(attempts_within(Duration::from_secs(20), 2).await, (true, 2));
        let (bound, started) = (Duration::from_millis(700), Instant::now());
        assert_eq!(attempts_within(bound, 1000).await, (false, 3));
        assert!(started.elapsed() < bound);
    }
}
