//! One configured engine: its process if it has one, its places, its breaker and its health.

use super::breaker::{Admission, Breaker};
use super::lanes::Lanes;
use super::outcome::{End, Failure, tidy};
use super::process::{Process, Tenure};
use super::types::{CallError, Health, HealthStatus, Target};
use crate::model::clock::Clock;
use parking_lot::Mutex;
use secrethub_engine::wire::Done;
use secrethub_engine::{EngineError, ErrorKind};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long a configuration that the engine refused is not tried again: a caller in a loop starts no process each time.
const REFUSAL: Duration = Duration::from_secs(2);

pub(super) struct Slot {
    pub name: String,
    pub tenure: Tenure,
    pub lanes: Lanes,
    /// Held by the one that starts a process. Nothing else waits for it but who needs one.
    pub starting: tokio::sync::Mutex<()>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

/// Guarded by a lock that is never held over a wait.
struct State {
    process: Option<Arc<Process>>,
    /// The newest configuration that was heard of, which all below is about.
    target: Option<Target>,
    breaker: Breaker,
    refused: Option<(EngineError, Instant)>,
    health: Health,
    last_used: Instant,
}

/// A call that was let through; whatever comes of it, its place at the breaker is given back.
pub(super) struct Admitted {
    slot: Arc<Slot>,
    admission: Admission,
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.slot.state.lock().breaker.leave(self.admission);
    }
}

impl Slot {
    pub fn new(name: String, tenure: Tenure, clock: Arc<dyn Clock>) -> Self {
        let health = Health { status: HealthStatus::Idle, since: clock.now(), last_error: None };
        let state = State {
            process: None,
            target: None,
            breaker: Breaker::default(),
            refused: None,
            health,
            last_used: Instant::now(),
        };
        Self {
            name,
            tenure,
            lanes: Lanes::new(),
            starting: tokio::sync::Mutex::default(),
            clock,
            state: Mutex::new(state),
        }
    }

    pub fn health(&self) -> Health {
        self.state.lock().health.clone()
    }

    /// How long nothing is let through yet.
    pub fn wait(&self) -> Option<Duration> {
        self.state.lock().breaker.wait(Instant::now())
    }

    /// No process is started with a configuration older than this one any more. What is under way may finish.
    pub fn renew(&self, target: &Target) {
        self.state.lock().adopt(target);
    }

    /// What a process is started with for a caller that has read this: the same, or what is newer.
    pub fn newest(&self, target: Target) -> Target {
        let mut state = self.state.lock();
        state.adopt(&target);
        match &state.target {
            Some(newer) if newer.version > target.version => newer.clone(),
            _ => {
                // the same configuration may have been sealed anew
                state.target = Some(target.clone());
                target
            }
        }
    }

    /// Turns the call away at once if nothing is let through for this version of the configuration.
    pub fn check(&self, target: &Target) -> Result<(), CallError> {
        let mut state = self.state.lock();
        state.adopt(target);
        match state.breaker.wait(Instant::now()) {
            Some(left) => Err(state.turned_away(left)),
            None => Ok(()),
        }
    }

    /// Lets a call through, or says when the next will be.
    pub fn admit(self: &Arc<Self>, target: &Target) -> Result<Admitted, CallError> {
        let mut state = self.state.lock();
        state.adopt(target);
        state.last_used = Instant::now();
        match state.breaker.admit(Instant::now()) {
            Ok(admission) => Ok(Admitted { slot: Arc::clone(self), admission }),
            Err(left) => Err(state.turned_away(left)),
        }
    }

    /// The process that serves this version or a newer one, if it is there and well.
    pub fn running(&self, version: i64) -> Option<Arc<Process>> {
        let state = self.state.lock();
        let current = state.process.as_ref().filter(|process| !process.is_closed())?;
        (current.version >= version).then(|| Arc::clone(current))
    }

    /// What was said a moment ago of the newest configuration.
    pub fn refusal(&self) -> Option<EngineError> {
        let state = self.state.lock();
        let (error, until) = state.refused.as_ref()?;
        (*until > Instant::now()).then(|| error.clone())
    }

    /// Takes a new process, unless the configuration has changed meanwhile.
    pub fn install(&self, process: &Arc<Process>) {
        let mut state = self.state.lock();
        if !state.is_about(process.version) {
            process.replaced.cancel();
            return;
        }
        state.refused = None;
        if let Some(former) = state.process.replace(Arc::clone(process)) {
            former.replaced.cancel();
        }
    }

    /// Remembers what came of a call.
    pub fn settle(&self, version: i64, outcome: &Result<Value, Failure>) {
        let mut state = self.state.lock();
        if !state.is_about(version) {
            return;
        }
        state.last_used = Instant::now();
        let now = self.clock.now();
        match outcome {
            Err(Failure::Engine(error)) if error.kind == ErrorKind::Retry => {
                state.target_failed(error.message.clone(), now);
            }
            Err(Failure::Late) => state.target_failed("the engine did not answer in time".to_owned(), now),
            Ok(answer) if let Some(error) = silence(answer) => {
                state.target_failed(tidy(error).message, now);
            }
            // counted where the process is watched
            Err(Failure::Gone(_) | Failure::NotSent(_)) => {}
            Ok(_) | Err(Failure::Engine(_)) => {
                state.breaker.works();
                state.set_health(HealthStatus::Healthy, None, now);
            }
        }
    }

    /// Remembers what the engine said of its configuration.
    pub fn refuse(&self, version: i64, error: &EngineError) {
        let mut state = self.state.lock();
        if state.is_about(version) {
            state.refused = Some((error.clone(), Instant::now() + REFUSAL));
            let now = self.clock.now();
            state.set_health(HealthStatus::Degraded, Some(error.to_string()), now);
        }
    }

    /// A process could not be started, or ended by itself.
    pub fn crashed(&self, version: i64, message: &str) {
        self.failed(version, message, false);
    }

    fn failed(&self, version: i64, message: &str, idle: bool) {
        let mut state = self.state.lock();
        if !state.is_about(version) {
            return;
        }
        if idle {
            state.breaker.ended_idle(Instant::now(), jitter());
        } else {
            state.breaker.crashed(Instant::now(), jitter());
        }
        let status = state.status_after_failure();
        let now = self.clock.now();
        state.set_health(status, Some(message.to_owned()), now);
        let wait = state.breaker.wait(Instant::now()).unwrap_or_default();
        tracing::warn!(engine = self.name, message, wait_ms = wait.as_millis(), "an engine's process failed");
    }

    /// Counts the failure of a process once, whoever sees it first.
    pub fn note_end(&self, process: &Process, end: &End) {
        if end.failure && process.count_once() {
            let message = match &end.detail {
                Some(detail) => format!("{} ({detail})", end.message),
                None => end.message.to_owned(),
            };
            self.failed(process.version, &message, process.connection.ended_idle());
        }
    }

    /// Ends the process if nothing was asked of it for so long; otherwise when to look again.
    pub fn retire_if_idle(&self, process: &Arc<Process>, idle: Duration) -> Option<Instant> {
        let mut state = self.state.lock();
        let due = state.last_used + idle;
        if process.connection.is_busy() {
            return Some(Instant::now() + idle.max(Duration::from_millis(50)));
        }
        if due > Instant::now() {
            return Some(due);
        }
        if state.process.as_ref().is_some_and(|current| Arc::ptr_eq(current, process)) {
            state.process = None;
            // a store that went back to an older state is believed then
            state.target = None;
            if !state.breaker.has_failed() {
                let now = self.clock.now();
                state.set_health(HealthStatus::Idle, None, now);
            }
        }
        None
    }

    /// The current process, taken out.
    pub fn take(&self) -> Option<Arc<Process>> {
        self.state.lock().process.take()
    }
}

impl State {
    fn is_about(&self, version: i64) -> bool {
        self.target.as_ref().is_some_and(|target| target.version == version)
    }

    /// Failures of a former configuration are no reason to wait with this one; its process is replaced. A caller that has read
    /// the former one a moment too early changes nothing.
    fn adopt(&mut self, target: &Target) {
        if self.target.as_ref().is_some_and(|known| known.version >= target.version) {
            return;
        }
        self.target = Some(target.clone());
        self.breaker = Breaker::default();
        self.refused = None;
        if let Some(former) = self.process.take() {
            former.replaced.cancel();
        }
    }

    fn turned_away(&self, left: Duration) -> CallError {
        let reason = self.health.last_error.as_deref().unwrap_or("it failed a moment ago");
        CallError::Unavailable {
            message: format!("the engine is not available at the moment: {reason}"),
            retry_after: Some(left),
        }
    }

    fn status_after_failure(&self) -> HealthStatus {
        if self.breaker.is_open() { HealthStatus::Down } else { HealthStatus::Degraded }
    }

    fn target_failed(&mut self, message: String, now: chrono::DateTime<chrono::Utc>) {
        self.breaker.target_failed(Instant::now(), jitter());
        let status = self.status_after_failure();
        self.set_health(status, Some(message), now);
    }

    fn set_health(
        &mut self,
        status: HealthStatus,
        last_error: Option<String>,
        now: chrono::DateTime<chrono::Utc>,
    ) {
        if self.health.status != status {
            self.health.since = now;
        }
        self.health.status = status;
        self.health.last_error = last_error;
    }
}

/// What was said of each revocation of a call, if it is of all of them that the target does not answer.
fn silence(answer: &Value) -> Option<EngineError> {
    let done = Vec::<Done>::deserialize(answer).ok()?;
    let passing = |done: &Done| matches!(done, Done::Error(error) if error.is_passing());
    if !done.iter().all(passing) {
        return None;
    }
    done.into_iter().find_map(|done| match done {
        Done::Error(error) => Some(error),
        Done::Ok => None,
    })
}

fn jitter() -> f64 {
    rand::random()
}

#[cfg(test)]
#[path = "slot_tests.rs"]
mod tests;
