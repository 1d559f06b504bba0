//! AES-256-GCM, HKDF, HMAC and SHA-256 with the fixed sizes used here, so that a wrong length cannot be written.

use aes_gcm::aead::AeadInOut;
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::{Aes256Gcm, KeyInit};
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::memory::Key32;

/// Bytes of a GCM nonce.
pub const NONCE: usize = 12;
/// Bytes of a GCM tag.
pub const TAG: usize = 16;

/// The tag does not match, or the data is longer than GCM allows (64 GiB).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AeadFailure;

/// Encrypts `data` in place and returns its tag. A nonce must never be used twice with one key.
pub fn encrypt(
    key: &[u8; 32],
    nonce: &[u8; NONCE],
    aad: &[u8],
    data: &mut [u8],
) -> Result<[u8; TAG], AeadFailure> {
    let tag = Aes256Gcm::new(key.into())
        .encrypt_inout_detached(nonce.into(), aad, InOutBuf::from(data))
        .map_err(|_| AeadFailure)?;
    Ok(tag.into())
}

/// Decrypts `data` in place; with a wrong tag `data` stays as it is.
pub fn decrypt(
    key: &[u8; 32],
    nonce: &[u8; NONCE],
    aad: &[u8],
    data: &mut [u8],
    tag: &[u8; TAG],
) -> Result<(), AeadFailure> {
    Aes256Gcm::new(key.into())
        .decrypt_inout_detached(nonce.into(), aad, InOutBuf::from(data), tag.into())
        .map_err(|_| AeadFailure)
}

/// HKDF-Expand with SHA-256 to 32 bytes. Our keys are uniformly random, so the extract step is left out, as RFC 5869
/// section 3.3 allows.
pub fn expand(key: &[u8; 32], info: &[u8], out: &mut [u8; 32]) {
    let done = Hkdf::<Sha256>::from_prk(key).is_ok_and(|hkdf| hkdf.expand(info, out).is_ok());
    if !done {
        // Both steps refuse other lengths only. Going on with a key of zeros would be worse than stopping.
        unreachable!("HKDF-SHA256 takes a key of 32 bytes and gives 32 bytes");
    }
}

#[must_use]
pub fn hmac_sha256(key: &Key32, data: &[u8]) -> [u8; 32] {
    // HMAC pads keys to the block of the hash with zeros; a padded key cannot have a wrong length.
    let mut block = Zeroizing::new([0; 64]);
    block[..32].copy_from_slice(key.expose());
    let mut mac = <Hmac<Sha256> as KeyInit>::new((&*block).into());
    mac.update(data);
    mac.finalize().into_bytes().into()
}

#[must_use]
pub fn sha256(data: &[u8]) -> [u8; 32] {
    Sha256::digest(data).into()
}

/// Compares in time that depends on the lengths only.
#[must_use]
pub fn constant_time_eq(left: &[u8], right: &[u8]) -> bool {
    left.ct_eq(right).into()
}

#[cfg(test)]
#[path = "primitives_tests.rs"]
mod tests;
