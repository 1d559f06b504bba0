//! The barrier: records are sealed before they reach the store, and opened after they come back.
//!
//! # Envelope
//!
//! | bytes | content |
//! |---|---|
//! | 1 | format, `0xB1` |
//! | 1 | algorithm: `0x01` is AES-256-GCM under a key derived per record as below |
//! | 4 | version of the data key, big endian |
//! | 12 | nonce, random |
//! | n | ciphertext, as long as the plaintext |
//! | 16 | tag |
//!
//! # Record key and associated data
//!
//! The *name* of a record is `secrethub-record-v1`, then table, column and id, each as its length (8 bytes, big
//! endian) and its bytes, then the record's version (8 bytes, big endian). The record key is
//! HKDF-Expand-SHA256(data key, info = name, 32 bytes). The associated data is the name followed by the first six
//! bytes of the envelope. So a ciphertext that is moved to another table, column, row or version, or whose header is
//! changed, does not open; and since each record has its own key, random nonces never come near their limits.

use super::keyring::{DataKey, KeyError, Keyring};
use super::memory::Secret;
use super::primitives::{NONCE, TAG, decrypt, encrypt, expand};
use super::random;
use crate::error::{Error, ErrorCode, Result};
use zeroize::Zeroizing;

const FORMAT: u8 = 0xB1;
const ALGORITHM: u8 = 0x01;
const HEADER: usize = 6;
const DOMAIN: &[u8] = b"secrethub-record-v1";

/// Bytes by which an envelope is longer than its plaintext.
pub const OVERHEAD: usize = HEADER + NONCE + TAG;

/// Which record a ciphertext belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordName<'a> {
    pub table: &'a str,
    pub column: &'a str,
    /// The row, by its primary key as text.
    pub id: &'a str,
    /// The version of the row, 0 where it has none.
    pub version: i64,
}

impl RecordName<'_> {
    /// The name as in the module's documentation, with room left for the header.
    fn encode(&self) -> Vec<u8> {
        let parts = [self.table, self.column, self.id];
        let length = parts.iter().map(|part| 8 + part.len()).sum::<usize>();
        let mut name = Vec::with_capacity(DOMAIN.len() + length + 8 + HEADER);
        name.extend_from_slice(DOMAIN);
        for part in parts {
            name.extend_from_slice(&(part.len() as u64).to_be_bytes());
            name.extend_from_slice(part.as_bytes());
        }
        name.extend_from_slice(&self.version.to_be_bytes());
        name
    }
}

/// Why an envelope does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error("the envelope is cut short")]
    Truncated,
    #[error("the envelope has a format or algorithm that this version does not know")]
    UnknownFormat,
    /// Another node may have added the key a moment ago: reading the keyring again can help.
    #[error("the envelope is sealed with data key {0}, which is not in the keyring")]
    UnknownKeyVersion(u32),
    #[error("the envelope was changed, or belongs to another record")]
    Tampered,
}

impl From<OpenError> for Error {
    fn from(error: OpenError) -> Self {
        let message = "the stored record cannot be decrypted: ask the operator to check the store";
        Self::new(ErrorCode::Internal, message).with_context(error)
    }
}

/// Seals and opens records. Cheap to clone and never changed: a new data key makes a new barrier.
#[derive(Clone)]
pub struct Barrier {
    keyring: Keyring,
}

impl Barrier {
    #[must_use]
    pub fn new(keyring: Keyring) -> Self {
        Self { keyring }
    }

    #[must_use]
    pub fn keyring(&self) -> &Keyring {
        &self.keyring
    }

    /// A barrier with one data key more, see [`Keyring::with_added`]. This one goes on working.
    pub fn with_data_key(&self, key: DataKey) -> Result<Self, KeyError> {
        Ok(Self { keyring: self.keyring.with_added(key)? })
    }

    /// Encrypts under the active data key.
    ///
    /// # Errors
    /// Only for plaintexts of more than 64 GiB.
    pub fn seal(&self, name: &RecordName<'_>, plaintext: &[u8]) -> Result<Vec<u8>> {
        let data_key = self.keyring.active();
        let mut header = [FORMAT, ALGORITHM, 0, 0, 0, 0];
        header[2..].copy_from_slice(&data_key.version().to_be_bytes());
        let mut aad = name.encode();
        let key = record_key(data_key, &aad);
        aad.extend_from_slice(&header);

        let nonce = random::bytes::<NONCE>();
        // The plaintext is encrypted where the ciphertext will stay; with the full capacity it never moves.
        let mut envelope = Vec::with_capacity(plaintext.len() + OVERHEAD);
        envelope.extend_from_slice(&header);
        envelope.extend_from_slice(&nonce);
        envelope.extend_from_slice(plaintext);
        let tag = encrypt(&key, &nonce, &aad, &mut envelope[HEADER + NONCE..])
            .map_err(|_| Error::internal("a record of more than 64 GiB cannot be sealed"))?;
        envelope.extend_from_slice(&tag);
        Ok(envelope)
    }

    /// Decrypts what [`Barrier::seal`] made for the same record.
    pub fn open(&self, name: &RecordName<'_>, envelope: &[u8]) -> Result<Secret, OpenError> {
        let (version, header, rest) = parse_header(envelope)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE>().ok_or(OpenError::Truncated)?;
        let (ciphertext, tag) = rest.split_last_chunk::<TAG>().ok_or(OpenError::Truncated)?;
        let data_key = self.keyring.get(version).ok_or(OpenError::UnknownKeyVersion(version))?;
        let mut aad = name.encode();
        let key = record_key(data_key, &aad);
        aad.extend_from_slice(header);
        let mut plaintext = Zeroizing::new(ciphertext.to_vec());
        decrypt(&key, nonce, &aad, &mut plaintext, tag).map_err(|_| OpenError::Tampered)?;
        Ok(plaintext)
    }
}

/// The version of the data key an envelope says it is sealed with; `None` for what is no envelope.
#[must_use]
pub fn key_version_of(envelope: &[u8]) -> Option<u32> {
    parse_header(envelope).ok().map(|(version, ..)| version)
}

fn parse_header(envelope: &[u8]) -> Result<(u32, &[u8; HEADER], &[u8]), OpenError> {
    let (header, rest) = envelope.split_first_chunk::<HEADER>().ok_or(OpenError::Truncated)?;
    let [FORMAT, ALGORITHM, version @ ..] = header else {
        return Err(OpenError::UnknownFormat);
    };
    Ok((u32::from_be_bytes(*version), header, rest))
}

fn record_key(data_key: &DataKey, name: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut key = Zeroizing::new([0; 32]);
    expand(data_key.key().expose(), name, &mut key);
    key
}

#[cfg(test)]
#[path = "barrier_tests.rs"]
mod tests;
