//! The log: to stderr, for people or as JSON lines. What is written where decides what is in it: no part of the program
//! logs headers, variables or query texts.

use crate::config::{Log, LogFormat};
use crate::error::{Error, Result};
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// What holds unless the filter says otherwise about `sqlx`: the database's notices are not news.
const QUIET: &str = "sqlx=warn";

/// Starts logging for the whole process.
///
/// # Errors
/// `BAD_USER_INPUT` for a filter that is none, internal if logging was started before.
pub fn start(log: &Log) -> Result<()> {
    let filter = EnvFilter::try_new(format!("{QUIET},{}", log.level))
        .map_err(|error| Error::bad_input("log.level", "is not a filter").with_context(error))?;
    let started =
        tracing_subscriber::registry().with(filter).with(filter_fn(|about| !tells_frames(about.target())));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    match log.format {
        LogFormat::Json => started.with(lines.json().flatten_event(true).with_current_span(false)).try_init(),
        LogFormat::Human => {
            started.with(lines.with_ansi(std::io::stderr().is_terminal()).with_target(false)).try_init()
        }
    }
    .map_err(Error::internal)
}

/// The library of WebSockets would write whole messages at the level `trace`, with the tokens and values in them: whatever the filter says, it
/// writes nothing.
fn tells_frames(target: &str) -> bool {
    let library = target.split("::").next().unwrap_or_default();
    library == "tungstenite" || library == "tokio_tungstenite"
}
