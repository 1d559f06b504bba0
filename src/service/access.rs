//! What a known caller may: the decisions, and the record of what came of them.

use super::App;
use super::context::OpContext;
use super::ledger::{Attempt, Change, Decided};
use super::seal::Keys;
use super::tokens::TokenState;
use crate::error::{Error, ErrorCode, Result};
use crate::model::audit::{AuditEvent, EventType};
use crate::model::policies::{Action, Area, Circumstances, CompiledPolicy, Decision, evaluate};
use crate::storage::batch::Want;
use crate::storage::db::Tx;
use chrono::{DateTime, Utc};
use futures_util::future::BoxFuture;
use serde_json::Value;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// A caller who is known, and the facts that this attempt decides on.
pub struct Access {
    pub(super) ctx: OpContext,
    pub(super) generation: i64,
    pub(super) caller: Arc<TokenState>,
    pub(super) policies: Arc<[Arc<CompiledPolicy>]>,
    pub(super) now: DateTime<Utc>,
    pub(super) keys: Arc<Keys>,
}

impl Access {
    pub(super) fn app(&self) -> &Arc<App> {
        self.ctx.app()
    }

    /// How long the token is still good for; `None`: it has no end.
    pub(super) fn time_left(&self) -> Option<Duration> {
        self.caller.expires_at.map(|end| (end - self.now).to_std().unwrap_or_default())
    }

    pub(super) fn circumstances(&self, ttl_seconds: Option<i64>) -> Circumstances {
        Circumstances { now: self.now, source_ip: self.ctx.origin().source_ip, ttl_seconds }
    }

    /// What the caller's policies say; records nothing.
    pub(super) fn decide(&self, action: &Action) -> Decision {
        evaluate(&self.policies, action, &self.circumstances(None))
    }

    /// Whether something may be issued or renewed at all, for however short a time.
    pub(super) fn decide_briefly(&self, action: &Action) -> Decision {
        evaluate(&self.policies, action, &self.circumstances(Some(1)))
    }

    /// The lifetime to decide on when one is wanted that policies may allow a part of: what they do not allow as a whole is cut
    /// to what they do.
    pub(super) fn allowed_part(&self, action: &Action, wanted: Option<i64>) -> i64 {
        let wanted = wanted.unwrap_or(1);
        let whole = evaluate(&self.policies, action, &self.circumstances(Some(wanted)));
        if whole.allowed || !self.decide_briefly(action).allowed { wanted } else { 1 }
    }

    /// What the policies leave of a lifetime, if they bound it, decided on the `part` of it that they allow: more is cut and not refused.
    pub(super) fn lifetime_bound(&self, action: &Action, part: i64) -> Option<i64> {
        evaluate(&self.policies, action, &self.circumstances(Some(part))).max_ttl_seconds
    }

    /// Whether the caller holds the built-in policy.
    pub(super) fn is_root(&self) -> bool {
        self.caller.policy_names.iter().any(|name| name == super::book::ROOT)
    }

    pub(super) fn event(&self, event_type: EventType) -> AuditEvent {
        self.ctx.event(event_type, Some(&self.caller))
    }

    /// An event of something that this decision allowed.
    pub(super) fn granted(&self, event_type: EventType, decision: &Decision) -> AuditEvent {
        let mut event = self.event(event_type);
        event.policy_matched = decision.decided_by.as_ref().map(ToString::to_string);
        event
    }

    /// An event of something that this decision refused.
    pub(super) fn refused(&self, event_type: EventType, decision: &Decision) -> AuditEvent {
        let mut event = self.granted(event_type, decision);
        event.access_granted = Some(false);
        event.denial_reason = Some(decision.reason.clone().into_owned());
        event
    }

    /// Requires the administration of an area for `operation` (its name for the audit log).
    ///
    /// # Errors
    /// `FORBIDDEN`, recorded as `admin.access_denied`.
    pub(super) async fn administer(&self, area: Area, operation: &str) -> Result<Decision, Attempt> {
        let decision = self.decide(&Action::Administer(area));
        if decision.allowed {
            return Ok(decision);
        }
        let mut event = self.refused(EventType::AdminAccessDenied, &decision);
        event.event_data = serde_json::json!({ "area": area.as_str(), "operation": operation });
        self.record(vec![event]).await?;
        Err(Error::forbidden(format!(
            "this token does not administer {}: ask for a policy whose document names it in 'administers'",
            area.as_str()
        ))
        .into())
    }

    /// Requires the administration of an area for a read, and records the read.
    pub(super) async fn administer_read(
        &self,
        area: Area,
        operation: &str,
        target: Option<&str>,
    ) -> Result<(), Attempt> {
        let decision = self.administer(area, operation).await?;
        let mut event = self.granted(EventType::AdminAccessed, &decision);
        event.event_data = match target {
            Some(target) => {
                serde_json::json!({ "area": area.as_str(), "operation": operation, "target": target })
            }
            None => serde_json::json!({ "area": area.as_str(), "operation": operation }),
        };
        self.record(vec![event]).await
    }

    fn decided(&self) -> Decided {
        Decided { generation: self.generation, token: Some(self.caller.hash) }
    }

    pub(super) async fn record(&self, events: Vec<AuditEvent>) -> Result<(), Attempt> {
        self.app().ledger.record(self.decided(), events).await
    }

    /// Makes a change that `event` is about. If the change itself refuses, that is recorded in place of `event`.
    pub(super) async fn change<T, F>(&self, event: &AuditEvent, change: F) -> Result<T, Attempt>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<Change<T>>> + Send + 'static,
    {
        self.change_knowing(Vec::new(), event, change).await
    }

    /// The same for a change that says what it is going to look up, so that its batch reads that for all of its changes at once.
    pub(super) async fn change_knowing<T, F>(
        &self,
        wants: Vec<Want>,
        event: &AuditEvent,
        change: F,
    ) -> Result<T, Attempt>
    where
        T: Send + 'static,
        F: for<'t> FnOnce(&'t mut Tx) -> BoxFuture<'t, Result<Change<T>>> + Send + 'static,
    {
        self.app().ledger.change_knowing(wants, self.decided(), Some(refusal(event)), change).await
    }

    /// The outcome of a check outside the ledger; a refusal goes on the record, a mistake in the input does not.
    pub(super) async fn unless_refused<T>(
        &self,
        event: &AuditEvent,
        outcome: Result<T>,
    ) -> Result<T, Attempt> {
        match outcome {
            Ok(value) => Ok(value),
            Err(error)
                if matches!(
                    error.code(),
                    ErrorCode::Forbidden | ErrorCode::Conflict | ErrorCode::NotFound
                ) =>
            {
                Err(self.refuse(event, error).await)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Refuses what the policies allow but another rule does not, on the record.
    pub(super) async fn refuse(&self, event: &AuditEvent, error: Error) -> Attempt {
        let mut event = refusal(event);
        note_refusal(&mut event, &error);
        match self.record(vec![event]).await {
            Ok(()) => error.into(),
            Err(failure) => failure,
        }
    }
}

/// The event of a change that did not come about.
fn refusal(event: &AuditEvent) -> AuditEvent {
    let about_secret = event.event_type.starts_with("secret.");
    let mut data = event.event_data.as_object().cloned().unwrap_or_default();
    data.insert("attempted".to_owned(), Value::from(event.event_type.as_str()));
    let event_type = if about_secret { EventType::SecretAccessDenied } else { EventType::AdminAccessDenied };
    AuditEvent {
        event_id: Uuid::now_v7(),
        event_type: event_type.as_str().to_owned(),
        access_granted: Some(false),
        event_data: Value::Object(data),
        ..event.clone()
    }
}

/// Says in the event why.
pub(super) fn note_refusal(event: &mut AuditEvent, error: &Error) {
    event.denial_reason = Some(format!("{}: {}", error.code().as_str(), error.message()));
}
