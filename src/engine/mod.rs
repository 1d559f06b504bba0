//! Floor 3: the engines' processes. This server never loads a plugin into its own process: it starts `secrethub engine-host` for
//! each configured engine, which confines itself and loads the plugin, and talks to it over one socket.
//!
//! [`Engines`] starts processes on demand, watches over them, and bounds what they are asked. An engine that fails degrades its
//! own calls only. `registry` knows the plugins, `slot` one configured engine, `process` and `connection` one process, `host` is
//! the inside of that process.

mod breaker;
mod bytes;
mod connection;
pub mod host;
mod lanes;
mod level;
mod outcome;
mod process;
mod registry;
mod slot;
mod starter;
mod supervisor;
mod types;

pub use types::{
    CallError, ConfigSource, EngineSettings, Health, HealthStatus, Lane, PluginInfo, PluginPin,
    SandboxPolicy, Target,
};

use crate::model::clock::Clock;
use outcome::Failure;
use parking_lot::Mutex;
use process::{Process, Tenure};
use registry::Registry;
use secrethub_engine::Installation;
use secrethub_engine::wire::Operation;
use serde_json::Value;
use slot::Slot;
use starter::Starter;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};
use uuid::Uuid;

/// The longest that a call may take, whatever its deadline says.
const MAX_DEADLINE: Duration = Duration::from_secs(600);
/// Processes for configurations that are tried out, at a time.
const PROBES: usize = 4;
/// How long ending a process may take; the kernel does it, so this is no more than a safeguard.
const ENDING: Duration = Duration::from_secs(5);

/// All engines of this node. A cheap handle; the processes end with the last.
#[derive(Clone)]
pub struct Engines(Arc<Inner>);

struct Inner {
    settings: EngineSettings,
    clock: Arc<dyn Clock>,
    registry: Registry,
    starter: Starter,
    /// Replaced when everything is stopped: what was started under the former one ends.
    tenure: Mutex<Tenure>,
    slots: Mutex<HashMap<Uuid, Arc<Slot>>>,
    probes: Semaphore,
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.tenure.lock().closing.cancel();
    }
}

impl Engines {
    /// Nothing is read or started yet.
    #[must_use]
    pub fn new(settings: EngineSettings, clock: Arc<dyn Clock>) -> Self {
        let registry = Registry::new(&settings.plugins);
        Self(Arc::new(Inner {
            settings,
            clock,
            registry,
            starter: Starter::default(),
            tenure: Mutex::new(Tenure::new()),
            slots: Mutex::default(),
            probes: Semaphore::new(PROBES),
        }))
    }

    /// Starts each plugin once, learns what it is and how far its process is confined, and logs it. A plugin that fails is
    /// reported as unavailable and stops nothing else.
    pub async fn describe(&self) {
        let Inner { settings, registry, starter, .. } = &*self.0;
        registry.describe(settings, starter, &self.tenure()).await;
    }

    /// What is known of the plugins, in the order of the configuration.
    #[must_use]
    pub fn plugins(&self) -> Vec<PluginInfo> {
        self.0.registry.infos()
    }

    /// The plugin of a kind; asks those first of which nothing is known yet. `None`: no plugin says it has this kind.
    pub async fn plugin(&self, kind: &str) -> Option<PluginInfo> {
        let Inner { settings, registry, starter, .. } = &*self.0;
        registry.of_kind(kind, settings, starter, &self.tenure()).await.map(|plugin| plugin.info())
    }

    /// Asks an engine, starting its process if there is none. Dropping the future cancels the call.
    ///
    /// # Errors
    /// What the engine said, or that it could not be asked or did not answer within `deadline`: then it may have done its work all
    /// the same.
    pub async fn call(
        &self,
        target: &Target,
        installation: &Installation,
        operation: Operation,
        deadline: Duration,
        lane: Lane,
    ) -> Result<Value, CallError> {
        let end = Instant::now() + deadline.min(MAX_DEADLINE);
        let slot = self.slot(target);
        slot.check(target)?;
        let _place = slot.lanes.enter(lane, end).await?;
        let _admitted = slot.admit(target)?;
        let (mut outcome, mut version) =
            self.once(&slot, target, installation, operation.clone(), end).await?;
        let stopped = slot.tenure.closing.is_cancelled();
        if matches!(outcome, Err(Failure::NotSent(_))) && !stopped && slot.wait().is_none() {
            // a process that ended idle is noticed by whoever would be its next caller: another one hears of the call for the first time
            (outcome, version) = self.once(&slot, target, installation, operation, end).await?;
        }
        slot.settle(version, &outcome);
        outcome.map_err(CallError::from)
    }

    /// One call of the process that there is, or of one that is started for it, and the version of the configuration that it has.
    async fn once(
        &self,
        slot: &Arc<Slot>,
        target: &Target,
        installation: &Installation,
        operation: Operation,
        end: Instant,
    ) -> Result<(Result<Value, Failure>, i64), CallError> {
        let process = match slot.running(target.version) {
            Some(process) => process,
            None => self.started(slot, target, installation, end).await?,
        };
        let outcome = process.connection.call(operation, end).await;
        if let Err(Failure::Gone(end) | Failure::NotSent(end)) = &outcome {
            slot.note_end(&process, end);
        }
        Ok((outcome, process.version))
    }

    /// Waits for a process; its start goes on if this caller gives up.
    async fn started(
        &self,
        slot: &Arc<Slot>,
        target: &Target,
        installation: &Installation,
        end: Instant,
    ) -> Result<Arc<Process>, CallError> {
        let starting =
            supervisor::start(Arc::clone(&self.0), Arc::clone(slot), target.clone(), installation.clone());
        match timeout_at(end, tokio::spawn(starting)).await {
            Ok(Ok(started)) => started,
            Ok(Err(_)) => Err(CallError::unavailable("the engine could not be started: try again later")),
            Err(_) => Err(CallError::unavailable("the engine did not start in time: try again shortly")),
        }
    }

    /// Asks an engine with a configuration that is not saved yet, in a process of its own. The first operation that fails ends it.
    ///
    /// # Errors
    /// As [`Engines::call`].
    pub async fn probe(
        &self,
        target: &Target,
        installation: &Installation,
        operations: Vec<Operation>,
        deadline: Duration,
    ) -> Result<(), CallError> {
        let end = Instant::now() + deadline.min(MAX_DEADLINE);
        let busy =
            || CallError::unavailable("too many configurations are tried out at the moment: try again later");
        let _place =
            timeout_at(end, self.0.probes.acquire()).await.map_err(|_| busy())?.map_err(|_| busy())?;
        let tenure = self.tenure();
        let connecting = supervisor::connect(&self.0, target, installation, &tenure, end);
        let process = timeout_at(end, connecting)
            .await
            .map_err(|_| CallError::unavailable("the engine did not start in time: try again shortly"))?
            .map_err(supervisor::NotStarted::into_error)?;
        for operation in operations {
            process.connection.call(operation, end).await?;
        }
        Ok(())
    }

    /// How an engine is doing.
    #[must_use]
    pub fn health(&self, id: Uuid) -> Health {
        let slot = self.0.slots.lock().get(&id).map(Arc::clone);
        match slot {
            Some(slot) => slot.health(),
            None => Health { status: HealthStatus::Idle, since: self.0.clock.now(), last_error: None },
        }
    }

    /// How long no call of this engine is let through yet, after failures; `None` if it may be asked.
    #[must_use]
    pub fn is_open(&self, id: Uuid) -> Option<Duration> {
        let slot = self.0.slots.lock().get(&id).map(Arc::clone);
        slot.and_then(|slot| slot.wait())
    }

    /// Has calls from now on, also of those who have read an older configuration, served by a process that has this one. What is under
    /// way may finish.
    pub fn renew(&self, target: &Target) {
        self.slot(target).renew(target);
    }

    /// Ends an engine's process and forgets its failures. Calls under way fail; the next call starts another.
    pub async fn stop(&self, id: Uuid) {
        let slot = self.0.slots.lock().remove(&id);
        let Some(slot) = slot else { return };
        slot.tenure.closing.cancel();
        if let Some(process) = slot.take() {
            // ended by the kernel; a caller is not kept for ever if even that fails
            let _ = timeout(ENDING, process.ended.cancelled()).await;
        }
    }

    /// Ends every process: they hold configurations. Returns when they are gone.
    pub async fn stop_all(&self) {
        let former = std::mem::replace(&mut *self.0.tenure.lock(), Tenure::new());
        self.0.slots.lock().clear();
        former.closing.cancel();
        former.tracker.close();
        if timeout(ENDING, former.tracker.wait()).await.is_err() {
            tracing::error!("a process of an engine could not be ended");
        }
    }

    fn tenure(&self) -> Tenure {
        self.0.tenure.lock().clone()
    }

    fn slot(&self, target: &Target) -> Arc<Slot> {
        let mut slots = self.0.slots.lock();
        let slot = slots.entry(target.id).or_insert_with(|| {
            let clock = Arc::clone(&self.0.clock);
            Arc::new(Slot::new(target.name.clone(), self.tenure().child(), clock))
        });
        Arc::clone(slot)
    }
}
