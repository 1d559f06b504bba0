//! One at a time for each engine, within this process.

use parking_lot::Mutex;
use std::collections::HashSet;
use std::sync::Arc;
use uuid::Uuid;

/// The engines that somebody is at.
#[derive(Default)]
pub(super) struct Turns(Mutex<HashSet<Uuid>>);

impl Turns {
    /// `None`: an earlier one is still at it.
    pub fn begin(self: &Arc<Self>, engine: Uuid) -> Option<Turn> {
        let free = self.0.lock().insert(engine);
        free.then(|| Turn { turns: Arc::clone(self), engine })
    }
}

/// Being at one engine; it ends with this.
pub(super) struct Turn {
    turns: Arc<Turns>,
    engine: Uuid,
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.0.lock().remove(&self.engine);
    }
}
