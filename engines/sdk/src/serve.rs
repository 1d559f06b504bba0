//! The inside of a plugin: a runtime, the frames, one task for each call, and guards around all of it.

use crate::wire::{self, Done, FromEngine, Hello, Operation, Outcome, PROTOCOL, ToEngine};
use crate::{Engine, EngineError, Live, Result, Revocation};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::HashMap;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::{AbortHandle, JoinSet};

/// Calls at a time; the server keeps below it.
const MAX_CALLS: usize = 256;
const WORKERS: usize = 2;

/// Serves an engine on a connected socket until that closes: what [`export_engine!`](crate::export_engine) exports.
/// 0: it ended in order. Nothing unwinds out of it.
pub fn run<E: Engine>(fd: RawFd, version: &str) -> i32 {
    quiet_panics();
    let served = std::panic::catch_unwind(AssertUnwindSafe(|| -> io::Result<()> {
        // SAFETY: the host hands over a descriptor that it owns and uses no more, as `secrethub_engine_serve` says
        #[allow(unsafe_code, reason = "a descriptor is all that can go through the plugin's one function")]
        let socket = unsafe { OwnedFd::from_raw_fd(fd) };
        let socket = std::os::unix::net::UnixStream::from(socket);
        socket.set_nonblocking(true)?;
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?;
        let served = runtime.block_on(async {
            let (from, to) = tokio::net::UnixStream::from_std(socket)?.into_split();
            serve::<E>(from, to, version).await
        });
        // a call that blocks its thread does not keep the process
        runtime.shutdown_background();
        served
    }));
    match served {
        Ok(Ok(())) => 0,
        Ok(Err(_)) => 1,
        Err(_) => 2,
    }
}

/// A panic's message can repeat what it was about; where it happened is said in the answer to the call.
fn quiet_panics() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(|at| format!("{}:{}", at.file(), at.line()));
        if let Ok(mut last) = PANICKED_AT.lock() {
            *last = place;
        }
    }));
}

static PANICKED_AT: Mutex<Option<String>> = Mutex::new(None);

/// What all calls share.
struct Plugin<E> {
    engine: OnceLock<E>,
    answers: mpsc::Sender<FromEngine>,
    running: Mutex<HashMap<u64, AbortHandle>>,
    places: Semaphore,
}

/// Serves an engine on any stream; tests of engines use it without a process.
///
/// # Errors
/// As the stream, and if what comes is not the protocol.
pub async fn serve<E: Engine>(
    mut from: impl AsyncRead + Send + Unpin,
    mut to: impl AsyncWrite + Send + Unpin + 'static,
    version: &str,
) -> io::Result<()> {
    wire::write(&mut to, &FromEngine::Hello(hello::<E>(version))).await?;
    let (answers, mut queue) = mpsc::channel::<FromEngine>(MAX_CALLS);
    let plugin = Arc::new(Plugin::<E> {
        engine: OnceLock::new(),
        answers,
        running: Mutex::default(),
        places: Semaphore::new(MAX_CALLS),
    });
    let mut writer = tokio::spawn(async move {
        while let Some(answer) = queue.recv().await {
            wire::write(&mut to, &bounded(answer)).await?;
        }
        io::Result::Ok(())
    });
    let mut calls = JoinSet::new();
    loop {
        let message = tokio::select! {
            message = wire::read::<ToEngine>(&mut from) => message?,
            // the server no longer reads
            written = &mut writer => return written.unwrap_or_else(|gone| Err(io::Error::other(gone))),
            Some(_) = calls.join_next() => continue,
        };
        match message {
            None => return Ok(()),
            Some(ToEngine::Cancel { id }) => plugin.cancel(id),
            Some(ToEngine::Call { id, deadline_ms, operation }) => {
                let answering = Arc::clone(&plugin);
                let deadline = Duration::from_millis(deadline_ms);
                calls.spawn(async move { answering.call(id, deadline, operation).await });
            }
        }
    }
}

fn hello<E: Engine>(version: &str) -> Hello {
    Hello {
        protocol: PROTOCOL,
        kind: E::KIND.to_owned(),
        version: version.to_owned(),
        config_schema: schemars::schema_for!(E::Config).into(),
        role_schema: schemars::schema_for!(E::Role).into(),
    }
}

/// The answer, or that it is too long.
fn bounded(answer: FromEngine) -> FromEngine {
    match answer {
        FromEngine::Answer { id, outcome } if wire::encode(&outcome).is_err() => FromEngine::Answer {
            id,
            outcome: Outcome::Error(EngineError::refused("the engine's answer is too long for one frame")),
        },
        answer => answer,
    }
}

impl<E: Engine> Plugin<E> {
    fn cancel(&self, id: u64) {
        let handle = self.running.lock().ok().and_then(|mut running| running.remove(&id));
        if let Some(handle) = handle {
            handle.abort();
        }
    }

    /// Runs one call to its end, its deadline, its panic or its cancellation, and answers it in any case.
    async fn call(self: Arc<Self>, id: u64, deadline: Duration, operation: Operation) {
        let working = Arc::clone(&self);
        let work = tokio::spawn(async move {
            let _place = working.places.acquire().await;
            tokio::time::timeout(deadline, working.perform(operation)).await
        });
        if let Ok(mut running) = self.running.lock() {
            running.insert(id, work.abort_handle());
        }
        let outcome = match work.await {
            Ok(Ok(Ok(value))) => Outcome::Ok(value),
            Ok(Ok(Err(error))) => Outcome::Error(error),
            Ok(Err(_)) => Outcome::Error(EngineError::retry("the target did not answer in time")),
            Err(gone) if gone.is_panic() => {
                let place = PANICKED_AT.lock().ok().and_then(|mut last| last.take()).unwrap_or_default();
                Outcome::Error(EngineError::retry(format!("the engine panicked at {place}")))
            }
            Err(_) => Outcome::Error(EngineError::retry("the call was cancelled")),
        };
        if let Ok(mut running) = self.running.lock() {
            running.remove(&id);
        }
        // without a reader there is nobody to tell
        let _ = self.answers.send(FromEngine::Answer { id, outcome }).await;
    }

    async fn perform(&self, operation: Operation) -> Result<Value> {
        if let Operation::Connect { config, installation } = operation {
            let engine = E::connect(parse(config)?, installation).await?;
            return match self.engine.set(engine) {
                Ok(()) => Ok(Value::Null),
                Err(_) => Err(EngineError::refused("the engine is connected already")),
            };
        }
        let engine = self.engine.get().ok_or_else(|| EngineError::refused("the engine is not connected"))?;
        match operation {
            Operation::Connect { .. } => Ok(Value::Null),
            Operation::Check => value(engine.check().await?),
            Operation::CheckRole { role } => value(engine.check_role(&parse(role)?).await?),
            Operation::Issue { role, lease } => value(engine.issue(&parse(role)?, &lease).await?),
            Operation::Renew { role, lease, handle } => {
                value(engine.renew(&parse(role)?, &lease, &handle).await?)
            }
            Operation::Revoke { revocations } => revoke(engine, revocations).await,
            Operation::TryCredentials { credentials } => value(engine.try_credentials(&credentials).await?),
            Operation::List => value(engine.list().await?),
            Operation::Restore { live } => {
                let Live { lease, role, handle, credentials } = live;
                value(engine.restore(&Live { lease, role: parse(role)?, handle, credentials }).await?)
            }
            Operation::ProposeRoot => value(engine.propose_root().await?),
            Operation::RotateRoot { proposal } => value(engine.rotate_root(parse(proposal)?).await?),
            Operation::RotateAccount { account, password } => {
                value(engine.rotate_account(&account, &password).await?)
            }
        }
    }
}

async fn revoke<E: Engine>(engine: &E, revocations: Vec<Revocation<Value>>) -> Result<Value> {
    let typed: Vec<_> = revocations
        .into_iter()
        .map(|Revocation { lease_id, handle, role }| {
            // a role that no longer fits must not keep its credentials alive
            Revocation { lease_id, handle, role: role.and_then(|role| parse(role).ok()) }
        })
        .collect();
    let results = engine.revoke_many(&typed).await;
    if results.len() != typed.len() {
        return Err(EngineError::retry("the engine gave not one result for each revocation"));
    }
    let done: Vec<Done> = results
        .into_iter()
        .map(|result| match result {
            Ok(()) => Done::Ok,
            Err(error) => Done::Error(error),
        })
        .collect();
    value(done)
}

/// A value of the engine's own type, or the name of the field that does not fit.
fn parse<T: DeserializeOwned>(json: Value) -> Result<T> {
    serde_path_to_error::deserialize(json).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { String::new() } else { path };
        EngineError::bad_input(field, plain(&error.into_inner()))
    })
}

/// What is wrong, without the value that is wrong: serde repeats texts and numbers in "invalid type" and "invalid value".
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.split_once(", expected ") {
        Some((_, expected)) if text.starts_with("invalid ") => format!("is not {expected}"),
        _ => text,
    }
}

fn value(result: impl Serialize) -> Result<Value> {
    serde_json::to_value(result).map_err(|_| EngineError::retry("the engine's answer cannot be written"))
}
