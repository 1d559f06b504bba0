//! Whom a TLS connection is trusted to be from.

use super::super::App;
use super::super::context::{OpContext, Origin, settle};
use crate::crypto::primitives::sha256;
use crate::crypto::x509::facts;
use crate::error::{Error, Result};
use crate::model::audit::EventType;
use crate::model::certificates::CertType;
use crate::storage::certificate_authorities as authority_store;
use crate::storage::certificates as store;
use crate::storage::certificates::ChainRow;
use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use serde_json::json;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;
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
    /// It, or an authority above it, was revoked: it will never be taken again.
    Revoked(&'static str),
    /// It cannot be told at the moment.
    Unknown(Error),
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self::Unknown(error)
    }
}

/// The certificates (DER) of the authorities that client certificates may chain to. Public; read while sealed too.
///
/// # Errors
/// `UNAVAILABLE`.
pub async fn anchors(app: &App) -> Result<Vec<Vec<u8>>> {
    let now = app.clock().now();
    let mut tx = app.read().await?;
    let mut anchors = Vec::new();
    for row in authority_store::anchors(&mut tx, now).await? {
        // with an authority that was revoked, those below it fall
        if problem(&store::chain(&mut tx, row.id).await?, now).is_none() {
            anchors.extend(facts::from_pem(&row.certificate_pem)?.into_iter().take(1));
        }
    }
    Ok(anchors)
}

/// Decides on the client certificate (DER) of a new connection, which chains to an anchor. Reads the store, so what was revoked
/// on any node is refused from then on. A certificate that this installation has no record of is nobody's.
///
/// # Errors
/// [`Refused`].
pub async fn admit(app: &App, leaf: &[u8]) -> Result<PeerCertificate, Refused> {
    let fingerprint = HEXLOWER.encode(&sha256(leaf));
    let now = app.clock().now();
    let mut tx = app.read().await?;
    let Some(row) = store::by_fingerprint(&mut tx, &fingerprint).await? else {
        return Err(Refused::Because("the certificate is not one that was issued here"));
    };
    let chain = store::chain(&mut tx, row.id).await?;
    if let Some(problem) = problem(&chain, now) {
        let revoked = chain.iter().any(|row| row.revoked);
        return Err(if revoked { Refused::Revoked(problem) } else { Refused::Because(problem) });
    }
    let cert_type = CertType::parse(&row.cert_type).filter(|kind| kind.entity_type().is_some());
    let Some(cert_type) = cert_type else { return Err(Refused::Because("the certificate is no client's")) };
    Ok(PeerCertificate {
        id: row.id,
        fingerprint,
        cert_type,
        common_name: row.common_name,
        serial_number: row.serial_number,
    })
}

/// A client certificate that was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Of the socket.
    pub address: IpAddr,
    pub reason: &'static str,
    /// SHA-256 of what was shown, if anything was.
    pub fingerprint: Option<[u8; 32]>,
    /// So many before it were not recorded, since there were too many.
    pub unrecorded: u64,
}

/// Why a certificate is refused that chains to no authority that is good.
pub const FOREIGN: &str = "the certificate is of no authority of this installation";

/// Records a refusal as `auth.failed`, with whose certificate it was if that is known. While sealed there is no record to write to.
///
/// # Errors
/// `UNAVAILABLE`.
pub async fn record_refusal(app: &Arc<App>, refusal: Refusal) -> Result<()> {
    if app.keys.get().is_err() {
        return Ok(());
    }
    let origin = Origin {
        source_ip: Some(refusal.address),
        request_id: Uuid::now_v7().to_string(),
        correlation_id: None,
        certificate: None,
        started: Instant::now(),
    };
    let mut event = OpContext::new(Arc::clone(app), None, origin).event(EventType::AuthFailed, None);
    event.access_granted = Some(false);
    let fingerprint = refusal.fingerprint.map(|bytes| HEXLOWER.encode(&bytes));
    let mut reason = refusal.reason;
    let mut row = None;
    if let Some(fingerprint) = &fingerprint {
        let mut tx = app.read().await?;
        row = store::by_fingerprint(&mut tx, fingerprint).await?;
        // a revoked authority is none that handshakes know, so they cannot tell what is below it from what is foreign
        if let Some(row) = row.as_ref().filter(|_| reason == FOREIGN) {
            let chain = store::chain(&mut tx, row.id).await?;
            reason = problem(&chain, app.clock().now()).unwrap_or(reason);
        }
    }
    event.denial_reason = Some(format!("client certificate: {reason}"));
    event.event_data = json!({
        "fingerprint": fingerprint,
        "serial_number": row.as_ref().map(|row| &row.serial_number),
        "entity_type": row.as_ref().and_then(|row| row.entity_type.as_ref()),
        "entity_id": row.as_ref().and_then(|row| row.entity_id.as_ref()),
        "unrecorded_before": refusal.unrecorded,
    });
    settle!(app.ledger.record(app.undecided(), vec![event.clone()]))
}

/// What is wrong with a certificate or one above it. An empty chain is a certificate that is not there.
pub(super) fn problem(chain: &[ChainRow], now: DateTime<Utc>) -> Option<&'static str> {
    if chain.is_empty() {
        return Some("the certificate is not known");
    }
    // deeper than is looked at: what is above is not known to be good
    if chain.last().is_some_and(|row| row.issuer_id.is_some()) {
        return Some("too many authorities are above the certificate");
    }
    for (index, row) in chain.iter().enumerate() {
        let above = index > 0;
        let found = if row.revoked {
            Some(if above {
                "an authority above the certificate was revoked"
            } else {
                "the certificate was revoked"
            })
        } else if now >= row.valid_until {
            Some(if above {
                "an authority above the certificate has expired"
            } else {
                "the certificate has expired"
            })
        } else if now < row.valid_from {
            Some("the certificate is not valid yet")
        } else {
            None
        };
        if found.is_some() {
            return found;
        }
    }
    None
}
