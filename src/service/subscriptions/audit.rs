//! The audit log, followed.

use super::super::audit::AuditFilter;
use super::super::context::{Access, OpContext, settle};
use super::super::ledger::Attempt;
use super::{Changes, Judge, beginning, cursor, follow, number};
use crate::error::{Error, Result};
use crate::model::audit::{AuditEvent, EventType};
use crate::model::policies::{Action, Area};
use serde_json::json;
use std::sync::Arc;

/// An event and its cursor, which is that of the list of events.
#[derive(Debug, Clone)]
pub struct AuditEdge {
    pub cursor: String,
    pub event: Arc<AuditEvent>,
}

/// Events as they are recorded. Needs the area `audit`, all the time.
///
/// # Errors
/// `FORBIDDEN`, `BAD_USER_INPUT` naming the filter's field or `after`.
pub async fn audit(ctx: &OpContext, filter: AuditFilter, after: Option<&str>) -> Result<Changes<AuditEdge>> {
    let (checked, after) = (filter.check()?, number(after)?);
    settle!(open(ctx))?;
    let seen = beginning(ctx.app(), after).await?;
    Ok(follow(ctx, checked, seen, Events))
}

async fn open(ctx: &OpContext) -> Result<(), Attempt> {
    let access = ctx.access().await?;
    let decision = access.administer(Area::Audit, "audit_event_added").await?;
    let mut event = access.granted(EventType::AuditQueried, &decision);
    event.event_data = json!({ "subscribed": "audit_event_added" });
    access.record(vec![event]).await
}

struct Events;

impl Judge for Events {
    type Change = AuditEdge;

    fn standing(&self, access: &Access) -> Result<()> {
        if access.decide(&Action::Administer(Area::Audit)).allowed {
            return Ok(());
        }
        Err(Error::forbidden(
            "this token does not administer audit any more: ask for a policy whose document names it in 'administers'",
        ))
    }

    async fn judge(&self, _: &Access, event: &Arc<AuditEvent>) -> Result<Option<AuditEdge>> {
        Ok(Some(AuditEdge { cursor: cursor(event), event: Arc::clone(event) }))
    }
}
