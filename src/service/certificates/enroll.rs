//! Requests for certificates that wait for an operator's approval.

use super::super::context::{Access, OpContext, settle};
use super::super::ledger::{Attempt, Change};
use super::super::paging::{Connection, Cursor, PageRequest};
use super::super::tokens;
use super::issue::bootstrap_event;
use super::plan::Planned;
use crate::error::{Error, Result};
use crate::model::audit::EventType;
use crate::model::certificates::{CertType, EnrollmentState};
use crate::model::paths::SecretPath;
use crate::model::policies::{Action, Area};
use crate::storage::enrollments as store;
use crate::storage::enrollments::{EnrollmentRow, ListEnrollments};
use crate::storage::errors::corrupt;
use crate::storage::types::Inet;
use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::types::Json;
use uuid::Uuid;

/// How long a request waits for a decision.
const PATIENCE: Duration = Duration::days(7);
/// The most requests of one caller that may wait.
const MOST_WAITING: i64 = 10;

/// What was asked for and found to be allowed; it is checked again when it is approved.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Wanted {
    pub(super) cert_type: CertType,
    pub(super) common_name: String,
    pub(super) organization: Option<String>,
    pub(super) organizational_unit: Option<String>,
    pub(super) names: Vec<String>,
    pub(super) entity_id: Option<String>,
    pub(super) ttl_seconds: i64,
}

/// A request that waits, or waited.
#[derive(Debug, Clone)]
pub struct EnrollmentView {
    pub id: Uuid,
    pub state: EnrollmentState,
    pub role_path: SecretPath,
    pub cert_type: CertType,
    pub common_name: String,
    pub names: Vec<String>,
    pub entity_id: Option<String>,
    pub csr_pem: String,
    pub requested_by: String,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
    pub decided_at: Option<DateTime<Utc>>,
    pub decided_by: Option<String>,
    pub reason: Option<String>,
    pub certificate_id: Option<Uuid>,
}

pub(super) fn wanted(row: &EnrollmentRow) -> Result<Wanted> {
    serde_json::from_value(row.request.0.clone())
        .map_err(|_| corrupt("enrollments", "request", &row.id.to_string()))
}

pub(super) fn view(row: EnrollmentRow, now: DateTime<Utc>) -> Result<EnrollmentView> {
    let damaged = |column| corrupt("enrollments", column, &row.id.to_string());
    let asked = wanted(&row)?;
    let state = EnrollmentState::parse(&row.state).ok_or_else(|| damaged("state"))?;
    let over = state == EnrollmentState::Pending && now >= row.expires_at;
    Ok(EnrollmentView {
        id: row.id,
        state: if over { EnrollmentState::Expired } else { state },
        role_path: SecretPath::parse(&row.role_path).map_err(|_| damaged("role_path"))?,
        cert_type: asked.cert_type,
        common_name: asked.common_name,
        names: asked.names,
        entity_id: asked.entity_id,
        csr_pem: row.csr_pem,
        requested_by: row.requested_by,
        created_at: row.created_at,
        expires_at: row.expires_at,
        decided_at: row.decided_at,
        decided_by: row.decided_by,
        reason: row.reason,
        certificate_id: row.certificate_id,
    })
}

pub(super) fn absent() -> Error {
    Error::not_found("there is no such enrollment, or this token may not know of it: check the id")
}

/// Puts a planned certificate on the list of those that wait.
pub async fn submit(access: &Access, planned: Planned, csr_pem: &str) -> Result<EnrollmentView, Attempt> {
    let bootstrap = bootstrap_event(access, &planned);
    let Planned { profile, entity_id, role, decision, .. } = planned;
    let role = role.ok_or_else(|| Error::internal("an enrollment without a role"))?;
    let asked = Wanted {
        cert_type: profile.cert_type,
        common_name: profile.subject.common_name,
        organization: profile.subject.organization,
        organizational_unit: profile.subject.organizational_unit,
        names: profile.names.iter().map(ToString::to_string).collect(),
        entity_id,
        ttl_seconds: (profile.not_after - access.now).num_seconds().max(1),
    };
    let row = EnrollmentRow {
        id: Uuid::now_v7(),
        role_path: role.row.path.clone(),
        csr_pem: csr_pem.to_owned(),
        request: Json(serde_json::to_value(&asked).map_err(Error::internal)?),
        state: EnrollmentState::Pending.as_str().to_owned(),
        requested_by: access.caller.actor_id.clone(),
        token_accessor: access.caller.accessor,
        source_ip: access.ctx.origin().source_ip.map(Inet),
        certificate_id: None,
        decided_by: None,
        reason: None,
        created_at: access.now,
        decided_at: None,
        expires_at: access.now + PATIENCE,
    };
    let mut event = access.granted(EventType::CertificateEnrollmentRequested, &decision);
    event.secret_path = Some(row.role_path.clone());
    event.event_data = json!({
        "id": row.id.to_string(), "common_name": asked.common_name, "entity_id": asked.entity_id,
        "cert_type": asked.cert_type.as_str(),
    });
    let (caller, now) = (access.caller.accessor, access.now);
    access
        .change(&event.clone(), move |tx| {
            Box::pin(async move {
                tokens::require_live(tx, caller, now).await?;
                if store::count_pending(tx, &row.requested_by).await? >= MOST_WAITING {
                    return Err(Error::conflict(
                        "ten requests of this caller wait already: let them be decided first",
                    ));
                }
                store::insert(tx, &row).await?;
                let events = bootstrap.into_iter().chain([event]).collect();
                Ok(Change { value: view(row, now)?, events, effects: Vec::new() })
            })
        })
        .await
}

/// A request, for who made it and who administers `certificates`.
///
/// # Errors
/// `UNAUTHENTICATED`, `SEALED`, `UNAVAILABLE`.
pub async fn enrollment(ctx: &OpContext, id: Uuid) -> Result<Option<EnrollmentView>> {
    settle!(async {
        let access = ctx.access().await?;
        let row = store::by_id(&mut access.app().read().await?, id).await?;
        let decision = access.decide(&Action::Administer(Area::Certificates));
        let own = row.as_ref().is_some_and(|row| row.requested_by == access.caller.actor_id);
        let mut event = match (&row, own || decision.allowed) {
            (Some(_), false) => access.refused(EventType::AdminAccessDenied, &decision),
            _ => access.event(EventType::CertificateListed),
        };
        event.event_data = json!({ "enrollment": id.to_string(), "found": row.is_some() });
        access.record(vec![event]).await?;
        Ok(row.filter(|_| own || decision.allowed).map(|row| view(row, access.now)).transpose()?)
    })
}

/// Requests, oldest first: all to who administers `certificates`, else the caller's own.
///
/// # Errors
/// `BAD_USER_INPUT` at the paging arguments.
pub async fn enrollments(
    ctx: &OpContext,
    state: Option<EnrollmentState>,
    page: &PageRequest,
) -> Result<Connection<EnrollmentView>> {
    settle!(async {
        let access = ctx.access().await?;
        let window = page.window()?;
        let decision = access.decide(&Action::Administer(Area::Certificates));
        let mut event = access.event(EventType::CertificateListed);
        event.event_data = json!({ "enrollments": true, "own": !decision.allowed });
        access.record(vec![event]).await?;
        let wanted = ListEnrollments {
            state: state.map(|state| state.as_str().to_owned()),
            role_path: None,
            requested_by: (!decision.allowed).then(|| access.caller.actor_id.clone()),
        };
        let rows = store::list(&mut access.app().read().await?, &wanted, &window.page()?).await?;
        let views: Vec<_> = rows.into_iter().map(|row| view(row, access.now)).collect::<Result<_>>()?;
        Ok(window.connection(views, |view| Cursor::text(view.id.to_string()), |view| view))
    })
}
