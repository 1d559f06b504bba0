//! What waits in the ledger's queue: something to record, or a change to make.

use super::super::cache::{Basis, Effect};
use super::super::context::note_refusal;
use super::{Attempt, Change, Decided};
use crate::error::{Error, ErrorCode, Result};
use crate::model::audit::AuditEvent;
use crate::storage::batch::Want;
use crate::storage::db::Tx;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

pub(super) type Outcome<T> = Result<Change<T>>;

/// A queued request; the ledger knows neither the type of its result nor what it does.
pub(super) trait Job: Send {
    /// What it was decided on.
    fn basis(&self) -> Basis<'_>;
    /// Whether it writes anything but its events.
    fn changes(&self) -> bool;
    /// Whether it is there for what other nodes have changed, and has nothing to record.
    fn looks(&self) -> bool {
        false
    }
    /// What it is going to look up.
    fn take_wants(&mut self) -> Vec<Want> {
        Vec::new()
    }
    /// What is recorded by one that changes nothing.
    fn record(&mut self) -> Vec<AuditEvent> {
        Vec::new()
    }
    fn run<'t>(&'t mut self, tx: &'t mut Tx) -> BoxFuture<'t, Result<(Vec<AuditEvent>, Vec<Effect>)>>;
    /// What is recorded of a change that refused.
    fn refusal(&mut self) -> Option<AuditEvent> {
        None
    }
    fn answer(self: Box<Self>, verdict: Verdict);
}

/// How a batch ended, for each job in it.
pub(super) enum Verdict {
    /// Committed, or refused by the change itself (which then holds its own error).
    Durable,
    Stale,
    Failed(Error),
}

pub(super) struct Recording {
    pub(super) decided: Decided,
    pub(super) events: Vec<AuditEvent>,
    pub(super) reply: oneshot::Sender<Result<(), Attempt>>,
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
    fn looks(&self) -> bool {
        self.events.is_empty()
    }
    fn record(&mut self) -> Vec<AuditEvent> {
        std::mem::take(&mut self.events)
    }
    fn run<'t>(&'t mut self, _: &'t mut Tx) -> BoxFuture<'t, Result<(Vec<AuditEvent>, Vec<Effect>)>> {
        let events = self.record();
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

pub(super) struct Changing<T, F> {
    pub(super) wants: Vec<Want>,
    pub(super) decided: Decided,
    pub(super) change: Option<F>,
    pub(super) refusal: Option<AuditEvent>,
    pub(super) outcome: Option<Result<T>>,
    pub(super) reply: oneshot::Sender<Result<T, Attempt>>,
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
    fn take_wants(&mut self) -> Vec<Want> {
        std::mem::take(&mut self.wants)
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
