//! The section `listener`, but for what the transport has its own settings for.

use super::source::Source;
use super::{seconds, whole};
use crate::error::{Error, Result};
use crate::http::tls::{ClientCertificates, TlsFiles, TlsOptions};
use crate::model::certificates::{AltName, MAX_NAMES, parse_dns};
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// The default of `listener.address`, where clients look too.
pub const DEFAULT_ADDRESS: &str = "127.0.0.1:8200";

pub struct Listener {
    pub address: SocketAddr,
    /// `None`: plain HTTP.
    pub tls: Option<TlsOptions>,
    /// Proxies whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<IpNet>,
    pub max_connections: usize,
    /// Connections from one address (one /64 of IPv6) at a time.
    pub max_connections_per_address: usize,
    /// How long requests in flight may take to finish at shutdown.
    pub shutdown_timeout: Duration,
    /// Whether the page at `/` is served.
    pub playground: bool,
}

pub(super) fn listener(source: &Source) -> Result<Listener> {
    let text = source.text("listener.address")?.unwrap_or(DEFAULT_ADDRESS);
    let address = text.parse().map_err(|_| {
        Error::bad_input("listener.address", "write ADDRESS:PORT, such as 127.0.0.1:8200 or [::]:8200")
    })?;
    let trusted_proxies = source
        .list("listener.trusted_proxies")?
        .iter()
        .map(|text| {
            text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).map_err(|_| {
                Error::bad_input(
                    "listener.trusted_proxies",
                    format!("'{text}' is no address and no range such as 10.0.0.0/8"),
                )
            })
        })
        .collect::<Result<_>>()?;
    Ok(Listener {
        address,
        tls: tls(source)?,
        trusted_proxies,
        max_connections: whole(source, "listener.max_connections", 4096, 1, 1 << 20)?,
        max_connections_per_address: whole(source, "listener.max_connections_per_address", 1024, 1, 1 << 20)?,
        shutdown_timeout: seconds(source, "listener.shutdown_timeout", 30, 1, 3600)?,
        playground: source.flag("listener.playground")?.unwrap_or(true),
    })
}

fn tls(source: &Source) -> Result<Option<TlsOptions>> {
    let files = files(source)?;
    let names = names(source)?;
    let clients = source.text("listener.client_certificates")?;
    if files.is_none() && names.is_none() {
        return match clients {
            None | Some("off") => Ok(None),
            Some(_) => Err(Error::bad_input(
                "listener.client_certificates",
                "needs TLS: set listener.tls_cert and listener.tls_key, or listener.tls = \"issued\"",
            )),
        };
    }
    let clients = match clients.unwrap_or("optional") {
        "off" => ClientCertificates::Off,
        "optional" => ClientCertificates::Optional,
        "required" => ClientCertificates::Required,
        _ => {
            let message = "write \"off\", \"optional\" or \"required\"";
            return Err(Error::bad_input("listener.client_certificates", message));
        }
    };
    Ok(Some(TlsOptions { files, names, clients }))
}

fn files(source: &Source) -> Result<Option<TlsFiles>> {
    match (source.text("listener.tls_cert")?, source.text("listener.tls_key")?) {
        (Some(cert), Some(key)) => Ok(Some(TlsFiles { cert: cert.into(), key: key.into() })),
        (None, None) => Ok(None),
        (Some(_), None) => Err(Error::bad_input("listener.tls_key", "is needed beside listener.tls_cert")),
        (None, Some(_)) => Err(Error::bad_input("listener.tls_cert", "is needed beside listener.tls_key")),
    }
}

/// The names of an issued certificate; `None`: none is wanted.
fn names(source: &Source) -> Result<Option<Vec<AltName>>> {
    const NAMES: &str = "listener.tls_names";
    let texts = source.list(NAMES)?;
    match source.text("listener.tls")? {
        None if texts.is_empty() => return Ok(None),
        None => return Err(Error::bad_input(NAMES, "belongs to listener.tls = \"issued\"")),
        Some("issued") => {}
        Some(_) => {
            let message = "write \"issued\", or leave it out and set listener.tls_cert and listener.tls_key";
            return Err(Error::bad_input("listener.tls", message));
        }
    }
    if texts.is_empty() || texts.len() > MAX_NAMES {
        let message = format!(
            "write 1 to {MAX_NAMES} names and addresses that clients connect to, such as \"localhost\""
        );
        return Err(Error::bad_input(NAMES, message));
    }
    let name = |text: &String| match text.parse() {
        Ok(address) => Ok(AltName::Ip(address)),
        Err(_) => parse_dns(text)
            .map(AltName::Dns)
            .map_err(|message| Error::bad_input(NAMES, format!("{message}; or an address such as 10.0.0.1"))),
    };
    texts.iter().map(name).collect::<Result<_>>().map(Some)
}
