//! What the statements do, on both databases.

mod audit;
mod audit_query;
mod migrations;
mod partitions;
mod policies;
mod roles;
mod schema;
mod seal;
mod secrets;
mod tokens;
mod versions;
