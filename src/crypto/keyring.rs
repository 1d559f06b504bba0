//! Root key and data keys.
//!
//! A key is stored wrapped: format byte `0xA1`, 12-byte random nonce, the 32 bytes encrypted with AES-256-GCM, 16-byte
//! tag; 61 bytes in all. The associated data is `secrethub-key-v1` and the purpose (`root`, `data:3`), so that one
//! wrapped key cannot be put in the place of another, and a wrong wrapping key is noticed by the tag.
//!
//! The root key is wrapped by the unseal key. It encrypts nothing itself: from it are derived, by HKDF-Expand-SHA256
//! with `secrethub-purpose-v1:` and a label as info, the key that wraps the data keys (`data-key-wrap`), the key under
//! which SecretIDs are hashed (`secret-id-hmac`), and others as they are needed.

use std::sync::Arc;

use super::memory::Key32;
use super::primitives::{NONCE, TAG, decrypt, encrypt, expand};
use super::random;
use crate::error::{Error, ErrorCode};

pub use super::primitives::{constant_time_eq, hmac_sha256, sha256};

const WRAP_FORMAT: u8 = 0xA1;
const WRAP_DOMAIN: &[u8] = b"secrethub-key-v1";
const PURPOSE_DOMAIN: &[u8] = b"secrethub-purpose-v1:";

/// Why a stored key cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// For the root key this means that the shares were wrong.
    #[error("the wrapping key is wrong, or the wrapped key was changed")]
    WrongKey,
    #[error("a wrapped key has an unknown format or length")]
    Malformed,
    #[error("data key {0} is there twice")]
    RepeatedVersion(u32),
    #[error("data key {0} is the active one but is not there")]
    MissingVersion(u32),
    #[error("data keys are counted from 1")]
    ZeroVersion,
}

/// For keys from the store. Where the unseal key comes from people, the caller answers [`KeyError::WrongKey`] itself.
impl From<KeyError> for Error {
    fn from(error: KeyError) -> Self {
        let message = "the stored keys cannot be read: ask the operator to check the store";
        Self::new(ErrorCode::Internal, message).with_context(error)
    }
}

/// Wraps `key` under `kek`, bound to its purpose; for the format see the module.
#[must_use]
pub fn wrap(kek: &Key32, purpose: &str, key: &Key32) -> Vec<u8> {
    let nonce = random::bytes::<NONCE>();
    let mut wrapped = Vec::with_capacity(1 + NONCE + 32 + TAG);
    wrapped.push(WRAP_FORMAT);
    wrapped.extend_from_slice(&nonce);
    wrapped.extend_from_slice(key.expose());
    let Ok(tag) = encrypt(kek.expose(), &nonce, &wrap_aad(purpose), &mut wrapped[1 + NONCE..]) else {
        unreachable!("32 bytes are within the limits of AES-GCM");
    };
    wrapped.extend_from_slice(&tag);
    wrapped
}

/// Takes apart what [`wrap`] made with the same key and purpose.
pub fn unwrap_key(kek: &Key32, purpose: &str, wrapped: &[u8]) -> Result<Key32, KeyError> {
    let (&format, rest) = wrapped.split_first().ok_or(KeyError::Malformed)?;
    let (nonce, rest) = rest.split_first_chunk::<NONCE>().ok_or(KeyError::Malformed)?;
    let (ciphertext, tag) = rest.split_first_chunk::<32>().ok_or(KeyError::Malformed)?;
    let tag: &[u8; TAG] = tag.try_into().map_err(|_| KeyError::Malformed)?;
    if format != WRAP_FORMAT {
        return Err(KeyError::Malformed);
    }
    Key32::try_with(|key| {
        *key = *ciphertext;
        decrypt(kek.expose(), nonce, &wrap_aad(purpose), key, tag).map_err(|_| KeyError::WrongKey)
    })
}

fn wrap_aad(purpose: &str) -> Vec<u8> {
    [WRAP_DOMAIN, purpose.as_bytes()].concat()
}

/// The key at the top. It lives in memory while the server is unsealed.
pub struct RootKey(Key32);

impl RootKey {
    /// What the root key is wrapped for, see [`wrap`].
    pub const PURPOSE: &'static str = "root";

    #[must_use]
    pub fn generate() -> Self {
        Self(Key32::generate())
    }

    /// Wraps this key under the unseal key.
    #[must_use]
    pub fn wrap(&self, unseal_key: &Key32) -> Vec<u8> {
        wrap(unseal_key, Self::PURPOSE, &self.0)
    }

    /// # Errors
    /// [`KeyError::WrongKey`] if the unseal key is not the one.
    pub fn unwrap(unseal_key: &Key32, wrapped: &[u8]) -> Result<Self, KeyError> {
        unwrap_key(unseal_key, Self::PURPOSE, wrapped).map(Self)
    }

    /// The key for one purpose; different labels give unrelated keys.
    #[must_use]
    pub fn derive(&self, label: &str) -> Key32 {
        let info = [PURPOSE_DOMAIN, label.as_bytes()].concat();
        Key32::with(|key| expand(self.0.expose(), &info, key))
    }

    #[must_use]
    pub fn wrap_data_key(&self, key: &DataKey) -> Vec<u8> {
        wrap(&self.derive("data-key-wrap"), &DataKey::purpose(key.version), &key.key)
    }

    pub fn unwrap_data_key(&self, version: u32, wrapped: &[u8]) -> Result<DataKey, KeyError> {
        let key = unwrap_key(&self.derive("data-key-wrap"), &DataKey::purpose(version), wrapped)?;
        Ok(DataKey { version, key })
    }
}

/// A key from which record keys are derived. Versions count from 1.
pub struct DataKey {
    version: u32,
    key: Key32,
}

impl DataKey {
    #[must_use]
    pub fn generate(version: u32) -> Self {
        Self { version, key: Key32::generate() }
    }

    #[must_use]
    pub fn version(&self) -> u32 {
        self.version
    }

    #[must_use]
    pub fn key(&self) -> &Key32 {
        &self.key
    }

    fn purpose(version: u32) -> String {
        format!("data:{version}")
    }
}

/// All keys of an unsealed server. Cheap to clone and never changed: a new key makes a new keyring.
#[derive(Clone)]
pub struct Keyring {
    /// Sorted by version.
    data_keys: Arc<[Arc<DataKey>]>,
    active: Arc<DataKey>,
    root: Arc<RootKey>,
    secret_id_hmac: Arc<Key32>,
}

impl Keyring {
    /// # Errors
    /// If a version is there twice or is 0, or the active one is missing.
    pub fn new(root: RootKey, data_keys: Vec<DataKey>, active: u32) -> Result<Self, KeyError> {
        let secret_id_hmac = Arc::new(root.derive("secret-id-hmac"));
        let data_keys = data_keys.into_iter().map(Arc::new).collect();
        Self::assemble(Arc::new(root), secret_id_hmac, data_keys, active)
    }

    fn assemble(
        root: Arc<RootKey>,
        secret_id_hmac: Arc<Key32>,
        mut data_keys: Vec<Arc<DataKey>>,
        active: u32,
    ) -> Result<Self, KeyError> {
        data_keys.sort_by_key(|key| key.version);
        if data_keys.first().is_some_and(|key| key.version == 0) {
            return Err(KeyError::ZeroVersion);
        }
        if let Some(pair) = data_keys.windows(2).find(|pair| pair[0].version == pair[1].version) {
            return Err(KeyError::RepeatedVersion(pair[0].version));
        }
        let found = data_keys.iter().find(|key| key.version == active);
        let active = found.cloned().ok_or(KeyError::MissingVersion(active))?;
        Ok(Self { data_keys: data_keys.into(), active, root, secret_id_hmac })
    }

    /// A keyring with one data key more. It becomes the active one if its version is higher than that of the active.
    pub fn with_added(&self, key: DataKey) -> Result<Self, KeyError> {
        let active = self.active.version.max(key.version);
        let mut data_keys = self.data_keys.to_vec();
        data_keys.push(Arc::new(key));
        Self::assemble(Arc::clone(&self.root), Arc::clone(&self.secret_id_hmac), data_keys, active)
    }

    /// The data key that new records are sealed with.
    #[must_use]
    pub fn active(&self) -> &DataKey {
        &self.active
    }

    #[must_use]
    pub fn get(&self, version: u32) -> Option<&DataKey> {
        let index = self.data_keys.binary_search_by_key(&version, |key| key.version).ok()?;
        self.data_keys.get(index).map(AsRef::as_ref)
    }

    /// The versions of all data keys, ascending.
    pub fn versions(&self) -> impl Iterator<Item = u32> {
        self.data_keys.iter().map(|key| key.version)
    }

    #[must_use]
    pub fn root(&self) -> &RootKey {
        &self.root
    }

    /// The key under which SecretIDs are hashed.
    #[must_use]
    pub fn secret_id_hmac(&self) -> &Key32 {
        &self.secret_id_hmac
    }
}

#[cfg(test)]
#[path = "keyring_tests.rs"]
mod tests;
