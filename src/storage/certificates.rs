//! Certificates that were issued or taken in. How they come in is in `certificates_insert.rs`, what happens to them
//! later in `certificates_states.rs`.

use crate::error::Result;
use crate::storage::db::{Tx, on};
use crate::storage::page::Page;
use crate::storage::select::{Arg, Select, key, page_rows};
use crate::storage::types::TextArray;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::FromRow;
use sqlx::types::Json;
use uuid::Uuid;

pub(super) use crate::storage::certificates_insert::insert_all;
pub use crate::storage::certificates_insert::{insert, insert_new};
pub use crate::storage::certificates_states::{
    RevokedRow, StatusRow, count_expiring, expired_before, expiring, notice_expiry, remove, replace_sealed,
    revoke, revoked_since, sealed_under_older_key, status,
};

/// The most certificates of one chain.
pub const MAX_CHAIN: i64 = 10;

/// No `Debug`: it holds a ciphertext.
#[derive(Clone, PartialEq, FromRow)]
pub struct CertificateRow {
    /// A UUID of version 7: lists are in the order of their making.
    pub id: Uuid,
    /// Lower-case hex.
    pub serial_number: String,
    /// SHA-256 of the DER, lower-case hex.
    pub fingerprint: String,
    pub certificate_pem: String,
    pub private_key_encrypted: Option<Vec<u8>>,
    /// Of `private_key_encrypted`.
    pub key_version: Option<i64>,
    pub subject: String,
    pub issuer: String,
    /// `None`: signed by itself or by an authority outside.
    pub issuer_id: Option<Uuid>,
    pub common_name: String,
    pub organization: Option<String>,
    pub organizational_unit: Option<String>,
    /// Subject alternative names, each as `KIND:NAME`.
    pub names: TextArray,
    pub valid_from: DateTime<Utc>,
    pub valid_until: DateTime<Utc>,
    pub cert_type: String,
    pub key_type: String,
    pub key_usage: TextArray,
    pub revoked: bool,
    pub revoked_at: Option<DateTime<Utc>>,
    pub revocation_reason: Option<String>,
    /// Numbers the revocations of its issuer, from 1.
    pub revocation_number: Option<i64>,
    pub entity_id: Option<String>,
    pub entity_type: Option<String>,
    pub role_path: Option<String>,
    /// The certificate that this one was renewed from.
    pub replaces: Option<Uuid>,
    pub requested_by: String,
    pub expiry_noticed: bool,
    pub metadata: Json<Value>,
    pub created_at: DateTime<Utc>,
}

macro_rules! columns {
    () => {
        "id, serial_number, fingerprint, certificate_pem, private_key_encrypted, key_version, subject, issuer, issuer_id, \
         common_name, organization, organizational_unit, names, valid_from, valid_until, cert_type, key_type, key_usage, \
         revoked, revoked_at, revocation_reason, revocation_number, entity_id, entity_type, role_path, replaces, \
         requested_by, expiry_noticed, metadata, created_at"
    };
}

macro_rules! select {
    ($tail:literal) => {
        concat!("SELECT ", $crate::storage::certificates::columns!(), " FROM certificates", $tail)
    };
}
pub(super) use {columns, select};

pub async fn by_id(tx: &mut Tx, id: Uuid) -> Result<Option<CertificateRow>> {
    on!(tx, c => sqlx::query_as(select!(" WHERE id = $1")).bind(id).fetch_optional(c))
}

/// Those of the authorities from one id to another, in their order; 1,000 at most.
pub async fn of_authorities(tx: &mut Tx, from: Uuid, to: Uuid) -> Result<Vec<CertificateRow>> {
    on!(tx, c => sqlx::query_as(select!(
        " WHERE id IN (SELECT id FROM certificate_authorities WHERE id >= $1 AND id <= $2 ORDER BY id LIMIT 1000) ORDER BY id"
    )).bind(from).bind(to).fetch_all(c))
}

/// By the SHA-256 of the DER, lower-case hex.
pub async fn by_fingerprint(tx: &mut Tx, fingerprint: &str) -> Result<Option<CertificateRow>> {
    on!(tx, c => sqlx::query_as(select!(" WHERE fingerprint = $1")).bind(fingerprint).fetch_optional(c))
}

/// Those of a serial number, which issuers give without knowing of each other: oldest first, 10 at most.
pub async fn by_serial(tx: &mut Tx, serial_number: &str) -> Result<Vec<CertificateRow>> {
    on!(tx, c => sqlx::query_as(select!(" WHERE serial_number = $1 ORDER BY id LIMIT 10"))
        .bind(serial_number).fetch_all(c))
}

pub async fn by_issuer_and_serial(
    tx: &mut Tx,
    issuer_id: Uuid,
    serial_number: &str,
) -> Result<Option<CertificateRow>> {
    on!(tx, c => sqlx::query_as(select!(" WHERE serial_number = $2 AND issuer_id = $1"))
        .bind(issuer_id).bind(serial_number).fetch_optional(c))
}

/// Which certificates a list is of.
#[derive(Debug, Clone, Default)]
pub struct ListCertificates {
    pub cert_type: Option<String>,
    pub entity_id: Option<String>,
    pub issuer_id: Option<Uuid>,
    pub revoked: Option<bool>,
    pub expires_before: Option<DateTime<Utc>>,
    /// Only what has not expired at this time.
    pub unexpired_at: Option<DateTime<Utc>>,
    /// Only of this caller.
    pub requested_by: Option<String>,
}

/// A page of certificates in the order in which they were made, oldest first; the page's keys are ids as texts.
///
/// # Errors
/// `BAD_USER_INPUT` at `after` or `before` for a key that is no id.
pub async fn list(tx: &mut Tx, filter: &ListCertificates, page: &Page) -> Result<Vec<CertificateRow>> {
    let mut select = Select::new(select!(""));
    if let Some(cert_type) = &filter.cert_type {
        select.and("cert_type = $?", Arg::Text(cert_type));
    }
    if let Some(entity_id) = &filter.entity_id {
        select.and("entity_id = $?", Arg::Text(entity_id));
    }
    if let Some(issuer_id) = filter.issuer_id {
        select.and("issuer_id = $?", Arg::Uuid(issuer_id));
    }
    match filter.revoked {
        Some(true) => select.when("revoked"),
        Some(false) => select.when("NOT revoked"),
        None => {}
    }
    if let Some(time) = filter.expires_before {
        select.and("valid_until < $?", Arg::Time(time));
    }
    if let Some(time) = filter.unexpired_at {
        select.and("valid_until > $?", Arg::Time(time));
    }
    if let Some(caller) = &filter.requested_by {
        select.and("requested_by = $?", Arg::Text(caller));
    }
    select.page_by_id(page, &key!("id"))?;
    page_rows!(tx, select, page)
}

/// One certificate of a chain.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct ChainRow {
    pub id: Uuid,
    /// `None`: the chain ends here, as far as it is known.
    pub issuer_id: Option<Uuid>,
    pub revoked: bool,
    pub valid_from: DateTime<Utc>,
    pub valid_until: DateTime<Utc>,
    pub cert_type: String,
}

/// The certificate $1 and those above it, up to a height of $2.
macro_rules! up {
    ($columns:literal) => {
        concat!(
            "WITH RECURSIVE up (id, issuer_id, revoked, valid_from, valid_until, cert_type, height) AS \
             (SELECT id, issuer_id, revoked, valid_from, valid_until, cert_type, CAST(1 AS BIGINT) FROM certificates WHERE id = $1 \
             UNION ALL SELECT c.id, c.issuer_id, c.revoked, c.valid_from, c.valid_until, c.cert_type, up.height + 1 \
             FROM certificates c JOIN up ON c.id = up.issuer_id WHERE up.height < $2) \
             SELECT id, issuer_id, revoked, valid_from, valid_until, cert_type",
            $columns,
            " FROM up ORDER BY height"
        )
    };
}

/// A certificate and those above it, nearest first, [`MAX_CHAIN`] at most: one whose last has an issuer was cut.
pub async fn chain(tx: &mut Tx, id: Uuid) -> Result<Vec<ChainRow>> {
    on!(tx, c => sqlx::query_as(up!("")).bind(id).bind(MAX_CHAIN).fetch_all(c))
}

/// Whether an authority may sign.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signing {
    /// Whether the certificate is one of an authority, and that is not turned off.
    pub enabled: bool,
    /// As [`chain`].
    pub chain: Vec<ChainRow>,
}

#[derive(FromRow)]
struct SigningRow {
    #[sqlx(flatten)]
    link: ChainRow,
    enabled: bool,
}

/// What an authority's signature is decided on, in one look; `None` if there is no such certificate.
pub async fn signing(tx: &mut Tx, authority: Uuid) -> Result<Option<Signing>> {
    if let Some(known) = tx.ahead().and_then(|ahead| ahead.signing.get(&authority)) {
        return Ok(known.clone());
    }
    let rows: Vec<SigningRow> = on!(tx, c => sqlx::query_as(up!(
        ", EXISTS (SELECT 1 FROM certificate_authorities a WHERE a.id = $1 AND a.enabled) AS enabled"
    )).bind(authority).bind(MAX_CHAIN).fetch_all(c))?;
    let enabled = rows.first().map(|row| row.enabled);
    let found =
        enabled.map(|enabled| Signing { enabled, chain: rows.into_iter().map(|row| row.link).collect() });
    if let Some(ahead) = tx.ahead() {
        ahead.signing.insert(authority, found.clone());
    }
    Ok(found)
}
