//! How many refusals of client certificates are recorded: whoever connects without end must not fill the audit log.

use crate::model::cidr::client_of;
use chrono::{DateTime, TimeDelta, Utc};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;

/// Refusals are counted by the minute.
const WINDOW: TimeDelta = TimeDelta::seconds(60);
/// Of one address (a /64 of IPv6), and of all.
const MOST_OF_ONE: u32 = 20;
const MOST: u32 = 300;

/// What was recorded in this minute.
pub(super) struct Refusals(Mutex<Counts>);

struct Counts {
    since: DateTime<Utc>,
    all: u32,
    /// No more than `all` entries.
    by_address: HashMap<IpAddr, u32>,
    unrecorded: u64,
}

impl Refusals {
    pub(super) fn new() -> Self {
        let since = DateTime::UNIX_EPOCH;
        Self(Mutex::new(Counts { since, all: 0, by_address: HashMap::new(), unrecorded: 0 }))
    }

    /// Whether this one is to be recorded: then with how many before it were not.
    pub(super) fn enter(&self, address: IpAddr, now: DateTime<Utc>) -> Option<u64> {
        let mut counts = self.0.lock();
        if !(TimeDelta::zero()..WINDOW).contains(&(now - counts.since)) {
            (counts.since, counts.all) = (now, 0);
            counts.by_address.clear();
        }
        let from = client_of(address);
        let of_one = counts.by_address.get(&from).copied().unwrap_or_default();
        if counts.all >= MOST || of_one >= MOST_OF_ONE {
            counts.unrecorded += 1;
            return None;
        }
        counts.all += 1;
        counts.by_address.insert(from, of_one + 1);
        Some(std::mem::take(&mut counts.unrecorded))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_address_has_its_share_and_no_more() {
        let (refusals, now) = (Refusals::new(), DateTime::UNIX_EPOCH + TimeDelta::days(1));
        for _ in 0..MOST_OF_ONE {
            assert_eq!(refusals.enter(address("2001:db8::1"), now), Some(0));
        }
        assert_eq!(refusals.enter(address("2001:db8::2"), now), None);
        assert_eq!(refusals.enter(address("2001:db8::1"), now + TimeDelta::seconds(59)), None);
        assert_eq!(refusals.enter(address("192.0.2.1"), now), Some(2), "what was left out is told");
        assert_eq!(refusals.enter(address("2001:db8::1"), now + TimeDelta::seconds(60)), Some(0));
        // a clock that was set back does not close it for ever
        assert_eq!(refusals.enter(address("2001:db8::1"), now - TimeDelta::days(1)), Some(0));
    }

    #[test]
    fn all_together_have_a_bound_and_so_has_the_memory() {
        let (refusals, now) = (Refusals::new(), DateTime::UNIX_EPOCH + TimeDelta::days(1));
        let recorded =
            (0..10_000u32).filter(|n| refusals.enter(IpAddr::from(n.to_be_bytes()), now).is_some()).count();
        assert_eq!(recorded, MOST as usize);
        assert_eq!(refusals.0.lock().by_address.len(), MOST as usize);
    }
}
