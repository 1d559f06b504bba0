//! Changes of leases.

use super::{Stream, dressed};
use crate::graphql::query::leases::LeaseFilter;
use crate::graphql::result::{AtArgument, Result, op};
use crate::graphql::types::changes::LeaseChange;
use crate::service::leases::ListFilter;
use crate::service::subscriptions;
use async_graphql::{Context, Subscription};

#[derive(Default)]
pub struct LeaseSubscription;

#[Subscription]
impl LeaseSubscription {
    /// Changes of leases: of all of them to who administers `leases` at that moment, else of the caller's own. Where many leases are to
    /// end at once (a path, an engine, a revoked token), that is not told of each of them; that it has ended is.
    async fn lease_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(
            desc = "Which of them; all if left out. It is held against the lease as it is when it is told of."
        )]
        filter: Option<LeaseFilter>,
        #[graphql(
            desc = "Everything since the event with this cursor, and then what comes; without it, from now on."
        )]
        after: Option<String>,
    ) -> Result<Stream<LeaseChange>> {
        let filter = filter.map(ListFilter::try_from).transpose()?.unwrap_or_default();
        Ok(dressed(subscriptions::leases(op(ctx)?, filter, after.as_deref()).await.at_filter()?))
    }
}
