//! One Redis server: its connections, its ACL commands, and how it stores them.

use crate::config::{Address, Config, login};
use crate::fault::Fault;
use deadpool_redis::redis::aio::MultiplexedConnection;
use deadpool_redis::redis::{AsyncConnectionConfig, Client, Cmd, ConnectionAddr, FromRedisValue, cmd};
use deadpool_redis::{Manager, Pool, Runtime};
use secrethub_engine::{EngineError, Result};
use serde::{Deserialize, Serialize};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Mutex;

/// Connections to a node at a time.
const CONNECTIONS: usize = 16;
/// Names in one command.
const MAX_NAMES: usize = 500;

/// Where a node keeps its ACL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Saved {
    /// Nowhere: it is lost at a restart.
    None,
    /// In its configuration file.
    Config,
    /// In its ACL file.
    AclFile,
}

/// How storing ended.
#[derive(Debug, Clone)]
pub enum Save {
    To(Saved),
    /// It has a place for it and could not write there: what the place holds is older.
    Failed,
}

/// One server and the engine's login there.
pub struct Node {
    pub label: String,
    addr: ConnectionAddr,
    timeouts: AsyncConnectionConfig,
    pool: Pool,
    /// Changes that want to be stored.
    wanted: AtomicU64,
    /// How many of them are, and how that ended. Held while a node stores.
    stored: Mutex<(u64, Save)>,
}

impl Node {
    /// Makes no connection yet.
    ///
    /// # Errors
    /// [`EngineError::bad_input`].
    pub fn open(config: &Config, address: &Address) -> Result<Self> {
        let addr = config.address(address)?;
        let password = config.password.as_ref().map(|password| password.expose());
        let info = login(&addr, config.username.as_deref(), password)?;
        let bad = || EngineError::bad_input("nodes", "must be servers");
        let manager = Manager::new_with_config(info, config.timeouts()).map_err(|_| bad())?;
        let wait = Duration::from_millis(config.connect_timeout_ms + config.response_timeout_ms);
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS)
            .wait_timeout(Some(wait))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|_| bad())?;
        Ok(Self {
            label: format!("{}:{}", address.host, address.port),
            addr,
            timeouts: config.timeouts(),
            pool,
            wanted: AtomicU64::new(0),
            stored: Mutex::new((0, Save::To(Saved::None))),
        })
    }

    /// One command with the engine's login.
    pub async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Fault> {
        let connection = self.pool.get().await;
        let mut connection = connection.map_err(|error| Fault::of_pool(&self.label, &error))?;
        command.query_async(&mut *connection).await.map_err(|error| Fault::new(&self.label, &error))
    }

    /// A connection of its own with another login.
    pub async fn login(
        &self,
        username: Option<&str>,
        password: Option<&str>,
    ) -> Result<MultiplexedConnection, Fault> {
        let fault = |error| Fault::new(&self.label, &error);
        let info = login(&self.addr, username, password).map_err(|_| Fault::unreachable(&self.label))?;
        let client = Client::open(info).map_err(fault)?;
        client.get_multiplexed_async_connection_with_config(&self.timeouts).await.map_err(fault)
    }

    /// One command over such a connection.
    pub async fn ask_over<T: FromRedisValue>(
        &self,
        connection: &mut MultiplexedConnection,
        command: &Cmd,
    ) -> Result<T, Fault> {
        command.query_async(connection).await.map_err(|error| Fault::new(&self.label, &error))
    }

    /// Makes an account what these rules say, from nothing: keeps its connections if it is there.
    pub async fn set(&self, name: &str, hash: &str, rules: &[String]) -> Result<(), Fault> {
        let mut command = acl("SETUSER");
        command.arg(name).arg("reset").arg("on").arg(format!("#{hash}"));
        command.arg("resetkeys").arg("resetchannels").arg("-@all").arg(rules);
        self.ask(&command).await
    }

    /// Removes accounts and ends their connections; those that are not there are as good as removed.
    pub async fn delete(&self, names: &[String]) -> Result<(), Fault> {
        for names in names.chunks(MAX_NAMES) {
            self.ask::<u64>(acl("DELUSER").arg(names)).await?;
        }
        Ok(())
    }

    pub async fn users(&self) -> Result<Vec<String>, Fault> {
        self.ask(&acl("USERS")).await
    }

    /// Has the node store its ACL as it is now. What others changed meanwhile is stored with it: the whole file is
    /// written each time, and the server does nothing else then.
    pub async fn save(&self) -> Result<Save, Fault> {
        let ticket = self.wanted.fetch_add(1, Ordering::SeqCst) + 1;
        let mut stored = self.stored.lock().await;
        if stored.0 >= ticket {
            return Ok(stored.1.clone());
        }
        let upto = self.wanted.load(Ordering::SeqCst);
        let save = self.save_now().await?;
        *stored = (upto, save.clone());
        Ok(save)
    }

    async fn save_now(&self) -> Result<Save, Fault> {
        let file = match self.ask::<()>(&acl("SAVE")).await {
            Ok(()) => return Ok(Save::To(Saved::AclFile)),
            Err(fault) if fault.is_answer() => fault,
            Err(fault) => return Err(fault),
        };
        if !file.is_no_permission() && !file.says("not configured to use an ACL file") && !file.is_unknown() {
            return Ok(Save::Failed);
        }
        match self.ask::<()>(cmd("CONFIG").arg("REWRITE")).await {
            // where there is an ACL file, the configuration does not hold the ACL
            Ok(()) if file.is_no_permission() => Ok(Save::To(Saved::None)),
            Ok(()) => Ok(Save::To(Saved::Config)),
            Err(fault)
                if fault.is_no_permission() || fault.is_unknown() || fault.says("without a config file") =>
            {
                Ok(Save::To(Saved::None))
            }
            Err(fault) if fault.is_answer() => Ok(Save::Failed),
            Err(fault) => Err(fault),
        }
    }
}

/// An ACL command.
pub fn acl(subcommand: &str) -> Cmd {
    let mut command = cmd("ACL");
    command.arg(subcommand);
    command
}
