//! Changes of an authority: whether it is the default, and whether it signs.

use super::super::cache::Effect;
use super::super::context::{OpContext, settle};
use super::super::ledger::Change;
use super::super::tokens;
use super::authority_views::{AuthorityView, by_id};
use super::issuers;
use crate::error::{Error, Result};
use crate::model::audit::EventType;
use crate::model::certificates::parse_serial;
use crate::model::policies::Area;
use crate::storage::certificate_authorities as store;
use crate::storage::db::Tx;
use chrono::{DateTime, Utc};
use serde_json::json;
use uuid::Uuid;

/// What is to change about an authority.
#[derive(Debug, Clone, Default)]
pub struct AuthorityUpdate {
    pub serial_number: String,
    /// `Some(true)`: what names no authority is signed by this one.
    pub is_default: Option<bool>,
    /// `Some(false)`: it signs no new certificates; lists and answers of its own go on.
    pub enabled: Option<bool>,
}

/// Changes an authority. Needs the area `certificates`.
///
/// # Errors
/// `NOT_FOUND`, `CONFLICT` for a default that would sign nothing, `BAD_USER_INPUT` at `isDefault`.
pub async fn update(ctx: &OpContext, input: &AuthorityUpdate) -> Result<AuthorityView> {
    if input.is_default == Some(false) {
        return Err(Error::bad_input("isDefault", "make another authority the default instead"));
    }
    settle!(async {
        let access = ctx.access().await?;
        let decision = access.administer(Area::Certificates, "update_certificate_authority").await?;
        let mut event = access.granted(EventType::CertificateCaUpdated, &decision);
        let asked = input.clone();
        let (caller, now) = (access.caller.accessor, access.now);
        let id = access
            .change(&event.clone(), move |tx| {
                Box::pin(async move {
                    tokens::require_live(tx, caller, now).await?;
                    let serial = parse_serial(&asked.serial_number).unwrap_or_default();
                    let id = issuers::find(tx, &serial).await?.ok_or_else(super::absent)?;
                    apply(tx, id, &asked, now).await?;
                    event.event_data = json!({
                        "serial_number": serial, "default": asked.is_default, "enabled": asked.enabled,
                    });
                    Ok(Change::new(id, event, vec![Effect::Issuance]))
                })
            })
            .await?;
        Ok(by_id(access.app(), id).await?)
    })
}

async fn apply(tx: &mut Tx, id: Uuid, asked: &AuthorityUpdate, now: DateTime<Utc>) -> Result<()> {
    let row = store::by_id(tx, id).await?.ok_or_else(super::absent)?;
    let enabled = asked.enabled.unwrap_or(row.enabled);
    let is_default = asked.is_default.unwrap_or(row.is_default);
    if is_default && !enabled {
        return Err(Error::conflict("the default authority has to sign: make another one the default first"));
    }
    if enabled != row.enabled {
        store::set_enabled(tx, id, enabled, now).await?;
    }
    if is_default && !row.is_default {
        issuers::require_standing(tx, id, now).await?;
        store::set_default(tx, id, now).await?;
    }
    Ok(())
}
