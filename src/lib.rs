//! SecretHub: a secrets manager with one GraphQL API. ARCHITECTURE.md describes the house.

pub mod cli;
pub mod config;
pub mod crypto;
pub mod engine;
pub mod error;
mod failpoint;
pub mod graphql;
pub mod http;
pub mod model;
pub mod service;
pub mod storage;
pub mod tasks;
