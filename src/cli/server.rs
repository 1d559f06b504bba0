//! `secrethub server`: a node from its configuration.

use super::failure::Failure;
use super::{logging, node};
use crate::config::{Config, Override, Seal};
use crate::http::server::ServerOptions;
use crate::http::transport::TransportOptions;
use crate::model::clock::{Clock, SystemClock};
use crate::service::seal::{self, SealStatus};
use crate::service::{App, Limits, Settings};
use crate::storage::db::StoreUrl;
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
    let tls = config.listener.tls.map(|tls| tls.prepare(SystemClock.now())).transpose();
    let tls = tls.map_err(|error| Failure::of_settings(&error))?;
    let persisted = config.documents.build(&config.graphql.limits).await;
    let persisted = persisted.map_err(|error| Failure::of_settings(&error))?;
    if args.check {
        writeln!(std::io::stdout().lock(), "the configuration is valid")?;
        return Ok(ExitCode::SUCCESS);
    }
    let hardening = crate::crypto::memory::harden_process();
    let spans = logging::start(&config.log, config.telemetry.as_ref())
        .map_err(|error| Failure::of_settings(&error))?;
    node::report_hardening(hardening);
    node::report_store(&config.storage.url);
    for problem in persisted.left_out() {
        tracing::warn!(problem, "the limits of section graphql refuse an operation of the playground");
    }

    let mut stop = std::pin::pin!(node::termination()?);
    let hangups = node::hangups()?;
    let listener = node::bind(config.listener.address).await?;
    require_folder(&config.storage.url)?;
    let has_key = matches!(config.seal, Seal::Static(_));
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
        engines: config.engines,
        pki: config.pki,
        rates: config.rates,
    };
    // the store may let us wait
    let app = tokio::select! {
        started = App::start(settings, Arc::new(SystemClock)) => {
            started.map_err(|error| Failure::of_process(&error))?
        }
        () = &mut stop => return Ok(ExitCode::SUCCESS),
    };
    warn_of_seal(&seal::status(&app).await, has_key);
    tracing::info!(address = %config.listener.address, tls = tls.is_some(), "serving");
    let front = node::Front {
        listener,
        tls,
        hangups: Some(hangups),
        trusted_proxies: config.listener.trusted_proxies,
        transport: TransportOptions { persisted: Arc::new(persisted), ..config.graphql },
        playground: config.listener.playground,
        server: ServerOptions {
            max_connections: config.listener.max_connections,
            max_connections_per_address: config.listener.max_connections_per_address,
            shutdown_timeout: config.listener.shutdown_timeout,
            ..ServerOptions::default()
        },
    };
    let ended = node::run(app, front, stop).await;
    if let Some(spans) = spans {
        spans.end().await;
    }
    ended?;
    Ok(ExitCode::SUCCESS)
}

/// SQLite says only that it cannot open the file.
fn require_folder(store: &StoreUrl) -> Result<(), Failure> {
    let StoreUrl::Sqlite(path) = store else { return Ok(()) };
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) if !folder.is_dir() => Err(Failure::new(format!(
            "storage.url: there is no folder {}: create it, owned by the user that secrethub runs as",
            folder.display()
        ))),
        _ => Ok(()),
    }
}

/// A node whose configuration does not fit its store's seal stays sealed, and nobody may be there to see why.
fn warn_of_seal(status: &SealStatus, has_key: bool) {
    match (status.seal_type.as_deref(), has_key) {
        (Some("static"), false) if status.sealed => tracing::warn!(
            "the store has a static seal and no key is configured: the server stays sealed until it is started with \
             seal.type = \"static\" and seal.key_file or seal.key_env"
        ),
        (Some("shamir"), true) => tracing::warn!(
            "the store is sealed by key shares, so the key of the [seal] section is not used: unseal the server with its shares"
        ),
        _ => {}
    }
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
    Config::load(Some(&args.config), &node::environment(), &overrides)
        .map_err(|error| Failure::of_settings(&error))
}
