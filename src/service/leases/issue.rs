//! Issuing, in two steps: the lease is durable before the engine is asked (here), and active before the caller gets the credentials
//! (`make.rs`). Whatever breaks off in between leaves a lease that the reaper ends.

use super::super::context::{Access, OpContext, settle};
use super::super::engines::{client_error, open_role, told};
use super::super::ledger::{Attempt, Change};
use super::super::secrets::require_for;
use super::super::{to_the_end, tokens};
use super::fresh::{FreshLease, changed};
use super::make::{Begun, NotMade, make};
use super::repeat::{key_of, known, repeated};
use super::{LeaseView, about, store};
use crate::engine::HealthStatus;
use crate::error::{Error, ErrorCode, Result};
use crate::model::audit::{AuditEvent, EventType};
use crate::model::leases::{Cap, Granted, grant};
use crate::model::paths::SecretPath;
use crate::model::policies::{Action, Operation};
use crate::storage::batch::Want;
use crate::storage::engine_roles as role_store;
use crate::storage::engine_roles::Issuing;
use crate::storage::leases::{LeaseRow, NoRoom};
use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};
use std::sync::Arc;
use uuid::Uuid;

/// The longest lifetime that can be asked for, in seconds.
const MAX_TTL: i64 = 366 * 24 * 3600;

/// What is asked for.
#[derive(Debug, Clone)]
pub struct IssueCredentials {
    pub path: SecretPath,
    /// The role's default without it.
    pub ttl_seconds: Option<i64>,
    /// Asked for again with the same key, the same token gets the same lease and credentials.
    pub idempotency_key: Option<String>,
}

/// A lease and its credentials, on their way to the caller.
pub struct IssuedLease {
    pub lease: LeaseView,
    pub credentials: Value,
    /// What was granted otherwise than asked for.
    pub warnings: Vec<String>,
}

enum First {
    /// And what was granted otherwise than asked for.
    Begun(Box<Begun>, Vec<String>),
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
            First::Begun(begun, warnings) => carry_on(&ctx, &begun, warnings).await,
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

async fn begin(ctx: &OpContext, input: &IssueCredentials) -> Result<First, Attempt> {
    let access = ctx.access().await?;
    let action = Action::Secret { operation: Operation::Issue, path: &input.path };
    let asked = access.allowed_part(&action, input.ttl_seconds);
    require_for(&access, Operation::Issue, &input.path, Some(asked)).await?;
    let app = access.app();
    let key = input.idempotency_key.as_deref().map(|key| key_of(access.caller.accessor, key));
    if let Some(key) = &key {
        let before = store::seen_by_key(app.glance().await?, &access.caller.actor_id, key).await?;
        if let Some(row) = before {
            return repeated(row, input).map(|row| First::Known(Box::new(row))).map_err(Attempt::from);
        }
    }
    let found = issued_by(&access, &input.path).await?.ok_or_else(no_role)?;
    let engine = &found.engine;
    if !engine.enabled {
        return Err(Error::conflict("the engine is disabled and issues nothing at the moment").into());
    }
    if let Some(left) = app.engines.is_open(engine.id)
        && app.engines.health(engine.id).status == HealthStatus::Down
    {
        // a lease whose issue is certain to fail would only wait to be revoked
        let message = "the engine is not available at the moment: try again shortly";
        let error = Error::new(ErrorCode::EngineUnavailable, message);
        return Err(error.with_retry_after(left.as_secs().max(1)).into());
    }
    let by_policy = access.lifetime_bound(&action, asked);
    let (granted, max_end) = lifetime(&access, input, by_policy, &found);
    let decision = require_for(&access, Operation::Issue, &input.path, Some(granted.seconds)).await?;
    let fresh = FreshLease {
        secret_id: found.secret_id,
        path: &input.path,
        ttl_seconds: granted.seconds,
        max_expires_at: max_end,
        max_renewals: found.max_renewals,
        idempotency_key: key,
    };
    let row = fresh.row(&access, engine);
    let role = open_role(app, found.secret_id, &found.sealed, found.sealed_version).await?;
    let issued = about(access.granted(EventType::SecretDynamicIssued, &decision), &row);
    let mut event = AuditEvent {
        event_type: EventType::LeaseIssuing.as_str().to_owned(),
        event_id: Uuid::now_v7(),
        ..issued.clone()
    };
    event.event_data = json!({ "engine": engine.name, "ttl_seconds": granted.seconds });
    if let Some(before) = insert(&access, &event, row.clone(), engine.config_version).await? {
        return repeated(before, input).map(|row| First::Known(Box::new(row))).map_err(Attempt::from);
    }
    let warnings = granted.warning().into_iter().collect();
    let begun = Begun { row, engine: engine.clone(), role, event: issued };
    Ok(First::Begun(Box::new(begun), warnings))
}

/// The role at a path and its engine, remembered for as long as neither roles nor engines are changed. A disabled engine is looked at
/// again: that refusal is on no record, so it would not show that another node has enabled it.
async fn issued_by(access: &Access, path: &SecretPath) -> Result<Option<Arc<Issuing>>> {
    let app = access.app();
    if let Some(known) = app.caches.engine_role(path).filter(|known| known.engine.enabled) {
        return Ok(Some(known));
    }
    let found = role_store::at_path(app.glance().await?, path.as_str()).await?.map(Arc::new);
    if let Some(found) = &found {
        app.caches.put_engine_role(access.generation, path, found);
    }
    Ok(found)
}

fn no_role() -> Error {
    Error::not_found("nothing is issued at this path: check it against the secrets of type DYNAMIC_ROLE")
}

/// How long, and until when it can be renewed.
fn lifetime(
    access: &Access,
    input: &IssueCredentials,
    by_policy: Option<i64>,
    found: &Issuing,
) -> (Granted, DateTime<Utc>) {
    let token_left = access.caller.expires_at.map(|end| (end - access.now).num_seconds().max(1));
    let caps = [
        (Cap::Role, Some(found.role_max_ttl_seconds)),
        (Cap::Engine, found.engine.max_ttl_seconds),
        (Cap::Policy, by_policy),
        (Cap::Token, token_left),
    ];
    let granted = grant(input.ttl_seconds.unwrap_or(found.default_ttl_seconds), &caps);
    let most = grant(found.role_max_ttl_seconds, &caps[1..3]).seconds;
    (granted, access.now + Duration::seconds(most.max(granted.seconds)))
}

/// What became of a lease that was to begin.
enum Insertion {
    Done,
    /// This one was asked for with the same key a moment ago.
    Known(Box<LeaseRow>),
    /// The engine has another configuration since it was looked at.
    Changed,
}

/// `Some`: the lease that was asked for with the same key a moment ago.
///
/// # Errors
/// [`Attempt::Stale`] too if the engine was changed meanwhile: the next attempt knows.
async fn insert(
    access: &Access,
    event: &AuditEvent,
    row: LeaseRow,
    config_version: i64,
) -> Result<Option<LeaseRow>, Attempt> {
    let now = access.now;
    let wants = vec![Want::Token(row.token_accessor), Want::Room(row.secret_id)];
    let event = event.clone();
    let unrecorded = |value| Change { value, events: Vec::new(), effects: Vec::new() };
    let insertion = access
        .change_knowing(wants, &event.clone(), move |tx| {
            Box::pin(async move {
                // a revocation of the token from here on finds the lease
                tokens::require_live(tx, row.token_accessor, now).await?;
                if let Some(key) = &row.idempotency_key
                    && let Some(before) = store::by_key(tx, &row.actor_id, key).await?
                {
                    return Ok(unrecorded(Insertion::Known(Box::new(before))));
                }
                match store::begin(tx, row, config_version).await? {
                    None => Ok(Change::new(Insertion::Done, event, Vec::new())),
                    Some(NoRoom::Changed) => Ok(unrecorded(Insertion::Changed)),
                    Some(why) => Err(no_room(why)),
                }
            })
        })
        .await?;
    match insertion {
        Insertion::Done => Ok(None),
        Insertion::Known(before) => Ok(Some(*before)),
        Insertion::Changed => Err(Attempt::Stale),
    }
}

fn no_room(why: NoRoom) -> Error {
    match why {
        NoRoom::NoRole => no_role(),
        NoRoom::Changed => changed(),
        NoRoom::Role => {
            Error::conflict("this path has as many live leases as it may: try again when some have ended")
        }
        NoRoom::Engine(most) => Error::conflict(format!(
            "the engine has {most} live leases, as many as it may: try again when some have ended"
        )),
        NoRoom::Disabled => Error::conflict("the engine is disabled and issues nothing at the moment"),
    }
}

async fn carry_on(ctx: &OpContext, begun: &Begun, warnings: Vec<String>) -> Result<IssuedLease> {
    match make(ctx, begun).await {
        Ok((row, issued)) => {
            let lease = LeaseView::from_row(row, ctx.app().clock.now())?;
            Ok(IssuedLease { lease, credentials: issued.credentials, warnings })
        }
        Err(NotMade::Refused(failure)) => Err(told(ctx, none_of_theirs(client_error(failure, "path"))).await),
        Err(NotMade::NotKept(error)) => Err(error),
    }
}

/// What is wrong with the role is none of the caller's input.
fn none_of_theirs(error: Error) -> Error {
    match error.code() {
        ErrorCode::BadUserInput => Error::new(
            ErrorCode::EngineUnavailable,
            format!("the engine does not take the role at this path: {}", error.message()),
        ),
        _ => error,
    }
}
