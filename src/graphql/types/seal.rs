//! The seal as clients see it.

use crate::graphql::scalars::{DateTime, int};
use crate::service::seal;
use async_graphql::SimpleObject;

/// Whether the server has its keys. Sealed, it answers nothing but this, unsealing and health.
#[derive(SimpleObject)]
pub struct SealStatus {
    /// Whether the server has been given keys at all.
    initialized: bool,
    /// Whether the keys are out of its memory.
    sealed: bool,
    /// How many key shares unseal it; null before it is initialised, and if it unseals itself.
    threshold: Option<i32>,
    /// How many key shares there are; null before it is initialised, and if it unseals itself.
    shares: Option<i32>,
    /// How many shares were given so far for this unsealing.
    progress: i32,
    /// The version of the server.
    version: String,
    /// The name of the cluster, as configured.
    cluster_name: Option<String>,
    /// How it is unsealed: `shamir` by key shares, `static` by itself with a configured key; null before it is initialised.
    seal_type: Option<String>,
}

impl From<seal::SealStatus> for SealStatus {
    fn from(status: seal::SealStatus) -> Self {
        Self {
            initialized: status.initialized,
            sealed: status.sealed,
            threshold: status.threshold.map(int),
            shares: status.shares.map(int),
            progress: int(status.progress),
            version: status.version,
            cluster_name: status.cluster_name,
            seal_type: status.seal_type,
        }
    }
}

/// How far the making of new key shares has come.
#[derive(SimpleObject)]
pub struct RekeyStatus {
    /// Whether one is under way.
    started: bool,
    /// How many new shares there will be.
    shares: i32,
    /// How many of the new shares will unseal the server.
    threshold: i32,
    /// How many of the present shares were given so far.
    progress: i32,
    /// How many of the present shares are needed.
    required: i32,
    /// How many of the new shares were shown back so far.
    confirmed: i32,
    /// Whether the new shares are in force, and the earlier ones worthless.
    complete: bool,
}

impl From<&seal::RekeyStatus> for RekeyStatus {
    fn from(status: &seal::RekeyStatus) -> Self {
        Self {
            started: status.started,
            shares: int(status.shares),
            threshold: int(status.threshold),
            progress: int(status.progress),
            required: int(status.required),
            confirmed: int(status.confirmed),
            complete: status.complete,
        }
    }
}

/// What came of a rotation of the encryption key.
#[derive(SimpleObject)]
pub struct RotateEncryptionKeyPayload {
    /// The version of the key that new records are written under.
    key_version: i32,
    /// When it came into force. Earlier records are wrapped anew in the background.
    rotated_at: DateTime,
}

impl From<seal::RotatedKey> for RotateEncryptionKeyPayload {
    fn from(rotated: seal::RotatedKey) -> Self {
        Self { key_version: int(rotated.key_version), rotated_at: rotated.rotated_at.into() }
    }
}
