//! Issuing, in two steps: the lease is durable before the engine is asked, and active before the caller gets the credentials.
//! Whatever breaks off in between leaves a lease that the reaper ends.

use super::super::context::{Access, OpContext, settle};
use super::super::engines::{ask, client_error, open_role, recorded, told};
use super::super::ledger::{Attempt, Change};
use super::super::seal::refresh_keyring;
use super::super::secrets::require_for;
use super::super::{App, to_the_end, tokens};
use super::{LeaseView, about, credentials_record, store};
use crate::crypto::barrier::OpenError;
use crate::engine::CallError;
use crate::error::{Error, ErrorCode, Result};
use crate::failpoint::failpoint;
use crate::model::audit::{ActorType, AuditEvent, EventType};
use crate::model::leases::{Cap, Granted, LeaseState, grant};
use crate::model::paths::SecretPath;
use crate::model::policies::{Action, Operation, evaluate};
use crate::storage::db::{Tx, corrupt};
use crate::storage::engine_roles as role_store;
use crate::storage::engine_roles::EngineRoleRow;
use crate::storage::engines as engine_store;
use crate::storage::engines::EngineRow;
use crate::storage::leases::LeaseRow;
use crate::storage::secrets as secret_store;
use crate::storage::types::Inet;
use chrono::{DateTime, Duration, Utc};
use secrethub_engine::wire;
use secrethub_engine::{Issued, Lease, Revocation};
use serde_json::{Value, json};
use sqlx::types::Json;
use uuid::Uuid;
use zeroize::Zeroizing;

/// After this an issue that has not ended is taken for lost. Longer than a call may take, with what the target may still be at.
pub(super) const LOST_AFTER: Duration = Duration::seconds(35);
/// After a call without an answer, what it may have made is sought for this much later.
const SETTLING: Duration = Duration::seconds(10);
/// The longest lifetime that can be asked for, in seconds.
const MAX_TTL: i64 = 366 * 24 * 3600;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct IssueCredentials {
    pub path: SecretPath,
    /// The role's default without it.
    pub ttl_seconds: Option<i64>,
    /// Asked for again with the same key, the same caller gets the same lease and credentials.
    pub idempotency_key: Option<String>,
}

/// A lease and its credentials, on their way to the caller.
pub struct IssuedLease {
    pub lease: LeaseView,
    pub credentials: Value,
    /// What was granted otherwise than asked for.
    pub warnings: Vec<String>,
}

/// What is known before the engine is asked.
struct Begun {
    row: LeaseRow,
    engine: EngineRow,
    role: Value,
    event: AuditEvent,
    warnings: Vec<String>,
}

enum First {
    Begun(Box<Begun>),
    /// The same was asked for before.
    Known(Box<LeaseRow>),
}

/// Issues credentials. Needs `issue` on the path.
///
/// # Errors
/// `NOT_FOUND` or `FORBIDDEN` without the right, `CONFLICT` at the limit of leases or for a key in use, `BAD_USER_INPUT` naming the
/// field, `ENGINE_UNAVAILABLE`.
pub async fn issue(ctx: &OpContext, input: IssueCredentials) -> Result<IssuedLease> {
    super::super::input::ttl("ttlSeconds", input.ttl_seconds, MAX_TTL)?;
    check_key(input.idempotency_key.as_deref())?;
    let ctx = ctx.clone();
    // once the lease is there it is seen through, whether the caller waits or not
    to_the_end(async move {
        match settle!(begin(&ctx, &input))? {
            First::Known(row) => known(&ctx, *row).await,
            First::Begun(begun) => carry_on(&ctx, *begun).await,
        }
    })
    .await
}

fn check_key(key: Option<&str>) -> Result<()> {
    match key {
        Some(key) if !(1..=128).contains(&key.len()) || !key.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err(Error::bad_input("idempotencyKey", "write 1 to 128 printable characters without spaces"))
        }
        _ => Ok(()),
    }
}

/// The role at a path, and its engine.
async fn at_path(
    app: &App,
    path: &SecretPath,
) -> Result<Option<(Uuid, EngineRoleRow, EngineRow, (Vec<u8>, i64))>> {
    let mut tx = app.read().await?;
    let Some(secret) = secret_store::find(&mut tx, path.as_str()).await? else { return Ok(None) };
    let Some(role) = role_store::by_secret(&mut tx, secret.id).await? else { return Ok(None) };
    let engine = engine_store::by_id(&mut tx, role.engine_id).await?;
    let sealed = role_store::sealed_config(&mut tx, secret.id).await?;
    Ok(engine.zip(sealed).map(|(engine, sealed)| (secret.id, role, engine, sealed)))
}

async fn begin(ctx: &OpContext, input: &IssueCredentials) -> Result<First, Attempt> {
    let access = ctx.access().await?;
    let action = Action::Secret { operation: Operation::Issue, path: &input.path };
    let asked = access.allowed_part(&action, input.ttl_seconds);
    require_for(&access, Operation::Issue, &input.path, Some(asked)).await?;
    let app = access.app();
    if let Some(key) = &input.idempotency_key {
        let before = {
            let mut tx = app.read().await?;
            store::by_key(&mut tx, &access.caller.actor_id, key).await?
        };
        if let Some(row) = before {
            return repeated(row, input).map(|row| First::Known(Box::new(row))).map_err(Attempt::from);
        }
    }
    let found = at_path(app, &input.path).await?;
    let (secret_id, role, engine, (sealed, version)) = found.ok_or_else(no_role)?;
    if !engine.enabled {
        return Err(Error::conflict("the engine is disabled and issues nothing at the moment").into());
    }
    let by_policy = evaluate(&access.policies, &action, &access.circumstances(Some(asked))).max_ttl_seconds;
    let (granted, max_end) = lifetime(&access, input, by_policy, &role, &engine);
    let decision = require_for(&access, Operation::Issue, &input.path, Some(granted.seconds)).await?;
    let row = new_row(&access, input, secret_id, &role, &engine, granted, max_end);
    let role = open_role(app, secret_id, &sealed, version).await?;
    let issued = about(access.granted(EventType::SecretDynamicIssued, &decision), &row);
    let mut event = AuditEvent {
        event_type: EventType::LeaseIssuing.as_str().to_owned(),
        event_id: Uuid::now_v7(),
        ..issued.clone()
    };
    event.event_data = json!({ "engine": engine.name, "ttl_seconds": granted.seconds });
    if let Some(before) = insert(&access, &event, row.clone()).await? {
        return repeated(before, input).map(|row| First::Known(Box::new(row))).map_err(Attempt::from);
    }
    let warnings = granted.warning().into_iter().collect();
    Ok(First::Begun(Box::new(Begun { row, engine, role, event: issued, warnings })))
}

fn no_role() -> Error {
    Error::not_found("nothing is issued at this path: check it against the secrets of type DYNAMIC_ROLE")
}

/// How long, and until when it can be renewed.
fn lifetime(
    access: &Access,
    input: &IssueCredentials,
    by_policy: Option<i64>,
    role: &EngineRoleRow,
    engine: &EngineRow,
) -> (Granted, DateTime<Utc>) {
    let token_left = access.caller.expires_at.map(|end| (end - access.now).num_seconds().max(1));
    let caps = [
        (Cap::Role, Some(role.max_ttl_seconds)),
        (Cap::Engine, engine.max_ttl_seconds),
        (Cap::Policy, by_policy),
        (Cap::Token, token_left),
    ];
    let granted = grant(input.ttl_seconds.unwrap_or(role.default_ttl_seconds), &caps);
    let most = grant(role.max_ttl_seconds, &caps[1..3]).seconds;
    (granted, access.now + Duration::seconds(most.max(granted.seconds)))
}

fn new_row(
    access: &Access,
    input: &IssueCredentials,
    secret_id: Uuid,
    role: &EngineRoleRow,
    engine: &EngineRow,
    granted: Granted,
    max_expires_at: DateTime<Utc>,
) -> LeaseRow {
    let caller = &access.caller;
    let origin = access.ctx.origin();
    let of = |wanted: ActorType| (caller.actor == wanted).then(|| caller.actor_id.clone());
    LeaseRow {
        lease_id: Uuid::now_v7(),
        secret_id,
        secret_path: input.path.as_str().to_owned(),
        engine_id: engine.id,
        engine_type: engine.engine_type.clone(),
        agent_id: of(ActorType::Agent),
        app_id: of(ActorType::App),
        actor_id: caller.actor_id.clone(),
        token_accessor: caller.accessor,
        role_name: caller.role_name.clone(),
        state: LeaseState::Issuing.as_str().to_owned(),
        issued_at: access.now,
        expires_at: access.now + Duration::seconds(granted.seconds),
        max_expires_at,
        ttl_seconds: granted.seconds,
        renewed_count: 0,
        last_renewed_at: None,
        max_renewals: role.max_renewals,
        due_at: Some(access.now + LOST_AFTER),
        revoked: false,
        revoked_at: None,
        revocation_reason: None,
        revocation_attempts: 0,
        last_revocation_error: None,
        credentials: None,
        engine_metadata: Json(json!({})),
        idempotency_key: input.idempotency_key.clone(),
        source_ip: origin.source_ip.map(Inet),
        correlation_id: Some(origin.correlation_id.clone().unwrap_or_else(|| origin.request_id.clone())),
    }
}

/// `Some`: the lease that was asked for with the same key a moment ago.
async fn insert(access: &Access, event: &AuditEvent, row: LeaseRow) -> Result<Option<LeaseRow>, Attempt> {
    let now = access.now;
    let event = event.clone();
    access
        .change(&event.clone(), move |tx| {
            Box::pin(async move {
                // a revocation of the token from here on finds the lease
                tokens::require_live(tx, row.token_accessor, now).await?;
                if let Some(key) = &row.idempotency_key {
                    let before = store::by_key(tx, &row.actor_id, key).await?;
                    if before.is_some() {
                        return Ok(Change { value: before, events: Vec::new(), effects: Vec::new() });
                    }
                }
                count(tx, &row).await?;
                store::insert(tx, &row).await?;
                Ok(Change::new(None, event, Vec::new()))
            })
        })
        .await
}

/// # Errors
/// `CONFLICT` at a limit.
async fn count(tx: &mut Tx, row: &LeaseRow) -> Result<()> {
    if !engine_store::count_lease(tx, row.engine_id).await? {
        return Err(Error::conflict(
            "the engine has as many live leases as it may, or is disabled: try again when some have ended",
        ));
    }
    if !role_store::count_lease(tx, row.secret_id).await? {
        return Err(Error::conflict(
            "this path has as many live leases as it may: try again when some have ended",
        ));
    }
    Ok(())
}

async fn carry_on(ctx: &OpContext, begun: Begun) -> Result<IssuedLease> {
    let app = ctx.app();
    failpoint!("issue.begun");
    let lease = Lease { id: begun.row.lease_id, expires_at: begun.row.expires_at };
    let operation = wire::Operation::Issue { role: begun.role.clone(), lease };
    let answer = ask(app, &begun.engine, operation).await;
    failpoint!("issue.issued");
    let issued: Issued = match answer.and_then(parse) {
        Ok(issued) => issued,
        Err(error) => return Err(give_up(ctx, &begun, error).await),
    };
    let outcome = activate(ctx, &begun, &issued).await;
    failpoint!("issue.active");
    match outcome {
        Ok(row) => {
            let lease = LeaseView::from_row(row, app.clock.now())?;
            Ok(IssuedLease { lease, credentials: issued.credentials, warnings: begun.warnings })
        }
        Err(error) => {
            abandon(ctx, &begun.row, "the lease could not be kept", Duration::zero(), &error).await;
            take_back(ctx, &begun, issued).await;
            Err(error)
        }
    }
}

/// A lease that was given up by force while its credentials were made is not revoked any more: they are taken back here. What that
/// does not reach is found as drift.
async fn take_back(ctx: &OpContext, begun: &Begun, issued: Issued) {
    let given_up = async {
        let mut tx = ctx.app().read().await?;
        let row = store::by_id(&mut tx, begun.row.lease_id).await?;
        Ok::<_, Error>(row.is_some_and(|row| row.revoked))
    };
    if !matches!(given_up.await, Ok(true)) {
        return;
    }
    let revocation = Revocation {
        lease_id: begun.row.lease_id,
        handle: Some(issued.handle),
        role: Some(begun.role.clone()),
    };
    let operation = wire::Operation::Revoke { revocations: vec![revocation] };
    if let Err(failure) = ask(ctx.app(), &begun.engine, operation).await {
        tracing::warn!(lease = %begun.row.lease_id, error = recorded(&failure), "credentials without a lease are left");
    }
}

fn parse(answer: Value) -> Result<Issued, CallError> {
    let issued: Option<Issued> = serde_json::from_value(answer).ok();
    issued.filter(|issued| issued.credentials.is_object() && issued.handle.is_object()).ok_or_else(|| {
        CallError::Unavailable {
            message: "the engine's answer is not what an engine answers: report it to its author".to_owned(),
            retry_after: None,
        }
    })
}

async fn activate(ctx: &OpContext, begun: &Begun, issued: &Issued) -> Result<LeaseRow> {
    let app = ctx.app();
    let plain = Zeroizing::new(serde_json::to_vec(&issued.credentials).map_err(Error::internal)?);
    let id = begun.row.lease_id.to_string();
    let sealed = app.keys.get()?.barrier.seal(&credentials_record(&id), &plain)?;
    let row = LeaseRow {
        state: LeaseState::Active.as_str().to_owned(),
        due_at: Some(begun.row.expires_at),
        credentials: Some(sealed),
        engine_metadata: Json(issued.handle.clone()),
        ..begun.row.clone()
    };
    settle!(activate_once(app, begun, &row))?;
    Ok(row)
}

async fn activate_once(app: &App, begun: &Begun, row: &LeaseRow) -> Result<(), Attempt> {
    let mut event = AuditEvent { event_id: Uuid::now_v7(), ..begun.event.clone() };
    event.event_data = json!({
        "engine": begun.engine.name, "ttl_seconds": row.ttl_seconds, "handle": shown_handle(&row.engine_metadata.0)
    });
    let row = row.clone();
    app.ledger
        .change(app.undecided(), None, move |tx| {
            Box::pin(async move {
                let sealed = row.credentials.as_deref().unwrap_or_default();
                let handle = &row.engine_metadata.0;
                if !store::activate(tx, row.lease_id, sealed, handle, row.expires_at).await? {
                    return Err(Error::conflict(
                        "the lease was revoked while its credentials were issued: they are revoked",
                    ));
                }
                Ok(Change::new((), event, Vec::new()))
            })
        })
        .await
}

/// A handle as far as it is texts: an event holds no fractions, and is no place for anything long.
pub(super) fn shown_handle(handle: &Value) -> Value {
    let fields = handle.as_object().into_iter().flatten();
    let texts = fields.filter_map(|(key, value)| {
        Some((key.clone(), json!(value.as_str()?.get(..value.as_str()?.len().min(200))?)))
    });
    Value::Object(texts.collect())
}

/// The engine did not issue: says so, and has what may have come of it revoked.
async fn give_up(ctx: &OpContext, begun: &Begun, failure: CallError) -> Error {
    let wait = if matches!(failure, CallError::Engine(_)) { Duration::zero() } else { SETTLING };
    let error = client_error(failure, "path");
    abandon(ctx, &begun.row, "the credentials could not be issued", wait, &error).await;
    // what is wrong with the role is none of the caller's input
    let error = match error.code() {
        ErrorCode::BadUserInput => Error::new(
            ErrorCode::EngineUnavailable,
            format!("the engine does not take the role at this path: {}", error.message()),
        ),
        _ => error,
    };
    told(ctx, error).await
}

async fn abandon(ctx: &OpContext, row: &LeaseRow, reason: &'static str, wait: Duration, error: &Error) {
    let abandoned = settle!(abandon_once(ctx, row, reason, wait, Some(error)));
    if let Err(failure) = abandoned {
        // the lease stays as it is, and is taken for lost when its time has come
        tracing::warn!(lease = %row.lease_id, context = failure.log_context(), "a failed issue could not be recorded");
    }
    ctx.app().leases_due().notify_one();
}

/// `error`: what went wrong, if something did.
pub(super) async fn abandon_once(
    ctx: &OpContext,
    row: &LeaseRow,
    reason: &'static str,
    wait: Duration,
    error: Option<&Error>,
) -> Result<(), Attempt> {
    let app = ctx.app();
    let now = app.clock.now();
    let kind =
        if error.is_some() { EventType::LeaseIssueFailed } else { EventType::LeaseRevocationRequested };
    let mut event = about(ctx.event(kind, None), row);
    event.actor_id = Some(row.actor_id.clone());
    event.token_accessor = Some(row.token_accessor.to_string());
    event.event_data = json!({ "reason": reason, "error": error.map(Error::message) });
    let lease_id = row.lease_id;
    app.ledger
        .change(app.undecided(), None, move |tx| {
            Box::pin(async move {
                store::abandon(tx, lease_id, reason, now, now + wait).await?;
                Ok(Change::new((), event, Vec::new()))
            })
        })
        .await
}

/// The same caller asks with a key that it has used.
fn repeated(row: LeaseRow, input: &IssueCredentials) -> Result<LeaseRow> {
    if row.secret_path != input.path.as_str() {
        return Err(Error::conflict("the idempotency key was used for another path: choose a new one"));
    }
    match LeaseState::parse(&row.state) {
        Some(LeaseState::Active) => Ok(row),
        Some(LeaseState::Issuing) => Err(Error::new(
            ErrorCode::Conflict,
            "credentials for this idempotency key are just being issued: ask again shortly",
        )
        .with_retry_after(1)),
        _ => Err(Error::conflict("the lease of this idempotency key has ended: choose a new one")),
    }
}

/// The sealed credentials of a live lease, in the clear.
pub(in super::super) async fn open_credentials(app: &App, row: &LeaseRow) -> Result<Value> {
    let id = row.lease_id.to_string();
    let sealed = row.credentials.clone().ok_or_else(|| corrupt("leases", "credentials", &id))?;
    let opened = app.keys.get()?.barrier.open(&credentials_record(&id), &sealed);
    let plain = match opened {
        Err(OpenError::UnknownKeyVersion(_)) => {
            refresh_keyring(app).await?;
            app.keys.get()?.barrier.open(&credentials_record(&id), &sealed)?
        }
        opened => opened?,
    };
    serde_json::from_slice(&plain).map_err(|_| corrupt("leases", "credentials", &id))
}

async fn known(ctx: &OpContext, row: LeaseRow) -> Result<IssuedLease> {
    let app = ctx.app();
    let credentials = open_credentials(app, &row).await?;
    settle!(record_repeat(ctx, &row))?;
    let lease = LeaseView::from_row(row, app.clock.now())?;
    Ok(IssuedLease { lease, credentials, warnings: Vec::new() })
}

/// Credentials leave once more: once more on the record, and only to who still has the right.
async fn record_repeat(ctx: &OpContext, row: &LeaseRow) -> Result<(), Attempt> {
    let access = ctx.access().await?;
    let path = SecretPath::parse(&row.secret_path)
        .map_err(|_| corrupt("leases", "secret_path", &row.lease_id.to_string()))?;
    let decision = require_for(&access, Operation::Issue, &path, Some(row.ttl_seconds)).await?;
    let mut event = about(access.granted(EventType::SecretDynamicIssued, &decision), row);
    event.event_data = json!({ "repeated": true });
    access.record(vec![event]).await
}
