//! The descriptors that the server hands over, and no others.

use rustix::fs::{FileType, SealFlags, fcntl_get_seals, fstat};
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

/// The server's end is its own; this is the engine's.
pub(in crate::engine) const SOCKET: RawFd = 3;
/// The plugin, sealed.
pub(in crate::engine) const LIBRARY: RawFd = 4;

pub(super) struct Inherited {
    pub socket: UnixStream,
    pub library: OwnedFd,
}

/// Takes both over and closes every other descriptor above them; `None` if they are not what they should be.
pub(super) fn take() -> Option<Inherited> {
    if !is_socket(SOCKET) || !is_sealed(LIBRARY) {
        return None;
    }
    close_above(LIBRARY);
    // SAFETY: both are open, as was just seen, and nothing else in this process has them: it has just started, with one thread,
    // and opened neither
    #[allow(unsafe_code, reason = "descriptors come into a process as numbers")]
    let (socket, library) = unsafe { (OwnedFd::from_raw_fd(SOCKET), OwnedFd::from_raw_fd(LIBRARY)) };
    Some(Inherited { socket: socket.into(), library })
}

fn borrowed<T>(number: RawFd, ask: impl FnOnce(BorrowedFd<'_>) -> T) -> T {
    // SAFETY: the number is not -1, and what is asked of it fails orderly if it is not open
    #[allow(unsafe_code, reason = "whether a number is an open descriptor can only be asked by its number")]
    let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
    ask(descriptor)
}

fn is_socket(number: RawFd) -> bool {
    borrowed(number, |descriptor| {
        fstat(descriptor).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Socket)
    })
}

fn is_sealed(number: RawFd) -> bool {
    let whole = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    borrowed(number, |descriptor| fcntl_get_seals(descriptor).is_ok_and(|seals| seals.contains(whole)))
}

/// The server opens everything so that it closes at exec; what a library in it may have opened otherwise ends here.
fn close_above(last: RawFd) {
    // SAFETY: nothing in this process owns a descriptor above these: it has just started
    #[allow(unsafe_code, reason = "no safe interface closes a range of descriptors")]
    // a kernel without the call (before 5.9) has no Landlock either, which is reported
    let _ = unsafe { libc::syscall(libc::SYS_close_range, last + 1, u32::MAX, 0) };
}
