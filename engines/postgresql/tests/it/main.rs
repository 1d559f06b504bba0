//! The engine against a PostgreSQL server that it is given for the tests.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod conformance;
mod issue;
mod outage;
mod revoke;
mod rotate;
mod server;
mod statements;
mod target;
mod tls;
