//! The engine against moto, which plays IAM and STS with signatures and permissions enforced. Each test starts a moto of its own
//! (about a second), from the program that `SECRETHUB_TEST_MOTO_SERVER` names.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod conformance;
mod failures;
mod proxy;
mod rotation;
mod sessions;
mod target;
mod users;
