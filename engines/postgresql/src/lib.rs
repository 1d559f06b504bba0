//! PostgreSQL accounts.
//!
//! An account is a role with LOGIN, named after its lease, valid until the lease ends, and a member of the groups that its
//! privileges come from. Its password never leaves this process but in the answer: the target is given the SCRAM verifier.
//!
//! # What the engine's own account needs
//!
//! `CREATEROLE`, and `ADMIN OPTION` on every group of every role (PostgreSQL 15 and older: `CREATEROLE` is enough). A superuser
//! can do all of it. What else ending sessions and handing objects over takes, the engine grants itself for that transaction.
//!
//! # How an account ends
//!
//! 1. `ALTER ROLE … NOLOGIN`, committed: no new sessions.
//! 2. Its sessions are terminated, until there are none.
//! 3. The role's own revocation statements, if it has any.
//! 4. In every database where it owns or may do something: `REASSIGN OWNED` to the group that keeps its objects, `DROP OWNED`.
//! 5. `DROP ROLE`.
//!
//! Each step can be repeated, and each finds out for itself what is left to do. Accounts that have nothing but their group
//! memberships, as they should, go through all of it a hundred at a time.

mod accounts;
mod check;
mod config;
mod create;
mod engine;
mod failure;
mod link;
mod members;
mod pool;
mod renew;
mod revoke;
mod role;
mod root;
mod statements;
mod tls;
mod verifier;

pub use config::{Config, TlsMode};
pub use engine::PostgresEngine;
pub use role::Role;

secrethub_engine::export_engine!(PostgresEngine);
