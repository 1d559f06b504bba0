//! The keys in this node's memory, and how they come out of the store.

use super::super::App;
use super::super::certificates::IssuerCache;
use crate::crypto::audit::AuditSigner;
use crate::crypto::barrier::Barrier;
use crate::crypto::keyring::{DataKey, KeyError, Keyring, RootKey, unwrap_key, wrap};
use crate::crypto::memory::Key32;
use crate::error::{Error, Result};
use crate::storage::errors::corrupt;
use crate::storage::seal as store;
use crate::storage::seal::{KeyringRow, SealConfigRow};
use arc_swap::ArcSwapOption;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const SIGNER_PURPOSE: &str = "audit-signer";

/// What an unsealed node holds in memory.
pub struct Keys {
    pub barrier: Barrier,
    pub signer: AuditSigner,
    pub audit_public_key: [u8; 32],
    /// Authorities that were opened with these keys.
    pub issuers: IssuerCache,
}

/// The place of the keys: empty while the node is sealed.
#[derive(Default)]
pub struct KeySlot {
    keys: ArcSwapOption<Keys>,
    pub(super) initialized: AtomicBool,
}

impl KeySlot {
    /// # Errors
    /// `SEALED` or `NOT_INITIALIZED`.
    pub fn get(&self) -> Result<Arc<Keys>> {
        self.keys.load_full().ok_or_else(|| {
            if self.initialized.load(Ordering::Acquire) { Error::sealed() } else { Error::not_initialized() }
        })
    }

    pub fn clear(&self) {
        self.keys.store(None);
    }

    pub(super) fn set(&self, keys: Keys) {
        self.keys.store(Some(Arc::new(keys)));
    }
}

pub(super) async fn read_keys(app: &App, root: RootKey, config: &SealConfigRow) -> Result<Keys> {
    let mut tx = app.read().await?;
    let rows = store::keyring(&mut tx).await?;
    let mut data_keys = Vec::with_capacity(rows.len());
    for row in &rows {
        data_keys.push(unwrap_row(&root, row)?);
    }
    let active = data_keys.iter().map(DataKey::version).max().ok_or(KeyError::MissingVersion(1))?;
    let signer = unwrap_signer(&root, &config.audit_private_key_encrypted)?;
    let audit_public_key = signer.public_key();
    if audit_public_key.as_slice() != config.audit_public_key {
        return Err(corrupt("seal_config", "audit_public_key", "1"));
    }
    let barrier = Barrier::new(Keyring::new(root, data_keys, active)?);
    Ok(Keys { barrier, signer, audit_public_key, issuers: IssuerCache::default() })
}

pub(super) fn unwrap_row(root: &RootKey, row: &KeyringRow) -> Result<DataKey> {
    let version =
        u32::try_from(row.version).map_err(|_| corrupt("keyring", "version", &row.version.to_string()))?;
    Ok(root.unwrap_data_key(version, &row.wrapped_key)?)
}

pub(super) fn wrap_signer(root: &RootKey, signer: &AuditSigner) -> Result<Vec<u8>> {
    let secret = signer.to_secret();
    let mut bytes = [0; 32];
    if secret.len() != bytes.len() {
        return Err(Error::internal("an audit signing key does not have 32 bytes"));
    }
    bytes.copy_from_slice(&secret);
    Ok(wrap(&root.derive(SIGNER_PURPOSE), SIGNER_PURPOSE, &Key32::from_bytes(&mut bytes)))
}

fn unwrap_signer(root: &RootKey, wrapped: &[u8]) -> Result<AuditSigner> {
    let secret = unwrap_key(&root.derive(SIGNER_PURPOSE), SIGNER_PURPOSE, wrapped)?;
    AuditSigner::from_secret(secret.expose())
}
