//! What the statements do, on both databases.

mod accounts;
mod audit;
mod audit_query;
mod engines;
mod leases;
mod leases_states;
mod migrations;
mod partitions;
mod policies;
mod roles;
mod schema;
mod seal;
mod secrets;
mod tokens;
mod versions;
