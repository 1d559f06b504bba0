//! All nodes at once.

use crate::config::{Config, Persistence};
use crate::fault::Fault;
use crate::node::{Node, Save, Saved, acl};
use deadpool_redis::redis::{Value, cmd};
use futures_util::future::join_all;
use secrethub_engine::{EngineError, ErrorKind, Result};
use std::collections::BTreeSet;

/// The nodes of a configuration.
pub struct Nodes {
    pub config: Config,
    pub nodes: Vec<Node>,
}

impl Nodes {
    /// # Errors
    /// [`EngineError::bad_input`].
    pub fn open(config: Config) -> Result<Self> {
        let nodes = config.nodes.iter().map(|address| Node::open(&config, address)).collect::<Result<_>>()?;
        Ok(Self { config, nodes })
    }

    /// The same on every node; an error of any is the result, the one that retrying does not help first.
    pub async fn on_each<'a, T, F>(&'a self, act: impl Fn(&'a Node) -> F) -> Result<Vec<T>>
    where
        F: Future<Output = Result<T>> + 'a,
    {
        let results = join_all(self.nodes.iter().map(act)).await;
        let (done, failed): (Vec<_>, Vec<_>) = results.into_iter().partition(Result::is_ok);
        let mut errors: Vec<_> = failed.into_iter().filter_map(Result::err).collect();
        errors.sort_by_key(|error| match error.kind {
            ErrorKind::BadInput => 0,
            ErrorKind::Refused | ErrorKind::Unsupported => 1,
            ErrorKind::Retry => 2,
        });
        match errors.into_iter().next() {
            Some(error) => Err(error),
            None => Ok(done.into_iter().filter_map(Result::ok).collect()),
        }
    }

    /// Makes an account on every node, and stores it; says where the weakest of them does.
    ///
    /// # Errors
    /// `BadInput` for a rule that Redis does not take. The account may then be on some nodes.
    pub async fn set(&self, name: &str, hash: &str, rules: &[String]) -> Result<Saved> {
        self.on_each(|node| async move {
            node.set(name, hash, rules).await.map_err(|fault| of_rules(fault, rules))
        })
        .await?;
        let saved = self.save().await?.into_iter().min().unwrap_or(Saved::None);
        self.require(saved)?;
        Ok(saved)
    }

    /// Has every node store its ACL. One that could not write its file counts as without one.
    async fn save(&self) -> Result<Vec<Saved>> {
        self.on_each(async |node: &Node| match node.save().await {
            Ok(Save::To(saved)) => Ok(saved),
            Ok(Save::Failed) => Ok(Saved::None),
            Err(fault) => Err(fault.into_error(&[])),
        })
        .await
    }

    fn require(&self, saved: Saved) -> Result<()> {
        if saved == Saved::None && self.config.persistence == Persistence::Required {
            return Err(EngineError::refused(
                "a node cannot store its ACL: give it an ACL file (aclfile) or a configuration file that it can \
                 write, and the account +acl|save or +config|rewrite",
            ));
        }
        Ok(())
    }

    /// Where every node can store its ACL, or an error that names the one that cannot.
    pub async fn stored(&self) -> Result<()> {
        self.on_each(async |node: &Node| match node.save().await {
            Ok(Save::To(Saved::Config | Saved::AclFile)) => Ok(()),
            Ok(Save::To(Saved::None)) => Err(EngineError::refused(format!(
                "{} cannot store its ACL: after a restart it would have the old password again",
                node.label
            ))),
            Ok(Save::Failed) => Err(unwritten(node)),
            Err(fault) => Err(fault.into_error(&[])),
        })
        .await
        .map(|_| ())
    }

    /// Has every node store its ACL that has a place for it.
    pub async fn save_or_retry(&self) -> Result<()> {
        self.on_each(async |node: &Node| match node.save().await {
            Ok(Save::To(_)) => Ok(()),
            Ok(Save::Failed) => Err(unwritten(node)),
            Err(fault) => Err(fault.into_error(&[])),
        })
        .await
        .map(|_| ())
    }

    /// Removes accounts from every node, as far as they answer.
    pub async fn undo(&self, names: &[String]) {
        // what is left over is removed when the lease is revoked
        let _ = self
            .on_each(async |node: &Node| node.delete(names).await.map_err(|fault| fault.into_error(&[])))
            .await;
        let _ = self.save().await;
    }

    /// The accounts that all nodes have.
    pub async fn everywhere(&self) -> Result<BTreeSet<String>> {
        let users = self
            .on_each(async |node: &Node| node.users().await.map_err(|fault| fault.into_error(&[])))
            .await?;
        let sets = users.into_iter().map(|users| users.into_iter().collect::<BTreeSet<_>>());
        Ok(sets.reduce(|all, next| all.intersection(&next).cloned().collect()).unwrap_or_default())
    }

    /// Whether every node answers and the engine's account may do what issuing needs.
    pub async fn check(&self, probe: &str) -> Result<()> {
        self.on_each(|node| self.check_node(node, probe)).await?;
        let saved = self.save().await?.into_iter().min().unwrap_or(Saved::None);
        self.require(saved).map_err(|error| error.at("persistence"))
    }

    async fn check_node(&self, node: &Node, probe: &str) -> Result<()> {
        let mut set = acl("SETUSER");
        set.arg(probe).arg("reset");
        let mut delete = acl("DELUSER");
        delete.arg(probe);
        let steps = [
            ("+ping", cmd("PING")),
            ("+unwatch", cmd("UNWATCH")),
            ("+acl|whoami", acl("WHOAMI")),
            ("+acl|users", acl("USERS")),
            ("+acl|setuser", set),
            ("+acl|deluser", delete),
        ];
        let mut missing = Vec::new();
        for (right, command) in steps {
            match node.ask::<Value>(&command).await {
                Ok(_) => {}
                Err(fault) if fault.is_no_permission() => missing.push(right),
                Err(fault) => return Err(fault.of_config()),
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let account = self.config.account();
        let missing = missing.join(" ");
        Err(EngineError::refused(format!(
            "{}: the account {account} lacks rights: give it {missing}",
            node.label
        ))
        .at("username"))
    }

    /// Whether every node takes these rules: makes an account with them that is off and has no password, and removes it.
    pub async fn rehearse(&self, probe: &str, rules: &[String]) -> Result<()> {
        let names = [probe.to_owned()];
        let rehearsed = self
            .on_each(|node| {
                let mut command = acl("SETUSER");
                command.arg(probe).arg("reset").arg("resetkeys").arg("resetchannels").arg("-@all").arg(rules);
                async move { node.ask::<()>(&command).await.map_err(|fault| of_rules(fault, rules)) }
            })
            .await;
        let removed = self
            .on_each(async |node: &Node| node.delete(&names).await.map_err(|fault| fault.into_error(&[])))
            .await;
        rehearsed.and(removed).map(|_| ())
    }
}

fn of_rules(fault: Fault, rules: &[String]) -> EngineError {
    match fault.rule(rules) {
        Some(number) => {
            let message = "is not a rule that this Redis has: check the names of its commands and categories";
            EngineError::bad_input(format!("rules[{number}]"), message)
        }
        None => fault.into_error(&[]),
    }
}

/// A node that has a place for its ACL and could not write there.
pub fn unwritten(node: &Node) -> EngineError {
    EngineError::retry(format!(
        "{} could not write its ACL, and would have the old one again after a restart: see its log",
        node.label
    ))
}
