//! Authorities that come from elsewhere: imported with their keys, or signed by an authority outside this installation.

use super::super::context::{Access, OpContext, settle};
use super::super::ledger::Change;
use super::super::seal::open_record;
use super::super::tokens;
use super::authorities::{Made, keep, seal_key, with_key};
use super::authority_input::{AuthorityInput, ImportInput};
use super::issue::row_of_facts;
use super::view::CertificateView;
use super::{issuers, key_record};
use crate::crypto::primitives::sha256;
use crate::crypto::x509::certificate::Issuer;
use crate::crypto::x509::chain::Chain;
use crate::crypto::x509::facts::{self, Facts, MAX_CHAIN};
use crate::crypto::x509::keys::SigningKey;
use crate::crypto::x509::request;
use crate::error::{Error, Result};
use crate::model::audit::EventType;
use crate::model::certificates::CertType;
use crate::model::policies::Area;
use crate::storage::certificate_authorities as store;
use crate::storage::certificates as certificate_store;
use crate::storage::pending_authorities as pending_store;
use crate::storage::pending_authorities::PendingAuthorityRow;
use chrono::{DateTime, Duration, Utc};
use data_encoding::HEXLOWER;
use serde_json::json;
use uuid::Uuid;

/// The most requests that may wait for an outside signature.
const MOST_PENDING: i64 = 100;
/// How long one waits: whoever signs it may take weeks, and what was given up makes room by itself.
pub(super) const PATIENCE: Duration = Duration::days(30);

/// Takes over an authority with its key. Needs the area `certificates`.
///
/// # Errors
/// `BAD_USER_INPUT` at `certificatePem`, `privateKeyPem` or `chainPem`; `CONFLICT` if it, or one of its serial number, is there already.
pub async fn import(ctx: &OpContext, input: &ImportInput) -> Result<CertificateView> {
    settle!(async {
        let access = ctx.access().await?;
        let decision = access.administer(Area::Certificates, "import_ca").await?;
        let key = SigningKey::from_pem(&input.private_key_pem)?;
        let made = from_outside(&access, &input.certificate_pem, input.chain_pem.as_deref(), key).await?;
        keep(&access, &decision, made, input.make_default, None).await
    })
}

/// Makes a key for an authority that one outside this installation is to sign: the CSR for it, and the id to complete it with.
/// Needs the area `certificates`.
///
/// # Errors
/// As [`create_root`].
pub async fn request_intermediate(ctx: &OpContext, input: &AuthorityInput) -> Result<(Uuid, String)> {
    input.check()?;
    settle!(async {
        let access = ctx.access().await?;
        let decision = access.administer(Area::Certificates, "request_intermediate_ca").await?;
        let key = issuers::new_key(input.key_type).await?;
        let csr_pem = request::make(&input.subject, &key)?;
        let id = Uuid::now_v7();
        let (sealed, key_version) = seal_key(&access, id, &key)?;
        let row = PendingAuthorityRow {
            id,
            common_name: input.subject.common_name.clone(),
            organization: input.subject.organization.clone(),
            organizational_unit: input.subject.organizational_unit.clone(),
            key_type: input.key_type.as_str().to_owned(),
            csr_pem: csr_pem.clone(),
            private_key_encrypted: sealed,
            key_version,
            created_at: access.now,
            requested_by: access.caller.actor_id.clone(),
        };
        let mut event = access.granted(EventType::CertificateCaRequested, &decision);
        event.event_data = json!({ "id": id.to_string(), "common_name": row.common_name });
        let (caller, now) = (access.caller.accessor, access.now);
        access
            .change(&event.clone(), move |tx| {
                Box::pin(async move {
                    tokens::require_live(tx, caller, now).await?;
                    if pending_store::count(tx, MOST_PENDING).await? >= MOST_PENDING {
                        return Err(Error::conflict(
                            "too many requests of authorities wait: complete or cancel some first; each is given up after 30 days",
                        ));
                    }
                    pending_store::insert(tx, &row).await?;
                    Ok(Change::new((), event, Vec::new()))
                })
            })
            .await?;
        Ok((id, csr_pem))
    })
}

/// Completes [`request_intermediate`] with the certificate that the outside authority has signed.
///
/// # Errors
/// `NOT_FOUND` for the id, `BAD_USER_INPUT` at `certificatePem` or `chainPem`, `CONFLICT` if one of its serial number is there already.
pub async fn complete_intermediate(
    ctx: &OpContext,
    id: Uuid,
    certificate_pem: &str,
    chain_pem: Option<&str>,
    make_default: bool,
) -> Result<CertificateView> {
    settle!(async {
        let access = ctx.access().await?;
        let decision = access.administer(Area::Certificates, "complete_intermediate_ca").await?;
        let pending = {
            let mut tx = access.app().read().await?;
            pending_store::by_id(&mut tx, id).await?
        };
        let waits = |row: &PendingAuthorityRow| access.now < row.created_at + PATIENCE;
        let pending = pending.filter(waits).ok_or_else(no_such_request)?;
        let sealed = &pending.private_key_encrypted;
        let plain = open_record(access.app(), &key_record(&id.to_string()), sealed).await?;
        let key = SigningKey::from_pkcs8_der(&plain)?;
        let made = from_outside(&access, certificate_pem, chain_pem, key).await?;
        keep(&access, &decision, made, make_default, Some(id)).await
    })
}

pub(super) fn no_such_request() -> Error {
    Error::not_found(
        "no authority of this id waits for a signature, for 30 days at most: check the id, or ask anew",
    )
}

/// Checks what comes from elsewhere: an authority's certificate, its key, and the chain above it.
async fn from_outside(
    access: &Access,
    certificate_pem: &str,
    chain_pem: Option<&str>,
    key: SigningKey,
) -> Result<Made> {
    const FIELD: &str = "certificatePem";
    let one = |pem: &str| -> Result<Vec<u8>> {
        let mut found = facts::from_pem(pem).map_err(|error| error.at_field(FIELD))?.into_iter();
        match (found.next(), found.next()) {
            (Some(der), None) => Ok(der),
            _ => Err(Error::bad_input(FIELD, "give one certificate here, and those above it as 'chainPem'")),
        }
    };
    let der = one(certificate_pem)?;
    let pkcs8 = key.to_pkcs8_der()?;
    let issuer = Issuer::new(der.clone(), key)?;
    let found = issuer.facts();
    if !found.is_ca {
        return Err(Error::bad_input(
            FIELD,
            "is no certificate of an authority: CA:TRUE and keyCertSign are needed",
        ));
    }
    if access.now >= found.not_after || access.now < found.not_before {
        return Err(Error::bad_input(FIELD, "is not valid now: check its dates"));
    }
    let above = match chain_pem {
        Some(pem) => facts::from_pem(pem).map_err(|error| error.at_field("chainPem"))?,
        None => Vec::new(),
    };
    let kind = if facts::is_signed_by(&der, &der)? { CertType::RootCa } else { CertType::IntermediateCa };
    check_chain(access.now, &der, kind, &above)?;
    check_heights(&der, &above)?;
    let mut row = row_of_facts(found, &der, kind, access.now, access.caller.actor_id.clone());
    row.issuer_id = known(access, above.first()).await?;
    let key = SigningKey::from_pkcs8_der(&pkcs8)?;
    let chain_above = above.iter().map(|der| facts::to_pem(der)).collect();
    Ok(Made { row: with_key(access, row, &key)?, chain_above })
}

/// Each certificate of the chain has signed the one before it.
fn check_chain(now: DateTime<Utc>, der: &[u8], kind: CertType, above: &[Vec<u8>]) -> Result<()> {
    const FIELD: &str = "chainPem";
    if kind == CertType::RootCa && !above.is_empty() {
        return Err(Error::bad_input(FIELD, "nothing is above a root: leave it out"));
    }
    let mut below = der;
    for one in above {
        let found = Facts::from_der(one).map_err(|error| error.at_field(FIELD))?;
        if !found.is_ca || now >= found.not_after {
            return Err(Error::bad_input(FIELD, "holds a certificate that is no authority's or has expired"));
        }
        if !facts::is_signed_by(below, one)? {
            return Err(Error::bad_input(
                FIELD,
                "does not fit: each certificate must have signed the one before it, nearest first",
            ));
        }
        below = one;
    }
    Ok(())
}

/// What is too far down for those above it would issue what nobody takes.
fn check_heights(der: &[u8], above: &[Vec<u8>]) -> Result<()> {
    let chain: Vec<_> = std::iter::once(der.to_vec()).chain(above.iter().cloned()).collect();
    // with one that it signs
    if chain.len() + 1 > MAX_CHAIN {
        return Err(Error::bad_input("chainPem", format!("at most {} certificates", MAX_CHAIN - 2)));
    }
    if Chain::read(&chain)?.path_length().is_some_and(|left| left < 0) {
        return Err(Error::bad_input(
            "chainPem",
            "an authority in it allows fewer below it than there are: have it signed by one with a greater path length",
        ));
    }
    Ok(())
}

/// The authority of this installation that a certificate is of.
async fn known(access: &Access, der: Option<&Vec<u8>>) -> Result<Option<Uuid>> {
    let Some(der) = der else { return Ok(None) };
    let mut tx = access.app().read().await?;
    let row = certificate_store::by_fingerprint(&mut tx, &HEXLOWER.encode(&sha256(der))).await?;
    let Some(row) = row else { return Ok(None) };
    Ok(store::by_id(&mut tx, row.id).await?.map(|authority| authority.id))
}
