//! The log: to stderr, for people or as JSON lines. What is written where decides what is in it: no part of the program
//! logs headers, variables or query texts. Beside it, and apart from it, go the spans.

use super::telemetry::Spans;
use crate::config::{Log, LogFormat, Telemetry};
use crate::error::{Error, Result};
use crate::model::trace::SPANS;
use std::io::IsTerminal;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt};

/// What holds unless the filter says otherwise about `sqlx`: the database's notices are not news.
const QUIET: &str = "sqlx=warn";

/// Starts logging for the whole process, and the sending of spans if they are wanted.
///
/// # Errors
/// `BAD_USER_INPUT` for a filter that is none, internal if logging was started before.
pub fn start(log: &Log, telemetry: Option<&Telemetry>) -> Result<Option<Spans>> {
    let bad = |error: &dyn std::fmt::Display| {
        Error::bad_input("log.level", "is not a filter").with_context(error.to_string())
    };
    let filter = EnvFilter::try_new(format!("{QUIET},{}", log.level))
        .map_err(|error| bad(&error))?
        // whatever the filter says: spans are not for the log
        .add_directive(format!("{SPANS}=off").parse().map_err(|error| bad(&error))?);
    let written = fmt::layer().with_writer(std::io::stderr);
    let written: Box<dyn Layer<Registry> + Send + Sync> = match log.format {
        LogFormat::Json => written.json().flatten_event(true).with_current_span(false).boxed(),
        LogFormat::Human => written.with_ansi(std::io::stderr().is_terminal()).with_target(false).boxed(),
    };
    let spans = telemetry.map(Spans::start).transpose()?;
    let collected = spans.as_ref().map(|spans| {
        spans.layer().with_filter(
            filter_fn(|of| of.is_span() && of.target() == SPANS).with_max_level_hint(LevelFilter::INFO),
        )
    });
    let written = written.with_filter(filter).with_filter(filter_fn(|about| !tells_frames(about.target())));
    tracing_subscriber::registry().with(written).with(collected).try_init().map_err(Error::internal)?;
    Ok(spans)
}

/// The library of WebSockets would write whole messages at the level `trace`, with the tokens and values in them: whatever the filter says, it
/// writes nothing.
fn tells_frames(target: &str) -> bool {
    let library = target.split("::").next().unwrap_or_default();
    library == "tungstenite" || library == "tokio_tungstenite"
}
