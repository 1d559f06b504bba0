//! Signing CSRs, and issuing certificates with keys that are made here.

use super::super::context::{Access, OpContext, settle};
use super::super::ledger::{Attempt, Change};
use super::super::tokens;
use super::about;
use super::enroll::{self, EnrollmentView};
use super::issuers::{self, Signer};
use super::plan::{CertificateWish, Planned, plan};
use super::view::CertificateView;
use crate::crypto::x509::certificate::{Profile, sign as sign_profile};
use crate::crypto::x509::facts::{self, Facts};
use crate::crypto::x509::keys::PublicKey;
use crate::crypto::x509::request::CertificateRequest;
use crate::error::{Error, Result};
use crate::model::audit::{AuditEvent, EventType};
use crate::model::certificates::{CertType, KeyType};
use crate::storage::batch::Want;
use crate::storage::certificates as store;
use crate::storage::certificates::CertificateRow;
use crate::storage::db::Tx;
use crate::storage::types::TextArray;
use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::types::Json;
use std::sync::Arc;
use uuid::Uuid;
use zeroize::Zeroizing;

/// What came of a CSR.
pub enum Issued {
    /// And what was granted otherwise than asked for.
    Certificate(Box<CertificateView>, Vec<String>),
    /// The role asks for an operator's approval.
    Waiting(Box<EnrollmentView>, Vec<String>),
}

/// A certificate with its private key, which is shown once and not kept.
pub struct IssuedWithKey {
    pub certificate: CertificateView,
    pub private_key_pem: Zeroizing<String>,
    /// What was granted otherwise than asked for.
    pub warnings: Vec<String>,
}

/// Signs a CSR (PKCS#10). By a role, `issue` on its path is needed; without one, the area `certificates`.
///
/// # Errors
/// `BAD_USER_INPUT` naming the field, `FORBIDDEN`, `NOT_FOUND` for the role, `CONFLICT` if the authority or the role issues nothing.
pub async fn sign(ctx: &OpContext, wish: &CertificateWish, csr_pem: &str) -> Result<Issued> {
    settle!(sign_once(ctx, wish, csr_pem))
}

async fn sign_once(ctx: &OpContext, wish: &CertificateWish, csr_pem: &str) -> Result<Issued, Attempt> {
    // strangers do not make the server check signatures
    let access = ctx.access().await?;
    let csr = CertificateRequest::parse(csr_pem)?;
    let mut planned = plan(&access, wish, Some(&csr), csr.public_key.kind()).await?;
    let warnings = std::mem::take(&mut planned.warnings);
    if planned.role.as_ref().is_some_and(|role| role.row.requires_approval) {
        let waiting = enroll::submit(&access, planned, csr_pem).await?;
        return Ok(Issued::Waiting(Box::new(waiting), warnings));
    }
    let bootstrap = bootstrap_event(&access, &planned);
    let view = finish(&access, planned, &csr.public_key, bootstrap).await?;
    Ok(Issued::Certificate(Box::new(view), warnings))
}

/// Makes a key and its certificate. The key leaves in this answer and is not kept.
///
/// # Errors
/// As [`sign`].
pub async fn issue(ctx: &OpContext, wish: &CertificateWish, key_type: KeyType) -> Result<IssuedWithKey> {
    if wish.cert_type.is_ca() {
        return Err(Error::bad_input(
            "certType",
            "the key of an authority never leaves the server: use createIntermediateCa",
        ));
    }
    settle!(issue_once(ctx, wish, key_type))
}

async fn issue_once(
    ctx: &OpContext,
    wish: &CertificateWish,
    key_type: KeyType,
) -> Result<IssuedWithKey, Attempt> {
    let access = ctx.access().await?;
    let mut planned = plan(&access, wish, None, key_type).await?;
    let warnings = std::mem::take(&mut planned.warnings);
    let key = issuers::new_key(key_type).await?;
    let bootstrap = bootstrap_event(&access, &planned);
    let certificate = finish(&access, planned, key.public_key(), bootstrap).await?;
    Ok(IssuedWithKey { certificate, private_key_pem: key.to_pem()?, warnings })
}

/// An agent that has just come in by its role, and asks for the certificate that it goes on with.
pub fn bootstrap_event(access: &Access, planned: &Planned) -> Option<AuditEvent> {
    let is_agent = planned.profile.cert_type == CertType::AgentClient;
    let by_role = access.caller.role_name.is_some() && access.caller.certificate.is_none();
    if !(is_agent && by_role) {
        return None;
    }
    let mut event = access.granted(EventType::AuthAgentBootstrap, &planned.decision);
    event.event_data = json!({
        "entity_id": planned.entity_id,
        "role": planned.role.as_ref().map(|role| role.row.path.as_str()),
        "common_name": planned.profile.subject.common_name,
    });
    Some(event)
}

async fn finish(
    access: &Access,
    planned: Planned,
    key: &PublicKey,
    bootstrap: Option<AuditEvent>,
) -> Result<CertificateView, Attempt> {
    let Planned { signer, profile, entity_id, role, decision, .. } = planned;
    let mut row = make(&signer, &profile, key, access.now, access.caller.actor_id.clone()).await?;
    row.entity_id = entity_id;
    row.role_path = role.map(|role| role.row.path.clone());
    let event = issued_event(access.granted(issued_type(profile.cert_type), &decision), &row);
    let (caller, now) = (access.caller.accessor, access.now);
    let view = CertificateView::from_row(row.clone())?;
    access
        .change_knowing(vec![Want::Token(caller)], &event.clone(), move |tx| {
            Box::pin(async move {
                match row.issuer_id {
                    Some(issuer) => {
                        issuers::require_signing_for(tx, issuer, caller, row.role_path.is_some(), now).await?
                    }
                    None => tokens::require_live(tx, caller, now).await?,
                }
                store::insert_new(tx, row).await?;
                let events = bootstrap.into_iter().chain([event]).collect();
                Ok(Change { value: (), events, effects: Vec::new() })
            })
        })
        .await?;
    Ok(view)
}

/// In a change: the certificate, if its authority still signs.
pub async fn insert(tx: &mut Tx, row: &CertificateRow, now: DateTime<Utc>) -> Result<()> {
    if let Some(issuer) = row.issuer_id {
        issuers::require_signing(tx, issuer, row.role_path.is_some(), now).await?;
    }
    store::insert(tx, row).await
}

/// The event type of an issue: agents' certificates have their own.
pub fn issued_type(cert_type: CertType) -> EventType {
    match cert_type {
        CertType::AgentClient => EventType::AuthAgentCertificateIssued,
        _ => EventType::CertificateIssued,
    }
}

pub fn issued_event(mut event: AuditEvent, row: &CertificateRow) -> AuditEvent {
    event.event_data = about(row);
    event.secret_path.clone_from(&row.role_path);
    event
}

/// Signs, and makes the row of what came of it; the caller fills in whose it is.
pub async fn make(
    signer: &Arc<Signer>,
    profile: &Profile,
    key: &PublicKey,
    now: DateTime<Utc>,
    requested_by: String,
) -> Result<CertificateRow> {
    let der = signed(signer, profile, key).await?;
    let mut row = row_of(profile, &der, now, requested_by)?;
    row.issuer_id = Some(signer.id);
    Ok(row)
}

/// An RSA authority takes milliseconds, off the threads that serve.
async fn signed(signer: &Arc<Signer>, profile: &Profile, key: &PublicKey) -> Result<Vec<u8>> {
    if signer.issuer.key().kind().rsa_bits().is_none() {
        return sign_profile(profile, key, &signer.issuer);
    }
    let (signer, profile, key) = (Arc::clone(signer), profile.clone(), key.clone());
    tokio::task::spawn_blocking(move || sign_profile(&profile, &key, &signer.issuer))
        .await
        .map_err(Error::internal)?
}

/// The row of a certificate that was just made, of no authority's here yet.
pub fn row_of(
    profile: &Profile,
    der: &[u8],
    now: DateTime<Utc>,
    requested_by: String,
) -> Result<CertificateRow> {
    let facts = Facts::from_der(der)?;
    Ok(row_of_facts(&facts, der, profile.cert_type, now, requested_by))
}

/// The same for a certificate that came from elsewhere.
pub fn row_of_facts(
    facts: &Facts,
    der: &[u8],
    cert_type: CertType,
    now: DateTime<Utc>,
    requested_by: String,
) -> CertificateRow {
    CertificateRow {
        id: Uuid::now_v7(),
        serial_number: facts.serial.clone(),
        fingerprint: data_encoding::HEXLOWER.encode(&facts.fingerprint),
        certificate_pem: facts::to_pem(der),
        private_key_encrypted: None,
        key_version: None,
        subject: facts.subject.clone(),
        issuer: facts.issuer.clone(),
        common_name: facts.common_name.clone().unwrap_or_default(),
        organization: facts.organization.clone(),
        organizational_unit: facts.organizational_unit.clone(),
        valid_from: facts.not_before,
        valid_until: facts.not_after,
        cert_type: cert_type.as_str().to_owned(),
        key_usage: TextArray(facts.key_usage.clone()),
        names: TextArray(facts.names.clone()),
        key_type: facts.key.map_or_else(|| "unknown".to_owned(), |kind| kind.as_str().to_owned()),
        revoked: false,
        revoked_at: None,
        revocation_reason: None,
        revocation_number: None,
        entity_id: None,
        entity_type: cert_type.entity_type().map(str::to_owned),
        issuer_id: None,
        role_path: None,
        requested_by,
        replaces: None,
        expiry_noticed: false,
        metadata: Json(json!({})),
        created_at: now,
    }
}
