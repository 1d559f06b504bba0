//! Floor 6: the command line. Exit codes: 0 done; 1 failed, refused, or (audit verify) the log was altered; 2 used wrongly,
//! or the log could not be checked; 3 (operator status) sealed or not initialised.

mod audit;
mod client;
mod dev;
mod engine_host;
mod failure;
pub mod logging;
mod node;
mod operator;
mod prompt;
mod rekey;
mod server;
mod telemetry;

use clap::{Parser, Subcommand};
use failure::Failure;
use std::io::Write;
use std::process::ExitCode;

/// A secrets manager with one GraphQL API.
#[derive(Parser)]
#[command(name = "secrethub", version, about)]
#[command(
    after_help = "Exit codes: 0 done; 1 failed, refused, or the audit log was altered; 2 used wrongly, or the log \
                        could not be checked; 3 (operator status) sealed or not initialised."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Start a server to try things out: temporary store, initialised, unsealed.
    Dev(dev::DevCommand),
    /// Start a server from its configuration.
    Server(server::ServerCommand),
    /// Initialise, unseal, seal and look after a running server.
    Operator(operator::OperatorArgs),
    /// Export the audit log, and check an exported one offline.
    Audit(audit::AuditArgs),
    /// Print the GraphQL schema.
    Schema,
    /// The process of one engine; started by the server.
    #[command(hide = true)]
    EngineHost(engine_host::EngineHostCommand),
}

/// Runs the program.
#[must_use]
pub fn run() -> ExitCode {
    let arguments = Arguments::parse();
    match dispatch(arguments.command) {
        Ok(code) => code,
        Err(failure) => {
            if !failure.is_silent() {
                // nothing is left to be done if stderr is gone
                let _ = writeln!(std::io::stderr().lock(), "secrethub: {failure}");
            }
            ExitCode::from(failure.code())
        }
    }
}

fn dispatch(command: Command) -> Result<ExitCode, Failure> {
    match command {
        Command::EngineHost(args) => engine_host::run(args),
        Command::Dev(args) => block_on(&mut tokio::runtime::Builder::new_multi_thread(), dev::run(args)),
        Command::Server(args) => {
            block_on(&mut tokio::runtime::Builder::new_multi_thread(), server::run(args))
        }
        Command::Operator(args) => {
            block_on(&mut tokio::runtime::Builder::new_current_thread(), operator::run(args))
        }
        Command::Audit(args) => {
            block_on(&mut tokio::runtime::Builder::new_current_thread(), audit::run(args))
        }
        Command::Schema => {
            write!(std::io::stdout().lock(), "{}", crate::graphql::sdl())?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn block_on(
    runtime: &mut tokio::runtime::Builder,
    command: impl Future<Output = Result<ExitCode, Failure>>,
) -> Result<ExitCode, Failure> {
    runtime.enable_all().build()?.block_on(command)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_sound_and_takes_no_secret_shares() {
        Arguments::command().debug_assert();
        assert!(Arguments::try_parse_from(["secrethub", "operator", "unseal", "SHARE"]).is_err());
        assert!(Arguments::try_parse_from(["secrethub", "server"]).is_err());
        let parsed =
            Arguments::try_parse_from(["secrethub", "operator", "status", "--address", "http://x:1"]);
        assert!(parsed.is_ok());
    }
}
