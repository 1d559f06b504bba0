//! The other end of a connection, and what may go on over it.

use crate::service::certificates::PeerCertificate;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// The other end of a connection.
#[derive(Debug, Clone)]
pub struct Peer {
    /// Of the socket.
    pub address: SocketAddr,
    /// What the client showed in the TLS handshake. Nothing that a header says comes in here.
    pub certificate: Option<Arc<PeerCertificate>>,
    /// Whether the connection is encrypted up to here.
    pub tls: bool,
    /// Cancelled when the server is to end.
    pub stop: CancellationToken,
}

impl Peer {
    /// Of whom nothing but the address is known.
    #[must_use]
    pub fn at(address: SocketAddr) -> Self {
        Self { address, certificate: None, tls: false, stop: CancellationToken::new() }
    }
}

/// What goes on over a connection after an answer that hands it over. It counts as the connection that it was.
#[derive(Clone)]
pub struct Continuation(Arc<Mutex<Option<BoxFuture<'static, ()>>>>);

impl Continuation {
    pub(super) fn take(&self) -> Option<BoxFuture<'static, ()>> {
        self.0.lock().take()
    }

    #[must_use]
    pub fn new(goes_on: BoxFuture<'static, ()>) -> Self {
        Self(Arc::new(Mutex::new(Some(goes_on))))
    }
}
