//! Removing rows that no operation can reach any more. Nothing is audited: what they were is in the log.

use super::context::{OpContext, settle};
use super::ledger::{Attempt, Change};
use crate::error::Result;
use crate::storage::{effects, leases, roles, tokens};
use chrono::Duration;

/// Rows removed in one change.
const STEP: i64 = 500;
/// Tokens stay for a day after their end, so that what they made can still be found and ended with them.
const TOKEN_REST: Duration = Duration::hours(24);

/// Revoked leases stay for a week, so that what became of them can be looked up; the audit log keeps them for ever.
const LEASE_REST: Duration = Duration::days(7);

/// What is removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Tokens,
    SecretIds,
    LoginFailures,
    CacheEffects,
    Leases,
}

impl Kind {
    pub const ALL: [Self; 5] =
        [Self::Tokens, Self::SecretIds, Self::LoginFailures, Self::CacheEffects, Self::Leases];
}

/// Removes up to 500 rows. Returns how many.
///
/// # Errors
/// `SEALED`, `UNAVAILABLE`.
pub async fn step(ctx: &OpContext, kind: Kind) -> Result<u64> {
    settle!(step_once(ctx, kind))
}

async fn step_once(ctx: &OpContext, kind: Kind) -> Result<u64, Attempt> {
    let app = ctx.app();
    let now = app.clock().now();
    let quiet = Duration::seconds(app.limits().lockout_seconds.saturating_mul(2).max(3600 * 48));
    app.ledger
        .change(app.undecided(), None, move |tx| {
            Box::pin(async move {
                let value = match kind {
                    Kind::Tokens => tokens::purge(tx, now - TOKEN_REST, STEP).await?,
                    Kind::SecretIds => roles::purge_secret_ids(tx, now, STEP).await?,
                    Kind::LoginFailures => roles::purge_failures(tx, now - quiet, STEP).await?,
                    Kind::CacheEffects => effects::purge(tx, STEP).await?,
                    Kind::Leases => leases::purge(tx, now - LEASE_REST, STEP).await?,
                };
                Ok(Change { value, events: Vec::new(), effects: Vec::new() })
            })
        })
        .await
}
