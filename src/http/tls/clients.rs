//! Handshakes: the server's certificate, and which client certificates are asked for.

use super::ClientCertificates;
use super::verifier::{Noting, Revoked};
use crate::error::{Error, Result};
use crate::model::clock::Clock;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::{RootCertStore, ServerConfig};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Up to so many authorities are named to the client for it to choose by; more would only make every handshake longer.
const MOST_HINTS: usize = 64;
/// Sessions to resume. Each holds the client's certificate, so their memory is bounded with their number.
const SESSIONS: usize = 256;

/// The clock that is handed in, as rustls asks for it.
struct Time(Arc<dyn Clock>);

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Time")
    }
}

impl TimeProvider for Time {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = u64::try_from(self.0.now().timestamp()).ok()?;
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

/// `None`: certificates are required and nobody can have one.
///
/// # Errors
/// Internal.
pub(super) fn server_config(
    clients: ClientCertificates,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    certified: &Arc<CertifiedKey>,
    clock: &Arc<dyn Clock>,
) -> Result<Option<ServerConfig>> {
    if verifier.is_none() && clients == ClientCertificates::Required {
        return Ok(None);
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_details(provider, Arc::new(Time(Arc::clone(clock))))
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?;
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let resolver = SingleCertAndKey::from(Arc::clone(certified));
    let mut config = builder.with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // of this configuration alone: who chained to an authority that is gone does not come back by its session
    config.session_storage = ServerSessionMemoryCache::new(SESSIONS);
    Ok(Some(config))
}

/// `None`: clients are not asked for a certificate, or nobody could have one.
///
/// # Errors
/// Internal.
pub(super) fn verifier(
    clients: ClientCertificates,
    anchors: &[Vec<u8>],
    revoked: &Arc<Revoked>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>> {
    if clients == ClientCertificates::Off {
        return Ok(None);
    }
    let mut roots = RootCertStore::empty();
    for anchor in anchors {
        if let Err(error) = roots.add(CertificateDer::from(anchor.as_slice())) {
            tracing::warn!(error = %error, "an authority's certificate cannot be used to check clients");
        }
    }
    if roots.is_empty() {
        return Ok(None);
    }
    let hints = roots.len() <= MOST_HINTS;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    if !hints {
        builder = builder.clear_root_hint_subjects();
    }
    if clients != ClientCertificates::Required {
        builder = builder.allow_unauthenticated();
    }
    let inner = builder.build().map_err(Error::internal)?;
    Ok(Some(Arc::new(Noting { inner, revoked: Arc::clone(revoked) })))
}
