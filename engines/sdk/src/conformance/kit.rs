//! A fixture and a connected engine, with the steps that many tests take.

use super::{Client, Fixture, installation};
use crate::{EngineError, Issued, Lease};
use chrono::{DateTime, Duration, Utc};
use serde_json::Value;
use std::time::UNIX_EPOCH;
use uuid::Uuid;

/// A fixture and an engine that is connected to its target.
pub struct Kit<F> {
    pub fixture: F,
    pub client: Client,
}

impl<F: Fixture> Kit<F> {
    /// # Panics
    /// If the engine does not take the fixture's configuration.
    pub async fn start() -> Self {
        let fixture = F::start().await;
        match Client::connect::<F::Engine>(fixture.config(), installation()).await {
            Ok(client) => Self { fixture, client },
            Err(error) => panic!("the fixture's configuration must connect: {error}"),
        }
    }

    /// Issues for a lease.
    ///
    /// # Panics
    /// If the engine does not.
    pub async fn issue(&self, lease: &Lease) -> Issued {
        let issued = match self.client.issue(&self.fixture.role(), lease).await {
            Ok(issued) => issued,
            Err(error) => panic!("the fixture's role must issue: {error}"),
        };
        assert!(issued.credentials.is_object(), "credentials MUST be a JSON object");
        assert!(issued.handle.is_object(), "a handle MUST be a JSON object");
        issued
    }

    /// # Panics
    /// If the engine does not revoke.
    pub async fn revoke(&self, lease: Uuid) {
        if let Err(error) = self.client.revoke(lease).await {
            panic!("`revoke` MUST need nothing but the lease id: {error}");
        }
    }

    /// # Panics
    /// Unless the target has as many accounts of the installation, each with its mark.
    pub async fn assert_accounts(&self, count: usize, sentence: &str) {
        let accounts = self.fixture.accounts().await;
        assert_eq!(accounts.len(), count, "{sentence}: there are {accounts:?}");
        for name in accounts {
            let mark = installation();
            assert!(
                name.contains(mark.as_str()),
                "names on the target MUST carry the mark {mark}: there is {name}"
            );
        }
    }

    /// # Panics
    /// If the error repeats a secret of the configuration or of these credentials.
    pub fn assert_clean(&self, error: &EngineError, credentials: &[&Value]) {
        let shown = format!("{error} {error:?}");
        let secrets = credentials.iter().flat_map(|credentials| self.fixture.secrets_of(credentials));
        for secret in self.fixture.secrets().into_iter().chain(secrets) {
            assert!(
                !shown.contains(&secret),
                "secrets MUST NOT be in errors: one of kind {:?} has one",
                error.kind
            );
        }
    }
}

/// A new lease, an hour long.
#[must_use]
pub fn lease() -> Lease {
    Lease { id: Uuid::new_v4(), expires_at: soon(1) }
}

/// So many hours from now.
#[must_use]
pub fn soon(hours: i64) -> DateTime<Utc> {
    now() + Duration::hours(hours)
}

#[allow(clippy::disallowed_methods, reason = "the tests' own clock: a target compares with the real time")]
fn now() -> DateTime<Utc> {
    let since = std::time::SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    DateTime::from_timestamp(i64::try_from(since.as_secs()).unwrap_or_default(), 0).unwrap_or_default()
}
