//! Leases.

use crate::graphql::ids::uuid_at;
use crate::graphql::pages::{Page, either_way};
use crate::graphql::result::{AtArgument, Failure, Result, op};
use crate::graphql::scalars::{DateTime, Path};
use crate::graphql::types::leases::{Lease, LeaseState};
use crate::service::leases::{self, ListFilter};
use async_graphql::{Context, Enum, ID, InputObject, Object};

#[derive(Default)]
pub struct LeaseQuery;

#[Object]
impl LeaseQuery {
    /// A lease. Null if there is none, or the caller may not know of it.
    async fn lease(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The lease's own id, a UUID.")] lease_id: ID,
    ) -> Result<Option<Lease>> {
        let id = uuid_at(&lease_id, "leaseId")?;
        Ok(leases::find(op(ctx)?, id).await?.map(Into::into))
    }

    /// Leases: all of them to who administers `leases`, else the caller's own.
    #[allow(clippy::too_many_arguments, reason = "the arguments are the schema's")]
    async fn leases(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which of them; all if left out.")] filter: Option<LeaseFilter>,
        #[graphql(desc = "How many to return from the start, 1 to 100.", default = 50)] first: Option<i32>,
        #[graphql(desc = "Continue after this cursor.")] after: Option<String>,
        #[graphql(desc = "How many to return from the end, 1 to 100, instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "Stop before this cursor.")] before: Option<String>,
        #[graphql(
            desc = "In which order. A cursor is good for the order that it comes from.",
            default_with = "Some(LeaseOrder::IssuedAt)"
        )]
        order_by: Option<LeaseOrder>,
    ) -> Result<Page<Lease>> {
        let mut filter = filter.map(ListFilter::try_from).transpose()?.unwrap_or_default();
        filter.order = order_by.map(Into::into).unwrap_or_default();
        Ok(leases::list(op(ctx)?, filter, either_way(ctx, first, after, last, before))
            .await
            .at_filter()?
            .into())
    }
}

/// In which order leases are listed.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "leases::Order")]
pub enum LeaseOrder {
    /// As they were asked for, oldest first.
    IssuedAt,
    /// The one that ends first before the others, and before it what has outlived its end for the longest. Those that are revoked
    /// are left out, whatever `states` says.
    ExpiresAt,
}

/// Which leases. What is given must all hold.
#[derive(InputObject)]
pub struct LeaseFilter {
    /// Only of this path and those below it, by whole segments.
    path_prefix: Option<Path>,
    /// Only of the engine of this name.
    engine: Option<String>,
    /// Only in any of these states.
    states: Option<Vec<LeaseState>>,
    /// Only those that are not revoked and end before this time.
    expires_before: Option<DateTime>,
    /// Only those whose credentials have outlived them.
    overdue_only: Option<bool>,
}

impl TryFrom<LeaseFilter> for ListFilter {
    type Error = Failure;

    fn try_from(filter: LeaseFilter) -> Result<Self> {
        let mut states: Vec<crate::model::leases::LeaseState> =
            filter.states.unwrap_or_default().into_iter().map(Into::into).collect();
        states.dedup();
        states.truncate(8);
        Ok(Self {
            path_prefix: filter.path_prefix.map(|path| path.at("filter.pathPrefix")).transpose()?,
            engine: filter.engine,
            states,
            expires_before: filter.expires_before.map(|time| time.at("filter.expiresBefore")).transpose()?,
            overdue_only: filter.overdue_only.unwrap_or(false),
            ..Self::default()
        })
    }
}
