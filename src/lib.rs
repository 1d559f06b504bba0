//! SecretHub: a secrets manager with one GraphQL API. ARCHITECTURE.md describes the house.

pub mod crypto;
pub mod error;
pub mod graphql;
pub mod model;
pub mod storage;
