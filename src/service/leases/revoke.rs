//! Ending leases. That a lease is to end is durable before the target is asked; the caller may wait for what it says.

use super::super::context::{Access, OpContext, settle};
use super::super::input;
use super::super::ledger::{Attempt, Change};
use super::{LeaseView, Rights, about, absent, store};
use crate::error::{Error, Result};
use crate::model::audit::EventType;
use crate::model::leases::LeaseState;
use crate::model::paths::SecretPath;
use crate::model::policies::{Area, Decision};
use crate::storage::engines as engine_store;
use crate::storage::errors::corrupt;
use crate::storage::leases::{LeaseRow, ListLeases, Selection};
use crate::storage::page::Page;
use crate::storage::{engine_roles as role_store, roles as approle_store};
use chrono::Duration;
use serde_json::json;
use uuid::Uuid;

/// Nobody else takes a lease before this, after someone has taken it to revoke it.
pub(super) const CLAIM: Duration = Duration::seconds(120);
/// How long a caller is kept waiting for the target.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(25);
/// Leases whose revocation is begun, or forced, in one change.
const STEP: i64 = 1000;

/// Ends one lease. One's own needs no right; another's needs `revoke` on its path, or the area `leases`. With `wait` the
/// target has been asked when it returns; if it did not revoke, the lease is still in the state `revoking`, and it is asked again
/// until it has.
///
/// # Errors
/// `NOT_FOUND`, `FORBIDDEN`, `UNAVAILABLE`.
pub async fn revoke(ctx: &OpContext, id: Uuid, wait: bool) -> Result<LeaseView> {
    let claimed = settle!(begin(ctx, id))?;
    let app = ctx.app();
    if let Some(row) = claimed {
        let engine = {
            let mut tx = app.read().await?;
            engine_store::by_id(&mut tx, row.engine_id).await?
        };
        let answer = engine.and_then(|engine| app.revokers.push(app, &engine, row));
        if let (Some(answer), true) = (answer, wait) {
            // what came of it stands in the row
            let _ = tokio::time::timeout(PATIENCE, answer).await;
        }
    }
    let mut tx = app.read().await?;
    let row = store::by_id(&mut tx, id).await?.ok_or_else(absent)?;
    LeaseView::from_row(row, app.clock().now())
}

/// Begins the revocation. `Some`: nobody is at it, so the caller is.
async fn begin(ctx: &OpContext, id: Uuid) -> Result<Option<LeaseRow>, Attempt> {
    let access = ctx.access().await?;
    let row = {
        let mut tx = access.app().read().await?;
        store::by_id(&mut tx, id).await?
    };
    let Some(row) = row else { return Err(super::not_there(&access, id).await) };
    let path =
        SecretPath::parse(&row.secret_path).map_err(|_| corrupt("leases", "secret_path", &id.to_string()))?;
    let rights = Rights::of(&access, &path, &row.actor_id);
    if !rights.may_see() {
        let event = about(access.refused(EventType::SecretAccessDenied, &rights.revoke), &row);
        access.record(vec![event]).await?;
        return Err(absent().into());
    }
    if LeaseState::parse(&row.state) == Some(LeaseState::Revoked) {
        return Ok(None);
    }
    let mut event = match rights.showing() {
        Some(decision) => access.granted(EventType::LeaseRevocationRequested, decision),
        None => access.event(EventType::LeaseRevocationRequested),
    };
    event = about(event, &row);
    let reason = format!("revoked by {}", access.caller.actor_id);
    let (node, now) = (access.app().node.id, access.now);
    access
        .change(&event.clone(), move |tx| {
            Box::pin(async move {
                let begun = store::mark_revoking(tx, &Selection::One(id), &reason, now, 1).await?;
                let claimed = store::claim_one(tx, id, node, now, now + CLAIM).await?;
                let events = if begun > 0 { vec![event] } else { Vec::new() };
                Ok(Change { value: claimed, events, effects: Vec::new() })
            })
        })
        .await
}

/// Which leases end together.
#[derive(Debug, Clone)]
pub enum RevokeSelection {
    /// Of this path and those below it.
    Path(SecretPath),
    Engine(String),
    /// Of the token with this accessor.
    Token(Uuid),
    /// Of those who logged in as this AppRole.
    Role(String),
}

impl RevokeSelection {
    fn describe(&self) -> serde_json::Value {
        match self {
            Self::Path(path) => json!({ "path_prefix": path.as_str() }),
            Self::Engine(name) => json!({ "engine": input::shown(name) }),
            Self::Token(accessor) => json!({ "token_accessor": accessor.to_string() }),
            Self::Role(name) => json!({ "role": input::shown(name) }),
        }
    }
}

/// Ends all leases of a selection; how many. Returns when that is durable: the targets are asked in the background, until they
/// have revoked. With `force` they are not asked at all, and the credentials may live on: for targets that are gone for good.
/// Needs the area `leases`; with `force` also `engines`, since what lives on is on their targets.
///
/// # Errors
/// `FORBIDDEN`, `BAD_USER_INPUT` for an engine or a role that is not there.
pub async fn revoke_many(ctx: &OpContext, selection: RevokeSelection, force: bool) -> Result<u64> {
    let mut count = 0;
    loop {
        let step =
            if force { settle!(force_some(ctx, &selection))? } else { settle!(begin_some(ctx, &selection))? };
        count += step;
        if step < STEP.unsigned_abs() {
            break;
        }
    }
    ctx.app().leases_due().notify_one();
    Ok(count)
}

async fn authorise(access: &Access, force: bool) -> Result<Decision, Attempt> {
    if !force {
        return access.administer(Area::Leases, "revoke_leases").await;
    }
    access.administer(Area::Engines, "force_revoke_leases").await?;
    access.administer(Area::Leases, "force_revoke_leases").await
}

async fn resolve(access: &Access, selection: &RevokeSelection) -> Result<Selection> {
    let mut tx = access.app().read().await?;
    Ok(match selection {
        RevokeSelection::Path(path) => Selection::Path(path.as_str().to_owned()),
        RevokeSelection::Token(accessor) => Selection::Token(*accessor),
        RevokeSelection::Engine(name) => {
            let engine = if input::is_name(name) { engine_store::find(&mut tx, name).await? } else { None };
            Selection::Engine(
                engine.ok_or_else(|| Error::bad_input("engine", "there is no engine of this name"))?.id,
            )
        }
        RevokeSelection::Role(name) => {
            let role = if input::is_name(name) { approle_store::find(&mut tx, name).await? } else { None };
            // of a role that is gone there can still be leases, but then their revocation has begun
            Selection::Role(
                role.ok_or_else(|| Error::bad_input("roleName", "there is no role of this name"))?.role_name,
            )
        }
    })
}

async fn begin_some(ctx: &OpContext, selection: &RevokeSelection) -> Result<u64, Attempt> {
    let access = ctx.access().await?;
    let decision = authorise(&access, false).await?;
    let stored = resolve(&access, selection).await?;
    let mut event = access.granted(EventType::LeaseRevocationRequested, &decision);
    event.event_data = selection.describe();
    let reason = format!("revoked by {}", access.caller.actor_id);
    let now = access.now;
    access
        .change(&event.clone(), move |tx| {
            Box::pin(async move {
                let count = store::mark_revoking(tx, &stored, &reason, now, STEP).await?;
                event.event_data["leases"] = json!(count);
                Ok(Change::new(count, event, Vec::new()))
            })
        })
        .await
}

async fn force_some(ctx: &OpContext, selection: &RevokeSelection) -> Result<u64, Attempt> {
    let access = ctx.access().await?;
    let decision = authorise(&access, true).await?;
    let stored = resolve(&access, selection).await?;
    let base = access.granted(EventType::LeaseForced, &decision);
    let now = access.now;
    let mut refusal = base.clone();
    refusal.event_data = selection.describe();
    access
        .change(&refusal, move |tx| {
            Box::pin(async move {
                let rows = selected(tx, &stored).await?;
                let mut events = Vec::with_capacity(rows.len());
                for row in &rows {
                    if store::revoked(tx, row.lease_id, Some("forced: the target was not asked"), now)
                        .await?
                        .is_none()
                    {
                        continue;
                    }
                    role_store::discount_leases(tx, row.secret_id, 1).await?;
                    engine_store::discount_leases(tx, row.engine_id, 1).await?;
                    let mut event = about(base.clone(), row);
                    event.event_id = Uuid::now_v7();
                    event.event_data = json!({ "error": row.last_revocation_error });
                    events.push(event);
                }
                let count = u64::try_from(rows.len()).unwrap_or(u64::MAX);
                Ok(Change { value: count, events, effects: Vec::new() })
            })
        })
        .await
}

async fn selected(tx: &mut crate::storage::db::Tx, selection: &Selection) -> Result<Vec<LeaseRow>> {
    let page = Page { limit: STEP, ..Page::default() };
    let mut query = ListLeases { states: vec!["issuing", "active", "revoking"], ..ListLeases::default() };
    match selection {
        Selection::Path(path) => query.prefix = Some(path.clone()),
        Selection::Engine(id) => query.engine_id = Some(*id),
        Selection::Token(accessor) => query.token_accessor = Some(*accessor),
        Selection::Role(name) => query.role_name = Some(name.clone()),
        Selection::One(_) | Selection::Secret(_) | Selection::TokensRevokedAt(_) => {
            return Err(Error::internal("such a selection is not forced"));
        }
    }
    store::list(tx, &query, &page).await
}
