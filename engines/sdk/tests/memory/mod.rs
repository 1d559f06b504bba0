//! An engine whose target is a list in memory, and which can be told to be wrong.

#![allow(dead_code, clippy::unwrap_used, reason = "tests; each of the programs uses a part")]

use schemars::JsonSchema;
use secrethub_engine::conformance::{Fixture, installation};
use secrethub_engine::{
    Account, Engine, EngineError, Installation, Issued, Lease, Live, PasswordPolicy, Result, Revocation,
    SecretString,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

/// Name and password of each account of one target.
pub type Target = Arc<Mutex<BTreeMap<String, String>>>;

static TARGETS: LazyLock<Mutex<HashMap<String, Target>>> = LazyLock::new(Mutex::default);
static NEXT: AtomicUsize = AtomicUsize::new(0);

fn target(name: &str) -> Target {
    TARGETS.lock().unwrap().entry(name.to_owned()).or_default().clone()
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub target: String,
    pub password: SecretString,
    #[serde(default)]
    pub flaw: String,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Role {
    pub group: String,
    #[serde(default)]
    pub wait_ms: u64,
}

pub struct Memory {
    target: Target,
    installation: Installation,
    flaw: String,
    password: SecretString,
}

pub const PASSWORD: &str = "the engine's own";

impl Memory {
    fn is(&self, flaw: &str) -> bool {
        self.flaw == flaw
    }

    fn login(&self) -> Result<()> {
        if self.password.expose() == PASSWORD {
            return Ok(());
        }
        let said = if self.is("says the password") { self.password.expose() } else { "the password" };
        Err(EngineError::refused(format!("{said} is wrong")))
    }

    fn name(&self, lease: uuid::Uuid) -> String {
        if self.is("no mark") { format!("user_{lease}") } else { self.installation.name(lease) }
    }
}

impl Engine for Memory {
    const KIND: &'static str = "memory";
    const RESTORES: bool = true;
    type Config = Config;
    type Role = Role;

    async fn connect(config: Config, installation: Installation) -> Result<Self> {
        let Config { target: name, password, flaw } = config;
        Ok(Self { target: target(&name), installation, flaw, password })
    }

    async fn check(&self) -> Result<()> {
        self.login()
    }

    async fn issue(&self, role: &Role, lease: &Lease) -> Result<Issued> {
        self.login()?;
        match role.group.as_str() {
            "panic" => panic!("hunter2"),
            "hang" => std::future::pending().await,
            "block" => std::thread::sleep(Duration::from_secs(3)),
            "long" => {
                return Ok(Issued {
                    credentials: json!({ "password": "x".repeat(17 << 20) }),
                    handle: json!({}),
                });
            }
            _ => tokio::time::sleep(Duration::from_millis(role.wait_ms)).await,
        }
        let name =
            if self.is("random names") { self.name(uuid::Uuid::new_v4()) } else { self.name(lease.id) };
        let password = match self.is("one password") {
            true => "always".to_owned(),
            false => PasswordPolicy::default().generate().expose().to_owned(),
        };
        self.target.lock().unwrap().insert(name.clone(), password.clone());
        let handle =
            if self.is("secret handle") { json!({ "p": password }) } else { json!({ "username": name }) };
        Ok(Issued { credentials: json!({ "username": name, "password": password }), handle })
    }

    async fn renew(&self, _: &Role, _: &Lease, _: &Value) -> Result<()> {
        self.login()
    }

    async fn revoke(&self, revocation: &Revocation<Role>) -> Result<()> {
        self.login()?;
        if self.is("needs the handle") && revocation.handle.is_none() {
            return Ok(());
        }
        let mut target = self.target.lock().unwrap();
        if self.is("clears") {
            target.clear();
        }
        match target.remove(&self.name(revocation.lease_id)) {
            None if self.is("not found") => Err(EngineError::refused("there is no such account")),
            _ => Ok(()),
        }
    }

    async fn try_credentials(&self, credentials: &Value) -> Result<()> {
        let text = |name: &str| credentials[name].as_str().unwrap_or_default().to_owned();
        match self.target.lock().unwrap().get(&text("username")) {
            Some(password) if *password == text("password") => Ok(()),
            _ if self.is("says the password") => Err(EngineError::refused(text("password"))),
            _ => Err(EngineError::refused("the target refuses the login")),
        }
    }

    async fn list(&self) -> Result<Vec<Account>> {
        self.login()?;
        let target = self.target.lock().unwrap();
        let account = |name: &String| match self.installation.lease_of(name) {
            None if self.is("lists all") => Some(Account { name: name.clone(), lease_id: uuid::Uuid::nil() }),
            lease => lease.map(|lease_id| Account { name: name.clone(), lease_id }),
        };
        Ok(target.keys().filter_map(account).collect())
    }

    async fn restore(&self, live: &Live<Role>) -> Result<()> {
        self.login()?;
        let password = live.credentials["password"].as_str().unwrap_or_default();
        let password = if self.is("restores another") { "another" } else { password };
        self.target.lock().unwrap().insert(self.name(live.lease.id), password.to_owned());
        Ok(())
    }
}

/// A new target and an engine without a flaw.
pub struct InMemory {
    pub name: String,
}

impl InMemory {
    pub fn target(&self) -> Target {
        target(&self.name)
    }

    pub fn config_with(&self, flaw: &str) -> Value {
        json!({ "target": self.name, "password": PASSWORD, "flaw": flaw })
    }
}

impl Fixture for InMemory {
    type Engine = Memory;

    async fn start() -> Self {
        Self { name: NEXT.fetch_add(1, Ordering::Relaxed).to_string() }
    }

    fn config(&self) -> Value {
        self.config_with("")
    }

    fn role(&self) -> Value {
        json!({ "group": "staff" })
    }

    fn secrets(&self) -> Vec<String> {
        vec![PASSWORD.to_owned()]
    }

    async fn works(&self, credentials: &Value) -> bool {
        let target = self.target();
        let target = target.lock().unwrap();
        let password = credentials["username"].as_str().and_then(|name| target.get(name));
        password.is_some_and(|password| credentials["password"] == json!(password))
    }

    async fn accounts(&self) -> Vec<String> {
        let target = self.target();
        let target = target.lock().unwrap();
        target.keys().filter(|name| installation().lease_of(name).is_some()).cloned().collect()
    }

    async fn plant_foreign(&self) {
        self.target().lock().unwrap().insert("boss".to_owned(), "hers".to_owned());
    }

    async fn foreign_is_there(&self) -> bool {
        self.target().lock().unwrap().get("boss").is_some_and(|password| password == "hers")
    }
}
