//! What relying parties fetch: certificates of authorities, and revocation lists.

use super::super::App;
use crate::error::Result;
use bytes::Bytes;
use chrono::{DateTime, Utc};

/// A certificate revocation list (RFC 5280, section 5).
#[derive(Debug, Clone)]
pub struct PublishedCrl {
    pub der: Bytes,
    pub number: i64,
    pub this_update: DateTime<Utc>,
    pub next_update: DateTime<Utc>,
}

/// The certificate of an authority and of those above it (DER), nearest first. `issuer` is its serial number, or `default`.
///
/// # Errors
/// `SEALED`, `NOT_INITIALIZED`, `UNAVAILABLE`.
pub async fn ca_chain(app: &App, issuer: &str) -> Result<Option<Vec<Vec<u8>>>> {
    let _ = (app, issuer);
    Ok(None)
}

/// The latest list of an authority.
///
/// # Errors
/// As [`ca_chain`].
pub async fn crl(app: &App, issuer: &str) -> Result<Option<PublishedCrl>> {
    let _ = (app, issuer);
    Ok(None)
}
