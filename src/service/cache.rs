//! What a node remembers of the store, and how it stays true.
//!
//! The store counts its changes in `audit_head.generation`. A node knows the generation up to which its caches are true.
//! Its own changes are applied precisely, before anyone is answered. A change by another node shows when the next batch
//! locks the head: the caches are emptied, and every request that was decided on older facts is decided again. So no audited
//! answer ever rests on a fact that another node had changed before the request began, without waiting for a notification.
//!
//! Cached secrets are ciphertext. Nothing here is plaintext of a secret or a token.

use super::book::PolicyBook;
use super::tokens::TokenState;
use crate::model::paths::SecretPath;
use crate::storage::secrets::CurrentRow;
use parking_lot::RwLock;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::sync::Arc;

/// What a committed change makes untrue in the caches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    Secret(SecretPath),
    /// By the hash of the token.
    Token([u8; 32]),
    Policies,
    /// A data key was added; other nodes read the keyring again when they meet a record sealed with it.
    Keyring,
    /// The keys leave this node's memory after the commit.
    Sealed,
}

#[derive(Clone)]
struct BySize;

impl Weighter<SecretPath, Arc<CurrentRow>> for BySize {
    fn weight(&self, path: &SecretPath, row: &Arc<CurrentRow>) -> u64 {
        let text = row.secret.description.as_ref().map_or(0, String::len);
        (path.as_str().len() * 2 + text + row.encrypted_data.as_ref().map_or(0, Vec::len) + 600) as u64
    }
}

struct Known {
    /// The store's generation up to which the caches are true.
    generation: i64,
    /// The generation at which another node's change was last met: what was decided before it is stale.
    oldest_valid: i64,
    policies: Option<Arc<PolicyBook>>,
    /// The last book that was true: what it compiled need not be compiled again.
    former: Option<Arc<PolicyBook>>,
}

impl Known {
    fn drop_policies(&mut self) {
        if let Some(book) = self.policies.take() {
            self.former = Some(book);
        }
    }
}

/// The caches of a node.
pub struct Caches {
    /// Held for reading while a loaded fact is put in, for writing while facts are taken out: so no fact that was loaded
    /// before a change is put in after it. Never held over I/O.
    known: RwLock<Known>,
    tokens: Cache<[u8; 32], Arc<TokenState>>,
    secrets: Cache<SecretPath, Arc<CurrentRow>, BySize>,
    largest_entry: usize,
}

impl Caches {
    /// `bytes` bounds the cached ciphertexts and their metadata, roughly.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let expected = usize::try_from(bytes / 1024).unwrap_or(usize::MAX).clamp(16, 1_000_000);
        Self {
            known: RwLock::new(Known { generation: 0, oldest_valid: 0, policies: None, former: None }),
            tokens: Cache::new(20_000),
            secrets: Cache::with_weighter(expected, bytes, BySize),
            largest_entry: usize::try_from(bytes / 32).unwrap_or(usize::MAX),
        }
    }

    /// The generation to decide on: read it before reading any cached fact.
    #[must_use]
    pub fn generation(&self) -> i64 {
        self.known.read().generation
    }

    /// The ledger has seen this generation in the store. Returns the oldest generation whose decisions still hold.
    pub fn meet(&self, store: i64) -> i64 {
        {
            let known = self.known.read();
            if known.generation == store {
                return known.oldest_valid;
            }
        }
        let mut known = self.known.write();
        known.generation = store;
        known.oldest_valid = store;
        known.drop_policies();
        self.tokens.clear();
        self.secrets.clear();
        store
    }

    /// Applies the effects of this node's own committed batch.
    pub fn apply(&self, generation: i64, effects: Vec<Effect>) {
        let mut known = self.known.write();
        known.generation = generation;
        for effect in effects {
            match effect {
                Effect::Secret(path) => {
                    self.secrets.remove(&path);
                }
                Effect::Token(hash) => {
                    self.tokens.remove(&hash);
                }
                Effect::Policies => known.drop_policies(),
                Effect::Keyring => {}
                Effect::Sealed => {
                    known.policies = None;
                    known.former = None;
                    self.tokens.clear();
                    self.secrets.clear();
                }
            }
        }
    }

    #[must_use]
    pub fn token(&self, hash: &[u8; 32]) -> Option<Arc<TokenState>> {
        self.tokens.get(hash)
    }

    /// Remembers a token that was loaded while the caches were at `generation`.
    pub fn put_token(&self, generation: i64, hash: [u8; 32], token: &Arc<TokenState>) {
        let known = self.known.read();
        if known.generation == generation {
            self.tokens.insert(hash, Arc::clone(token));
        }
    }

    #[must_use]
    pub fn secret(&self, path: &SecretPath) -> Option<Arc<CurrentRow>> {
        self.secrets.get(path)
    }

    /// Remembers a secret that was loaded while the caches were at `generation`.
    pub fn put_secret(&self, generation: i64, path: &SecretPath, row: &Arc<CurrentRow>) {
        if row.encrypted_data.as_ref().map_or(0, Vec::len) > self.largest_entry {
            return;
        }
        let known = self.known.read();
        if known.generation == generation {
            self.secrets.insert(path.clone(), Arc::clone(row));
        }
    }

    #[must_use]
    pub fn policies(&self) -> Option<Arc<PolicyBook>> {
        self.known.read().policies.clone()
    }

    #[must_use]
    pub fn former_policies(&self) -> Option<Arc<PolicyBook>> {
        self.known.read().former.clone()
    }

    /// Remembers the policies that were loaded while the caches were at `generation`.
    pub fn put_policies(&self, generation: i64, book: &Arc<PolicyBook>) {
        let mut known = self.known.write();
        if known.generation == generation {
            known.policies = Some(Arc::clone(book));
            known.former = None;
        }
    }
}
