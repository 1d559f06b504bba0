//! What is signed: the one way to it, for whatever an authority signs.

use super::issuers::Signer;
use super::plan::CertificateWish;
use crate::crypto::x509::certificate::{CaProfile, Profile, new_serial};
use crate::crypto::x509::facts::MAX_CHAIN;
use crate::error::{Error, Result};
use crate::model::certificates::{AltName, CertType, Subject};
use chrono::{DateTime, Duration, DurationRound, Utc};

/// Clocks differ: a certificate is valid from a moment ago.
const BACKDATED: i64 = 30;

/// What makes it one of an authority, if that is asked for.
pub fn ca_profile(wish: &CertificateWish, signer: &Signer) -> Result<Option<CaProfile>> {
    if !wish.cert_type.is_ca() {
        return Ok(None);
    }
    Ok(Some(CaProfile {
        max_path_length: path_length(wish.max_path_length, signer)?,
        ..CaProfile::default()
    }))
}

/// How many authorities may follow below: fewer than below the one that signs.
pub fn path_length(asked: Option<i64>, signer: &Signer) -> Result<Option<u8>> {
    const FIELD: &str = "maxPathLength";
    let asked = asked
        .map(|length| {
            u8::try_from(length).map_err(|_| Error::bad_input(FIELD, "write a whole number from 0 to 255"))
        })
        .transpose()?;
    let left = signer.chain.path_length();
    match (left, asked) {
        (Some(..=0), _) => Err(Error::conflict("no authority may be below this one: its path length is 0")),
        (Some(left), Some(asked)) if i64::from(asked) >= left => {
            Err(Error::bad_input(FIELD, format!("at most {} below this authority", left - 1)))
        }
        (Some(left), None) => u8::try_from(left - 1).map(Some).map_err(Error::internal),
        (_, asked) => Ok(asked),
    }
}

/// What is signed. Everything that an authority signs comes by here: names that it or one above it may not certify are refused,
/// since nobody would take them.
///
/// # Errors
/// `BAD_USER_INPUT` at `names`, `commonName`, or a list of an authority's own constraints; `CONFLICT` for an authority too far down.
pub fn profile(
    now: DateTime<Utc>,
    signer: &Signer,
    cert_type: CertType,
    subject: Subject,
    names: Vec<AltName>,
    ttl: i64,
    ca: Option<CaProfile>,
) -> Result<Profile> {
    signer.chain.allow(&subject, &names, cert_type.is_ca())?;
    if let Some(ca) = &ca {
        signer.chain.allow_below(&ca.constraints().permitted)?;
        // with it, and one that it signs
        if signer.chain.height() + 2 > MAX_CHAIN {
            return Err(Error::conflict("too many authorities are above: make it below another one"));
        }
    }
    let now = whole_second(now)?;
    Ok(Profile {
        cert_type,
        subject,
        names,
        serial: new_serial(),
        not_before: (now - Duration::seconds(BACKDATED)).max(signer.valid_from),
        not_after: (now + Duration::seconds(ttl)).min(signer.valid_until),
        ca,
        urls: signer.urls.clone(),
    })
}

/// Certificates count whole seconds.
pub fn whole_second(time: DateTime<Utc>) -> Result<DateTime<Utc>> {
    time.duration_trunc(Duration::seconds(1)).map_err(Error::internal)
}
