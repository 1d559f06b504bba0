//! `secrethub dev`: a server to try things out, ready within a moment and gone afterwards.

use super::failure::Failure;
use super::{logging, node};
use crate::config::{DEFAULT_ADDRESS, Log, LogFormat, Telemetry, beside_program};
use crate::error::Error;
use crate::http::ids::request_id;
use crate::http::server::ServerOptions;
use crate::http::tls::{ClientCertificates, Prepared, TlsOptions};
use crate::http::transport::{Introspection, TransportOptions};
use crate::model::certificates::AltName;
use crate::model::clock::{Clock, SystemClock};
use crate::service::certificates::PkiSettings;
use crate::service::context::{OpContext, Origin};
use crate::service::rate::RateSettings;
use crate::service::{App, Limits, Settings, seal};
use crate::storage::db::StoreUrl;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Shorter root tokens could be guessed by whoever reaches the port.
const MIN_TOKEN_LENGTH: usize = 16;
const MAX_TOKEN_LENGTH: usize = 200;

#[derive(clap::Args)]
pub struct DevCommand {
    /// Where to listen.
    #[arg(long, default_value = DEFAULT_ADDRESS, value_name = "ADDRESS:PORT")]
    listen: SocketAddr,
    /// The root token, at least 16 characters; without it a random one is made.
    #[arg(long, env = "SECRETHUB_DEV_ROOT_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    root_token: Option<String>,
    /// An empty store to use instead of a temporary SQLite file; it is kept.
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// Serve HTTPS: with a self-signed certificate first, then with one of the server's own authority once you have made one.
    #[arg(long)]
    tls: bool,
    /// What to log, such as info or secrethub=debug.
    #[arg(long, default_value = "warn", value_name = "FILTER")]
    log_level: String,
}

/// Where the data is. A temporary folder is removed with this value.
struct Place {
    url: StoreUrl,
    _folder: Option<TempDir>,
}

pub async fn run(args: DevCommand) -> Result<ExitCode, Failure> {
    check_token(args.root_token.as_deref())?;
    node::keep_files_private();
    let hardening = crate::crypto::memory::harden_process();
    let telemetry = Telemetry::from_environment(&node::environment(), 1.0)
        .map_err(|error| Failure::of_settings(&error))?;
    let spans =
        logging::start(&Log { format: LogFormat::Human, level: args.log_level.clone() }, telemetry.as_ref())
            .map_err(|error| Failure::of_settings(&error))?;
    node::report_hardening(hardening);

    let stop = node::termination()?;
    let listener = node::bind(args.listen).await?;
    let address = listener.local_addr()?;
    let tls = args.tls.then(tls).transpose().map_err(|error| Failure::of_process(&error))?;
    let place = place(args.store.as_deref())?;
    node::report_store(&place.url);
    let settings = Settings {
        store: place.url.clone(),
        max_connections: 16,
        cluster_name: "dev".to_owned(),
        static_seal: None,
        host: node::host_identity(),
        limits: Limits::default(),
        cache_bytes: 64 << 20,
        partitions_ahead: 3,
        engines: beside_program(),
        pki: PkiSettings {
            base_url: Some(format!(
                "{}://{}",
                if tls.is_some() { "https" } else { "http" },
                reachable(address)
            )),
            ..PkiSettings::default()
        },
        // whoever tries things out is one caller, from one address
        rates: RateSettings::default(),
    };
    let app =
        App::start(settings, Arc::new(SystemClock)).await.map_err(|error| Failure::of_process(&error))?;
    let made = match open(&app, args.root_token.as_deref()).await {
        Ok(made) => made,
        Err(failure) => {
            app.shutdown().await;
            return Err(failure);
        }
    };
    announce(address, &made, args.store.is_some(), tls.as_ref())?;
    let front = node::Front {
        listener,
        tls,
        hangups: None,
        trusted_proxies: Vec::new(),
        transport: TransportOptions { introspection: Introspection::Always, ..TransportOptions::default() },
        playground: true,
        server: ServerOptions { shutdown_timeout: Duration::from_secs(10), ..ServerOptions::default() },
    };
    let ended = node::run(app, front, stop).await;
    if let Some(spans) = spans {
        spans.end().await;
    }
    ended?;
    drop(place);
    Ok(ExitCode::SUCCESS)
}

fn check_token(token: Option<&str>) -> Result<(), Failure> {
    let Some(token) = token else { return Ok(()) };
    let fits = (MIN_TOKEN_LENGTH..=MAX_TOKEN_LENGTH).contains(&token.len())
        && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
    if fits {
        return Ok(());
    }
    Err(Failure::misused(format!(
        "the root token has {MIN_TOKEN_LENGTH} to {MAX_TOKEN_LENGTH} letters, digits, '-', '.', '_' or '~'"
    )))
}

fn place(store: Option<&str>) -> Result<Place, Failure> {
    if let Some(url) = store {
        let url = StoreUrl::parse(url)
            .map_err(|error| Failure::misused(format!("--store: {}", error.message())))?;
        return Ok(Place { url, _folder: None });
    }
    // made with mode 0700
    let folder = tempfile::Builder::new()
        .prefix("secrethub-dev-")
        .tempdir()
        .map_err(|error| Failure::new(format!("cannot make a temporary folder: {error}")))?;
    Ok(Place { url: StoreUrl::Sqlite(folder.path().join("secrethub.db")), _folder: Some(folder) })
}

/// Initialises and unseals; the root token and the one key share.
async fn open(app: &Arc<App>, root_token: Option<&str>) -> Result<seal::Initialized, Failure> {
    if seal::status(app).await.initialized {
        return Err(Failure::new(
            "this store is initialised already, and dev starts with an empty one: run 'secrethub server --config FILE' \
             with storage.url set to it and unseal it with its key shares, or give dev another store",
        ));
    }
    let origin = Origin {
        source_ip: None,
        request_id: request_id(),
        correlation_id: None,
        certificate: None,
        started: Instant::now(),
    };
    let ctx = OpContext::new(Arc::clone(app), None, origin);
    let failed = |error: Error| Failure::of_process(&error);
    let made = seal::initialize_with(&ctx, 1, 1, root_token).await.map_err(failed)?;
    for share in &made.shares {
        seal::unseal(&ctx, share.expose()).await.map_err(failed)?;
    }
    Ok(made)
}

/// A certificate for this machine.
fn tls() -> Result<Prepared, Error> {
    let names = vec![
        AltName::Dns("localhost".to_owned()),
        AltName::Ip(Ipv4Addr::LOCALHOST.into()),
        AltName::Ip(Ipv6Addr::LOCALHOST.into()),
    ];
    let options = TlsOptions { files: None, names: Some(names), clients: ClientCertificates::Optional };
    options.prepare(SystemClock.now())
}

fn announce(
    address: SocketAddr,
    made: &seal::Initialized,
    kept: bool,
    tls: Option<&Prepared>,
) -> Result<(), Failure> {
    let token = made.root_token.as_str();
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}", reachable(address));
    // there is no authority yet that a client could check the certificate by
    let unchecked = if tls.is_some() { "k" } else { "" };
    let mut out = std::io::stdout().lock();
    let kind = if kept { "the store is kept" } else { "temporary store: all data is gone when it ends" };
    writeln!(out, "SecretHub development server ({kind})")?;
    writeln!(out)?;
    writeln!(out, "Address:    {url}")?;
    writeln!(out, "Root token: {token}")?;
    // what is kept is worth nothing without its key
    for share in made.shares.iter().filter(|_| kept) {
        writeln!(out, "Key share:  {}", share.expose())?;
    }
    if let Some(tls) = tls {
        writeln!(out, "TLS:        self-signed until there is an authority; SHA-256 {}", tls.fingerprint())?;
    }
    writeln!(out)?;
    writeln!(out, "Try it:")?;
    writeln!(
        out,
        "curl -sS{unchecked} {url}/graphql -H 'Authorization: Bearer {token}' -H 'Content-Type: application/json' \
         -d '{{\"query\":\"{{ me {{ displayName policies }} sealStatus {{ sealed version }} }}\"}}'"
    )?;
    out.flush()?;
    Ok(())
}

/// An address to connect to, for one that listens on all.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_tokens_are_long_and_plain() {
        assert!(check_token(None).is_ok());
        assert!(check_token(Some("root-token-123456")).is_ok());
        for token in ["", "short", "fifteen-letters", "sixteen letters!", "it's-a-quoted-token"] {
            assert!(check_token(Some(token)).is_err(), "{token}");
        }
    }

    #[test]
    fn the_printed_address_can_be_reached() {
        for (listening, printed) in
            [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("192.0.2.1:1", "192.0.2.1:1")]
        {
            assert_eq!(reachable(listening.parse().unwrap()).to_string(), printed);
        }
    }
}
