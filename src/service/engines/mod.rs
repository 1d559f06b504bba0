//! Engines: targets that credentials are issued on, and what is issued at which path. Administered in the area `engines`.

mod accounts;
mod ask;
mod configure;
mod disable;
mod drift;
mod heal;
mod holds;
mod moved;
mod roles;
mod root;
mod rotate;
mod shown;
mod update;

pub use accounts::{AccountView, BindAccount, account_of, bind, unbind};
pub(super) use ask::{ask, ask_background, client_error, recorded, saving_error, told};
pub use configure::{EnableEngine, enable};
pub(super) use disable::is_ending;
pub use disable::{Disabled, disable, finish_disabled};
pub use drift::check_all as check_drift;
pub use heal::{Healed, heal as heal_drift};
pub(super) use holds::{Holds, SETTLING};
pub use roles::{DeletedRole, EngineRole, EngineRoleView, delete_role, put_role, role_by_id, role_of};
pub(super) use roles::{open_role, role_record};
pub use root::{finish_pending as finish_root_rotation, rotate_root};
pub use rotate::{rotate_due, rotate_secret};
pub use update::update;

use super::context::{OpContext, settle};
use super::ledger::Attempt;
use super::paging::{Connection, Cursor, PageRequest};
use super::{App, input};
use crate::crypto::barrier::RecordName;
use crate::engine::{Health, HealthStatus, PluginInfo};
use crate::error::{Error, Result};
use crate::model::policies::Area;
use crate::storage::db::Tx;
use crate::storage::engines as store;
use crate::storage::engines::EngineRow;
use crate::storage::{account_rotations, engine_roles, leases};
use chrono::{DateTime, Utc};
use serde_json::Value;
use uuid::Uuid;

/// Largest configuration of an engine or a role, in bytes of its JSON text.
const MAX_CONFIG: usize = 64 * 1024;

/// An engine as its administrators see it: without the secrets of its configuration.
#[derive(Debug, Clone)]
pub struct EngineView {
    pub id: Uuid,
    pub name: String,
    pub kind: String,
    pub description: Option<String>,
    pub config: Value,
    /// Whether it issues. One that is being disabled does not.
    pub enabled: bool,
    pub max_ttl_seconds: Option<i64>,
    pub max_leases: Option<i64>,
    /// Leases that are not revoked.
    pub active_leases: i64,
    pub health: Health,
    pub drift: Option<Drift>,
    pub root_rotated_at: Option<DateTime<Utc>>,
    /// Whether a new secret of the engine's own account is on its way.
    pub root_rotation_pending: bool,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// What the last comparison of a target with the leases found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// Accounts of this installation on the target that no live lease has.
    pub unknown_on_target: i64,
    /// Active leases whose account the target does not have.
    pub missing_on_target: i64,
    /// Some of their names, at most twenty of each.
    pub unknown_names: Vec<String>,
    pub missing_leases: Vec<String>,
    pub checked_at: DateTime<Utc>,
}

impl EngineView {
    fn from_row(app: &App, row: EngineRow) -> Self {
        Self {
            health: app.engines.health(row.id),
            drift: row.drift.as_ref().and_then(|drift| Drift::from_json(&drift.0)),
            id: row.id,
            name: row.name,
            kind: row.engine_type,
            description: row.description,
            config: row.config_shown.0,
            enabled: row.enabled,
            max_ttl_seconds: row.max_ttl_seconds,
            max_leases: row.max_leases,
            active_leases: row.live_leases,
            root_rotated_at: row.root_rotated_at,
            root_rotation_pending: row.pending_encrypted.is_some(),
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

impl EngineView {
    /// With what the store knows of its health: an engine that answers, and whose target refuses to revoke, is not well.
    async fn seen(app: &App, tx: &mut Tx, row: EngineRow) -> Result<Self> {
        let refused = leases::refused(tx, row.id).await?;
        let mut view = Self::from_row(app, row);
        if let Some((error, since)) = refused
            && matches!(view.health.status, HealthStatus::Idle | HealthStatus::Healthy)
        {
            let last_error = Some(format!("a revocation fails: {error}"));
            view.health = Health { status: HealthStatus::Degraded, since, last_error };
        }
        Ok(view)
    }
}

/// The name that an engine's sealed configuration is bound to.
pub(super) fn config_record(id: &str, version: i64) -> RecordName<'_> {
    RecordName { table: "engines", column: "config_encrypted", id, version }
}

/// # Errors
/// `NOT_FOUND`.
async fn named(tx: &mut Tx, name: &str) -> Result<EngineRow> {
    let found = if input::is_name(name) { store::find(tx, name).await? } else { None };
    found.ok_or_else(no_engine)
}

fn no_engine() -> Error {
    Error::not_found("there is no engine of this name: check it against the list of engines")
}

/// The plugins that this node may load. Needs the area `engines`.
///
/// # Errors
/// `FORBIDDEN`.
pub async fn plugins(ctx: &OpContext) -> Result<Vec<PluginInfo>> {
    settle!(async {
        let access = ctx.access().await?;
        access.administer_read(Area::Engines, "engine_plugins", None).await
    })?;
    ctx.app().engines.describe().await;
    Ok(ctx.app().engines.plugins())
}

/// An engine by its name. Needs the area `engines`.
///
/// # Errors
/// `FORBIDDEN`.
pub async fn find(ctx: &OpContext, name: &str) -> Result<Option<EngineView>> {
    settle!(find_once(ctx, name))
}

async fn find_once(ctx: &OpContext, name: &str) -> Result<Option<EngineView>, Attempt> {
    let access = ctx.access().await?;
    access.administer_read(Area::Engines, "engine", Some(&input::shown(name))).await?;
    if !input::is_name(name) {
        return Ok(None);
    }
    let mut tx = access.app().read().await?;
    Ok(match store::find(&mut tx, name).await? {
        Some(row) => Some(EngineView::seen(access.app(), &mut tx, row).await?),
        None => None,
    })
}

/// An engine by its id. Needs the area `engines`.
///
/// # Errors
/// `FORBIDDEN`.
pub async fn by_id(ctx: &OpContext, id: Uuid) -> Result<Option<EngineView>> {
    settle!(by_id_once(ctx, id))
}

async fn by_id_once(ctx: &OpContext, id: Uuid) -> Result<Option<EngineView>, Attempt> {
    let access = ctx.access().await?;
    access.administer_read(Area::Engines, "engine", Some(&id.to_string())).await?;
    let mut tx = access.app().read().await?;
    Ok(match store::by_id(&mut tx, id).await? {
        Some(row) => Some(EngineView::seen(access.app(), &mut tx, row).await?),
        None => None,
    })
}

/// The engine of something that the caller may see; `None` to who does not administer `engines`, without a refusal.
///
/// # Errors
/// `UNAUTHENTICATED`, `UNAVAILABLE`.
pub async fn if_administered(ctx: &OpContext, id: Uuid) -> Result<Option<EngineView>> {
    let access = settle!(ctx.access())?;
    let area = crate::model::policies::Action::Administer(Area::Engines);
    if !access.decide(&area).allowed {
        return Ok(None);
    }
    by_id(ctx, id).await
}

/// The engine that a secret issues from or is bound to; `None` if there is none, and to who does not administer `engines`.
///
/// # Errors
/// `UNAUTHENTICATED`, `UNAVAILABLE`.
pub async fn of_secret(ctx: &OpContext, secret_id: Uuid) -> Result<Option<EngineView>> {
    let id = {
        let mut tx = ctx.app().read().await?;
        match engine_roles::by_secret(&mut tx, secret_id).await? {
            Some(role) => Some(role.engine_id),
            None => account_rotations::by_secret(&mut tx, secret_id).await?.map(|account| account.engine_id),
        }
    };
    match id {
        Some(id) => if_administered(ctx, id).await,
        None => Ok(None),
    }
}

/// Engines by name. Needs the area `engines`.
///
/// # Errors
/// `FORBIDDEN`, `BAD_USER_INPUT` at the paging arguments.
pub async fn list(ctx: &OpContext, page: PageRequest) -> Result<Connection<EngineView>> {
    settle!(list_once(ctx, &page))
}

async fn list_once(ctx: &OpContext, page: &PageRequest) -> Result<Connection<EngineView>, Attempt> {
    let access = ctx.access().await?;
    let window = page.window()?;
    access.administer_read(Area::Engines, "engines", None).await?;
    let app = access.app();
    let mut tx = app.read().await?;
    let rows = store::list(&mut tx, &window.page()?).await?;
    let mut views = Vec::with_capacity(rows.len());
    for row in rows {
        views.push(EngineView::seen(app, &mut tx, row).await?);
    }
    Ok(window.connection(views, |view| Cursor::text(&view.name), |view| view))
}
