//! Renewing and revoking tokens. Anyone may do either with its own token.

use super::super::cache::Effect;
use super::super::context::{Access, OpContext, settle};
use super::super::ledger::{Attempt, Change};
use super::{is_live, require_live, store};
use crate::crypto::primitives::sha256;
use crate::error::{Error, Result};
use crate::model::audit::EventType;
use crate::model::policies::Area;
use crate::storage::db::Tx;
use crate::storage::errors::corrupt;
use crate::storage::leases;
use crate::storage::tokens::{RevokedToken, TokenRow};
use chrono::{DateTime, Duration, Utc};
use serde_json::json;
use uuid::Uuid;

/// A token with a new end.
#[derive(Debug, Clone)]
pub struct Renewed {
    pub accessor: Uuid,
    pub expires_at: Option<DateTime<Utc>>,
    pub policies: Vec<String>,
    pub ttl_seconds: Option<i64>,
    pub renewable: bool,
    pub warnings: Vec<String>,
}

/// Moves the end of a token: `increment_seconds` from now, as far as its longest lifetime goes. Without `token` and
/// `accessor` the caller's own; another's needs the area `tokens`.
///
/// # Errors
/// `NOT_FOUND`, `CONFLICT` if it cannot be renewed (any more), `FORBIDDEN`, `BAD_USER_INPUT` at `incrementSeconds`.
pub async fn renew(
    ctx: &OpContext,
    token: Option<&str>,
    accessor: Option<Uuid>,
    increment_seconds: Option<i64>,
) -> Result<Renewed> {
    let hash = token.map(|text| sha256(text.as_bytes()));
    settle!(async { renew_with(&ctx.access().await?, hash, accessor, increment_seconds).await })
}

pub(in super::super) async fn renew_with(
    access: &Access,
    hash: Option<[u8; 32]>,
    accessor: Option<Uuid>,
    increment_seconds: Option<i64>,
) -> Result<Renewed, Attempt> {
    let increment =
        super::super::input::ttl("incrementSeconds", increment_seconds, access.app().limits().max_token_ttl)?;
    let target = find_target(access, hash, accessor, "renew_token").await?;
    let (caller, now) = (access.caller.accessor, access.now);
    let mut event = access.event(EventType::TokenRenewed);
    access
        .change(&event.clone(), move |tx| {
            Box::pin(async move {
                require_live(tx, caller, now).await?;
                let row = store::by_accessor(tx, target).await?.filter(|row| is_live(row, now));
                let row = row.ok_or_else(no_such_token)?;
                let renewed = extend(&row, now, increment)?;
                store::renew(tx, target, renewed.expires_at).await?;
                event.event_data =
                    json!({ "accessor": target.to_string(), "ttl_seconds": renewed.ttl_seconds });
                Ok(Change::new(renewed, event, vec![Effect::Token(hash_of(&row)?)]))
            })
        })
        .await
}

fn extend(row: &TokenRow, now: DateTime<Utc>, increment: Option<i64>) -> Result<Renewed> {
    let (Some(before), true) = (row.expires_at, row.renewable) else {
        return Err(Error::conflict("this token is not renewable: log in again when it ends"));
    };
    let mut warnings = Vec::new();
    let wanted = row.period_seconds.or(increment).or(row.ttl_seconds).unwrap_or_default();
    let mut end = now + Duration::seconds(wanted);
    if let Some(limit) = row.max_expires_at {
        if before >= limit {
            return Err(Error::conflict("this token has reached its longest lifetime: log in again"));
        }
        if end > limit {
            end = limit;
            warnings.push("the lifetime was cut to the longest that this token may have".to_owned());
        }
    }
    Ok(Renewed {
        accessor: row.accessor,
        expires_at: Some(end),
        policies: row.policies.0.clone(),
        ttl_seconds: Some((end - now).num_seconds()),
        renewable: true,
        warnings,
    })
}

/// Ends a token and all that were made with it, at once and on all nodes. Without `token` and `accessor` the caller's
/// own; another's needs the area `tokens`. Returns how many tokens ended.
///
/// # Errors
/// `NOT_FOUND`, `FORBIDDEN`.
pub async fn revoke(ctx: &OpContext, token: Option<&str>, accessor: Option<Uuid>) -> Result<usize> {
    let hash = token.map(|text| sha256(text.as_bytes()));
    let ended = settle!(revoke_once(ctx, hash, accessor))?;
    ctx.app().leases_due().notify_one();
    Ok(ended)
}

async fn revoke_once(
    ctx: &OpContext,
    hash: Option<[u8; 32]>,
    accessor: Option<Uuid>,
) -> Result<usize, Attempt> {
    let access = ctx.access().await?;
    let target = find_target(&access, hash, accessor, "revoke_token").await?;
    let now = access.now;
    let mut event = access.event(EventType::TokenRevoked);
    access
        .change(&event.clone(), move |tx| {
            Box::pin(async move {
                let ended = store::revoke_tree(tx, target, now, "revoked").await?;
                if ended.is_empty() {
                    return Err(no_such_token());
                }
                let leases = end_leases(tx, "the token was revoked", now).await?;
                event.event_data =
                    json!({ "accessor": target.to_string(), "ended": ended.len(), "leases": leases });
                Ok(Change::new(ended.len(), event, effects(&ended)?))
            })
        })
        .await
}

/// Begins the revocation of what was issued to the tokens that were revoked in this change. How many leases.
pub async fn end_leases(tx: &mut Tx, reason: &str, now: DateTime<Utc>) -> Result<u64> {
    leases::mark_revoking(tx, &leases::Selection::TokensRevokedAt(now), reason, now, i64::MAX).await
}

/// The caches must forget these tokens.
pub fn effects(ended: &[RevokedToken]) -> Result<Vec<Effect>> {
    ended
        .iter()
        .map(|token| {
            let hash = token.token_hash.as_slice().try_into();
            hash.map(Effect::Token).map_err(|_| corrupt("tokens", "token_hash", &token.accessor.to_string()))
        })
        .collect()
}

/// Whom the operation is about. Naming another's token by its text proves possession, but still needs the right.
async fn find_target(
    access: &Access,
    hash: Option<[u8; 32]>,
    accessor: Option<Uuid>,
    operation: &str,
) -> Result<Uuid, Attempt> {
    if hash.is_some() && accessor.is_some() {
        return Err(Error::bad_input("accessor", "give either the token or its accessor").into());
    }
    let own = access.caller.accessor;
    if hash.is_none_or(|hash| hash == access.caller.hash) && accessor.is_none_or(|accessor| accessor == own) {
        return Ok(own);
    }
    access.administer(Area::Tokens, operation).await?;
    if let Some(accessor) = accessor {
        return Ok(accessor);
    }
    let mut tx = access.app().read().await?;
    let row = store::by_hash(&mut tx, &hash.unwrap_or_default()).await?;
    Ok(row.ok_or_else(no_such_token)?.accessor)
}

fn hash_of(row: &TokenRow) -> Result<[u8; 32]> {
    row.token_hash
        .as_slice()
        .try_into()
        .map_err(|_| corrupt("tokens", "token_hash", &row.accessor.to_string()))
}

fn no_such_token() -> Error {
    Error::not_found("there is no such live token: check the accessor")
}
