//! Asking an engine: its configuration is opened only when a process is started for it, and what it says goes on to the
//! client in the product's own words.

use super::super::App;
use super::super::context::{OpContext, settle};
use super::super::input;
use super::super::seal::{KeySlot, know_key};
use super::config_record;
use crate::engine::{CallError, Lane, Target};
use crate::error::{Error, ErrorCode, Result};
use crate::model::policies::{Action, Area};
use crate::model::trace::SPANS;
use crate::storage::engines::EngineRow;
use crate::storage::errors::corrupt;
use crate::storage::seal as seal_store;
use secrethub_engine::wire::Operation;
use secrethub_engine::{EngineError, ErrorKind, Installation};
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tracing::Instrument;
use tracing::field::Empty;

/// How long a call on a caller's behalf may take. The time after which an issue is taken for lost is longer.
pub const CALL_DEADLINE: Duration = Duration::from_secs(25);

/// The mark of this installation on targets. It comes from the cluster's id, so it is the same on every node and for ever.
pub async fn installation(app: &App) -> Result<Installation> {
    if let Some(known) = app.installation.get() {
        return Ok(known.clone());
    }
    let config = {
        let mut tx = app.read().await?;
        seal_store::config(&mut tx).await?
    };
    let config = config.ok_or_else(Error::not_initialized)?;
    let mut bytes = [0; 5];
    bytes.copy_from_slice(&config.cluster_id.as_bytes()[..5]);
    Ok(app.installation.get_or_init(|| Installation::from_bytes(bytes)).clone())
}

fn open(keys: &KeySlot, id: String, version: i64, sealed: &[u8]) -> Result<Value> {
    let plain = keys.get()?.barrier.open(&config_record(&id, version), sealed)?;
    serde_json::from_slice(&plain).map_err(|_| corrupt("engines", "config_encrypted", &id))
}

/// An engine for the floor below.
pub fn target(app: &App, row: &EngineRow) -> Target {
    let (keys, id, version) = (Arc::clone(&app.keys), row.id.to_string(), row.config_version);
    let sealed = row.config_encrypted.clone();
    Target {
        id: row.id,
        name: row.name.clone(),
        kind: row.engine_type.clone(),
        version,
        config: Arc::new(move || open(&keys, id.clone(), version, &sealed)),
    }
}

/// Asks an engine on a caller's behalf.
pub async fn ask(app: &App, row: &EngineRow, operation: Operation) -> Result<Value, CallError> {
    call(app, row, operation, CALL_DEADLINE, Lane::Caller).await
}

/// Asks an engine for the server itself.
pub async fn ask_background(
    app: &App,
    row: &EngineRow,
    operation: Operation,
    deadline: Duration,
) -> Result<Value, CallError> {
    call(app, row, operation, deadline, Lane::Background).await
}

async fn call(
    app: &App,
    row: &EngineRow,
    operation: Operation,
    deadline: Duration,
    lane: Lane,
) -> Result<Value, CallError> {
    let ready = async {
        know_key(app, &row.config_encrypted).await?;
        installation(app).await
    };
    let installation = ready
        .await
        .map_err(|error| CallError::Unavailable { message: error.message().to_owned(), retry_after: None })?;
    let span = tracing::info_span!(
        target: SPANS,
        "engine.call",
        otel.kind = "client",
        otel.status_code = Empty,
        kind = row.engine_type,
        operation = word(&operation)
    );
    let target = target(app, row);
    let call = app.engines.call(&target, &installation, operation, deadline, lane);
    let outcome = call.instrument(span.clone()).await;
    if outcome.is_err() {
        span.record("otel.status_code", "ERROR");
    }
    outcome
}

/// What an engine is asked to do, in a word.
fn word(operation: &Operation) -> &'static str {
    match operation {
        Operation::Connect { .. } => "connect",
        Operation::Check => "check",
        Operation::CheckRole { .. } => "check_role",
        Operation::Issue { .. } => "issue",
        Operation::Renew { .. } => "renew",
        Operation::Revoke { .. } => "revoke",
        Operation::TryCredentials { .. } => "try_credentials",
        Operation::List => "list",
        Operation::Restore { .. } => "restore",
        Operation::ProposeRoot => "propose_root",
        Operation::RotateRoot { .. } => "rotate_root",
        Operation::RotateAccount { .. } => "rotate_account",
    }
}

/// What the client is told. The fields of a configuration or role are named below `prefix`.
pub fn client_error(error: CallError, prefix: &str) -> Error {
    match error {
        CallError::Engine(EngineError { kind: ErrorKind::BadInput, message, field }) => {
            let field = match field.filter(|field| !field.is_empty()) {
                Some(field) => format!("{prefix}.{field}"),
                None => prefix.to_owned(),
            };
            Error::bad_input(field, input::shown_long(&message))
        }
        CallError::Engine(EngineError { kind: ErrorKind::Unsupported, message, .. }) => {
            Error::new(ErrorCode::BadUserInput, input::shown_long(&message))
        }
        // with the field that it is about
        CallError::Engine(error) => Error::new(
            ErrorCode::EngineUnavailable,
            format!("the engine says: {}", input::shown_long(&error.to_string())),
        ),
        CallError::Unavailable { message, retry_after } => {
            let error = Error::new(ErrorCode::EngineUnavailable, input::shown_long(&message));
            match retry_after {
                Some(wait) => error.with_retry_after(wait.as_secs().max(1)),
                None => error,
            }
        }
    }
}

/// The same, for who saves a configuration or a role: what the target refuses of it is to be corrected in it.
pub fn saving_error(error: CallError, prefix: &str) -> Error {
    match error {
        CallError::Engine(error) if error.kind == ErrorKind::Refused && error.field.is_some() => {
            client_error(CallError::Engine(EngineError { kind: ErrorKind::BadInput, ..error }), prefix)
        }
        error => client_error(error, prefix),
    }
}

/// What a caller is told who does not administer `engines`: not what the target said, which stands in the audit log.
pub async fn told(ctx: &OpContext, error: Error) -> Error {
    let Ok(access) = settle!(ctx.access()) else { return error };
    if access.decide(&Action::Administer(Area::Engines)).allowed {
        return error;
    }
    let told = Error::new(
        ErrorCode::EngineUnavailable,
        "the engine could not do this: try again shortly, or ask whoever administers engines, who finds the reason in the audit log",
    );
    match error.retry_after_seconds() {
        Some(seconds) => told.with_retry_after(seconds),
        None => told,
    }
}

/// What went wrong with a call, for the store and the audit log.
pub fn recorded(error: &CallError) -> String {
    input::shown_long(&error.to_string())
}
