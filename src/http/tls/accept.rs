//! From a new connection to one whose client is known.

use super::verifier::{self, SHOWN, Shown};
use super::{ClientCertificates, Tls};
use crate::crypto::primitives::sha256;
use crate::service::certificates::PeerCertificate;
use crate::service::certificates::trust::{Refusal, Refused};
use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// For the store to say who a certificate belongs to, and to record a refusal.
const PATIENCE: Duration = Duration::from_secs(3);
/// Certificates looked up at a time: a storm of connections must leave the store to the requests.
pub(super) const MOST_ADMITTING: usize = 32;
/// A refused client may send its request meanwhile. So much of it is read before the connection goes, which would otherwise be reset,
/// and with it what the client is told.
const LINGER: Duration = Duration::from_millis(500);
const MOST_LINGERING: u64 = 64 * 1024;

/// A connection that may be served.
pub struct Accepted<S> {
    pub stream: TlsStream<S>,
    /// The client's certificate, if it showed one.
    pub certificate: Option<Arc<PeerCertificate>>,
}

impl Tls {
    /// Shakes hands and decides on the client's certificate, also that of a resumed session. `None`: there is nobody to serve; a
    /// certificate that was refused is recorded with the reason. The caller bounds the time.
    pub async fn accept<S>(&self, stream: S, address: SocketAddr) -> Option<Accepted<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Some(config) = self.current.load_full() else {
            tracing::debug!(%address, "closed: a client certificate is required, and there is no authority");
            return None;
        };
        let shown = Arc::new(Mutex::new(Shown::default()));
        let handshake = TlsAcceptor::from(config).accept(stream).into_fallible();
        let mut stream = match SHOWN.scope(Arc::clone(&shown), handshake).await {
            Ok(stream) => stream,
            Err((error, stream)) => {
                tracing::debug!(%address, error = %error, "a TLS handshake failed");
                let shown = *shown.lock();
                if let Some(reason) = verifier::reason(&error, shown) {
                    self.refuse(address, reason, shown.fingerprint).await;
                    end(stream, address).await;
                }
                return None;
            }
        };
        let leaf = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).cloned();
        let fingerprint = leaf.as_ref().map(|leaf| sha256(leaf));
        match self.decide(leaf).await {
            Ok(certificate) => return Some(Accepted { stream, certificate: certificate.map(Arc::new) }),
            Err(Refused::Because(reason)) => self.refuse(address, reason, fingerprint).await,
            Err(Refused::Revoked(reason)) => {
                if let Some(fingerprint) = fingerprint {
                    self.revoked.remember(fingerprint);
                }
                self.refuse(address, reason, fingerprint).await;
            }
            Err(Refused::Unknown(error)) => {
                let context = error.log_context().unwrap_or_default();
                tracing::warn!(
                    %address,
                    error = %error,
                    context,
                    "a client certificate could not be looked up, and the connection was closed"
                );
            }
        }
        end(&mut stream, address).await;
        None
    }

    async fn decide(
        &self,
        leaf: Option<CertificateDer<'static>>,
    ) -> Result<Option<PeerCertificate>, Refused> {
        let leaf = match (leaf, self.clients) {
            (None, ClientCertificates::Required) => {
                return Err(Refused::Because("a client certificate is required"));
            }
            (None, _) => return Ok(None),
            (Some(leaf), _) => leaf,
        };
        let admitted = async {
            let _place = self.admitting.acquire().await;
            self.keeper.admit(&leaf).await
        };
        match timeout(PATIENCE, admitted).await {
            Ok(admitted) => admitted.map(Some),
            Err(_) => Err(Refused::Unknown(super::too_late())),
        }
    }

    /// Puts a refusal on the record, unless there are too many.
    async fn refuse(&self, address: SocketAddr, reason: &'static str, fingerprint: Option<[u8; 32]>) {
        let Some(unrecorded) = self.refusals.enter(address.ip(), self.clock.now()) else {
            tracing::debug!(%address, reason, "a client certificate was refused");
            return;
        };
        tracing::info!(%address, reason, "a client certificate was refused, and the connection closed");
        let refusal = Refusal { address: address.ip(), reason, fingerprint, unrecorded };
        let recorded = timeout(PATIENCE, self.keeper.refused(refusal)).await;
        if let Err(error) = recorded.unwrap_or_else(|_| Err(super::too_late())) {
            let context = error.log_context().unwrap_or_default();
            tracing::warn!(%address, error = %error, context, "the refusal of a client certificate was not recorded");
        }
    }
}

/// Closes a connection so that the client gets to read why.
async fn end<S>(mut stream: S, address: SocketAddr)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let ended = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(MOST_LINGERING), &mut tokio::io::sink()).await
    };
    if let Ok(Err(error)) = timeout(LINGER, ended).await {
        tracing::debug!(%address, error = %error, "a refused connection broke off");
    }
}
