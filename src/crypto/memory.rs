//! Where keys live: pages of their own, locked into memory and wiped when they go.

use std::sync::atomic::{AtomicBool, Ordering};

use region::LockGuard;
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
use zeroize::{Zeroize, Zeroizing};

/// Plaintext of any length: wiped on drop, without `Debug`.
pub type Secret = Zeroizing<Vec<u8>>;

/// Set for good by the first page that could not be locked.
static LOCK_FAILED: AtomicBool = AtomicBool::new(false);

const PAGE: usize = 4096;

/// A whole page, so that locking one key never locks or unlocks a neighbour of it.
#[repr(C, align(4096))]
struct Page {
    key: [u8; 32],
    unused: [u8; PAGE - 32],
}

/// A 256-bit key in a heap page of its own, locked into memory as far as the system allows, wiped on drop.
///
/// Moving it moves a pointer, never the key. There is no `Clone`: a copy is asked for by [`Key32::duplicate`].
pub struct Key32 {
    // Before the page, since fields are dropped in this order: unlock first, then give the page back.
    _lock: Option<LockGuard>,
    page: Box<Page>,
}

impl Key32 {
    fn zeroed() -> Self {
        let page = Box::new(Page { key: [0; 32], unused: [0; PAGE - 32] });
        let lock = match region::lock(page.key.as_ptr(), PAGE) {
            // Where the system's pages are larger than ours, unlocking this key could unlock a neighbour.
            Ok(guard) if region::page::size() > PAGE => {
                std::mem::forget(guard);
                None
            }
            Ok(guard) => Some(guard),
            Err(_) => {
                LOCK_FAILED.store(true, Ordering::Relaxed);
                None
            }
        };
        Self { _lock: lock, page }
    }

    /// A new random key.
    #[must_use]
    pub fn generate() -> Self {
        let mut key = Self::zeroed();
        super::random::fill(&mut key.page.key);
        key
    }

    /// Takes the key over: the source is wiped.
    #[must_use]
    pub fn from_bytes(source: &mut [u8; 32]) -> Self {
        let key = Self::with(|target| target.copy_from_slice(source));
        source.zeroize();
        key
    }

    /// A key that `fill` writes straight into its page, so that no other copy comes into being.
    #[must_use]
    pub fn with(fill: impl FnOnce(&mut [u8; 32])) -> Self {
        let mut key = Self::zeroed();
        fill(&mut key.page.key);
        key
    }

    /// As [`Key32::with`]; after an error the half-written page is wiped.
    pub fn try_with<E>(fill: impl FnOnce(&mut [u8; 32]) -> Result<(), E>) -> Result<Self, E> {
        let mut key = Self::zeroed();
        fill(&mut key.page.key)?;
        Ok(key)
    }

    /// A second copy in a page of its own.
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self::with(|target| target.copy_from_slice(&self.page.key))
    }

    /// The key itself. Do not copy it out.
    #[must_use]
    pub fn expose(&self) -> &[u8; 32] {
        &self.page.key
    }
}

impl Drop for Key32 {
    fn drop(&mut self) {
        self.page.key.zeroize();
        debug_assert!(self.page.unused.iter().all(|byte| *byte == 0), "nothing but the key is in its page");
    }
}

/// Whether every key page so far, and one taken now as a trial, could be locked into memory.
///
/// If not, keys may reach swap: raise the limit of locked memory (`LimitMEMLOCK=` of systemd, `ulimit -l`).
#[must_use]
pub fn locking_works() -> bool {
    drop(Key32::zeroed());
    !LOCK_FAILED.load(Ordering::Relaxed)
}

/// What [`harden_process`] achieved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hardening {
    /// The limit of core dumps is zero.
    pub core_dumps_off: bool,
    /// Other processes of the same user can neither trace this one nor read its memory.
    pub not_dumpable: bool,
    /// See [`locking_works`].
    pub memory_locking: bool,
}

impl Hardening {
    #[must_use]
    pub fn complete(self) -> bool {
        self.core_dumps_off && self.not_dumpable && self.memory_locking
    }
}

/// Keeps keys out of core dumps and debuggers, as far as the system allows; call it first in `main`.
pub fn harden_process() -> Hardening {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    Hardening {
        core_dumps_off: setrlimit(Resource::Core, none).is_ok(),
        not_dumpable: set_dumpable_behavior(DumpableBehavior::NotDumpable).is_ok(),
        memory_locking: locking_works(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_an_aligned_page_and_wipes_its_source() {
        let mut source = [7; 32];
        let key = Key32::from_bytes(&mut source);
        assert_eq!(source, [0; 32]);
        assert_eq!(key.expose(), &[7; 32]);
        assert_eq!(key.expose().as_ptr() as usize % PAGE, 0);
        assert_eq!(std::mem::size_of::<Page>(), PAGE);
    }

    #[test]
    fn keys_are_random_and_copies_are_equal_but_apart() {
        let key = Key32::generate();
        assert_ne!(key.expose(), Key32::generate().expose());
        let copy = key.duplicate();
        assert_eq!(key.expose(), copy.expose());
        assert_ne!(key.expose().as_ptr(), copy.expose().as_ptr());
    }

    #[test]
    fn a_failed_fill_gives_no_key() {
        let failed: Result<Key32, &str> = Key32::try_with(|_| Err("no"));
        assert_eq!(failed.err(), Some("no"));
    }

    #[test]
    fn hardening_says_what_the_system_then_shows() {
        let report = harden_process();
        let limit = rustix::process::getrlimit(Resource::Core);
        assert_eq!(report.core_dumps_off, limit.current == Some(0) && limit.maximum == Some(0));
        let dumpable = rustix::process::dumpable_behavior().unwrap();
        assert_eq!(report.not_dumpable, dumpable == DumpableBehavior::NotDumpable);
        assert_eq!(report.memory_locking, locking_works());
    }
}
