//! Logging in by RoleID and SecretID.
//!
//! Everything is checked and changed in one transaction of the ledger: of any number of logins at the same time, exactly
//! as many succeed as the SecretID has uses. Whoever fails learns nothing of why; the audit log does.

use super::super::context::{OpContext, settle};
use super::super::ledger::{Attempt, Change};
use super::super::rate;
use super::super::tokens::{Login, NewToken};
use super::{secret_ids, store, token_policies};
use crate::crypto::primitives::constant_time_eq;
use crate::error::{Error, ErrorCode, Result};
use crate::model::audit::{AuditEvent, EventType};
use crate::model::cidr::CidrList;
use crate::storage::batch::Want;
use crate::storage::db::Tx;
use crate::storage::roles::{LoginFailures, PresentedKey, RoleRow, SecretIdRow};
use crate::storage::tokens as token_store;
use crate::storage::types::TextArray;
use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};
use std::net::IpAddr;
use uuid::Uuid;
use zeroize::Zeroizing;

/// A lockout grows by doubling, up to a day.
const LONGEST_LOCKOUT: i64 = 24 * 3600;
/// The longest SecretID that is looked at, in bytes.
const MAX_SECRET_ID: usize = 512;

/// What is presented, and from where.
struct Attempted {
    role_id: Uuid,
    /// The hash of the SecretID.
    secret_id: Option<[u8; 32]>,
    source_ip: Option<IpAddr>,
    now: DateTime<Utc>,
    lockout_failures: i64,
    lockout_seconds: i64,
}

impl Attempted {
    /// Failures are counted by RoleID and address, so that a stranger's do not lock out the rightful client; whether
    /// the role exists makes no difference.
    fn subject(&self) -> String {
        let address = self.source_ip.map_or_else(|| "unknown".to_owned(), network);
        format!("{}|{address}", self.role_id)
    }

    fn presented(&self) -> PresentedKey {
        (self.role_id, self.secret_id)
    }
}

/// An IPv6 client has a whole /64 at its disposal.
fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let s = v6.segments();
            format!("{:x}:{:x}:{:x}:{:x}::/64", s[0], s[1], s[2], s[3])
        }
        IpAddr::V4(v4) => v4.to_string(),
    }
}

/// Logs in. Needs no token.
///
/// # Errors
/// `BAD_USER_INPUT` at `roleId` for what is no UUID, `UNAUTHENTICATED` with one sentence for every other reason, `RATE_LIMITED` after too many failures, `SEALED`, `UNAVAILABLE`.
pub async fn login(ctx: &OpContext, role_id: &str, secret_id: Option<&str>) -> Result<Login> {
    let role_id = Uuid::try_parse(role_id)
        .map_err(|_| Error::bad_input("roleId", "a RoleID is a UUID: check that it was copied whole"))?;
    let secret_id =
        secret_id.filter(|text| text.len() <= MAX_SECRET_ID).map(|text| Zeroizing::new(text.to_owned()));
    rate::login(ctx, async { settle!(login_once(ctx, role_id, secret_id.clone()))? }).await
}

async fn login_once(
    ctx: &OpContext,
    role_id: Uuid,
    secret_id: Option<Zeroizing<String>>,
) -> Result<Result<Login>, Attempt> {
    let app = ctx.app();
    let keys = app.keys.get()?;
    let limits = app.limits();
    let key = keys.barrier.keyring().secret_id_hmac();
    let attempted = Attempted {
        role_id,
        // computed for unknown roles too, so that they take as long
        secret_id: secret_id.as_deref().map(|text| secret_ids::hash(key, role_id, text)),
        source_ip: ctx.origin().source_ip,
        now: app.clock().now(),
        lockout_failures: limits.lockout_failures,
        lockout_seconds: limits.lockout_seconds,
    };
    let success = ctx.event(EventType::RoleLogin, None);
    let failure = ctx.event(EventType::RoleLoginFailed, None);
    let wants = vec![Want::Login { subject: attempted.subject(), presented: attempted.presented() }];
    app.ledger
        .change_knowing(wants, app.undecided(), None, move |tx| {
            Box::pin(async move { attempt(tx, &attempted, success, failure).await })
        })
        .await
}

/// A refusal is a committed change, since it counts; its error is inside.
async fn attempt(
    tx: &mut Tx,
    attempted: &Attempted,
    success: AuditEvent,
    mut failure: AuditEvent,
) -> Result<Change<Result<Login>>> {
    let subject = attempted.subject();
    let failures = store::failures(tx, &subject).await?;
    failure.access_granted = Some(false);
    failure.event_data = json!({ "role_id": attempted.role_id.to_string() });
    if let Some(until) =
        failures.as_ref().and_then(|row| row.locked_until).filter(|until| *until > attempted.now)
    {
        failure.denial_reason = Some("locked out after too many failed logins".to_owned());
        let wait = u64::try_from((until - attempted.now).num_seconds().max(1)).unwrap_or(1);
        let error = Error::new(ErrorCode::RateLimited, "too many failed logins: wait before trying again");
        return Ok(Change::new(Err(error.with_retry_after(wait)), failure, Vec::new()));
    }
    match find(tx, attempted).await? {
        Ok((role, secret_id)) => {
            if failures.is_some() {
                store::clear_failures(tx, &subject).await?;
            }
            admit(tx, attempted, &role, secret_id.as_ref(), success).await
        }
        Err((reason, role)) => {
            count_failure(tx, attempted, subject, failures).await?;
            failure.denial_reason = Some(reason.to_owned());
            failure.role_name = role.map(|role| role.role_name);
            let error = Error::new(
                ErrorCode::Unauthenticated,
                "the login was refused: check RoleID, SecretID and the address it is used from",
            );
            Ok(Change::new(Err(error), failure, Vec::new()))
        }
    }
}

type Found = Result<(RoleRow, Option<SecretIdRow>), (&'static str, Option<RoleRow>)>;

/// Looks up what was presented, and takes a use of the SecretID as the last step.
async fn find(tx: &mut Tx, attempted: &Attempted) -> Result<Found> {
    let found = store::presented(tx, attempted.presented()).await?;
    let Some((role, stored)) = found else { return Ok(Err(("unknown role", None))) };
    if !role.enabled {
        return Ok(Err(("the role is disabled", Some(role))));
    }
    if !within(&role.bound_cidr_list, attempted.source_ip)? {
        return Ok(Err(("the role is not valid from this address", Some(role))));
    }
    if !role.bind_secret_id {
        return Ok(Ok((role, None)));
    }
    let matching = |row: &SecretIdRow| {
        attempted.secret_id.is_some_and(|hash| constant_time_eq(&row.secret_id_hash, &hash))
    };
    let Some(row) = stored.filter(matching) else {
        return Ok(Err(("unknown or used up SecretID", Some(role))));
    };
    if row.expires_at.is_some_and(|end| attempted.now >= end) {
        return Ok(Err(("the SecretID is expired", Some(role))));
    }
    // addresses before uses: a stranger who holds a SecretID cannot use it up
    if !within(&row.bound_cidr_list, attempted.source_ip)? {
        return Ok(Err(("the SecretID is not valid from this address", Some(role))));
    }
    // without a limit there is nothing to take; when it was last used is kept to the minute
    let note_use = row.uses_left.is_some()
        || row.last_used_at.is_none_or(|last| attempted.now - last > Duration::seconds(60));
    if note_use && !store::use_secret_id(tx, row.accessor, row.uses_left == Some(1), attempted.now).await? {
        return Ok(Err(("unknown or used up SecretID", Some(role))));
    }
    Ok(Ok((role, Some(row))))
}

fn within(list: &TextArray, address: Option<IpAddr>) -> Result<bool> {
    let cidrs = CidrList::parse(&list.0).map_err(|(_, problem)| Error::internal(problem))?;
    Ok(cidrs.is_empty() || address.is_some_and(|address| cidrs.contains(address)))
}

async fn admit(
    tx: &mut Tx,
    attempted: &Attempted,
    role: &RoleRow,
    secret_id: Option<&SecretIdRow>,
    mut event: AuditEvent,
) -> Result<Change<Result<Login>>> {
    let new = NewToken {
        display_name: role.role_name.clone(),
        entity: Some(format!("role:{}", role.role_name)),
        entity_type: role.entity_type.clone(),
        role_id: Some(role.role_id),
        role_name: Some(role.role_name.clone()),
        policies: token_policies(role),
        bound_cidr_list: role.token_bound_cidr_list.0.clone(),
        parent: None,
        now: attempted.now,
        ttl_seconds: Some(role.token_period_seconds.unwrap_or(role.ttl_seconds)),
        max_ttl_seconds: Some(role.max_ttl_seconds),
        period_seconds: role.token_period_seconds,
        not_after: None,
        num_uses: Some(role.token_num_uses),
        renewable: true,
        metadata: secret_id.map_or_else(|| json!({}), |row| row.metadata.0.clone()),
        certificate: None,
    };
    let (text, row) = new.make(None)?;
    token_store::insert(tx, &row).await?;
    fill(&mut event, role, secret_id, &row.accessor);
    Ok(Change::new(Ok(Login::new(text, &row, Vec::new())), event, Vec::new()))
}

/// A login's event names the actor it made, and how.
fn fill(event: &mut AuditEvent, role: &RoleRow, secret_id: Option<&SecretIdRow>, accessor: &Uuid) {
    let actor_id = format!("role:{}", role.role_name);
    match role.entity_type.as_str() {
        "agent" => event.agent_id = Some(actor_id.clone()),
        "admin" => event.admin_id = Some(actor_id.clone()),
        _ => event.app_id = Some(actor_id.clone()),
    }
    event.actor_type = Some(role.entity_type.clone());
    event.actor_id = Some(actor_id);
    event.role_name = Some(role.role_name.clone());
    event.token_accessor = Some(accessor.to_string());
    event.event_data = json!({
        "role_id": role.role_id.to_string(),
        "secret_id_accessor": secret_id.map(|row| row.accessor.to_string()),
        // as text: metadata is the clients' own, and may hold what the two databases spell differently
        "secret_id_metadata": secret_id.map(|row| Value::from(row.metadata.0.to_string())),
    });
}

async fn count_failure(
    tx: &mut Tx,
    attempted: &Attempted,
    subject: String,
    before: Option<LoginFailures>,
) -> Result<()> {
    let forgotten = |row: &LoginFailures| {
        let quiet_since = row.locked_until.unwrap_or(row.last_failed_at).max(row.last_failed_at);
        attempted.now - quiet_since > Duration::seconds(attempted.lockout_seconds)
    };
    let failures = before.filter(|row| !forgotten(row)).map_or(0, |row| row.failures) + 1;
    let beyond = failures - attempted.lockout_failures;
    let locked_until = (beyond >= 0).then(|| {
        let doublings = u32::try_from(beyond).unwrap_or(u32::MAX).min(20);
        let seconds = attempted.lockout_seconds.saturating_mul(1 << doublings).min(LONGEST_LOCKOUT);
        attempted.now + Duration::seconds(seconds)
    });
    let row = LoginFailures { subject, failures, last_failed_at: attempted.now, locked_until };
    store::put_failures(tx, &row).await
}
