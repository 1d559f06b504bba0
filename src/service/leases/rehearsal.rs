//! Rehearsing a role before it is saved: credentials are issued, logged in with and revoked. They have a lease like any others, so
//! that a crash leaves nothing behind.

use super::super::context::{Access, OpContext, settle};
use super::super::engines::{ask, client_error};
use super::super::ledger::{Attempt, Change};
use super::{LeaseView, about, store};
use crate::engine::CallError;
use crate::error::{Error, ErrorCode, Result};
use crate::model::audit::{ActorType, EventType};
use crate::model::leases::LeaseState;
use crate::model::paths::SecretPath;
use crate::model::policies::Area;
use crate::storage::engines as engine_store;
use crate::storage::engines::EngineRow;
use crate::storage::leases::LeaseRow;
use chrono::Duration;
use secrethub_engine::wire::Operation;
use secrethub_engine::{EngineError, ErrorKind, Issued, Lease};
use serde_json::{Value, json};
use sqlx::types::Json;
use uuid::Uuid;

const REASON: &str = "rehearsal of a role";

/// The credentials have the role's own lifetime: some targets issue for no less than theirs.
///
/// # Errors
/// As saving the role, with what went wrong at which step.
pub async fn rehearse(
    ctx: &OpContext,
    engine: &EngineRow,
    path: &SecretPath,
    role: &Value,
    ttl_seconds: i64,
) -> Result<()> {
    let (ctx, engine, path, role) = (ctx.clone(), engine.clone(), path.clone(), role.clone());
    super::super::to_the_end(async move {
        let row = settle!(begin(&ctx, &engine, &path, ttl_seconds))?;
        let played = play(&ctx, &engine, &row, &role).await;
        let revoked = end(&ctx, &row).await?;
        played?;
        if revoked.state == LeaseState::Revoked {
            return Ok(());
        }
        let why = revoked.last_revocation_error.unwrap_or_else(|| "it did not answer in time".to_owned());
        Err(Error::new(
            ErrorCode::EngineUnavailable,
            format!(
                "the rehearsal could not revoke what it had issued, which is tried again until it is: {why}"
            ),
        ))
    })
    .await
}

async fn begin(
    ctx: &OpContext,
    engine: &EngineRow,
    path: &SecretPath,
    ttl_seconds: i64,
) -> Result<LeaseRow, Attempt> {
    let access = ctx.access().await?;
    let decision = access.administer(Area::Engines, "put_engine_role").await?;
    let row = new_row(&access, engine, path, ttl_seconds);
    let mut event = about(access.granted(EventType::LeaseIssuing, &decision), &row);
    event.event_data = json!({ "engine": engine.name, "rehearsal": true });
    access
        .change(&event.clone(), move |tx| {
            Box::pin(async move {
                if !engine_store::count_lease(tx, row.engine_id).await? {
                    return Err(Error::conflict(
                        "the engine is disabled, or has as many live leases as it may: there is no rehearsal now",
                    ));
                }
                store::insert(tx, &row).await?;
                Ok(Change::new(row, event, Vec::new()))
            })
        })
        .await
}

fn new_row(access: &Access, engine: &EngineRow, path: &SecretPath, ttl_seconds: i64) -> LeaseRow {
    let caller = &access.caller;
    let of = |wanted: ActorType| (caller.actor == wanted).then(|| caller.actor_id.clone());
    let end = access.now + Duration::seconds(ttl_seconds);
    LeaseRow {
        lease_id: Uuid::now_v7(),
        // not the role's own: a rehearsal does not count against its limit
        secret_id: Uuid::nil(),
        secret_path: path.as_str().to_owned(),
        engine_id: engine.id,
        engine_type: engine.engine_type.clone(),
        agent_id: of(ActorType::Agent),
        app_id: of(ActorType::App),
        actor_id: caller.actor_id.clone(),
        token_accessor: caller.accessor,
        role_name: caller.role_name.clone(),
        state: LeaseState::Issuing.as_str().to_owned(),
        issued_at: access.now,
        expires_at: end,
        max_expires_at: end,
        ttl_seconds,
        renewed_count: 0,
        last_renewed_at: None,
        max_renewals: Some(0),
        due_at: Some(access.now + super::issue::LOST_AFTER),
        revoked: false,
        revoked_at: None,
        revocation_reason: Some(REASON.to_owned()),
        revocation_attempts: 0,
        last_revocation_error: None,
        credentials: None,
        engine_metadata: Json(json!({})),
        idempotency_key: None,
        source_ip: None,
        correlation_id: Some(access.ctx.origin().request_id.clone()),
    }
}

async fn play(ctx: &OpContext, engine: &EngineRow, row: &LeaseRow, role: &Value) -> Result<()> {
    let app = ctx.app();
    let step = |error: CallError, what: &str| {
        let error = client_error(error, "config");
        let message = format!("the rehearsal failed when {what}: {}", error.message());
        match error.field() {
            Some(field) => Error::bad_input(field.to_owned(), message),
            None => Error::new(error.code(), message),
        }
    };
    let lease = Lease { id: row.lease_id, expires_at: row.expires_at };
    let answer = ask(app, engine, Operation::Issue { role: role.clone(), lease })
        .await
        .map_err(|error| step(error, "issuing"))?;
    let issued: Issued = serde_json::from_value(answer).map_err(|_| {
        Error::new(ErrorCode::EngineUnavailable, "the engine's answer is not what an engine answers")
    })?;
    let operation = Operation::TryCredentials { credentials: issued.credentials };
    match ask(app, engine, operation).await {
        Ok(_) => Ok(()),
        // then it is a rehearsal of issuing and revoking
        Err(CallError::Engine(EngineError { kind: ErrorKind::Unsupported, .. })) => Ok(()),
        Err(error) => Err(step(error, "logging in with what was issued")),
    }
}

/// The call has ended, so whatever it made can be revoked.
async fn end(ctx: &OpContext, row: &LeaseRow) -> Result<LeaseView> {
    settle!(super::issue::abandon_once(ctx, row, REASON, Duration::zero(), None))?;
    super::revoke::revoke(ctx, row.lease_id, true).await
}
