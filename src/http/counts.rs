//! How many of something each one holds, so that no single one takes them all.

use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

/// The counts, by who holds them. Only who holds something takes memory.
pub struct Counts<K: Eq + Hash + Clone>(Arc<Mutex<HashMap<K, usize>>>);

/// One that counts until this is dropped.
pub struct Counted<K: Eq + Hash + Clone> {
    counts: Counts<K>,
    of: K,
}

impl<K: Eq + Hash + Clone> Default for Counts<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Eq + Hash + Clone> Clone for Counts<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Eq + Hash + Clone> Counts<K> {
    /// Counts one more; `None` if there are `most` already.
    pub fn enter(&self, of: K, most: usize) -> Option<Counted<K>> {
        let mut counts = self.0.lock();
        let count = counts.get(&of).copied().unwrap_or(0);
        if count >= most {
            return None;
        }
        counts.insert(of.clone(), count + 1);
        Some(Counted { counts: self.clone(), of })
    }

    #[cfg(test)]
    pub fn is_empty(&self) -> bool {
        self.0.lock().is_empty()
    }
}

impl<K: Eq + Hash + Clone> Drop for Counted<K> {
    fn drop(&mut self) {
        let mut counts = self.counts.0.lock();
        if let Some(count) = counts.get_mut(&self.of) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.of);
            }
        }
    }
}
