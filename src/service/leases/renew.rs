//! Renewing: the target is told first. If it breaks off after that, the credentials could live longer than the lease, and are
//! revoked at its end all the same.

use super::super::context::{Access, OpContext, settle};
use super::super::engines::{ask, client_error, open_role, told};
use super::super::ledger::{Attempt, Change};
use super::super::secrets::{refused, require_for, require_or};
use super::super::{input, tokens};
use super::{LeaseView, Rights, about, absent, store};
use crate::engine::CallError;
use crate::error::{Error, Result};
use crate::failpoint::failpoint;
use crate::model::audit::{AuditEvent, EventType};
use crate::model::leases::{Cap, Granted, LeaseState, grant};
use crate::model::paths::SecretPath;
use crate::model::policies::{Action, Operation};
use crate::storage::engine_roles as role_store;
use crate::storage::engines as engine_store;
use crate::storage::engines::EngineRow;
use crate::storage::errors::corrupt;
use crate::storage::leases::LeaseRow;
use crate::storage::tokens::{self as token_store, TokenRow};
use chrono::{DateTime, Duration, Utc};
use secrethub_engine::{ErrorKind, Lease, wire};
use serde_json::{Value, json};
use uuid::Uuid;

/// The longest increment that can be asked for, in seconds.
const MAX_INCREMENT: i64 = 366 * 24 * 3600;
/// How often a renewal is begun anew when another one of the same lease was quicker.
const TRIES: u32 = 4;

/// A lease with a new end.
#[derive(Debug, Clone)]
pub struct Renewed {
    pub lease: LeaseView,
    /// What was granted otherwise than asked for.
    pub warnings: Vec<String>,
}

/// What a renewal is decided on.
struct Plan {
    row: LeaseRow,
    engine: EngineRow,
    role: Value,
    granted: Granted,
    expires_at: DateTime<Utc>,
    event: AuditEvent,
    token: Uuid,
    now: DateTime<Utc>,
}

/// Lets a lease live `increment_seconds` from now (the lifetime that it was issued with, without it), as far as its longest lifetime,
/// engine, policies, token and the token that it was issued to let it. Needs `renew` on its path.
///
/// # Errors
/// `NOT_FOUND`, `FORBIDDEN`, `CONFLICT` if it cannot be renewed (any more), `BAD_USER_INPUT`, `ENGINE_UNAVAILABLE`.
pub async fn renew(ctx: &OpContext, id: Uuid, increment_seconds: Option<i64>) -> Result<Renewed> {
    input::ttl("incrementSeconds", increment_seconds, MAX_INCREMENT)?;
    let ctx = ctx.clone();
    super::super::to_the_end(async move {
        for _ in 0..TRIES {
            if let Some(renewed) = try_renew(&ctx, id, increment_seconds).await? {
                return Ok(renewed);
            }
        }
        Err(Error::conflict("the lease is being renewed by others at the same time: look at its end"))
    })
    .await
}

/// `None`: the lease was renewed by someone else meanwhile.
async fn try_renew(ctx: &OpContext, id: Uuid, increment: Option<i64>) -> Result<Option<Renewed>> {
    let app = ctx.app();
    let plan = settle!(plan(ctx, id, increment))?;
    failpoint!("renew.begun");
    let operation = wire::Operation::Renew {
        role: plan.role.clone(),
        lease: Lease { id, expires_at: plan.expires_at },
        handle: plan.row.engine_metadata.0.clone(),
    };
    if let Err(error) = ask(app, &plan.engine, operation).await {
        if matches!(&error, CallError::Engine(error) if error.kind == ErrorKind::Unsupported) {
            return Err(Error::conflict("credentials of this kind cannot be renewed: issue new ones"));
        }
        return Err(told(ctx, client_error(error, "leaseId")).await);
    }
    failpoint!("renew.renewed");
    let Some(row) = settle!(record(ctx, &plan))? else { return Ok(None) };
    let warnings = plan.granted.warning().into_iter().collect();
    Ok(Some(Renewed { lease: LeaseView::from_row(row, app.clock.now())?, warnings }))
}

async fn plan(ctx: &OpContext, id: Uuid, increment: Option<i64>) -> Result<Plan, Attempt> {
    let access = ctx.access().await?;
    let row = {
        let mut tx = access.app().read().await?;
        store::by_id(&mut tx, id).await?
    };
    let Some(row) = row else { return Err(super::not_there(&access, id).await) };
    let path =
        SecretPath::parse(&row.secret_path).map_err(|_| corrupt("leases", "secret_path", &id.to_string()))?;
    let rights = Rights::of(&access, &path, &row.actor_id);
    let action = Action::Secret { operation: Operation::Renew, path: &path };
    let asked = access.allowed_part(&action, increment);
    if !rights.may_see() && !rights.renew.allowed {
        let event = about(access.refused(EventType::SecretAccessDenied, &rights.renew), &row);
        access.record(vec![event]).await?;
        return Err(absent().into());
    }
    // whoever sees the lease knows of its path
    let refusal = |knows| refused(knows || rights.may_see(), Operation::Renew, &path);
    let decision = require_or(&access, Operation::Renew, &path, Some(asked), refusal).await?;
    let (engine, role, sealed, issuer) = {
        let mut tx = access.app().read().await?;
        let engine = engine_store::by_id(&mut tx, row.engine_id).await?;
        let role = role_store::by_secret(&mut tx, row.secret_id).await?;
        let issuer = token_store::by_accessor(&mut tx, row.token_accessor).await?;
        (engine, role, role_store::sealed_config(&mut tx, row.secret_id).await?, issuer)
    };
    let (Some(engine), Some(role), Some((sealed, version))) = (engine, role, sealed) else {
        return Err(Error::conflict("the role of this lease is gone: it cannot be renewed").into());
    };
    if !engine.enabled {
        return Err(Error::conflict("the engine is disabled and renews nothing at the moment").into());
    }
    renewable(&row, access.now)?;
    let issuer_end = end_of_issuer(issuer, access.now)?;
    let granted = {
        let (policy, role_max) = (decision.max_ttl_seconds, role.max_ttl_seconds);
        lifetime(&access, &row, increment, policy, &engine, role_max, issuer_end)
    };
    let decision = require_for(&access, Operation::Renew, &path, Some(granted.seconds)).await?;
    let role = open_role(access.app(), row.secret_id, &sealed, version).await?;
    let mut event = about(access.granted(EventType::SecretLeaseRenewed, &decision), &row);
    event.event_data = json!({ "engine": engine.name, "ttl_seconds": granted.seconds });
    Ok(Plan {
        expires_at: access.now + Duration::seconds(granted.seconds),
        token: access.caller.accessor,
        now: access.now,
        row,
        engine,
        role,
        granted,
        event,
    })
}

/// # Errors
/// `CONFLICT`.
fn renewable(row: &LeaseRow, now: DateTime<Utc>) -> Result<()> {
    if LeaseState::parse(&row.state) != Some(LeaseState::Active) || now >= row.expires_at {
        return Err(Error::conflict("the lease is not active (any more): issue new credentials"));
    }
    if row.max_renewals.is_some_and(|most| row.renewed_count >= most) {
        return Err(Error::conflict("the lease has been renewed as often as it may: issue new credentials"));
    }
    if now >= row.max_expires_at {
        return Err(Error::conflict("the lease has reached its longest lifetime: issue new credentials"));
    }
    Ok(())
}

/// A lease ends with the token that it was issued to, whoever renews it.
///
/// # Errors
/// `CONFLICT` if that has ended.
fn end_of_issuer(issuer: Option<TokenRow>, now: DateTime<Utc>) -> Result<Option<DateTime<Utc>>> {
    match issuer {
        Some(token) if token.expires_at.is_none_or(|end| end > now) => Ok(token.expires_at),
        _ => Err(Error::conflict("the token that the lease was issued to has ended: issue new credentials")),
    }
}

fn lifetime(
    access: &Access,
    row: &LeaseRow,
    increment: Option<i64>,
    policy: Option<i64>,
    engine: &EngineRow,
    role_max: i64,
    issuer_end: Option<DateTime<Utc>>,
) -> Granted {
    let from_issue =
        |seconds: i64| (row.issued_at + Duration::seconds(seconds) - access.now).num_seconds().max(1);
    let until = |end: DateTime<Utc>| (end - access.now).num_seconds().max(1);
    let caps = [
        (Cap::Role, Some(from_issue(role_max))),
        (Cap::Lease, Some(until(row.max_expires_at))),
        (Cap::Engine, engine.max_ttl_seconds.map(from_issue)),
        (Cap::Policy, policy),
        (Cap::Token, access.caller.expires_at.map(until)),
        (Cap::Issuer, issuer_end.map(until)),
    ];
    grant(increment.unwrap_or(row.ttl_seconds), &caps)
}

async fn record(ctx: &OpContext, plan: &Plan) -> Result<Option<LeaseRow>, Attempt> {
    let app = ctx.app();
    let mut event = plan.event.clone();
    event.event_id = Uuid::now_v7();
    let (id, renewed, token) = (plan.row.lease_id, plan.row.renewed_count, plan.token);
    let (expires_at, seconds, now) = (plan.expires_at, plan.granted.seconds, plan.now);
    app.ledger
        .change(app.undecided(), None, move |tx| {
            Box::pin(async move {
                tokens::require_live(tx, token, now).await?;
                let done = store::renew(tx, id, renewed, expires_at, seconds, now).await?;
                let row = store::by_id(tx, id).await?.ok_or_else(absent)?;
                if !done {
                    renewable(&row, now)?;
                    return Ok(Change { value: None, events: Vec::new(), effects: Vec::new() });
                }
                Ok(Change::new(Some(row), event, Vec::new()))
            })
        })
        .await
}
