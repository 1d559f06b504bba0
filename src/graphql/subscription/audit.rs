//! The audit log.

use super::{Stream, dressed};
use crate::graphql::pages::Edge;
use crate::graphql::query::audit::AuditFilter;
use crate::graphql::result::{AtArgument, Result, op};
use crate::graphql::types::audit::AuditEvent;
use crate::service::subscriptions;
use async_graphql::{Context, Subscription};

#[derive(Default)]
pub struct AuditSubscription;

#[Subscription]
impl AuditSubscription {
    /// The audit log as it is written, oldest first. Needs administration of `audit`, all the time.
    async fn audit_event_added(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only events that meet all of this.")] filter: Option<AuditFilter>,
        #[graphql(
            desc = "Everything since the event with this cursor, and then what comes; without it, from now on."
        )]
        after: Option<String>,
    ) -> Result<Stream<Edge<AuditEvent>>> {
        let filter = filter.unwrap_or_default().try_into()?;
        Ok(dressed(subscriptions::audit(op(ctx)?, filter, after.as_deref()).await.at_filter()?))
    }
}
