//! When an engine is asked again after failures: the back-off between starts of its process, and the circuit breaker.

use std::time::Duration;
use tokio::time::Instant;

/// Failures in a row after which the breaker opens.
const THRESHOLD: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// A target may be back any moment, and asking it costs no start of a process.
const LONGEST_SILENCE: Duration = Duration::from_secs(15);

/// Counts failures in a row: of the process, and of the target behind it.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    crashes: u32,
    retries: u32,
    /// Nothing is let through before.
    until: Option<Instant>,
    /// The one call that finds out whether it works again is under way.
    probing: bool,
}

/// A call that may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    Normal,
    /// The only one for now: whether others follow depends on it.
    Probe,
}

impl Breaker {
    /// How long nothing is let through yet.
    pub fn wait(&self, now: Instant) -> Option<Duration> {
        self.until.and_then(|until| until.checked_duration_since(now)).filter(|left| !left.is_zero())
    }

    /// Whether it failed so often that only probes are let through.
    pub fn is_open(&self) -> bool {
        self.crashes >= THRESHOLD || self.retries >= THRESHOLD
    }

    pub fn has_failed(&self) -> bool {
        self.crashes > 0 || self.retries > 0
    }

    /// Lets a call through, or says how long to wait.
    pub fn admit(&mut self, now: Instant) -> Result<Admission, Duration> {
        if let Some(left) = self.wait(now) {
            return Err(left);
        }
        if !self.is_open() {
            return Ok(Admission::Normal);
        }
        if self.probing {
            return Err(FIRST_WAIT);
        }
        self.probing = true;
        Ok(Admission::Probe)
    }

    /// An admitted call has ended, whatever came of it.
    pub fn leave(&mut self, admission: Admission) {
        if admission == Admission::Probe {
            self.probing = false;
        }
    }

    /// The engine answered, and its target too.
    pub fn works(&mut self) {
        self.crashes = 0;
        self.retries = 0;
        self.until = None;
    }

    /// The process ended, hung or could not be started. `jitter` is from 0 to 1.
    pub fn crashed(&mut self, now: Instant, jitter: f64) {
        self.crashes = self.crashes.saturating_add(1);
        self.until = Some(now + backoff(self.crashes, jitter));
    }

    /// The process ended while nothing was asked of it. Whoever ended it, no call did: the first time another may be started at once.
    pub fn ended_idle(&mut self, now: Instant, jitter: f64) {
        if self.has_failed() {
            self.crashed(now, jitter);
        } else {
            self.crashes = 1;
        }
    }

    /// The engine answered that its target does not.
    pub fn target_failed(&mut self, now: Instant, jitter: f64) {
        self.retries = self.retries.saturating_add(1);
        if self.retries >= THRESHOLD {
            // begins where five starts in a row would be
            self.until = Some(now + backoff(self.retries, jitter).min(LONGEST_SILENCE));
        }
    }
}

/// Doubles from [`FIRST_WAIT`] to [`LONGEST_WAIT`]; up to a quarter less, so that many engines do not start at once.
fn backoff(failures: u32, jitter: f64) -> Duration {
    let whole = FIRST_WAIT.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST_WAIT);
    whole.mul_f64(1.0 - 0.25 * jitter.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(start: Instant, milliseconds: u64) -> Instant {
        start + Duration::from_millis(milliseconds)
    }

    #[test]
    fn waits_double_up_to_a_minute() {
        let waits: Vec<_> = [1, 2, 3, 8, 9, 40].iter().map(|n| backoff(*n, 0.0).as_millis()).collect();
        assert_eq!(waits, [250, 500, 1000, 32_000, 60_000, 60_000]);
        assert_eq!(backoff(9, 1.0), Duration::from_secs(45));
    }

    #[test]
    fn a_crash_delays_the_next_start_and_five_leave_one_probe() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        breaker.crashed(start, 0.0);
        assert!(breaker.has_failed() && !breaker.is_open());
        assert_eq!(breaker.admit(start), Err(Duration::from_millis(250)));
        assert_eq!(breaker.admit(after(start, 250)), Ok(Admission::Normal));
        assert_eq!(breaker.admit(after(start, 250)), Ok(Admission::Normal));
        for _ in 0..4 {
            breaker.crashed(start, 0.0);
        }
        assert!(breaker.is_open());
        let later = after(start, 4000);
        assert_eq!(breaker.admit(later), Ok(Admission::Probe));
        assert!(breaker.admit(later).is_err(), "one at a time");
        breaker.leave(Admission::Probe);
        assert_eq!(breaker.admit(later), Ok(Admission::Probe), "a probe that was given up frees its place");
        breaker.works();
        breaker.leave(Admission::Probe);
        assert_eq!(breaker.admit(later), Ok(Admission::Normal));
        assert!(!breaker.has_failed());
    }

    #[test]
    fn an_idle_process_that_ends_delays_only_the_second_start() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        breaker.ended_idle(start, 0.0);
        assert_eq!(breaker.admit(start), Ok(Admission::Normal));
        breaker.ended_idle(start, 0.0);
        assert!(breaker.wait(start).is_some());
    }

    #[test]
    fn a_target_that_fails_now_and_then_is_asked_on() {
        let start = Instant::now();
        let mut breaker = Breaker::default();
        for _ in 0..4 {
            breaker.target_failed(start, 0.0);
            assert_eq!(breaker.admit(start), Ok(Admission::Normal));
        }
        breaker.works();
        for _ in 0..5 {
            breaker.target_failed(start, 0.0);
        }
        assert_eq!(breaker.wait(start), Some(Duration::from_secs(4)));
    }
}
