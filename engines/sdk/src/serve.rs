//! The inside of a plugin: a runtime, the frames, one task for each call, and guards around all of it.

use crate::wire::{self, Done, FromEngine, Hello, Operation, Outcome, PROTOCOL, ToEngine};
use crate::{Engine, EngineError, Live, Result, Revocation, input::parse};
use serde::Serialize;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex, OnceLock};
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;
use zeroize::Zeroizing;

/// Calls at a time; the server keeps below it.
const MAX_CALLS: usize = 256;
const WORKERS: usize = 2;

/// Serves an engine on a connected socket until that closes: what [`export_engine!`](crate::export_engine) exports.
/// 0: it ended in order. Nothing unwinds out of it.
pub fn run<E: Engine>(fd: RawFd, version: &str) -> i32 {
    quiet_panics();
    let served = catch_unwind(AssertUnwindSafe(|| -> io::Result<()> {
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

thread_local! {
    /// Where this thread panicked last.
    static PANICKED_AT: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// A panic's message can repeat what it was about; where it happened is said in the answer to the call.
fn quiet_panics() {
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map(|at| format!("{}:{}", at.file(), at.line()));
        PANICKED_AT.with_borrow_mut(|last| *last = place);
    }));
}

/// Work whose panic is an answer like another. The place is known only in a process that [`run`] serves in.
async fn guarded(work: impl Future<Output = Result<Value>>) -> Result<Value> {
    let mut work = pin!(work);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
        Ok(poll) => poll,
        Err(_) => Poll::Ready(Err(panicked())),
    })
    .await
}

fn panicked() -> EngineError {
    let place = PANICKED_AT.take().map(|place| format!(" at {place}")).unwrap_or_default();
    EngineError::retry(format!("the engine panicked{place}: report it to its author"))
}

/// What all calls share.
struct Plugin<E> {
    engine: OnceLock<E>,
    answers: mpsc::Sender<FromEngine>,
    /// Calls that are not answered yet, and how to end each.
    running: Mutex<HashMap<u64, oneshot::Sender<()>>>,
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
            to.write_all(&frame(answer)?).await?;
        }
        io::Result::Ok(())
    });
    let mut calls = JoinSet::new();
    loop {
        // nothing here may end the reading but its own end: half a frame would be lost
        let message = tokio::select! {
            message = wire::read::<ToEngine>(&mut from) => message?,
            // the server no longer reads
            written = &mut writer => return written.unwrap_or_else(|gone| Err(io::Error::other(gone))),
        };
        while calls.try_join_next().is_some() {}
        match message {
            None => return Ok(()),
            Some(ToEngine::Cancel { id }) => plugin.cancel(id),
            Some(ToEngine::Call { id, deadline_ms, operation }) => {
                let deadline = Duration::from_millis(deadline_ms);
                // known before the next message, which may cancel it
                let cancelled = plugin.register(id);
                calls.spawn(Arc::clone(&plugin).call(id, deadline, operation, cancelled));
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
        restores: E::RESTORES,
    }
}

/// The answer as a frame, or that it is too long for one.
fn frame(answer: FromEngine) -> io::Result<Zeroizing<Vec<u8>>> {
    match (wire::encode(&answer), answer) {
        (Err(_), FromEngine::Answer { id, .. }) => {
            let error = EngineError::refused("the engine's answer is too long for one frame");
            wire::encode(&FromEngine::Answer { id, outcome: Outcome::Error(error) })
        }
        (frame, _) => frame,
    }
}

impl<E: Engine> Plugin<E> {
    fn register(&self, id: u64) -> oneshot::Receiver<()> {
        let (cancel, cancelled) = oneshot::channel();
        if let Ok(mut running) = self.running.lock() {
            running.insert(id, cancel);
        }
        cancelled
    }

    fn cancel(&self, id: u64) {
        if let Some(cancel) = self.running.lock().ok().and_then(|mut running| running.remove(&id)) {
            // if nobody listens, the call has just ended
            let _ = cancel.send(());
        }
    }

    /// Runs one call to its end, its deadline, its panic or its cancellation, and answers when the work has ended by it: an answer says that
    /// nothing of the call is under way. Work that blocks its thread does not end, so its call is not answered, by which the server
    /// knows that this process hangs, and ends it.
    async fn call(
        self: Arc<Self>,
        id: u64,
        deadline: Duration,
        operation: Operation,
        cancelled: oneshot::Receiver<()>,
    ) {
        let working = Arc::clone(&self);
        let mut work = JoinSet::new();
        work.spawn(async move {
            let _place = working.places.acquire().await;
            guarded(working.perform(operation)).await
        });
        let result = tokio::select! {
            done = work.join_next() => match done {
                Some(Ok(result)) => result,
                _ => Err(panicked()),
            },
            () = tokio::time::sleep(deadline) => Err(EngineError::retry("the target did not answer in time")),
            Ok(()) = cancelled => Err(EngineError::retry("the call was cancelled")),
        };
        work.shutdown().await;
        if let Ok(mut running) = self.running.lock() {
            running.remove(&id);
        }
        let outcome = result.map_or_else(Outcome::Error, Outcome::Ok);
        // without a reader there is nobody to tell
        let _ = self.answers.send(FromEngine::Answer { id, outcome }).await;
    }

    async fn perform(&self, operation: Operation) -> Result<Value> {
        let connected = || EngineError::refused("the engine is connected already");
        if let Operation::Connect { config, installation } = operation {
            if self.engine.get().is_some() {
                return Err(connected());
            }
            let engine = E::connect(parse(config)?, installation).await?;
            return self.engine.set(engine).map(|()| Value::Null).map_err(|_| connected());
        }
        let engine = self.engine.get().ok_or_else(|| EngineError::refused("the engine is not connected"))?;
        match operation {
            Operation::Connect { .. } => Err(connected()),
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

fn value(result: impl Serialize) -> Result<Value> {
    serde_json::to_value(result).map_err(|_| EngineError::retry("the engine's answer cannot be written"))
}
