//! What a node counts while it works: numbers that any thread adds to without waiting for another, and a monitoring system reads.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// Only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many there are at the moment.
#[derive(Debug, Default)]
pub struct Level(AtomicI64);

impl Level {
    /// One more, until what is returned is dropped.
    #[must_use]
    pub fn enter(&self) -> Entered<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Entered(self)
    }

    /// One more, until [`Level::leave`]: for those that cannot hold a borrow.
    pub fn join(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub fn leave(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }

    #[must_use]
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// One of those that a [`Level`] counts.
#[derive(Debug)]
pub struct Entered<'a>(&'a Level);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        self.0.leave();
    }
}

/// How often a cache knew what it was asked for.
#[derive(Debug, Default)]
pub struct Lookups {
    pub hits: Counter,
    pub misses: Counter,
}

impl Lookups {
    /// Counts an answer, and hands it on.
    pub fn note<T>(&self, found: Option<T>) -> Option<T> {
        if found.is_some() {
            self.hits.add(1)
        } else {
            self.misses.add(1)
        }
        found
    }
}

/// Bounds of durations, in microseconds.
pub const DURATIONS: &[u64] = &[
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000,
    2_500_000, 5_000_000, 10_000_000, 30_000_000,
];
/// Bounds of numbers of things done together.
pub const SIZES: &[u64] = &[1, 2, 4, 8, 16, 32, 64, 128, 256, 512];

/// How often something was how large.
#[derive(Debug)]
pub struct Histogram {
    /// The largest value of each bucket but the last, which has none.
    bounds: &'static [u64],
    buckets: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// A histogram at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spread {
    /// The largest value of each bucket, and how many are in it and in none before; the last bucket has no largest value.
    pub buckets: Vec<(Option<u64>, u64)>,
    pub sum: u64,
    pub count: u64,
}

impl Histogram {
    #[must_use]
    pub fn new(bounds: &'static [u64]) -> Self {
        let buckets = (0..=bounds.len()).map(|_| AtomicU64::default()).collect();
        Self { bounds, buckets, sum: AtomicU64::default() }
    }

    pub fn observe(&self, value: u64) {
        let bucket = self.bounds.partition_point(|bound| *bound < value);
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// In whole microseconds.
    pub fn observe_duration(&self, duration: Duration) {
        self.observe(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX >> 20));
    }

    /// What was observed so far. Threads may be adding to it: then sum and count differ by what they are at.
    #[must_use]
    pub fn spread(&self) -> Spread {
        let bounds = self.bounds.iter().copied().map(Some).chain([None]);
        let counts = self.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed));
        let buckets: Vec<_> = bounds.zip(counts).collect();
        let count = buckets.iter().map(|(_, count)| count).sum();
        Spread { buckets, sum: self.sum.load(Ordering::Relaxed), count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_go_into_the_first_bucket_that_holds_them() {
        let histogram = Histogram::new(&[1, 4]);
        for value in [0, 1, 2, 4, 5, 700] {
            histogram.observe(value);
        }
        let expected = Spread { buckets: vec![(Some(1), 2), (Some(4), 2), (None, 2)], sum: 712, count: 6 };
        assert_eq!(histogram.spread(), expected);
        let durations = Histogram::new(DURATIONS);
        durations.observe_duration(Duration::from_millis(1));
        durations.observe_duration(Duration::MAX);
        let spread = durations.spread();
        assert_eq!((spread.count, spread.buckets[3], spread.buckets[17].1), (2, (Some(1000), 1), 1));
    }

    #[test]
    fn a_level_goes_down_with_what_entered() {
        let level = Level::default();
        {
            let _one = level.enter();
            level.join();
            assert_eq!(level.get(), 2);
        }
        level.leave();
        assert_eq!(level.get(), 0);
    }

    #[test]
    fn lookups_are_counted_by_their_outcome() {
        let lookups = Lookups::default();
        assert_eq!((lookups.note(Some(7)), lookups.note(None::<u8>)), (Some(7), None));
        assert_eq!((lookups.hits.get(), lookups.misses.get()), (1, 1));
    }
}
