//! Requests of authorities that an outside authority is yet to sign: what waits, and giving it up.

use super::super::context::{Access, OpContext, settle};
use super::super::ledger::{Attempt, Change};
use super::super::paging::{Connection, Cursor, PageRequest};
use super::super::tokens;
use super::outside::{PATIENCE, no_such_request};
use crate::error::Result;
use crate::model::audit::EventType;
use crate::model::certificates::{KeyType, Subject};
use crate::model::policies::Area;
use crate::storage::errors::corrupt;
use crate::storage::pending_authorities as store;
use crate::storage::pending_authorities::PendingAuthorityRow;
use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

/// A request that waits. Its key never leaves.
#[derive(Debug, Clone)]
pub struct AuthorityRequestView {
    pub id: Uuid,
    pub subject: Subject,
    pub key_type: KeyType,
    pub csr_pem: String,
    pub requested_by: String,
    pub created_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

fn view(row: PendingAuthorityRow) -> Result<AuthorityRequestView> {
    let key_type = KeyType::parse(&row.key_type)
        .ok_or_else(|| corrupt("pending_authorities", "key_type", &row.id.to_string()))?;
    Ok(AuthorityRequestView {
        id: row.id,
        subject: Subject {
            common_name: row.common_name,
            organization: row.organization,
            organizational_unit: row.organizational_unit,
        },
        key_type,
        csr_pem: row.csr_pem,
        requested_by: row.requested_by,
        created_at: row.created_at,
        expires_at: row.created_at + PATIENCE,
    })
}

/// A request that waits, by its id. Needs the area `certificates`.
///
/// # Errors
/// `FORBIDDEN`.
pub async fn authority_request(ctx: &OpContext, id: Uuid) -> Result<Option<AuthorityRequestView>> {
    settle!(async {
        let access = ctx.access().await?;
        let target = id.to_string();
        access.administer_read(Area::Certificates, "intermediate_ca_request", Some(&target)).await?;
        let row = store::by_id(&mut access.app().read().await?, id).await?;
        Ok(row.filter(|row| access.now < row.created_at + PATIENCE).map(view).transpose()?)
    })
}

/// The requests that wait, oldest first. Needs the area `certificates`.
///
/// # Errors
/// `FORBIDDEN`, `BAD_USER_INPUT` at the paging arguments.
pub async fn authority_requests(
    ctx: &OpContext,
    page: &PageRequest,
) -> Result<Connection<AuthorityRequestView>> {
    settle!(async {
        let access = ctx.access().await?;
        let window = page.window()?;
        access.administer_read(Area::Certificates, "intermediate_ca_requests", None).await?;
        let since = access.now - PATIENCE;
        let rows = store::list(&mut access.app().read().await?, since, &window.page()?).await?;
        let views: Vec<_> = rows.into_iter().map(view).collect::<Result<_>>()?;
        Ok(window.connection(views, |view| Cursor::text(view.id.to_string()), |view| view))
    })
}

/// Gives a request up: its key is removed, and no certificate for it is taken any more. Needs the area `certificates`.
///
/// # Errors
/// `NOT_FOUND` for the id, `FORBIDDEN`.
pub async fn cancel_authority_request(ctx: &OpContext, id: Uuid) -> Result<()> {
    settle!(async { cancel_once(&ctx.access().await?, id).await })
}

async fn cancel_once(access: &Access, id: Uuid) -> Result<(), Attempt> {
    let decision = access.administer(Area::Certificates, "cancel_intermediate_ca_request").await?;
    let mut event = access.granted(EventType::CertificateCaRequestCancelled, &decision);
    event.event_data = json!({ "id": id.to_string() });
    let (caller, now) = (access.caller.accessor, access.now);
    access
        .change(&event.clone(), move |tx| {
            Box::pin(async move {
                tokens::require_live(tx, caller, now).await?;
                let row = store::by_id(tx, id).await?.ok_or_else(no_such_request)?;
                store::delete(tx, id).await?;
                let mut event = event;
                event.event_data = json!({ "id": id.to_string(), "common_name": row.common_name });
                Ok(Change::new((), event, Vec::new()))
            })
        })
        .await
}
