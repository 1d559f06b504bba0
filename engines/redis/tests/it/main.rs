//! The engine against real Redis servers: each test starts its own, on free ports and in directories of their own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends by panicking")]

mod conformance;
mod faults;
mod lifetime;
mod rotation;
mod server;
mod tls;
