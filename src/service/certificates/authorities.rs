//! Making authorities. Their private keys are made here or come in once, are sealed at once, and never leave.

use super::super::context::{Access, OpContext, settle};
use super::super::ledger::{Attempt, Change};
use super::super::seal::open_record;
use super::super::tokens;
use super::authority_input::{AuthorityInput, ImportInput};
use super::issue::{insert, row_of, row_of_facts, signed};
use super::plan::{MAX_TTL, path_length, profile, whole_second};
use super::view::{AuthorityView, CertificateView, authority_by_id};
use super::{about, issuers, key_record};
use crate::crypto::primitives::sha256;
use crate::crypto::x509::certificate::{Issuer, Profile, Urls, new_serial, self_signed};
use crate::crypto::x509::facts::{self, Facts};
use crate::crypto::x509::keys::SigningKey;
use crate::crypto::x509::request;
use crate::error::{Error, Result};
use crate::model::audit::EventType;
use crate::model::certificates::{CertType, parse_serial};
use crate::model::policies::{Area, Decision};
use crate::storage::certificate_authorities as store;
use crate::storage::certificate_authorities::AuthorityRow;
use crate::storage::certificates as certificate_store;
use crate::storage::certificates::CertificateRow;
use crate::storage::db::Tx;
use crate::storage::pending_authorities as pending_store;
use crate::storage::pending_authorities::PendingAuthorityRow;
use chrono::{DateTime, Duration, Utc};
use data_encoding::HEXLOWER;
use serde_json::json;
use uuid::Uuid;

/// A root lives this long if no other time is asked for: 3650 days. An intermediate: 1825.
const ROOT_TTL: i64 = MAX_TTL;
const INTERMEDIATE_TTL: i64 = 1825 * 86400;
/// The most authorities of an installation: all that are good are trust anchors of every node's listener.
const MOST: usize = 1000;
/// The most requests that may wait for an outside signature.
const MOST_PENDING: usize = 100;

/// An authority that is about to be stored.
struct Made {
    row: CertificateRow,
    chain_above: String,
}

/// Makes a root. Needs the area `certificates`.
///
/// # Errors
/// `BAD_USER_INPUT` naming the field, `FORBIDDEN`, `CONFLICT` at the limit.
pub async fn create_root(ctx: &OpContext, input: &AuthorityInput) -> Result<CertificateView> {
    input.check()?;
    settle!(async {
        let access = ctx.access().await?;
        let decision = access.administer(Area::Certificates, "create_root_ca").await?;
        let key = issuers::new_key(input.key_type).await?;
        let now = whole_second(access.now)?;
        let wanted = Profile {
            cert_type: CertType::RootCa,
            subject: input.subject.clone(),
            names: Vec::new(),
            serial: new_serial(),
            not_before: now,
            not_after: now + Duration::seconds(input.ttl_seconds.unwrap_or(ROOT_TTL)),
            ca: Some(input.profile(input.own_path_length()?)?),
            urls: Urls::default(),
        };
        let der = self_signed(&wanted, &key)?;
        let row = row_of(&wanted, &der, access.now, access.caller.actor_id.clone())?;
        let made = Made { row: with_key(&access, row, &key)?, chain_above: String::new() };
        keep(&access, &decision, made, input.make_default, None).await
    })
}

/// Makes an authority below another one of this installation. Needs the area `certificates`.
///
/// # Errors
/// As [`create_root`]; `BAD_USER_INPUT` at `ttlSeconds` and `maxPathLength` against the authority above.
pub async fn create_intermediate(ctx: &OpContext, input: &AuthorityInput) -> Result<CertificateView> {
    input.check()?;
    settle!(async {
        let access = ctx.access().await?;
        let decision = access.administer(Area::Certificates, "create_intermediate_ca").await?;
        let app = access.app();
        let above = {
            let mut tx = app.read().await?;
            issuers::choose(&mut tx, input.issuer_serial.as_deref()).await?
        };
        let signer = issuers::signer(app, above).await?;
        let left = (signer.valid_until - access.now).num_seconds();
        if input.ttl_seconds.is_some_and(|asked| asked > left) {
            let message = format!("the authority above ends in {left} seconds: ask for less");
            return Err(Error::bad_input("ttlSeconds", message).into());
        }
        let ttl = input.ttl_seconds.unwrap_or(INTERMEDIATE_TTL.min(left)).max(1);
        let ca = input.profile(path_length(input.max_path_length, &signer)?)?;
        let (kind, subject) = (CertType::IntermediateCa, input.subject.clone());
        let wanted = profile(access.now, &signer, kind, subject, Vec::new(), ttl, Some(ca))?;
        let key = issuers::new_key(input.key_type).await?;
        let der = signed(&signer, &wanted, key.public_key()).await?;
        let mut row = row_of(&wanted, &der, access.now, access.caller.actor_id.clone())?;
        row.issuer_id = Some(signer.id);
        let made = Made { row: with_key(&access, row, &key)?, chain_above: signer.chain_pem.clone() };
        keep(&access, &decision, made, input.make_default, None).await
    })
}

/// Takes over an authority with its key. Needs the area `certificates`.
///
/// # Errors
/// `BAD_USER_INPUT` at `certificatePem`, `privateKeyPem` or `chainPem`; `CONFLICT` if it is there already.
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
                    if pending_store::list(tx, MOST_PENDING as i64).await?.len() >= MOST_PENDING {
                        return Err(Error::conflict(
                            "too many requests of authorities wait: complete some first",
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
/// `NOT_FOUND` for the id, `BAD_USER_INPUT` at `certificatePem` or `chainPem`.
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
        let pending = pending.ok_or_else(no_such_request)?;
        let sealed = &pending.private_key_encrypted;
        let plain = open_record(access.app(), &key_record(&id.to_string()), sealed).await?;
        let key = SigningKey::from_pkcs8_der(&plain)?;
        let made = from_outside(&access, certificate_pem, chain_pem, key).await?;
        keep(&access, &decision, made, make_default, Some(id)).await
    })
}

fn no_such_request() -> Error {
    Error::not_found("no authority of this id waits for a signature: check the id")
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

/// The authority of this installation that a certificate is of.
async fn known(access: &Access, der: Option<&Vec<u8>>) -> Result<Option<Uuid>> {
    let Some(der) = der else { return Ok(None) };
    let mut tx = access.app().read().await?;
    let row = certificate_store::by_fingerprint(&mut tx, &HEXLOWER.encode(&sha256(der))).await?;
    let Some(row) = row else { return Ok(None) };
    Ok(store::by_id(&mut tx, row.id).await?.map(|authority| authority.id))
}

fn seal_key(access: &Access, id: Uuid, key: &SigningKey) -> Result<(Vec<u8>, i64)> {
    let barrier = &access.keys.barrier;
    let sealed = barrier.seal(&key_record(&id.to_string()), &key.to_pkcs8_der()?)?;
    Ok((sealed, i64::from(barrier.keyring().active().version())))
}

fn with_key(access: &Access, mut row: CertificateRow, key: &SigningKey) -> Result<CertificateRow> {
    let (sealed, version) = seal_key(access, row.id, key)?;
    row.private_key_encrypted = Some(sealed);
    row.key_version = Some(version);
    row.key_type = key.kind().as_str().to_owned();
    Ok(row)
}

/// Stores an authority; the first one is the default.
async fn keep(
    access: &Access,
    decision: &Decision,
    made: Made,
    make_default: bool,
    pending: Option<Uuid>,
) -> Result<CertificateView, Attempt> {
    let Made { row, chain_above } = made;
    let mut event = access.granted(EventType::CertificateCaCreated, decision);
    event.event_data = about(&row);
    let authority = AuthorityRow {
        id: row.id,
        is_default: false,
        enabled: true,
        chain_pem: chain_above,
        revocations: 0,
        crl_number: 0,
        crl_covers: 0,
        crl_this_update: None,
        crl_next_update: None,
        created_at: access.now,
        updated_at: access.now,
    };
    let view = CertificateView::from_row(row.clone())?;
    let (caller, now) = (access.caller.accessor, access.now);
    access
        .change(&event.clone(), move |tx| {
            Box::pin(async move {
                tokens::require_live(tx, caller, now).await?;
                store_authority(tx, &row, &authority, make_default, now).await?;
                if let Some(id) = pending
                    && !pending_store::delete(tx, id).await?
                {
                    return Err(no_such_request());
                }
                Ok(Change::new((), event, Vec::new()))
            })
        })
        .await?;
    access.app().pki.lists_due.notify_one();
    access.app().authorities_changed().notify_one();
    Ok(view)
}

async fn store_authority(
    tx: &mut Tx,
    row: &CertificateRow,
    authority: &AuthorityRow,
    make_default: bool,
    now: DateTime<Utc>,
) -> Result<()> {
    if certificate_store::by_fingerprint(tx, &row.fingerprint).await?.is_some() {
        return Err(Error::conflict("this certificate is there already"));
    }
    let before = store::all(tx).await?;
    if before.len() >= MOST {
        return Err(Error::conflict("there are as many authorities as there may be"));
    }
    insert(tx, row, now).await?;
    store::insert(tx, authority).await?;
    if make_default || before.is_empty() {
        store::set_default(tx, row.id, now).await?;
    }
    Ok(())
}

/// What is to change about an authority.
#[derive(Debug, Clone, Default)]
pub struct AuthorityUpdate {
    pub serial_number: String,
    /// `Some(true)`: what names no authority is signed by this one.
    pub is_default: Option<bool>,
    /// `Some(false)`: it signs no new certificates; lists and answers of its own go on.
    pub enabled: Option<bool>,
}

/// Changes an authority. Needs the area `certificates`.
///
/// # Errors
/// `NOT_FOUND`, `CONFLICT` for a default that would sign nothing, `BAD_USER_INPUT` at `isDefault`.
pub async fn update(ctx: &OpContext, input: &AuthorityUpdate) -> Result<AuthorityView> {
    if input.is_default == Some(false) {
        return Err(Error::bad_input("isDefault", "make another authority the default instead"));
    }
    settle!(async {
        let access = ctx.access().await?;
        let decision = access.administer(Area::Certificates, "update_certificate_authority").await?;
        let mut event = access.granted(EventType::CertificateCaUpdated, &decision);
        let asked = input.clone();
        let (caller, now) = (access.caller.accessor, access.now);
        let id = access
            .change(&event.clone(), move |tx| {
                Box::pin(async move {
                    tokens::require_live(tx, caller, now).await?;
                    let serial = parse_serial(&asked.serial_number).unwrap_or_default();
                    let id = issuers::find(tx, &serial).await?.ok_or_else(super::absent)?;
                    apply(tx, id, &asked, now).await?;
                    event.event_data = json!({
                        "serial_number": serial, "default": asked.is_default, "enabled": asked.enabled,
                    });
                    Ok(Change::new(id, event, Vec::new()))
                })
            })
            .await?;
        Ok(authority_by_id(access.app(), id).await?)
    })
}

async fn apply(tx: &mut Tx, id: Uuid, asked: &AuthorityUpdate, now: DateTime<Utc>) -> Result<()> {
    let row = store::by_id(tx, id).await?.ok_or_else(super::absent)?;
    let enabled = asked.enabled.unwrap_or(row.enabled);
    let is_default = asked.is_default.unwrap_or(row.is_default);
    if is_default && !enabled {
        return Err(Error::conflict("the default authority has to sign: make another one the default first"));
    }
    if enabled != row.enabled {
        store::set_enabled(tx, id, enabled, now).await?;
    }
    if is_default && !row.is_default {
        issuers::require_standing(tx, id, now).await?;
        store::set_default(tx, id, now).await?;
    }
    Ok(())
}
