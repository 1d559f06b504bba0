//! The inside of an engine's process: it confines itself, and only then loads the plugin, whose constructors run at that.
//!
//! What it may rely on: descriptor 3 is one end of a socket to the server, descriptor 4 a sealed file in memory with the plugin,
//! 0 to 2 are `/dev/null`; there is no environment and one thread. What a plugin can then do: compute, keep memory, talk to the
//! network over IPv4 and IPv6, read the few files that name resolution and TLS need and those that the configuration names for
//! it. What it cannot: read or signal other processes, start one, reach Unix sockets, listen, change files or their modes.

mod confine;
mod descriptors;
mod files;
mod load;
mod syscalls;
mod watchdog;

pub(super) use descriptors::{LIBRARY, SOCKET};

use super::SandboxPolicy;
use super::level;
use secrethub_engine::wire::{self, FromEngine};
use std::io::Write;
use std::os::fd::IntoRawFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

/// What the server says to the host about one plugin, in its arguments.
#[derive(Debug, Clone)]
pub struct HostOptions {
    /// Files and folders that this plugin may read.
    pub read: Vec<PathBuf>,
    /// Folders that it may also change.
    pub write: Vec<PathBuf>,
    pub policy: SandboxPolicy,
}

/// The process was not started by the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotInherited;

/// Confines this process, loads the plugin and serves until the socket closes. The process's exit code: 0 if it ended in order.
///
/// # Errors
/// If the descriptors that the server hands over are not there; nothing has been changed then.
pub fn run(options: &HostOptions) -> Result<u8, NotInherited> {
    let descriptors::Inherited { mut socket, library } = descriptors::take().ok_or(NotInherited)?;
    match prepare(options, &mut socket) {
        Ok(()) => {}
        Err(message) => return Ok(fail(&mut socket, message)),
    }
    let plugin = match load::load(library) {
        Ok(plugin) => plugin,
        Err(message) => return Ok(fail(&mut socket, message)),
    };
    let code = plugin.serve(socket.into_raw_fd());
    Ok(u8::try_from(code).unwrap_or(1))
}

/// Confines the process and says how far that went.
fn prepare(options: &HostOptions, socket: &mut UnixStream) -> Result<(), String> {
    let reached = confine::process(options);
    let lacking = level::lacking(&reached);
    if options.policy == SandboxPolicy::Required && !lacking.is_empty() {
        return Err(format!(
            "the sandbox is required and this system does not give it: no {}; run on Linux 5.13 or later with Landlock \
             enabled, or set engines.sandbox to \"best-effort\"",
            lacking.join(", no ")
        ));
    }
    watchdog::start(socket)
        .map_err(|_| "the process cannot watch its server: it may start no thread".to_owned())?;
    say(socket, &FromEngine::Sandbox(reached)).map_err(|_| "the server does not listen".to_owned())
}

fn say(socket: &mut UnixStream, message: &FromEngine) -> std::io::Result<()> {
    socket.write_all(&wire::encode(message)?)
}

fn fail(socket: &mut UnixStream, message: String) -> u8 {
    // without a server there is nobody to tell
    let _ = say(socket, &FromEngine::Failed { message });
    1
}
