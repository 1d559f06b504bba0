//! Authorities as they sign: opened once, and kept as long as the keyring is in memory.

use super::super::App;
use super::super::seal::open_record;
use super::super::tokens;
use super::key_record;
use super::trust;
use crate::crypto::x509::certificate::{Issuer, Urls};
use crate::crypto::x509::chain::Chain;
use crate::crypto::x509::facts;
use crate::crypto::x509::keys::SigningKey;
use crate::error::{Error, Result};
use crate::model::certificates::{KeyType, parse_serial};
use crate::storage::certificate_authorities as store;
use crate::storage::certificates as certificate_store;
use crate::storage::certificates::CertificateRow;
use crate::storage::db::Tx;
use crate::storage::errors::corrupt;
use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;
use zeroize::Zeroizing;

/// An authority, ready to sign. Holds its private key.
pub struct Signer {
    pub id: Uuid,
    pub issuer: Issuer,
    /// Its certificate and those above it, PEM, nearest first.
    pub chain_pem: String,
    pub urls: Urls,
    pub valid_from: DateTime<Utc>,
    pub valid_until: DateTime<Utc>,
    /// What it and those above it leave to what it signs.
    pub chain: Chain,
}

/// Opened authorities; part of the keys in memory, and gone with them.
#[derive(Default)]
pub struct IssuerCache(Mutex<HashMap<Uuid, Arc<Signer>>>);

/// Which authority is meant: the one of this serial number, or the default.
///
/// # Errors
/// `BAD_USER_INPUT` at `issuerSerialNumber`, `CONFLICT` if there is no default.
pub async fn choose(tx: &mut Tx, serial: Option<&str>) -> Result<Uuid> {
    let Some(serial) = serial else {
        return store::default(tx).await?.map(|row| row.id).ok_or_else(no_default);
    };
    find(tx, serial).await?.ok_or_else(|| {
        Error::bad_input(
            "issuerSerialNumber",
            "there is no authority of this serial number: check it against the list",
        )
    })
}

pub fn no_default() -> Error {
    Error::conflict("there is no default authority: create one, or name one as 'issuerSerialNumber'")
}

/// The authority of this serial number, or `default`.
pub async fn find(tx: &mut Tx, serial: &str) -> Result<Option<Uuid>> {
    if serial == "default" {
        return Ok(store::default(tx).await?.map(|row| row.id));
    }
    let Some(serial) = parse_serial(serial) else { return Ok(None) };
    for row in certificate_store::by_serial(tx, &serial).await? {
        if store::by_id(tx, row.id).await?.is_some() {
            return Ok(Some(row.id));
        }
    }
    Ok(None)
}

/// The authority, opened.
///
/// # Errors
/// `SEALED`, `NOT_INITIALIZED`, `UNAVAILABLE`, internal for a damaged record.
pub async fn signer(app: &App, id: Uuid) -> Result<Arc<Signer>> {
    let keys = app.keys.get()?;
    if let Some(signer) = keys.issuers.0.lock().get(&id) {
        return Ok(Arc::clone(signer));
    }
    let (row, chain_above) = {
        let mut tx = app.read().await?;
        let row = certificate_store::by_id(&mut tx, id).await?;
        let authority = store::by_id(&mut tx, id).await?;
        row.zip(authority.map(|authority| authority.chain_pem))
            .ok_or_else(|| corrupt("certificate_authorities", "id", &id.to_string()))?
    };
    let key = open_key(app, &row).await?;
    let signer = Arc::new(open(app, row, &chain_above, &key)?);
    // the keys may have been taken out of memory meanwhile: then this cache goes with them
    keys.issuers.0.lock().insert(id, Arc::clone(&signer));
    Ok(signer)
}

fn open(app: &App, row: CertificateRow, chain_above: &str, pkcs8: &[u8]) -> Result<Signer> {
    let damaged = || corrupt("certificates", "certificate_pem", &row.id.to_string());
    let der = facts::from_pem(&row.certificate_pem)?.into_iter().next().ok_or_else(damaged)?;
    let issuer = Issuer::new(der, SigningKey::from_pkcs8_der(pkcs8)?)?;
    let base = app.pki.settings.base_url.as_ref().map(|url| format!("{url}/v1/pki/{}", row.serial_number));
    let chain_pem = format!("{}{chain_above}", row.certificate_pem);
    let at = |door: &str| base.as_ref().map(|base| format!("{base}/{door}"));
    Ok(Signer {
        id: row.id,
        issuer,
        chain: Chain::read(&facts::from_pem(&chain_pem)?)?,
        chain_pem,
        urls: Urls { ca_issuers: at("ca.der"), ocsp: at("ocsp"), crl: at("crl") },
        valid_from: row.valid_from,
        valid_until: row.valid_until,
    })
}

/// The private key of a row (PKCS#8).
pub async fn open_key(app: &App, row: &CertificateRow) -> Result<Zeroizing<Vec<u8>>> {
    let id = row.id.to_string();
    let sealed = row
        .private_key_encrypted
        .as_deref()
        .ok_or_else(|| corrupt("certificates", "private_key_encrypted", &id))?;
    open_record(app, &key_record(&id), sealed).await
}

/// Makes a key. RSA takes up to seconds, off the threads that serve.
pub async fn new_key(kind: KeyType) -> Result<SigningKey> {
    static RSA: tokio::sync::Semaphore = tokio::sync::Semaphore::const_new(2);
    if kind.rsa_bits().is_none() {
        return SigningKey::generate(kind);
    }
    let place = RSA.acquire().await.map_err(Error::internal)?;
    let made =
        tokio::task::spawn_blocking(move || SigningKey::generate(kind)).await.map_err(Error::internal)?;
    drop(place);
    made
}

/// In a change: that the authority signs, and neither it nor one above it was revoked or has ended. Who asks by a role cannot name
/// another one.
///
/// # Errors
/// `CONFLICT`.
pub async fn require_signing(tx: &mut Tx, id: Uuid, by_role: bool, now: DateTime<Utc>) -> Result<()> {
    let remedy = if by_role {
        "whoever administers 'certificates' must give the role another one, or make another one the default"
    } else {
        "name another one, or make another one the default"
    };
    let authority = store::by_id(tx, id).await?;
    if !authority.is_some_and(|row| row.enabled) {
        return Err(Error::conflict(format!(
            "the authority is disabled and signs nothing any more: {remedy}"
        )));
    }
    match problem(tx, id, now).await? {
        None => Ok(()),
        Some(problem) => Err(Error::conflict(format!("{problem}, so it signs nothing any more: {remedy}"))),
    }
}

/// What is wrong with an authority's certificate, or one above it.
async fn problem(tx: &mut Tx, id: Uuid, now: DateTime<Utc>) -> Result<Option<String>> {
    let problem = trust::problem(&certificate_store::chain(tx, id).await?, now);
    Ok(problem.map(|problem| problem.replace("the certificate", "the authority's certificate")))
}

/// In a change: the same, and that the token of whoever lets it sign is live.
///
/// # Errors
/// `CONFLICT`, `UNAUTHENTICATED`.
pub async fn require_signing_for(
    tx: &mut Tx,
    id: Uuid,
    token: Uuid,
    by_role: bool,
    now: DateTime<Utc>,
) -> Result<()> {
    tokens::require_live(tx, token, now).await?;
    match certificate_store::signing(tx, id).await? {
        Some(found) if found.enabled && trust::problem(&found.chain, now).is_none() => Ok(()),
        // once more, step by step: to say why not
        _ => require_signing(tx, id, by_role, now).await,
    }
}

/// In a change: that the certificate and all above it of this installation are neither revoked nor outside their time.
///
/// # Errors
/// `CONFLICT`.
pub async fn require_standing(tx: &mut Tx, id: Uuid, now: DateTime<Utc>) -> Result<()> {
    match problem(tx, id, now).await? {
        None => Ok(()),
        Some(problem) => Err(Error::conflict(format!("{problem}: use another authority"))),
    }
}
