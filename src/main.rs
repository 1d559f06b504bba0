//! The `secrethub` program.

use std::process::ExitCode;

/// glibc's allocator keeps an arena for every thread: resident memory under load would be far larger.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // In the background the kernel makes huge pages of what is touched here and there, and resident memory grows for hours with nothing
    // allocated. Where it does not take this (a container's seccomp may forbid it), that is all that happens.
    let _ = nix::sys::prctl::set_thp_disable(true);
    secrethub::cli::run()
}
