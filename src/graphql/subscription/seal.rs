//! The state of the seal.

use crate::graphql::result::{Result, op};
use crate::graphql::types::seal::SealStatus;
use crate::service::subscriptions;
use async_graphql::{Context, Subscription};
use futures_util::StreamExt;
use futures_util::stream::BoxStream;

#[derive(Default)]
pub struct SealSubscription;

#[Subscription]
impl SealSubscription {
    /// The state of this node's seal: as it is, and then whenever it changes. No token needed; it goes on when the node is sealed.
    async fn seal_status_changed(&self, ctx: &Context<'_>) -> Result<BoxStream<'static, SealStatus>> {
        Ok(subscriptions::seal(op(ctx)?.app()).await.map(SealStatus::from).boxed())
    }
}
