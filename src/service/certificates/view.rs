//! Certificates as clients see them, and their lists.

use super::super::context::{Access, OpContext, settle};
use super::super::ledger::Attempt;
use super::super::paging::{Connection, Cursor, PageRequest};
use super::{about, issuers};
use crate::error::Result;
use crate::model::audit::EventType;
use crate::model::certificates::{CertType, parse_serial};
use crate::model::paths::SecretPath;
use crate::model::policies::{Action, Area};
use crate::storage::certificates as store;
use crate::storage::certificates::{CertificateRow, ListCertificates};
use crate::storage::errors::corrupt;
use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

/// A certificate, without its key.
#[derive(Debug, Clone)]
pub struct CertificateView {
    pub id: Uuid,
    pub serial_number: String,
    pub fingerprint: String,
    pub certificate_pem: String,
    pub subject: String,
    pub issuer: String,
    pub common_name: String,
    pub organization: Option<String>,
    pub organizational_unit: Option<String>,
    pub names: Vec<String>,
    pub key_type: String,
    pub key_usage: Vec<String>,
    pub valid_from: DateTime<Utc>,
    pub valid_until: DateTime<Utc>,
    pub cert_type: CertType,
    pub revoked_at: Option<DateTime<Utc>>,
    pub revocation_reason: Option<String>,
    pub entity_id: Option<String>,
    pub entity_type: Option<String>,
    pub role_path: Option<SecretPath>,
    pub issuer_id: Option<Uuid>,
    pub replaces: Option<Uuid>,
    pub created_at: DateTime<Utc>,
}

impl CertificateView {
    pub(super) fn from_row(row: CertificateRow) -> Result<Self> {
        let damaged = |column| corrupt("certificates", column, &row.id.to_string());
        let cert_type = CertType::parse(&row.cert_type).ok_or_else(|| damaged("cert_type"))?;
        let role_path = row
            .role_path
            .as_deref()
            .map(|path| SecretPath::parse(path).map_err(|_| damaged("role_path")))
            .transpose()?;
        Ok(Self {
            id: row.id,
            serial_number: row.serial_number,
            fingerprint: row.fingerprint,
            certificate_pem: row.certificate_pem,
            subject: row.subject,
            issuer: row.issuer,
            common_name: row.common_name,
            organization: row.organization,
            organizational_unit: row.organizational_unit,
            names: row.names.0,
            key_type: row.key_type,
            key_usage: row.key_usage.0,
            valid_from: row.valid_from,
            valid_until: row.valid_until,
            cert_type,
            revoked_at: row.revoked_at,
            revocation_reason: row.revocation_reason,
            entity_id: row.entity_id,
            entity_type: row.entity_type,
            role_path,
            issuer_id: row.issuer_id,
            replaces: row.replaces,
            created_at: row.created_at,
        })
    }
}

/// Whose a certificate is: its holder's, and of who asked for it.
pub(super) fn is_own(access: &Access, row: &CertificateRow) -> bool {
    row.requested_by == access.caller.actor_id
        || access.caller.certificate.as_ref().is_some_and(|(id, _)| *id == row.id)
}

/// A certificate by its serial number, if the caller may know of it: its own, or with the area `certificates`. Those of
/// authorities are public to all who have a token. Serial numbers are unique per authority only; of several the caller gets the
/// first that it may see.
///
/// # Errors
/// `UNAUTHENTICATED`, `SEALED`, `UNAVAILABLE`.
pub async fn by_serial(ctx: &OpContext, serial: &str) -> Result<Option<CertificateView>> {
    settle!(async {
        let access = ctx.access().await?;
        let rows = match parse_serial(serial) {
            Some(serial) => store::by_serial(&mut access.app().read().await?, &serial).await?,
            None => Vec::new(),
        };
        show(&access, rows).await
    })
}

/// A certificate by its id; as [`by_serial`].
///
/// # Errors
/// As [`by_serial`].
pub async fn by_id(ctx: &OpContext, id: Uuid) -> Result<Option<CertificateView>> {
    settle!(async {
        let access = ctx.access().await?;
        let row = store::by_id(&mut access.app().read().await?, id).await?;
        show(&access, row.into_iter().collect()).await
    })
}

/// The authority that issued a certificate; null if it is not of this installation.
///
/// # Errors
/// As [`by_serial`].
pub async fn issuer_of(ctx: &OpContext, issuer_id: Option<Uuid>) -> Result<Option<CertificateView>> {
    match issuer_id {
        Some(id) => by_id(ctx, id).await,
        None => Ok(None),
    }
}

async fn show(access: &Access, rows: Vec<CertificateRow>) -> Result<Option<CertificateView>, Attempt> {
    let decision = access.decide(&Action::Administer(Area::Certificates));
    let is_ca = |row: &CertificateRow| CertType::parse(&row.cert_type).is_some_and(CertType::is_ca);
    let visible = |row: &CertificateRow| decision.allowed || is_ca(row) || is_own(access, row);
    let (shown, hidden): (Vec<_>, Vec<_>) = rows.into_iter().partition(visible);
    let event = match (shown.first(), hidden.first()) {
        (Some(row), _) => {
            let mut event = access.granted(EventType::CertificateListed, &decision);
            event.event_data = about(row);
            event
        }
        (None, Some(_)) => access.refused(EventType::AdminAccessDenied, &decision),
        (None, None) => {
            let mut event = access.event(EventType::CertificateListed);
            event.event_data = json!({ "found": false });
            event
        }
    };
    access.record(vec![event]).await?;
    Ok(shown.into_iter().next().map(CertificateView::from_row).transpose()?)
}

/// Which certificates. What is given must all hold.
#[derive(Debug, Clone, Default)]
pub struct ListFilter {
    pub cert_type: Option<CertType>,
    pub entity_id: Option<String>,
    pub issuer_serial_number: Option<String>,
    pub revoked: Option<bool>,
    pub expires_before: Option<DateTime<Utc>>,
}

/// Certificates, oldest first: all to who administers `certificates`, else those that the caller asked for.
///
/// # Errors
/// `BAD_USER_INPUT` at the paging arguments.
pub async fn list(
    ctx: &OpContext,
    filter: &ListFilter,
    page: &PageRequest,
) -> Result<Connection<CertificateView>> {
    settle!(list_once(ctx, filter, page))
}

async fn list_once(
    ctx: &OpContext,
    filter: &ListFilter,
    page: &PageRequest,
) -> Result<Connection<CertificateView>, Attempt> {
    let access = ctx.access().await?;
    let window = page.window()?;
    let decision = access.decide(&Action::Administer(Area::Certificates));
    let mut event = access.granted(EventType::CertificateListed, &decision);
    if !decision.allowed {
        event.policy_matched = None;
    }
    event.event_data = json!({ "list": true, "own": !decision.allowed });
    access.record(vec![event]).await?;
    let mut tx = access.app().read().await?;
    let issuer_id = match &filter.issuer_serial_number {
        Some(serial) => match issuers::find(&mut tx, serial).await? {
            Some(id) => Some(id),
            // no authority has this number, so nothing is of it
            None => Some(Uuid::nil()),
        },
        None => None,
    };
    let wanted = ListCertificates {
        cert_type: filter.cert_type.map(|kind| kind.as_str().to_owned()),
        entity_id: filter.entity_id.clone(),
        issuer_id,
        revoked: filter.revoked,
        expires_before: filter.expires_before,
        unexpired_at: None,
        requested_by: (!decision.allowed).then(|| access.caller.actor_id.clone()),
    };
    let rows = store::list(&mut tx, &wanted, &window.page()?).await?;
    let mut views = Vec::with_capacity(rows.len());
    for row in rows {
        views.push(CertificateView::from_row(row)?);
    }
    Ok(window.connection(views, |view| Cursor::text(view.id.to_string()), |view| view))
}
