//! What an engine says when it fails: whether to try again, and a sentence for people.

use serde::{Deserialize, Serialize};
use std::fmt;

pub type Result<T, E = EngineError> = std::result::Result<T, E>;

/// What the caller can do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorKind {
    /// The target does not answer or is busy: the same call may succeed later.
    Retry,
    /// This input will never do: the field says which part of it.
    BadInput,
    /// The target refused, and will until someone changes something there or in the configuration.
    Refused,
    /// This engine does not have the operation.
    Unsupported,
}

/// A failure. The message is shown to the caller, the operators and the audit log: it MUST NOT hold a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EngineError {
    pub kind: ErrorKind,
    /// A sentence without a full stop: what is wrong and what to do.
    pub message: String,
    /// The field within the configuration or role, such as `nodes[2].host`; empty for the whole. For [`ErrorKind::BadInput`], and
    /// for [`ErrorKind::Refused`] where it is this field that the target refuses: whoever saves it is told so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
}

/// The longest message that is passed on, in characters.
const MAX_MESSAGE: usize = 500;
/// The longest name of a field: it can be one that a caller made up.
const MAX_FIELD: usize = 200;

fn bounded(mut text: String, longest: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(longest) {
        text.truncate(end);
    }
    text
}

impl EngineError {
    fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: bounded(message.into(), MAX_MESSAGE), field: None }
    }

    /// The target does not answer or is busy.
    pub fn retry(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Retry, message)
    }

    /// Part of the configuration or role will never do.
    pub fn bad_input(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { field: Some(bounded(field.into(), MAX_FIELD)), ..Self::new(ErrorKind::BadInput, message) }
    }

    /// The target refused.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Refused, message)
    }

    /// The same, of this field.
    #[must_use]
    pub fn at(mut self, field: impl Into<String>) -> Self {
        self.field = Some(bounded(field.into(), MAX_FIELD));
        self
    }

    /// The engine does not have this operation.
    #[must_use]
    pub fn unsupported(operation: &str) -> Self {
        Self::new(ErrorKind::Unsupported, format!("this engine does not have {operation}"))
    }

    /// The same, with these texts blotted out of the message: for a target's own words, which may repeat what was sent.
    #[must_use]
    pub fn without(mut self, secrets: &[&str]) -> Self {
        for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
            self.message = self.message.replace(secret, "[hidden]");
        }
        self
    }

    /// Whether the same call may succeed later without anyone changing anything.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        self.kind == ErrorKind::Retry
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.field {
            Some(field) if !field.is_empty() => write!(f, "{field}: {}", self.message),
            _ => f.write_str(&self.message),
        }
    }
}

impl std::error::Error for EngineError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_bounded_and_secrets_can_be_taken_out() {
        let error = EngineError::refused("x".repeat(9000));
        assert_eq!(error.message.len(), MAX_MESSAGE);
        let error = EngineError::bad_input("é".repeat(9000), "is unknown");
        assert_eq!(error.field.map(|field| field.chars().count()), Some(MAX_FIELD));
        let error = EngineError::refused("syntax error near 'hunter2'").without(&["hunter2", ""]);
        assert_eq!(error.message, "syntax error near '[hidden]'");
        assert_eq!(EngineError::bad_input("host", "is empty").to_string(), "host: is empty");
    }
}
