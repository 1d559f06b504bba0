//! What a node remembers of the store, and how it stays true.
//!
//! The store counts its changes in `audit_head.generation`. A node knows the generation up to which its caches are true.
//! Its own changes are applied precisely, before anyone is answered. Changes by other nodes show when the next batch locks the
//! head: the effects that the other nodes left beside the count are applied just as precisely (all is forgotten if some are
//! missing), and every request of the batch that was decided on a fact that one of them touched is decided again. So no audited
//! answer rests on a fact that another node had changed before the request began, without waiting for a notification.
//!
//! Cached secrets are ciphertext. Nothing here is plaintext of a secret or a token.

use super::book::PolicyBook;
use super::certificates::RoleState;
pub use super::effect::{Basis, Effect};
use super::tokens::TokenState;
use crate::model::meter::Lookups;
use crate::model::paths::SecretPath;
use crate::storage::engine_roles::Issuing;
use crate::storage::secrets::CurrentRow;
use parking_lot::RwLock;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::watch;

/// The certificate roles that are kept, and the roles of engines, in bytes each.
const ROLE_BYTES: u64 = 4 << 20;

#[derive(Clone)]
struct BySize;

impl Weighter<SecretPath, Arc<CurrentRow>> for BySize {
    fn weight(&self, path: &SecretPath, row: &Arc<CurrentRow>) -> u64 {
        let text = row.secret.description.as_ref().map_or(0, String::len);
        (path.as_str().len() * 2 + text + row.encrypted_data.as_ref().map_or(0, Vec::len) + 600) as u64
    }
}

impl Weighter<SecretPath, Arc<RoleState>> for BySize {
    fn weight(&self, _: &SecretPath, role: &Arc<RoleState>) -> u64 {
        role.bytes()
    }
}

impl Weighter<SecretPath, Arc<Issuing>> for BySize {
    fn weight(&self, path: &SecretPath, role: &Arc<Issuing>) -> u64 {
        (path.as_str().len() * 2 + role.bytes()) as u64
    }
}

/// What other nodes did is remembered this far back, for requests that were decided before.
const REMEMBERED: usize = 4096;

struct Known {
    /// The store's generation up to which the caches are true.
    generation: i64,
    /// What was decided on an older generation than this is stale, whatever it was decided on.
    oldest_valid: i64,
    /// What other nodes changed since, by generation.
    foreign: VecDeque<(i64, Effect)>,
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
    certificate_roles: Cache<SecretPath, Arc<RoleState>, BySize>,
    engine_roles: Cache<SecretPath, Arc<Issuing>, BySize>,
    largest_entry: usize,
    /// Told when something that says who callers are, or what they may, was forgotten.
    callers: watch::Sender<()>,
    pub counted: CacheCounters,
}

/// How often each cache knew what it was asked for.
#[derive(Debug, Default)]
pub struct CacheCounters {
    pub certificate_roles: Lookups,
    pub engine_roles: Lookups,
    pub tokens: Lookups,
    pub secrets: Lookups,
    pub policies: Lookups,
}

impl Caches {
    /// `bytes` bounds the cached ciphertexts and their metadata, roughly.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let expected = usize::try_from(bytes / 1024).unwrap_or(usize::MAX).clamp(16, 1_000_000);
        Self {
            known: RwLock::new(Known {
                generation: 0,
                oldest_valid: 0,
                foreign: VecDeque::new(),
                policies: None,
                former: None,
            }),
            tokens: Cache::new(20_000),
            secrets: Cache::with_weighter(expected, bytes, BySize),
            certificate_roles: Cache::with_weighter(1000, ROLE_BYTES, BySize),
            engine_roles: Cache::with_weighter(1000, ROLE_BYTES, BySize),
            largest_entry: usize::try_from(bytes / 32).unwrap_or(usize::MAX),
            callers: watch::Sender::new(()),
            counted: CacheCounters::default(),
        }
    }

    /// The generation to decide on: read it before reading any cached fact.
    #[must_use]
    pub fn generation(&self) -> i64 {
        self.known.read().generation
    }

    /// Changes whenever a token or the policies are forgotten: what was decided about a caller is to be decided again.
    #[must_use]
    pub fn callers(&self) -> watch::Receiver<()> {
        self.callers.subscribe()
    }

    /// The ledger has seen this generation in the store, and these effects of other nodes since the one that is known;
    /// `None` if they cannot be told.
    pub fn learn(&self, store: i64, effects: Option<Vec<(i64, Effect)>>) {
        let mut known = self.known.write();
        known.generation = store;
        let Some(effects) = effects else {
            known.oldest_valid = store;
            known.foreign.clear();
            known.drop_policies();
            self.clear();
            self.callers.send_replace(());
            return;
        };
        for (generation, effect) in effects {
            self.forget(&mut known, &effect);
            known.foreign.push_back((generation, effect));
        }
        while known.foreign.len() > REMEMBERED {
            if let Some((generation, _)) = known.foreign.pop_front() {
                known.oldest_valid = known.oldest_valid.max(generation);
            }
        }
    }

    /// Whether another node has changed, since the decision, what it rests on.
    #[must_use]
    pub fn is_stale(&self, basis: Basis<'_>) -> bool {
        let known = self.known.read();
        basis.generation < known.oldest_valid
            || known
                .foreign
                .iter()
                .rev()
                .take_while(|(generation, _)| *generation > basis.generation)
                .any(|(_, effect)| basis.is_touched_by(effect))
    }

    fn forget(&self, known: &mut Known, effect: &Effect) {
        match effect {
            Effect::Secret(path) => {
                self.secrets.remove(path);
            }
            Effect::Token(hash) => {
                self.tokens.remove(hash);
                self.callers.send_replace(());
            }
            Effect::Policies => {
                known.drop_policies();
                self.callers.send_replace(());
            }
            Effect::Issuance => {
                self.certificate_roles.clear();
                self.engine_roles.clear();
            }
            Effect::Keyring => {}
            Effect::Sealed => {
                known.policies = None;
                known.former = None;
                self.clear();
            }
        }
    }

    /// Applies the effects of this node's own committed batch.
    pub fn apply(&self, generation: i64, effects: &[Effect]) {
        let mut known = self.known.write();
        known.generation = generation;
        for effect in effects {
            self.forget(&mut known, effect);
        }
    }

    #[must_use]
    pub fn token(&self, hash: &[u8; 32]) -> Option<Arc<TokenState>> {
        self.counted.tokens.note(self.tokens.get(hash))
    }

    /// Remembers a token that was loaded while the caches were at `generation`.
    pub fn put_token(&self, generation: i64, hash: [u8; 32], token: &Arc<TokenState>) {
        self.remember(generation, || self.tokens.insert(hash, Arc::clone(token)));
    }

    #[must_use]
    pub fn secret(&self, path: &SecretPath) -> Option<Arc<CurrentRow>> {
        self.counted.secrets.note(self.secrets.get(path))
    }

    /// Remembers a secret that was loaded while the caches were at `generation`.
    pub fn put_secret(&self, generation: i64, path: &SecretPath, row: &Arc<CurrentRow>) {
        if row.encrypted_data.as_ref().map_or(0, Vec::len) > self.largest_entry {
            return;
        }
        self.remember(generation, || self.secrets.insert(path.clone(), Arc::clone(row)));
    }

    #[must_use]
    pub fn certificate_role(&self, path: &SecretPath) -> Option<Arc<RoleState>> {
        self.counted.certificate_roles.note(self.certificate_roles.get(path))
    }

    /// Remembers a certificate role that was loaded while the caches were at `generation`.
    pub fn put_certificate_role(&self, generation: i64, path: &SecretPath, role: &Arc<RoleState>) {
        self.remember(generation, || self.certificate_roles.insert(path.clone(), Arc::clone(role)));
    }

    #[must_use]
    pub fn engine_role(&self, path: &SecretPath) -> Option<Arc<Issuing>> {
        self.counted.engine_roles.note(self.engine_roles.get(path))
    }

    /// Remembers an engine's role, with its engine, that was loaded while the caches were at `generation`.
    pub fn put_engine_role(&self, generation: i64, path: &SecretPath, role: &Arc<Issuing>) {
        self.remember(generation, || self.engine_roles.insert(path.clone(), Arc::clone(role)));
    }

    /// Puts something in that was loaded while the caches were at `generation`, if they still are.
    fn remember(&self, generation: i64, put: impl FnOnce()) {
        let known = self.known.read();
        if known.generation == generation {
            put();
        }
    }

    /// Forgets all but the policies.
    fn clear(&self) {
        self.tokens.clear();
        self.secrets.clear();
        self.certificate_roles.clear();
        self.engine_roles.clear();
    }

    #[must_use]
    pub fn policies(&self) -> Option<Arc<PolicyBook>> {
        self.counted.policies.note(self.known.read().policies.clone())
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

#[cfg(test)]
mod tests {
    use super::*;

    fn basis(generation: i64, token: u8, path: Option<&str>) -> Basis<'_> {
        Basis { generation, token: Some([token; 32]), path }
    }

    #[test]
    fn only_what_another_node_touched_is_stale() {
        let caches = Caches::new(1 << 20);
        caches.learn(7, None);
        assert!(caches.is_stale(basis(6, 1, None)), "nothing is known of what happened before");
        assert!(!caches.is_stale(basis(7, 1, None)));
        let path = SecretPath::parse("a.b").unwrap();
        caches.learn(9, Some(vec![(8, Effect::Secret(path)), (9, Effect::Token([2; 32]))]));
        assert!(caches.is_stale(basis(7, 1, Some("a.b"))));
        assert!(!caches.is_stale(basis(8, 1, Some("a.b"))), "decided after that change");
        assert!(!caches.is_stale(basis(7, 1, Some("a.c"))));
        assert!(caches.is_stale(basis(8, 2, None)));
        for (generation, effect) in [(10, Effect::Policies), (11, Effect::Issuance)] {
            caches.learn(generation, Some(vec![(generation, effect)]));
            assert!(caches.is_stale(basis(generation - 1, 1, None)));
            assert!(!caches.is_stale(Basis { generation: generation - 1, token: None, path: None }));
        }
    }

    #[test]
    fn what_is_no_longer_remembered_is_stale() {
        let caches = Caches::new(1 << 20);
        caches.learn(1, None);
        let many = (2..).take(REMEMBERED + 10).map(|generation| (generation, Effect::Keyring)).collect();
        caches.learn(5000, Some(many));
        assert!(caches.is_stale(basis(1, 1, None)));
        assert!(!caches.is_stale(basis(12, 1, None)));
    }
}
