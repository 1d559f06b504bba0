//! The tests that every engine must pass, against a real target.
//!
//! An engine's crate turns the feature `conformance` on in its dev-dependencies, implements [`Fixture`] and writes
//! [`conformance!`](crate::conformance!) with its name: that makes a module of tests, one for each sentence of "What an engine
//! must do" in the crate's documentation. They speak to the engine over the wire, and one at a time, since they
//! share the target. `engines/template/tests` has a short fixture. For tests of one's own there are [`Client`], an engine
//! behind the wire, and [`Kit`], which has a fixture too.

mod client;
mod inputs;
mod kit;
mod leases;
mod optional;
mod schema;

pub use client::{Client, DEADLINE, typed};
pub use inputs::*;
pub use kit::Kit;
pub use leases::*;
pub use optional::*;

use crate::{Engine, Installation};
use serde_json::Value;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// The longest that one test takes.
const LIMIT: Duration = Duration::from_secs(600);
/// Held while a test runs.
static TARGET: Mutex<()> = Mutex::new(());

/// What the kit must know of a target.
pub trait Fixture: Sized + Send + Sync + 'static {
    type Engine: Engine;

    /// Starts or joins a real target, without accounts of [`installation`] on it. Each test calls it once.
    fn start() -> impl Future<Output = Self> + Send;

    /// A configuration that reaches it.
    fn config(&self) -> Value;

    /// A role that issues.
    fn role(&self) -> Value;

    /// The texts in the configuration that are secret.
    fn secrets(&self) -> Vec<String> {
        Vec::new()
    }

    /// The texts in issued credentials that are secret: unless told otherwise, those in fields that are named so.
    fn secrets_of(&self, credentials: &Value) -> Vec<String> {
        named_as_secrets(credentials)
    }

    /// How long what was sent to the target may go on there after its sender gave up.
    fn settling(&self) -> Duration {
        Duration::from_millis(200)
    }

    /// Whether these credentials work on the target now, tried around the engine.
    fn works(&self, credentials: &Value) -> impl Future<Output = bool> + Send;

    /// The names of all accounts of this installation on the target, looked at around the engine.
    fn accounts(&self) -> impl Future<Output = Vec<String>> + Send;

    /// Makes an account that is not this installation's.
    fn plant_foreign(&self) -> impl Future<Output = ()> + Send;

    /// Whether that account is still there, and as it was.
    fn foreign_is_there(&self) -> impl Future<Output = bool> + Send;
}

/// The installation that the kit is: names on the target carry its mark.
#[must_use]
pub fn installation() -> Installation {
    Installation::from_bytes(*b"shkit")
}

/// Runs one test on a runtime of its own, when no other runs.
///
/// # Panics
/// If the test does, or takes too long.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    let _alone = TARGET.lock().unwrap_or_else(PoisonError::into_inner);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let Ok(runtime) = runtime else { panic!("a test needs a runtime") };
    let result = runtime.block_on(async { tokio::time::timeout(LIMIT, test).await });
    runtime.shutdown_background();
    match result {
        Ok(value) => value,
        Err(_) => panic!("the test took longer than {} s", LIMIT.as_secs()),
    }
}

fn named_as_secrets(credentials: &Value) -> Vec<String> {
    const WORDS: [&str; 4] = ["password", "secret", "token", "private"];
    let mut found = Vec::new();
    let mut left = vec![credentials];
    while let Some(value) = left.pop() {
        if let Value::Object(fields) = value {
            for (name, field) in fields {
                let name = name.to_ascii_lowercase();
                match field {
                    Value::String(text) if WORDS.iter().any(|word| name.contains(word)) => {
                        found.push(text.clone());
                    }
                    field => left.push(field),
                }
            }
        }
    }
    found
}

/// Makes a module of tests out of a [`Fixture`](crate::conformance::Fixture): `secrethub_engine::conformance!(MyFixture);`.
#[macro_export]
macro_rules! conformance {
    ($fixture:ty) => {
        mod engine_conformance {
            #[allow(unused_imports, reason = "the fixture may be named by a path")]
            use super::*;

            $crate::conformance!(@tests $fixture;
                credentials_of_two_leases_differ
                credentials_work_until_they_are_revoked
                revoking_twice_succeeds
                revoking_what_was_never_issued_succeeds
                issuing_again_leaves_one_credential
                an_issue_that_was_broken_off_is_revoked_by_its_id
                many_are_issued_and_revoked_at_once
                many_are_revoked_in_one_call
                renewed_credentials_go_on_working
                nothing_foreign_is_touched
                errors_and_handles_hold_no_secret
                a_wrong_secret_is_not_repeated
                deadlines_are_kept
                unknown_fields_are_refused_by_name
                wrong_types_are_refused_by_name
                secrets_of_the_configuration_are_marked
                list_has_exactly_the_accounts_of_the_installation
                try_credentials_tells_live_from_revoked
                restore_makes_the_same_credentials
            );

            #[test]
            fn debug_shows_no_secret() {
                #[allow(unused_imports, reason = "which of them is used depends on the type")]
                use $crate::conformance::{Debuggable as _, NotDebuggable as _};
                $crate::conformance::run(async {
                    let fixture = <$fixture as $crate::conformance::Fixture>::start().await;
                    let config = $crate::conformance::config_of(&fixture);
                    let shown = (&$crate::conformance::Probe(&config)).shown();
                    $crate::conformance::assert_no_secret_is_shown(&fixture, &shown);
                });
            }
        }
    };
    (@tests $fixture:ty; $($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                $crate::conformance::run($crate::conformance::$name::<$fixture>());
            }
        )*
    };
}
