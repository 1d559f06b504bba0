//! Configurations and roles as they come, made into the engine's own types.

use crate::{EngineError, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A value of the engine's own type, or the name of the field that does not fit.
///
/// # Errors
/// [`EngineError::bad_input`]. The value that does not fit is not repeated: it may be a secret in the wrong place.
pub(crate) fn parse<T: DeserializeOwned>(json: Value) -> Result<T> {
    // serde would fill the fields of a struct from a list, in their order
    if !json.is_object() {
        return Err(EngineError::bad_input("", "is not an object"));
    }
    serde_path_to_error::deserialize(json).map_err(|error| {
        let path = match error.path().to_string() {
            root if root == "." => String::new(),
            path => path,
        };
        let text = error.inner().to_string();
        let (field, message) = match named(&text) {
            Some((name, message)) => (joined(&path, name), message),
            None => (path, plain(&text)),
        };
        EngineError::bad_input(field, message)
    })
}

/// The field of "unknown field" and "missing field", which serde puts in the text and not in the path.
fn named(text: &str) -> Option<(&str, String)> {
    if let Some(rest) = text.strip_prefix("missing field `") {
        return Some((rest.strip_suffix('`')?, "is missing".to_owned()));
    }
    // a name may contain anything, what comes after it is the type's own
    let rest = text.strip_prefix("unknown field `")?;
    let (name, known) = rest
        .rsplit_once("`, ")
        .filter(|(_, known)| known.starts_with("there are"))
        .or_else(|| rest.split_once("`, expected "))?;
    if known.starts_with("there are") {
        return Some((name, "is not a field".to_owned()));
    }
    let known = known.strip_prefix("one of ").unwrap_or(known).replace(" or ", ", ");
    Some((name, format!("is not a field; the fields are {known}")))
}

fn joined(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else if path == name || path.ends_with(&format!(".{name}")) {
        path.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// What is wrong, without the value that is wrong: serde repeats texts, numbers and the names of variants.
fn plain(text: &str) -> String {
    match text.rsplit_once(", expected ") {
        Some((_, expected)) if text.starts_with("invalid ") || text.starts_with("unknown variant ") => {
            format!("is not {}", whole_number(expected).unwrap_or(expected))
        }
        _ => text.to_owned(),
    }
}

/// What serde calls by the names of Rust.
fn whole_number(expected: &str) -> Option<&'static str> {
    Some(match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" | "u64" | "usize" => "a whole number from 0 on",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only the reading matters")]
    struct Outer {
        nodes: Vec<Inner>,
        #[serde(default)]
        mode: Mode,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code, reason = "only the reading matters")]
    struct Inner {
        host: String,
        #[serde(default)]
        port: u16,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Mode {
        #[default]
        Off,
        On,
    }

    #[test]
    fn the_field_is_named_and_the_value_is_not_repeated() {
        for (json, field) in [
            (json!({ "nodes": [{ "host": "a" }], "hunter": 2 }), "hunter"),
            (json!({ "nodes": [{ "host": "a", "x": "hunter2" }] }), "nodes[0].x"),
            (json!({ "nodes": [{ "host": "a" }, { "port": 1 }] }), "nodes[1].host"),
            (json!({ "nodes": [{ "host": "a", "port": "hunter2, expected hunter2" }] }), "nodes[0].port"),
            (json!({ "nodes": [{ "host": "a", "port": 70007 }] }), "nodes[0].port"),
            (json!({ "nodes": "hunter2" }), "nodes"),
            (json!({ "nodes": [], "mode": "hunter2" }), "mode"),
            (json!({ "nodes": ["hunter2"] }), "nodes[0]"),
            (json!({}), "nodes"),
            (json!("hunter2"), ""),
            (json!([[], "on"]), ""),
        ] {
            let error = parse::<Outer>(json.clone()).unwrap_err();
            assert_eq!(error.field.as_deref(), Some(field), "{json} {error:?}");
            assert!(!error.message.contains("hunter2") && !error.message.contains("70007"), "{error:?}");
        }
        assert!(parse::<Outer>(json!({ "nodes": [{ "host": "a" }], "mode": "on" })).is_ok());
        for (json, message) in [
            (json!({ "nodes": [{ "host": "a", "port": 70007 }] }), "is not a whole number from 0 to 65535"),
            (json!({ "nodes": [], "hunter": 2 }), "is not a field; the fields are `nodes`, `mode`"),
        ] {
            assert_eq!(parse::<Outer>(json).unwrap_err().message, message);
        }
    }
}
