//! The section `listener`, but for what the transport has its own settings for.

use super::source::Source;
use super::{seconds, whole};
use crate::error::{Error, Result};
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// The default of `listener.address`, where clients look too.
pub const DEFAULT_ADDRESS: &str = "127.0.0.1:8200";

pub struct Listener {
    pub address: SocketAddr,
    pub tls: Option<TlsFiles>,
    /// Proxies whose `X-Forwarded-For` counts.
    pub trusted_proxies: Vec<IpNet>,
    pub max_connections: usize,
    /// Connections from one address (one /64 of IPv6) at a time.
    pub max_connections_per_address: usize,
    /// How long requests in flight may take to finish at shutdown.
    pub shutdown_timeout: Duration,
}

/// PEM files.
pub struct TlsFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

pub(super) fn listener(source: &Source) -> Result<Listener> {
    let text = source.text("listener.address")?.unwrap_or(DEFAULT_ADDRESS);
    let address = text.parse().map_err(|_| {
        Error::bad_input("listener.address", "write ADDRESS:PORT, such as 127.0.0.1:8200 or [::]:8200")
    })?;
    let tls = match (source.text("listener.tls_cert")?, source.text("listener.tls_key")?) {
        (Some(cert), Some(key)) => Some(TlsFiles { cert: cert.into(), key: key.into() }),
        (None, None) => None,
        (Some(_), None) => {
            return Err(Error::bad_input("listener.tls_key", "is needed beside listener.tls_cert"));
        }
        (None, Some(_)) => {
            return Err(Error::bad_input("listener.tls_cert", "is needed beside listener.tls_key"));
        }
    };
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
        tls,
        trusted_proxies,
        max_connections: whole(source, "listener.max_connections", 4096, 1, 1 << 20)?,
        max_connections_per_address: whole(source, "listener.max_connections_per_address", 1024, 1, 1 << 20)?,
        shutdown_timeout: seconds(source, "listener.shutdown_timeout", 30, 1, 3600)?,
    })
}
