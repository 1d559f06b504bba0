//! One engine's process: started, greeted, and ended with the handle.

use super::connection::Connection;
use super::host::{LIBRARY, SOCKET};
use super::outcome::End;
use super::types::{EngineSettings, PluginPin, SandboxPolicy};
use super::{level, starter::Starter};
use command_fds::{CommandFdExt, FdMapping};
use secrethub_engine::wire::{self, FromEngine, Hello, PROTOCOL, Sandbox};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::AsyncRead;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a process may take until its plugin has said what it is.
const HANDSHAKE: Duration = Duration::from_secs(15);
/// How long what an ended process has said may take to be read.
const LAST_WORDS: Duration = Duration::from_millis(100);
/// The longest texts of a plugin about itself.
const MAX_KIND: usize = 64;
const MAX_VERSION: usize = 64;
const MAX_PROBLEM: usize = 500;

/// Under which processes run: ended together by the token, counted by the tracker until they are gone.
#[derive(Clone)]
pub(super) struct Tenure {
    pub closing: CancellationToken,
    pub tracker: TaskTracker,
}

impl Tenure {
    pub fn new() -> Self {
        Self { closing: CancellationToken::new(), tracker: TaskTracker::new() }
    }

    /// One that ends with this one, or before.
    pub fn child(&self) -> Self {
        Self { closing: self.closing.child_token(), tracker: self.tracker.clone() }
    }
}

/// A process that has said what it is. Ended when this is dropped.
pub(super) struct Process {
    pub connection: Connection,
    pub hello: Hello,
    pub sandbox: Sandbox,
    /// Of the configuration that it is given; 0: of none.
    pub version: i64,
    pub closing: CancellationToken,
    /// Cancelled when there is no process any more.
    pub ended: CancellationToken,
    /// Another process has taken its place.
    pub replaced: CancellationToken,
    /// Keeps the plugin's bytes, which further processes share.
    _library: Arc<OwnedFd>,
    counted: AtomicBool,
}

impl Process {
    /// Whether it has ended or is about to.
    pub fn is_closed(&self) -> bool {
        self.closing.is_cancelled()
    }

    /// Whether this is the first to count its failure.
    pub fn count_once(&self) -> bool {
        !self.counted.swap(true, Ordering::Relaxed)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.connection.close(End::stopped());
    }
}

/// Starts a process for a plugin and waits for what it says of itself.
///
/// # Errors
/// A sentence for the operator.
pub(super) async fn start(
    settings: &EngineSettings,
    starter: &Starter,
    pin: &PluginPin,
    library: Arc<OwnedFd>,
    tenure: &Tenure,
) -> Result<Process, String> {
    let tenure = tenure.child();
    let (ours, theirs) = StdUnixStream::pair().map_err(|_| no_socket())?;
    ours.set_nonblocking(true).map_err(|_| no_socket())?;
    let library_for_child = library.try_clone().map_err(|_| no_socket())?;
    let command = command(settings, pin, theirs, library_for_child)?;
    let child = starter.spawn(command).await?;
    let ended = CancellationToken::new();
    let cause = Arc::new(OnceLock::new());
    // from here on it is ended and waited for in any case
    tenure.tracker.spawn(reap(child, tenure.closing.clone(), Arc::clone(&cause), ended.clone()));
    let guard = tenure.closing.clone().drop_guard();

    let stream = UnixStream::from_std(ours).map_err(|_| no_socket())?;
    let (mut from, to) = stream.into_split();
    let (sandbox, hello) = greeted(&mut from, &tenure.closing, &cause).await?;
    if settings.sandbox == SandboxPolicy::Required && !level::lacking(&sandbox).is_empty() {
        return Err("the process is not confined as required".to_owned());
    }
    let closing = guard.disarm();
    let connection = Connection::start(from, to, closing.clone(), cause);
    let replaced = CancellationToken::new();
    let counted = AtomicBool::new(false);
    Ok(Process {
        connection,
        hello,
        sandbox,
        version: 0,
        closing,
        ended,
        replaced,
        _library: library,
        counted,
    })
}

fn no_socket() -> String {
    "this server has no descriptors left for another process".to_owned()
}

/// Empty environment, nothing inherited but the socket and the plugin, and none of the terminal's signals.
fn command(
    settings: &EngineSettings,
    pin: &PluginPin,
    socket: StdUnixStream,
    library: OwnedFd,
) -> Result<Command, String> {
    let mut command = std::process::Command::new(&settings.host_program);
    command.arg0("secrethub").arg("engine-host").env_clear().current_dir("/").process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    for path in &pin.read {
        command.arg("--read").arg(path);
    }
    for path in &pin.write {
        command.arg("--write").arg(path);
    }
    if settings.sandbox == SandboxPolicy::BestEffort {
        command.arg("--best-effort");
    }
    let mappings = vec![
        FdMapping { parent_fd: socket.into(), child_fd: SOCKET },
        FdMapping { parent_fd: library, child_fd: LIBRARY },
    ];
    command.fd_mappings(mappings).map_err(|_| no_socket())?;
    let mut command = Command::from(command);
    command.kill_on_drop(true);
    Ok(command)
}

/// Waits for the process or its end to be wanted; afterwards it is gone.
async fn reap(
    mut child: Child,
    closing: CancellationToken,
    cause: Arc<OnceLock<End>>,
    ended: CancellationToken,
) {
    let status = tokio::select! {
        biased;
        () = closing.cancelled() => None,
        status = child.wait() => status.ok(),
    };
    if let Some(status) = status {
        let detail = Some(describe(status));
        // nobody else says how it ended
        let _ = cause.set(End { detail, ..End::failure("the engine's process ended") });
    }
    closing.cancel();
    // fails if it has ended, which is what is wanted
    let _ = child.start_kill();
    let _ = child.wait().await;
    ended.cancel();
}

fn describe(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "unknown".to_owned(),
    }
}

fn ended_early(cause: &OnceLock<End>) -> String {
    match cause.get().and_then(|end| end.detail.as_deref()) {
        Some(detail) => format!("the process ended before the plugin said what it is ({detail})"),
        None => "the engine was stopped".to_owned(),
    }
}

/// What is said first, within a time limit, or why nothing is.
async fn greeted(
    from: &mut (impl AsyncRead + Unpin),
    closing: &CancellationToken,
    cause: &OnceLock<End>,
) -> Result<(Sandbox, Hello), String> {
    let mut greeting = pin!(greet(from));
    tokio::select! {
        greeted = timeout(HANDSHAKE, &mut greeting) => greeted
            .unwrap_or_else(|_| Err("the plugin did not say what it is in time".to_owned())),
        // what it said before it ended is still to be read
        () = closing.cancelled() => match timeout(LAST_WORDS, &mut greeting).await {
            Ok(Err(reason)) if cause.get().is_some() => Err(reason),
            _ => Err(ended_early(cause)),
        },
    }
}

/// What the host and then the plugin say first.
async fn greet(from: &mut (impl AsyncRead + Unpin)) -> Result<(Sandbox, Hello), String> {
    let sandbox = match next(from).await? {
        FromEngine::Sandbox(sandbox) => sandbox,
        FromEngine::Failed { message } => return Err(line(&message)),
        _ => return Err("the process did not say how it is confined".to_owned()),
    };
    let hello = match next(from).await? {
        FromEngine::Hello(hello) => hello,
        FromEngine::Failed { message } => return Err(line(&message)),
        _ => return Err("the plugin did not say what it is".to_owned()),
    };
    check(&hello)?;
    Ok((sandbox, hello))
}

async fn next(from: &mut (impl AsyncRead + Unpin)) -> Result<FromEngine, String> {
    match wire::read(from).await {
        Ok(Some(message)) => Ok(message),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err("what the plugin says first cannot be read: it was built for another version".to_owned())
        }
        // how the process ended says more
        Ok(None) | Err(_) => std::future::pending().await,
    }
}

fn check(hello: &Hello) -> Result<(), String> {
    if hello.protocol != PROTOCOL {
        return Err(format!(
            "the plugin speaks version {} of the protocol and this server {PROTOCOL}: build it anew",
            hello.protocol
        ));
    }
    let letters = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    if hello.kind.is_empty() || hello.kind.len() > MAX_KIND || !hello.kind.bytes().all(letters) {
        return Err("the plugin's kind is not 1 to 64 small letters, digits and '-'".to_owned());
    }
    if hello.version.len() > MAX_VERSION || !hello.version.bytes().all(|c| c.is_ascii_graphic()) {
        return Err("the plugin's version is not a short text".to_owned());
    }
    if !hello.config_schema.is_object() || !hello.role_schema.is_object() {
        return Err("the plugin does not describe its configuration and roles".to_owned());
    }
    Ok(())
}

/// A plugin's words: bounded, and on one line.
fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_PROBLEM).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_plugin_that_is_not_understood_is_refused() {
        let fit = Hello {
            protocol: PROTOCOL,
            kind: "aws-iam".to_owned(),
            version: "1.2.3".to_owned(),
            config_schema: json!({}),
            role_schema: json!({}),
            restores: false,
        };
        assert_eq!(check(&fit), Ok(()));
        assert!(check(&Hello { protocol: PROTOCOL + 1, ..fit.clone() }).is_err());
        for kind in ["", "A", "a b", "a\nb", &"x".repeat(65)] {
            assert!(check(&Hello { kind: kind.to_owned(), ..fit.clone() }).is_err(), "{kind}");
        }
        assert!(check(&Hello { version: "1\n2".to_owned(), ..fit.clone() }).is_err());
        assert!(check(&Hello { role_schema: json!(1), ..fit }).is_err());
    }
}
