//! Checks that several operations share. Each names the input field in its error.

use crate::error::{Error, ErrorCode, Result};
use crate::model::cidr::CidrList;
use serde_json::Value;

/// Longest description, in bytes.
pub const MAX_DESCRIPTION: usize = 2000;
/// Largest metadata, in bytes of its JSON text.
pub const MAX_METADATA: usize = 16 * 1024;

/// A lifetime from one second to `max`.
pub fn ttl(field: &'static str, seconds: Option<i64>, max: i64) -> Result<Option<i64>> {
    match seconds {
        Some(seconds) if seconds < 1 => Err(Error::bad_input(field, "a lifetime is at least one second")),
        Some(seconds) if seconds > max => Err(Error::bad_input(
            field,
            format!("the lifetime is over the maximum of {max} seconds: ask for less"),
        )),
        other => Ok(other),
    }
}

/// A mistake in what was put in, at the field that the caller knows it by.
pub fn moved(error: Error, field: &'static str) -> Error {
    if error.code() == ErrorCode::BadUserInput { error.at_field(field) } else { error }
}

/// A whole number from 0, where 0 stands for "without limit".
pub fn count(field: &'static str, number: Option<i64>) -> Result<Option<i64>> {
    match number {
        Some(number) if !(0..=1_000_000_000).contains(&number) => {
            Err(Error::bad_input(field, "write a whole number from 0 to 1000000000"))
        }
        other => Ok(other),
    }
}

/// A list of CIDRs; empty does not restrict.
pub fn cidrs(field: &'static str, texts: &[String]) -> Result<CidrList> {
    CidrList::parse(texts).map_err(|(index, problem)| Error::bad_input(format!("{field}[{index}]"), problem))
}

/// A text for people: no control characters but line breaks and tabs.
pub fn text(field: &'static str, text: Option<&str>, max: usize) -> Result<Option<String>> {
    let Some(text) = text else { return Ok(None) };
    if text.len() > max {
        return Err(Error::bad_input(field, format!("the text is longer than {max} bytes: shorten it")));
    }
    if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
        return Err(Error::bad_input(field, "the text has control characters: remove them"));
    }
    Ok(Some(text.to_owned()))
}

pub fn description(value: Option<&str>) -> Result<Option<String>> {
    text("description", value, MAX_DESCRIPTION)
}

/// A name of 1 to 128 characters of letters, digits, `.`, `_` and `-`.
pub fn name(field: &'static str, value: Option<&str>) -> Result<Option<String>> {
    let Some(value) = value else { return Ok(None) };
    if !is_name(value) {
        return Err(Error::bad_input(
            field,
            "write a name as 1 to 128 characters of letters, digits, '.', '_' and '-'",
        ));
    }
    Ok(Some(value.to_owned()))
}

/// Whether [`name`] takes it.
pub fn is_name(value: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=128).contains(&value.len()) && value.bytes().all(allowed)
}

/// A JSON object for people and programs, kept as it is and never encrypted.
pub fn metadata(value: Option<&Value>) -> Result<Option<Value>> {
    let Some(value) = value else { return Ok(None) };
    if !value.is_object() {
        return Err(Error::bad_input("metadata", "metadata is a JSON object: write {\"key\": \"value\"}"));
    }
    if value.to_string().len() > MAX_METADATA {
        return Err(Error::bad_input("metadata", "metadata is larger than 16 KiB: keep less in it"));
    }
    if has_nul(value) {
        return Err(Error::bad_input("metadata", "metadata has a NUL character: remove it"));
    }
    Ok(Some(value.clone()))
}

/// PostgreSQL cannot store U+0000 in JSONB.
fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => fields.iter().any(|(key, value)| key.contains('\0') || has_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A client's text on its way into the audit log: bounded, without characters that a store refuses.
pub fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(128).collect()
}

/// The same for longer texts, such as what a target says.
pub fn shown_long(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(500).collect()
}
