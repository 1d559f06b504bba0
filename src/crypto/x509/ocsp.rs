//! Questions about revocation, and their answers (OCSP, RFC 6960, as RFC 5019 profiles it; nonces: RFC 9654, which widens RFC 8954).

use std::time::Duration;

use aws_lc_rs::digest;
use chrono::{DateTime, Utc};
use der::asn1::{BitString, GeneralizedTime, Null, ObjectIdentifier, OctetString};
use der::{Decode, Encode};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::CrlReason;
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_ocsp::{
    BasicOcspResponse, CertStatus, OcspGeneralizedTime, OcspResponse, ResponderId, ResponseData, RevokedInfo,
    SingleResponse, Version,
};

use super::certificate::Issuer;
use super::{der_bounds, facts, seconds};
use crate::error::{Error, Result};
use crate::model::certificates::RevocationReason;

/// The most bytes of a request.
pub const MAX_REQUEST: usize = 4096;
/// The most certificates of a request.
const MAX_ASKED: usize = 10;
/// The most bytes of a nonce.
const MAX_NONCE: usize = 128;

const NONCE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.2");
const SHA1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");

/// A request. Who signed it, if anybody did, is not looked at: answers are for everybody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OcspRequest {
    /// 1 to 10.
    pub asked: Vec<CertId>,
    pub nonce: Option<Vec<u8>>,
}

/// Which certificate is asked about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertId(x509_ocsp::CertId);

impl CertId {
    /// Whether it is a certificate of this issuer: hashes of its name and key, by SHA-1 or SHA-256.
    #[must_use]
    pub fn is_of(&self, issuer: &Issuer) -> bool {
        let algorithm = match self.0.hash_algorithm.oid {
            SHA1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            SHA256 => &digest::SHA256,
            _ => return false,
        };
        let plain = self.0.hash_algorithm.parameters.as_ref().is_none_or(|any| any.is_null());
        let is_hash_of =
            |hash: &OctetString, data: &[u8]| hash.as_bytes() == digest::digest(algorithm, data).as_ref();
        plain
            && is_hash_of(&self.0.issuer_name_hash, &issuer.facts().subject_der)
            && is_hash_of(&self.0.issuer_key_hash, issuer.key().public_key().bits())
    }

    /// The serial number, as [`crate::model::certificates::parse_serial`] writes it.
    #[must_use]
    pub fn serial(&self) -> String {
        facts::serial(self.0.serial_number.as_bytes()).unwrap_or_default()
    }
}

/// Reads a request (DER). `None` for what is none: too long, not strict, of another version, about no or too many certificates, with a
/// nonce of no or too many bytes, with a critical extension that is not known.
#[must_use]
pub fn parse(der: &[u8]) -> Option<OcspRequest> {
    if der.len() > MAX_REQUEST || !der_bounds::fine(der) {
        return None;
    }
    let request = x509_ocsp::OcspRequest::from_der(der).ok()?.tbs_request;
    if !(1..=MAX_ASKED).contains(&request.request_list.len()) {
        return None;
    }
    let mut nonce = None;
    for extension in request.request_extensions.unwrap_or_default() {
        if extension.extn_id == NONCE {
            if nonce.is_some() {
                return None;
            }
            nonce = Some(read_nonce(extension.extn_value.as_bytes())?);
        } else if extension.critical {
            return None;
        }
    }
    let asked = request.request_list.into_iter().map(|one| {
        let critical = one.single_request_extensions.iter().flatten().any(|extension| extension.critical);
        let positive = facts::serial(one.req_cert.serial_number.as_bytes()).is_some();
        (positive && !critical).then_some(CertId(one.req_cert))
    });
    Some(OcspRequest { asked: asked.collect::<Option<_>>()?, nonce })
}

fn read_nonce(der: &[u8]) -> Option<Vec<u8>> {
    let nonce = OctetString::from_der(der).ok()?.into_bytes();
    (1..=MAX_NONCE).contains(&nonce.len()).then_some(nonce)
}

/// How it stands with a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    Good,
    Revoked {
        at: DateTime<Utc>,
        reason: RevocationReason,
    },
    /// The issuer has issued no certificate of this number.
    Unknown,
}

/// A signed answer (DER), by the issuer's own key, without certificates: whoever asks has the issuer's.
///
/// # Errors
/// `INTERNAL` if the library fails.
pub fn answer(
    issuer: &Issuer,
    statuses: &[(CertId, Status)],
    nonce: Option<&[u8]>,
    produced_at: DateTime<Utc>,
    this_update: DateTime<Utc>,
    next_update: DateTime<Utc>,
) -> Result<Vec<u8>> {
    let single = |(id, status): &(CertId, Status)| -> Result<SingleResponse> {
        Ok(SingleResponse {
            cert_id: id.0.clone(),
            cert_status: cert_status(*status)?,
            this_update: generalized(this_update)?,
            next_update: Some(generalized(next_update)?),
            single_extensions: None,
        })
    };
    // the standard fixes SHA-1 here; it only tells keys apart
    let key_hash = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, issuer.key().public_key().bits());
    let data = ResponseData {
        version: Version::V1,
        responder_id: ResponderId::ByKey(octets(key_hash.as_ref())?),
        produced_at: generalized(produced_at)?,
        responses: statuses.iter().map(single).collect::<Result<_>>()?,
        response_extensions: nonce.map(nonce_extension).transpose()?.map(|extension| vec![extension]),
    };
    let signed = data.to_der().map_err(Error::internal)?;
    let signature = issuer.key().sign(&signed)?;
    let basic = BasicOcspResponse {
        tbs_response_data: data,
        signature_algorithm: algorithm(issuer.key().signature_algorithm())?,
        signature: BitString::from_bytes(&signature).map_err(Error::internal)?,
        certs: None,
    };
    OcspResponse::successful(basic).and_then(|response| response.to_der()).map_err(Error::internal)
}

fn cert_status(status: Status) -> Result<CertStatus> {
    Ok(match status {
        Status::Good => CertStatus::Good(Null),
        Status::Unknown => CertStatus::Unknown(Null),
        Status::Revoked { at, reason } => CertStatus::Revoked(RevokedInfo {
            revocation_time: generalized(at)?,
            revocation_reason: crl_reason(reason),
        }),
    })
}

fn crl_reason(reason: RevocationReason) -> Option<CrlReason> {
    Some(match reason {
        RevocationReason::Unspecified => return None,
        RevocationReason::KeyCompromise => CrlReason::KeyCompromise,
        RevocationReason::CaCompromise => CrlReason::CaCompromise,
        RevocationReason::AffiliationChanged => CrlReason::AffiliationChanged,
        RevocationReason::Superseded => CrlReason::Superseded,
        RevocationReason::CessationOfOperation => CrlReason::CessationOfOperation,
        RevocationReason::PrivilegeWithdrawn => CrlReason::PrivilegeWithdrawn,
    })
}

fn generalized(at: DateTime<Utc>) -> Result<OcspGeneralizedTime> {
    GeneralizedTime::from_unix_duration(Duration::from_secs(seconds(at)?))
        .map(OcspGeneralizedTime)
        .map_err(Error::internal)
}

fn nonce_extension(nonce: &[u8]) -> Result<Extension> {
    let inner = octets(nonce)?.to_der().map_err(Error::internal)?;
    Ok(Extension { extn_id: NONCE, critical: false, extn_value: octets(&inner)? })
}

fn octets(bytes: &[u8]) -> Result<OctetString> {
    OctetString::new(bytes).map_err(Error::internal)
}

/// An `AlgorithmIdentifier` of this content.
fn algorithm(content: &[u8]) -> Result<AlgorithmIdentifierOwned> {
    let mut der = vec![0x30, u8::try_from(content.len()).map_err(Error::internal)?];
    der.extend_from_slice(content);
    AlgorithmIdentifierOwned::from_der(&der).map_err(Error::internal)
}

/// Why there is no answer. Such a response is not signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    MalformedRequest,
    InternalError,
    TryLater,
    /// The server does not answer for this issuer.
    Unauthorized,
}

/// The response (DER) that says so.
#[must_use]
pub fn failure(failure: Failure) -> Vec<u8> {
    let status = match failure {
        Failure::MalformedRequest => 1,
        Failure::InternalError => 2,
        Failure::TryLater => 3,
        Failure::Unauthorized => 6,
    };
    vec![0x30, 3, 0x0a, 1, status]
}

#[cfg(test)]
#[path = "ocsp_tests.rs"]
mod tests;
