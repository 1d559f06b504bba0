//! The engine: which module does what.

use crate::config::Config;
use crate::failure::{Result as StepResult, repeat};
use crate::link::Access;
use crate::pool::Pool;
use crate::role::Role;
use secrethub_engine::{
    Account, Engine, EngineError, Installation, Issued, Lease, Live, NameTemplate, Result, Revocation,
    SecretString,
};
use serde_json::Value;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use tokio::sync::Mutex;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};
use uuid::Uuid;

/// Begins a transaction in which privileges of single accounts on shared objects change: PostgreSQL fails two at a time that
/// change one object's. The key is the same for every installation, since they meet on the target.
pub(crate) const EXCLUSIVELY: &str = "SELECT pg_advisory_xact_lock(8315161629989038178)";

/// Accounts on one PostgreSQL server.
pub struct PostgresEngine {
    /// As it is in force: a rotation changes the password.
    config: StdMutex<Arc<Config>>,
    pub(crate) installation: Installation,
    pub(crate) names: NameTemplate,
    pub(crate) pool: Pool,
    /// Held while [`EXCLUSIVELY`] is waited for, so that one connection waits for it and not all.
    pub(crate) exclusive: Mutex<()>,
}

impl PostgresEngine {
    pub(crate) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set_config(&self, config: Config) {
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
    }

    /// The name of the account of a lease: as it was issued, or as it would be now. What the handle says counts only if it
    /// carries the marks of this installation and this lease.
    pub(crate) fn name_of(&self, lease_id: Uuid, handle: Option<&Value>) -> String {
        let plain = self.installation.name(lease_id);
        // every template writes the lease as the default one does at its end
        let lease = plain.rsplit('_').next().unwrap_or(&plain);
        let marked = |name: &&str| name.contains(lease) && name.contains(self.installation.as_str());
        let issued = handle.and_then(|handle| handle["username"].as_str()).filter(marked);
        issued.map_or_else(|| self.names.name(&self.installation, lease_id), str::to_owned)
    }

    /// The database that a role's credentials are for.
    pub(crate) fn database(&self, role: &Role) -> String {
        role.database.clone().unwrap_or_else(|| self.config().database.clone())
    }

    /// Runs statements that are one transaction.
    pub(crate) async fn run(&self, database: &str, statements: &str) -> StepResult<()> {
        repeat(|| {
            Box::pin(async move {
                let mut session = self.pool.session(database).await?;
                session.link()?.run(statements).await
            })
        })
        .await
    }

    /// Asks where the engine logs in.
    pub(crate) async fn ask(
        &self,
        statement: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> StepResult<Vec<Row>> {
        let config = self.config();
        let database = config.database.as_str();
        repeat(|| {
            Box::pin(async move {
                let mut session = self.pool.session(database).await?;
                session.link()?.ask(statement, parameters).await
            })
        })
        .await
    }
}

impl Engine for PostgresEngine {
    const KIND: &'static str = "postgresql";
    const RESTORES: bool = true;
    type Config = Config;
    type Role = Role;

    async fn connect(config: Config, installation: Installation) -> Result<Self> {
        config.validate()?;
        Ok(Self {
            names: config.names()?,
            installation,
            pool: Pool::new(Access::new(&config)?, config.max_connections),
            exclusive: Mutex::default(),
            config: StdMutex::new(Arc::new(config)),
        })
    }

    async fn check(&self) -> Result<()> {
        self.check_account().await
    }

    async fn check_role(&self, role: &Role) -> Result<()> {
        self.check_role_on_target(role).await
    }

    async fn issue(&self, role: &Role, lease: &Lease) -> Result<Issued> {
        let password = self.config().password_policy.generate();
        self.create(role, lease, &password).await
    }

    async fn renew(&self, role: &Role, lease: &Lease, handle: &Value) -> Result<()> {
        self.extend(role, lease, handle).await
    }

    async fn revoke(&self, revocation: &Revocation<Role>) -> Result<()> {
        let mut results = self.end(std::slice::from_ref(revocation)).await;
        results.pop().unwrap_or_else(|| Err(EngineError::retry("the revocation has no result")))
    }

    async fn revoke_many(&self, revocations: &[Revocation<Role>]) -> Vec<Result<()>> {
        self.end(revocations).await
    }

    async fn try_credentials(&self, credentials: &Value) -> Result<()> {
        self.log_in_with(credentials).await
    }

    async fn list(&self) -> Result<Vec<Account>> {
        self.accounts().await
    }

    async fn restore(&self, live: &Live<Role>) -> Result<()> {
        self.create_again(live).await
    }

    async fn propose_root(&self) -> Result<Config> {
        let config = self.config();
        Ok(Config { password: config.password_policy.generate(), ..Config::clone(&config) })
    }

    async fn rotate_root(&self, proposal: Config) -> Result<()> {
        self.adopt(proposal).await
    }

    async fn rotate_account(&self, account: &str, password: &SecretString) -> Result<()> {
        self.set_password(account, password).await
    }
}
