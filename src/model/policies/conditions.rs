//! The conditions of a policy: when, from where, and for how long.

use super::Operation;
use crate::model::cidr::CidrList;
use crate::model::duration;
use chrono::{DateTime, Datelike, Timelike, Utc, Weekday};
use chrono_tz::Tz;
use std::fmt;
use std::net::IpAddr;

/// What conditions are held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circumstances {
    pub now: DateTime<Utc>,
    /// The caller's address, if it is known.
    pub source_ip: Option<IpAddr>,
    /// The lifetime that is asked for, if the operation issues or renews something. Fill in the default before.
    pub ttl_seconds: Option<i64>,
}

/// When, from where and for how long a policy applies: all of its conditions must hold. What is left out does not
/// restrict.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conditions {
    pub(super) time_of_day: Option<TimeWindow>,
    /// UTC, if left out.
    pub(super) time_zone: Option<Tz>,
    /// In the order in which they were written; empty if left out.
    pub(super) days_of_week: Vec<Weekday>,
    pub(super) ip_ranges: CidrList,
    pub(super) max_ttl_seconds: Option<i64>,
}

impl Conditions {
    /// Whether neither time nor address restricts (a lifetime restricts only what is issued).
    pub(super) fn hold_always(&self) -> bool {
        self.time_of_day.is_none() && self.days_of_week.is_empty() && self.ip_ranges.is_empty()
    }
}

/// A window of the local wall clock, in minutes since midnight: `start` belongs to it, `end` does not. It crosses
/// midnight if `end` is not after `start`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeWindow {
    start: u32,
    end: u32,
}

const DAY_MINUTES: u32 = 24 * 60;

impl TimeWindow {
    /// Reads `HH:MM-HH:MM`; the end may be 24:00.
    ///
    /// # Errors
    /// A sentence that says what to write.
    pub fn parse(text: &str) -> Result<Self, String> {
        let times = text.split_once('-').and_then(|(start, end)| Some((minutes(start)?, minutes(end)?)));
        match times {
            Some((start, end)) if start == end => {
                Err("the window is empty, since it starts when it ends: for the whole day write 00:00-24:00"
                    .to_owned())
            }
            Some((start, end)) if start < DAY_MINUTES => Ok(Self { start, end }),
            _ => {
                Err("write a window of time as HH:MM-HH:MM, from 00:00 to 24:00, such as 08:00-18:00"
                    .to_owned())
            }
        }
    }

    fn contains(self, minute: u32) -> bool {
        if self.start < self.end {
            (self.start..self.end).contains(&minute)
        } else {
            minute >= self.start || minute < self.end
        }
    }

    /// Whether the window that contains this minute began on the day before.
    fn began_yesterday(self, minute: u32) -> bool {
        self.end < self.start && minute < self.end
    }
}

/// Minutes since midnight of `HH:MM`.
fn minutes(text: &str) -> Option<u32> {
    let (hours, minutes) = text.split_once(':')?;
    let number = |digits: &str| {
        let plain = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        if plain { digits.parse::<u32>().ok() } else { None }
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let total = hours * 60 + minutes;
    (minutes < 60 && total <= DAY_MINUTES).then_some(total)
}

impl fmt::Display for TimeWindow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (start, end) = (self.start, self.end);
        write!(f, "{:02}:{:02}-{:02}:{:02}", start / 60, start % 60, end / 60, end % 60)
    }
}

/// The word of a day in documents.
#[must_use]
pub fn day_name(day: Weekday) -> &'static str {
    match day {
        Weekday::Mon => "mon",
        Weekday::Tue => "tue",
        Weekday::Wed => "wed",
        Weekday::Thu => "thu",
        Weekday::Fri => "fri",
        Weekday::Sat => "sat",
        Weekday::Sun => "sun",
    }
}

/// The day of this word, if there is one.
#[must_use]
pub fn parse_day(word: &str) -> Option<Weekday> {
    use Weekday::{Fri, Mon, Sat, Sun, Thu, Tue, Wed};
    [Mon, Tue, Wed, Thu, Fri, Sat, Sun].into_iter().find(|day| day_name(*day) == word)
}

/// What became of one condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    Holds,
    Fails,
    /// What it asks for is not known.
    Unknown,
}

impl Check {
    fn of(holds: bool) -> Self {
        if holds { Self::Holds } else { Self::Fails }
    }

    /// Doubt never gives access: what is unknown holds in a deny policy and fails in any other.
    pub(super) fn holds(self, deny: bool) -> bool {
        match self {
            Self::Holds => true,
            Self::Fails => false,
            Self::Unknown => deny,
        }
    }
}

/// What became of every condition of one policy.
#[derive(Debug, Clone, Copy)]
pub(super) struct Checks {
    pub time: Check,
    pub address: Check,
    pub ttl: Check,
}

impl Checks {
    pub(super) fn hold(self, deny: bool) -> bool {
        self.time.holds(deny) && self.address.holds(deny) && self.ttl.holds(deny)
    }
}

impl Conditions {
    /// Whether nothing restricts.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Longest lifetime that may be asked for, in seconds.
    #[must_use]
    pub fn max_ttl_seconds(&self) -> Option<i64> {
        self.max_ttl_seconds
    }

    /// Holds every condition against the circumstances. `operation` is what is done with a secret, if it is that:
    /// `max_ttl` asks something of issuing and renewing only.
    pub(super) fn check(&self, operation: Option<Operation>, circumstances: &Circumstances) -> Checks {
        let address = match circumstances.source_ip {
            _ if self.ip_ranges.is_empty() => Check::Holds,
            Some(address) => Check::of(self.ip_ranges.contains(address)),
            None => Check::Unknown,
        };
        let ttl = match (self.max_ttl_seconds, operation) {
            (Some(most), Some(Operation::Issue | Operation::Renew)) => {
                circumstances.ttl_seconds.map_or(Check::Unknown, |ttl| Check::of(ttl <= most))
            }
            _ => Check::Holds,
        };
        Checks { time: self.check_time(circumstances.now), address, ttl }
    }

    fn check_time(&self, now: DateTime<Utc>) -> Check {
        if self.time_of_day.is_none() && self.days_of_week.is_empty() {
            return Check::Holds;
        }
        let (mut day, minute) = self.local(now);
        if let Some(window) = self.time_of_day {
            if !window.contains(minute) {
                return Check::Fails;
            }
            if window.began_yesterday(minute) {
                day = day.pred();
            }
        }
        Check::of(self.days_of_week.is_empty() || self.days_of_week.contains(&day))
    }

    /// What the wall clock shows in the policy's zone: the day, and the minute since midnight. Around a change to
    /// or from summer time that is what people there see, so an hour may be missing or come twice.
    fn local(&self, now: DateTime<Utc>) -> (Weekday, u32) {
        match self.time_zone {
            None | Some(Tz::UTC) => (now.weekday(), now.hour() * 60 + now.minute()),
            Some(zone) => {
                let local = now.with_timezone(&zone);
                (local.weekday(), local.hour() * 60 + local.minute())
            }
        }
    }

    /// `08:00-18:00 Europe/Berlin on mon,fri`, for explanations.
    pub(super) fn describe_time(&self) -> String {
        let mut words = Vec::new();
        if let Some(window) = self.time_of_day {
            words.push(window.to_string());
        }
        words.push(self.zone_name().to_owned());
        if !self.days_of_week.is_empty() {
            let days: Vec<_> = self.days_of_week.iter().map(|day| day_name(*day)).collect();
            words.push(format!("on {}", days.join(",")));
        }
        words.join(" ")
    }

    /// `thu 19:05`, what the wall clock shows in the policy's zone, for explanations.
    pub(super) fn describe_now(&self, now: DateTime<Utc>) -> String {
        let (day, minute) = self.local(now);
        format!("{} {:02}:{:02}", day_name(day), minute / 60, minute % 60)
    }

    /// `10.0.0.0/8, 192.0.2.0/24`, the first few ranges, for explanations.
    pub(super) fn describe_ranges(&self) -> String {
        const SHOWN: usize = 5;
        let ranges = self.ip_ranges.to_strings();
        let mut text = ranges.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
        if ranges.len() > SHOWN {
            text.push_str(&format!(" and {} more", ranges.len() - SHOWN));
        }
        text
    }

    /// `4h`, for explanations.
    pub(super) fn describe_ttl(&self) -> String {
        self.max_ttl_seconds.map(duration::format).unwrap_or_default()
    }

    pub(super) fn zone_name(&self) -> &'static str {
        self.time_zone.unwrap_or(Tz::UTC).name()
    }
}

#[cfg(test)]
#[path = "conditions_tests.rs"]
mod tests;
