//! How calls and connections end when they do not end well.

use super::types::CallError;
use secrethub_engine::{EngineError, ErrorKind};

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct End {
    pub message: &'static str,
    /// For the log: how the process ended.
    pub detail: Option<String>,
    /// Whether the process is to blame.
    pub failure: bool,
}

impl End {
    pub fn failure(message: &'static str) -> Self {
        Self { message, detail: None, failure: true }
    }

    pub fn stopped() -> Self {
        Self { message: "the engine was stopped", detail: None, failure: false }
    }
}

/// Why a call gave nothing.
#[derive(Debug)]
pub(super) enum Failure {
    Engine(EngineError),
    /// The process is gone.
    Gone(End),
    /// The process was gone before anything of the call was sent to it.
    NotSent(End),
    /// It did not answer in time.
    Late,
}

/// An engine's words are shown to callers: bounded, and on one line.
pub(super) fn tidy(error: EngineError) -> EngineError {
    let line = |text: String, most: usize| -> String {
        text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(most).collect()
    };
    // a field belongs to what is wrong with it
    let named = matches!(error.kind, ErrorKind::BadInput | ErrorKind::Refused);
    let field = error.field.filter(|_| named).map(|field| line(field, 200));
    EngineError { kind: error.kind, message: line(error.message, 500), field }
}

impl From<Failure> for CallError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Engine(error) => Self::Engine(error),
            Failure::Gone(end) | Failure::NotSent(end) => {
                Self::unavailable(format!("{}: try again shortly", end.message))
            }
            Failure::Late => Self::unavailable("the engine did not answer in time: try again shortly"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engines_words_are_bounded_and_on_one_line() {
        let error = EngineError {
            kind: ErrorKind::Retry,
            message: format!("a\nb\u{1b}[31m{}", "x".repeat(9000)),
            field: Some("of something else".to_owned()),
        };
        let tidy = tidy(error);
        assert!(tidy.message.starts_with("a b [31mx") && tidy.message.len() == 500);
        assert_eq!(tidy.field, None);
        let refused = super::tidy(EngineError::refused("no").at("pass\nword"));
        assert_eq!(refused.field.as_deref(), Some("pass word"));
    }
}
