//! The server's side of the socket to one engine's process: calls go out with an id, answers come back in any order, and
//! whatever is not the protocol ends the connection.

use super::outcome::{End, Failure, tidy};
use parking_lot::Mutex;
use secrethub_engine::EngineError;
use secrethub_engine::wire::{self, FromEngine, Operation, Outcome, ToEngine};
use serde_json::Value;
use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

/// Frames that wait to be sent.
const QUEUE: usize = 32;
/// The plugin ends a call at its deadline itself; its answer may still be on its way.
const SLACK: Duration = Duration::from_millis(100);
/// How long a cancelled call may go unanswered before its process counts as hung.
const GRACE: Duration = Duration::from_secs(5);
/// A closed socket mostly means that the process ended, and how it did says more.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// What is sent, and whether that has begun.
struct Frame {
    bytes: Zeroizing<Vec<u8>>,
    begun: Arc<AtomicBool>,
}

pub(super) struct Connection {
    shared: Arc<Shared>,
    outbox: mpsc::Sender<Frame>,
}

struct Shared {
    calls: Mutex<Calls>,
    ids: AtomicU64,
    /// A call was cancelled.
    cancelled: Notify,
    closing: CancellationToken,
    /// How the process ended, once that is known.
    cause: Arc<OnceLock<End>>,
}

#[derive(Default)]
struct Calls {
    open: HashMap<u64, Place>,
    end: Option<End>,
    /// Nothing was asked of the process when it ended.
    idle: bool,
}

enum Place {
    Waiting(oneshot::Sender<Outcome>, Arc<AtomicBool>),
    /// Nobody waits; it must be answered until then all the same.
    Cancelled(Instant),
}

impl Connection {
    /// Serves a stream after its handshake until `closing`, which is also cancelled when the connection ends by itself.
    pub fn start(
        from: impl AsyncRead + Send + Unpin + 'static,
        to: impl AsyncWrite + Send + Unpin + 'static,
        closing: CancellationToken,
        cause: Arc<OnceLock<End>>,
    ) -> Self {
        let shared = Arc::new(Shared {
            calls: Mutex::default(),
            ids: AtomicU64::new(1),
            cancelled: Notify::new(),
            closing,
            cause,
        });
        let (outbox, queue) = mpsc::channel(QUEUE);
        let serving = Arc::clone(&shared);
        tokio::spawn(async move {
            let end = tokio::select! {
                biased;
                () = serving.closing.cancelled() => End::stopped(),
                end = read(&serving, from) => end,
                end = write(to, queue) => end,
                end = watch(&serving) => end,
            };
            serving.close(end);
        });
        Self { shared, outbox }
    }

    /// Ends the connection; all its calls fail. The first reason counts.
    pub fn close(&self, end: End) {
        self.shared.close(end);
    }

    /// Why it ended; `None` while it has not.
    pub fn end(&self) -> Option<End> {
        self.shared.calls.lock().end.clone()
    }

    /// Whether it ended while nothing was asked of the process.
    pub fn ended_idle(&self) -> bool {
        self.shared.calls.lock().idle
    }

    /// Whether answers are awaited.
    pub fn is_busy(&self) -> bool {
        self.shared.calls.lock().open.values().any(|place| matches!(place, Place::Waiting(..)))
    }

    /// Makes a call. Dropping the future cancels it.
    pub async fn call(&self, operation: Operation, end: Instant) -> Result<Value, Failure> {
        let id = self.shared.ids.fetch_add(1, Ordering::Relaxed);
        let left = end.saturating_duration_since(Instant::now());
        let deadline_ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
        let bytes = wire::encode(&ToEngine::Call { id, deadline_ms, operation })
            .map_err(|_| Failure::Engine(EngineError::refused("what is asked of the engine is too long")))?;
        let begun = Arc::new(AtomicBool::new(false));
        let place = match timeout_at(end, self.outbox.reserve()).await {
            Ok(Ok(place)) => place,
            Ok(Err(_)) => return Err(self.shared.gone(&begun)),
            Err(_) => return Err(Failure::Late),
        };
        let (sender, answer) = oneshot::channel();
        let mut ticket = Ticket { id, connection: self, waiting: true };
        self.shared.open(id, Place::Waiting(sender, Arc::clone(&begun)))?;
        place.send(Frame { bytes, begun: Arc::clone(&begun) });
        let outcome = timeout_at(end + SLACK, answer).await;
        ticket.waiting = outcome.is_err();
        match outcome {
            Ok(Ok(Outcome::Ok(value))) => Ok(value),
            Ok(Ok(Outcome::Error(error))) => Err(Failure::Engine(tidy(error))),
            Ok(Err(_)) => Err(self.shared.gone(&begun)),
            Err(_) => Err(Failure::Late),
        }
    }
}

/// A call that is under way; dropped while it waits, it is cancelled.
struct Ticket<'a> {
    id: u64,
    connection: &'a Connection,
    waiting: bool,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        if !self.waiting || !self.connection.shared.abandon(self.id) {
            return;
        }
        if let Ok(bytes) = wire::encode(&ToEngine::Cancel { id: self.id }) {
            // with a full queue the plugin ends the call at its deadline, or is found hung
            let _ = self.connection.outbox.try_send(Frame { bytes, begun: Arc::default() });
        }
    }
}

impl Shared {
    fn open(&self, id: u64, place: Place) -> Result<(), Failure> {
        let mut calls = self.calls.lock();
        if let Some(end) = &calls.end {
            return Err(Failure::NotSent(end.clone()));
        }
        calls.open.insert(id, place);
        Ok(())
    }

    fn gone(&self, begun: &AtomicBool) -> Failure {
        let end = self.calls.lock().end.clone().unwrap_or_else(End::stopped);
        if begun.load(Ordering::SeqCst) { Failure::Gone(end) } else { Failure::NotSent(end) }
    }

    /// Marks a call that nobody waits for any more; whether there was one.
    fn abandon(&self, id: u64) -> bool {
        let mut calls = self.calls.lock();
        let Some(place) = calls.open.get_mut(&id) else { return false };
        *place = Place::Cancelled(Instant::now() + GRACE);
        drop(calls);
        self.cancelled.notify_one();
        true
    }

    /// Takes an answer; whether it was asked for.
    fn answer(&self, id: u64, outcome: Outcome) -> bool {
        match self.calls.lock().open.remove(&id) {
            Some(Place::Waiting(sender, _)) => {
                // who waits may be going at this moment
                let _ = sender.send(outcome);
                true
            }
            Some(Place::Cancelled(_)) => true,
            None => false,
        }
    }

    fn close(&self, end: End) {
        let mut calls = self.calls.lock();
        let end = self.cause.get().cloned().unwrap_or(end);
        if calls.end.is_none() {
            calls.end = Some(end);
            calls.idle = !calls.open.values().any(Place::is_begun);
        }
        let waiting = std::mem::take(&mut calls.open);
        drop(calls);
        // first, so that whoever tries again does so with another process
        self.closing.cancel();
        // whoever waits learns it by the loss of the sender
        drop(waiting);
    }
}

async fn read(shared: &Shared, mut from: impl AsyncRead + Unpin) -> End {
    loop {
        match wire::read::<FromEngine>(&mut from).await {
            Ok(Some(FromEngine::Answer { id, outcome })) => {
                if !shared.answer(id, outcome) {
                    return End::failure("the engine answered what it was not asked");
                }
            }
            Ok(Some(_)) => return End::failure("the engine spoke out of turn"),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                return End::failure("the engine's answer could not be read");
            }
            Ok(None) | Err(_) => {
                // whoever waits for the process closes with how it ended
                let _ = timeout(LAST_WORDS, shared.closing.cancelled()).await;
                return End::failure("the engine's process ended");
            }
        }
    }
}

async fn write(mut to: impl AsyncWrite + Unpin, mut queue: mpsc::Receiver<Frame>) -> End {
    while let Some(frame) = queue.recv().await {
        // before the first byte: who sees it unset has sent nothing, whatever happens at the same moment
        frame.begun.store(true, Ordering::SeqCst);
        let sent = match to.write(&frame.bytes).await {
            Ok(first) => to.write_all(&frame.bytes[first..]).await,
            Err(error) => {
                frame.begun.store(false, Ordering::SeqCst);
                Err(error)
            }
        };
        if sent.is_err() {
            // the reader finds out why
            tokio::time::sleep(LAST_WORDS * 2).await;
            return End::failure("the engine's process ended");
        }
    }
    // no handle is left: nobody can ask any more
    End::stopped()
}

/// Returns when a cancelled call has gone unanswered for too long.
async fn watch(shared: &Shared) -> End {
    loop {
        let earliest = shared.calls.lock().open.values().filter_map(Place::due).min();
        match earliest {
            None => shared.cancelled.notified().await,
            Some(due) if due <= Instant::now() => return End::failure("the engine hung"),
            Some(due) => sleep_until(due).await,
        }
    }
}

impl Place {
    /// Whether the process may have heard of the call.
    fn is_begun(&self) -> bool {
        match self {
            Self::Waiting(_, begun) => begun.load(Ordering::SeqCst),
            Self::Cancelled(_) => true,
        }
    }

    fn due(&self) -> Option<Instant> {
        match self {
            Self::Waiting(..) => None,
            Self::Cancelled(due) => Some(*due),
        }
    }
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
