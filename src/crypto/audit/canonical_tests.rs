use data_encoding::HEXLOWER;
use serde_json::json;

use super::*;
use crate::crypto::audit::fixture::{bare, full};

/// The encoding is fixed: if this fails, every log written so far stops verifying. The two hashes come from a program
/// in another language that was written after the documentation of `canonical`.
#[test]
fn the_canonical_encoding_is_pinned() {
    let mut buf = Vec::new();
    let expected = "451452380257d343a0d5093c6b88669a2931f8e89d6e7f50e093d2befcfb2a48";
    assert_eq!(HEXLOWER.encode(&hash(&full(), &mut buf)), expected);
    assert_eq!(buf, canonical(&full()));
    let expected = "bae6652d74659d3b2d21f868843a5f6332197cc3df1bd28649d8bc7768d44e20";
    assert_eq!(HEXLOWER.encode(&hash(&bare(), &mut buf)), expected);
}

#[test]
fn canonical_json_is_sorted_and_minimally_escaped() {
    let mut out = Vec::new();
    write_json(&full().event_data, &mut out);
    let expected = r#"{"a":{"A":18446744073709551615,"é":"x\"\\\n\u0001"},"b":[1,-2,null,true]}"#;
    assert_eq!(String::from_utf8(out).unwrap(), expected);
    // serde_json escapes by the same rules
    let all: String = (0u32..0x300).filter_map(char::from_u32).chain("\u{2028}\u{ffff}😀".chars()).collect();
    let mut out = Vec::new();
    write_json(&json!(all), &mut out);
    assert_eq!(String::from_utf8(out).unwrap(), serde_json::to_string(&all).unwrap());
}

#[test]
fn different_events_have_different_encodings() {
    let of = |change: fn(&mut AuditEvent)| {
        let mut event = bare();
        change(&mut event);
        canonical(&event)
    };
    let mut all = vec![
        of(|_| ()),
        // null against empty, in neighbouring fields
        of(|e| e.role_name = Some(String::new())),
        of(|e| e.agent_id = Some(String::new())),
        // the same text one field on
        of(|e| e.role_name = Some("x".to_owned())),
        of(|e| e.agent_id = Some("x".to_owned())),
        // a text cut at another place
        of(|e| (e.role_name, e.agent_id) = (Some("ab".to_owned()), Some("c".to_owned()))),
        of(|e| (e.role_name, e.agent_id) = (Some("a".to_owned()), Some("bc".to_owned()))),
        // a text that looks like the frame of the next field
        of(|e| e.role_name = Some("\u{1}\0\0\0\u{1}x".to_owned())),
        of(|e| e.event_data = json!({"a": 1})),
        of(|e| e.event_data = json!({"a": "1"})),
        of(|e| e.event_data = json!({"a": null})),
        of(|e| e.event_data = json!([])),
        of(|e| e.event_data = json!(null)),
        of(|e| e.access_granted = Some(false)),
        of(|e| e.access_granted = Some(true)),
    ];
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count);
}
