//! The section `rate_limits`.

use super::source::Source;
use super::{seconds, whole};
use crate::error::Result;
use crate::service::rate::{Allowance, FailedLoginLimits, RateSettings, WorkLimits};
use std::num::NonZeroU32;

const MOST: u64 = 1_000_000_000;

pub(super) fn rate_limits(source: &Source) -> Result<RateSettings> {
    let amount = |key, default| {
        whole(source, key, default, 1, MOST).map(|number| NonZeroU32::new(number).unwrap_or(NonZeroU32::MIN))
    };
    let work = WorkLimits {
        caller: Allowance {
            per_second: amount("rate_limits.cost_per_second", 200_000)?,
            burst: amount("rate_limits.burst", 1_000_000)?,
        },
        anonymous: Allowance {
            per_second: amount("rate_limits.anonymous_cost_per_second", 100_000)?,
            burst: amount("rate_limits.anonymous_burst", 500_000)?,
        },
    };
    let failures = whole(source, "rate_limits.failed_logins", 300, 0, 1_000_000)?;
    let window = seconds(source, "rate_limits.failed_logins_window", 600, 1, 24 * 3600)?;
    let failed = FailedLoginLimits {
        failures,
        // a day fits
        window_seconds: u32::try_from(window.as_secs()).unwrap_or(u32::MAX),
    };
    Ok(RateSettings {
        work: source.flag("rate_limits.enabled")?.unwrap_or(true).then_some(work),
        failed_logins: (failures > 0).then_some(failed),
    })
}
