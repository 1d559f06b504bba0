//! The accounts of leases.

use crate::node::{Node, Save, Saved, acl};
use crate::nodes::unwritten;
use crate::{Redis, Role};
use data_encoding::HEXLOWER;
use deadpool_redis::redis::cmd;
use futures_util::future::join_all;
use secrethub_engine::{EngineError, Issued, Live, Result, Revocation};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// What `issue` answered, as far as it is needed again.
#[derive(Deserialize)]
struct Credentials {
    username: String,
    password: String,
}

/// As `ACL SETUSER` takes it after `#`.
pub fn hash(password: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(password))
}

impl Redis {
    pub async fn make(&self, role: &Role, lease_id: Uuid) -> Result<Issued> {
        let (nodes, name) = (self.nodes(), self.name(lease_id));
        let password = nodes.config.password_policy.generate();
        let names = [name.clone()];
        // an earlier answer for this lease may have been lost: what is connected with its password ends
        let made = async {
            nodes
                .on_each(async |node: &Node| node.delete(&names).await.map_err(|fault| fault.into_error(&[])))
                .await?;
            nodes.set(&name, &hash(password.expose()), &role.rules).await
        };
        let saved = match made.await {
            Ok(saved) => saved,
            Err(error) => {
                nodes.undo(&names).await;
                return Err(error);
            }
        };
        let Some(first) = nodes.config.nodes.first() else {
            return Err(EngineError::bad_input("nodes", "must not be empty"));
        };
        let credentials = json!({
            "username": name,
            "password": password.expose(),
            "host": first.host,
            "port": first.port,
            "nodes": nodes.config.nodes,
            "database": nodes.config.database,
            "tls": nodes.config.tls.is_some(),
        });
        // the rules as they were, for `restore`
        let handle = json!({ "username": name, "rules": role.rules, "persistence": saved });
        Ok(Issued { credentials, handle })
    }

    /// One command for many on each node, and one storing.
    pub async fn end(&self, revocations: &[Revocation<Role>]) -> Vec<Result<()>> {
        let nodes = self.nodes();
        let names: Vec<_> = revocations.iter().map(|revocation| self.name(revocation.lease_id)).collect();
        let ended = join_all(nodes.nodes.iter().map(|node| end_on(node, &names))).await;
        let failed = nodes.nodes.iter().zip(&ended).find(|(_, ended)| matches!(ended, Ok(Save::Failed)));
        let failed = failed.map(|(node, _)| unwritten(node));
        let unreached = ended.into_iter().find_map(Result::err);
        let result = |revocation: &Revocation<Role>| match (&unreached, &failed) {
            (Some(error), _) => Err(error.clone()),
            // what was never stored does not come back
            (None, Some(error)) if !was_not_stored(revocation) => Err(error.clone()),
            _ => Ok(()),
        };
        revocations.iter().map(result).collect()
    }

    /// Logs in at every node. An account without rights can: that `PING` is forbidden is said after the login.
    pub async fn log_in(&self, credentials: &Value) -> Result<()> {
        let Credentials { username, password } = read(credentials)?;
        let (username, password) = (username.as_str(), password.as_str());
        self.nodes()
            .on_each(|node| async move {
                let secrets = [password];
                let login = node.login(Some(username), Some(password)).await;
                let mut connection = login.map_err(|fault| fault.into_error(&secrets))?;
                match node.ask_over::<()>(&mut connection, &cmd("PING")).await {
                    Err(fault) if !fault.is_no_permission() => Err(fault.into_error(&secrets)),
                    _ => Ok(()),
                }
            })
            .await
            .map(|_| ())
    }

    /// The same account with the same password; those who are connected stay so.
    pub async fn make_again(&self, live: &Live<Role>) -> Result<()> {
        let Credentials { password, .. } = read(&live.credentials)?;
        let rules = live.handle.get("rules").and_then(|rules| Vec::<String>::deserialize(rules).ok());
        let role = Role { rules: rules.unwrap_or_else(|| live.role.rules.clone()) };
        role.validate()?;
        self.nodes().set(&self.name(live.lease.id), &hash(&password), &role.rules).await.map(|_| ())
    }

    /// Whether a node has the account at all.
    pub async fn has(node: &Node, account: &str) -> Result<bool> {
        let user: deadpool_redis::redis::Value =
            node.ask(acl("GETUSER").arg(account)).await.map_err(|fault| fault.into_error(&[]))?;
        Ok(user != deadpool_redis::redis::Value::Nil)
    }
}

async fn end_on(node: &Node, names: &[String]) -> Result<Save> {
    if names.is_empty() {
        return Ok(Save::To(Saved::None));
    }
    node.delete(names).await.map_err(|fault| fault.into_error(&[]))?;
    node.save().await.map_err(|fault| fault.into_error(&[]))
}

fn was_not_stored(revocation: &Revocation<Role>) -> bool {
    revocation.handle.as_ref().is_some_and(|handle| handle["persistence"] == "none")
}

fn read(credentials: &Value) -> Result<Credentials> {
    // the reason would repeat what does not fit
    Credentials::deserialize(credentials)
        .map_err(|_| EngineError::refused("these are not this engine's credentials"))
}
