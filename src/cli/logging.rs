//! The log: to stderr, for people or as JSON lines. What is written where decides what is in it: no part of the program
//! logs headers, variables or query texts.

use crate::config::{Log, LogFormat};
use crate::error::{Error, Result};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// What holds unless the filter says otherwise about `sqlx`: the database's notices are not news.
const QUIET: &str = "sqlx=warn";

/// Starts logging for the whole process.
///
/// # Errors
/// `BAD_USER_INPUT` for a filter that is none, internal if logging was started before.
pub fn start(log: &Log) -> Result<()> {
    let filter = EnvFilter::try_new(format!("{QUIET},{}", log.level))
        .map_err(|error| Error::bad_input("log.level", "is not a filter").with_context(error))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match log.format {
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
        LogFormat::Human => builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init(),
    }
    .map_err(Error::internal)
}
