//! Rehearsing a role before it is saved: credentials are issued as any others, logged in with, and revoked by the role's own means. They
//! have a lease like any others, so that a crash leaves nothing behind.

use super::super::context::{OpContext, settle};
use super::super::engines::{ask, saving_error};
use super::super::ledger::{Attempt, Change};
use super::fresh::{FreshLease, require_unchanged};
use super::make::{Begun, NotMade, make};
use super::revoke::CLAIM;
use super::revoker::{RehearsalEnd, end_rehearsal};
use super::{about, store};
use crate::engine::CallError;
use crate::error::{Error, ErrorCode, Result};
use crate::model::audit::{AuditEvent, EventType};
use crate::model::paths::SecretPath;
use crate::model::policies::Area;
use crate::storage::engines as engine_store;
use crate::storage::engines::EngineRow;
use crate::storage::leases::{LeaseRow, Selection};
use chrono::Duration;
use secrethub_engine::wire::Operation;
use secrethub_engine::{EngineError, ErrorKind};
use serde_json::{Value, json};
use uuid::Uuid;

const REASON: &str = "rehearsal of a role";

/// The credentials have the role's own lifetime: some targets issue for no less than theirs.
///
/// # Errors
/// As saving the role, with what went wrong at which step. Nothing is left on the target, or what is left is revoked as any lease is.
pub async fn rehearse(
    ctx: &OpContext,
    engine: &EngineRow,
    path: &SecretPath,
    role: &Value,
    ttl_seconds: i64,
) -> Result<()> {
    let (ctx, engine, path, role) = (ctx.clone(), engine.clone(), path.clone(), role.clone());
    super::super::to_the_end(async move {
        let begun = settle!(begin(&ctx, &engine, &path, &role, ttl_seconds))?;
        let (row, issued) = make(&ctx, &begun).await.map_err(|failure| match failure {
            NotMade::Refused(failure) => failed(failure, "issuing"),
            NotMade::NotKept(error) => error,
        })?;
        let tried = log_in(&ctx, &engine, issued.credentials).await;
        let ended = end(&ctx, &engine, &row, &role).await;
        tried.and(ended)
    })
    .await
}

async fn begin(
    ctx: &OpContext,
    engine: &EngineRow,
    path: &SecretPath,
    role: &Value,
    ttl_seconds: i64,
) -> Result<Begun, Attempt> {
    let access = ctx.access().await?;
    let decision = access.administer(Area::Engines, "put_engine_role").await?;
    let fresh = FreshLease {
        secret_id: Uuid::nil(),
        path,
        ttl_seconds,
        max_expires_at: access.now + Duration::seconds(ttl_seconds),
        max_renewals: Some(0),
        idempotency_key: None,
    };
    let row = LeaseRow { revocation_reason: Some(REASON.to_owned()), ..fresh.row(&access, engine) };
    let issued = about(access.granted(EventType::SecretDynamicIssued, &decision), &row);
    let mut event = AuditEvent {
        event_type: EventType::LeaseIssuing.as_str().to_owned(),
        event_id: Uuid::now_v7(),
        ..issued.clone()
    };
    event.event_data = json!({ "engine": engine.name, "rehearsal": true });
    let version = engine.config_version;
    let begun = Begun { row: row.clone(), engine: engine.clone(), role: role.clone(), event: issued };
    access
        .change(&event.clone(), move |tx| {
            Box::pin(async move {
                require_unchanged(tx, row.engine_id, version).await?;
                if !engine_store::count_lease(tx, row.engine_id).await? {
                    return Err(Error::conflict(
                        "the engine is disabled, or has as many live leases as it may: there is no rehearsal now",
                    ));
                }
                store::insert(tx, &row).await?;
                Ok(Change::new((), event, Vec::new()))
            })
        })
        .await?;
    Ok(begun)
}

/// What the caller is told of a step that failed.
fn failed(error: CallError, step: &str) -> Error {
    let error = saving_error(error, "config");
    let message = format!("the rehearsal failed when {step}: {}", error.message());
    match error.field() {
        Some(field) => Error::bad_input(field.to_owned(), message),
        None => Error::new(error.code(), message),
    }
}

async fn log_in(ctx: &OpContext, engine: &EngineRow, credentials: Value) -> Result<()> {
    match ask(ctx.app(), engine, Operation::TryCredentials { credentials }).await {
        Ok(_) => Ok(()),
        // then it is a rehearsal of issuing and revoking
        Err(CallError::Engine(EngineError { kind: ErrorKind::Unsupported, .. })) => Ok(()),
        Err(error) => Err(failed(error, "logging in with what was issued")),
    }
}

/// Revokes as a lease of the role would be revoked. A role by which that is not possible is refused, and its account ended without it.
async fn end(ctx: &OpContext, engine: &EngineRow, row: &LeaseRow, role: &Value) -> Result<()> {
    let Some(row) = settle!(claim(ctx, row))? else {
        return Err(Error::conflict(
            "somebody else has ended the lease of the rehearsal: begin it once more",
        ));
    };
    match end_rehearsal(ctx, engine, row, role.clone()).await? {
        RehearsalEnd::Revoked => Ok(()),
        RehearsalEnd::OnlyWithoutRole(error) => {
            // without the role it worked, so it is the role that is wrong, whatever the target calls it
            let field = error.field.unwrap_or_default();
            let error = EngineError::bad_input(field, error.message);
            Err(failed(CallError::Engine(error), "revoking"))
        }
        RehearsalEnd::NotRevoked(why) => Err(Error::new(
            ErrorCode::EngineUnavailable,
            format!(
                "the rehearsal could not revoke what it had issued, which is tried again until it is: {why}"
            ),
        )),
    }
}

/// `None`: its revocation was begun by somebody else.
async fn claim(ctx: &OpContext, row: &LeaseRow) -> Result<Option<LeaseRow>, Attempt> {
    let app = ctx.app();
    let now = app.clock().now();
    let mut event = about(ctx.event(EventType::LeaseRevocationRequested, None), row);
    event.actor_id = Some(row.actor_id.clone());
    event.token_accessor = Some(row.token_accessor.to_string());
    event.event_data = json!({ "reason": REASON });
    let (id, node) = (row.lease_id, app.node.id);
    app.ledger
        .change(app.undecided(), None, move |tx| {
            Box::pin(async move {
                let begun = store::mark_revoking(tx, &Selection::One(id), REASON, now, 1).await?;
                let value = store::claim_one(tx, id, node, now, now + CLAIM).await?;
                let events = if begun > 0 { vec![event] } else { Vec::new() };
                Ok(Change { value, events, effects: Vec::new() })
            })
        })
        .await
}
