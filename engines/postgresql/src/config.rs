//! How to reach the target, and what can be wrong with that.

use schemars::JsonSchema;
use secrethub_engine::{EngineError, Installation, NameTemplate, PasswordPolicy, Result, SecretString};
use serde::{Deserialize, Serialize};

/// The longest name that PostgreSQL takes, in bytes. It cuts longer ones off without an error.
pub(crate) const MAX_NAME: usize = 63;

/// A PostgreSQL server (12 or later) and the account that manages others on it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Name or address of the server. Credentials repeat it, so it must be one that their users reach too.
    #[schemars(extend("x-target" = true))]
    pub host: String,
    /// TCP port.
    #[serde(default = "default_port")]
    #[schemars(range(min = 1), extend("x-target" = true))]
    pub port: u16,
    /// The database that the engine logs in to, and that credentials are for unless their role says otherwise.
    #[serde(default = "default_database")]
    pub database: String,
    /// The engine's own account: a superuser, or one with CREATEROLE and ADMIN OPTION on the groups of the roles.
    pub username: String,
    /// Its password. After a rotation only the engine knows it.
    pub password: SecretString,
    /// How the connection is protected.
    #[serde(default)]
    pub tls: TlsMode,
    /// Certificates in PEM that the server's must lead back to; without it, the ones that the system trusts. Only with
    /// `verify-full`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_pem: Option<String>,
    /// How long making a connection may take, TLS and login included: 1 to 60 seconds.
    #[serde(default = "default_connect_timeout")]
    #[schemars(range(min = 1, max = 60))]
    pub connect_timeout_seconds: u32,
    /// How long one statement may take: 1 to 300 seconds. It waits for a lock for half of that at most.
    #[serde(default = "default_statement_timeout")]
    #[schemars(range(min = 1, max = 300))]
    pub statement_timeout_seconds: u32,
    /// The most connections at a time, to all databases together: 1 to 64.
    #[serde(default = "default_max_connections")]
    #[schemars(range(min = 1, max = 64))]
    pub max_connections: u32,
    /// How accounts are named: text with `{{installation}}` and `{{lease}}`, each once; at most 63 bytes when filled in (the
    /// two take 34), of letters, digits, `_`, `-` and `.`. Revoke what was issued before changing it.
    #[serde(default = "default_username_template")]
    #[schemars(extend("x-target" = true))]
    pub username_template: String,
    /// What passwords are made of.
    #[serde(default)]
    pub password_policy: PasswordPolicy,
}

/// How a connection is protected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TlsMode {
    /// Not at all: for a server on the same machine.
    Disable,
    /// Encrypted, but to whoever answers: the certificate is not looked at.
    Require,
    /// Encrypted, and the server's certificate must be trusted and have its name.
    #[default]
    VerifyFull,
}

fn default_port() -> u16 {
    5432
}

fn default_database() -> String {
    "postgres".to_owned()
}

fn default_connect_timeout() -> u32 {
    5
}

fn default_statement_timeout() -> u32 {
    30
}

fn default_max_connections() -> u32 {
    8
}

fn default_username_template() -> String {
    NameTemplate::DEFAULT.to_owned()
}

impl Config {
    /// # Errors
    /// [`EngineError::bad_input`] naming the first field that will not do.
    pub(crate) fn validate(&self) -> Result<()> {
        host(&self.host)?;
        if self.port == 0 {
            return Err(EngineError::bad_input("port", "is 1 to 65535"));
        }
        name("database", &self.database)?;
        name("username", &self.username)?;
        if self.password.is_empty() {
            return Err(EngineError::bad_input("password", "is empty"));
        }
        if self.ca_pem.is_some() && self.tls != TlsMode::VerifyFull {
            return Err(EngineError::bad_input("ca_pem", "is looked at only with tls verify-full"));
        }
        within("connect_timeout_seconds", self.connect_timeout_seconds, 60)?;
        within("statement_timeout_seconds", self.statement_timeout_seconds, 300)?;
        within("max_connections", self.max_connections, 64)?;
        self.names()?;
        self.password_policy.validate("password_policy")
    }

    /// How accounts are named.
    pub(crate) fn names(&self) -> Result<NameTemplate> {
        let field = "username_template";
        if self.username_template.starts_with("pg_") {
            return Err(EngineError::bad_input(
                field,
                "must not begin with pg_: PostgreSQL keeps such names for itself",
            ));
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        NameTemplate::parse(field, &self.username_template, MAX_NAME, allowed)
    }

    /// Whether a name is of an account that the engine manages, or of its own account: nothing else may change those.
    pub(crate) fn is_own(&self, installation: &Installation, account: &str) -> bool {
        account == self.username
            || installation.lease_of(account).is_some()
            || self.names().is_ok_and(|names| names.lease_of(installation, account).is_some())
    }
}

/// A name or address, not a socket's path, a list or a URL: the driver would read those as something else.
fn host(text: &str) -> Result<()> {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
    if text.is_empty() || text.len() > 255 || !text.chars().all(fits) {
        return Err(EngineError::bad_input("host", "is not a host name or an IP address"));
    }
    Ok(())
}

/// A name of PostgreSQL's: 1 to 63 bytes.
pub(crate) fn name(field: &str, text: &str) -> Result<()> {
    if text.is_empty() || text.len() > MAX_NAME || text.contains('\0') {
        return Err(EngineError::bad_input(field, "is not a name of 1 to 63 bytes"));
    }
    Ok(())
}

fn within(field: &str, number: u32, most: u32) -> Result<()> {
    if (1..=most).contains(&number) {
        Ok(())
    } else {
        Err(EngineError::bad_input(field, format!("is 1 to {most}")))
    }
}
