//! Engines and their plugins as clients see them.

use crate::engine::{self, PluginInfo};
use crate::graphql::ids::NodeId;
use crate::graphql::scalars::{DateTime, Json, int};
use crate::service::engines::{AccountView, EngineRoleView, EngineView};
use async_graphql::{Enum, ID, Object, SimpleObject};

pub struct Engine(EngineView);

impl From<EngineView> for Engine {
    fn from(view: EngineView) -> Self {
        Self(view)
    }
}

/// An engine: a target that credentials are issued on, through a plugin. Seen by callers who administer `engines`.
#[Object]
impl Engine {
    /// The id among all nodes: `engine:` and a UUID.
    pub async fn id(&self) -> ID {
        NodeId::Engine(self.0.id).to_string().into()
    }

    /// Its name among engines.
    async fn name(&self) -> &str {
        &self.0.name
    }

    /// The kind of its plugin, such as `postgresql`.
    async fn kind(&self) -> &str {
        &self.0.kind
    }

    /// What it is for.
    async fn description(&self) -> Option<&str> {
        self.0.description.as_deref()
    }

    /// Its configuration without the secrets, which never leave the server.
    async fn config(&self) -> Json {
        Json(self.0.config.clone())
    }

    /// Whether it issues and renews. It revokes in any case.
    async fn enabled(&self) -> bool {
        self.0.enabled
    }

    /// The longest lifetime of what it issues, in seconds, with all renewals; null for no limit of its own.
    async fn max_ttl_seconds(&self) -> Option<i32> {
        self.0.max_ttl_seconds.map(int)
    }

    /// The most leases that may live at a time; null for no limit.
    async fn max_leases(&self) -> Option<i32> {
        self.0.max_leases.map(int)
    }

    /// How many of its leases are not revoked.
    async fn active_leases(&self) -> i32 {
        int(self.0.active_leases)
    }

    /// How it is doing, as this node sees it.
    async fn health(&self) -> EngineHealth {
        EngineHealth {
            status: self.0.health.status.into(),
            since: self.0.health.since.into(),
            last_error: self.0.health.last_error.clone(),
        }
    }

    /// What the last comparison of its target with the leases found; null before the first, and for engines that cannot list.
    async fn drift(&self) -> Option<EngineDrift> {
        self.0.drift.as_ref().map(|drift| EngineDrift {
            unknown_on_target: int(drift.unknown_on_target),
            missing_on_target: int(drift.missing_on_target),
            unknown_names: drift.unknown_names.clone(),
            missing_lease_ids: drift.missing_leases.iter().map(ID::from).collect(),
            checked_at: drift.checked_at.into(),
        })
    }

    /// When the secret of its own account was last replaced by this server; null if never.
    async fn root_rotated_at(&self) -> Option<DateTime> {
        self.0.root_rotated_at.map(Into::into)
    }

    /// Whether such a replacement is under way.
    async fn root_rotation_pending(&self) -> bool {
        self.0.root_rotation_pending
    }

    /// When it was enabled.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// When its configuration or limits last changed.
    async fn updated_at(&self) -> DateTime {
        self.0.updated_at.into()
    }
}

/// Whether an engine answers.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "engine::HealthStatus")]
pub enum EngineHealthStatus {
    /// It is not in use at the moment, and nothing is wrong.
    Idle,
    /// It answered the last call.
    Healthy,
    /// Its last calls failed.
    Degraded,
    /// It failed so often that it is asked only now and then, until it answers again.
    Down,
}

/// How an engine is doing.
#[derive(SimpleObject)]
struct EngineHealth {
    /// Whether it answers.
    status: EngineHealthStatus,
    /// Since when that is so.
    since: DateTime,
    /// What went wrong last; null once it answers again.
    last_error: Option<String>,
}

/// How a target and the leases differ. Only accounts that carry this installation's mark are counted.
#[derive(SimpleObject)]
struct EngineDrift {
    /// Accounts on the target that no live lease has.
    unknown_on_target: i32,
    /// Active leases whose account the target does not have.
    missing_on_target: i32,
    /// The names of such accounts, twenty at most.
    unknown_names: Vec<String>,
    /// Such leases, twenty at most.
    #[graphql(name = "missingLeaseIds")]
    missing_lease_ids: Vec<ID>,
    /// When that was found.
    checked_at: DateTime,
}

/// A plugin that this server may load.
#[derive(SimpleObject)]
pub struct EnginePlugin {
    /// The kind of engines made from it, such as `postgresql`.
    kind: String,
    /// The version of the plugin.
    version: String,
    /// The SHA-256 of its file, in hexadecimal: the one that the configuration names.
    sha256: String,
    /// How far the processes that load it are confined.
    sandbox: String,
    /// The JSON Schema of an engine's configuration; what is secret in it is `writeOnly`.
    config_schema: Json,
    /// The JSON Schema of a role's configuration.
    role_schema: Json,
    /// Whether engines of this kind can be used.
    available: bool,
    /// Why not; null if they can.
    problem: Option<String>,
}

impl From<PluginInfo> for EnginePlugin {
    fn from(info: PluginInfo) -> Self {
        Self {
            kind: info.kind,
            version: info.version,
            sha256: info.sha256,
            sandbox: info.sandbox,
            config_schema: Json(info.config_schema),
            role_schema: Json(info.role_schema),
            available: info.available,
            problem: info.problem,
        }
    }
}

pub struct EngineRole(EngineRoleView);

impl From<EngineRoleView> for EngineRole {
    fn from(view: EngineRoleView) -> Self {
        Self(view)
    }
}

/// What is issued at a path. Seen by callers who administer `engines`.
#[Object]
impl EngineRole {
    /// The id among all nodes: `engine_role:` and the UUID of the secret at its path.
    pub async fn id(&self) -> ID {
        NodeId::EngineRole(self.0.secret_id).to_string().into()
    }

    /// The name of the engine that issues it.
    async fn engine_name(&self) -> &str {
        &self.0.engine
    }

    /// The role's configuration, as the engine's `roleSchema` describes it.
    async fn config(&self) -> Json {
        Json(self.0.config.clone())
    }

    /// How long credentials live that are asked for without a lifetime, in seconds.
    async fn default_ttl_seconds(&self) -> i32 {
        int(self.0.default_ttl_seconds)
    }

    /// How long they can live with all renewals, in seconds.
    async fn max_ttl_seconds(&self) -> i32 {
        int(self.0.max_ttl_seconds)
    }

    /// The most leases of this path that may live at a time; null for no limit.
    async fn max_leases(&self) -> Option<i32> {
        self.0.max_leases.map(int)
    }

    /// How often a lease can be renewed; null for no limit.
    async fn max_renewals(&self) -> Option<i32> {
        self.0.max_renewals.map(int)
    }

    /// How many leases of this path are not revoked.
    async fn active_leases(&self) -> i32 {
        int(self.0.active_leases)
    }
}

/// The account of a target whose password a static secret holds. Seen by callers who administer `engines`.
#[derive(SimpleObject)]
pub struct SecretAccount {
    /// The name of the engine.
    engine_name: String,
    /// The account's name on the target.
    account: String,
    /// Whether a new password is on its way to the target.
    rotation_pending: bool,
    /// Why the last attempt to rotate failed; null if it did not.
    last_error: Option<String>,
}

impl From<AccountView> for SecretAccount {
    fn from(view: AccountView) -> Self {
        Self {
            engine_name: view.engine,
            account: view.account,
            rotation_pending: view.pending,
            last_error: view.last_error,
        }
    }
}
