//! Floor 3: SQL and nothing else. One file per noun; every function takes a [`Tx`](db::Tx) and sees ciphertext only.
//!
//! SQL is written once, with `$1` placeholders, and runs on both databases (see [`db`]). "Not found" is `Ok(None)`.
//! Functions fail as any statement does: `UNAVAILABLE` if trying again can help, else `INTERNAL`; an insert whose name is
//! taken and an update whose row is gone are `CONFLICT`.

pub mod account_rotations;
pub mod audit;
mod audit_append;
mod audit_query;
pub mod batch;
pub mod certificate_authorities;
pub mod certificate_roles;
pub mod certificates;
mod certificates_insert;
mod certificates_states;
pub mod db;
pub mod effects;
pub mod engine_roles;
pub mod engines;
pub mod enrollments;
pub mod errors;
pub mod glance;
pub mod leases;
mod leases_begun;
mod leases_ending;
mod leases_list;
mod leases_states;
pub mod migrations;
pub mod nodes;
pub mod page;
pub mod partitions;
pub mod pending_authorities;
pub mod policies;
mod postgres_pool;
pub mod roles;
mod roles_secret_ids;
pub mod root_rotations;
pub mod seal;
pub mod secrets;
mod secrets_versions;
mod secrets_writing;
mod select;
mod sqlite_pool;
mod texts;
pub mod tokens;
pub mod types;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
