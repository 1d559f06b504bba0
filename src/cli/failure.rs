//! How a command ends when it does not succeed.

use crate::error::Error;
use std::fmt;

/// The command ran and failed, or was refused.
pub const FAILED: u8 = 1;
/// The command was used wrongly, or a log could not be checked at all. clap ends with the same code.
pub const MISUSED: u8 = 2;
/// `operator status`: the server is sealed or not initialised.
pub const SEALED: u8 = 3;

/// A sentence for whoever typed the command, and the exit code.
#[derive(Debug)]
pub struct Failure {
    message: String,
    code: u8,
}

impl Failure {
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: FAILED }
    }

    pub fn misused(message: impl Into<String>) -> Self {
        Self { message: message.into(), code: MISUSED }
    }

    /// Whether there is nothing to be said.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.message.is_empty()
    }

    #[must_use]
    pub fn code(&self) -> u8 {
        self.code
    }

    /// A fault of this process itself. The context is shown as well: the terminal is the operator's own.
    #[must_use]
    pub fn of_process(error: &Error) -> Self {
        let mut message = match error.field() {
            Some(field) => format!("{field}: {}", error.message()),
            None => error.message().to_owned(),
        };
        if let Some(context) = error.log_context() {
            message.push_str(": ");
            message.push_str(&context);
        }
        Self::new(message)
    }

    /// The same for settings: nothing was started.
    #[must_use]
    pub fn of_settings(error: &Error) -> Self {
        Self { code: MISUSED, ..Self::of_process(error) }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// What the terminal or a pipe did.
impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            // whoever read the output has read enough: no message
            return Self::new("");
        }
        Self::new(format!("the output or input broke off: {error}"))
    }
}
