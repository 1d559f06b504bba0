//! What the listener asks of the service.

use crate::error::Result;
use crate::model::certificates::AltName;
use crate::service::App;
use crate::service::certificates::PeerCertificate;
use crate::service::certificates::own::{self, OwnCertificate, Standing};
use crate::service::certificates::trust::{self, Refusal, Refused};
use futures_util::future::BoxFuture;
use std::sync::Arc;

/// Knows the authorities, who is let in, and the server's own certificate.
pub trait Gatekeeper: Send + Sync + 'static {
    /// The certificates (DER) of the authorities that client certificates may chain to.
    fn anchors(&self) -> BoxFuture<'_, Result<Vec<Vec<u8>>>>;

    /// Decides on the client certificate (DER) of a new connection, which chains to an anchor.
    fn admit<'a>(&'a self, leaf: &'a [u8]) -> BoxFuture<'a, Result<PeerCertificate, Refused>>;

    /// Puts it on the record that a client certificate was refused.
    fn refused(&self, refusal: Refusal) -> BoxFuture<'_, Result<()>>;

    /// A certificate for the server itself.
    fn issue<'a>(&'a self, names: &'a [AltName]) -> BoxFuture<'a, Result<OwnCertificate>>;

    /// Whether the server's certificate of this fingerprint may still be shown.
    fn standing<'a>(&'a self, fingerprint: &'a str) -> BoxFuture<'a, Result<Standing>>;

    /// Completes when the authorities may have changed; looking for changes does not wait for it.
    fn changed(&self) -> BoxFuture<'_, ()>;
}

impl Gatekeeper for Arc<App> {
    fn anchors(&self) -> BoxFuture<'_, Result<Vec<Vec<u8>>>> {
        Box::pin(trust::anchors(self))
    }

    fn admit<'a>(&'a self, leaf: &'a [u8]) -> BoxFuture<'a, Result<PeerCertificate, Refused>> {
        Box::pin(trust::admit(self, leaf))
    }

    fn refused(&self, refusal: Refusal) -> BoxFuture<'_, Result<()>> {
        Box::pin(trust::record_refusal(self, refusal))
    }

    fn issue<'a>(&'a self, names: &'a [AltName]) -> BoxFuture<'a, Result<OwnCertificate>> {
        Box::pin(own::issue_own(self, names))
    }

    fn standing<'a>(&'a self, fingerprint: &'a str) -> BoxFuture<'a, Result<Standing>> {
        Box::pin(own::standing(self, fingerprint))
    }

    fn changed(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.authorities_changed().notified())
    }
}
