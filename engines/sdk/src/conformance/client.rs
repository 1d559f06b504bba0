//! An engine behind the wire, as the server has it: types, deadlines and panics are part of what is tested.

use crate::wire::{self, Done, FromEngine, Hello, Operation, Outcome, ToEngine};
use crate::{Account, Engine, EngineError, Installation, Issued, Lease, Result, Revocation, serve};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{DuplexStream, ReadHalf, WriteHalf};
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use uuid::Uuid;

/// How long a call may take in the kit, unless a test says otherwise.
pub const DEADLINE: Duration = Duration::from_secs(60);

type Waiting = Arc<Mutex<HashMap<u64, oneshot::Sender<Outcome>>>>;

/// One engine, served over a stream in memory.
pub struct Client {
    out: tokio::sync::Mutex<WriteHalf<DuplexStream>>,
    waiting: Waiting,
    next: AtomicU64,
    hello: Hello,
    /// The engine and the reader of its answers; both end with the client.
    _tasks: JoinSet<()>,
}

impl Client {
    /// Serves an engine and takes its greeting.
    ///
    /// # Panics
    /// If it does not greet.
    pub async fn start<E: Engine>() -> Self {
        let (ours, theirs) = tokio::io::duplex(64 << 10);
        let (their_from, their_to) = tokio::io::split(theirs);
        let (mut from, out) = tokio::io::split(ours);
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            // how it ended is seen by what is answered
            let _ = serve::serve::<E>(their_from, their_to, "0.0.0").await;
        });
        let Ok(Some(FromEngine::Hello(hello))) = wire::read(&mut from).await else {
            panic!("an engine begins with its greeting");
        };
        let waiting = Waiting::default();
        tasks.spawn(answers(from, Arc::clone(&waiting)));
        let out = tokio::sync::Mutex::new(out);
        Self { out, waiting, next: AtomicU64::new(1), hello, _tasks: tasks }
    }

    /// Serves an engine and connects it.
    ///
    /// # Errors
    /// As the engine's `connect`.
    pub async fn connect<E: Engine>(config: Value, installation: Installation) -> Result<Self> {
        let client = Self::start::<E>().await;
        client.call(Operation::Connect { config, installation }, DEADLINE).await?;
        Ok(client)
    }

    /// What the engine says it is.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// One call.
    ///
    /// # Errors
    /// What the engine answers.
    ///
    /// # Panics
    /// If it does not answer.
    pub async fn call(&self, operation: Operation, deadline: Duration) -> Result<Value> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(id, answer);
        let deadline_ms = u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX);
        let call = ToEngine::Call { id, deadline_ms, operation };
        if wire::write(&mut *self.out.lock().await, &call).await.is_err() {
            panic!("the engine hung up");
        }
        match tokio::time::timeout(deadline + DEADLINE, answered).await {
            Ok(Ok(Outcome::Ok(value))) => Ok(value),
            Ok(Ok(Outcome::Error(error))) => Err(error),
            _ => panic!("every call is answered"),
        }
    }

    /// Issues by a role.
    ///
    /// # Errors
    /// What the engine answers.
    pub async fn issue(&self, role: &Value, lease: &Lease) -> Result<Issued> {
        let operation = Operation::Issue { role: role.clone(), lease: lease.clone() };
        self.call(operation, DEADLINE).await.map(typed)
    }

    /// Revokes in one call by nothing but the ids; one result for each.
    ///
    /// # Errors
    /// What the engine answers to the whole.
    pub async fn revoke_all(&self, leases: &[Uuid]) -> Result<Vec<Result<()>>> {
        let revocations =
            leases.iter().map(|id| Revocation { lease_id: *id, handle: None, role: None }).collect();
        self.revoke_with(revocations).await
    }

    /// Revokes in one call; one result for each.
    ///
    /// # Errors
    /// What the engine answers to the whole.
    pub async fn revoke_with(&self, revocations: Vec<Revocation<Value>>) -> Result<Vec<Result<()>>> {
        let done: Vec<Done> = typed(self.call(Operation::Revoke { revocations }, DEADLINE).await?);
        Ok(done
            .into_iter()
            .map(|done| match done {
                Done::Ok => Ok(()),
                Done::Error(error) => Err(error),
            })
            .collect())
    }

    /// Revokes one by nothing but its id.
    ///
    /// # Errors
    /// What the engine answers.
    pub async fn revoke(&self, lease: Uuid) -> Result<()> {
        let results = self.revoke_all(&[lease]).await?;
        results.into_iter().next().unwrap_or_else(|| Err(EngineError::retry("there is no result")))
    }

    /// The accounts that the engine lists.
    ///
    /// # Errors
    /// What the engine answers.
    pub async fn list(&self) -> Result<Vec<Account>> {
        self.call(Operation::List, DEADLINE).await.map(typed)
    }

    /// Whether the engine can log in with these.
    ///
    /// # Errors
    /// What the engine answers.
    pub async fn try_credentials(&self, credentials: &Value) -> Result<()> {
        let operation = Operation::TryCredentials { credentials: credentials.clone() };
        self.call(operation, DEADLINE).await.map(|_| ())
    }
}

async fn answers(mut from: ReadHalf<DuplexStream>, waiting: Waiting) {
    while let Ok(Some(message)) = wire::read(&mut from).await {
        let FromEngine::Answer { id, outcome } = message else { continue };
        if let Some(answer) = waiting.lock().unwrap_or_else(PoisonError::into_inner).remove(&id) {
            // a test that has ended does not listen
            let _ = answer.send(outcome);
        }
    }
    // wakes those whose answer will not come
    waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

/// An answer of the engine's as its type.
///
/// # Panics
/// If it is not of that type.
pub fn typed<T: DeserializeOwned>(answer: Value) -> T {
    match serde_json::from_value(answer) {
        Ok(value) => value,
        Err(error) => panic!("an answer has the type that the wire documents: {error}"),
    }
}
