//! Answers of the Online Certificate Status Protocol (RFC 6960; RFC 5019 for what may be cached). The authority itself signs.
//!
//! The status is read from the store for each answer, so a revocation shows at once, on all nodes. What is remembered is the
//! signature over an answer that says the same.

use super::super::App;
use super::issuers::{self, Signer};
use crate::crypto::x509::ocsp as wire;
use crate::crypto::x509::ocsp::{CertId, Failure, Status};
use crate::error::{ErrorCode, Result};
use crate::model::certificates::RevocationReason;
use crate::storage::certificates as store;
use chrono::{DateTime, Duration, Utc};
use quick_cache::sync::Cache;
use std::sync::Arc;
use uuid::Uuid;

pub use wire::MAX_REQUEST;

/// How long an answer is good, in seconds.
const VALIDITY: i64 = 15 * 60;
/// A remembered answer is given for this long.
const REMEMBERED: i64 = 60;
const MOST_REMEMBERED: usize = 10_000;
/// A longer request is answered anew each time: strangers must not fill the memory with them. Usual ones have about 100 bytes.
const LONGEST_REMEMBERED: usize = 200;

/// What an answer says of a certificate.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Says {
    Good,
    Revoked(DateTime<Utc>),
    Unknown,
}

struct Remembered {
    says: Says,
    der: Vec<u8>,
    at: DateTime<Utc>,
}

/// Answers that were signed a moment ago, by authority and the request's own bytes.
pub struct Answers(Cache<(Uuid, Vec<u8>), Arc<Remembered>>);

impl Default for Answers {
    fn default() -> Self {
        Self(Cache::new(MOST_REMEMBERED))
    }
}

/// A response, and for how many seconds it may be cached; `None`: it may not.
pub struct OcspAnswer {
    pub der: Vec<u8>,
    pub expires_in: Option<u64>,
}

impl OcspAnswer {
    fn failure(failure: Failure) -> Self {
        Self { der: wire::failure(failure), expires_in: None }
    }
}

/// The answer (DER) to a request (DER), for the authority of this serial number or `default`; what cannot be answered says so in
/// the protocol's own words.
pub async fn ocsp(app: &App, issuer: &str, request: &[u8]) -> OcspAnswer {
    match answer(app, issuer, request).await {
        Ok(answer) => answer,
        Err(error) if matches!(error.code(), ErrorCode::Internal) => {
            tracing::error!(context = error.log_context(), "an OCSP request could not be answered");
            OcspAnswer::failure(Failure::InternalError)
        }
        Err(_) => OcspAnswer::failure(Failure::TryLater),
    }
}

async fn answer(app: &App, issuer: &str, request: &[u8]) -> Result<OcspAnswer> {
    let Some(asked) = wire::parse(request) else {
        return Ok(OcspAnswer::failure(Failure::MalformedRequest));
    };
    app.keys.get()?;
    let id = issuers::find(&mut app.read().await?, issuer).await?;
    let Some(id) = id else { return Ok(OcspAnswer::failure(Failure::Unauthorized)) };
    let signer = issuers::signer(app, id).await?;
    if !asked.asked.iter().all(|one| one.is_of(&signer.issuer)) {
        return Ok(OcspAnswer::failure(Failure::Unauthorized));
    }
    let now = super::profile::whole_second(app.clock().now())?;
    let mut statuses = Vec::with_capacity(asked.asked.len());
    {
        let mut tx = app.read().await?;
        for one in asked.asked {
            let status = store::status(&mut tx, id, &one.serial()).await?;
            statuses.push((one, status_of(status)));
        }
    }
    let alone = match (statuses.as_slice(), &asked.nonce) {
        ([(_, status)], None) if request.len() <= LONGEST_REMEMBERED => Some(says(status)),
        _ => None,
    };
    if let Some(says) = alone
        && let Some(known) = remembered(app, id, request, says, now)
    {
        return Ok(known);
    }
    let der = sign(&signer, statuses, asked.nonce, now).await?;
    let Some(says) = alone else { return Ok(OcspAnswer { der, expires_in: None }) };
    let entry = Remembered { says, der: der.clone(), at: now };
    app.pki.answers.0.insert((id, request.to_vec()), Arc::new(entry));
    Ok(OcspAnswer { der, expires_in: Some(VALIDITY as u64) })
}

fn status_of(row: Option<store::StatusRow>) -> Status {
    match row {
        None => Status::Unknown,
        Some(row) => match row.revoked_at.filter(|_| row.revoked) {
            None => Status::Good,
            Some(at) => {
                let reason = row.revocation_reason.as_deref().and_then(RevocationReason::parse);
                Status::Revoked { at, reason: reason.unwrap_or(RevocationReason::Unspecified) }
            }
        },
    }
}

fn says(status: &Status) -> Says {
    match status {
        Status::Good => Says::Good,
        Status::Revoked { at, .. } => Says::Revoked(*at),
        Status::Unknown => Says::Unknown,
    }
}

fn remembered(app: &App, id: Uuid, request: &[u8], says: Says, now: DateTime<Utc>) -> Option<OcspAnswer> {
    let known = app.pki.answers.0.get(&(id, request.to_vec()))?;
    let age = (now - known.at).num_seconds();
    if known.says != says || !(0..REMEMBERED).contains(&age) {
        return None;
    }
    Some(OcspAnswer { der: known.der.clone(), expires_in: u64::try_from(VALIDITY - age).ok() })
}

async fn sign(
    signer: &Arc<Signer>,
    statuses: Vec<(CertId, Status)>,
    nonce: Option<Vec<u8>>,
    now: DateTime<Utc>,
) -> Result<Vec<u8>> {
    let until = now + Duration::seconds(VALIDITY);
    let make =
        move |signer: &Signer| wire::answer(&signer.issuer, &statuses, nonce.as_deref(), now, now, until);
    if signer.issuer.key().kind().rsa_bits().is_none() {
        return make(signer);
    }
    let signer = Arc::clone(signer);
    tokio::task::spawn_blocking(move || make(&signer)).await.map_err(crate::error::Error::internal)?
}
