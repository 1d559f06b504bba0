//! What the doors count: requests by operation and outcome, how long they took, and what is open.

use crate::error::ErrorCode;
use crate::graphql::operations::{OPERATIONS, Operation};
use crate::model::meter::{Counter, DURATIONS, Entered, Histogram, Level, Lookups};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

/// Shared by all doors of a node.
#[derive(Debug)]
pub struct DoorMeters {
    operations: Vec<OperationMeter>,
    /// GraphQL requests that are being answered.
    pub in_flight: Level,
    /// Subscriptions that are open, on any transport.
    pub subscriptions: Arc<Level>,
    /// Documents that were parsed before, and those that were not.
    pub documents: Arc<Lookups>,
}

/// Of one operation.
#[derive(Debug)]
struct OperationMeter {
    /// Answers without an error, then by [`ErrorCode::ALL`].
    outcomes: [Counter; ErrorCode::ALL.len() + 1],
    duration: Histogram,
}

/// What was counted of an operation that was asked for at least once.
pub struct Counted<'a> {
    pub operation: &'static str,
    /// Codes (`OK` for none) with how often they were the outcome, as far as they were.
    pub outcomes: Vec<(&'static str, u64)>,
    pub duration: &'a Histogram,
}

/// A request that is being answered.
pub struct Watch<'a> {
    meters: &'a DoorMeters,
    operation: AtomicUsize,
    started: Instant,
    _entered: Entered<'a>,
}

impl DoorMeters {
    /// `documents`: what the cache of documents counts; `subscriptions`: those that are open.
    #[must_use]
    pub fn new(documents: Arc<Lookups>, subscriptions: Arc<Level>) -> Self {
        let meter = || OperationMeter { outcomes: Default::default(), duration: Histogram::new(DURATIONS) };
        Self {
            operations: OPERATIONS.iter().map(|_| meter()).collect(),
            in_flight: Level::default(),
            subscriptions,
            documents,
        }
    }

    pub fn watch(&self, started: Instant) -> Watch<'_> {
        let operation = AtomicUsize::new(Operation::OTHER.index());
        Watch { meters: self, operation, started, _entered: self.in_flight.enter() }
    }

    /// Whatever was asked for so far.
    pub fn counted(&self) -> impl Iterator<Item = Counted<'_>> {
        self.operations.iter().enumerate().filter_map(|(index, meter)| {
            let codes = std::iter::once("OK").chain(ErrorCode::ALL.iter().map(|code| code.as_str()));
            let counts = meter.outcomes.iter().map(Counter::get);
            let outcomes: Vec<_> = codes.zip(counts).filter(|(_, count)| *count > 0).collect();
            let operation = Operation::at(index).name();
            (!outcomes.is_empty()).then_some(Counted { operation, outcomes, duration: &meter.duration })
        })
    }
}

impl Watch<'_> {
    /// What is asked for, as soon as it is known.
    pub fn asks_for(&self, operation: Operation) {
        self.operation.store(operation.index(), Ordering::Relaxed);
    }

    /// When the request began.
    #[must_use]
    pub fn started(&self) -> Instant {
        self.started
    }

    #[must_use]
    pub fn operation(&self) -> Operation {
        Operation::at(self.operation.load(Ordering::Relaxed))
    }

    /// Counts the answer; `None`: without an error.
    pub fn answered(self, code: Option<ErrorCode>) {
        let Some(meter) = self.meters.operations.get(self.operation().index()) else { return };
        let outcome = code.map_or(0, |code| code as usize + 1);
        if let Some(outcome) = meter.outcomes.get(outcome) {
            outcome.add(1);
        }
        meter.duration.observe_duration(self.started.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_graphql::parser::parse_query;

    #[test]
    fn requests_are_counted_by_operation_and_code() {
        let meters = DoorMeters::new(Arc::default(), Arc::default());
        let document = parse_query("{ me { displayName } }").unwrap();
        for code in [None, Some(ErrorCode::Sealed), Some(ErrorCode::Internal), None] {
            let watch = meters.watch(Instant::now());
            assert_eq!(meters.in_flight.get(), 1);
            watch.asks_for(Operation::of(&document, None));
            watch.answered(code);
        }
        meters.watch(Instant::now()).answered(Some(ErrorCode::BadUserInput));
        // a caller that went away before it was answered is not counted, and not in flight for ever
        drop(meters.watch(Instant::now()));
        assert_eq!(meters.in_flight.get(), 0);
        let counted: Vec<_> =
            meters.counted().map(|of| (of.operation, of.outcomes, of.duration.spread().count)).collect();
        assert_eq!(
            counted,
            [
                ("me", vec![("OK", 2), ("SEALED", 1), ("INTERNAL", 1)], 4),
                ("(other)", vec![("BAD_USER_INPUT", 1)], 1)
            ]
        );
    }

    #[test]
    fn codes_stand_in_their_own_order() {
        for (index, code) in ErrorCode::ALL.into_iter().enumerate() {
            assert_eq!(code as usize, index);
        }
    }
}
