//! Authorities as clients see them, and what is above a certificate.

use super::super::App;
use super::super::context::{Access, OpContext, settle};
use super::super::ledger::Attempt;
use super::super::paging::{Connection, Cursor, PageRequest};
use super::view::CertificateView;
use crate::error::{Error, Result};
use crate::model::audit::EventType;
use crate::storage::certificate_authorities as store;
use crate::storage::certificate_authorities::AuthorityRow;
use crate::storage::certificates as certificate_store;
use crate::storage::certificates::CertificateRow;
use crate::storage::db::Tx;
use chrono::{DateTime, Utc};
use serde_json::json;
use std::collections::HashMap;
use uuid::Uuid;

/// An authority's own state, beside its certificate.
#[derive(Debug, Clone)]
pub struct AuthorityView {
    pub certificate: CertificateView,
    pub is_default: bool,
    pub enabled: bool,
    pub chain_pem: String,
    pub revocations: i64,
    pub crl_number: Option<i64>,
    pub crl_this_update: Option<DateTime<Utc>>,
    pub crl_next_update: Option<DateTime<Utc>>,
}

impl AuthorityView {
    fn of(row: AuthorityRow, certificate: CertificateRow) -> Result<Self> {
        Ok(Self {
            certificate: CertificateView::from_row(certificate)?,
            is_default: row.is_default,
            enabled: row.enabled,
            chain_pem: row.chain_pem,
            revocations: row.revocations,
            crl_number: (row.crl_number > 0).then_some(row.crl_number),
            crl_this_update: row.crl_this_update,
            crl_next_update: row.crl_next_update,
        })
    }
}

/// The certificates above one (PEM, nearest first); empty for a root.
///
/// # Errors
/// `UNAVAILABLE`.
pub async fn chain_above(ctx: &OpContext, view: &CertificateView) -> Result<String> {
    let mut tx = ctx.app().read().await?;
    if view.cert_type.is_ca()
        && let Some(row) = store::by_id(&mut tx, view.id).await?
    {
        return Ok(row.chain_pem);
    }
    let Some(issuer) = view.issuer_id else { return Ok(String::new()) };
    let certificate = certificate_store::by_id(&mut tx, issuer).await?;
    let authority = store::by_id(&mut tx, issuer).await?;
    Ok(match (certificate, authority) {
        (Some(certificate), Some(authority)) => {
            format!("{}{}", certificate.certificate_pem, authority.chain_pem)
        }
        _ => String::new(),
    })
}

/// Authorities, oldest first: their certificates are public to all who have a token.
///
/// # Errors
/// `BAD_USER_INPUT` at the paging arguments, `UNAUTHENTICATED`, `SEALED`, `UNAVAILABLE`.
pub async fn authorities(ctx: &OpContext, page: &PageRequest) -> Result<Connection<AuthorityView>> {
    settle!(async {
        let access = ctx.access().await?;
        let window = page.window()?;
        record_listing(&access).await?;
        let mut tx = access.app().read().await?;
        let rows = store::list(&mut tx, &window.page()?).await?;
        let views = with_certificates(&mut tx, rows).await?;
        Ok(window.connection(views, |view| Cursor::text(view.certificate.id.to_string()), |view| view))
    })
}

/// All of them.
///
/// # Errors
/// As [`authorities`].
pub async fn all_authorities(ctx: &OpContext) -> Result<Vec<AuthorityView>> {
    settle!(async {
        let access = ctx.access().await?;
        record_listing(&access).await?;
        let mut tx = access.app().read().await?;
        let rows = store::all(&mut tx).await?;
        Ok(with_certificates(&mut tx, rows).await?)
    })
}

/// One, by its id.
///
/// # Errors
/// As [`authorities`].
pub async fn authority(ctx: &OpContext, id: Uuid) -> Result<Option<AuthorityView>> {
    settle!(async {
        let access = ctx.access().await?;
        record_listing(&access).await?;
        Ok(found(access.app(), id).await?)
    })
}

async fn record_listing(access: &Access) -> Result<(), Attempt> {
    let mut event = access.event(EventType::CertificateListed);
    event.event_data = json!({ "authorities": true });
    access.record(vec![event]).await
}

/// In the order of the rows.
async fn with_certificates(tx: &mut Tx, rows: Vec<AuthorityRow>) -> Result<Vec<AuthorityView>> {
    let (Some(oldest), Some(newest)) = (rows.first(), rows.last()) else { return Ok(Vec::new()) };
    let certificates = certificate_store::of_authorities(tx, oldest.id, newest.id).await?;
    let mut certificates: HashMap<Uuid, CertificateRow> =
        certificates.into_iter().map(|row| (row.id, row)).collect();
    let both = |row: AuthorityRow| certificates.remove(&row.id).map(|certificate| (row, certificate));
    let pairs = rows.into_iter().filter_map(both);
    pairs.map(|(row, certificate)| AuthorityView::of(row, certificate)).collect()
}

/// The state of an authority, for a certificate that was shown; `None` if it is no authority's.
///
/// # Errors
/// `UNAVAILABLE`.
pub async fn authority_of(ctx: &OpContext, view: &CertificateView) -> Result<Option<AuthorityView>> {
    if !view.cert_type.is_ca() {
        return Ok(None);
    }
    found(ctx.app(), view.id).await
}

pub(super) async fn by_id(app: &App, id: Uuid) -> Result<AuthorityView> {
    found(app, id).await?.ok_or_else(|| Error::internal("an authority is gone while it is looked at"))
}

async fn found(app: &App, id: Uuid) -> Result<Option<AuthorityView>> {
    let mut tx = app.read().await?;
    let (row, certificate) = (store::by_id(&mut tx, id).await?, certificate_store::by_id(&mut tx, id).await?);
    row.zip(certificate).map(|(row, certificate)| AuthorityView::of(row, certificate)).transpose()
}
