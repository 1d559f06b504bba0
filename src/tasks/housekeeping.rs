//! Removing what is over.

use crate::error::Result;
use crate::service::context::OpContext;
use crate::service::purge::{self, Kind};

/// Removes what has been over for long enough, a few rows to a change, so that no one waits long. Returns how many.
///
/// # Errors
/// `SEALED`, `UNAVAILABLE`.
pub async fn purge(ctx: &OpContext) -> Result<u64> {
    let mut removed = 0;
    for kind in Kind::ALL {
        loop {
            let step = purge::step(ctx, kind).await?;
            removed += step;
            if step == 0 {
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    Ok(removed)
}
