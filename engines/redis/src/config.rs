//! How to reach the target.

use deadpool_redis::redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, RedisConnectionInfo,
    TlsCertificates,
};
use schemars::JsonSchema;
use secrethub_engine::{EngineError, NameTemplate, PasswordPolicy, Result, SecretString};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The account that a connection without a name belongs to.
pub const DEFAULT_ACCOUNT: &str = "default";
/// The most nodes: each command goes to all of them.
const MAX_NODES: usize = 64;
const LONGEST_NAME: usize = 120;

/// How to reach the Redis servers, and with which account.
///
/// The account needs `+ping +unwatch +acl|whoami +acl|users +acl|setuser +acl|deluser`, for the ACL to survive restarts
/// `+acl|save` or `+config|rewrite`, and for the rotation of accounts `+acl|getuser`. Redis 6.2 or later.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Every server that has the data, replicas too, the one that clients use first: Redis does not replicate its ACL.
    #[schemars(extend("x-target" = true))]
    pub nodes: Vec<Address>,
    /// The account that this engine logs in with; `default` unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Its password, the same on every node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretString>,
    /// TLS to every node, if given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,
    /// The number of the database that is named in issued credentials.
    #[serde(default)]
    pub database: u32,
    /// What to do where a node can store its ACL neither by `ACL SAVE` nor by `CONFIG REWRITE`.
    #[serde(default)]
    pub persistence: Persistence,
    /// Milliseconds until a connection must stand, 100 to 60000.
    #[serde(default = "connect_timeout")]
    pub connect_timeout_ms: u64,
    /// Milliseconds until a command must be answered, 100 to 60000.
    #[serde(default = "response_timeout")]
    pub response_timeout_ms: u64,
    /// How accounts are named: `{{installation}}` and `{{lease}}`, each once, at most 120 characters without spaces.
    #[serde(default = "username_template")]
    #[schemars(extend("x-target" = true))]
    pub username_template: String,
    /// What passwords are made of.
    #[serde(default)]
    pub password_policy: PasswordPolicy,
}

/// One Redis server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Address {
    /// A name or an IP address.
    pub host: String,
    #[serde(default = "port")]
    pub port: u16,
}

/// Whose certificates are trusted. The host's name is always checked.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Certificates of authorities in PEM; the public authorities unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_pem: Option<String>,
}

/// What a node without a place for its ACL means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Persistence {
    /// Credentials are issued, and their handle says `"persistence": "none"`: they end when the node restarts, unless
    /// they are restored.
    #[default]
    BestEffort,
    /// Checking and issuing fail.
    Required,
}

fn port() -> u16 {
    6379
}

fn connect_timeout() -> u64 {
    2000
}

fn response_timeout() -> u64 {
    5000
}

fn username_template() -> String {
    NameTemplate::DEFAULT.to_owned()
}

impl Config {
    /// Checks what the types do not.
    ///
    /// # Errors
    /// [`EngineError::bad_input`] naming the field.
    pub fn validate(&self) -> Result<NameTemplate> {
        if self.nodes.is_empty() || self.nodes.len() > MAX_NODES {
            return Err(EngineError::bad_input("nodes", format!("must be 1 to {MAX_NODES} servers")));
        }
        for (number, address) in self.nodes.iter().enumerate() {
            let field = |name: &str| format!("nodes[{number}].{name}");
            if address.host.is_empty() || address.host.chars().any(|c| c.is_whitespace() || c == '/') {
                return Err(EngineError::bad_input(field("host"), "must be a host's name or address"));
            }
            if address.port == 0 {
                return Err(EngineError::bad_input(field("port"), "must not be 0"));
            }
            if self.nodes[..number].contains(address) {
                return Err(EngineError::bad_input(format!("nodes[{number}]"), "is there twice"));
            }
        }
        if self.username.as_ref().is_some_and(|name| name.is_empty() || name.contains([' ', '\0'])) {
            return Err(EngineError::bad_input("username", "must not be empty or contain spaces"));
        }
        if self.password.as_ref().is_some_and(SecretString::is_empty) {
            return Err(EngineError::bad_input("password", "must not be empty: leave it out"));
        }
        if self.username.is_some() && self.password.is_none() {
            return Err(EngineError::bad_input("password", "is missing: an account with a name needs one"));
        }
        for (field, value) in [
            ("connect_timeout_ms", self.connect_timeout_ms),
            ("response_timeout_ms", self.response_timeout_ms),
        ] {
            if !(100..=60_000).contains(&value) {
                return Err(EngineError::bad_input(field, "must be 100 to 60000"));
            }
        }
        self.password_policy.validate("password_policy")?;
        NameTemplate::parse("username_template", &self.username_template, LONGEST_NAME, |c| {
            c.is_ascii_graphic()
        })
    }

    /// The name of the engine's own account.
    pub fn account(&self) -> &str {
        self.username.as_deref().unwrap_or(DEFAULT_ACCOUNT)
    }

    /// Where a node is, and how it is known to be it.
    ///
    /// # Errors
    /// [`EngineError::bad_input`] for certificates that cannot be read.
    pub fn address(&self, node: &Address) -> Result<ConnectionAddr> {
        let (host, port) = (node.host.clone(), node.port);
        let Some(tls) = &self.tls else { return Ok(ConnectionAddr::Tcp(host, port)) };
        let addr = ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None };
        let Some(pem) = &tls.ca_pem else { return Ok(addr) };
        let unreadable = || EngineError::bad_input("tls.ca_pem", "must be certificates in PEM");
        if !pem.contains("-----BEGIN CERTIFICATE-----") {
            return Err(unreadable());
        }
        let certificates = TlsCertificates { client_tls: None, root_cert: Some(pem.clone().into_bytes()) };
        let client = Client::build_with_tls(addr, certificates).map_err(|_| unreadable())?;
        Ok(client.get_connection_info().addr().clone())
    }

    pub fn timeouts(&self) -> AsyncConnectionConfig {
        AsyncConnectionConfig::new()
            .set_connection_timeout(Some(Duration::from_millis(self.connect_timeout_ms)))
            .set_response_timeout(Some(Duration::from_millis(self.response_timeout_ms)))
    }
}

/// A login at a node that sends nothing but it: an account without rights can do as much.
///
/// # Errors
/// [`EngineError::bad_input`], which does not happen to an address that is made already.
pub fn login(
    addr: &ConnectionAddr,
    username: Option<&str>,
    password: Option<&str>,
) -> Result<ConnectionInfo> {
    let mut settings = RedisConnectionInfo::default().set_skip_set_lib_name();
    if let Some(username) = username {
        settings = settings.set_username(username);
    }
    if let Some(password) = password {
        settings = settings.set_password(password);
    }
    let info = addr.clone().into_connection_info();
    let info = info.map_err(|_| EngineError::bad_input("nodes", "must be servers"))?;
    Ok(info.set_redis_settings(settings))
}
