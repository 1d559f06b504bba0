//! The audit log's hash chain: what is hashed, who signs, and the check of both.
//!
//! Event `n` carries the hash of event `n-1`, and the last event of each batch a signature. So an auditor with the
//! public key notices every edit, gap and exchange, and with a checkpoint also that the end was cut off.

mod canonical;
mod chain;
mod signer;

pub use canonical::{canonical, hash, write_canonical};
pub use chain::{Anchor, ChainVerifier, Checkpoint, Fault, Problem, Summary};
pub use signer::{AuditSigner, verify_signature};

pub(super) use canonical::write_json;

/// The `previous_hash` of the event with sequence number 1: there is nothing before it.
pub const GENESIS: [u8; 32] = [0; 32];

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
