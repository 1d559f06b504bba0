//! Certificates: keys, requests, certificates, revocation lists and answers about revocation, as bytes.
//!
//! * [`pem`]: text around DER;
//! * [`der_bounds`]: what is checked of DER before anything decodes it;
//! * [`keys`]: private keys that sign, and the public keys that are accepted;
//! * [`signatures`]: whether a signature holds;
//! * [`names`]: distinguished and alternative names, between the model and the wire;
//! * [`request`]: certification requests (PKCS#10, RFC 2986);
//! * [`certificate`]: certificates that are written (RFC 5280);
//! * [`issuer`]: an authority that signs them;
//! * [`constraints`]: which names it may certify;
//! * [`chain`]: what it and those above it leave to what is below;
//! * [`facts`]: certificates that are read;
//! * [`crl`]: revocation lists (RFC 5280, section 5);
//! * [`ocsp`]: questions about revocation and their answers (RFC 6960).
//!
//! What comes from outside is read by the strict decoders of RustCrypto; rcgen writes. Signatures are made and checked by
//! aws-lc, the library that TLS uses too.

pub mod certificate;
pub mod chain;
pub mod constraints;
pub mod crl;
pub mod der_bounds;
pub mod facts;
pub mod issuer;
pub mod keys;
pub mod names;
pub mod ocsp;
pub mod pem;
pub mod request;
pub mod signatures;

#[cfg(test)]
mod testing;

use crate::error::{Error, Result};
use chrono::{DateTime, Utc};
use time::OffsetDateTime;

/// A moment in whole seconds since 1970, as certificates know it: from then to the end of the year 9999.
///
/// # Errors
/// `BAD_USER_INPUT` for any other.
fn seconds(at: DateTime<Utc>) -> Result<u64> {
    const END_OF_9999: u64 = 253_402_300_799;
    u64::try_from(at.timestamp()).ok().filter(|seconds| *seconds <= END_OF_9999).ok_or_else(|| {
        Error::bad_input("ttlSeconds", "a certificate ends before the year 10000: ask for less time")
    })
}

/// A moment in whole seconds, as rcgen takes it.
fn moment(at: DateTime<Utc>) -> Result<OffsetDateTime> {
    OffsetDateTime::from_unix_timestamp(seconds(at)?.cast_signed()).map_err(Error::internal)
}
