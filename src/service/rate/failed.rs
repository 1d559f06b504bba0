//! Failed logins, counted by address. A window begins with the first failure; once it holds too many, what comes from there is
//! refused until it ends. A success clears nothing, so whoever has one good login cannot go on guessing others.

use super::{FailedLoginLimits, Presented};
use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

type Key = (Presented, Option<IpAddr>);

#[derive(Default)]
struct Window {
    began: Option<DateTime<Utc>>,
    failures: u32,
    /// Whether the audit log has heard that more is not recorded.
    announced: bool,
}

/// The addresses from which logins failed lately.
pub(super) struct Failures {
    windows: Cache<Key, Arc<Mutex<Window>>>,
    limits: FailedLoginLimits,
}

/// Too many failures came from there.
pub(super) struct Refused {
    pub failures: u32,
    pub until: DateTime<Utc>,
    window: Arc<Mutex<Window>>,
}

/// The one announcement of a window. If it comes to nothing, the next refusal makes it.
pub(super) struct Announcement {
    window: Arc<Mutex<Window>>,
    done: bool,
}

impl Failures {
    pub fn new(limits: FailedLoginLimits, remembered: usize) -> Self {
        Self { windows: Cache::new(remembered), limits }
    }

    fn length(&self) -> TimeDelta {
        TimeDelta::seconds(i64::from(self.limits.window_seconds))
    }

    /// Whether what is presented from there is to be refused unseen.
    pub fn refused(&self, presented: Presented, from: Option<IpAddr>, now: DateTime<Utc>) -> Option<Refused> {
        let window = self.windows.get(&(presented, from))?;
        let (failures, until) = {
            let seen = window.lock();
            (seen.failures, seen.began? + self.length())
        };
        (failures >= self.limits.failures && now < until).then_some(Refused { failures, until, window })
    }

    pub fn count(&self, presented: Presented, from: Option<IpAddr>, now: DateTime<Utc>) {
        let window = self
            .windows
            .get_or_insert_with(&(presented, from), || Ok::<_, Infallible>(Arc::default()))
            .unwrap_or_else(|never| match never {});
        let mut window = window.lock();
        if window.began.is_none_or(|began| now >= began + self.length()) {
            *window = Window { began: Some(now), ..Window::default() };
        }
        window.failures = window.failures.saturating_add(1);
    }
}

impl Refused {
    /// The announcement, if it is still to be made.
    pub fn announce(&self) -> Option<Announcement> {
        let mut window = self.window.lock();
        if std::mem::replace(&mut window.announced, true) {
            return None;
        }
        Some(Announcement { window: Arc::clone(&self.window), done: false })
    }
}

impl Announcement {
    pub fn done(mut self) {
        self.done = true;
    }
}

impl Drop for Announcement {
    fn drop(&mut self) {
        if !self.done {
            self.window.lock().announced = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Option<IpAddr> = Some(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000 + seconds, 0).unwrap()
    }

    fn failures() -> Failures {
        Failures::new(FailedLoginLimits { failures: 3, window_seconds: 60 }, 100)
    }

    #[test]
    fn a_window_fills_and_ends() {
        let failures = failures();
        let refused = |second| failures.refused(Presented::Login, HERE, at(second));
        for second in 0..3 {
            assert!(refused(second).is_none());
            failures.count(Presented::Login, HERE, at(second));
        }
        let told = refused(3).unwrap();
        assert_eq!((told.failures, told.until), (3, at(60)));
        assert!(failures.refused(Presented::Token, HERE, at(3)).is_none(), "tokens are counted apart");
        assert!(failures.refused(Presented::Login, None, at(3)).is_none());
        assert!(refused(59).is_some());
        assert!(refused(60).is_none());
        failures.count(Presented::Login, HERE, at(60));
        assert!(refused(61).is_none(), "a new window begins empty");
    }

    #[test]
    fn a_window_is_announced_once_unless_that_fails() {
        let failures = failures();
        for _ in 0..3 {
            failures.count(Presented::Login, HERE, at(0));
        }
        let refused = failures.refused(Presented::Login, HERE, at(1)).unwrap();
        let lost = refused.announce().unwrap();
        assert!(refused.announce().is_none());
        drop(lost);
        refused.announce().unwrap().done();
        assert!(refused.announce().is_none());
        for _ in 0..3 {
            failures.count(Presented::Login, HERE, at(60));
        }
        assert!(failures.refused(Presented::Login, HERE, at(61)).unwrap().announce().is_some());
    }

    #[test]
    fn the_number_of_addresses_is_bounded() {
        let failures = failures();
        for number in 0..10_000_u32 {
            failures.count(Presented::Token, Some(IpAddr::V4(number.into())), at(0));
        }
        assert!(failures.windows.len() <= 100, "{}", failures.windows.len());
    }
}
