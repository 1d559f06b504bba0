//! A budget for each caller: so much at once, and so much more with every second (GCRA, by the crate governor).

use super::{Caller, WorkLimits};
use crate::error::{Error, ErrorCode, Result};
use governor::clock::{Clock, DefaultClock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use std::convert::Infallible;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// One budget's size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    pub per_second: NonZeroU32,
    pub burst: NonZeroU32,
}

impl Allowance {
    fn quota(self) -> Quota {
        Quota::per_second(self.per_second).allow_burst(self.burst)
    }
}

/// A caller that is refused is named in the log once in this time.
const LOG_EVERY: Duration = Duration::from_secs(60);
/// Lines of it in a minute, whoever they name.
const LOG_LINES: NonZeroU32 = NonZeroU32::MIN.saturating_add(59);

type Limiter<C> = RateLimiter<NotKeyed, InMemoryState, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// What one caller has left, and what the log has said of it.
struct Budget<C: Clock> {
    limiter: Limiter<C>,
    refusals: Mutex<Refusals<C::Instant>>,
}

struct Refusals<I> {
    since_logged: u64,
    logged_at: Option<I>,
}

/// The budgets of the callers seen lately. A caller that was forgotten begins with a whole one.
pub struct Budgets<C: Clock = DefaultClock> {
    callers: Cache<Caller, Arc<Budget<C>>>,
    limits: WorkLimits,
    clock: C,
    lines: Limiter<C>,
    refused: AtomicU64,
}

impl Budgets {
    #[must_use]
    pub fn new(limits: WorkLimits, remembered: usize) -> Self {
        Self::with_clock(limits, remembered, DefaultClock::default())
    }
}

impl<C: Clock + Clone> Budgets<C> {
    fn with_clock(limits: WorkLimits, remembered: usize, clock: C) -> Self {
        Self {
            callers: Cache::new(remembered),
            limits,
            lines: RateLimiter::direct_with_clock(Quota::per_minute(LOG_LINES), clock.clone()),
            clock,
            refused: AtomicU64::new(0),
        }
    }

    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    /// Takes from a caller's budget. What costs more than a whole budget takes it all.
    ///
    /// # Errors
    /// `RATE_LIMITED` with the seconds to wait; nothing is taken then.
    pub fn charge(&self, caller: Caller, cost: u64) -> Result<()> {
        self.charge_more(caller, cost, 0)
    }

    /// The same for a request that was charged `before`: both together take one whole budget at most, or it could never be let in.
    ///
    /// # Errors
    /// As [`Self::charge`].
    pub fn charge_more(&self, caller: Caller, cost: u64, before: u64) -> Result<()> {
        let allowance = match caller {
            Caller::Token(_) => self.limits.caller,
            Caller::Address(_) => self.limits.anonymous,
        };
        let before = u32::try_from(before).unwrap_or(u32::MAX).min(allowance.burst.get());
        let left = allowance.burst.get() - before;
        let Some(cells) = NonZeroU32::new(u32::try_from(cost).unwrap_or(u32::MAX).min(left)) else {
            return Ok(());
        };
        let budget = self.budget(caller, allowance);
        match budget.limiter.check_n(cells) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(until)) => {
                // who comes back is charged for all of it
                let again = allowance.quota().replenish_interval().saturating_mul(before);
                Err(self.refuse(caller, &budget, until.wait_time_from(self.clock.now()) + again))
            }
            // not more than the burst was asked for
            Err(error) => Err(Error::internal(error)),
        }
    }

    fn budget(&self, caller: Caller, allowance: Allowance) -> Arc<Budget<C>> {
        let fresh = || {
            Arc::new(Budget {
                limiter: RateLimiter::direct_with_clock(allowance.quota(), self.clock.clone()),
                refusals: Mutex::new(Refusals { since_logged: 0, logged_at: None }),
            })
        };
        self.callers
            .get_or_insert_with(&caller, || Ok::<_, Infallible>(fresh()))
            .unwrap_or_else(|never| match never {})
    }

    fn refuse(&self, caller: Caller, budget: &Budget<C>, wait: Duration) -> Error {
        self.refused.fetch_add(1, Ordering::Relaxed);
        if let Some(refusals) = self.to_be_logged(budget) {
            tracing::warn!(%caller, refusals, "a caller asks for more than the rate limits let it have");
        }
        // the time is rounded up, so that who waits so long is let in
        let seconds = wait.as_secs() + 1;
        Error::new(
            ErrorCode::RateLimited,
            "the caller asks for more than its share: wait, then send less at a time",
        )
        .with_retry_after(seconds)
    }

    /// How many refusals the log does not know of, if it is time to tell it.
    fn to_be_logged(&self, budget: &Budget<C>) -> Option<u64> {
        let now = self.clock.now();
        let mut refusals = budget.refusals.lock();
        refusals.since_logged += 1;
        let due = refusals.logged_at.is_none_or(|at| Duration::from(now.duration_since(at)) >= LOG_EVERY);
        if !due || self.lines.check().is_err() {
            return None;
        }
        refusals.logged_at = Some(now);
        Some(std::mem::take(&mut refusals.since_logged))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use governor::clock::FakeRelativeClock;
    use uuid::Uuid;

    fn allowance(per_second: u32, burst: u32) -> Allowance {
        Allowance { per_second: NonZeroU32::new(per_second).unwrap(), burst: NonZeroU32::new(burst).unwrap() }
    }

    fn budgets(clock: &FakeRelativeClock) -> Budgets<FakeRelativeClock> {
        let limits = WorkLimits { caller: allowance(10, 100), anonymous: allowance(1, 20) };
        Budgets::with_clock(limits, 64, clock.clone())
    }

    fn token(number: u128) -> Caller {
        Caller::Token(Uuid::from_u128(number))
    }

    fn wait(outcome: Result<()>) -> u64 {
        let error = outcome.unwrap_err();
        assert_eq!(error.code(), ErrorCode::RateLimited);
        error.retry_after_seconds().unwrap()
    }

    #[test]
    fn a_budget_is_used_up_and_comes_back_and_is_nobody_elses() {
        let clock = FakeRelativeClock::default();
        let budgets = budgets(&clock);
        let one = token(1);
        assert!(budgets.charge(one, 60).is_ok());
        assert!(budgets.charge(one, 40).is_ok());
        let seconds = wait(budgets.charge(one, 40));
        assert!((4..=5).contains(&seconds), "{seconds}");
        assert!(budgets.charge(token(2), 100).is_ok());
        assert!(budgets.charge(Caller::Address(None), 20).is_ok());
        wait(budgets.charge(Caller::Address(None), 1));
        assert_eq!(budgets.refused(), 2);
        clock.advance(Duration::from_secs(seconds));
        assert!(budgets.charge(one, 40).is_ok(), "who waited as long as was said is let in");
    }

    #[test]
    fn what_costs_more_than_there_ever_is_takes_it_all() {
        let clock = FakeRelativeClock::default();
        let budgets = budgets(&clock);
        assert!(budgets.charge(token(1), u64::MAX).is_ok());
        assert!(budgets.charge(token(1), 0).is_ok());
        wait(budgets.charge(token(1), 1));
        clock.advance(Duration::from_secs(10));
        assert!(budgets.charge(token(1), 1_000_000).is_ok());
    }

    #[test]
    fn what_was_charged_before_is_part_of_what_there_is() {
        let clock = FakeRelativeClock::default();
        let budgets = budgets(&clock);
        let request = |text: u64, price: u64| {
            budgets.charge(token(1), text)?;
            budgets.charge_more(token(1), price, text)
        };
        assert!(request(1, 1000).is_ok(), "a whole budget lets it in");
        wait(budgets.charge(token(1), 1));
        clock.advance(Duration::from_secs(5));
        let seconds = wait(request(3, 1000));
        clock.advance(Duration::from_secs(seconds));
        assert!(request(3, 1000).is_ok(), "who waited as long as was said is let in");
        clock.advance(Duration::from_secs(10));
        assert!(request(1000, 1000).is_ok());
        wait(budgets.charge(token(1), 1));
    }

    #[test]
    fn the_number_of_callers_is_bounded() {
        let budgets = budgets(&FakeRelativeClock::default());
        for number in 0..10_000 {
            assert!(budgets.charge(token(number), 1).is_ok());
        }
        assert!(budgets.callers.len() <= 64, "{}", budgets.callers.len());
    }

    #[test]
    fn the_log_hears_of_a_caller_once_a_minute_and_how_often() {
        let clock = FakeRelativeClock::default();
        let budgets = budgets(&clock);
        let budget = budgets.budget(token(1), allowance(1, 1));
        assert_eq!(budgets.to_be_logged(&budget), Some(1));
        assert_eq!(budgets.to_be_logged(&budget), None);
        clock.advance(Duration::from_secs(59));
        assert_eq!(budgets.to_be_logged(&budget), None);
        clock.advance(Duration::from_secs(1));
        assert_eq!(budgets.to_be_logged(&budget), Some(3));
        let named = (0..1000)
            .filter(|n| budgets.to_be_logged(&budgets.budget(token(2 + n), allowance(1, 1))).is_some());
        assert_eq!(named.count(), 59);
    }
}
