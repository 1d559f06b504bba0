//! Ends the process when the server goes, even if the plugin hangs.

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Signal, getpid, kill_process};
use std::io;
use std::os::unix::net::UnixStream;

/// Waits, in a thread of its own, for the server's end of the socket to close. A plugin that breaks this too ends with the
/// thread of the server that started it, by the kernel.
pub(super) fn start(socket: &UnixStream) -> io::Result<()> {
    let socket = socket.try_clone()?;
    std::thread::Builder::new().name("watchdog".to_owned()).stack_size(64 << 10).spawn(move || {
        let mut watched = [PollFd::new(&socket, PollFlags::RDHUP)];
        // hanging up is reported without being asked for
        while matches!(poll(&mut watched, None), Err(Errno::INTR) | Ok(0)) {}
        // no orderly end: what the plugin registered for one might hang as well
        let _ = kill_process(getpid(), Signal::KILL);
    })?;
    Ok(())
}
