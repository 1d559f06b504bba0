//! TLS of the listener: 1.2 and 1.3, HTTP/2 and HTTP/1.1, and who a client is by its certificate.
//!
//! Everything that a handshake goes by is one [`ServerConfig`]. When the server's certificate or the authorities that clients may
//! chain to change, another takes its place: new connections use it, old ones go on, and sessions of the old one are not resumed.

mod accept;
mod clients;
mod ephemeral;
mod files;
mod gatekeeper;
mod issued;
mod refusals;
mod verifier;
mod watch;

use crate::error::{Error, Result};
use crate::model::certificates::AltName;
use crate::model::clock::Clock;
use arc_swap::ArcSwapOption;
use chrono::{DateTime, Utc};
use files::Watched;
use issued::Own;
use parking_lot::Mutex;
use refusals::Refusals;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, ServerConfig};
use std::sync::Arc;
use tokio::sync::{Notify, Semaphore};
use verifier::Revoked;

pub use accept::Accepted;
pub use files::TlsFiles;
pub use gatekeeper::Gatekeeper;

/// Whether clients are asked for a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientCertificates {
    Off,
    /// A client may show one; one that is shown must be good.
    Optional,
    Required,
}

/// Settings of the listener's TLS. One of `files` and `names` must be there.
pub struct TlsOptions {
    /// The certificate in files. With `names` it is served until there is an issued one.
    pub files: Option<TlsFiles>,
    /// The server takes a certificate for these names from its own authority.
    pub names: Option<Vec<AltName>>,
    pub clients: ClientCertificates,
}

impl TlsOptions {
    /// Reads the files, or makes the certificate that is served until there is an issued one.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` naming `listener.tls_cert` or `listener.tls_key`; internal.
    pub fn prepare(self, now: DateTime<Utc>) -> Result<Prepared> {
        let (files, base) = match &self.files {
            Some(files) => {
                let (watched, certified) = Watched::read(files.clone())?;
                (Some(watched), certified)
            }
            None => (None, ephemeral::self_signed(self.names.as_deref().unwrap_or_default(), now)?),
        };
        Ok(Prepared { clients: self.clients, names: self.names, files, base })
    }
}

/// Settings whose files have been read.
pub struct Prepared {
    clients: ClientCertificates,
    names: Option<Vec<AltName>>,
    files: Option<Watched>,
    base: Arc<CertifiedKey>,
}

impl Prepared {
    /// SHA-256 of the certificate that is served first, in hex.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.base)
    }
}

/// What the current [`ServerConfig`] was made of.
#[derive(Clone)]
struct Parts {
    anchors: Vec<Vec<u8>>,
    /// Of the files, or self-signed.
    base: Arc<CertifiedKey>,
    own: Option<Arc<Own>>,
}

/// The listener's TLS. [`Tls::watch`] must run beside it.
pub struct Tls {
    keeper: Arc<dyn Gatekeeper>,
    clock: Arc<dyn Clock>,
    clients: ClientCertificates,
    names: Option<Vec<AltName>>,
    files: Option<Mutex<Watched>>,
    parts: Mutex<Parts>,
    /// `None`: nobody can be let in.
    current: ArcSwapOption<ServerConfig>,
    /// Places for client certificates that are being looked up.
    admitting: Semaphore,
    revoked: Arc<Revoked>,
    refusals: Refusals,
    /// Told to read the files again.
    reload: Notify,
    /// Told that there may be an own certificate now.
    own_due: Notify,
}

impl Tls {
    /// Starts with the authorities of this moment.
    ///
    /// # Errors
    /// Internal.
    pub async fn start(
        prepared: Prepared,
        keeper: Arc<dyn Gatekeeper>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>> {
        if prepared.files.is_none() {
            tracing::info!(
                sha256 = %prepared.fingerprint(),
                "serving a self-signed certificate until there is one of the server's own authority"
            );
        }
        let tls = Arc::new(Self {
            keeper,
            clock,
            clients: prepared.clients,
            names: prepared.names,
            files: prepared.files.map(Mutex::new),
            parts: Mutex::new(Parts { anchors: Vec::new(), base: prepared.base, own: None }),
            current: ArcSwapOption::empty(),
            admitting: Semaphore::new(accept::MOST_ADMITTING),
            revoked: Arc::new(Revoked::new()),
            refusals: Refusals::new(),
            reload: Notify::new(),
            own_due: Notify::new(),
        });
        tls.change(|_| ())?;
        tls.see_to_trust(&mut false).await;
        if tls.clients == ClientCertificates::Required && tls.parts.lock().anchors.is_empty() {
            tracing::warn!(
                "listener.client_certificates is \"required\" and there is no authority that a client could have a \
                 certificate of: every connection is closed until there is one"
            );
        }
        Ok(tls)
    }

    /// Reads the files again, at once.
    pub fn reload(&self) {
        self.reload.notify_one();
    }

    /// Changes what new connections are served with. If that fails everything stays as it was.
    fn change(&self, change: impl FnOnce(&mut Parts)) -> Result<()> {
        let mut parts = self.parts.lock();
        let mut changed = parts.clone();
        change(&mut changed);
        let certified = changed.own.as_ref().map_or(&changed.base, |own| &own.certified);
        let verifier = clients::verifier(self.clients, &changed.anchors, &self.revoked)?;
        let config = clients::server_config(self.clients, verifier, certified, &self.clock)?;
        self.current.store(config.map(Arc::new));
        *parts = changed;
        Ok(())
    }
}

/// A chain, leaf first, with the key of the leaf.
fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: &PrivateKeyDer<'_>,
) -> Result<Arc<CertifiedKey>, rustls::Error> {
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(key)?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(Arc::new(certified)),
        Err(error) => Err(error),
    }
}

fn fingerprint(certified: &CertifiedKey) -> String {
    let leaf = certified.cert.first().map_or(&[][..], |leaf| leaf.as_ref());
    data_encoding::HEXLOWER.encode(&crate::crypto::primitives::sha256(leaf))
}

/// The store did not answer in time.
fn too_late() -> Error {
    Error::new(crate::error::ErrorCode::Unavailable, "the store does not answer in time")
}

#[cfg(test)]
mod tests;
