//! Certificate revocation lists (RFC 5280, section 5).

use chrono::{DateTime, Utc};
use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber};

use super::certificate::Issuer;
use super::moment;
use crate::error::{Error, Result};
use crate::model::certificates::RevocationReason;

/// One revoked certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedEntry {
    pub serial: Vec<u8>,
    pub revoked_at: DateTime<Utc>,
    pub reason: RevocationReason,
}

/// A complete list (DER, version 2) with its number and the issuer's key identifier. A reason that is unspecified is left out, as the
/// standard asks for.
///
/// # Errors
/// `INTERNAL` if `next_update` is not after `this_update`, or the library fails.
pub fn make(
    issuer: &Issuer,
    number: u64,
    this_update: DateTime<Utc>,
    next_update: DateTime<Utc>,
    entries: &[RevokedEntry],
) -> Result<Vec<u8>> {
    let list = CertificateRevocationListParams {
        this_update: moment(this_update)?,
        next_update: moment(next_update)?,
        crl_number: SerialNumber::from(number),
        issuing_distribution_point: None,
        revoked_certs: entries.iter().map(revoked).collect::<Result<_>>()?,
        key_identifier_method: KeyIdMethod::PreSpecified(issuer.key_id()),
    };
    let list = list.signed_by(&issuer.rcgen()).map_err(Error::internal)?;
    Ok(list.der().to_vec())
}

fn revoked(entry: &RevokedEntry) -> Result<RevokedCertParams> {
    use rcgen::RevocationReason as Written;
    let reason_code = match entry.reason {
        RevocationReason::Unspecified => None,
        RevocationReason::KeyCompromise => Some(Written::KeyCompromise),
        RevocationReason::CaCompromise => Some(Written::CaCompromise),
        RevocationReason::AffiliationChanged => Some(Written::AffiliationChanged),
        RevocationReason::Superseded => Some(Written::Superseded),
        RevocationReason::CessationOfOperation => Some(Written::CessationOfOperation),
        RevocationReason::PrivilegeWithdrawn => Some(Written::PrivilegeWithdrawn),
    };
    Ok(RevokedCertParams {
        serial_number: SerialNumber::from_slice(&entry.serial),
        revocation_time: moment(entry.revoked_at)?,
        reason_code,
        invalidity_date: None,
    })
}

#[cfg(test)]
#[path = "crl_tests.rs"]
mod tests;
