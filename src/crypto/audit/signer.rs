//! Ed25519 (RFC 8032) over the 32 bytes of an event's hash.

use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use zeroize::Zeroizing;

use crate::crypto::memory::{Key32, Secret};
use crate::error::{Error, Result};

/// The key that signs the last event of each batch. Boxed, so that moving it leaves no copy behind; wiped on drop.
pub struct AuditSigner(Box<SigningKey>);

impl AuditSigner {
    #[must_use]
    pub fn generate() -> Self {
        Self(Box::new(SigningKey::from_bytes(Key32::generate().expose())))
    }

    /// The key whose 32 bytes [`AuditSigner::to_secret`] gave.
    ///
    /// # Errors
    /// Internal if it has another length.
    pub fn from_secret(secret: &[u8]) -> Result<Self> {
        let secret = <&[u8; 32]>::try_from(secret)
            .map_err(|_| Error::internal("the stored audit signing key does not have 32 bytes"))?;
        Ok(Self(Box::new(SigningKey::from_bytes(secret))))
    }

    /// The private key, to be sealed and stored.
    #[must_use]
    pub fn to_secret(&self) -> Secret {
        Zeroizing::new(self.0.as_bytes().to_vec())
    }

    #[must_use]
    pub fn public_key(&self) -> [u8; 32] {
        self.0.verifying_key().to_bytes()
    }

    #[must_use]
    pub fn sign(&self, hash: &[u8; 32]) -> [u8; 64] {
        self.0.sign(hash).to_bytes()
    }
}

/// Whether `signature` is one of `hash`, by the strict rules: no malleable signatures, no weak keys.
#[must_use]
pub fn verify_signature(public_key: &[u8; 32], hash: &[u8; 32], signature: &[u8]) -> bool {
    let (Ok(key), Ok(signature)) = (VerifyingKey::from_bytes(public_key), Signature::from_slice(signature))
    else {
        return false;
    };
    key.verify_strict(hash, &signature).is_ok()
}
