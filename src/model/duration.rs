//! Durations as people write them: one whole number and one unit, `90s`, `30m`, `4h`, `7d`.

/// Longest duration, in seconds: 3650 days, about ten years.
pub const MAX_SECONDS: i64 = 3650 * DAY;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Why a text is no duration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    #[error(
        "write a duration as one whole number and one of the units s, m, h, d, such as 90s, 30m, 4h or 7d"
    )]
    Notation,
    #[error("a duration is at least one second: write 1s or more")]
    Zero,
    #[error("a duration is at most 3650d: write a shorter one")]
    TooLong,
}

/// The whole seconds of a duration, 1 to [`MAX_SECONDS`].
///
/// # Errors
/// [`DurationError`] says which rule is broken.
pub fn parse(text: &str) -> Result<i64, DurationError> {
    let unit = match text.as_bytes().last() {
        Some(b's') => 1,
        Some(b'm') => MINUTE,
        Some(b'h') => HOUR,
        Some(b'd') => DAY,
        _ => return Err(DurationError::Notation),
    };
    let digits = &text[..text.len() - 1];
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(DurationError::Notation);
    }
    // All digits, so the only way to fail is to be too large.
    let number: i64 = digits.parse().map_err(|_| DurationError::TooLong)?;
    match number.checked_mul(unit) {
        Some(0) => Err(DurationError::Zero),
        Some(seconds) if seconds <= MAX_SECONDS => Ok(seconds),
        _ => Err(DurationError::TooLong),
    }
}

/// The canonical text: the largest unit that leaves a whole number (`7200` is `2h`, `5400` is `90m`).
#[must_use]
pub fn format(seconds: i64) -> String {
    for (unit, letter) in [(DAY, 'd'), (HOUR, 'h'), (MINUTE, 'm')] {
        if seconds != 0 && seconds % unit == 0 {
            return format!("{}{letter}", seconds / unit);
        }
    }
    format!("{seconds}s")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_each_unit_and_names_each_fault() {
        for (text, seconds) in
            [("90s", 90), ("30m", 1800), ("4h", 14_400), ("7d", 604_800), ("3650d", MAX_SECONDS)]
        {
            assert_eq!(parse(text), Ok(seconds), "{text}");
        }
        for text in ["", "h", "4", "4 h", " 4h", "+4h", "-4h", "4.5h", "1h30m", "4H", "4w", "٤h", "4é"] {
            assert_eq!(parse(text), Err(DurationError::Notation), "{text:?}");
        }
        assert_eq!(parse("0s"), Err(DurationError::Zero));
        for text in ["3651d", "315360001s", "99999999999999999999999h", "9223372036854775807d"] {
            assert_eq!(parse(text), Err(DurationError::TooLong), "{text}");
        }
    }

    #[test]
    fn writes_the_largest_whole_unit() {
        for (seconds, text) in
            [(1, "1s"), (60, "1m"), (5400, "90m"), (86_400, "1d"), (90_000, "25h"), (0, "0s")]
        {
            assert_eq!(format(seconds), text);
        }
    }

    proptest! {
        #[test]
        fn round_trips(seconds in 1..=MAX_SECONDS) {
            prop_assert_eq!(parse(&format(seconds)), Ok(seconds));
        }

        #[test]
        fn never_panics(text in any::<String>()) {
            let _ = parse(&text);
        }
    }
}
