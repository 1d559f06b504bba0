//! From one state of a lease to the next. Each change says which state it takes the lease from, so that of two at the
//! same time one happens.

use super::leases::{LeaseRow, WITHIN, columns};
use crate::error::Result;
use crate::storage::db::{Tx, change, exec};
use crate::storage::select::{Arg, Select, bind_all};
use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, FromRow};
use uuid::Uuid;

/// A new end of an active lease that has been renewed `renewed` times. `false`: something else has happened to it.
pub async fn renew(
    tx: &mut Tx,
    lease_id: Uuid,
    renewed: i64,
    expires_at: DateTime<Utc>,
    ttl_seconds: i64,
    now: DateTime<Utc>,
) -> Result<bool> {
    let changed = exec!(
        tx,
        sqlx::query(
            "UPDATE leases SET expires_at = $3, due_at = $3, ttl_seconds = $4, renewed_count = renewed_count + 1, \
             last_renewed_at = $5 WHERE lease_id = $1 AND state = 'active' AND renewed_count = $2"
        )
        .bind(lease_id)
        .bind(renewed)
        .bind(expires_at)
        .bind(ttl_seconds)
        .bind(now)
    )?;
    Ok(changed == 1)
}

/// Which leases are to end.
#[derive(Debug, Clone)]
pub enum Selection {
    One(Uuid),
    /// Of this path and those below it.
    Path(String),
    Engine(Uuid),
    Secret(Uuid),
    Token(Uuid),
    Role(String),
    /// Of the tokens that were revoked at this very time.
    TokensRevokedAt(DateTime<Utc>),
}

/// Begins the revocation of what is live of a selection, up to `limit`: due at once, or for what is just being issued, when
/// that has certainly ended. How many.
pub async fn mark_revoking(
    tx: &mut Tx,
    selection: &Selection,
    reason: &str,
    now: DateTime<Utc>,
    limit: i64,
) -> Result<u64> {
    let mut select = Select::after(
        "UPDATE leases SET state = 'revoking', revocation_reason = $1, \
         due_at = CASE WHEN state = 'issuing' THEN due_at ELSE $2 END, \
         expires_at = CASE WHEN expires_at <= $2 THEN expires_at WHEN issued_at > $2 THEN issued_at ELSE $2 END \
         WHERE lease_id IN (SELECT lease_id FROM leases",
        2,
    );
    match selection {
        Selection::One(id) => select.and("lease_id = $?", Arg::Uuid(*id)),
        Selection::Path(path) => select.and(WITHIN, Arg::Text(path)),
        Selection::Engine(id) => select.and("engine_id = $?", Arg::Uuid(*id)),
        Selection::Secret(id) => select.and("secret_id = $?", Arg::Uuid(*id)),
        Selection::Token(accessor) => select.and("token_accessor = $?", Arg::Uuid(*accessor)),
        Selection::Role(name) => select.and("role_name = $?", Arg::Text(name)),
        Selection::TokensRevokedAt(time) => select
            .and("token_accessor IN (SELECT accessor FROM tokens WHERE revoked_at = $?)", Arg::Time(*time)),
    }
    select.when("NOT revoked");
    select.when("state IN ('issuing', 'active')");
    select.order("lease_id", limit);
    let Select { mut text, args, .. } = select;
    text.push(')');
    exec!(tx, bind_all!(sqlx::query(AssertSqlSafe(text)).bind(reason).bind(now), &args))
}

/// Begins the revocation of what could not be issued, or was and could not be kept. What may have come of it is due at `due_at`,
/// when the call has certainly ended.
pub async fn abandon(
    tx: &mut Tx,
    lease_id: Uuid,
    reason: &str,
    now: DateTime<Utc>,
    due_at: DateTime<Utc>,
) -> Result<()> {
    exec!(
        tx,
        sqlx::query(
            "UPDATE leases SET state = 'revoking', due_at = $4, revocation_reason = COALESCE(revocation_reason, $2), \
             expires_at = CASE WHEN expires_at <= $3 THEN expires_at WHEN issued_at > $3 THEN issued_at ELSE $3 END \
             WHERE lease_id = $1 AND state IN ('issuing', 'revoking')"
        )
        .bind(lease_id)
        .bind(reason)
        .bind(now)
        .bind(due_at)
    )
    .map(drop)
}

/// Takes up to `limit` leases of an engine that are due, for the node that revokes them now; nobody else takes them before `until`.
pub async fn claim_due(
    tx: &mut Tx,
    engine_id: Uuid,
    node: Uuid,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<LeaseRow>> {
    change!(tx, c => sqlx::query_as(concat!(
        "UPDATE leases SET state = 'revoking', due_at = $3, claimed_by = $5, revocation_attempts = revocation_attempts + 1, \
         revocation_reason = COALESCE(revocation_reason, CASE WHEN state = 'issuing' THEN 'the issue did not end' ELSE 'expired' END) \
         WHERE lease_id IN (SELECT lease_id FROM leases WHERE engine_id = $1 AND due_at <= $2 ORDER BY due_at LIMIT $4) \
         RETURNING ", columns!()
    )).bind(engine_id).bind(now).bind(until).bind(limit).bind(node).fetch_all(c))
}

/// Takes one lease whose revocation has begun and that nobody is at; `None` if somebody is, or it is revoked.
pub async fn claim_one(
    tx: &mut Tx,
    lease_id: Uuid,
    node: Uuid,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<Option<LeaseRow>> {
    change!(tx, c => sqlx::query_as(concat!(
        "UPDATE leases SET due_at = $3, claimed_by = $4, revocation_attempts = revocation_attempts + 1 \
         WHERE lease_id = $1 AND state = 'revoking' AND due_at <= $2 RETURNING ", columns!()
    )).bind(lease_id).bind(now).bind(until).bind(node).fetch_optional(c))
}

/// A lease that has just ended.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct Revoked {
    pub lease_id: Uuid,
    pub engine_id: Uuid,
    pub secret_id: Uuid,
}

/// To `revoked`, from any other state; a complaint of the target's stays only if it is given up for a `reason`. `None`: it was already.
pub async fn revoked(
    tx: &mut Tx,
    lease_id: Uuid,
    reason: Option<&str>,
    now: DateTime<Utc>,
) -> Result<Option<Revoked>> {
    change!(tx, c => sqlx::query_as(
        "UPDATE leases SET state = 'revoked', revoked = true, revoked_at = $2, due_at = NULL, credentials = NULL, \
         revocation_reason = COALESCE($3, revocation_reason), \
         last_revocation_error = CASE WHEN $3 IS NULL THEN NULL ELSE last_revocation_error END WHERE lease_id = $1 AND NOT revoked \
         RETURNING lease_id, engine_id, secret_id"
    ).bind(lease_id).bind(now).bind(reason).fetch_optional(c))
}

/// An attempt to revoke failed; the next is at `due_at`.
pub async fn note_failure(tx: &mut Tx, lease_id: Uuid, error: &str, due_at: DateTime<Utc>) -> Result<()> {
    exec!(
        tx,
        sqlx::query(
            "UPDATE leases SET last_revocation_error = $2, due_at = $3 WHERE lease_id = $1 AND state = 'revoking'"
        )
        .bind(lease_id)
        .bind(error)
        .bind(due_at)
    )
    .map(drop)
}

/// Makes due at once what a node had taken, to issue or to revoke it, whose process has ended; its claims end before `within`.
/// How many. Reads no more than what is due by then.
pub async fn expedite(tx: &mut Tx, node: Uuid, now: DateTime<Utc>, within: DateTime<Utc>) -> Result<u64> {
    exec!(
        tx,
        sqlx::query(
            "UPDATE leases SET due_at = $2 WHERE engine_id IN (SELECT id FROM engines) AND due_at > $2 AND due_at <= $3 \
             AND state IN ('issuing', 'revoking') AND claimed_by = $1"
        )
        .bind(node)
        .bind(now)
        .bind(within)
    )
}
