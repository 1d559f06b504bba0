//! Engine roles: what is issued at a path. A role is a secret of type `dynamic_role` whose sealed data is the role's configuration.

use super::super::cache::Effect;
use super::super::context::{Access, OpContext, settle};
use super::super::leases::rehearse;
use super::super::ledger::{Attempt, Change};
use super::super::seal::open_record;
use super::super::secrets::{SecretView, about};
use super::super::{App, input};
use super::ask::{ask, saving_error};
use super::configure::check_config;
use super::{named, store};
use crate::crypto::barrier::RecordName;
use crate::error::{Error, Result};
use crate::model::audit::EventType;
use crate::model::paths::SecretPath;
use crate::model::policies::{Action, Area};
use crate::storage::db::Tx;
use crate::storage::engine_roles as role_store;
use crate::storage::engine_roles::EngineRoleRow;
use crate::storage::engines::EngineRow;
use crate::storage::errors::corrupt;
use crate::storage::leases::{Selection, mark_revoking};
use crate::storage::secrets as secret_store;
use crate::storage::secrets::SecretRow;
use secrethub_engine::wire::Operation;
use serde_json::{Value, json};
use sqlx::types::Json;
use uuid::Uuid;
use zeroize::Zeroizing;

const DEFAULT_TTL: i64 = 3600;
const DEFAULT_MAX_TTL: i64 = 24 * 3600;
const MAX_TTL: i64 = 366 * 24 * 3600;
/// Leases whose revocation is begun when a role is deleted; more are a reason to revoke them first.
const MOST_LEASES: i64 = 10_000;

/// What is to be issued at a path.
#[derive(Clone)]
pub struct EngineRole {
    pub path: SecretPath,
    pub engine: String,
    pub config: Value,
    pub default_ttl_seconds: Option<i64>,
    pub max_ttl_seconds: Option<i64>,
    pub max_leases: Option<i64>,
    pub max_renewals: Option<i64>,
    pub description: Option<String>,
    pub metadata: Option<Value>,
    /// Issue once, log in, and revoke, before it is saved.
    pub rehearse: bool,
}

/// A role as the administrators of engines see it.
#[derive(Debug, Clone)]
pub struct EngineRoleView {
    pub secret_id: Uuid,
    pub engine: String,
    pub config: Value,
    pub default_ttl_seconds: i64,
    pub max_ttl_seconds: i64,
    pub max_leases: Option<i64>,
    pub max_renewals: Option<i64>,
    pub active_leases: i64,
}

/// The name that a role's sealed configuration is bound to.
pub fn role_record(id: &str, version: i64) -> RecordName<'_> {
    RecordName { table: "secrets", column: "encrypted_data", id, version }
}

/// A role's configuration in the clear.
pub async fn open_role(app: &App, secret_id: Uuid, sealed: &[u8], version: i64) -> Result<Value> {
    let id = secret_id.to_string();
    let plain = open_record(app, &role_record(&id, version), sealed).await?;
    serde_json::from_slice(&plain).map_err(|_| corrupt("secrets", "encrypted_data", &id))
}

/// Sets what is issued at a path. Needs the area `engines`.
///
/// # Errors
/// `NOT_FOUND` for the engine, `CONFLICT` if there is a static secret at the path, `BAD_USER_INPUT` naming the field,
/// `ENGINE_UNAVAILABLE` with the target's complaint, `FORBIDDEN`.
pub async fn put_role(ctx: &OpContext, role: EngineRole) -> Result<SecretView> {
    check(&role)?;
    let (row, before) = settle!(prepare(ctx, &role))?;
    let (default_ttl, _) = check_ttl(&role, &row)?;
    let secret_id = before.as_ref().map_or_else(Uuid::new_v4, |secret| secret.id);
    ask(ctx.app(), &row, Operation::CheckRole { role: role.config.clone() })
        .await
        .map_err(|error| saving_error(error, "config"))?;
    if role.rehearse {
        rehearse(ctx, &row, &role.path, &role.config, default_ttl).await?;
    }
    settle!(put_once(ctx, &role, secret_id))
}

async fn prepare(ctx: &OpContext, role: &EngineRole) -> Result<(EngineRow, Option<SecretRow>), Attempt> {
    let access = ctx.access().await?;
    access.administer(Area::Engines, "put_engine_role").await?;
    let mut tx = access.app().read().await?;
    let engine = named(&mut tx, &role.engine).await.map_err(|error| match error.code() {
        crate::error::ErrorCode::NotFound => Error::bad_input(
            "engine",
            "there is no engine of this name: check it against the list of engines",
        ),
        _ => error,
    })?;
    let secret = secret_store::find(&mut tx, role.path.as_str()).await?;
    if secret.as_ref().is_some_and(|secret| secret.secret_type != "dynamic_role") {
        return Err(static_secret().into());
    }
    Ok((engine, secret))
}

fn static_secret() -> Error {
    Error::conflict("there is a static secret at this path: destroy it first, or choose another path")
}

fn check(role: &EngineRole) -> Result<()> {
    check_config(&role.config)?;
    input::description(role.description.as_deref())?;
    input::metadata(role.metadata.as_ref())?;
    input::ttl("defaultTtlSeconds", role.default_ttl_seconds, MAX_TTL)?;
    input::ttl("maxTtlSeconds", role.max_ttl_seconds, MAX_TTL)?;
    input::count("maxRenewals", role.max_renewals)?;
    if role.max_leases.is_some_and(|most| !(1..=10_000_000).contains(&most)) {
        return Err(Error::bad_input("maxLeases", "write a whole number from 1 to 10000000"));
    }
    Ok(())
}

/// Lifetimes against each other and against the engine's.
fn check_ttl(role: &EngineRole, engine: &EngineRow) -> Result<(i64, i64)> {
    let most = engine.max_ttl_seconds.unwrap_or(MAX_TTL);
    let too_long = |field: &'static str| {
        Error::bad_input(field, format!("the engine issues for at most {most} seconds: ask for less"))
    };
    if role.max_ttl_seconds.is_some_and(|max| max > most) {
        return Err(too_long("maxTtlSeconds"));
    }
    if role.default_ttl_seconds.is_some_and(|default| default > most) {
        return Err(too_long("defaultTtlSeconds"));
    }
    let default = role.default_ttl_seconds;
    let max =
        role.max_ttl_seconds.unwrap_or_else(|| DEFAULT_MAX_TTL.max(default.unwrap_or_default()).min(most));
    let default = default.unwrap_or(DEFAULT_TTL.min(max));
    if default > max {
        return Err(Error::bad_input("defaultTtlSeconds", "is longer than maxTtlSeconds"));
    }
    Ok((default, max))
}

async fn put_once(ctx: &OpContext, role: &EngineRole, secret_id: Uuid) -> Result<SecretView, Attempt> {
    let access = ctx.access().await?;
    let decision = access.administer(Area::Engines, "put_engine_role").await?;
    let event = about(access.granted(EventType::EngineRoleSaved, &decision), &role.path, None, None);
    let saving = Saving::new(&access, role.clone(), secret_id)?;
    access
        .change(&event.clone(), move |tx| {
            Box::pin(async move {
                let mut event = event;
                let path = saving.role.path.clone();
                let row = saving.save(tx).await?;
                event = about(event, &path, Some(&row), Some(row.version));
                let effects = vec![Effect::Secret(path), Effect::Issuance];
                Ok(Change::new(SecretView::from_row(&row)?, event, effects))
            })
        })
        .await
}

/// What the change needs.
struct Saving {
    role: EngineRole,
    secret_id: Uuid,
    plain: Zeroizing<Vec<u8>>,
    keys: std::sync::Arc<super::super::seal::Keys>,
    author: String,
    now: chrono::DateTime<chrono::Utc>,
}

impl Saving {
    fn new(access: &Access, role: EngineRole, secret_id: Uuid) -> Result<Self> {
        Ok(Self {
            plain: Zeroizing::new(serde_json::to_vec(&role.config).map_err(Error::internal)?),
            role,
            secret_id,
            keys: std::sync::Arc::clone(&access.keys),
            author: access.caller.actor_id.clone(),
            now: access.now,
        })
    }

    async fn save(&self, tx: &mut Tx) -> Result<SecretRow> {
        let engine = named(tx, &self.role.engine).await?;
        let (default_ttl_seconds, max_ttl_seconds) = check_ttl(&self.role, &engine)?;
        if super::disable::is_ending(&engine) {
            return Err(Error::conflict("the engine is being disabled: choose another one"));
        }
        let row = self.secret(tx).await?;
        let id = row.id.to_string();
        let sealed = self.keys.barrier.seal(&role_record(&id, row.version), &self.plain)?;
        role_store::set_sealed_config(tx, row.id, &sealed, row.version).await?;
        let before = role_store::by_secret(tx, row.id).await?;
        let role = EngineRoleRow {
            id: before.as_ref().map_or_else(Uuid::new_v4, |before| before.id),
            secret_id: row.id,
            engine_id: engine.id,
            key_version: i64::from(self.keys.barrier.keyring().active().version()),
            default_ttl_seconds,
            max_ttl_seconds,
            max_leases: self.role.max_leases,
            max_renewals: self.role.max_renewals,
            live_leases: 0,
            created_at: self.now,
            updated_at: self.now,
        };
        match before {
            Some(before) if before.engine_id != engine.id => {
                Err(Error::conflict("the path issues from another engine: delete that role first"))
            }
            Some(_) => role_store::update(tx, &role).await.map(|()| row),
            None => role_store::insert(tx, &role).await.map(|()| row),
        }
    }

    /// The row in `secrets`, made or brought up to date.
    async fn secret(&self, tx: &mut Tx) -> Result<SecretRow> {
        let before = secret_store::find_for_update(tx, self.role.path.as_str()).await?;
        let fresh = before.is_none();
        let mut row = before.unwrap_or_else(|| {
            let path = self.role.path.as_str();
            SecretRow::fresh(self.secret_id, path, "dynamic_role", &self.author, self.now)
        });
        if row.secret_type != "dynamic_role" {
            return Err(static_secret());
        }
        row.version += 1;
        row.updated_at = self.now;
        if let Some(description) = &self.role.description {
            row.description = Some(description.clone()).filter(|text| !text.is_empty());
        }
        if let Some(metadata) = &self.role.metadata {
            row.metadata = Json(metadata.clone());
        }
        if fresh {
            secret_store::insert(tx, &row).await?
        } else {
            secret_store::update(tx, &row).await?
        }
        Ok(row)
    }
}

/// What came of deleting a role.
#[derive(Debug, Clone)]
pub struct DeletedRole {
    pub path: SecretPath,
    /// Leases of it whose revocation has begun.
    pub revoked_leases: u64,
}

/// Removes a role. With live leases it is refused, or with `revoke_leases` they are revoked. Needs the area `engines`.
///
/// # Errors
/// `NOT_FOUND`, `CONFLICT` while leases live, `FORBIDDEN`.
pub async fn delete_role(ctx: &OpContext, path: &SecretPath, revoke_leases: bool) -> Result<DeletedRole> {
    let deleted = settle!(delete_once(ctx, path, revoke_leases))?;
    ctx.app().leases_due().notify_one();
    Ok(deleted)
}

async fn delete_once(
    ctx: &OpContext,
    path: &SecretPath,
    revoke_leases: bool,
) -> Result<DeletedRole, Attempt> {
    let access = ctx.access().await?;
    let decision = access.administer(Area::Engines, "delete_engine_role").await?;
    let event = about(access.granted(EventType::EngineRoleDeleted, &decision), path, None, None);
    let (path, now) = (path.clone(), access.now);
    access
        .change(&event.clone(), move |tx| {
            Box::pin(async move {
                let none = || Error::not_found("there is no engine role at this path: check the path");
                let row = secret_store::find_for_update(tx, path.as_str()).await?.ok_or_else(none)?;
                let role = role_store::by_secret(tx, row.id).await?.ok_or_else(none)?;
                if role.live_leases > 0 && !revoke_leases {
                    return Err(Error::conflict(format!(
                        "the role has {} live leases: revoke them first, or say revokeLeases: true",
                        role.live_leases
                    )));
                }
                if role.live_leases > MOST_LEASES {
                    return Err(Error::conflict("the role has more than 10000 leases: revoke them first"));
                }
                let selection = Selection::Secret(row.id);
                let revoked_leases =
                    mark_revoking(tx, &selection, "the role was deleted", now, MOST_LEASES).await?;
                secret_store::remove(tx, row.id).await?;
                let mut event = about(event, &path, Some(&row), None);
                event.event_data = json!({ "leases": revoked_leases });
                let deleted = DeletedRole { path: path.clone(), revoked_leases };
                Ok(Change::new(deleted, event, vec![Effect::Secret(path), Effect::Issuance]))
            })
        })
        .await
}

/// What is issued at a path; `None` if nothing is, or the caller does not administer `engines`.
///
/// # Errors
/// `UNAUTHENTICATED`, `UNAVAILABLE`.
pub async fn role_of(ctx: &OpContext, secret_id: Uuid) -> Result<Option<EngineRoleView>> {
    settle!(role_of_once(ctx, secret_id))
}

async fn role_of_once(ctx: &OpContext, secret_id: Uuid) -> Result<Option<EngineRoleView>, Attempt> {
    let access = ctx.access().await?;
    if !access.decide(&Action::Administer(Area::Engines)).allowed {
        return Ok(None);
    }
    read_role(&access, secret_id).await
}

/// The same by its own id, which is that of the secret at its path. Needs the area `engines`.
///
/// # Errors
/// `FORBIDDEN`.
pub async fn role_by_id(ctx: &OpContext, secret_id: Uuid) -> Result<Option<EngineRoleView>> {
    settle!(async { read_role(&ctx.access().await?, secret_id).await })
}

async fn read_role(access: &Access, secret_id: Uuid) -> Result<Option<EngineRoleView>, Attempt> {
    access.administer_read(Area::Engines, "engine_role", Some(&secret_id.to_string())).await?;
    let found = {
        let mut tx = access.app().read().await?;
        match role_store::by_secret(&mut tx, secret_id).await? {
            Some(role) => {
                let engine = store::by_id(&mut tx, role.engine_id).await?;
                engine.zip(role_store::sealed_config(&mut tx, secret_id).await?).map(|found| (role, found))
            }
            None => None,
        }
    };
    let Some((role, (engine, (sealed, version)))) = found else { return Ok(None) };
    Ok(Some(EngineRoleView {
        secret_id,
        engine: engine.name,
        config: open_role(access.app(), secret_id, &sealed, version).await?,
        default_ttl_seconds: role.default_ttl_seconds,
        max_ttl_seconds: role.max_ttl_seconds,
        max_leases: role.max_leases,
        max_renewals: role.max_renewals,
        active_leases: role.live_leases,
    }))
}
