//! Decisions on requests that wait: approved, or turned down.

use super::super::context::{Access, OpContext, settle};
use super::super::input;
use super::super::ledger::{Attempt, Change};
use super::super::tokens;
use super::enroll::{EnrollmentView, absent, view, wanted};
use super::issue::{insert, issued_event, issued_type, make};
use super::issuers;
use super::naming::parse_names;
use super::profile::profile;
use super::roles::read_role;
use super::view::CertificateView;
use crate::crypto::x509::request::CertificateRequest;
use crate::error::{Error, Result};
use crate::model::audit::{AuditEvent, EventType};
use crate::model::certificates::{Asked, EnrollmentState, Subject};
use crate::model::paths::SecretPath;
use crate::model::policies::{Area, Decision};
use crate::storage::certificates::CertificateRow;
use crate::storage::enrollments as store;
use crate::storage::enrollments::{Decision as Decided, EnrollmentRow};
use crate::storage::errors::corrupt;
use serde_json::json;
use uuid::Uuid;

/// A request that still waits, and the right to decide on it.
async fn pending(access: &Access, id: Uuid, operation: &str) -> Result<(EnrollmentRow, Decision), Attempt> {
    let decision = access.administer(Area::Certificates, operation).await?;
    let row = store::by_id(&mut access.app().read().await?, id).await?.ok_or_else(absent)?;
    if row.state != EnrollmentState::Pending.as_str() || access.now >= row.expires_at {
        return Err(decided().into());
    }
    Ok((row, decision))
}

fn decided() -> Error {
    Error::conflict("this request is decided already, or has waited too long: the agent may ask again")
}

/// Issues what was asked for, if its role still allows it. Needs the area `certificates`.
///
/// # Errors
/// `NOT_FOUND`, `CONFLICT` if it is decided, has expired or the role is gone, `BAD_USER_INPUT` at `enrollmentId` if the role's rules no longer
/// allow it.
pub async fn approve(ctx: &OpContext, id: Uuid) -> Result<(EnrollmentView, CertificateView)> {
    settle!(approve_once(ctx, id))
}

async fn approve_once(ctx: &OpContext, id: Uuid) -> Result<(EnrollmentView, CertificateView), Attempt> {
    let access = ctx.access().await?;
    let (enrollment, decision) = pending(&access, id, "approve_enrollment").await?;
    let row = sign(&access, &enrollment).await?;
    let cert_type = wanted(&enrollment)?.cert_type;
    let issued = issued_event(access.granted(issued_type(cert_type), &decision), &row);
    let event = decision_event(&access, &decision, EventType::CertificateEnrollmentApproved, &enrollment);
    let by = access.caller.actor_id.clone();
    let (caller, now) = (access.caller.accessor, access.now);
    access
        .change(&event.clone(), move |tx| {
            Box::pin(async move {
                tokens::require_live(tx, caller, now).await?;
                insert(tx, &row, now).await?;
                let made = Decided {
                    state: EnrollmentState::Approved.as_str(),
                    by: &by,
                    reason: None,
                    certificate_id: Some(row.id),
                    at: now,
                };
                if !store::decide(tx, id, EnrollmentState::Pending.as_str(), &made).await? {
                    return Err(decided());
                }
                let after = store::by_id(tx, id).await?.ok_or_else(absent)?;
                let value = (view(after, now)?, CertificateView::from_row(row)?);
                Ok(Change { value, events: vec![event, issued], effects: Vec::new() })
            })
        })
        .await
}

/// Signs what was asked for, as the role is now.
async fn sign(access: &Access, enrollment: &EnrollmentRow) -> Result<CertificateRow> {
    let gone = || {
        Error::conflict("the role of this request is gone or disabled: deny it, and let the agent ask again")
    };
    let path = SecretPath::parse(&enrollment.role_path)
        .map_err(|_| corrupt("enrollments", "role_path", &enrollment.id.to_string()))?;
    let role = read_role(access.app(), &path).await?.filter(|role| role.row.enabled).ok_or_else(gone)?;
    let issuer = role.issuer()?;
    let csr = CertificateRequest::parse(&enrollment.csr_pem)?;
    let asked = wanted(enrollment)?;
    let names = parse_names(&asked.names)?;
    let subject = Subject {
        common_name: asked.common_name,
        organization: asked.organization,
        organizational_unit: asked.organizational_unit,
    };
    let check = Asked {
        cert_type: asked.cert_type,
        key_type: csr.public_key.kind(),
        subject: &subject,
        names: &names,
        entity_id: asked.entity_id.as_deref(),
        // that it was the caller's own was found when it was asked for
        own_entity_id: asked.entity_id.as_deref(),
    };
    role.rules.allows(&check).map_err(|broken| Error::bad_input("enrollmentId", broken.message))?;
    let signer = issuers::signer(access.app(), issuer).await?;
    let left = (signer.valid_until - access.now).num_seconds();
    let ttl = asked.ttl_seconds.min(role.row.max_ttl_seconds).min(left).max(1);
    let wanted = profile(access.now, &signer, asked.cert_type, subject, names, ttl, None)
        .map_err(|error| input::moved(error, "enrollmentId"))?;
    let by = enrollment.requested_by.clone();
    let mut row = make(&signer, &wanted, &csr.public_key, access.now, by).await?;
    row.entity_id = asked.entity_id;
    row.role_path = Some(role.row.path);
    Ok(row)
}

fn decision_event(
    access: &Access,
    decision: &Decision,
    event_type: EventType,
    row: &EnrollmentRow,
) -> AuditEvent {
    let mut event = access.granted(event_type, decision);
    event.secret_path = Some(row.role_path.clone());
    event.event_data = json!({ "id": row.id.to_string(), "requested_by": row.requested_by });
    event
}

/// Turns a request down. Needs the area `certificates`.
///
/// # Errors
/// `NOT_FOUND`, `CONFLICT` if it is decided or has expired.
pub async fn deny(ctx: &OpContext, id: Uuid, reason: Option<&str>) -> Result<EnrollmentView> {
    let reason = input::text("reason", reason, 500)?;
    settle!(async {
        let access = ctx.access().await?;
        let (enrollment, decision) = pending(&access, id, "deny_enrollment").await?;
        let mut event =
            decision_event(&access, &decision, EventType::CertificateEnrollmentDenied, &enrollment);
        event.denial_reason.clone_from(&reason);
        let (by, reason) = (access.caller.actor_id.clone(), reason.clone());
        let (caller, now) = (access.caller.accessor, access.now);
        access
            .change(&event.clone(), move |tx| {
                Box::pin(async move {
                    tokens::require_live(tx, caller, now).await?;
                    let made = Decided {
                        state: EnrollmentState::Denied.as_str(),
                        by: &by,
                        reason: reason.as_deref(),
                        certificate_id: None,
                        at: now,
                    };
                    if !store::decide(tx, id, EnrollmentState::Pending.as_str(), &made).await? {
                        return Err(decided());
                    }
                    let row = store::by_id(tx, id).await?.ok_or_else(absent)?;
                    Ok(Change::new(view(row, now)?, event, Vec::new()))
                })
            })
            .await
    })
}
