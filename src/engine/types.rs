//! The words of this floor's interface.

use crate::error::Result;
use chrono::{DateTime, Utc};
use secrethub_engine::EngineError;
use serde_json::Value;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// A plugin that may be loaded: this file, with these bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginPin {
    pub file: PathBuf,
    /// SHA-256 of the file, 64 hex digits. `None`: what it has at the first use counts from then on (`secrethub dev`).
    pub sha256: Option<String>,
    /// Files and folders that this plugin may read, besides those that name resolution and TLS need.
    pub read: Vec<PathBuf>,
    /// Folders whose files it may also change.
    pub write: Vec<PathBuf>,
}

/// What happens where the system cannot confine an engine's process completely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SandboxPolicy {
    /// The plugin is not loaded.
    #[default]
    Required,
    /// It is, and how far it is confined is reported.
    BestEffort,
}

/// What [`super::Engines`] are started with.
#[derive(Debug, Clone)]
pub struct EngineSettings {
    /// The `secrethub` program.
    pub host_program: PathBuf,
    pub plugins: Vec<PluginPin>,
    pub sandbox: SandboxPolicy,
    /// A process that nothing was asked of for so long is ended; the next call starts another.
    pub idle: Duration,
}

impl Default for EngineSettings {
    fn default() -> Self {
        Self {
            host_program: "/proc/self/exe".into(),
            plugins: Vec::new(),
            sandbox: SandboxPolicy::default(),
            idle: Duration::from_secs(300),
        }
    }
}

/// What is known of a plugin.
#[derive(Debug, Clone, PartialEq)]
pub struct PluginInfo {
    /// What it says of itself; as long as it has said nothing, what its file is called.
    pub kind: String,
    pub version: String,
    pub sha256: String,
    pub file_name: String,
    /// How far its process is confined.
    pub sandbox: String,
    pub config_schema: Value,
    pub role_schema: Value,
    /// Whether it makes accounts anew that a target has lost.
    pub restores: bool,
    /// Whether engines of this kind can be used.
    pub available: bool,
    /// Why not, for operators.
    pub problem: Option<String>,
}

/// Gives a target's configuration when a process is started for it; it may be sealed until then.
pub type ConfigSource = Arc<dyn Fn() -> Result<Value> + Send + Sync>;

/// One configured engine.
#[derive(Clone)]
pub struct Target {
    pub id: Uuid,
    pub name: String,
    pub kind: String,
    /// Grows with each change of the configuration: a process with an older one is replaced.
    pub version: i64,
    pub config: ConfigSource,
}

/// On whose behalf a call is made. Each has places of its own, so that a storm of revocations starves no caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    Caller,
    Background,
}

/// Why a call gave nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallError {
    /// What the engine said.
    Engine(EngineError),
    /// The engine could not be asked, or did not answer. It may have done its work all the same.
    Unavailable {
        /// For callers.
        message: String,
        retry_after: Option<Duration>,
    },
}

impl CallError {
    pub(super) fn unavailable(message: impl Into<String>) -> Self {
        Self::Unavailable { message: message.into(), retry_after: None }
    }
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Engine(error) => error.fmt(f),
            Self::Unavailable { message, .. } => f.write_str(message),
        }
    }
}

impl std::error::Error for CallError {}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthStatus {
    /// No process runs and nothing is wrong.
    Idle,
    /// It answered the last call.
    Healthy,
    /// Its last calls failed, and it is still asked.
    Degraded,
    /// It failed so often that it is asked only now and then.
    Down,
}

/// How an engine is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Health {
    pub status: HealthStatus,
    pub since: DateTime<Utc>,
    /// What went wrong last; `None` once it answers again.
    pub last_error: Option<String>,
}
