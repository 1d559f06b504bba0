//! Credentials as files in a directory: the smallest engine that does everything, to copy.
//!
//! The "target" is a directory that some program reads its accounts from. Each account is one file, named like the account,
//! with a SHA-256 of its password. What an engine must do is in the documentation of `secrethub_engine`; the comments here say
//! how this one does it.

use schemars::JsonSchema;
use secrethub_engine::{
    Account, Engine, EngineError, Installation, Issued, Lease, Live, PasswordPolicy, Result, Revocation,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use tokio::fs;
use tokio::io::AsyncWriteExt;

/// How to reach the target. The comments of the fields are what operators read in the JSON Schema.
///
/// A secret would be a `SecretString`, which keeps it out of `Debug`, logs and what the server shows.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The directory that accounts are kept in, as an absolute path. The plugin's pin must let it write there.
    #[schemars(extend("x-target" = true))]
    pub directory: PathBuf,
    /// What passwords are made of.
    #[serde(default)]
    pub password: PasswordPolicy,
}

/// What is issued: one of these for each path that credentials are issued at.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// The group that accounts belong to: letters, digits, `-` and `_`.
    pub group: String,
}

/// What a file holds.
#[derive(Serialize, Deserialize)]
struct Entry {
    group: String,
    password_sha256: String,
}

/// What `issue` answers and what `try_credentials` and `restore` get back.
#[derive(Deserialize)]
struct Credentials {
    username: String,
    password: String,
}

/// The engine: its configuration and whose it is. It keeps nothing else, since its process can end at any time.
pub struct Files {
    config: Config,
    installation: Installation,
}

secrethub_engine::export_engine!(Files);

impl Engine for Files {
    const KIND: &'static str = "files";
    const RESTORES: bool = true;
    type Config = Config;
    type Role = Role;

    // only looks at the configuration: an engine whose target is down must start all the same
    async fn connect(config: Config, installation: Installation) -> Result<Self> {
        if !config.directory.is_absolute() {
            return Err(EngineError::bad_input("directory", "must be an absolute path"));
        }
        config.password.validate("password")?;
        Ok(Self { config, installation })
    }

    // does what issuing needs, and leaves nothing behind
    async fn check(&self) -> Result<()> {
        let probe = format!(".{}.check", self.installation);
        self.write(&probe, b"").await?;
        self.remove(&probe).await
    }

    async fn check_role(&self, role: &Role) -> Result<()> {
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if role.group.is_empty() || !role.group.chars().all(fits) {
            return Err(EngineError::bad_input("group", "must be letters, digits, '-' and '_'"));
        }
        Ok(())
    }

    // the name comes from the lease id alone, so that `revoke` finds the file even if this answer is lost; a second call
    // writes the same file again, so that the first password ends
    async fn issue(&self, role: &Role, lease: &Lease) -> Result<Issued> {
        self.check_role(role).await?;
        let username = self.installation.name(lease.id);
        let password = self.config.password.generate();
        self.put(&username, role, password.expose()).await?;
        Ok(Issued {
            credentials: json!({ "username": username, "password": password.expose(), "group": role.group }),
            handle: json!({ "username": username }),
        })
    }

    // this target knows no expiry: there is nothing to prolong, but a lost account should not look alive
    async fn renew(&self, _: &Role, lease: &Lease, _: &Value) -> Result<()> {
        match self.get(&self.installation.name(lease.id)).await? {
            Some(_) => Ok(()),
            None => Err(EngineError::refused("the account is gone from the directory")),
        }
    }

    // needs nothing but the id, and a file that is not there is as good as removed
    async fn revoke(&self, revocation: &Revocation<Role>) -> Result<()> {
        let name = self.installation.name(revocation.lease_id);
        self.remove(&temporary(&name)).await?;
        self.remove(&name).await
    }

    // from here on all is optional

    async fn try_credentials(&self, credentials: &Value) -> Result<()> {
        let Credentials { username, password } = read(credentials)?;
        // a name from outside must not lead out of the directory
        if self.installation.lease_of(&username).is_none() {
            return Err(EngineError::refused("the account is not this installation's"));
        }
        match self.get(&username).await? {
            Some(entry) if entry.password_sha256 == hash(&password) => Ok(()),
            _ => Err(EngineError::refused("the directory has no such account and password")),
        }
    }

    async fn list(&self) -> Result<Vec<Account>> {
        let mut accounts = Vec::new();
        let mut files = fs::read_dir(&self.config.directory).await.map_err(failed)?;
        while let Some(file) = files.next_entry().await.map_err(failed)? {
            // names that do not carry the installation's mark are somebody else's
            let name = file.file_name().to_string_lossy().into_owned();
            if let Some(lease_id) = self.installation.lease_of(&name) {
                accounts.push(Account { name, lease_id });
            }
        }
        Ok(accounts)
    }

    async fn restore(&self, live: &Live<Role>) -> Result<()> {
        let Credentials { password, .. } = read(&live.credentials)?;
        self.put(&self.installation.name(live.lease.id), &live.role, &password).await
    }
}

impl Files {
    async fn put(&self, name: &str, role: &Role, password: &str) -> Result<()> {
        let entry = Entry { group: role.group.clone(), password_sha256: hash(password) };
        let bytes = serde_json::to_vec(&entry).map_err(|error| failed(error.into()))?;
        self.write(name, &bytes).await
    }

    async fn get(&self, name: &str) -> Result<Option<Entry>> {
        match fs::read(self.config.directory.join(name)).await {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|_| EngineError::refused(format!("the file {name} is not an account's: remove it"))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    /// Whole or not at all: under another name first, which a reader does not take for an account.
    async fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let from = self.config.directory.join(temporary(name));
        let to = self.config.directory.join(name);
        let written = async {
            let mut options = fs::OpenOptions::new();
            let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&from).await?;
            file.write_all(bytes).await?;
            file.sync_all().await?;
            fs::rename(&from, &to).await
        };
        written.await.map_err(failed)
    }

    async fn remove(&self, name: &str) -> Result<()> {
        match fs::remove_file(self.config.directory.join(name)).await {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(failed(error)),
            _ => Ok(()),
        }
    }
}

/// The name of a file that is being written.
fn temporary(name: &str) -> String {
    format!(".{name}.new")
}

/// Random passwords need no slow hash.
fn hash(password: &str) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(password))
}

fn read(credentials: &Value) -> Result<Credentials> {
    // serde's message would repeat what does not fit
    Credentials::deserialize(credentials)
        .map_err(|_| EngineError::refused("these are not this engine's credentials"))
}

/// Says whether trying again may help, and nothing that is a secret.
fn failed(error: io::Error) -> EngineError {
    let message = format!("the directory cannot be used: {}", error.kind());
    match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::NotFound | ErrorKind::NotADirectory => {
            EngineError::refused(message)
        }
        _ => EngineError::retry(message),
    }
}
