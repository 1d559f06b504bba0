//! Ending certificates before their time.

use super::super::context::{Access, OpContext, settle};
use super::super::ledger::{Attempt, Change};
use super::super::tokens;
use super::view::{CertificateView, is_own};
use super::{about, absent, issuers};
use crate::error::{Error, Result};
use crate::model::audit::EventType;
use crate::model::certificates::{RevocationReason, parse_serial};
use crate::model::policies::{Action, Area, Decision};
use crate::storage::certificate_authorities as authority_store;
use crate::storage::certificates as store;
use crate::storage::certificates::CertificateRow;
use crate::storage::db::Tx;
use crate::storage::tokens as token_store;
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// Revokes a certificate, and ends the tokens that were got with it, with their leases. One's own needs no right; another's the
/// area `certificates`. With an authority, all that it issued falls.
///
/// # Errors
/// `NOT_FOUND`, `CONFLICT` if it is revoked already, `BAD_USER_INPUT` at `serialNumber` if several authorities have issued it.
pub async fn revoke(
    ctx: &OpContext,
    serial: &str,
    issuer_serial: Option<&str>,
    reason: RevocationReason,
) -> Result<CertificateView> {
    let view = settle!(revoke_once(ctx, serial, issuer_serial, reason))?;
    ctx.app().pki.lists_due.notify_one();
    if view.cert_type.is_ca() {
        ctx.app().authorities_changed().notify_one();
    }
    ctx.app().leases_due().notify_one();
    Ok(view)
}

async fn revoke_once(
    ctx: &OpContext,
    serial: &str,
    issuer_serial: Option<&str>,
    reason: RevocationReason,
) -> Result<CertificateView, Attempt> {
    let access = ctx.access().await?;
    let row = find(&access, serial, issuer_serial).await?;
    let decision = authorise(&access, row.as_ref()).await?;
    let row = row.ok_or_else(absent)?;
    let mut event = match &decision {
        Some(decision) => access.granted(EventType::SystemCertificateRevoked, decision),
        None => access.event(EventType::SystemCertificateRevoked),
    };
    event.event_data = about(&row);
    if let Some(data) = event.event_data.as_object_mut() {
        data.insert("reason".to_owned(), reason.as_str().into());
    }
    let (id, caller, now) = (row.id, access.caller.accessor, access.now);
    access
        .change(&event.clone(), move |tx| {
            Box::pin(async move {
                tokens::require_live(tx, caller, now).await?;
                end(tx, id, row.issuer_id, now, reason).await?;
                let ended =
                    token_store::revoke_of_certificate(tx, id, now, "the certificate was revoked").await?;
                let leases = tokens::end_leases(tx, "the certificate was revoked", now).await?;
                if let Some(data) = event.event_data.as_object_mut() {
                    data.insert("tokens".to_owned(), ended.len().into());
                    data.insert("leases".to_owned(), leases.into());
                }
                let row = store::by_id(tx, id).await?.ok_or_else(absent)?;
                Ok(Change::new(CertificateView::from_row(row)?, event, tokens::effects(&ended)?))
            })
        })
        .await
}

/// In a change: the mark, with the next number in the list of its authority.
async fn end(
    tx: &mut Tx,
    id: Uuid,
    issuer_id: Option<Uuid>,
    now: DateTime<Utc>,
    reason: RevocationReason,
) -> Result<()> {
    let number = match issuer_id {
        Some(issuer) => Some(authority_store::next_revocation(tx, issuer).await?),
        None => None,
    };
    if store::revoke(tx, id, now, reason.as_str(), number).await? {
        return Ok(());
    }
    Err(Error::conflict("this certificate is revoked already"))
}

async fn find(access: &Access, serial: &str, issuer_serial: Option<&str>) -> Result<Option<CertificateRow>> {
    let Some(serial) = parse_serial(serial) else {
        return Err(Error::bad_input("serialNumber", "write the serial number in hex, such as 4f:0a:17…"));
    };
    let mut tx = access.app().read().await?;
    let mut rows = store::by_serial(&mut tx, &serial).await?;
    if let Some(issuer) = issuer_serial {
        let issuer = issuers::find(&mut tx, issuer).await?;
        rows.retain(|row| issuer.is_some() && row.issuer_id == issuer);
    }
    if rows.len() > 1 {
        return Err(Error::bad_input(
            "serialNumber",
            "several authorities have issued this number: name one as 'issuerSerialNumber'",
        ));
    }
    Ok(rows.pop())
}

/// `None`: it is the caller's own. Whether there is such a certificate shows to nobody else.
async fn authorise(access: &Access, row: Option<&CertificateRow>) -> Result<Option<Decision>, Attempt> {
    let is_ca = |row: &CertificateRow| row.cert_type.ends_with("_ca");
    if row.is_some_and(|row| is_own(access, row) && !is_ca(row)) {
        return Ok(None);
    }
    let decision = access.decide(&Action::Administer(Area::Certificates));
    if decision.allowed {
        return Ok(Some(decision));
    }
    let mut event = access.refused(EventType::AdminAccessDenied, &decision);
    event.event_data = serde_json::json!({ "area": "certificates", "operation": "revoke_certificate" });
    access.record(vec![event]).await?;
    Err(absent().into())
}
