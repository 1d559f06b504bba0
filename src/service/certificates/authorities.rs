//! Making authorities. Their private keys are made here or come in once, are sealed at once, and never leave.

use super::super::cache::Effect;
use super::super::context::{Access, OpContext, settle};
use super::super::ledger::{Attempt, Change};
use super::super::tokens;
use super::authority_input::AuthorityInput;
use super::issue::{insert, make, row_of};
use super::outside::no_such_request;
use super::plan::MAX_TTL;
use super::profile::{path_length, profile, whole_second};
use super::view::CertificateView;
use super::{about, issuers, key_record};
use crate::crypto::x509::certificate::{Profile, Urls, new_serial, self_signed};
use crate::crypto::x509::keys::SigningKey;
use crate::error::{Error, Result};
use crate::model::audit::EventType;
use crate::model::certificates::CertType;
use crate::model::policies::{Area, Decision};
use crate::storage::certificate_authorities as store;
use crate::storage::certificate_authorities::AuthorityRow;
use crate::storage::certificates as certificate_store;
use crate::storage::certificates::CertificateRow;
use crate::storage::db::Tx;
use crate::storage::pending_authorities as pending_store;
use chrono::{DateTime, Duration, Utc};
use uuid::Uuid;

/// A root lives this long if no other time is asked for: 3650 days. An intermediate: 1825.
const ROOT_TTL: i64 = MAX_TTL;
const INTERMEDIATE_TTL: i64 = 1825 * 86400;
/// The most authorities of an installation: all that are good are trust anchors of every node's listener.
const MOST: usize = 1000;

/// An authority that is about to be stored.
pub(super) struct Made {
    pub(super) row: CertificateRow,
    pub(super) chain_above: String,
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
        let by = access.caller.actor_id.clone();
        let row = make(&signer, &wanted, key.public_key(), access.now, by).await?;
        let made = Made { row: with_key(&access, row, &key)?, chain_above: signer.chain_pem.clone() };
        keep(&access, &decision, made, input.make_default, None).await
    })
}

pub(super) fn seal_key(access: &Access, id: Uuid, key: &SigningKey) -> Result<(Vec<u8>, i64)> {
    let barrier = &access.keys.barrier;
    let sealed = barrier.seal(&key_record(&id.to_string()), &key.to_pkcs8_der()?)?;
    Ok((sealed, i64::from(barrier.keyring().active().version())))
}

pub(super) fn with_key(access: &Access, mut row: CertificateRow, key: &SigningKey) -> Result<CertificateRow> {
    let (sealed, version) = seal_key(access, row.id, key)?;
    row.private_key_encrypted = Some(sealed);
    row.key_version = Some(version);
    Ok(row)
}

/// Stores an authority; the first one is the default.
pub(super) async fn keep(
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
                Ok(Change::new((), event, vec![Effect::Issuance]))
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
    // an authority is named by its serial number: in inputs, and in the addresses that relying parties ask
    for other in certificate_store::by_serial(tx, &row.serial_number).await? {
        if store::by_id(tx, other.id).await?.is_some() {
            return Err(Error::conflict(format!(
                "the authority {} has this serial number already, and authorities are told apart by it: have this one's certificate \
                 made anew with a random one",
                other.subject
            )));
        }
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
