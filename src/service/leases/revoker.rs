//! Asking a target to revoke: many leases at a time, and what came of it put on the record in one change.
//!
//! [`Revokers`] gathers what callers wait for: while one batch of an engine is under way, the next one comes together.

use super::super::App;
use super::super::context::{OpContext, settle};
use super::super::engines::{ask_background, open_role, recorded};
use super::super::ledger::{Attempt, Change};
use super::{about, is_rehearsal, store};
use crate::engine::CallError;
use crate::error::Result;
use crate::failpoint::failpoint;
use crate::model::audit::{AuditEvent, EventType};
use crate::model::leases::retry_after;
use crate::storage::engine_roles as role_store;
use crate::storage::engines as engine_store;
use crate::storage::engines::EngineRow;
use crate::storage::leases::LeaseRow;
use parking_lot::Mutex;
use secrethub_engine::wire::{Done, Operation};
use secrethub_engine::{EngineError, Revocation};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

/// Leases in one call of an engine.
pub const BATCH: usize = 200;
/// How long one such call may take; whoever claims leases must not expect to be done before.
const DEADLINE: Duration = Duration::from_secs(60);
/// How long a target that did not answer is left alone at most.
const LONGEST_SILENCE: chrono::Duration = chrono::Duration::seconds(15);
/// Leases of one engine whose callers wait; beyond it the reaper sees to them.
const QUEUE: usize = 1024;

/// What came of one attempt.
pub type Outcome = std::result::Result<(), Failed>;

/// The target did not revoke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// Its complaint.
    message: String,
    /// It did not answer, rather than refuse: it may be back any moment.
    silent: bool,
}

impl From<&CallError> for Failed {
    fn from(error: &CallError) -> Self {
        let silent = !matches!(error, CallError::Engine(error) if !error.is_passing());
        Self { message: recorded(error), silent }
    }
}

impl Failed {
    fn silent(message: impl Into<String>) -> Self {
        Self { message: message.into(), silent: true }
    }

    /// A target that does not answer is asked again soon, so that revocation begins soon after it is back; one that refuses needs
    /// somebody to change something.
    fn wait(&self, attempts: i64) -> chrono::Duration {
        let wait = retry_after(attempts);
        if self.silent { wait.min(LONGEST_SILENCE) } else { wait }
    }
}

/// One attempt at leases that were claimed: asks the engine, and records what it says. What it did not revoke is due again
/// later.
///
/// # Errors
/// `SEALED`, `UNAVAILABLE`: then nothing was recorded, and the leases are due again when the claim ends.
pub async fn attempt(
    ctx: &OpContext,
    engine: &EngineRow,
    rows: Vec<LeaseRow>,
) -> Result<HashMap<Uuid, Outcome>> {
    let app = ctx.app();
    let revocations = describe(app, &rows).await?;
    failpoint!("revoke.claimed");
    let mut answers = ask_target(app, engine, revocations).await;
    end_without_role(app, engine, &rows, &mut answers).await;
    failpoint!("revoke.revoked");
    let outcomes = answers.iter().map(|answer| answer.as_ref().map(drop).map_err(Failed::from));
    record_all(ctx, engine, rows.into_iter().zip(outcomes).collect()).await
}

async fn record_all(
    ctx: &OpContext,
    engine: &EngineRow,
    attempted: Vec<(LeaseRow, Outcome)>,
) -> Result<HashMap<Uuid, Outcome>> {
    let attempted = Arc::new(attempted);
    settle!(record(ctx, engine, Arc::clone(&attempted)))?;
    Ok(attempted.iter().map(|(row, outcome)| (row.lease_id, outcome.clone())).collect())
}

/// How a rehearsal's lease ended.
pub(super) enum RehearsalEnd {
    Revoked,
    /// Revoked too, but only by its id: this is what was said to revoking it as the role wants it.
    OnlyWithoutRole(EngineError),
    /// It is due again.
    NotRevoked(String),
}

/// Revokes a claimed lease of a rehearsal as one of the role would be, and records what came of it.
///
/// # Errors
/// As [`attempt`].
pub(super) async fn end_rehearsal(
    ctx: &OpContext,
    engine: &EngineRow,
    row: LeaseRow,
    role: Value,
) -> Result<RehearsalEnd> {
    let app = ctx.app();
    let rows = vec![row];
    let revocations = rows.iter().map(|row| revocation(row, Some(role.clone()))).collect();
    failpoint!("revoke.claimed");
    let mut answers = ask_target(app, engine, revocations).await;
    let said = answers.first().cloned();
    end_without_role(app, engine, &rows, &mut answers).await;
    failpoint!("revoke.revoked");
    let outcomes = answers.iter().map(|answer| answer.as_ref().map(drop).map_err(Failed::from));
    let recorded = record_all(ctx, engine, rows.into_iter().zip(outcomes).collect()).await?;
    Ok(match (said, recorded.into_values().next()) {
        (Some(Err(CallError::Engine(error))), Some(Ok(()))) => RehearsalEnd::OnlyWithoutRole(error),
        (_, Some(Err(failed))) => RehearsalEnd::NotRevoked(failed.message),
        _ => RehearsalEnd::Revoked,
    })
}

/// One answer for each.
async fn ask_target(
    app: &App,
    engine: &EngineRow,
    revocations: Vec<Revocation<Value>>,
) -> Vec<Result<(), CallError>> {
    let wanted = revocations.len();
    match ask_background(app, engine, Operation::Revoke { revocations }, DEADLINE).await {
        Ok(answer) => read(answer, wanted),
        Err(error) => vec![Err(error); wanted],
    }
}

/// A role that is only rehearsed may be one that cannot be revoked by, and will never be put right: what the target refuses of it is ended
/// by the lease's id alone.
async fn end_without_role(
    app: &App,
    engine: &EngineRow,
    rows: &[LeaseRow],
    answers: &mut [Result<(), CallError>],
) {
    let refused: Vec<usize> = (0..answers.len())
        .filter(|place| {
            let answer = matches!(&answers[*place], Err(CallError::Engine(error)) if !error.is_passing());
            answer && rows.get(*place).is_some_and(is_rehearsal)
        })
        .collect();
    if refused.is_empty() {
        return;
    }
    let of = |place: &usize| Revocation { lease_id: rows[*place].lease_id, handle: None, role: None };
    let again = ask_target(app, engine, refused.iter().map(of).collect()).await;
    for (place, answer) in refused.into_iter().zip(again) {
        answers[place] = answer;
    }
}

/// What the engine is told of each lease; the role as it is now, if it is still there.
async fn describe(app: &App, rows: &[LeaseRow]) -> Result<Vec<Revocation<Value>>> {
    let mut roles: HashMap<Uuid, Option<Value>> = HashMap::new();
    for row in rows {
        if roles.contains_key(&row.secret_id) {
            continue;
        }
        let sealed = {
            let mut tx = app.read().await?;
            role_store::sealed_config(&mut tx, row.secret_id).await?
        };
        let role = match sealed {
            // a role that does not open must not keep its credentials alive
            Some((sealed, version)) => open_role(app, row.secret_id, &sealed, version).await.ok(),
            None => None,
        };
        roles.insert(row.secret_id, role);
    }
    Ok(rows.iter().map(|row| revocation(row, roles.get(&row.secret_id).cloned().flatten())).collect())
}

fn revocation(row: &LeaseRow, role: Option<Value>) -> Revocation<Value> {
    // as long as nothing was issued for certain, it is empty
    let handle = Some(row.engine_metadata.0.clone()).filter(|handle| handle != &json!({}));
    Revocation { lease_id: row.lease_id, handle, role }
}

fn read(answer: Value, wanted: usize) -> Vec<Result<(), CallError>> {
    let done: Vec<Done> = serde_json::from_value(answer).unwrap_or_default();
    if done.len() != wanted {
        let message = "the engine's answer is not what an engine answers: report it to its author";
        return vec![Err(CallError::Engine(EngineError::refused(message))); wanted];
    }
    let outcome = |done| match done {
        Done::Ok => Ok(()),
        Done::Error(error) => Err(CallError::Engine(error)),
    };
    done.into_iter().map(outcome).collect()
}

type Attempted = Arc<Vec<(LeaseRow, Outcome)>>;

async fn record(ctx: &OpContext, engine: &EngineRow, attempted: Attempted) -> Result<(), Attempt> {
    let app = ctx.app();
    let now = app.clock().now();
    let events: Vec<_> = attempted.iter().map(|(row, outcome)| event(ctx, engine, row, outcome)).collect();
    app.ledger
        .change(app.undecided(), None, move |tx| {
            Box::pin(async move {
                let mut recorded = Vec::with_capacity(events.len());
                let mut ended: HashMap<Uuid, i64> = HashMap::new();
                let mut count = 0;
                for ((row, outcome), event) in attempted.iter().zip(events) {
                    match outcome {
                        // another node, or a forced revocation, may have been quicker
                        Ok(()) => {
                            if store::revoked(tx, row.lease_id, None, now).await?.is_some() {
                                *ended.entry(row.secret_id).or_default() += 1;
                                count += 1;
                                recorded.extend(event);
                            }
                        }
                        Err(error) => {
                            let due = now + error.wait(row.revocation_attempts);
                            store::note_failure(tx, row.lease_id, &error.message, due).await?;
                            recorded.extend(event);
                        }
                    }
                }
                for (secret_id, count) in ended {
                    role_store::discount_leases(tx, secret_id, count).await?;
                }
                if let (Some((row, _)), true) = (attempted.first(), count > 0) {
                    engine_store::discount_leases(tx, row.engine_id, count).await?;
                }
                Ok(Change { value: (), events: recorded, effects: Vec::new() })
            })
        })
        .await
}

/// A failure is recorded the first time, and then every tenth.
fn event(ctx: &OpContext, engine: &EngineRow, row: &LeaseRow, outcome: &Outcome) -> Option<AuditEvent> {
    let of = |event_type| {
        let mut event = about(ctx.event(event_type, None), row);
        event.correlation_id.clone_from(&row.correlation_id);
        event
    };
    match outcome {
        Ok(()) => {
            let mut event = of(EventType::LeaseRevoked);
            event.event_data = json!({ "engine": engine.name, "reason": row.revocation_reason });
            Some(event)
        }
        Err(error) if row.revocation_attempts % 10 == 1 => {
            let mut event = of(EventType::LeaseRevocationOverdue);
            event.event_data = json!({
                "engine": engine.name, "attempts": row.revocation_attempts, "error": error.message
            });
            Some(event)
        }
        Err(_) => None,
    }
}

struct Waiting {
    row: LeaseRow,
    reply: oneshot::Sender<Outcome>,
}

/// One queue and task for each engine that callers revoke leases of at the moment.
#[derive(Default)]
pub struct Revokers(Mutex<HashMap<Uuid, mpsc::Sender<Waiting>>>);

impl Revokers {
    /// Has a claimed lease revoked with the next batch; `None` if too many wait already.
    pub(super) fn push(
        &self,
        app: &Arc<App>,
        engine: &EngineRow,
        row: LeaseRow,
    ) -> Option<oneshot::Receiver<Outcome>> {
        let (reply, answer) = oneshot::channel();
        let mut waiting = Waiting { row, reply };
        let mut queues = self.0.lock();
        if let Some(queue) = queues.get(&engine.id) {
            match queue.try_send(waiting) {
                Ok(()) => return Some(answer),
                Err(mpsc::error::TrySendError::Full(_)) => return None,
                // its task ended between two batches
                Err(mpsc::error::TrySendError::Closed(back)) => waiting = back,
            }
        }
        let (queue, jobs) = mpsc::channel(QUEUE);
        // an empty queue takes one
        queue.try_send(waiting).ok()?;
        queues.insert(engine.id, queue);
        tokio::spawn(work(Arc::downgrade(app), engine.id, jobs));
        Some(answer)
    }
}

/// How long a task waits for another lease before it ends.
const LINGER: Duration = Duration::from_secs(5);

async fn work(app: Weak<App>, engine_id: Uuid, mut jobs: mpsc::Receiver<Waiting>) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        let more = tokio::time::timeout(LINGER, jobs.recv_many(&mut batch, BATCH)).await;
        if more.is_err() {
            // whoever pushes from here on finds it closed, and starts another
            jobs.close();
            jobs.recv_many(&mut batch, BATCH).await;
            if batch.is_empty() {
                return;
            }
        }
        let Some(app) = app.upgrade() else { return };
        serve(&app, engine_id, std::mem::take(&mut batch)).await;
    }
}

async fn serve(app: &Arc<App>, engine_id: Uuid, batch: Vec<Waiting>) {
    let ctx = OpContext::system(Arc::clone(app), "revoke");
    let (rows, replies): (Vec<_>, Vec<_>) =
        batch.into_iter().map(|waiting| (waiting.row.clone(), (waiting.row.lease_id, waiting.reply))).unzip();
    let tried = async {
        let engine = {
            let mut tx = app.read().await?;
            engine_store::by_id(&mut tx, engine_id).await?
        };
        match engine {
            Some(engine) => attempt(&ctx, &engine, rows).await,
            None => Ok(HashMap::new()),
        }
    };
    let outcomes = tried.await.unwrap_or_else(|error| {
        tracing::warn!(context = error.log_context(), "revocations could not be recorded");
        HashMap::new()
    });
    for (lease_id, reply) in replies {
        let unknown = || Err(Failed::silent("the outcome could not be recorded: it is tried again"));
        // a caller that has gone away needs no answer
        let _ = reply.send(outcomes.get(&lease_id).cloned().unwrap_or_else(unknown));
    }
}
