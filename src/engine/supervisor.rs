//! Starting a process for a configured engine, and watching over it until it ends.

use super::Inner;
use super::outcome::{End, Failure};
use super::process::{Process, Tenure};
use super::slot::Slot;
use super::types::{CallError, Target};
use secrethub_engine::wire::Operation;
use secrethub_engine::{EngineError, ErrorKind, Installation};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until, timeout};

/// How long an engine may take to accept its configuration, which reaches for nothing.
const CONNECTING: Duration = Duration::from_secs(15);
/// How long calls of a process that was replaced may go on.
const FINISHING: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Why there is no process.
pub(super) enum NotStarted {
    /// The engine does not take its configuration.
    Refused(EngineError),
    /// The plugin or its process failed.
    Failed(String),
    /// Neither is to blame.
    Unavailable(CallError),
}

impl NotStarted {
    pub fn into_error(self) -> CallError {
        match self {
            Self::Refused(error) => CallError::Engine(error),
            Self::Failed(reason) => CallError::unavailable(format!("the engine is not available: {reason}")),
            Self::Unavailable(error) => error,
        }
    }
}

/// The process of a slot, started if another caller has not done so meanwhile.
pub(super) async fn start(
    inner: Arc<Inner>,
    slot: Arc<Slot>,
    target: Target,
    installation: Installation,
) -> Result<Arc<Process>, CallError> {
    let _one = slot.starting.lock().await;
    if let Some(process) = slot.running(target.version) {
        return Ok(process);
    }
    let target = slot.newest(target);
    if let Some(error) = slot.refusal() {
        return Err(CallError::Engine(error));
    }
    // the one before may have failed while this one waited
    slot.check(&target)?;
    let end = Instant::now() + CONNECTING;
    match connect(&inner, &target, &installation, &slot.tenure, end).await {
        Ok(process) => {
            let process = Arc::new(process);
            slot.install(&process);
            let idle = inner.settings.idle;
            tokio::spawn(keep(Arc::clone(&slot), Arc::clone(&process), idle));
            Ok(process)
        }
        Err(reason) => {
            match &reason {
                NotStarted::Refused(error) => slot.refuse(target.version, error),
                NotStarted::Failed(_) if slot.tenure.closing.is_cancelled() => {}
                NotStarted::Failed(message) => slot.crashed(target.version, message),
                NotStarted::Unavailable(_) => {}
            }
            Err(reason.into_error())
        }
    }
}

/// Starts a process and gives it its configuration.
pub(super) async fn connect(
    inner: &Inner,
    target: &Target,
    installation: &Installation,
    tenure: &Tenure,
    end: Instant,
) -> Result<Process, NotStarted> {
    let Inner { settings, registry, starter, .. } = inner;
    let plugin = registry.of_kind(&target.kind, settings, starter, tenure).await.ok_or_else(|| {
        let kind = &target.kind;
        NotStarted::Failed(format!("no plugin of the kind '{kind}' can be used: see the list of plugins"))
    })?;
    let mut process = plugin.start(settings, starter, tenure).await.map_err(NotStarted::Failed)?;
    process.version = target.version;
    if process.hello.kind != target.kind {
        return Err(NotStarted::Failed("the plugin says that it has another kind now".to_owned()));
    }
    // asked for as late as can be: it is a secret
    let config = (target.config)()
        .map_err(|error| NotStarted::Unavailable(CallError::unavailable(error.message().to_owned())))?;
    let operation = Operation::Connect { config, installation: installation.clone() };
    match process.connection.call(operation, end).await {
        Ok(_) => Ok(process),
        Err(Failure::Engine(error)) if error.kind == ErrorKind::Retry => {
            Err(NotStarted::Failed(error.message))
        }
        Err(Failure::Engine(error)) => Err(NotStarted::Refused(error)),
        Err(Failure::Gone(End { message, .. }) | Failure::NotSent(End { message, .. })) => {
            Err(NotStarted::Failed(message.to_owned()))
        }
        Err(Failure::Late) => {
            Err(NotStarted::Failed("the engine did not take its configuration in time".to_owned()))
        }
    }
}

/// Watches over a process until it ends: by itself, idle, or replaced by another.
async fn keep(slot: Arc<Slot>, process: Arc<Process>, idle: Duration) {
    let mut look = Instant::now() + idle;
    loop {
        tokio::select! {
            () = process.closing.cancelled() => break,
            () = process.replaced.cancelled() => {
                // what is under way may finish
                let _ = timeout(FINISHING, quiet(&process)).await;
                break;
            }
            () = sleep_until(look) => match slot.retire_if_idle(&process, idle) {
                Some(next) => look = next,
                None => break,
            },
        }
    }
    process.connection.close(End::stopped());
    if let Some(end) = process.connection.end() {
        slot.note_end(&process, &end);
    }
}

/// Returns when nobody waits for an answer, which a call that was just let through may be about to do.
async fn quiet(process: &Process) {
    loop {
        sleep(LOOK_AGAIN).await;
        if !process.connection.is_busy() {
            return;
        }
    }
}
