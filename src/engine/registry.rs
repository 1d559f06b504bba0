//! The plugins that the configuration lists: what is known of each, and its bytes while a process needs them.

use super::bytes;
use super::level;
use super::process::{self, Process, Tenure};
use super::starter::Starter;
use super::types::{EngineSettings, PluginInfo, PluginPin};
use parking_lot::Mutex;
use secrethub_engine::wire::{Hello, Sandbox};
use serde_json::Value;
use std::os::fd::OwnedFd;
use std::pin::pin;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How long a plugin that could not be described is left alone before it is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(10);

/// One plugin of the configuration.
pub(super) struct Plugin {
    pin: PluginPin,
    /// The hash that counts: the configuration's, or the first one seen.
    sha256: OnceLock<String>,
    /// Shared by all processes of this plugin; gone with the last.
    library: tokio::sync::Mutex<Weak<OwnedFd>>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    hello: Option<(Hello, Sandbox)>,
    /// What is wrong, and since when.
    problem: Option<(String, Instant)>,
}

impl Plugin {
    fn new(pin: PluginPin) -> Self {
        let sha256 = OnceLock::new();
        if let Some(pinned) = &pin.sha256 {
            // a new cell takes the first value
            let _ = sha256.set(pinned.to_ascii_lowercase());
        }
        Self { pin, sha256, library: tokio::sync::Mutex::default(), known: Mutex::default() }
    }

    fn file_name(&self) -> String {
        self.pin.file.file_name().unwrap_or(self.pin.file.as_os_str()).to_string_lossy().into_owned()
    }

    /// Starts a process of this plugin. What goes wrong is remembered as its problem, and forgotten when it goes well.
    pub async fn start(
        &self,
        settings: &EngineSettings,
        starter: &Starter,
        tenure: &Tenure,
    ) -> Result<Process, String> {
        let started = match self.library().await {
            Ok(library) => process::start(settings, starter, &self.pin, library, tenure).await,
            Err(problem) => Err(problem),
        };
        let mut known = self.known.lock();
        match started {
            Ok(process) => {
                known.problem = None;
                known.hello = Some((process.hello.clone(), process.sandbox.clone()));
                Ok(process)
            }
            // not the plugin's fault
            Err(reason) if tenure.closing.is_cancelled() => Err(reason),
            Err(problem) => {
                known.problem = Some((problem.clone(), Instant::now()));
                Err(problem)
            }
        }
    }

    /// The bytes, from another process of this plugin or from the file; checked in any case.
    async fn library(&self) -> Result<Arc<OwnedFd>, String> {
        let mut shared = self.library.lock().await;
        if let Some(library) = shared.upgrade() {
            return Ok(library);
        }
        let path = self.pin.file.clone();
        let sealed = tokio::task::spawn_blocking(move || bytes::read(&path))
            .await
            .map_err(|_| "the file could not be read".to_owned())??;
        if *self.sha256.get_or_init(|| sealed.sha256.clone()) != sealed.sha256 {
            return Err(format!(
                "the file is not the one that was configured: its SHA-256 is {}; put back the file, or configure this hash if \
                 it was changed on purpose",
                sealed.sha256
            ));
        }
        let library = Arc::new(sealed.file);
        *shared = Arc::downgrade(&library);
        Ok(library)
    }

    fn kind(&self) -> Option<String> {
        self.known.lock().hello.as_ref().map(|(hello, _)| hello.kind.clone())
    }

    /// Whether describing it is worth a try: it never was, or that failed some time ago.
    fn is_due(&self) -> bool {
        let known = self.known.lock();
        match &known.problem {
            None => known.hello.is_none(),
            Some((_, since)) => since.elapsed() >= TRY_AGAIN,
        }
    }

    pub fn info(&self) -> PluginInfo {
        let file_name = self.file_name();
        let sha256 = self.sha256.get().cloned().unwrap_or_default();
        let known = self.known.lock();
        let problem = known.problem.as_ref().map(|(problem, _)| problem.clone());
        let available = known.hello.is_some() && problem.is_none();
        match &known.hello {
            Some((hello, sandbox)) => PluginInfo {
                kind: hello.kind.clone(),
                version: hello.version.clone(),
                sha256,
                file_name,
                sandbox: level::describe(sandbox),
                config_schema: hello.config_schema.clone(),
                role_schema: hello.role_schema.clone(),
                restores: hello.restores,
                available,
                problem,
            },
            None => PluginInfo {
                kind: kind_of_file(&file_name),
                version: String::new(),
                sha256,
                file_name,
                sandbox: String::new(),
                config_schema: Value::Null,
                role_schema: Value::Null,
                restores: false,
                available,
                problem: problem.or_else(|| Some("the plugin has not been asked yet".to_owned())),
            },
        }
    }
}

/// All plugins, in the order of the configuration.
pub(super) struct Registry {
    plugins: Vec<Arc<Plugin>>,
    describing: tokio::sync::Mutex<()>,
    /// Told of each plugin that has said what it is.
    described: Notify,
}

impl Registry {
    pub fn new(pins: &[PluginPin]) -> Self {
        let plugins = pins.iter().cloned().map(Plugin::new).map(Arc::new).collect();
        Self { plugins, describing: tokio::sync::Mutex::new(()), described: Notify::new() }
    }

    pub fn infos(&self) -> Vec<PluginInfo> {
        self.plugins.iter().map(|plugin| plugin.info()).collect()
    }

    /// The plugin of a kind, available or not; describes first what has not been.
    pub async fn of_kind(
        &self,
        kind: &str,
        settings: &EngineSettings,
        starter: &Starter,
        tenure: &Tenure,
    ) -> Option<Arc<Plugin>> {
        let mut describing = pin!(self.describe(settings, starter, tenure));
        loop {
            let mut described = pin!(self.described.notified());
            // from here on none is missed
            described.as_mut().enable();
            if let Some(plugin) = self.find(kind) {
                return Some(plugin);
            }
            tokio::select! {
                () = &mut describing => return self.find(kind),
                // a plugin that takes long keeps nobody from another
                () = described => {}
            }
        }
    }

    /// The first that says so has the kind.
    fn find(&self, kind: &str) -> Option<Arc<Plugin>> {
        self.plugins.iter().find(|plugin| plugin.kind().as_deref() == Some(kind)).map(Arc::clone)
    }

    /// Starts, once and all at a time, those of which nothing is known yet.
    pub async fn describe(&self, settings: &EngineSettings, starter: &Starter, tenure: &Tenure) {
        let _one = self.describing.lock().await;
        let due: Vec<_> = self.plugins.iter().filter(|plugin| plugin.is_due()).collect();
        let asking = due.iter().map(|plugin| async {
            // the process is not needed; what it said is kept
            let _ = plugin.start(settings, starter, tenure).await;
            self.described.notify_waiters();
        });
        futures_util::future::join_all(asking).await;
        self.find_duplicates();
        for plugin in due {
            report(&plugin.info());
        }
    }

    fn find_duplicates(&self) {
        for (at, plugin) in self.plugins.iter().enumerate() {
            let Some(kind) = plugin.kind() else { continue };
            let first = self.plugins[..at].iter().find(|other| other.kind().as_ref() == Some(&kind));
            if let Some(first) = first {
                let problem = format!("another plugin has the kind '{kind}' already: {}", first.file_name());
                plugin.known.lock().problem = Some((problem, Instant::now()));
            }
        }
    }
}

fn report(info: &PluginInfo) {
    let PluginInfo { kind, version, sha256, file_name, sandbox, problem, .. } = info;
    match problem {
        None if sandbox.starts_with("full") => {
            tracing::info!(kind, version, sha256, file = file_name, sandbox, "engine plugin");
        }
        None => tracing::warn!(
            kind,
            version,
            sha256,
            file = file_name,
            sandbox,
            "engine plugin: its processes are not confined completely"
        ),
        Some(problem) => tracing::warn!(kind, file = file_name, problem, "engine plugin not available"),
    }
}

/// `aws-iam` of `libsecrethub_engine_aws_iam.so`: for display, as long as the plugin cannot say it itself.
fn kind_of_file(name: &str) -> String {
    let stem = name.split('.').next().unwrap_or(name);
    stem.trim_start_matches("lib").trim_start_matches("secrethub_engine_").replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_that_cannot_speak_is_called_after_its_file() {
        assert_eq!(kind_of_file("libsecrethub_engine_aws_iam.so"), "aws-iam");
        assert_eq!(kind_of_file("redis.so"), "redis");
        let pin = PluginPin {
            file: "/opt/libsecrethub_engine_redis.so".into(),
            sha256: Some("AB".repeat(32)),
            read: vec![],
            write: vec![],
        };
        let info = Plugin::new(pin).info();
        assert!(!info.available && info.problem.is_some());
        assert_eq!((info.kind.as_str(), info.sha256), ("redis", "ab".repeat(32)));
    }
}
