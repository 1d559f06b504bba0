//! The kit on an engine that is right, and on the same engine with one flaw after another, which it must find.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod memory;

use memory::{InMemory, Memory};
use secrethub_engine::conformance::{self as kit, Fixture};
use serde_json::Value;
use std::panic::{AssertUnwindSafe, catch_unwind};

secrethub_engine::conformance!(InMemory);

/// Makes a fixture whose engine has a flaw.
macro_rules! flawed {
    ($name:ident, $flaw:literal) => {
        struct $name(InMemory);

        impl Fixture for $name {
            type Engine = Memory;

            async fn start() -> Self {
                Self(InMemory::start().await)
            }

            fn config(&self) -> Value {
                self.0.config_with($flaw)
            }

            fn role(&self) -> Value {
                self.0.role()
            }

            fn secrets(&self) -> Vec<String> {
                self.0.secrets()
            }

            async fn works(&self, credentials: &Value) -> bool {
                self.0.works(credentials).await
            }

            async fn accounts(&self) -> Vec<String> {
                self.0.accounts().await
            }

            async fn plant_foreign(&self) {
                self.0.plant_foreign().await;
            }

            async fn foreign_is_there(&self) -> bool {
                self.0.foreign_is_there().await
            }
        }
    };
}

flawed!(NoMark, "no mark");
flawed!(RandomNames, "random names");
flawed!(OnePassword, "one password");
flawed!(SecretHandle, "secret handle");
flawed!(NeedsHandle, "needs the handle");
flawed!(Clears, "clears");
flawed!(NotFound, "not found");
flawed!(SaysPassword, "says the password");
flawed!(ListsAll, "lists all");
flawed!(RestoresAnother, "restores another");

/// The sentence that a test fails with.
fn complaint(test: impl Future<Output = ()>) -> String {
    let failed = catch_unwind(AssertUnwindSafe(|| kit::run(test))).expect_err("the flaw is found");
    failed
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| failed.downcast_ref::<&str>().map(|s| (*s).to_owned()))
        .unwrap()
}

#[test]
fn each_flaw_is_found_and_named() {
    let found = [
        (complaint(kit::revoking_twice_succeeds::<NotFound>()), "revoked already"),
        (complaint(kit::revoking_what_was_never_issued_succeeds::<NotFound>()), "never issued"),
        (complaint(kit::revoking_twice_succeeds::<NeedsHandle>()), "nothing but the lease id"),
        (complaint(kit::credentials_of_two_leases_differ::<OnePassword>()), "MUST differ in their secrets"),
        (complaint(kit::credentials_of_two_leases_differ::<NoMark>()), "two leases have two accounts"),
        (complaint(kit::issuing_again_leaves_one_credential::<RandomNames>()), "two credentials behind"),
        (complaint(kit::errors_and_handles_hold_no_secret::<SecretHandle>()), "MUST NOT be in a handle"),
        (complaint(kit::errors_and_handles_hold_no_secret::<SaysPassword>()), "MUST NOT be in errors"),
        (complaint(kit::a_wrong_secret_is_not_repeated::<SaysPassword>()), "MUST NOT be in errors"),
        (complaint(kit::nothing_foreign_is_touched::<Clears>()), "is ever touched"),
        (
            complaint(kit::list_has_exactly_the_accounts_of_the_installation::<ListsAll>()),
            "MUST return exactly",
        ),
        (complaint(kit::restore_makes_the_same_credentials::<RestoresAnother>()), "leaves what is there"),
    ];
    for (complaint, sentence) in found {
        assert!(complaint.contains(sentence), "{complaint:?} names {sentence:?}");
    }
}
