//! Strict reading of JSON objects: a key that is not expected is an error, and so is a value of the wrong kind.

use super::DocumentError;
use serde_json::{Map, Value};

/// An object whose keys are all known.
pub(super) struct Reader<'a> {
    map: &'a Map<String, Value>,
    path: &'static str,
}

impl<'a> Reader<'a> {
    /// `path` is where the object stands, and `known` are the keys that it may have.
    pub(super) fn new(value: &'a Value, path: &'static str, known: &[&str]) -> Result<Self, DocumentError> {
        let Value::Object(map) = value else {
            return Err(DocumentError::new(path, format!("write an object here, not {}", kind(value))));
        };
        for key in map.keys() {
            if !known.contains(&key.as_str()) {
                let problem =
                    format!("the key is not known here: remove it, or write one of {}", known.join(", "));
                return Err(DocumentError::new(format!("{path}.{}", shown(key)), problem));
            }
        }
        Ok(Self { map, path })
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key)
    }

    pub(super) fn at(&self, key: &str) -> String {
        format!("{}.{key}", self.path)
    }

    /// A text that `parse` understands, if the key is there.
    pub(super) fn text<T>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Option<T>, DocumentError> {
        let Some(value) = self.get(key) else { return Ok(None) };
        text(value, parse).map(Some).map_err(|problem| DocumentError::new(self.at(key), problem))
    }

    /// 1 to `most` different texts that `parse` understands; empty if the key is not there.
    pub(super) fn texts<T: PartialEq>(
        &self,
        key: &str,
        most: usize,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Result<Vec<T>, DocumentError> {
        let Some(value) = self.get(key) else { return Ok(Vec::new()) };
        let fault = |problem: String| Err(DocumentError::new(self.at(key), problem));
        let Value::Array(values) = value else {
            return fault(format!("write an array of texts here, not {}", kind(value)));
        };
        if values.is_empty() {
            return fault("the array is empty: give it at least one entry, or leave the key out".to_owned());
        }
        if values.len() > most {
            return fault(format!("the array has more than {most} entries: shorten it"));
        }
        let mut parsed = Vec::with_capacity(values.len());
        for (index, value) in values.iter().enumerate() {
            let fault = |problem| DocumentError::new(format!("{}[{index}]", self.at(key)), problem);
            let entry = text(value, &parse).map_err(fault)?;
            if parsed.contains(&entry) {
                return Err(fault("the entry stands in the array already: remove it".to_owned()));
            }
            parsed.push(entry);
        }
        Ok(parsed)
    }
}

fn text<T>(value: &Value, parse: impl Fn(&str) -> Result<T, String>) -> Result<T, String> {
    match value {
        Value::String(text) => parse(text),
        _ => Err(format!("write a text here, not {}", kind(value))),
    }
}

/// What a value is, for the sentence that says what it should be.
fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null (leave the key out instead)",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// The caller's own key, short and harmless enough for a message.
fn shown(key: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '_' | '-') { c } else { '?' };
    key.chars().take(64).map(plain).collect()
}
