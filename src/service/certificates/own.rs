//! The server's own certificate, from its own authority.

use super::super::App;
use crate::error::{Error, Result};
use crate::model::certificates::AltName;
use chrono::{DateTime, Utc};
use std::sync::Arc;
use zeroize::Zeroizing;

/// A certificate with its key.
pub struct OwnCertificate {
    /// DER, leaf first.
    pub chain: Vec<Vec<u8>>,
    pub key_pkcs8: Zeroizing<Vec<u8>>,
    pub not_before: DateTime<Utc>,
    pub not_after: DateTime<Utc>,
    pub fingerprint: String,
}

/// Issues the server a certificate for these names from the default authority.
///
/// # Errors
/// `SEALED`, `NOT_INITIALIZED`; `NOT_FOUND` while there is no authority; `UNAVAILABLE`.
pub async fn issue_own(app: &Arc<App>, names: &[AltName]) -> Result<OwnCertificate> {
    let _ = (app, names);
    Err(Error::not_found("there is no certificate authority yet"))
}

/// Whether the certificate of this fingerprint still stands: neither revoked nor of an authority that is.
///
/// # Errors
/// `UNAVAILABLE`.
pub async fn stands(app: &App, fingerprint: &str) -> Result<bool> {
    let _ = (app, fingerprint);
    Ok(false)
}
