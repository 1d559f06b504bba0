//! What happens to certificates after their issue: revocation, the approach of their end, and their removal.

use super::certificates::{CertificateRow, select};
use crate::error::Result;
use crate::storage::db::{Tx, change, exec, on};
use crate::storage::select::{Arg, Select, bind_all};
use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, FromRow};
use uuid::Uuid;

/// Revokes; `number` is [`next_revocation`](super::certificate_authorities::next_revocation) of its issuer, `None` if that is
/// outside. `false`: it is revoked already, or not there.
pub async fn revoke(
    tx: &mut Tx,
    id: Uuid,
    at: DateTime<Utc>,
    reason: &str,
    number: Option<i64>,
) -> Result<bool> {
    let changed = exec!(
        tx,
        sqlx::query(
            "UPDATE certificates SET revoked = true, revoked_at = $2, revocation_reason = $3, revocation_number = $4 \
             WHERE id = $1 AND NOT revoked"
        )
        .bind(id)
        .bind(at)
        .bind(reason)
        .bind(number)
    )?;
    Ok(changed == 1)
}

/// What a revocation list says of a certificate, and when it may leave it out.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct RevokedRow {
    pub serial_number: String,
    pub revoked_at: DateTime<Utc>,
    pub revocation_reason: Option<String>,
    pub revocation_number: i64,
    pub valid_until: DateTime<Utc>,
}

/// The revocations of an issuer after this number, in order, at most `limit`.
pub async fn revoked_since(tx: &mut Tx, issuer_id: Uuid, number: i64, limit: i64) -> Result<Vec<RevokedRow>> {
    on!(tx, c => sqlx::query_as(
        "SELECT serial_number, revoked_at, revocation_reason, revocation_number, valid_until FROM certificates \
         WHERE issuer_id = $1 AND revocation_number > $2 ORDER BY revocation_number LIMIT $3"
    ).bind(issuer_id).bind(number).bind(limit).fetch_all(c))
}

/// Whether a certificate stands.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct StatusRow {
    pub revoked: bool,
    pub revoked_at: Option<DateTime<Utc>>,
    pub revocation_reason: Option<String>,
}

/// Whether the certificate of this serial number stands. `None`: the issuer has issued none such.
pub async fn status(tx: &mut Tx, issuer_id: Uuid, serial_number: &str) -> Result<Option<StatusRow>> {
    on!(tx, c => sqlx::query_as(
        "SELECT revoked, revoked_at, revocation_reason FROM certificates WHERE serial_number = $2 AND issuer_id = $1"
    ).bind(issuer_id).bind(serial_number).fetch_optional(c))
}

/// Certificates that end after `now` and by `before`, are not revoked, and of which [`notice_expiry`] was not told; the next to
/// end first, at most `limit`.
pub async fn expiring(
    tx: &mut Tx,
    now: DateTime<Utc>,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<CertificateRow>> {
    on!(tx, c => sqlx::query_as(select!(
        " WHERE NOT revoked AND NOT expiry_noticed AND valid_until > $1 AND valid_until <= $2 ORDER BY valid_until LIMIT $3"
    )).bind(now).bind(before).bind(limit).fetch_all(c))
}

/// Notes that somebody was told of their end; those of them that were not noted before, in no order.
pub async fn notice_expiry(tx: &mut Tx, ids: &[Uuid]) -> Result<Vec<Uuid>> {
    let mut update = Select::new("UPDATE certificates SET expiry_noticed = true");
    update.any_of("id", ids.iter().map(|id| Arg::Uuid(*id)));
    update.when("NOT expiry_noticed");
    let Select { mut text, args, .. } = update;
    text.push_str(" RETURNING id");
    let rows: Vec<(Uuid,)> =
        change!(tx, c => bind_all!(sqlx::query_as(AssertSqlSafe(text)), &args).fetch_all(c))?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// How many certificates end after `now` and by `before` and are not revoked, by kind.
pub async fn count_expiring(
    tx: &mut Tx,
    now: DateTime<Utc>,
    before: DateTime<Utc>,
) -> Result<Vec<(String, i64)>> {
    on!(tx, c => sqlx::query_as(
        "SELECT cert_type, count(*) FROM certificates WHERE NOT revoked AND valid_until > $1 AND valid_until <= $2 \
         GROUP BY cert_type ORDER BY cert_type"
    ).bind(now).bind(before).fetch_all(c))
}

/// Certificates that ended before this time and that nothing needs: neither one that they have issued nor a role; at most `limit`.
pub async fn expired_before(tx: &mut Tx, time: DateTime<Utc>, limit: i64) -> Result<Vec<Uuid>> {
    // in two parts, each with an index of its own
    let rows: Vec<(Uuid,)> = on!(tx, c => sqlx::query_as(
        "SELECT id FROM (SELECT id FROM certificates WHERE NOT revoked AND valid_until < $1 \
         UNION ALL SELECT id FROM certificates WHERE revoked AND valid_until < $1) AS ended \
         WHERE NOT EXISTS (SELECT 1 FROM certificates child WHERE child.issuer_id = ended.id) \
         AND NOT EXISTS (SELECT 1 FROM certificate_roles r WHERE r.issuer_id = ended.id) LIMIT $2"
    ).bind(time).bind(limit).fetch_all(c))?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Removes certificates, as authorities too; those that something needs after all stay. How many.
pub async fn remove(tx: &mut Tx, ids: &[Uuid]) -> Result<u64> {
    let mut authorities = Select::new("DELETE FROM certificate_authorities");
    let mut certificates = Select::new("DELETE FROM certificates");
    for (delete, unneeded) in [
        (
            &mut authorities,
            "NOT EXISTS (SELECT 1 FROM certificates child WHERE child.issuer_id = certificate_authorities.id) \
             AND NOT EXISTS (SELECT 1 FROM certificate_roles r WHERE r.issuer_id = certificate_authorities.id)",
        ),
        (
            &mut certificates,
            "NOT EXISTS (SELECT 1 FROM certificates child WHERE child.issuer_id = certificates.id) \
             AND NOT EXISTS (SELECT 1 FROM certificate_roles r WHERE r.issuer_id = certificates.id) \
             AND NOT EXISTS (SELECT 1 FROM certificate_authorities a WHERE a.id = certificates.id)",
        ),
    ] {
        delete.any_of("id", ids.iter().map(|id| Arg::Uuid(*id)));
        delete.when(unneeded);
    }
    let Select { text, args, .. } = authorities;
    exec!(tx, bind_all!(sqlx::query(AssertSqlSafe(text)), &args))?;
    let Select { text, args, .. } = certificates;
    exec!(tx, bind_all!(sqlx::query(AssertSqlSafe(text)), &args))
}

/// Certificates whose private key is sealed under an older data key than `active`; at most `limit`.
pub async fn sealed_under_older_key(tx: &mut Tx, active: i64, limit: i64) -> Result<Vec<CertificateRow>> {
    on!(tx, c => sqlx::query_as(select!(" WHERE key_version < $1 ORDER BY key_version, id LIMIT $2"))
        .bind(active).bind(limit).fetch_all(c))
}

/// Another ciphertext of the same private key in place of `old`. `false`: that is not what is there.
pub async fn replace_sealed(
    tx: &mut Tx,
    id: Uuid,
    old: &[u8],
    sealed: &[u8],
    key_version: i64,
) -> Result<bool> {
    let changed = exec!(
        tx,
        sqlx::query(
            "UPDATE certificates SET private_key_encrypted = $3, key_version = $4 \
             WHERE id = $1 AND private_key_encrypted = $2"
        )
        .bind(id)
        .bind(old)
        .bind(sealed)
        .bind(key_version)
    )?;
    Ok(changed == 1)
}
