//! The bytes of an event that are hashed.
//!
//! First the domain `secrethub-audit-v1`, then every field of [`AuditEvent`] except `current_hash` and `signature`, in
//! the order in which they are declared there. A field that is null is the byte 0. Any other is the byte 1, the length of
//! its value in bytes (4 bytes, big endian) and the value:
//!
//! | type | value |
//! |---|---|
//! | text | UTF-8 |
//! | UUID | its 16 bytes |
//! | integer | 8 bytes, two's complement, big endian |
//! | timestamp | microseconds since 1970-01-01T00:00:00Z as an integer |
//! | boolean | one byte, 0 or 1 |
//! | IP address | text; IPv6 as in RFC 5952 |
//! | `event_data` | canonical JSON |
//! | `previous_hash` | its 32 bytes |
//!
//! Canonical JSON: no white space, the keys of each object sorted by code point, integers in decimal; in strings `"` and
//! `\` are escaped by `\`, the control characters below U+0020 as `\b \t \n \f \r` or else `\u00xx` (lower-case hex), and
//! nothing else. That is RFC 8785 for what events contain; fractions, which they never contain, are hashed as
//! `serde_json` prints them, so that a verifier has a hash for nonsense too.

use std::io::Write;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::model::audit::AuditEvent;

const DOMAIN: &[u8] = b"secrethub-audit-v1";

/// The canonical encoding of an event, see the module's documentation.
#[must_use]
pub fn canonical(event: &AuditEvent) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    write_canonical(event, &mut out);
    out
}

/// `current_hash` of an event: SHA-256 of its canonical encoding. `buf` is only there to be used again.
#[must_use]
pub fn hash(event: &AuditEvent, buf: &mut Vec<u8>) -> [u8; 32] {
    buf.clear();
    write_canonical(event, buf);
    Sha256::digest(buf.as_slice()).into()
}

/// Appends the canonical encoding of an event to `out`.
pub fn write_canonical(event: &AuditEvent, out: &mut Vec<u8>) {
    // No `..`: a field that is added to the event must be decided on here.
    let AuditEvent {
        event_id,
        sequence_number,
        timestamp,
        event_type,
        actor_type,
        actor_id,
        token_accessor,
        role_name,
        agent_id,
        app_id,
        admin_id,
        agent_cert_fingerprint,
        app_cert_fingerprint,
        admin_cert_fingerprint,
        secret_id,
        secret_path,
        secret_version,
        secret_type,
        lease_id,
        access_granted,
        policy_matched,
        denial_reason,
        source_ip,
        hostname,
        k8s_namespace,
        k8s_pod,
        event_data,
        response_time_ms,
        correlation_id,
        batch_end,
        previous_hash,
        current_hash: _,
        signature: _,
    } = event;
    out.extend_from_slice(DOMAIN);
    value(out, event_id.as_bytes());
    integer(out, Some(*sequence_number));
    integer(out, Some(timestamp.timestamp_micros()));
    value(out, event_type.as_bytes());
    for text in [
        actor_type,
        actor_id,
        token_accessor,
        role_name,
        agent_id,
        app_id,
        admin_id,
        agent_cert_fingerprint,
        app_cert_fingerprint,
        admin_cert_fingerprint,
    ] {
        optional(out, text.as_ref().map(String::as_bytes));
    }
    optional(out, secret_id.as_ref().map(|id| id.as_bytes().as_slice()));
    optional(out, secret_path.as_ref().map(String::as_bytes));
    integer(out, *secret_version);
    optional(out, secret_type.as_ref().map(String::as_bytes));
    optional(out, lease_id.as_ref().map(|id| id.as_bytes().as_slice()));
    optional(out, access_granted.map(|granted| [u8::from(granted)]).as_ref().map(<[u8; 1]>::as_slice));
    optional(out, policy_matched.as_ref().map(String::as_bytes));
    optional(out, denial_reason.as_ref().map(String::as_bytes));
    match source_ip {
        // writing to a Vec does not fail
        Some(ip) => framed(out, |out| drop(write!(out, "{ip}"))),
        None => optional(out, None),
    }
    for text in [hostname, k8s_namespace, k8s_pod] {
        optional(out, text.as_ref().map(String::as_bytes));
    }
    framed(out, |out| write_json(event_data, out));
    integer(out, *response_time_ms);
    optional(out, correlation_id.as_ref().map(String::as_bytes));
    value(out, &[u8::from(*batch_end)]);
    value(out, previous_hash);
}

fn optional(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => value(out, bytes),
        None => out.push(0),
    }
}

fn value(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(1);
    out.extend_from_slice(&length(bytes.len()));
    out.extend_from_slice(bytes);
}

fn integer(out: &mut Vec<u8>, number: Option<i64>) {
    optional(out, number.map(i64::to_be_bytes).as_ref().map(<[u8; 8]>::as_slice));
}

/// A value whose length is known only after it is written.
fn framed(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(&[1, 0, 0, 0, 0]);
    let start = out.len();
    write(out);
    let written = length(out.len() - start);
    out[start - 4..start].copy_from_slice(&written);
}

/// Nothing near 4 GiB is ever stored; the limit is there to keep this free of panics.
fn length(bytes: usize) -> [u8; 4] {
    u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes()
}

/// Appends canonical JSON, see the module's documentation.
pub(in crate::crypto) fn write_json(json: &Value, out: &mut Vec<u8>) {
    match json {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        // writing to a Vec does not fail
        Value::Number(number) => drop(write!(out, "{number}")),
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_json(item, out);
            }
            out.push(b']');
        }
        Value::Object(map) => write_object(map, out),
    }
}

fn write_object(map: &Map<String, Value>, out: &mut Vec<u8>) {
    // The map is sorted already, unless some crate turns on serde_json's `preserve_order`. The order of UTF-8 bytes
    // is the order of code points.
    let mut entries: Vec<(&String, &Value)> = Vec::new();
    let sorted = map.keys().is_sorted();
    if !sorted {
        entries.extend(map);
        entries.sort_unstable_by_key(|(key, _)| *key);
    }
    out.push(b'{');
    let mut first = true;
    let mut entry = |key: &String, item: &Value| {
        if !first {
            out.push(b',');
        }
        first = false;
        write_string(key, out);
        out.push(b':');
        write_json(item, out);
    };
    if sorted {
        map.iter().for_each(|(key, item)| entry(key, item));
    } else {
        entries.into_iter().for_each(|(key, item)| entry(key, item));
    }
    out.push(b'}');
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut copied = 0;
    for (index, byte) in bytes.iter().enumerate() {
        let short = match byte {
            b'"' => b'"',
            b'\\' => b'\\',
            0x08 => b'b',
            b'\t' => b't',
            b'\n' => b'n',
            0x0c => b'f',
            b'\r' => b'r',
            0x00..0x20 => b'u',
            _ => continue,
        };
        out.extend_from_slice(&bytes[copied..index]);
        out.extend_from_slice(&[b'\\', short]);
        if short == b'u' {
            // writing to a Vec does not fail
            drop(write!(out, "{byte:04x}"));
        }
        copied = index + 1;
    }
    out.extend_from_slice(&bytes[copied..]);
    out.push(b'"');
}

#[cfg(test)]
#[path = "canonical_tests.rs"]
mod tests;
