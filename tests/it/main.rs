//! Tests against the real `secrethub` program: each starts its own server, on its own store, and ends it.
//!
//! `SECRETHUB_TEST_POSTGRES_URL` must name a PostgreSQL server where databases may be made; `tests/run` starts one.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr, reason = "a test ends by panicking")]

#[macro_use]
mod support;

mod access;
mod certificates;
mod clients;
mod commands;
mod crash;
mod faults;
mod floors;
mod guard;
mod leaks;
mod leases;
mod life;
mod matrix;
mod metrics;
mod nodes;
mod npm;
mod npm_schema;
mod outage;
mod pages;
mod playground;
mod plugins;
mod rotation;
mod subscriptions;
mod tamper;
mod telemetry;
mod tour;
mod tour_engines;
