//! Redis ACL users.
//!
//! Each lease is one ACL user on every node of the configuration, made with `ACL SETUSER` by the SHA-256 of its password, so
//! that the password itself is sent to no server. Redis neither replicates its ACL nor lets accounts expire: every command
//! goes to every node, and what fails on one of them is undone on the others or answered with *retry*.
//!
//! After each change a node is told to store its ACL: `ACL SAVE` if it has an ACL file, else `CONFIG REWRITE`. The handle of a
//! lease says which of them all nodes could do (`"persistence": "acl_file"`, `"config"`), or `"none"`: then the
//! credentials work until the node restarts, and `restore` makes them again with the same password. A configuration with
//! `"persistence": "required"` refuses such nodes.
//!
//! `list` returns the accounts that all nodes have: one that a node has lost counts as missing, so that it is restored.

mod accounts;
mod config;
mod fault;
mod node;
mod nodes;
mod role;
mod rotate;

pub use config::{Address, Config, Persistence, Tls};
pub use role::Role;

use nodes::Nodes;
use secrethub_engine::{
    Account, Engine, EngineError, Installation, Issued, Lease, Live, NameTemplate, Result, Revocation,
    SecretString,
};
use serde_json::Value;
use std::sync::{Arc, PoisonError, RwLock};

/// The engine: a configuration, and the nodes with the login that works now.
pub struct Redis {
    template: NameTemplate,
    installation: Installation,
    /// Replaced as a whole when the engine's own password is.
    nodes: RwLock<Arc<Nodes>>,
}

secrethub_engine::export_engine!(Redis);

impl Redis {
    fn nodes(&self) -> Arc<Nodes> {
        Arc::clone(&self.nodes.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn name(&self, lease_id: uuid::Uuid) -> String {
        self.template.name(&self.installation, lease_id)
    }

    /// The name of an account that exists for moments and cannot log in: no lease has this id.
    fn probe(&self) -> String {
        self.name(uuid::Uuid::nil())
    }
}

impl Engine for Redis {
    const KIND: &'static str = "redis";
    const RESTORES: bool = true;
    type Config = Config;
    type Role = Role;

    async fn connect(config: Config, installation: Installation) -> Result<Self> {
        // one provider throughout; that it is installed already is as good
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let template = config.validate()?;
        let nodes = RwLock::new(Arc::new(Nodes::open(config)?));
        Ok(Self { template, installation, nodes })
    }

    async fn check(&self) -> Result<()> {
        self.nodes().check(&self.probe()).await
    }

    async fn check_role(&self, role: &Role) -> Result<()> {
        role.validate()?;
        self.nodes().rehearse(&self.probe(), &role.rules).await
    }

    async fn issue(&self, role: &Role, lease: &Lease) -> Result<Issued> {
        role.validate()?;
        self.make(role, lease.id).await
    }

    /// Redis knows no expiry: there is nothing to prolong.
    async fn renew(&self, _: &Role, lease: &Lease, _: &Value) -> Result<()> {
        let name = self.name(lease.id);
        if self.nodes().everywhere().await?.contains(&name) {
            Ok(())
        } else {
            Err(EngineError::refused("the account is not on every node any more: have it restored"))
        }
    }

    async fn revoke(&self, revocation: &Revocation<Role>) -> Result<()> {
        let mut results = self.end(std::slice::from_ref(revocation)).await;
        results.pop().unwrap_or(Ok(()))
    }

    async fn revoke_many(&self, revocations: &[Revocation<Role>]) -> Vec<Result<()>> {
        self.end(revocations).await
    }

    async fn try_credentials(&self, credentials: &Value) -> Result<()> {
        self.log_in(credentials).await
    }

    async fn list(&self) -> Result<Vec<Account>> {
        let names = self.nodes().everywhere().await?;
        let account = |name: String| {
            let lease_id = self.template.lease_of(&self.installation, &name)?;
            (!lease_id.is_nil()).then_some(Account { name, lease_id })
        };
        Ok(names.into_iter().filter_map(account).collect())
    }

    async fn restore(&self, live: &Live<Role>) -> Result<()> {
        self.make_again(live).await
    }

    async fn propose_root(&self) -> Result<Config> {
        self.nodes().proposal()
    }

    async fn rotate_root(&self, proposal: Config) -> Result<()> {
        self.replace_own(proposal).await
    }

    async fn rotate_account(&self, account: &str, password: &SecretString) -> Result<()> {
        self.replace(account, password).await
    }
}
