//! From a lease that has begun to credentials: the engine is asked, and the lease is active, with what it made sealed, before
//! anybody gets that. Issuing and rehearsing share it.

use super::super::App;
use super::super::context::{OpContext, settle};
use super::super::engines::{ask, client_error, recorded};
use super::super::ledger::{Attempt, Change};
use super::{about, credentials_record, is_rehearsal, store};
use crate::engine::CallError;
use crate::error::{Error, Result};
use crate::failpoint::failpoint;
use crate::model::audit::{AuditEvent, EventType};
use crate::model::leases::LeaseState;
use crate::storage::batch::Want;
use crate::storage::engines::EngineRow;
use crate::storage::leases::{Activation, LeaseRow};
use chrono::Duration;
use secrethub_engine::{Issued, Lease, Revocation, wire};
use serde_json::{Value, json};
use sqlx::types::Json;
use uuid::Uuid;
use zeroize::Zeroizing;

/// After a call without an answer, what it may have made is sought for this much later.
const SETTLING: Duration = Duration::seconds(10);

/// What is known before the engine is asked.
pub(super) struct Begun {
    /// Durable, in the state `issuing`.
    pub row: LeaseRow,
    pub engine: EngineRow,
    pub role: Value,
    /// Of the issue, for when it is done.
    pub event: AuditEvent,
}

/// Why there are no credentials. The revocation of what may have come of it has begun.
pub(super) enum NotMade {
    /// The engine did not issue.
    Refused(CallError),
    /// It did, and the lease could not be kept.
    NotKept(Error),
}

/// The lease as it now is, and its credentials.
pub(super) async fn make(ctx: &OpContext, begun: &Begun) -> Result<(LeaseRow, Issued), NotMade> {
    failpoint!("issue.begun");
    let lease = Lease { id: begun.row.lease_id, expires_at: begun.row.expires_at };
    let operation = wire::Operation::Issue { role: begun.role.clone(), lease };
    let answer = ask(ctx.app(), &begun.engine, operation).await;
    failpoint!("issue.issued");
    let issued: Issued = match answer.and_then(parse) {
        Ok(issued) => issued,
        Err(failure) => {
            let wait = if matches!(failure, CallError::Engine(_)) { Duration::zero() } else { SETTLING };
            let error = client_error(failure.clone(), "path");
            abandon(ctx, &begun.row, "the credentials could not be issued", wait, &error).await;
            return Err(NotMade::Refused(failure));
        }
    };
    let outcome = activate(ctx, begun, &issued).await;
    failpoint!("issue.active");
    match outcome {
        Ok(row) => Ok((row, issued)),
        Err(error) => {
            abandon(ctx, &begun.row, "the lease could not be kept", Duration::zero(), &error).await;
            take_back(ctx, begun, issued).await;
            Err(NotMade::NotKept(error))
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
    if is_rehearsal(row) {
        event.event_data["rehearsal"] = json!(true);
    }
    let activation = Activation {
        lease_id: row.lease_id,
        credentials: row.credentials.clone().unwrap_or_default(),
        handle: row.engine_metadata.0.clone(),
        expires_at: row.expires_at,
    };
    app.ledger
        .change_knowing(vec![Want::Issuing(row.lease_id)], app.undecided(), None, move |tx| {
            Box::pin(async move {
                if !store::activate(tx, activation).await? {
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
fn shown_handle(handle: &Value) -> Value {
    let fields = handle.as_object().into_iter().flatten();
    let texts = fields.filter_map(|(key, value)| {
        Some((key.clone(), json!(value.as_str()?.get(..value.as_str()?.len().min(200))?)))
    });
    Value::Object(texts.collect())
}

async fn abandon(ctx: &OpContext, row: &LeaseRow, reason: &'static str, wait: Duration, error: &Error) {
    let abandoned = settle!(abandon_once(ctx, row, reason, wait, error));
    if let Err(failure) = abandoned {
        // the lease stays as it is, and is taken for lost when its time has come
        tracing::warn!(lease = %row.lease_id, context = failure.log_context(), "a failed issue could not be recorded");
    }
    ctx.app().leases_due().notify_one();
}

async fn abandon_once(
    ctx: &OpContext,
    row: &LeaseRow,
    reason: &'static str,
    wait: Duration,
    error: &Error,
) -> Result<(), Attempt> {
    let app = ctx.app();
    let now = app.clock.now();
    let mut event = about(ctx.event(EventType::LeaseIssueFailed, None), row);
    event.actor_id = Some(row.actor_id.clone());
    event.token_accessor = Some(row.token_accessor.to_string());
    event.event_data = json!({ "reason": reason, "error": error.message() });
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
