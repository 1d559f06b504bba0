//! `secrethub server`: a node from its configuration.

use super::failure::Failure;
use super::{logging, node};
use crate::config::{Config, Override, Seal};
use crate::http::server::ServerOptions;
use crate::http::tls;
use crate::model::clock::SystemClock;
use crate::service::{App, Limits, Settings};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

#[derive(clap::Args, Debug)]
pub struct ServerCommand {
    /// Configuration file (TOML). Variables SECRETHUB_SECTION__KEY and the flags below win over it.
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Validate the configuration and end.
    #[arg(long)]
    check: bool,
    /// Overrides listener.address.
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<String>,
    /// Overrides log.level.
    #[arg(long, value_name = "FILTER")]
    log_level: Option<String>,
    /// Overrides log.format.
    #[arg(long, value_name = "human|json")]
    log_format: Option<String>,
}

pub async fn run(args: ServerCommand) -> Result<ExitCode, Failure> {
    node::keep_files_private();
    let config = load(&args)?;
    let acceptor = match &config.listener.tls {
        Some(files) => {
            Some(tls::acceptor(&files.cert, &files.key).map_err(|error| Failure::of_settings(&error))?)
        }
        None => None,
    };
    if args.check {
        writeln!(std::io::stdout().lock(), "the configuration is valid")?;
        return Ok(ExitCode::SUCCESS);
    }
    let hardening = crate::crypto::memory::harden_process();
    logging::start(&config.log).map_err(|error| Failure::of_settings(&error))?;
    node::report_hardening(hardening);
    node::report_store(&config.storage.url);

    let stop = node::termination()?;
    let listener = node::bind(config.listener.address).await?;
    let settings = Settings {
        store: config.storage.url,
        max_connections: config.storage.max_connections,
        cluster_name: config.cluster_name,
        static_seal: match config.seal {
            Seal::Shamir => None,
            Seal::Static(key) => Some(key),
        },
        host: node::host_identity(),
        limits: Limits {
            default_token_ttl: config.tokens.default_ttl,
            max_token_ttl: config.tokens.max_ttl,
            ..Limits::default()
        },
        cache_bytes: config.cache_bytes,
        partitions_ahead: config.audit.partitions_ahead,
    };
    let app =
        App::start(settings, Arc::new(SystemClock)).await.map_err(|error| Failure::of_process(&error))?;
    tracing::info!(address = %config.listener.address, tls = acceptor.is_some(), "serving");
    let front = node::Front {
        listener,
        tls: acceptor,
        trusted_proxies: config.listener.trusted_proxies,
        transport: config.graphql,
        server: ServerOptions {
            max_connections: config.listener.max_connections,
            max_connections_per_address: config.listener.max_connections_per_address,
            shutdown_timeout: config.listener.shutdown_timeout,
            ..ServerOptions::default()
        },
    };
    node::run(app, front, stop).await?;
    Ok(ExitCode::SUCCESS)
}

fn load(args: &ServerCommand) -> Result<Config, Failure> {
    let flags = [
        ("listener.address", &args.listen),
        ("log.level", &args.log_level),
        ("log.format", &args.log_format),
    ];
    let overrides: Vec<Override> = flags
        .into_iter()
        .filter_map(|(key, value)| value.clone().map(|value| Override { key, value }))
        .collect();
    // names that are not text are none of ours
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    Config::load(Some(&args.config), &environment, &overrides).map_err(|error| Failure::of_settings(&error))
}
