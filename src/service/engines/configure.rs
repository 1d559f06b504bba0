//! Enabling an engine. A configuration is tried on the target, in a process of its own, before it is saved.

use super::super::context::{Access, OpContext, settle};
use super::super::ledger::{Attempt, Change};
use super::super::{App, input};
use super::shown::without_secrets;
use super::{EngineView, MAX_CONFIG, ask, config_record, store};
use crate::engine::{CallError, PluginInfo, Target};
use crate::error::{Error, ErrorCode, Result};
use crate::model::audit::EventType;
use crate::model::policies::{Area, Decision};
use crate::storage::engines::EngineRow;
use secrethub_engine::ErrorKind;
use secrethub_engine::wire::Operation;
use serde_json::{Value, json};
use sqlx::types::Json;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// How long trying a configuration may take, the start of the process included.
const TRIAL: Duration = Duration::from_secs(30);
/// The longest lifetime that an engine can be given, in seconds.
const MAX_TTL: i64 = 366 * 24 * 3600;
const MAX_LEASES: i64 = 10_000_000;

/// An engine to enable, or how it is to be from now on.
#[derive(Clone)]
pub struct EnableEngine {
    pub name: String,
    /// Of an engine that is there already, only what it is.
    pub kind: String,
    /// All of it, secrets included.
    pub config: Value,
    pub max_ttl_seconds: Option<i64>,
    pub max_leases: Option<i64>,
    pub description: Option<String>,
    /// `false`: it issues and renews nothing; revocation goes on.
    pub enabled: Option<bool>,
    /// Of a change: the target is the same, even though the configuration reads like another one's.
    pub same_target: bool,
}

/// Enables an engine. Needs the area `engines`.
///
/// # Errors
/// `CONFLICT` if the name is taken, `BAD_USER_INPUT` naming the field of the configuration, with the target's complaint if it is the
/// target that refuses it, `ENGINE_UNAVAILABLE` if the target does not answer, `FORBIDDEN`.
pub async fn enable(ctx: &OpContext, input: EnableEngine) -> Result<EngineView> {
    check(&input)?;
    let (_, taken) = settle!(authorised(ctx, "enable_engine", &input.name))?;
    if taken.is_some() {
        return Err(taken_name());
    }
    let plugin = plugin(ctx.app(), &input.kind).await?;
    let id = Uuid::new_v4();
    try_out(ctx.app(), id, &input).await?;
    let shown = without_secrets(&input.config, &plugin.config_schema);
    settle!(enable_once(ctx, &input, id, &shown))
}

fn taken_name() -> Error {
    Error::conflict("an engine with this name exists already: update it or choose another name")
}

/// Requires the right, and says what is there of that name.
pub(super) async fn authorised(
    ctx: &OpContext,
    operation: &str,
    name: &str,
) -> Result<(Decision, Option<EngineRow>), Attempt> {
    let access = ctx.access().await?;
    let decision = access.administer(Area::Engines, operation).await?;
    let mut tx = access.app().read().await?;
    Ok((decision, store::find(&mut tx, name).await?))
}

pub(super) fn check(input: &EnableEngine) -> Result<()> {
    input::name("name", Some(&input.name))?;
    input::description(input.description.as_deref())?;
    input::ttl("maxTtlSeconds", input.max_ttl_seconds, MAX_TTL)?;
    if input.max_leases.is_some_and(|most| !(1..=MAX_LEASES).contains(&most)) {
        return Err(Error::bad_input("maxLeases", "write a whole number from 1 to 10000000"));
    }
    check_config(&input.config)
}

/// # Errors
/// `BAD_USER_INPUT` at `config`.
pub(super) fn check_config(config: &Value) -> Result<()> {
    if !config.is_object() {
        return Err(Error::bad_input("config", "a configuration is a JSON object"));
    }
    if config.to_string().len() > MAX_CONFIG {
        return Err(Error::bad_input("config", "the configuration is larger than 64 KiB: shorten it"));
    }
    Ok(())
}

pub(super) async fn plugin(app: &App, kind: &str) -> Result<PluginInfo> {
    match app.engines.plugin(kind).await {
        Some(plugin) if plugin.available => Ok(plugin),
        Some(plugin) => Err(Error::new(
            ErrorCode::EngineUnavailable,
            format!(
                "the plugin of kind {} cannot be used: {}",
                input::shown(kind),
                plugin.problem.unwrap_or_default()
            ),
        )),
        None => {
            let mut kinds: Vec<_> = app.engines.plugins().into_iter().map(|plugin| plugin.kind).collect();
            kinds.sort_unstable();
            let known = if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") };
            Err(Error::bad_input("kind", format!("this server has no plugin of this kind; it has: {known}")))
        }
    }
}

/// Connects with the configuration and lets the engine see whether the target answers and gives it the rights.
pub(super) async fn try_out(app: &App, id: Uuid, input: &EnableEngine) -> Result<()> {
    let config = input.config.clone();
    let target = Target {
        id,
        name: input.name.clone(),
        kind: input.kind.clone(),
        version: 0,
        config: Arc::new(move || Ok(config.clone())),
    };
    let installation = ask::installation(app).await?;
    let tried = app.engines.probe(&target, &installation, vec![Operation::Check], TRIAL).await;
    tried.map_err(|error| match error {
        // whatever the target refuses, it refuses because of the configuration that is tried
        CallError::Engine(error) if error.kind == ErrorKind::Refused => {
            let field = error.field.clone().unwrap_or_default();
            ask::saving_error(CallError::Engine(error.at(field)), "config")
        }
        error => ask::client_error(error, "config"),
    })
}

async fn enable_once(
    ctx: &OpContext,
    input: &EnableEngine,
    id: Uuid,
    shown: &Value,
) -> Result<EngineView, Attempt> {
    let access = ctx.access().await?;
    let decision = access.administer(Area::Engines, "enable_engine").await?;
    let mut row = EngineRow {
        id,
        name: input.name.clone(),
        engine_type: input.kind.clone(),
        description: None,
        config_encrypted: Vec::new(),
        config_version: 0,
        key_version: 0,
        pending_encrypted: None,
        config_shown: Json(Value::Null),
        enabled: true,
        max_ttl_seconds: None,
        max_leases: None,
        live_leases: 0,
        root_rotated_at: None,
        drift: None,
        metadata: Json(json!({})),
        created_at: access.now,
        updated_at: access.now,
    };
    apply(&access, &mut row, input, shown)?;
    let mut event = access.granted(EventType::EngineEnabled, &decision);
    event.event_data = summary(&row);
    let app = Arc::clone(access.app());
    access
        .change(&event.clone(), move |tx| {
            Box::pin(async move {
                store::insert(tx, &row).await?;
                Ok(Change::new(EngineView::from_row(&app, row), event, Vec::new()))
            })
        })
        .await
}

/// What the audit log keeps of an engine's state.
pub(super) fn summary(row: &EngineRow) -> Value {
    json!({
        "engine": row.name,
        "engine_id": row.id.to_string(),
        "kind": row.engine_type,
        "config_version": row.config_version,
        "enabled": row.enabled,
        "max_ttl_seconds": row.max_ttl_seconds,
        "max_leases": row.max_leases,
    })
}

pub(super) fn apply(access: &Access, row: &mut EngineRow, input: &EnableEngine, shown: &Value) -> Result<()> {
    row.description = input.description.clone().filter(|text| !text.is_empty());
    row.max_ttl_seconds = input.max_ttl_seconds;
    row.max_leases = input.max_leases;
    row.enabled = input.enabled.unwrap_or(row.enabled);
    row.config_shown = Json(shown.clone());
    row.updated_at = access.now;
    seal_config(access, row, &input.config)
}

/// Puts a configuration into the row, as its next version.
pub(super) fn seal_config(access: &Access, row: &mut EngineRow, config: &Value) -> Result<()> {
    row.config_version += 1;
    let plain = zeroize::Zeroizing::new(serde_json::to_vec(config).map_err(Error::internal)?);
    let id = row.id.to_string();
    row.config_encrypted = access.keys.barrier.seal(&config_record(&id, row.config_version), &plain)?;
    row.key_version = i64::from(access.keys.barrier.keyring().active().version());
    Ok(())
}
