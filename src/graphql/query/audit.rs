//! The audit log.

use super::policies::address_at;
use crate::graphql::ids::uuid_at;
use crate::graphql::pages::{Page, either_way};
use crate::graphql::result::{AtArgument, Failure, Result, op};
use crate::graphql::scalars::{BigInt, DateTime, Path};
use crate::graphql::types::audit::{AuditCheckpoint, AuditEvent, AuditVerification};
use crate::service::audit;
use async_graphql::{Context, ID, InputObject, Object};

#[derive(Default)]
pub struct AuditQuery;

#[Object]
impl AuditQuery {
    /// The audit log, newest first. Needs administration of `audit`.
    async fn audit_events(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only events that meet all of this.")] filter: Option<AuditFilter>,
        #[graphql(desc = "How many to return from the start, 1 to 100.", default = 50)] first: Option<i32>,
        #[graphql(desc = "Continue after this cursor, with older events.")] after: Option<String>,
        #[graphql(desc = "How many to return from the end, 1 to 100, instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "Stop before this cursor, at newer events.")] before: Option<String>,
    ) -> Result<Page<AuditEvent>> {
        let filter = filter.unwrap_or_default().try_into()?;
        Ok(audit::list(op(ctx)?, filter, either_way(ctx, first, after, last, before))
            .await
            .at_filter()?
            .into())
    }

    /// The end of the chain, signed. Works for any token; keep it elsewhere, to hold a later export against.
    async fn audit_checkpoint(&self, ctx: &Context<'_>) -> Result<AuditCheckpoint> {
        Ok(audit::checkpoint(op(ctx)?).await?.into())
    }

    /// Checks a stretch of the chain: every hash recomputed, no gap, every signature. Needs administration of `audit`.
    async fn verify_audit(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The first event to check; the first of all if left out.")] from_sequence: Option<
            BigInt,
        >,
        #[graphql(desc = "The last event to check; the latest if left out.")] to_sequence: Option<BigInt>,
    ) -> Result<AuditVerification> {
        let from = from_sequence.map(|number| number.at("fromSequence")).transpose()?;
        let to = to_sequence.map(|number| number.at("toSequence")).transpose()?;
        Ok(audit::verify(op(ctx)?, from, to).await?.into())
    }
}

/// Which audit events to return: those that meet all of what is given.
#[derive(InputObject, Default)]
pub struct AuditFilter {
    /// Only events of one of these types, such as `secret.accessed`.
    event_types: Option<Vec<String>>,
    /// Only events of this caller: an entity such as `role:billing`, or the accessor of a token.
    actor_id: Option<String>,
    /// Only events about secrets at this path and below it, by whole segments.
    secret_path_prefix: Option<Path>,
    /// Only events about this lease, a UUID.
    lease_id: Option<ID>,
    /// Only accesses that were granted (true) or refused (false).
    access_granted: Option<bool>,
    /// Only requests from this address: IPv4 or IPv6.
    source_ip: Option<String>,
    /// Only requests that carried this correlation id.
    correlation_id: Option<String>,
    /// Only events at this time or later.
    from: Option<DateTime>,
    /// Only events before this time.
    to: Option<DateTime>,
}

impl TryFrom<AuditFilter> for audit::AuditFilter {
    type Error = Failure;

    fn try_from(filter: AuditFilter) -> Result<Self> {
        Ok(Self {
            event_types: filter.event_types.unwrap_or_default(),
            actor_id: filter.actor_id,
            secret_path_prefix: filter
                .secret_path_prefix
                .map(|prefix| prefix.at("filter.secretPathPrefix"))
                .transpose()?,
            lease_id: filter.lease_id.map(|id| uuid_at(&id, "filter.leaseId")).transpose()?,
            access_granted: filter.access_granted,
            source_ip: filter.source_ip.map(|text| address_at(&text, "filter.sourceIp")).transpose()?,
            correlation_id: filter.correlation_id,
            from: filter.from.map(|time| time.at("filter.from")).transpose()?,
            to: filter.to.map(|time| time.at("filter.to")).transpose()?,
        })
    }
}
