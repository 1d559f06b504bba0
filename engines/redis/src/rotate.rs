//! New passwords for accounts that stay.

use crate::Redis;
use crate::accounts::hash;
use crate::config::Config;
use crate::node::{Node, acl};
use crate::nodes::Nodes;
use deadpool_redis::redis::aio::MultiplexedConnection;
use secrethub_engine::{EngineError, Result, SecretString};
use std::sync::{Arc, PoisonError};

impl Nodes {
    /// The same configuration with another password, which no node knows yet.
    pub fn proposal(&self) -> Result<Config> {
        if self.config.password.is_none() {
            return Err(EngineError::refused(
                "the engine's account has no password, and others use it: give the engine an account of its own",
            ));
        }
        let password = Some(self.config.password_policy.generate());
        Ok(Config { password, ..self.config.clone() })
    }

    fn password(&self) -> Option<&str> {
        self.config.password.as_ref().map(SecretString::expose)
    }

    /// A connection with the first of these passwords that the node takes.
    async fn login_with(&self, node: &Node, passwords: [Option<&str>; 2]) -> Result<MultiplexedConnection> {
        let secrets: Vec<_> = passwords.iter().copied().flatten().collect();
        match node.login(self.config.username.as_deref(), passwords[0]).await {
            Err(fault) if fault.is_login() => node.login(self.config.username.as_deref(), passwords[1]).await,
            login => login,
        }
        .map_err(|fault| fault.into_error(&secrets))
    }
}

impl Redis {
    /// Three steps, each of which may have been done before on any node: the account has the new password beside the old
    /// one on every node; a login with the new one succeeds on every node, and the engine uses it; the account has the
    /// new password alone. At each point one of the two works everywhere.
    pub async fn replace_own(&self, proposal: Config) -> Result<()> {
        let old = self.nodes();
        proposal.validate()?;
        if proposal.username != old.config.username || proposal.nodes != old.config.nodes {
            return Err(EngineError::bad_input(
                "",
                "must be the present configuration with another password",
            ));
        }
        let new = Arc::new(Nodes::open(proposal)?);
        let Some(password) = new.password() else {
            return Err(EngineError::bad_input("password", "is missing"));
        };
        let (account, new_hash) = (new.config.account(), hash(password));
        let known = [Some(password), old.password()];
        let add = format!("#{new_hash}");
        new.on_each(async |node: &Node| {
            let mut connection = new.login_with(node, known).await?;
            let command = acl("SETUSER").arg(account).arg(&add).to_owned();
            node.ask_over::<()>(&mut connection, &command)
                .await
                .map_err(|fault| fault.into_error(&[&new_hash]))
        })
        .await?;
        new.on_each(async |node: &Node| new.login_with(node, [Some(password); 2]).await).await?;
        // before the old password ends, and where the new one would not outlive a restart, it does not
        new.stored().await?;
        *self.nodes.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&new);
        new.only(account, &new_hash).await
    }

    /// Gives an account of the target another password on every node; its rights stay.
    pub async fn replace(&self, account: &str, password: &SecretString) -> Result<()> {
        let nodes = self.nodes();
        if account == nodes.config.account() {
            return Err(EngineError::bad_input(
                "account",
                "is the engine's own: rotate the engine's root instead",
            ));
        }
        if account.contains(self.installation.as_str()) {
            return Err(EngineError::bad_input("account", "belongs to a lease"));
        }
        let there = nodes.on_each(|node| Self::has(node, account)).await?;
        // where no node has it, none has the new password either
        if !there.contains(&true) {
            return Err(EngineError::bad_input("account", "is not on the target: make it there first"));
        }
        if there.contains(&false) {
            return Err(EngineError::refused("there is no such account on every node: make it first"));
        }
        nodes.only(account, &hash(password.expose())).await
    }
}

impl Nodes {
    /// Lets an account have this password alone, and stores that.
    async fn only(&self, account: &str, hash: &str) -> Result<()> {
        self.on_each(async |node: &Node| {
            let command = acl("SETUSER").arg(account).arg("resetpass").arg(format!("#{hash}")).to_owned();
            node.ask::<()>(&command).await.map_err(|fault| fault.into_error(&[hash]))
        })
        .await?;
        self.save_or_retry().await
    }
}
