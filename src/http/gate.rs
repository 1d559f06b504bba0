//! How much work a node takes on at a time, over all doors: requests, and memory for their bodies.

use crate::error::{Error, ErrorCode, Result};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

/// The unit in which body memory is counted; a semaphore's numbers are of 32 bits.
const UNIT: usize = 1024;

/// The bounds. Shared by all doors.
pub struct Gate {
    places: Semaphore,
    memory: Arc<Semaphore>,
}

/// Memory that a body has taken, given back when this is dropped.
#[derive(Default)]
pub struct Taken(Option<OwnedSemaphorePermit>);

impl Gate {
    /// `places` requests at work, and about `bytes` of bodies that were read or are being read.
    #[must_use]
    pub fn new(places: usize, bytes: usize) -> Self {
        let units = (bytes / UNIT).clamp(1, Semaphore::MAX_PERMITS);
        Self {
            places: Semaphore::new(places.min(Semaphore::MAX_PERMITS)),
            memory: Arc::new(Semaphore::new(units)),
        }
    }

    /// A place for a request whose body has arrived: one that is still being sent costs no work.
    ///
    /// # Errors
    /// `UNAVAILABLE` if there is none.
    pub fn enter(&self) -> Result<SemaphorePermit<'_>> {
        self.places.try_acquire().map_err(|_| busy())
    }

    /// Waits for a place.
    ///
    /// # Errors
    /// None as long as the server runs.
    pub async fn wait(&self) -> Result<SemaphorePermit<'_>> {
        self.places.acquire().await.map_err(Error::internal)
    }

    /// Counts `bytes` more for a body. `None` if there is no more memory for bodies.
    pub(super) fn take(&self, taken: &mut Taken, bytes: usize) -> Option<()> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).ok()?;
        let more = Arc::clone(&self.memory).try_acquire_many_owned(units).ok()?;
        match &mut taken.0 {
            Some(held) => held.merge(more),
            none => *none = Some(more),
        }
        Some(())
    }
}

/// What a request hears for which there is no place.
pub(super) fn busy() -> Error {
    Error::new(ErrorCode::Unavailable, "the server has too much to do: try again shortly").with_retry_after(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_back() {
        let gate = Gate::new(1, 10 * UNIT);
        let mut first = Taken::default();
        assert!(gate.take(&mut first, 4 * UNIT).is_some());
        assert!(gate.take(&mut first, 5 * UNIT).is_some());
        let mut second = Taken::default();
        assert!(gate.take(&mut second, UNIT + 1).is_none());
        drop(first);
        assert!(gate.take(&mut second, 10 * UNIT).is_some());
    }

    #[test]
    fn places_are_given_back() {
        let gate = Gate::new(1, UNIT);
        let place = gate.enter().unwrap();
        assert_eq!(gate.enter().err().unwrap().code(), ErrorCode::Unavailable);
        drop(place);
        assert!(gate.enter().is_ok());
    }
}
