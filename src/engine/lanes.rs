//! How many calls of one engine are under way, and how many may wait for a place.

use super::{CallError, Lane};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, timeout_at};

const CALLERS: usize = 64;
const BACKGROUND: usize = 16;
/// Calls that wait, for each place; more are turned away at once.
const WAITING: usize = 8;

pub(super) struct Lanes {
    callers: Row,
    background: Row,
}

struct Row {
    places: Semaphore,
    waiting: AtomicUsize,
    most_waiting: usize,
}

impl Row {
    fn new(places: usize) -> Self {
        Self { places: Semaphore::new(places), waiting: AtomicUsize::new(0), most_waiting: places * WAITING }
    }
}

/// Counts one call that waits, until it no longer does.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Lanes {
    pub fn new() -> Self {
        Self { callers: Row::new(CALLERS), background: Row::new(BACKGROUND) }
    }

    /// A place of this lane, given back when it is dropped.
    ///
    /// # Errors
    /// If there is none until `end`, or too many wait already.
    pub async fn enter(&self, lane: Lane, end: Instant) -> Result<SemaphorePermit<'_>, CallError> {
        let row = match lane {
            Lane::Caller => &self.callers,
            Lane::Background => &self.background,
        };
        if let Ok(place) = row.places.try_acquire() {
            return Ok(place);
        }
        let before = row.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&row.waiting);
        if before >= row.most_waiting {
            return Err(CallError::unavailable("too many calls wait for this engine: try again later"));
        }
        match timeout_at(end, row.places.acquire()).await {
            Ok(Ok(place)) => Ok(place),
            _ => Err(CallError::unavailable("this engine is busy: try again later")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn each_lane_is_bounded_and_none_takes_places_of_the_other() {
        let lanes = Lanes::new();
        let end = || Instant::now() + Duration::from_secs(1);
        let mut held = Vec::new();
        for _ in 0..BACKGROUND {
            held.push(lanes.enter(Lane::Background, end()).await.unwrap());
        }
        assert!(lanes.enter(Lane::Background, end()).await.is_err(), "full until the deadline");
        assert!(lanes.enter(Lane::Caller, end()).await.is_ok());
        held.pop();
        assert!(lanes.enter(Lane::Background, end()).await.is_ok());
    }

    #[tokio::test]
    async fn those_who_wait_are_bounded() {
        let lanes = Lanes::new();
        let end = Instant::now() + Duration::from_secs(60);
        let _held: Vec<_> = (0..BACKGROUND).map(|_| lanes.background.places.try_acquire().unwrap()).collect();
        let many = futures_util::future::join_all(
            (0..BACKGROUND * WAITING).map(|_| lanes.enter(Lane::Background, end)),
        );
        tokio::select! {
            biased;
            _ = many => panic!("there is no place"),
            refused = lanes.enter(Lane::Background, end) => assert!(refused.is_err()),
        }
    }
}
