//! From a new connection to one whose client is known.

use super::{ClientCertificates, Tls};
use crate::service::certificates::PeerCertificate;
use crate::service::certificates::trust::Refused;
use rustls::pki_types::CertificateDer;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// For the store to say who a certificate belongs to.
const PATIENCE: Duration = Duration::from_secs(3);
/// Certificates looked up at a time: a storm of connections must leave the store to the requests.
pub(super) const MOST_ADMITTING: usize = 32;

/// A connection that may be served.
pub struct Accepted<S> {
    pub stream: TlsStream<S>,
    /// The client's certificate, if it showed one.
    pub certificate: Option<Arc<PeerCertificate>>,
}

impl Tls {
    /// Shakes hands and decides on the client's certificate, also that of a resumed session. `None`: there is nobody to serve, and
    /// the log says why. The caller bounds the time.
    pub async fn accept<S>(&self, stream: S, address: SocketAddr) -> Option<Accepted<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let Some(config) = self.current.load_full() else {
            tracing::debug!(%address, "closed: a client certificate is required, and there is no authority");
            return None;
        };
        let mut stream = match TlsAcceptor::from(config).accept(stream).await {
            Ok(stream) => stream,
            Err(error) => {
                tracing::debug!(%address, error = %error, "a TLS handshake failed");
                return None;
            }
        };
        let leaf = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).cloned();
        match self.decide(leaf).await {
            Ok(certificate) => Some(Accepted { stream, certificate: certificate.map(Arc::new) }),
            Err(refused) => {
                report(address, &refused);
                if let Err(error) = stream.shutdown().await {
                    tracing::debug!(%address, error = %error, "a refused connection broke off");
                }
                None
            }
        }
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
}

fn report(address: SocketAddr, refused: &Refused) {
    match refused {
        Refused::Because(reason) => {
            tracing::info!(%address, reason, "a client certificate was refused, and the connection closed");
        }
        Refused::Unknown(error) => {
            let context = error.log_context().unwrap_or_default();
            tracing::warn!(
                %address,
                error = %error,
                context,
                "a client certificate could not be looked up, and the connection was closed"
            );
        }
    }
}
