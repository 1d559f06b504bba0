//! The ledger: the one way in for every change and every audited read.
//!
//! Requests queue here; one task takes what waits (up to [`MAX_BATCH`]), runs it in one transaction, appends the audit events
//! with their chained hashes, commits, and only then answers all of them. So many requests share one fsync, there is no
//! change without its record and no record without its change. A change that refuses leaves nothing but the record of that.
//!
//! A change does SQL and arithmetic only, never a network call: it runs while the whole node waits for the batch.

mod chain;
mod job;
mod worker;

use super::cache::Effect;
use crate::error::{Error, ErrorCode, Result};
use crate::model::audit::AuditEvent;
use crate::model::meter::{Counter, DURATIONS, Histogram, SIZES};
use crate::model::trace::SPANS;
use crate::storage::batch::Want;
use crate::storage::db::Tx;
use futures_util::future::BoxFuture;
use job::{Changing, Job, Outcome, Recording};
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::{mpsc, oneshot};
use tracing::{Instrument, Span};

pub use chain::link;
pub use worker::Worker;

/// The most requests in one transaction.
pub const MAX_BATCH: usize = 512;
/// The most requests that may wait; beyond it callers are told to come back.
const QUEUE: usize = 4096;

/// Why an attempt at an operation did not end in an answer.
#[derive(Debug)]
pub enum Attempt {
    /// It was decided on facts that another node has changed since: decide again.
    Stale,
    Failed(Error),
}

impl From<Error> for Attempt {
    fn from(error: Error) -> Self {
        Self::Failed(error)
    }
}

/// What a change did: its result, the events that record it, and what the caches must forget.
pub struct Change<T> {
    pub value: T,
    pub events: Vec<AuditEvent>,
    pub effects: Vec<Effect>,
}

impl<T> Change<T> {
    pub fn new(value: T, event: AuditEvent, effects: Vec<Effect>) -> Self {
        Self { value, events: vec![event], effects }
    }
}

/// The generation of the caches and the token that a request was decided on.
#[derive(Debug, Clone, Copy)]
pub struct Decided {
    pub generation: i64,
    pub token: Option<[u8; 32]>,
}

/// What the ledger counts for the metrics.
#[derive(Debug)]
pub struct LedgerCounters {
    /// Transactions that were committed.
    pub batches: Counter,
    pub events: Counter,
    /// Requests in each transaction.
    pub batch_size: Histogram,
    /// From when a request was queued until its batch began.
    pub wait: Histogram,
    /// A whole batch, from the begin of its transaction to the end of its commit.
    pub commit: Histogram,
}

impl Default for LedgerCounters {
    fn default() -> Self {
        Self {
            batches: Counter::default(),
            events: Counter::default(),
            batch_size: Histogram::new(SIZES),
            wait: Histogram::new(DURATIONS),
            commit: Histogram::new(DURATIONS),
        }
    }
}

/// A job, and since when it waits.
struct Queued {
    job: Box<dyn Job>,
    since: Instant,
    /// The span of its waiting.
    waiting: Span,
}

/// The callers' end of the queue.
#[derive(Clone)]
pub struct Ledger {
    queue: mpsc::Sender<Queued>,
    pub counters: Arc<LedgerCounters>,
}

impl Ledger {
    /// Starts the task; it ends when every [`Ledger`] is dropped and the queue is empty.
    #[must_use]
    pub fn start(worker: Worker) -> (Self, tokio::task::JoinHandle<()>) {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let counters = Arc::new(LedgerCounters::default());
        let task = tokio::spawn(worker.run(jobs, Arc::clone(&counters)));
        (Self { queue, counters }, task)
    }

    /// Appends events that record something that changes nothing, and waits until they are durable.
    ///
    /// # Errors
    /// [`Attempt::Stale`], or `UNAVAILABLE` / `SEALED`: then nothing was recorded for certain, and nothing may leave.
    pub async fn record(&self, decided: Decided, events: Vec<AuditEvent>) -> Result<(), Attempt> {
        let (reply, answer) = oneshot::channel();
        self.wait(Box::new(Recording { decided, events, reply }), answer).await
    }

    /// Runs a change, with its events, in the next batch, and waits until it is durable. If it refuses, it is undone with
    /// its events, and `refusal` is recorded in their place.
    ///
    /// # Errors
    /// What the change returned, or as [`Ledger::record`].
    pub async fn change<T, F>(
        &self,
        decided: Decided,
        refusal: Option<AuditEvent>,
        change: F,
    ) -> Result<T, Attempt>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Outcome<T>> + Send + 'static,
    {
        self.change_knowing(Vec::new(), decided, refusal, change).await
    }

    /// The same for a change that says what it is going to look up.
    ///
    /// # Errors
    /// As [`Ledger::change`].
    pub async fn change_knowing<T, F>(
        &self,
        wants: Vec<Want>,
        decided: Decided,
        refusal: Option<AuditEvent>,
        change: F,
    ) -> Result<T, Attempt>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Outcome<T>> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Changing { wants, decided, change: Some(change), refusal, outcome: None, reply });
        self.wait(job, answer).await
    }

    /// Whether its task is there to take requests.
    #[must_use]
    pub fn is_running(&self) -> bool {
        !self.queue.is_closed()
    }

    async fn wait<T>(
        &self,
        job: Box<dyn Job>,
        answer: oneshot::Receiver<Result<T, Attempt>>,
    ) -> Result<T, Attempt> {
        let waiting = tracing::info_span!(target: SPANS, "ledger.wait");
        self.push(Queued { job, since: Instant::now(), waiting: waiting.clone() })?;
        let answer = answer.instrument(waiting).await;
        answer.unwrap_or_else(|_| Err(Error::unavailable("the ledger stopped").into()))
    }

    fn push(&self, job: Queued) -> Result<()> {
        self.queue.try_send(job).map_err(|failure| match failure {
            mpsc::error::TrySendError::Full(_) => {
                Error::new(ErrorCode::Unavailable, "too many requests are waiting: try again shortly")
                    .with_retry_after(1)
            }
            mpsc::error::TrySendError::Closed(_) => Error::unavailable("the ledger has stopped"),
        })
    }
}
