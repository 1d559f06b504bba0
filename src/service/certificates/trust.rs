//! Whom a TLS connection is trusted to be from.

use super::super::App;
use crate::error::{Error, Result};
use crate::model::certificates::CertType;
use uuid::Uuid;

/// What is known of the client certificate of a connection, which was good when the connection began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PeerCertificate {
    pub id: Uuid,
    /// SHA-256 of the DER, lower-case hex.
    pub fingerprint: String,
    pub cert_type: CertType,
    pub common_name: String,
    pub serial_number: String,
}

/// Why a connection's certificate is not taken; for the log.
#[derive(Debug)]
pub enum Refused {
    Because(&'static str),
    /// It cannot be told at the moment.
    Unknown(Error),
}

/// The certificates (DER) of the authorities that client certificates may chain to. Public; read while sealed too.
///
/// # Errors
/// `UNAVAILABLE`.
pub async fn anchors(app: &App) -> Result<Vec<Vec<u8>>> {
    let _ = app;
    Ok(Vec::new())
}

/// Decides on the client certificate (DER) of a new connection, which chains to an anchor. Reads the store, so what was revoked
/// on any node is refused from then on.
///
/// # Errors
/// [`Refused`].
pub async fn admit(app: &App, leaf: &[u8]) -> Result<PeerCertificate, Refused> {
    let _ = (app, leaf);
    Err(Refused::Because("not yet"))
}
