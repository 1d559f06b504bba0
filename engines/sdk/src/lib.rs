//! What an engine plugin of SecretHub is written against.
//!
//! An engine issues short-lived credentials on a target (a database, a cache, a cloud account). Its author implements
//! [`Engine`] for a type and writes one line, [`export_engine!`]. The crate is built as a `cdylib`; the server loads it into a
//! process of its own, without environment, inherited files or a way to the server's memory, and talks to it over one socket.
//!
//! ```
//! use secrethub_engine::{Engine, EngineError, Installation, Issued, Lease, Result, Revocation};
//! use schemars::JsonSchema;
//! use serde::{Deserialize, Serialize};
//! use serde_json::json;
//! use std::collections::HashSet;
//! use std::sync::Mutex;
//!
//! /// How to reach the target.
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! pub struct Config {
//!     /// The most accounts at a time.
//!     max_accounts: usize,
//! }
//!
//! /// What is issued.
//! #[derive(Serialize, Deserialize, JsonSchema)]
//! #[serde(deny_unknown_fields)]
//! pub struct Role {
//!     /// The group that accounts belong to.
//!     group: String,
//! }
//!
//! /// Accounts in a list in memory.
//! pub struct Memory {
//!     config: Config,
//!     installation: Installation,
//!     accounts: Mutex<HashSet<String>>,
//! }
//!
//! impl Engine for Memory {
//!     const KIND: &'static str = "memory";
//!     type Config = Config;
//!     type Role = Role;
//!
//!     async fn connect(config: Config, installation: Installation) -> Result<Self> {
//!         Ok(Self { config, installation, accounts: Mutex::default() })
//!     }
//!
//!     async fn check(&self) -> Result<()> {
//!         Ok(())
//!     }
//!
//!     async fn issue(&self, role: &Role, lease: &Lease) -> Result<Issued> {
//!         let name = self.installation.name(lease.id);
//!         let mut accounts = self.accounts.lock().map_err(|_| EngineError::retry("the list is damaged"))?;
//!         if accounts.len() >= self.config.max_accounts {
//!             return Err(EngineError::retry("there is no room for another account"));
//!         }
//!         accounts.insert(name.clone());
//!         let password = secrethub_engine::PasswordPolicy::default().generate();
//!         Ok(Issued {
//!             credentials: json!({ "username": name, "password": password.expose(), "group": role.group }),
//!             handle: json!({ "username": name }),
//!         })
//!     }
//!
//!     async fn renew(&self, _: &Role, _: &Lease, _: &serde_json::Value) -> Result<()> {
//!         Ok(())
//!     }
//!
//!     async fn revoke(&self, revocation: &Revocation<Role>) -> Result<()> {
//!         let name = self.installation.name(revocation.lease_id);
//!         // an account that is not there is as good as removed
//!         self.accounts.lock().map_err(|_| EngineError::retry("the list is damaged"))?.remove(&name);
//!         Ok(())
//!     }
//! }
//!
//! secrethub_engine::export_engine!(Memory);
//! # fn main() {}
//! ```
//!
//! # What an engine must do
//!
//! The words MUST, SHOULD and MAY are those of RFC 2119. The conformance kit (feature `conformance`) asserts the first group.
//!
//! - `revoke` MUST succeed for a lease that was never issued or is revoked already, and MUST need nothing but the lease id.
//! - `issue` MUST name what it makes on the target after the lease id, so that `revoke` finds it even if the answer of `issue`
//!   was lost; repeated with the same lease id it MUST NOT leave two credentials behind.
//! - Credentials of two leases MUST differ.
//! - Names on the target MUST carry the installation's mark ([`Installation::name`], [`NameTemplate`]), and `list` MUST
//!   return only names that do; nothing else on the target is ever touched.
//! - Secrets MUST NOT be in errors, in `Debug`, or in a handle.
//! - `Config` and `Role` MUST refuse unknown fields (`#[serde(deny_unknown_fields)]`), and secrets in `Config` MUST be
//!   [`SecretString`]s, by which the server knows what not to show.
//! - A call SHOULD end when its future is dropped: the server drops it at the deadline.
//! - An engine MAY keep connections open between calls; it is told nothing before its process ends.

mod engine;
mod error;
#[macro_use]
mod export;
mod names;
mod password;
mod secret;
pub mod template;
pub mod wire;

#[cfg(feature = "conformance")]
pub mod conformance;
#[cfg(feature = "plugin")]
mod input;
#[cfg(feature = "plugin")]
pub mod serve;

pub use engine::{Account, Engine, Issued, Lease, Live, Revocation};
pub use error::{EngineError, ErrorKind, Result};
pub use names::{Installation, NameTemplate};
pub use password::PasswordPolicy;
pub use secret::SecretString;

/// The version of the one function that a plugin exports. It changes when its signature does; what is said over the
/// socket has a version of its own, [`wire::PROTOCOL`].
pub const ABI: u32 = 1;
