//! The `secrethub` program.

use std::process::ExitCode;

/// glibc's allocator keeps an arena for every thread: resident memory under load would be far larger.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    secrethub::cli::run()
}
