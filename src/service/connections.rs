//! Connections that last longer than a request: they are good as long as the token is that they were opened with.

use super::context::{OpContext, settle};
use super::feed;
use crate::error::{ErrorCode, Result};
use std::time::Duration;

/// A token's end is looked at again at least this often: clocks are set, too.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// The same while it cannot be told: the node is sealed, or its store does not answer.
const UNTOLD: Duration = Duration::from_secs(1);
/// Changes that come together are looked at together.
const GATHER: Duration = Duration::from_millis(20);

/// Whether a connection may be opened with the token of `ctx`. That it may not is recorded; no use is counted.
///
/// # Errors
/// `UNAUTHENTICATED`, `SEALED`, `NOT_INITIALIZED`, `UNAVAILABLE`.
pub async fn admit(ctx: &OpContext) -> Result<()> {
    // what other nodes have revoked so far is known from here on
    feed::look(ctx.app()).await?;
    settle!(ctx.admit())
}

/// Whether the token of `ctx` is good. A sealed node knows nobody.
pub async fn is_known(ctx: &OpContext) -> bool {
    ctx.again().await.is_ok()
}

/// Whether the token of `ctx` is good no longer, as far as can be told.
pub async fn has_ended(ctx: &OpContext) -> bool {
    matches!(ctx.again().await, Err(error) if error.code() == ErrorCode::Unauthenticated)
}

/// Completes when the token of `ctx` is good no longer: expired, or revoked on any node. While somebody follows the log or has such a
/// connection, that is noticed within the time between two looks at the store.
pub async fn ended(ctx: OpContext) {
    let app = ctx.app();
    let _attention = app.feed.attend();
    let mut callers = app.caches.callers();
    loop {
        callers.mark_unchanged();
        let wait = match ctx.again().await {
            Ok(access) => access.time_left().map_or(LOOK_AGAIN, |left| left.min(LOOK_AGAIN)),
            Err(error) if error.code() == ErrorCode::Unauthenticated => return,
            Err(_) => UNTOLD,
        };
        tokio::select! {
            // its sender is in the caches, which live as long as the node
            _ = callers.changed() => tokio::time::sleep(GATHER).await,
            () = tokio::time::sleep(wait) => {}
        }
    }
}
