//! The ledger: the one way in for every change and every audited read.
//!
//! Requests queue here; one task takes what waits (up to [`MAX_BATCH`]), runs it in one transaction (each change in a
//! savepoint of its own), appends the audit events with their chained hashes, commits, and only then answers all of them.
//! So many requests share one fsync, there is no change without its record and no record without its change.
//!
//! A change does SQL and arithmetic only, never a network call: it runs while the whole node waits for the batch.

use super::cache::{Basis, Caches, Effect};
use super::context::note_refusal;
use super::feed::Feed;
use super::seal::KeySlot;
use crate::crypto::audit as chain;
use crate::crypto::audit::AuditSigner;
use crate::error::{Error, ErrorCode, Result};
use crate::model::audit::AuditEvent;
use crate::model::clock::Clock;
use crate::model::meter::{Counter, DURATIONS, Histogram, SIZES};
use crate::model::trace::SPANS;
use crate::storage::audit as store;
use crate::storage::audit::Head;
use crate::storage::db::{Db, Tx};
use crate::storage::effects as effect_store;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, oneshot};
use tracing::{Instrument, Span};

/// The most requests in one transaction.
pub const MAX_BATCH: usize = 512;
/// The most requests that may wait; beyond it callers are told to come back.
const QUEUE: usize = 4096;
/// The most effects of other nodes that are taken over one by one; more, and all is forgotten.
const MOST_FOREIGN: i64 = 2000;
/// The most requests that the span of a batch is linked with.
const MAX_LINKS: usize = 64;
/// A batch that has worked this long takes no more changes: the rest wait for the next one, so that no batch comes near the
/// time at which all in it would be turned away.
const LONG_ENOUGH: Duration = Duration::from_secs(1);

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

type Outcome<T> = Result<Change<T>>;

/// A queued request; the ledger knows neither the type of its result nor what it does.
trait Job: Send {
    /// What it was decided on.
    fn basis(&self) -> Basis<'_>;
    /// Whether it writes anything but its events.
    fn changes(&self) -> bool;
    fn run<'t>(&'t mut self, tx: &'t mut Tx) -> BoxFuture<'t, Result<(Vec<AuditEvent>, Vec<Effect>)>>;
    /// What is recorded of a change that refused.
    fn refusal(&mut self) -> Option<AuditEvent> {
        None
    }
    fn answer(self: Box<Self>, verdict: Verdict);
}

/// How a batch ended, for each job in it.
enum Verdict {
    /// Committed, or refused by the change itself (which then holds its own error).
    Durable,
    Stale,
    Failed(Error),
}

/// The generation of the caches and the token that a request was decided on.
#[derive(Debug, Clone, Copy)]
pub struct Decided {
    pub generation: i64,
    pub token: Option<[u8; 32]>,
}

struct Recording {
    decided: Decided,
    events: Vec<AuditEvent>,
    reply: oneshot::Sender<Result<(), Attempt>>,
}

impl Job for Recording {
    fn basis(&self) -> Basis<'_> {
        // what is recorded of a secret was read from the cache; what is changed is read again in the transaction
        let path = self.events.first().and_then(|event| event.secret_path.as_deref());
        Basis { generation: self.decided.generation, token: self.decided.token, path }
    }
    fn changes(&self) -> bool {
        false
    }
    fn run<'t>(&'t mut self, _: &'t mut Tx) -> BoxFuture<'t, Result<(Vec<AuditEvent>, Vec<Effect>)>> {
        let events = std::mem::take(&mut self.events);
        async move { Ok((events, Vec::new())) }.boxed()
    }
    fn answer(self: Box<Self>, verdict: Verdict) {
        // a caller that has gone away needs no answer
        let _ = self.reply.send(match verdict {
            Verdict::Durable => Ok(()),
            Verdict::Stale => Err(Attempt::Stale),
            Verdict::Failed(error) => Err(error.into()),
        });
    }
}

struct Changing<T, F> {
    decided: Decided,
    change: Option<F>,
    refusal: Option<AuditEvent>,
    outcome: Option<Result<T>>,
    reply: oneshot::Sender<Result<T, Attempt>>,
}

impl<T, F> Job for Changing<T, F>
where
    T: Send + 'static,
    F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Outcome<T>> + Send + 'static,
{
    fn basis(&self) -> Basis<'_> {
        Basis { generation: self.decided.generation, token: self.decided.token, path: None }
    }
    fn changes(&self) -> bool {
        true
    }
    fn run<'t>(&'t mut self, tx: &'t mut Tx) -> BoxFuture<'t, Result<(Vec<AuditEvent>, Vec<Effect>)>> {
        async move {
            let Some(change) = self.change.take() else {
                return Err(Error::internal("a change was run twice"));
            };
            match change(tx).await {
                Ok(Change { value, events, effects }) => {
                    self.outcome = Some(Ok(value));
                    Ok((events, effects))
                }
                // the store itself failed, and with it the batch
                Err(error) if error.code() == ErrorCode::Unavailable => Err(error),
                Err(error) => {
                    let code = error.code();
                    self.outcome = Some(Err(error));
                    Err(Error::new(code, "the change was refused"))
                }
            }
        }
        .boxed()
    }
    fn refusal(&mut self) -> Option<AuditEvent> {
        let mut event = self.refusal.take()?;
        if let Some(Err(error)) = &self.outcome {
            note_refusal(&mut event, error);
        }
        Some(event)
    }
    fn answer(self: Box<Self>, verdict: Verdict) {
        let answer = match (verdict, self.outcome) {
            (Verdict::Durable, Some(outcome)) => outcome.map_err(Attempt::from),
            (Verdict::Durable, None) => Err(Error::internal("a change left no outcome").into()),
            (Verdict::Stale, _) => Err(Attempt::Stale),
            // a refusal may rest on a change of the same batch that did not come about: it does not stand either
            (Verdict::Failed(error), _) => Err(error.into()),
        };
        let _ = self.reply.send(answer);
    }
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

/// The working end: owned by the ledger's task.
pub struct Worker {
    pub db: Db,
    pub keys: Arc<KeySlot>,
    pub caches: Arc<Caches>,
    /// Told of what was committed, after the caches were.
    pub feed: Arc<Feed>,
    pub clock: Arc<dyn Clock>,
    /// The longest that one batch may take before all in it are told that the store does not answer.
    pub timeout: Duration,
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
        let (reply, answer) = oneshot::channel();
        let job = Box::new(Changing { decided, change: Some(change), refusal, outcome: None, reply });
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

impl Worker {
    async fn run(self, mut jobs: mpsc::Receiver<Queued>, counters: Arc<LedgerCounters>) {
        let mut batch = Vec::with_capacity(MAX_BATCH);
        let mut buffer = Vec::with_capacity(4096);
        while !batch.is_empty() || jobs.recv_many(&mut batch, MAX_BATCH).await > 0 {
            let mut verdicts = Vec::with_capacity(batch.len());
            let started = Instant::now();
            let span = span_of(&batch);
            let work = AssertUnwindSafe(self.commit(&mut batch, &mut verdicts, &mut buffer, &counters))
                .catch_unwind()
                .instrument(span);
            let failure = match tokio::time::timeout(self.timeout, work).await {
                Ok(Ok(Ok(()))) => None,
                Ok(Ok(Err(error))) => Some(error),
                Ok(Err(_panic)) => Some(Error::internal("a change panicked; its batch was rolled back")),
                Err(_) => {
                    self.db.renew();
                    Some(Error::unavailable("the store did not finish a batch in time"))
                }
            };
            if let Some(error) = &failure {
                tracing::warn!(
                    code = error.code().as_str(),
                    context = error.log_context(),
                    jobs = batch.len(),
                    "batch failed"
                );
            }
            if failure.is_none() {
                counters.batch_size.observe(verdicts.len() as u64);
                counters.commit.observe_duration(started.elapsed());
            }
            // a batch that took long enough leaves some for the next; one that failed fails as a whole
            let done = if failure.is_some() { batch.len() } else { verdicts.len() };
            let mut verdicts = verdicts.into_iter();
            for Queued { job, since, .. } in batch.drain(..done) {
                counters.wait.observe_duration(started.saturating_duration_since(since));
                let verdict = verdicts.next().unwrap_or(Verdict::Durable);
                job.answer(match (&failure, verdict) {
                    (Some(error), Verdict::Durable) => Verdict::Failed(again(error)),
                    (_, verdict) => verdict,
                });
            }
        }
    }

    /// One batch, one transaction. Effects reach the caches before anyone is answered.
    async fn commit(
        &self,
        batch: &mut [Queued],
        verdicts: &mut Vec<Verdict>,
        buffer: &mut Vec<u8>,
        counters: &LedgerCounters,
    ) -> Result<()> {
        let keys = self.keys.get()?;
        let mut tx = self.db.begin().instrument(tracing::info_span!(target: SPANS, "store.begin")).await?;
        let mut head = store::lock_head(&mut tx).await?;
        self.catch_up(&mut tx, head.generation).await?;
        let mut events = Vec::with_capacity(batch.len());
        let mut effects = Vec::new();
        let started = Instant::now();
        let mut has_savepoint = false;
        for Queued { job, .. } in batch.iter_mut() {
            if started.elapsed() > LONG_ENOUGH && job.changes() {
                break;
            }
            if self.caches.is_stale(job.basis()) {
                verdicts.push(Verdict::Stale);
                continue;
            }
            verdicts.push(Verdict::Durable);
            let (recorded, caused) = run_one(job.as_mut(), &mut tx, &mut has_savepoint).await?;
            events.extend(recorded);
            effects.extend(caused);
        }
        if events.is_empty() && effects.is_empty() {
            return tx.commit().await;
        }
        let shared: Vec<_> = effects.iter().filter_map(Effect::shared).collect();
        if !shared.is_empty() {
            head.generation += 1;
            effect_store::tell(&mut tx, head.generation, shared).await?;
        }
        append(&mut tx, &mut head, &keys.signer, &mut events, self.clock.as_ref(), buffer).await?;
        tx.commit().instrument(tracing::info_span!(target: SPANS, "store.commit")).await?;
        counters.batches.add(1);
        counters.events.add(events.len() as u64);
        if !effects.is_empty() {
            self.caches.apply(head.generation, &effects);
            if effects.contains(&Effect::Sealed) {
                self.keys.clear();
            }
        }
        self.feed.push(events);
        Ok(())
    }

    /// Takes over what other nodes have changed since this one last looked.
    async fn catch_up(&self, tx: &mut Tx, store: i64) -> Result<()> {
        let known = self.caches.generation();
        if known == store {
            return Ok(());
        }
        let told = effect_store::since(tx, known, store, MOST_FOREIGN).await?;
        self.caches.learn(store, understand(&told, known, store));
        Ok(())
    }
}

/// The span of a batch: a trace of its own, linked with those of the requests in it.
fn span_of(batch: &[Queued]) -> Span {
    let span = tracing::info_span!(target: SPANS, parent: None, "ledger.batch", jobs = batch.len());
    if !span.is_disabled() {
        for queued in batch.iter().take(MAX_LINKS) {
            span.follows_from(queued.waiting.id());
        }
    }
    span
}

/// The effects of every generation after `known` up to `store`, or `None` if one is missing or not understood.
fn understand(told: &[effect_store::EffectRow], known: i64, store: i64) -> Option<Vec<(i64, Effect)>> {
    let mut effects = Vec::with_capacity(told.len());
    let mut expected = known;
    for row in told {
        if row.generation > expected + 1 {
            return None;
        }
        expected = row.generation;
        effects.push((row.generation, Effect::told(&row.kind, &row.key)?));
    }
    (expected == store).then_some(effects)
}

/// Runs a job in its savepoint. One that refuses is undone; what remains is the record of that. An error: the store failed,
/// and with it the batch.
async fn run_one(
    job: &mut dyn Job,
    tx: &mut Tx,
    has_savepoint: &mut bool,
) -> Result<(Vec<AuditEvent>, Vec<Effect>)> {
    if !job.changes() {
        return job.run(tx).await;
    }
    tx.savepoint(!*has_savepoint).await?;
    *has_savepoint = true;
    match job.run(tx).await {
        Ok(done) => Ok(done),
        // the store's own failure says more than what undoing it may fail with
        Err(error) if error.code() == ErrorCode::Unavailable => Err(error),
        Err(_) => {
            tx.rollback_to_savepoint().await?;
            Ok((job.refusal().into_iter().collect(), Vec::new()))
        }
    }
}

/// Numbers, chains, signs and stores a batch's events, and moves the head. The caller commits.
///
/// # Errors
/// As any statement.
pub async fn append(
    tx: &mut Tx,
    head: &mut Head,
    signer: &AuditSigner,
    events: &mut [AuditEvent],
    clock: &dyn Clock,
    buffer: &mut Vec<u8>,
) -> Result<()> {
    let now = clock.now();
    let count = events.len();
    let mut previous: [u8; 32] = head
        .current_hash
        .as_slice()
        .try_into()
        .map_err(|_| crate::storage::db::corrupt("audit_head", "current_hash", "1"))?;
    for (index, event) in events.iter_mut().enumerate() {
        head.sequence_number += 1;
        event.sequence_number = head.sequence_number;
        event.timestamp = now;
        event.previous_hash = previous;
        event.batch_end = index + 1 == count;
        event.current_hash = chain::hash(event, buffer);
        previous = event.current_hash;
        if event.batch_end {
            let signature = signer.sign(&previous).to_vec();
            head.signature = Some(signature.clone());
            event.signature = Some(signature);
        }
    }
    head.current_hash = previous.to_vec();
    head.updated_at = Some(now);
    store::append(tx, events).await?;
    store::put_head(tx, head).await
}

/// The same refusal for another job of the same batch; the context was logged with the batch.
fn again(error: &Error) -> Error {
    let copy = match error.code() {
        ErrorCode::Sealed => Error::sealed(),
        ErrorCode::Unavailable => Error::unavailable("the batch failed"),
        _ => Error::internal("the batch failed"),
    };
    match error.retry_after_seconds() {
        Some(seconds) => copy.with_retry_after(seconds),
        None => copy,
    }
}
