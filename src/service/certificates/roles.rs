//! Certificate roles: what may be issued at a path, and to whom a policy's `issue` on it is worth something.

use super::super::App;
use super::super::cache::Effect;
use super::super::context::{Access, OpContext, settle};
use super::super::input;
use super::super::ledger::{Attempt, Change};
use super::super::paging::{Connection, Cursor, PageRequest};
use super::super::secrets::{forbidden, require_or};
use super::super::tokens;
use super::issuers;
use super::plan::MAX_TTL;
use crate::error::{Error, Result};
use crate::model::audit::EventType;
use crate::model::certificates::RoleRules;
use crate::model::paths::SecretPath;
use crate::model::policies::{Action, Area, Decision, Operation};
use crate::storage::certificate_roles as store;
use crate::storage::certificate_roles::CertificateRoleRow;
use crate::storage::certificates as certificate_store;
use crate::storage::db::Tx;
use crate::storage::errors::corrupt;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::types::Json;
use std::sync::Arc;
use uuid::Uuid;

const DEFAULT_TTL: i64 = 30 * 86400;

/// A role to store. An update replaces all of it.
#[derive(Debug, Clone)]
pub struct CertificateRole {
    pub path: SecretPath,
    /// Of the authority; the default's at the time of issue if left out.
    pub issuer_serial: Option<String>,
    pub rules: RoleRules,
    pub ttl_seconds: Option<i64>,
    pub max_ttl_seconds: Option<i64>,
    pub renewable: bool,
    /// A CSR waits until who administers `certificates` approves of it.
    pub requires_approval: bool,
    pub enabled: bool,
    pub description: Option<String>,
    pub metadata: Option<Value>,
}

/// A stored role.
#[derive(Debug, Clone)]
pub struct CertificateRoleView {
    pub id: Uuid,
    pub path: SecretPath,
    pub issuer_serial_number: Option<String>,
    pub rules: RoleRules,
    pub ttl_seconds: i64,
    pub max_ttl_seconds: i64,
    pub renewable: bool,
    pub requires_approval: bool,
    pub enabled: bool,
    pub description: Option<String>,
    pub metadata: Value,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

/// A role as it issues: with its rules read, and the authority that signs.
pub struct RoleState {
    pub row: CertificateRoleRow,
    pub rules: RoleRules,
    /// The one that it names, or the default.
    issuer: Option<Uuid>,
    bytes: u64,
}

impl RoleState {
    /// The authority that signs.
    ///
    /// # Errors
    /// `CONFLICT` if the role names none and there is no default.
    pub fn issuer(&self) -> Result<Uuid> {
        self.issuer.ok_or_else(issuers::no_default)
    }
}

impl RoleState {
    fn new(row: CertificateRoleRow, issuer: Option<Uuid>) -> Result<Self> {
        let rules = rules(&row)?;
        let texts = [row.rules.0.to_string().len() * 4, row.metadata.0.to_string().len() * 4];
        let bytes = texts.iter().sum::<usize>() + row.description.as_ref().map_or(0, String::len) + 1000;
        Ok(Self { rules, row, issuer, bytes: bytes as u64 })
    }

    /// What it takes in memory, roughly.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

pub async fn read_role(app: &App, path: &SecretPath) -> Result<Option<RoleState>> {
    let found = store::with_issuer(app.glance().await?, path.as_str()).await?;
    found.map(|(row, issuer)| RoleState::new(row, issuer)).transpose()
}

/// The same, remembered for as long as neither a certificate role nor the default authority is changed.
pub async fn load_role(access: &Access, path: &SecretPath) -> Result<Option<Arc<RoleState>>> {
    let app = access.app();
    let Some(role) = read_role(app, path).await?.map(Arc::new) else { return Ok(None) };
    app.caches.put_certificate_role(access.generation, path, &role);
    Ok(Some(role))
}

/// Requires a right on the path of a certificate role, for a lifetime. As with a secret a refusal says `FORBIDDEN` only to who may know
/// of it; that is whoever administers `certificates`, too.
///
/// # Errors
/// `FORBIDDEN`, `NOT_FOUND`.
pub async fn require_role(
    access: &Access,
    operation: Operation,
    path: &SecretPath,
    ttl_seconds: i64,
) -> Result<Decision, Attempt> {
    let refusal = |knows: bool| {
        if knows || access.decide(&Action::Administer(Area::Certificates)).allowed {
            return forbidden(operation, path);
        }
        Error::not_found(
            "there is no such certificate role, or this token may not know of it: check the path and the token's policies",
        )
    };
    require_or(access, operation, path, Some(ttl_seconds), refusal).await
}

fn rules(row: &CertificateRoleRow) -> Result<RoleRules> {
    serde_json::from_value(row.rules.0.clone())
        .map_err(|_| corrupt("certificate_roles", "rules", &row.id.to_string()))
}

fn path_of(row: &CertificateRoleRow) -> Result<SecretPath> {
    SecretPath::parse(&row.path).map_err(|_| corrupt("certificate_roles", "path", &row.id.to_string()))
}

async fn view(tx: &mut Tx, row: CertificateRoleRow) -> Result<CertificateRoleView> {
    let rules = rules(&row)?;
    let issuer = match row.issuer_id {
        Some(id) => certificate_store::by_id(tx, id).await?.map(|row| row.serial_number),
        None => None,
    };
    Ok(CertificateRoleView {
        id: row.id,
        path: path_of(&row)?,
        issuer_serial_number: issuer,
        rules,
        ttl_seconds: row.ttl_seconds,
        max_ttl_seconds: row.max_ttl_seconds,
        renewable: row.renewable,
        requires_approval: row.requires_approval,
        enabled: row.enabled,
        description: row.description,
        metadata: row.metadata.0,
        created_at: row.created_at,
        updated_at: row.updated_at,
    })
}

/// Stores a role. Needs the area `certificates`.
///
/// # Errors
/// `BAD_USER_INPUT` naming the field, `FORBIDDEN`.
pub async fn put_role(ctx: &OpContext, role: &CertificateRole) -> Result<CertificateRoleView> {
    let (ttl, max) = check(role)?;
    settle!(async {
        let access = ctx.access().await?;
        let decision = access.administer(Area::Certificates, "put_certificate_role").await?;
        let mut event = access.granted(EventType::CertificateRoleSaved, &decision);
        event.secret_path = Some(role.path.as_str().to_owned());
        let issuer_id = match &role.issuer_serial {
            Some(serial) => Some(issuers::choose(&mut access.app().read().await?, Some(serial)).await?),
            None => None,
        };
        let rules = serde_json::to_value(&role.rules).map_err(Error::internal)?;
        event.event_data = json!({
            "ttl_seconds": ttl, "max_ttl_seconds": max, "requires_approval": role.requires_approval,
            "enabled": role.enabled, "rules": rules,
        });
        let row = CertificateRoleRow {
            id: Uuid::now_v7(),
            path: role.path.as_str().to_owned(),
            issuer_id,
            rules: Json(rules),
            ttl_seconds: ttl,
            max_ttl_seconds: max,
            renewable: role.renewable,
            requires_approval: role.requires_approval,
            enabled: role.enabled,
            description: role.description.clone(),
            metadata: Json(role.metadata.clone().unwrap_or_else(|| json!({}))),
            created_at: access.now,
            updated_at: access.now,
        };
        keep(&access, row, event).await
    })
}

async fn keep(
    access: &Access,
    row: CertificateRoleRow,
    event: crate::model::audit::AuditEvent,
) -> Result<CertificateRoleView, Attempt> {
    let (caller, now) = (access.caller.accessor, access.now);
    access
        .change(&event.clone(), move |tx| {
            Box::pin(async move {
                tokens::require_live(tx, caller, now).await?;
                let row = match store::by_path(tx, &row.path).await? {
                    Some(before) => {
                        let row = CertificateRoleRow { id: before.id, created_at: before.created_at, ..row };
                        store::update(tx, &row).await?;
                        row
                    }
                    None => {
                        store::insert(tx, &row).await?;
                        row
                    }
                };
                Ok(Change::new(view(tx, row).await?, event, vec![Effect::Issuance]))
            })
        })
        .await
}

fn check(role: &CertificateRole) -> Result<(i64, i64)> {
    role.rules.check().map_err(|broken| Error::bad_input(broken.field, broken.message))?;
    input::description(role.description.as_deref())?;
    input::metadata(role.metadata.as_ref())?;
    let max = input::ttl("maxTtlSeconds", role.max_ttl_seconds, MAX_TTL)?;
    let ttl = input::ttl("ttlSeconds", role.ttl_seconds, MAX_TTL)?;
    let max = max.unwrap_or_else(|| DEFAULT_TTL.max(ttl.unwrap_or_default()));
    let ttl = ttl.unwrap_or(DEFAULT_TTL.min(max));
    if ttl > max {
        return Err(Error::bad_input("ttlSeconds", "is longer than maxTtlSeconds"));
    }
    Ok((ttl, max))
}

/// Removes a role; what it issued stays. Needs the area `certificates`.
///
/// # Errors
/// `NOT_FOUND`, `FORBIDDEN`.
pub async fn delete_role(ctx: &OpContext, path: &SecretPath) -> Result<()> {
    settle!(async {
        let access = ctx.access().await?;
        let decision = access.administer(Area::Certificates, "delete_certificate_role").await?;
        let mut event = access.granted(EventType::CertificateRoleDeleted, &decision);
        event.secret_path = Some(path.as_str().to_owned());
        let (path, caller, now) = (path.clone(), access.caller.accessor, access.now);
        access
            .change(&event.clone(), move |tx| {
                Box::pin(async move {
                    tokens::require_live(tx, caller, now).await?;
                    let row = store::by_path(tx, path.as_str()).await?;
                    let row =
                        row.ok_or_else(|| Error::not_found("there is no certificate role at this path"))?;
                    store::delete(tx, row.id).await?;
                    Ok(Change::new((), event, vec![Effect::Issuance]))
                })
            })
            .await
    })
}

/// A role, if the caller may know of it: with `list` or `issue` on its path, or the area `certificates`.
///
/// # Errors
/// `UNAUTHENTICATED`, `SEALED`, `UNAVAILABLE`.
pub async fn find_role(ctx: &OpContext, path: &SecretPath) -> Result<Option<CertificateRoleView>> {
    settle!(async { shown(&ctx.access().await?, path).await })
}

/// The same by its id.
///
/// # Errors
/// As [`find_role`].
pub async fn role_by_id(ctx: &OpContext, id: Uuid) -> Result<Option<CertificateRoleView>> {
    settle!(async {
        let access = ctx.access().await?;
        let row = store::by_id(&mut access.app().read().await?, id).await?;
        let Some(row) = row else {
            let mut event = access.event(EventType::CertificateListed);
            event.event_data = json!({ "role": id.to_string(), "found": false });
            access.record(vec![event]).await?;
            return Ok(None);
        };
        Ok(shown(&access, &path_of(&row)?).await?.filter(|role| role.id == id))
    })
}

async fn shown(access: &Access, path: &SecretPath) -> Result<Option<CertificateRoleView>, Attempt> {
    let of = |operation| Action::Secret { operation, path };
    let decision = [of(Operation::Issue), of(Operation::List), Action::Administer(Area::Certificates)]
        .iter()
        .map(|action| access.decide_briefly(action))
        .reduce(|one, other| if one.allowed { one } else { other })
        .unwrap_or_else(|| access.decide(&Action::Administer(Area::Certificates)));
    let mut event = if decision.allowed {
        access.granted(EventType::CertificateListed, &decision)
    } else {
        access.refused(EventType::SecretAccessDenied, &decision)
    };
    event.secret_path = Some(path.as_str().to_owned());
    access.record(vec![event]).await?;
    if !decision.allowed {
        return Ok(None);
    }
    let mut tx = access.app().read().await?;
    match store::by_path(&mut tx, path.as_str()).await? {
        Some(row) => Ok(Some(view(&mut tx, row).await?)),
        None => Ok(None),
    }
}

/// Roles by path. Needs the area `certificates`.
///
/// # Errors
/// `FORBIDDEN`, `BAD_USER_INPUT` at the paging arguments.
pub async fn list_roles(ctx: &OpContext, page: &PageRequest) -> Result<Connection<CertificateRoleView>> {
    settle!(async {
        let access = ctx.access().await?;
        let window = page.window()?;
        access.administer_read(Area::Certificates, "certificate_roles", None).await?;
        let mut tx = access.app().read().await?;
        let mut views = Vec::new();
        for row in store::list(&mut tx, &window.page()?, None).await? {
            views.push(view(&mut tx, row).await?);
        }
        Ok(window.connection(views, |view| Cursor::text(view.path.as_str()), |view| view))
    })
}
