//! `secrethub engine-host`: the process of one engine. Started by the server, with descriptors that nobody else can hand over.

use super::failure::Failure;
use crate::engine::SandboxPolicy;
use crate::engine::host::{self, HostOptions};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(clap::Args, Debug)]
pub struct EngineHostCommand {
    /// A file or folder that the plugin may read.
    #[arg(long, value_name = "PATH")]
    read: Vec<PathBuf>,
    /// A folder that it may change.
    #[arg(long, value_name = "PATH")]
    write: Vec<PathBuf>,
    /// Load it even if the system cannot confine this process completely.
    #[arg(long)]
    best_effort: bool,
}

/// Nothing comes before it: no logging, no configuration, no runtime.
pub fn run(args: EngineHostCommand) -> Result<ExitCode, Failure> {
    let policy = if args.best_effort { SandboxPolicy::BestEffort } else { SandboxPolicy::Required };
    host::run(&HostOptions { read: args.read, write: args.write, policy })
        .map(ExitCode::from)
        .map_err(|_| Failure::misused("engine-host is started by the server only".to_owned()))
}
