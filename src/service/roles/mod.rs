//! Roles: AppRole, by which a machine gets its first token. Semantics of HashiCorp's AppRole, with many SecretIDs a role.

mod granting;
mod login;
mod secret_ids;

use granting::Granting;
pub(super) use granting::{entities, may_bind};
pub use login::login;
#[cfg(test)]
pub(super) use secret_ids::generate;
pub use secret_ids::{
    GenerateSecretId, GeneratedSecretId, SecretIdView, destroy_secret_id, generate_secret_id, secret_ids,
};

use super::book;
use super::context::{OpContext, settle};
use super::input;
use super::ledger::{Attempt, Change};
use super::paging::{Connection, Cursor, PageRequest};
use super::tokens;
use crate::error::{Error, Result};
use crate::model::audit::EventType;
use crate::model::policies::Area;
use crate::storage::db::Tx;
use crate::storage::roles as store;
use crate::storage::roles::RoleRow;
use crate::storage::tokens as token_store;
use crate::storage::types::TextArray;
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sqlx::types::Json;
use uuid::Uuid;

/// A role.
#[derive(Debug, Clone)]
pub struct RoleView {
    /// The RoleID.
    pub id: Uuid,
    pub name: String,
    pub policies: Vec<String>,
    pub token_policies: Vec<String>,
    pub ttl_seconds: i64,
    pub max_ttl_seconds: i64,
    pub bind_secret_id: bool,
    /// 0: without limit.
    pub secret_id_num_uses: i64,
    pub secret_id_ttl_seconds: Option<i64>,
    pub bound_cidr_list: Vec<String>,
    pub token_bound_cidr_list: Vec<String>,
    /// 0: without limit.
    pub token_num_uses: i64,
    pub token_period_seconds: Option<i64>,
    pub entity_type: String,
    pub enabled: bool,
    pub description: Option<String>,
    pub metadata: Value,
    pub created_at: DateTime<Utc>,
    pub updated_at: DateTime<Utc>,
}

impl From<RoleRow> for RoleView {
    fn from(row: RoleRow) -> Self {
        Self {
            id: row.role_id,
            name: row.role_name,
            policies: row.policies.0,
            token_policies: row.token_policies.0,
            ttl_seconds: row.ttl_seconds,
            max_ttl_seconds: row.max_ttl_seconds,
            bind_secret_id: row.bind_secret_id,
            secret_id_num_uses: row.secret_id_num_uses,
            secret_id_ttl_seconds: row.secret_id_ttl_seconds,
            bound_cidr_list: row.bound_cidr_list.0,
            token_bound_cidr_list: row.token_bound_cidr_list.0,
            token_num_uses: row.token_num_uses,
            token_period_seconds: row.token_period_seconds,
            entity_type: row.entity_type,
            enabled: row.enabled,
            description: row.description,
            metadata: row.metadata.0,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// A role to make, or what of one is to change: what is `None` gets its default, or stays.
#[derive(Debug, Clone, Default)]
pub struct RoleInput {
    pub name: String,
    /// A RoleID of one's own choice; only when the role is made.
    pub role_id: Option<Uuid>,
    pub policies: Option<Vec<String>>,
    pub token_policies: Option<Vec<String>>,
    pub ttl_seconds: Option<i64>,
    pub max_ttl_seconds: Option<i64>,
    pub bind_secret_id: Option<bool>,
    pub secret_id_num_uses: Option<i64>,
    /// 0: SecretIDs do not expire.
    pub secret_id_ttl_seconds: Option<i64>,
    pub bound_cidr_list: Option<Vec<String>>,
    pub token_bound_cidr_list: Option<Vec<String>>,
    pub token_num_uses: Option<i64>,
    /// 0: no period.
    pub token_period_seconds: Option<i64>,
    pub entity_type: Option<String>,
    pub enabled: Option<bool>,
    pub description: Option<String>,
    pub metadata: Option<Value>,
}

/// The policies of a token that this role's login makes.
pub(super) fn token_policies(role: &RoleRow) -> Vec<String> {
    let mut names = role.policies.0.clone();
    names.extend(role.token_policies.0.iter().filter(|name| !role.policies.0.contains(name)).cloned());
    names
}

fn apply(row: &mut RoleRow, input: &RoleInput, max_token_ttl: i64) -> Result<()> {
    if let Some(names) = &input.policies {
        book::check_names("policies", names)?;
        row.policies = TextArray(names.clone());
    }
    if let Some(names) = &input.token_policies {
        book::check_names("tokenPolicies", names)?;
        row.token_policies = TextArray(names.clone());
    }
    row.max_ttl_seconds =
        input::ttl("maxTtlSeconds", input.max_ttl_seconds, max_token_ttl)?.unwrap_or(row.max_ttl_seconds);
    match input::ttl("ttlSeconds", input.ttl_seconds, row.max_ttl_seconds)? {
        Some(ttl) => row.ttl_seconds = ttl,
        None if row.ttl_seconds > row.max_ttl_seconds => row.ttl_seconds = row.max_ttl_seconds,
        None => {}
    }
    row.secret_id_num_uses =
        input::count("secretIdNumUses", input.secret_id_num_uses)?.unwrap_or(row.secret_id_num_uses);
    row.token_num_uses = input::count("tokenNumUses", input.token_num_uses)?.unwrap_or(row.token_num_uses);
    optional_ttl(
        "secretIdTtlSeconds",
        input.secret_id_ttl_seconds,
        crate::model::duration::MAX_SECONDS,
        &mut row.secret_id_ttl_seconds,
    )?;
    optional_ttl(
        "tokenPeriodSeconds",
        input.token_period_seconds,
        max_token_ttl,
        &mut row.token_period_seconds,
    )?;
    if let Some(texts) = &input.bound_cidr_list {
        row.bound_cidr_list = TextArray(input::cidrs("boundCidrList", texts)?.to_strings());
    }
    if let Some(texts) = &input.token_bound_cidr_list {
        row.token_bound_cidr_list = TextArray(input::cidrs("tokenBoundCidrList", texts)?.to_strings());
    }
    row.bind_secret_id = input.bind_secret_id.unwrap_or(row.bind_secret_id);
    row.enabled = input.enabled.unwrap_or(row.enabled);
    if let Some(entity_type) = &input.entity_type {
        if !["app", "agent", "admin"].contains(&entity_type.as_str()) {
            return Err(Error::bad_input("entityType", "write app, agent or admin"));
        }
        row.entity_type.clone_from(entity_type);
    }
    if let Some(description) = input::description(input.description.as_deref())? {
        row.description = (!description.is_empty()).then_some(description);
    }
    if let Some(metadata) = input::metadata(input.metadata.as_ref())? {
        row.metadata = Json(metadata);
    }
    if !row.bind_secret_id && row.bound_cidr_list.0.is_empty() {
        return Err(Error::bad_input(
            "bindSecretId",
            "without a SecretID a role must be bound to addresses: give 'boundCidrList'",
        ));
    }
    Ok(())
}

fn optional_ttl(field: &'static str, seconds: Option<i64>, max: i64, target: &mut Option<i64>) -> Result<()> {
    match seconds {
        None => {}
        Some(0) => *target = None,
        given => *target = input::ttl(field, given, max)?,
    }
    Ok(())
}

/// Makes a role. Needs the area `roles`.
///
/// # Errors
/// `CONFLICT` if the name or RoleID is taken, `BAD_USER_INPUT` naming the field.
pub async fn create(ctx: &OpContext, input: RoleInput) -> Result<RoleView> {
    settle!(create_once(ctx, &input))
}

async fn create_once(ctx: &OpContext, input: &RoleInput) -> Result<RoleView, Attempt> {
    let access = ctx.access().await?;
    let decision = access.administer(Area::Roles, "create_role").await?;
    if input.role_id.is_some_and(|id| id.is_nil()) {
        // a login without a RoleID is looked up under it
        return Err(Error::bad_input("roleId", "the nil UUID is no RoleID: choose another").into());
    }
    let limits = access.app().limits();
    let mut row = RoleRow {
        role_id: input.role_id.unwrap_or_else(Uuid::new_v4),
        role_name: input::name("name", Some(&input.name))?.unwrap_or_default(),
        policies: TextArray::default(),
        token_policies: TextArray::default(),
        ttl_seconds: limits.default_token_ttl.min(limits.max_token_ttl),
        max_ttl_seconds: limits.max_token_ttl,
        bind_secret_id: true,
        secret_id_num_uses: 0,
        secret_id_ttl_seconds: None,
        bound_cidr_list: TextArray::default(),
        token_bound_cidr_list: TextArray::default(),
        token_num_uses: 0,
        token_period_seconds: None,
        entity_type: "app".to_owned(),
        enabled: true,
        description: None,
        metadata: Json(json!({})),
        created_at: access.now,
        updated_at: access.now,
    };
    apply(&mut row, input, limits.max_token_ttl)?;
    let granting = Granting::of(&access).await?;
    let mut event = access.granted(EventType::RoleCreated, &decision);
    event.event_data = summary(&row);
    access
        .change(&event.clone(), move |tx| {
            Box::pin(async move {
                granting.check(&row)?;
                if store::by_id(tx, row.role_id).await?.is_some() {
                    return Err(Error::conflict("this RoleID is taken: choose another, or leave it out"));
                }
                store::insert(tx, &row).await?;
                Ok(Change::new(RoleView::from(row), event, Vec::new()))
            })
        })
        .await
}

/// What the audit log keeps of a role's state.
fn summary(row: &RoleRow) -> Value {
    json!({
        "role": row.role_name,
        "role_id": row.role_id.to_string(),
        "policies": token_policies(row),
        "ttl_seconds": row.ttl_seconds,
        "max_ttl_seconds": row.max_ttl_seconds,
        "bound_cidr_list": row.bound_cidr_list.0,
        "enabled": row.enabled,
    })
}

/// Changes what is given of a role. Disabling it ends its tokens at once. Needs the area `roles`.
///
/// # Errors
/// `NOT_FOUND`, `BAD_USER_INPUT` naming the field.
pub async fn update(ctx: &OpContext, input: RoleInput) -> Result<RoleView> {
    let view = settle!(update_once(ctx, &input))?;
    ctx.app().leases_due().notify_one();
    Ok(view)
}

async fn update_once(ctx: &OpContext, input: &RoleInput) -> Result<RoleView, Attempt> {
    let access = ctx.access().await?;
    let decision = access.administer(Area::Roles, "update_role").await?;
    if input.role_id.is_some() {
        return Err(Error::bad_input("roleId", "a RoleID cannot be changed: make another role").into());
    }
    let mut event = access.granted(EventType::RoleUpdated, &decision);
    let max_token_ttl = access.app().limits().max_token_ttl;
    let (input, now) = (input.clone(), access.now);
    let granting = Granting::of(&access).await?;
    access
        .change(&event.clone(), move |tx| {
            Box::pin(async move {
                let mut row = named(tx, &input.name).await?;
                let was_enabled = row.enabled;
                granting.check_areas(&row)?;
                apply(&mut row, &input, max_token_ttl)?;
                granting.check(&row)?;
                row.updated_at = now;
                store::update(tx, &row).await?;
                let mut effects = Vec::new();
                event.event_data = summary(&row);
                if was_enabled && !row.enabled {
                    let ended = token_store::revoke_of_role(tx, row.role_id, now, "role disabled").await?;
                    let leases = tokens::end_leases(tx, "the role was disabled", now).await?;
                    event.event_data["leases"] = json!(leases);
                    effects = tokens::effects(&ended)?;
                }
                Ok(Change::new(RoleView::from(row), event, effects))
            })
        })
        .await
}

/// A text that cannot be a name is not looked for: not every store takes every text.
pub(super) async fn find_row(tx: &mut Tx, name: &str) -> Result<Option<RoleRow>> {
    if input::is_name(name) { store::find(tx, name).await } else { Ok(None) }
}

/// # Errors
/// `NOT_FOUND`.
async fn named(tx: &mut Tx, name: &str) -> Result<RoleRow> {
    let none = || Error::not_found("there is no role of this name: check it against the list of roles");
    find_row(tx, name).await?.ok_or_else(none)
}

/// Removes a role with its SecretIDs, and ends its tokens. Needs the area `roles`.
///
/// # Errors
/// `NOT_FOUND`, `FORBIDDEN`.
pub async fn delete(ctx: &OpContext, name: &str) -> Result<()> {
    settle!(delete_once(ctx, name))?;
    ctx.app().leases_due().notify_one();
    Ok(())
}

async fn delete_once(ctx: &OpContext, name: &str) -> Result<(), Attempt> {
    let access = ctx.access().await?;
    let decision = access.administer(Area::Roles, "delete_role").await?;
    let mut event = access.granted(EventType::RoleDeleted, &decision);
    let (name, now) = (name.to_owned(), access.now);
    access
        .change(&event.clone(), move |tx| {
            Box::pin(async move {
                let row = named(tx, &name).await?;
                let ended = token_store::revoke_of_role(tx, row.role_id, now, "role deleted").await?;
                store::remove(tx, row.role_id).await?;
                let leases = tokens::end_leases(tx, "the role was deleted", now).await?;
                event.event_data =
                    json!({ "role": row.role_name, "ended_tokens": ended.len(), "leases": leases });
                Ok(Change::new((), event, tokens::effects(&ended)?))
            })
        })
        .await
}

/// A role by name. Needs the area `roles`.
///
/// # Errors
/// `FORBIDDEN`.
pub async fn find(ctx: &OpContext, name: &str) -> Result<Option<RoleView>> {
    settle!(find_once(ctx, name))
}

async fn find_once(ctx: &OpContext, name: &str) -> Result<Option<RoleView>, Attempt> {
    let access = ctx.access().await?;
    access.administer_read(Area::Roles, "role", Some(&input::shown(name))).await?;
    let mut tx = access.app().read().await?;
    Ok(find_row(&mut tx, name).await?.map(RoleView::from))
}

/// A role by its RoleID. Needs the area `roles`.
///
/// # Errors
/// `FORBIDDEN`.
pub async fn by_id(ctx: &OpContext, id: Uuid) -> Result<Option<RoleView>> {
    settle!(by_id_once(ctx, id))
}

async fn by_id_once(ctx: &OpContext, id: Uuid) -> Result<Option<RoleView>, Attempt> {
    let access = ctx.access().await?;
    access.administer_read(Area::Roles, "role", Some(&id.to_string())).await?;
    let mut tx = access.app().read().await?;
    Ok(store::by_id(&mut tx, id).await?.map(RoleView::from))
}

/// Roles by name. Needs the area `roles`.
///
/// # Errors
/// `FORBIDDEN`, `BAD_USER_INPUT` at the paging arguments.
pub async fn list(ctx: &OpContext, page: PageRequest) -> Result<Connection<RoleView>> {
    settle!(list_once(ctx, &page))
}

async fn list_once(ctx: &OpContext, page: &PageRequest) -> Result<Connection<RoleView>, Attempt> {
    let access = ctx.access().await?;
    let window = page.window()?;
    access.administer_read(Area::Roles, "roles", None).await?;
    let mut tx = access.app().read().await?;
    let rows = store::list(&mut tx, &window.page()?).await?;
    Ok(window.connection(rows, |row| Cursor::text(&row.role_name), RoleView::from))
}
