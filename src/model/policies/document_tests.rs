use super::*;
use crate::error::ErrorCode;
use proptest::prelude::*;
use proptest::sample::subsequence;

fn example() -> Value {
    json!({
        "version": 1,
        "allowed_secrets": ["prod.db.*", "prod.*.readonly"],
        "allowed_operations": ["read", "list", "issue", "renew"],
        "administers": ["policies", "roles"],
        "conditions": { "time_of_day": "08:00-18:00", "time_zone": "Europe/Berlin", "days_of_week": ["mon", "fri"],
                        "ip_ranges": ["10.0.0.0/8"], "max_ttl": "4h" },
    })
}

#[test]
fn the_example_is_its_own_canonical_form() {
    let document = Document::parse(&example()).unwrap();
    assert_eq!(document.to_value(), example());
    assert_eq!(document.allowed_secrets().len(), 2);
    assert_eq!(document.administers(), [Area::Policies, Area::Roles]);
    assert_eq!(document.conditions().max_ttl_seconds(), Some(14_400));
}

#[test]
fn canonical_form_has_no_empty_conditions_and_full_ranges() {
    let value = json!({ "version": 1, "administers": ["audit"], "conditions": {} });
    assert_eq!(
        Document::parse(&value).unwrap().to_value(),
        json!({ "version": 1, "administers": ["audit"] })
    );
    let value = json!({ "version": 1, "administers": ["audit"],
                        "conditions": { "ip_ranges": ["10.0.0.1"], "max_ttl": "60m" } });
    let canonical = Document::parse(&value).unwrap().to_value();
    assert_eq!(canonical["conditions"], json!({ "ip_ranges": ["10.0.0.1/32"], "max_ttl": "1h" }));
}

/// The example with one place changed; `null` removes it.
fn changed(pointer: &str, to: Value) -> Value {
    let mut value = example();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    let parent = value.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match to {
        Value::Null => parent.remove(key),
        to => parent.insert(key.to_owned(), to),
    };
    value
}

#[test]
fn names_the_place_of_each_fault() {
    let many = |count: usize| Value::from((0..count).map(|n| format!("a{n}")).collect::<Vec<_>>());
    let ranges = Value::from((0..65).map(|n| format!("10.0.0.{n}")).collect::<Vec<_>>());
    let table = [
        ("/version", Value::Null, "document.version"),
        ("/version", json!(2), "document.version"),
        ("/version", json!("1"), "document.version"),
        ("/version", json!(1.0), "document.version"),
        ("/note", json!("x"), "document.note"),
        ("/Allowed_secrets", json!(["a"]), "document.Allowed_secrets"),
        ("/allowed_secrets", Value::Null, "document.allowed_secrets"),
        ("/allowed_operations", Value::Null, "document.allowed_operations"),
        ("/allowed_secrets", json!([]), "document.allowed_secrets"),
        ("/allowed_secrets", json!("prod.*"), "document.allowed_secrets"),
        ("/allowed_secrets", json!(["a", 1]), "document.allowed_secrets[1]"),
        ("/allowed_secrets", json!(["a", "A"]), "document.allowed_secrets[1]"),
        ("/allowed_secrets", json!(["a", "b", "a"]), "document.allowed_secrets[2]"),
        ("/allowed_secrets", json!(["a".repeat(501)]), "document.allowed_secrets[0]"),
        ("/allowed_secrets", many(257), "document.allowed_secrets"),
        ("/allowed_operations", json!(["read", "admin"]), "document.allowed_operations[1]"),
        ("/allowed_operations", json!(["read", "read"]), "document.allowed_operations[1]"),
        ("/allowed_operations", json!(["*"]), "document.allowed_operations[0]"),
        ("/administers", json!([]), "document.administers"),
        ("/administers", json!(["everything"]), "document.administers[0]"),
        ("/administers", json!({}), "document.administers"),
        ("/conditions", json!([]), "document.conditions"),
        ("/conditions/user_agent", json!("curl"), "document.conditions.user_agent"),
        ("/conditions/time_of_day", json!("8-18"), "document.conditions.time_of_day"),
        ("/conditions/time_of_day", json!(["08:00-18:00"]), "document.conditions.time_of_day"),
        ("/conditions/time_zone", json!("Berlin"), "document.conditions.time_zone"),
        ("/conditions/days_of_week", json!(["monday"]), "document.conditions.days_of_week[0]"),
        ("/conditions/days_of_week", json!("mon-fri"), "document.conditions.days_of_week"),
        ("/conditions/days_of_week", json!(["mon", "mon"]), "document.conditions.days_of_week[1]"),
        ("/conditions/ip_ranges", json!(["10.0.0.0/8", "x"]), "document.conditions.ip_ranges[1]"),
        ("/conditions/ip_ranges", json!(["10.0.0.1/8"]), "document.conditions.ip_ranges[0]"),
        ("/conditions/ip_ranges", json!(["10.0.0.1", "10.0.0.1/32"]), "document.conditions.ip_ranges[1]"),
        ("/conditions/ip_ranges", ranges, "document.conditions.ip_ranges"),
        ("/conditions/max_ttl", json!(3600), "document.conditions.max_ttl"),
        ("/conditions/max_ttl", json!("0s"), "document.conditions.max_ttl"),
        ("/conditions/max_ttl", json!("4 hours"), "document.conditions.max_ttl"),
    ];
    for (pointer, to, path) in table {
        let error = Document::parse(&changed(pointer, to.clone())).unwrap_err();
        assert_eq!(error.path, path, "{pointer} {to}");
        assert!(!error.problem.is_empty() && !error.problem.ends_with('.'), "{}", error.problem);
    }
    assert!(Document::parse(&changed("/allowed_secrets", many(256))).is_ok());
    for value in [json!(null), json!([]), json!("x"), json!(1), json!({ "version": 1 })] {
        assert!(Document::parse(&value).unwrap_err().path.starts_with("document"));
    }
    let value = json!({ "version": 1, "administers": ["audit"], "conditions": null });
    assert_eq!(Document::parse(&value).unwrap_err().path, "document.conditions");
    let zone_alone = json!({ "version": 1, "administers": ["audit"], "conditions": { "time_zone": "UTC" } });
    assert_eq!(Document::parse(&zone_alone).unwrap_err().path, "document.conditions.time_zone");
}

#[test]
fn a_fault_is_bad_input_that_names_the_field() {
    let fault = Document::parse(&changed("/conditions/ip_ranges", json!(["x"]))).unwrap_err();
    let error = Error::from(fault.clone());
    assert_eq!(error.code(), ErrorCode::BadUserInput);
    assert_eq!(error.field(), Some("document.conditions.ip_ranges[0]"));
    assert_eq!(error.message(), fault.problem);
}

#[test]
fn a_foreign_key_is_shown_short_and_plain() {
    let error = Document::parse(&changed(&format!("/{}\n\u{1b}", "x".repeat(60)), json!(1))).unwrap_err();
    assert_eq!(error.path, format!("document.{}??", "x".repeat(60)));
    let error = Document::parse(&json!({ "x".repeat(100_000): 1 })).unwrap_err();
    assert!(error.path.len() < 100 && error.problem.len() < 200);
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Valid documents.
fn any_document() -> impl Strategy<Value = Value> {
    let operations: Vec<String> = Operation::ALL.iter().map(ToString::to_string).collect();
    let areas: Vec<String> = Area::ALL.iter().map(ToString::to_string).collect();
    let days = strings(&["mon", "tue", "wed", "thu", "fri", "sat", "sun"]);
    let secrets = (
        prop::collection::btree_set("[a-z0-9_-]{1,4}(\\.[a-z]{1,3}\\*?){0,3}", 1..6),
        subsequence(operations, 1..=8),
    );
    let when = (
        prop::option::of(("0[0-9]:[0-5][0-9]", "1[0-9]:[0-5][0-9]", any::<bool>())),
        prop::option::of(subsequence(days, 1..=7)),
        prop::option::of(prop::sample::select(vec!["UTC", "Europe/Berlin", "America/New_York"])),
    );
    let rest = (
        prop::option::of(prop::collection::btree_set(any::<u32>(), 1..5)),
        prop::option::of(1..=duration::MAX_SECONDS),
    );
    (prop::option::of(secrets), subsequence(areas, 1..=9), prop::option::of((when, rest))).prop_map(
        |(secrets, areas, conditions)| {
            let mut value = json!({ "version": 1, "administers": areas });
            if let Some((patterns, operations)) = secrets {
                value["allowed_secrets"] = json!(patterns);
                value["allowed_operations"] = json!(operations);
            }
            if let Some(((window, days, zone), (ranges, ttl))) = conditions {
                let mut conditions = json!({});
                if let (Some(zone), true) = (zone, window.is_some() || days.is_some()) {
                    conditions["time_zone"] = json!(zone);
                }
                if let Some((early, late, over)) = window {
                    let text = if over { format!("{late}-{early}") } else { format!("{early}-{late}") };
                    conditions["time_of_day"] = json!(text);
                }
                if let Some(days) = days {
                    conditions["days_of_week"] = json!(days);
                }
                if let Some(ranges) = ranges {
                    let ranges: Vec<_> =
                        ranges.into_iter().map(|bits| std::net::Ipv4Addr::from(bits).to_string()).collect();
                    conditions["ip_ranges"] = json!(ranges);
                }
                if let Some(ttl) = ttl {
                    conditions["max_ttl"] = json!(format!("{ttl}s"));
                }
                value["conditions"] = conditions;
            }
            value
        },
    )
}

/// JSON that is often nearly a document.
fn any_json() -> impl Strategy<Value = Value> {
    let key = prop_oneof![
        4 => prop::sample::select(strings(&["version", "allowed_secrets", "allowed_operations", "administers", "conditions",
            "time_of_day", "time_zone", "days_of_week", "ip_ranges", "max_ttl"])),
        1 => any::<String>(),
    ];
    let leaf = prop_oneof![
        Just(json!(1)),
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        prop::sample::select(strings(&[
            "read",
            "audit",
            "*",
            "a.*",
            "mon",
            "UTC",
            "4h",
            "08:00-18:00",
            "10.0.0.0/8"
        ]))
        .prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 6, move |inner| {
        prop_oneof![
            1 => prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            3 => prop::collection::btree_map(key.clone(), inner, 0..6).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn canonical_form_round_trips(value in any_document()) {
        let document = Document::parse(&value).unwrap();
        let canonical = document.to_value();
        prop_assert_eq!(&Document::parse(&canonical).unwrap(), &document);
        prop_assert_eq!(Document::parse(&canonical).unwrap().to_value(), canonical);
    }

    #[test]
    fn unknown_keys_are_always_refused(value in any_document(), key in "[a-z_]{1,12}", inside in any::<bool>()) {
        let known = ["version", "allowed_secrets", "allowed_operations", "administers", "conditions",
            "time_of_day", "time_zone", "days_of_week", "ip_ranges", "max_ttl"];
        prop_assume!(!known.contains(&key.as_str()));
        let mut value = value;
        let path = if inside {
            let conditions = value.as_object_mut().unwrap().entry("conditions").or_insert(json!({}));
            conditions[&key] = json!(1);
            format!("document.conditions.{key}")
        } else {
            value[&key] = json!(1);
            format!("document.{key}")
        };
        prop_assert_eq!(Document::parse(&value).unwrap_err().path, path);
    }

    #[test]
    fn any_json_is_read_without_panic(value in any_json()) {
        match Document::parse(&value) {
            Ok(document) => prop_assert_eq!(Document::parse(&document.to_value()).unwrap(), document),
            Err(error) => prop_assert!(error.path.starts_with("document")),
        }
    }
}
