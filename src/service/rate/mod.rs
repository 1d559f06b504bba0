//! How much callers may ask of a node, and how often they may fail to log in. Everything here is in the node's memory and
//! bounded: each node counts for itself, and forgets what is longest unused when it has too many callers to remember.

mod budgets;
mod failed;

use super::App;
use super::context::{OpContext, settle};
use super::ledger::Attempt;
use super::tokens;
use crate::error::{Error, ErrorCode, Result};
use crate::model::audit::EventType;
use crate::model::cidr::client_of;
pub use budgets::{Allowance, Budgets};
use chrono::{DateTime, Utc};
use failed::{Failures, Refused};
use serde_json::json;
use std::fmt;
use std::net::IpAddr;
use uuid::Uuid;

/// Callers that a node remembers, of each kind.
const REMEMBERED: usize = 65_536;

/// What is limited; without a part nothing of it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct RateSettings {
    pub work: Option<WorkLimits>,
    pub failed_logins: Option<FailedLoginLimits>,
}

/// How much work one caller may ask for, in units of one field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkLimits {
    /// For each token.
    pub caller: Allowance,
    /// For each address, of what comes without a good token.
    pub anonymous: Allowance,
}

/// How often logins from one address may fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailedLoginLimits {
    pub failures: u32,
    pub window_seconds: u32,
}

/// Who is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Caller {
    /// The accessor of a token, which says nothing of the token itself.
    Token(Uuid),
    /// An address, or the /64 that an IPv6 client has at its disposal; `None` for those that are not known.
    Address(Option<IpAddr>),
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(accessor) => write!(f, "token with accessor {accessor}"),
            Self::Address(Some(IpAddr::V6(address))) => write!(f, "{address}/64"),
            Self::Address(Some(address)) => write!(f, "{address}"),
            Self::Address(None) => f.write_str("an unknown address"),
        }
    }
}

/// What a caller presents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Presented {
    Login,
    /// One that nobody holds.
    Token,
    /// Where a token is needed.
    NoToken,
}

impl Presented {
    /// Why it is refused when too many were, for the audit log, and what the caller hears.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Login => (
                "too many failed logins from this address",
                "too many logins from this address have failed: wait before trying again",
            ),
            Self::Token => (
                "too many unknown tokens from this address",
                "this token is not known, and too many like it came from this address: log in again, or wait",
            ),
            Self::NoToken => (
                "too many requests without a token from this address",
                "a valid token is needed, and too many requests without one came from this address: log in, or wait",
            ),
        }
    }
}

/// The limits of a node, with what has been counted.
pub struct Rates {
    budgets: Option<Budgets>,
    failures: Option<Failures>,
}

impl Rates {
    #[must_use]
    pub fn new(settings: RateSettings) -> Self {
        Self {
            budgets: settings.work.map(|limits| Budgets::new(limits, REMEMBERED)),
            failures: settings.failed_logins.map(|limits| Failures::new(limits, REMEMBERED)),
        }
    }

    /// Requests that were refused because their caller asked for too much.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.budgets.as_ref().map_or(0, Budgets::refused)
    }
}

/// Charges the caller of a request for work, before any of it is done. To be called for every operation, however it arrived; again with
/// what was charged `before` when more is known of it.
///
/// # Errors
/// `RATE_LIMITED` with the seconds to wait. Nothing is recorded: an event for each would be what the limit is there to prevent.
pub async fn admit(ctx: &OpContext, cost: u64, before: u64) -> Result<()> {
    let Some(budgets) = &ctx.app().rates.budgets else { return Ok(()) };
    budgets.charge_more(caller(ctx).await, cost, before)
}

/// The same for doors at which no token counts: the address is charged.
///
/// # Errors
/// As [`admit`].
pub fn admit_address(ctx: &OpContext, cost: u64) -> Result<()> {
    let Some(budgets) = &ctx.app().rates.budgets else { return Ok(()) };
    budgets.charge(address(ctx), cost)
}

/// A token that is good here and now is charged itself, anything else its address: so nobody gets a new budget by inventing
/// tokens, and nobody uses up that of a token that is not his to use.
async fn caller(ctx: &OpContext) -> Caller {
    let app = ctx.app();
    if ctx.token_hash().is_none() || app.keys.get().is_err() {
        return address(ctx);
    }
    // a store that does not answer is for the operation itself to report
    let known = tokens::lookup(app, ctx.token_hash(), app.caches.generation()).await.ok().flatten();
    match known.filter(|token| token.problem(app.clock().now(), ctx.origin()).is_none()) {
        Some(token) => Caller::Token(token.accessor),
        None => address(ctx),
    }
}

fn address(ctx: &OpContext) -> Caller {
    Caller::Address(ctx.origin().source_ip.map(client_of))
}

/// Makes a login attempt, unless too many from this address failed. Those that are in work already are finished.
///
/// # Errors
/// `RATE_LIMITED` with the seconds to wait, without a look at what was presented; else what the attempt says.
pub(super) async fn login<T>(ctx: &OpContext, attempt: impl Future<Output = Result<T>>) -> Result<T> {
    let app = ctx.app();
    let Some(failures) = &app.rates.failures else { return attempt.await };
    let from = ctx.origin().source_ip.map(client_of);
    if let Some(refused) = failures.refused(Presented::Login, from, app.clock().now()) {
        return Err(settle!(turn_away(ctx, &refused, Presented::Login))?);
    }
    let outcome = attempt.await;
    if let Err(error) = &outcome
        && matches!(error.code(), ErrorCode::Unauthenticated | ErrorCode::RateLimited)
    {
        failures.count(Presented::Login, from, app.clock().now());
    }
    outcome
}

/// Notes a request that shows no token, or one that nobody holds, where one is needed. An error if there were too many from
/// this address: then the request is turned away with that, and nothing more is recorded.
pub(super) async fn stranger(ctx: &OpContext) -> Result<(), Attempt> {
    let app = ctx.app();
    let presented = if ctx.token_hash().is_some() { Presented::Token } else { Presented::NoToken };
    let Some(failures) = &app.rates.failures else { return Ok(()) };
    let (from, now) = (ctx.origin().source_ip.map(client_of), app.clock().now());
    match failures.refused(presented, from, now) {
        Some(refused) => Err(turn_away(ctx, &refused, presented).await?.into()),
        None => {
            failures.count(presented, from, now);
            Ok(())
        }
    }
}

/// The refusal, which goes on the record once in a window.
async fn turn_away(ctx: &OpContext, refused: &Refused, presented: Presented) -> Result<Error, Attempt> {
    let app = ctx.app();
    let (reason, message) = presented.words();
    if let Some(announcement) = refused.announce() {
        let mut event = ctx.event(EventType::AuthFailed, None);
        event.access_granted = Some(false);
        event.denial_reason = Some(reason.to_owned());
        event.event_data = json!({
            "failures": refused.failures,
            "unrecorded_until": refused.until.to_rfc3339(),
        });
        app.ledger.record(app.undecided(), vec![event]).await?;
        announcement.done();
    }
    Ok(Error::new(ErrorCode::RateLimited, message)
        .with_retry_after(seconds_until(refused.until, app.clock().now())))
}

fn seconds_until(until: DateTime<Utc>, now: DateTime<Utc>) -> u64 {
    u64::try_from((until - now).num_seconds() + 1).unwrap_or(1).max(1)
}

/// Of what the node has counted, for its metrics.
pub(super) fn refused(app: &App) -> u64 {
    app.rates.refused()
}
