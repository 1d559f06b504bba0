//! The ledger's task: it takes what waits, and makes it durable batch by batch.

use super::super::cache::{Caches, Effect};
use super::super::feed::Feed;
use super::super::seal::KeySlot;
use super::job::{Job, Verdict};
use super::{LedgerCounters, MAX_BATCH, Queued, link};
use crate::crypto::audit::AuditSigner;
use crate::error::{Error, ErrorCode, Result};
use crate::model::audit::AuditEvent;
use crate::model::clock::Clock;
use crate::model::trace::SPANS;
use crate::storage::audit as store;
use crate::storage::audit::{Head, Step};
use crate::storage::db::{Db, Tx};
use crate::storage::effects as effect_store;
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tracing::{Instrument, Span};

/// The most effects of other nodes that are taken over one by one; more, and all is forgotten.
const MOST_FOREIGN: i64 = 2000;
/// The most requests that the span of a batch is linked with.
const MAX_LINKS: usize = 64;
/// A batch that has worked this long takes no more changes: the rest wait for the next one, so that no batch comes near the
/// time at which all in it would be turned away.
const LONG_ENOUGH: Duration = Duration::from_secs(1);

/// After a change had to be undone together with its batch, so many batches set a savepoint before each change: whoever provokes
/// that makes at most one batch in so many run twice.
const CAREFUL: u32 = 64;
/// After another node was seen to append, so many batches look where the chain ends before anything else.
const IN_COMPANY: u32 = 64;

/// What the task knows from one batch to the next.
#[derive(Default)]
struct Course {
    /// Where the chain ends, as far as this node knows and may rely on it.
    head: Option<Head>,
    /// How many batches from now on set savepoints.
    careful: u32,
    /// How many batches from now on do not rely on `head`.
    in_company: u32,
    /// For hashing.
    buffer: Vec<u8>,
}

impl Course {
    /// A batch was committed that held the chain's end.
    fn passed(&mut self, head: Head, may_rely: bool) {
        self.careful = self.careful.saturating_sub(1);
        self.in_company = self.in_company.saturating_sub(1);
        self.head = (may_rely && self.in_company == 0).then_some(head);
    }
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

impl Worker {
    pub(super) async fn run(self, mut jobs: mpsc::Receiver<Queued>, counters: Arc<LedgerCounters>) {
        let mut batch = Vec::with_capacity(MAX_BATCH);
        let mut course = Course::default();
        while !batch.is_empty() || jobs.recv_many(&mut batch, MAX_BATCH).await > 0 {
            let mut verdicts = Vec::with_capacity(batch.len());
            let started = Instant::now();
            let span = span_of(&batch);
            let work = AssertUnwindSafe(self.commit(&mut batch, &mut verdicts, &mut course, &counters))
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

    /// One batch. Effects reach the caches before anyone is answered.
    async fn commit(
        &self,
        batch: &mut [Queued],
        verdicts: &mut Vec<Verdict>,
        course: &mut Course,
        counters: &LedgerCounters,
    ) -> Result<()> {
        let keys = self.keys.get()?;
        // whatever goes wrong from here on, where the chain ends is read again
        match course.head.take() {
            Some(head)
                if head.generation == self.caches.generation()
                    && !batch.iter().any(|Queued { job, .. }| job.changes() || job.looks()) =>
            {
                self.record(batch, verdicts, course, head, &keys.signer, counters).await
            }
            _ => self.change(batch, verdicts, course, &keys.signer, counters).await,
        }
    }

    /// A batch that changes nothing, in one statement, as long as the chain ends where this node left it. If it does not, other
    /// nodes are at work, and what they changed must be seen first.
    async fn record(
        &self,
        batch: &mut [Queued],
        verdicts: &mut Vec<Verdict>,
        course: &mut Course,
        head: Head,
        signer: &AuditSigner,
        counters: &LedgerCounters,
    ) -> Result<()> {
        let mut events = Vec::with_capacity(batch.len());
        for Queued { job, .. } in batch.iter_mut() {
            if self.caches.is_stale(job.basis()) {
                verdicts.push(Verdict::Stale);
            } else {
                verdicts.push(Verdict::Durable);
                events.extend(job.record());
            }
        }
        if events.is_empty() {
            course.head = Some(head);
            return Ok(());
        }
        let to = link(&head, signer, &mut events, self.clock.now(), &mut course.buffer)?;
        let step = Step { from: &head, to: &to, events: &events, told: &[] };
        let commit = store::advance_alone(&self.db, step);
        if !commit.instrument(tracing::info_span!(target: SPANS, "store.commit")).await? {
            verdicts.fill_with(|| Verdict::Stale);
            course.in_company = IN_COMPANY;
            return Ok(());
        }
        course.head = Some(to);
        self.announce(events, counters);
        Ok(())
    }

    /// A batch in a transaction that holds the chain's end.
    async fn change(
        &self,
        batch: &mut [Queued],
        verdicts: &mut Vec<Verdict>,
        course: &mut Course,
        signer: &AuditSigner,
        counters: &LedgerCounters,
    ) -> Result<()> {
        let mut tx = self.db.begin().instrument(tracing::info_span!(target: SPANS, "store.begin")).await?;
        let from = store::lock_head(&mut tx).await?;
        self.catch_up(&mut tx, from.generation).await?;
        let Some((mut events, effects)) = self.run_all(batch, verdicts, &mut tx, course).await? else {
            verdicts.fill_with(|| Verdict::Stale);
            return tx.rollback().await;
        };
        let mut to = from.clone();
        if !events.is_empty() || !effects.is_empty() {
            let told: Vec<_> = effects.iter().filter_map(Effect::shared).collect();
            to = link(&from, signer, &mut events, self.clock.now(), &mut course.buffer)?;
            to.generation += i64::from(!told.is_empty());
            let step = Step { from: &from, to: &to, events: &events, told: &told };
            store::advance(&mut tx, step).await?;
        }
        tx.commit().instrument(tracing::info_span!(target: SPANS, "store.commit")).await?;
        if !effects.is_empty() {
            self.caches.apply(to.generation, &effects);
            if effects.contains(&Effect::Sealed) {
                self.keys.clear();
            }
        }
        course.passed(to, store::advances_alone(&self.db));
        self.announce(events, counters);
        Ok(())
    }

    /// What all jobs of a batch did, or as many as there was time for. `None`: one refused after it had written something, and
    /// it cannot be undone without the others.
    async fn run_all(
        &self,
        batch: &mut [Queued],
        verdicts: &mut Vec<Verdict>,
        tx: &mut Tx,
        course: &mut Course,
    ) -> Result<Option<(Vec<AuditEvent>, Vec<Effect>)>> {
        let mut events = Vec::with_capacity(batch.len());
        let mut effects = Vec::new();
        let started = Instant::now();
        let mut undo = if course.careful > 0 { Undo::One { is_set: false } } else { Undo::All };
        if let Undo::All = undo {
            let valid = batch.iter_mut().filter(|queued| !self.caches.is_stale(queued.job.basis()));
            let wants = valid.flat_map(|queued| queued.job.take_wants()).collect();
            tx.gather(wants).await?;
        }
        for Queued { job, .. } in batch.iter_mut() {
            if started.elapsed() > LONG_ENOUGH && job.changes() {
                break;
            }
            if self.caches.is_stale(job.basis()) {
                verdicts.push(Verdict::Stale);
                continue;
            }
            verdicts.push(Verdict::Durable);
            let Some((recorded, caused)) = run_one(job.as_mut(), tx, &mut undo).await? else {
                course.careful = CAREFUL;
                return Ok(None);
            };
            events.extend(recorded);
            effects.extend(caused);
        }
        match tx.settle().await {
            Ok(()) => Ok(Some((events, effects))),
            Err(error) if error.code() == ErrorCode::Unavailable => Err(error),
            // one of the rows that were put off cannot be: the next batch writes each at once, and finds out which
            Err(error) => {
                tracing::warn!(context = error.log_context(), "a batch is made again, change by change");
                course.careful = CAREFUL;
                Ok(None)
            }
        }
    }

    /// Counts what was committed, and tells those who listen.
    fn announce(&self, events: Vec<AuditEvent>, counters: &LedgerCounters) {
        if !events.is_empty() {
            counters.batches.add(1);
            counters.events.add(events.len() as u64);
            self.feed.push(events);
        }
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

/// How a change that refuses is undone.
enum Undo {
    /// With the whole batch, which is then made again. As long as nobody refuses after having written, it costs nothing.
    All,
    /// Alone, by a savepoint before each change.
    One { is_set: bool },
}

/// Runs a job. One that refuses is undone; what remains is the record of that. `None`: it can only be undone with all the
/// others. An error: the store failed, and with it the batch.
async fn run_one(
    job: &mut dyn Job,
    tx: &mut Tx,
    undo: &mut Undo,
) -> Result<Option<(Vec<AuditEvent>, Vec<Effect>)>> {
    if !job.changes() {
        return job.run(tx).await.map(Some);
    }
    if let Undo::One { is_set } = undo {
        tx.savepoint(!*is_set).await?;
        *is_set = true;
    }
    tx.next_change();
    match job.run(tx).await {
        Ok(done) => return Ok(Some(done)),
        // the store's own failure says more than what undoing it may fail with
        Err(error) if error.code() == ErrorCode::Unavailable => return Err(error),
        Err(_) => {}
    }
    if tx.was_touched() {
        match undo {
            Undo::All => return Ok(None),
            Undo::One { .. } => tx.rollback_to_savepoint().await?,
        }
    }
    tx.drop_put_off();
    Ok(Some((job.refusal().into_iter().collect(), Vec::new())))
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
