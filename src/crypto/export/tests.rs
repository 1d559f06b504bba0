use std::io::Cursor;

use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use super::csv_file::{COLUMNS, escape, unescape};
use super::*;
use crate::crypto::audit::fixture::{bare, full, log};
use crate::crypto::audit::{AuditSigner, ChainVerifier};
use crate::model::audit::AuditEvent;

fn jsonl(events: &[AuditEvent]) -> String {
    let mut out = Vec::new();
    events.iter().for_each(|event| write_jsonl(event, &mut out).unwrap());
    String::from_utf8(out).unwrap()
}

fn csv(events: &[AuditEvent]) -> String {
    let mut writer = CsvWriter::new(Vec::new()).unwrap_or_else(|_| panic!());
    events.iter().for_each(|event| writer.push(event).unwrap());
    String::from_utf8(writer.finish().unwrap()).unwrap()
}

fn from_jsonl(text: &str) -> Result<Vec<AuditEvent>, String> {
    read_jsonl(Cursor::new(text)).collect::<Result<_, _>>().map_err(|error: ReadError| error.to_string())
}

fn from_csv(text: &str) -> Result<Vec<AuditEvent>, String> {
    read_csv(Cursor::new(text)).collect::<Result<_, _>>().map_err(|error: ReadError| error.to_string())
}

#[test]
fn a_log_comes_back_from_both_formats_and_verifies() {
    let signer = AuditSigner::generate();
    let events = log(&signer, 8);
    for found in [from_jsonl(&jsonl(&events)).unwrap(), from_csv(&csv(&events)).unwrap()] {
        assert_eq!(found, events);
        let mut verifier = ChainVerifier::new(signer.public_key(), None);
        found.iter().for_each(|event| verifier.push(event).unwrap());
        assert_eq!(verifier.finish(None).unwrap().checked, 8);
    }
    assert_eq!(from_jsonl(""), Ok(vec![]));
    assert_eq!(from_csv(&csv(&[])), Ok(vec![]));
}

#[test]
fn both_formats_have_all_fields_in_the_events_order() {
    let line = jsonl(&[full()]);
    let mut at = 0;
    for (name, _) in COLUMNS {
        let found = line[at..].find(&format!("\"{name}\":")).unwrap_or_else(|| panic!("{name}"));
        at += found;
    }
    let object: serde_json::Map<String, Value> = serde_json::from_str(&line).unwrap();
    assert_eq!(object.len(), COLUMNS.len());
    assert_eq!(object["timestamp"], json!("2025-11-24T16:00:00.123456Z"));
    assert_eq!(object["previous_hash"], json!("05".repeat(32)));
    assert_eq!(object["signature"], json!("09".repeat(64)));
    // nulls are written
    let object: serde_json::Map<String, Value> = serde_json::from_str(&jsonl(&[bare()])).unwrap();
    assert_eq!(object.len(), COLUMNS.len());
}

#[test]
fn null_and_empty_stay_apart_and_formulas_are_disarmed() {
    let mut event = bare();
    event.hostname = Some(String::new());
    event.k8s_pod = Some("=HYPERLINK(\"http://x\")".to_owned());
    event.denial_reason = Some("\\N".to_owned());
    event.policy_matched = Some("two\r\nlines, and \"quotes\"\t\0".to_owned());
    let text = csv(&[event.clone()]);
    assert_eq!(text.lines().count(), 2);
    assert_eq!(text.matches('\n').count(), 2);
    assert!(text.contains("\"\\=HYPERLINK"));
    assert_eq!(from_csv(&text).unwrap(), [event]);
    for (plain, cell) in
        [("", ""), ("\\N", "\\\\N"), ("-1", "\\-1"), ("a-1", "a-1"), ("@", "\\@"), ("+\t", "\\+\\t")]
    {
        assert_eq!((escape(plain).as_str(), unescape(cell).as_deref()), (cell, Some(plain)));
    }
    for wrong in ["\\", "\\x", "-1", "a\\-", "\t", "\\N"] {
        assert_eq!(unescape(wrong), None, "{wrong:?}");
    }
}

#[test]
fn what_no_export_writes_is_refused_with_its_line() {
    let good = jsonl(&[full()]);
    let changes = [
        ("{\"event_id\"", "{\"more\":1,\"event_id\"", "unknown field"),
        ("\"batch_end\":true", "\"batch_end\":true,\"batch_end\":false", "duplicate field"),
        ("\"batch_end\":true,", "", "missing field"),
        ("\"batch_end\":true", "\"batch_end\":1", "invalid type"),
        ("\"sequence_number\":1", "\"sequence_number\":1.5", "invalid type"),
        ("\"sequence_number\":1", "\"sequence_number\":9223372036854775808", "invalid value"),
        (".123456Z", ".1234567Z", "six decimals"),
        ("16:00:00.123456Z", "17:00:00.123456+01:00", "six decimals"),
        ("\"b\":[1,", "\"b\":[9],\"b\":[1,", "canonical"),
        ("\"b\":[1,", "\"b\":[1.0e0,", "canonical"),
        ("\"b\":[1,", "\"b\": [1,", "canonical"),
        ("0505", "05", "64 lower-case hex digits"),
        ("0606", "060A", "64 lower-case hex digits"),
        ("0909", "090", "lower-case hex"),
        ("2001:db8::1", "2001:db8::g", "IP"),
    ];
    for (from, to, expected) in changes {
        assert!(good.contains(from), "{from}");
        let text = good.clone() + &good.replacen(from, to, 1);
        let error = from_jsonl(&text).unwrap_err();
        assert!(error.starts_with("line 2: ") && error.contains(expected), "{to}: {error}");
    }
    for (text, expected) in
        [("\n", "line 1: "), ("{}", "missing field"), ("[]", ""), ("{\"event_id\":", "EOF")]
    {
        let error = from_jsonl(text).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn csv_that_no_export_writes_is_refused_with_its_line() {
    let good = csv(&[full()]);
    for (from, to, expected) in [
        ("event_id,", "id,", "line 1: the header"),
        ("event_id,sequence_number", "sequence_number,event_id", "line 1: the header"),
        ("signature\n", "signature,more\n", "line 1: the header"),
        (",true,", ",TRUE,", "line 2: it is not an event as it is exported: the cell of access_granted"),
        (",7,", ",07,", "the cell of secret_version"),
        (",7,", ",7.0,", "line 2: "),
        (",7,", ",null,", "the cell of secret_version"),
        (",app-1,", ",=app-1,", "the cell of app_id"),
        (",app-1,", ",app-1,,", "34 cells"),
        (",app-1,", ",\"app-1,", "line 2: "),
        ("[1,-2", "[1, -2", "the cell of event_data"),
    ] {
        assert!(good.contains(from), "{from}");
        let error = from_csv(&good.replacen(from, to, 1)).unwrap_err();
        assert!(error.contains(expected), "{to}: {error}");
    }
    assert!(from_csv("").unwrap_err().contains("the header"));
    assert!(from_csv(&format!("{good}\n")).unwrap_err().contains("line 3: "));
}

#[test]
fn a_line_is_never_read_beyond_the_limit() {
    struct Endless;
    impl io::Read for Endless {
        fn read(&mut self, target: &mut [u8]) -> io::Result<usize> {
            target.fill(b'"');
            Ok(target.len())
        }
    }
    let mut events = read_jsonl(io::BufReader::new(Endless));
    assert!(matches!(events.next(), Some(Err(ReadError { line: 1, problem: ReadProblem::TooLong }))));
    assert!(events.next().is_none(), "it ends after an error");
    let mut events = read_csv(io::BufReader::new(Endless));
    assert!(matches!(events.next(), Some(Err(ReadError { line: 1, problem: ReadProblem::TooLong }))));
    assert!(events.next().is_none());
    let mut events = read_jsonl(Cursor::new(b"\xff\n"));
    assert!(matches!(events.next(), Some(Err(ReadError { line: 1, problem: ReadProblem::NotUtf8 }))));
}

#[test]
fn read_errors_are_bad_input_without_the_systems_text() {
    let error =
        Error::from(ReadError { line: 3, problem: ReadProblem::Io(io::Error::other("disk on fire")) });
    assert_eq!(error.field(), Some("file"));
    assert!(!error.message().contains("fire"));
    assert!(error.log_context().unwrap().contains("fire"));
}

fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(any::<String>(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn text() -> impl Strategy<Value = Option<String>> {
    prop_oneof![
        Just(None),
        Just(Some(String::new())),
        "[-=+@\\\\\"',N\t\r\n\0a]{0,6}".prop_map(Some),
        any::<String>().prop_map(Some),
    ]
}

prop_compose! {
    fn event()(
        ids in any::<(u128, Option<u128>, Option<u128>)>(),
        sequence_number: i64,
        micros in 0i64..253_402_300_799_999_999,
        event_type in any::<String>(),
        mut texts in proptest::collection::vec(text(), 18),
        numbers in any::<(Option<i64>, Option<bool>, Option<i64>, bool)>(),
        source_ip in any::<Option<std::net::IpAddr>>(),
        event_data in json_value(),
        hashes in any::<([u8; 32], [u8; 32])>(),
        signature in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..70)),
    ) -> AuditEvent {
        let mut next = || texts.pop().unwrap();
        AuditEvent {
            event_id: Uuid::from_u128(ids.0),
            sequence_number,
            timestamp: chrono::DateTime::from_timestamp_micros(micros).unwrap(),
            event_type,
            actor_type: next(),
            actor_id: next(),
            token_accessor: next(),
            role_name: next(),
            agent_id: next(),
            app_id: next(),
            admin_id: next(),
            agent_cert_fingerprint: next(),
            app_cert_fingerprint: next(),
            admin_cert_fingerprint: next(),
            secret_id: ids.1.map(Uuid::from_u128),
            secret_path: next(),
            secret_version: numbers.0,
            secret_type: next(),
            lease_id: ids.2.map(Uuid::from_u128),
            access_granted: numbers.1,
            policy_matched: next(),
            denial_reason: next(),
            source_ip,
            hostname: next(),
            k8s_namespace: next(),
            k8s_pod: next(),
            event_data,
            response_time_ms: numbers.2,
            correlation_id: next(),
            batch_end: numbers.3,
            previous_hash: hashes.0,
            current_hash: hashes.1,
            signature,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_event_comes_back_exactly(events in proptest::collection::vec(event(), 0..4)) {
        let (lines, table) = (jsonl(&events), csv(&events));
        prop_assert_eq!(lines.matches('\n').count(), events.len());
        prop_assert_eq!(table.matches('\n').count(), events.len() + 1);
        prop_assert_eq!(from_jsonl(&lines).unwrap(), &events[..]);
        prop_assert_eq!(from_csv(&table).unwrap(), &events[..]);
    }

    #[test]
    fn cells_come_back_exactly(plain in text()) {
        let plain = plain.unwrap_or_default();
        prop_assert_eq!(unescape(&escape(&plain)), Some(plain));
    }
}
