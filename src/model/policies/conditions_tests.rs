use super::*;
use crate::model::policies::Document;
use serde_json::{Value, json};

fn conditions(value: Value) -> Conditions {
    let document = json!({ "version": 1, "administers": ["audit"], "conditions": value });
    Document::parse(&document).unwrap().conditions
}

fn at(time: &str) -> Circumstances {
    let now = DateTime::parse_from_rfc3339(time).unwrap().with_timezone(&Utc);
    Circumstances { now, source_ip: None, ttl_seconds: None }
}

#[track_caller]
fn assert_times(value: &Value, table: &[(&str, bool)]) {
    let conditions = conditions(value.clone());
    for (time, expected) in table {
        let holds = conditions.check(None, &at(time)).time == Check::Holds;
        assert_eq!(holds, *expected, "{value} at {time}");
    }
}

#[test]
fn windows_include_their_start_and_exclude_their_end() {
    assert_times(
        &json!({ "time_of_day": "08:00-18:00" }),
        &[
            ("2026-01-05T07:59:59.999999Z", false),
            ("2026-01-05T08:00:00Z", true),
            ("2026-01-05T17:59:59.999999Z", true),
            ("2026-01-05T18:00:00Z", false),
        ],
    );
    assert_times(
        &json!({ "time_of_day": "00:00-24:00" }),
        &[("2026-01-05T00:00:00Z", true), ("2026-01-05T23:59:59.999999Z", true)],
    );
    for to_midnight in ["22:00-24:00", "22:00-00:00"] {
        assert_times(
            &json!({ "time_of_day": to_midnight }),
            &[
                ("2026-01-05T21:59:00Z", false),
                ("2026-01-05T23:59:59Z", true),
                ("2026-01-06T00:00:00Z", false),
            ],
        );
    }
}

#[test]
fn a_window_over_midnight_belongs_to_the_day_it_began() {
    // 2026-01-09 is a Friday.
    assert_times(
        &json!({ "time_of_day": "22:00-06:00", "days_of_week": ["fri"] }),
        &[
            ("2026-01-09T05:59:00Z", false), // of Thursday's window
            ("2026-01-09T21:59:00Z", false),
            ("2026-01-09T22:00:00Z", true),
            ("2026-01-10T00:00:00Z", true),
            ("2026-01-10T05:59:59Z", true),
            ("2026-01-10T06:00:00Z", false),
            ("2026-01-10T22:00:00Z", false), // of Saturday's window
        ],
    );
    // From Sunday into Monday, to the beginning of the week.
    assert_times(
        &json!({ "time_of_day": "22:00-06:00", "days_of_week": ["sun"] }),
        &[("2026-01-12T03:00:00Z", true), ("2026-01-11T03:00:00Z", false)],
    );
}

#[test]
fn days_are_a_list_and_no_range() {
    assert_times(
        &json!({ "days_of_week": ["mon", "fri"] }),
        &[
            ("2026-01-05T12:00:00Z", true),
            ("2026-01-07T12:00:00Z", false),
            ("2026-01-09T12:00:00Z", true),
            ("2026-01-10T00:00:00Z", false),
        ],
    );
    // Where it is Monday already.
    assert_times(
        &json!({ "days_of_week": ["mon"], "time_zone": "Pacific/Auckland" }),
        &[("2026-01-04T12:00:00Z", true), ("2026-01-05T12:00:00Z", false)],
    );
}

#[test]
fn the_wall_clock_decides_when_summer_time_begins() {
    // Berlin, 2026-03-29: after 01:59:59 (00:59:59 UTC) comes 03:00:00 (01:00:00 UTC).
    assert_times(
        &json!({ "time_of_day": "02:00-03:00", "time_zone": "Europe/Berlin" }),
        &[
            ("2026-03-28T01:30:00Z", true),
            ("2026-03-29T00:30:00Z", false),
            ("2026-03-29T00:59:59Z", false),
            ("2026-03-29T01:00:00Z", false),
            ("2026-03-29T01:30:00Z", false),
            ("2026-03-30T00:30:00Z", true),
        ],
    );
    assert_times(
        &json!({ "time_of_day": "08:00-18:00", "time_zone": "Europe/Berlin" }),
        &[
            ("2026-03-28T06:59:00Z", false),
            ("2026-03-28T07:00:00Z", true),
            ("2026-03-29T05:59:00Z", false),
            ("2026-03-29T06:00:00Z", true),
            ("2026-03-29T15:59:59Z", true),
            ("2026-03-29T16:00:00Z", false),
        ],
    );
    // Over midnight and the change: Saturday's window lasts until 03:00 summer time, an hour less than usual.
    let night =
        json!({ "time_of_day": "23:00-03:30", "time_zone": "Europe/Berlin", "days_of_week": ["sat"] });
    assert_times(
        &night,
        &[
            ("2026-03-28T21:59:00Z", false),
            ("2026-03-28T22:00:00Z", true),
            ("2026-03-29T00:59:59Z", true),
            ("2026-03-29T01:29:59Z", true),
            ("2026-03-29T01:30:00Z", false),
        ],
    );
}

#[test]
fn the_wall_clock_decides_when_summer_time_ends() {
    // Berlin, 2026-10-25: after 02:59:59 (00:59:59 UTC) comes 02:00:00 once more (01:00:00 UTC).
    assert_times(
        &json!({ "time_of_day": "02:00-03:00", "time_zone": "Europe/Berlin" }),
        &[
            ("2026-10-24T23:59:59Z", false),
            ("2026-10-25T00:00:00Z", true),
            ("2026-10-25T00:59:59Z", true),
            ("2026-10-25T01:00:00Z", true),
            ("2026-10-25T01:59:59Z", true),
            ("2026-10-25T02:00:00Z", false),
        ],
    );
    assert_times(
        &json!({ "time_of_day": "08:00-18:00", "time_zone": "Europe/Berlin" }),
        &[("2026-10-25T06:59:00Z", false), ("2026-10-25T07:00:00Z", true), ("2026-10-25T17:00:00Z", false)],
    );
}

#[test]
fn windows_are_read_strictly() {
    for text in ["08:00-18:00", "22:00-06:00", "00:00-24:00", "23:59-00:00"] {
        assert_eq!(TimeWindow::parse(text).unwrap().to_string(), text);
    }
    for text in [
        "",
        "-",
        "08:00",
        "8:00-18:00",
        "08:00-18:0",
        "08:00 - 18:00",
        "08:60-18:00",
        "24:00-08:00",
        "08:00-24:01",
        "25:00-26:00",
        "08:00-08:00",
        "00:00-00:00",
        "24:00-24:00",
        "08:00-18:00-20:00",
        "+8:00-18:00",
        "08-18",
        "٠٨:00-18:00",
    ] {
        assert!(TimeWindow::parse(text).is_err(), "{text:?}");
    }
}

#[test]
fn an_address_is_asked_for_only_by_ranges() {
    let ten = conditions(json!({ "ip_ranges": ["10.0.0.0/8", "2001:db8::/32"] }));
    let mut circumstances = at("2026-01-05T12:00:00Z");
    assert_eq!(ten.check(None, &circumstances).address, Check::Unknown);
    assert_eq!(Conditions::default().check(None, &circumstances).address, Check::Holds);
    for (address, expected) in [
        ("10.1.2.3", Check::Holds),
        ("::ffff:10.1.2.3", Check::Holds),
        ("::ffff:11.1.2.3", Check::Fails),
        ("2001:db8::1", Check::Holds),
        ("2001:db9::1", Check::Fails),
    ] {
        circumstances.source_ip = Some(address.parse().unwrap());
        assert_eq!(ten.check(None, &circumstances).address, expected, "{address}");
    }
}

#[test]
fn a_ttl_is_asked_for_only_by_issue_and_renew() {
    let four_hours = conditions(json!({ "max_ttl": "4h" }));
    let mut circumstances = at("2026-01-05T12:00:00Z");
    for operation in Operation::ALL {
        let expected = match operation {
            Operation::Issue | Operation::Renew => [Check::Unknown, Check::Holds, Check::Fails],
            _ => [Check::Holds; 3],
        };
        for (ttl, expected) in [None, Some(14_400), Some(14_401)].into_iter().zip(expected) {
            circumstances.ttl_seconds = ttl;
            assert_eq!(
                four_hours.check(Some(*operation), &circumstances).ttl,
                expected,
                "{operation} {ttl:?}"
            );
        }
    }
    assert_eq!(four_hours.check(None, &circumstances).ttl, Check::Holds);
}
