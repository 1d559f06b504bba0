//! An engine that misbehaves, for tests of the engine host: what one role asks for, it does. Never for use.
//!
//! A role is `{"do": "..."}` for `issue`. What is tried against the server or the machine comes back as the credentials, one text
//! for each attempt: `denied: ...` or what it got. The marker [`MODE`] is changed in copies of the file, for what goes wrong
//! before there is a role.
#![allow(unsafe_code, clippy::unwrap_used, reason = "misbehaves on purpose, and is never used")]

mod attempts;
mod misdeeds;

use schemars::JsonSchema;
use secrethub_engine::{
    Engine, EngineError, Installation, Issued, Lease, Result, Revocation, SecretString, serve,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::os::raw::c_int;
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::time::Duration;

/// What this copy of the file does when it is served: tests write another word over the dots.
#[used]
static MODE: [u8; 40] = *b"secrethub-hostile-mode=serve............";

/// The socket, for what [`serve`] would not send.
static SOCKET: AtomicI32 = AtomicI32::new(-1);
static CALLS: AtomicU64 = AtomicU64::new(0);

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Shown in what is issued.
    #[serde(default)]
    label: String,
    /// Refused if it is `wrong`.
    #[serde(default)]
    password: SecretString,
    /// Leaves the process at connecting.
    #[serde(default)]
    exit: bool,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// The misdeed.
    #[serde(rename = "do")]
    deed: String,
    /// What it is about: a path, a process id, milliseconds.
    #[serde(default)]
    with: String,
}

pub struct Hostile {
    config: Config,
}

impl Engine for Hostile {
    const KIND: &'static str = "hostile";
    type Config = Config;
    type Role = Role;

    async fn connect(config: Config, _: Installation) -> Result<Self> {
        if config.exit {
            std::process::exit(9);
        }
        if config.password.expose() == "wrong" {
            return Err(EngineError::bad_input("password", "is wrong"));
        }
        Ok(Self { config })
    }

    async fn check(&self) -> Result<()> {
        Ok(())
    }

    async fn issue(&self, role: &Role, _: &Lease) -> Result<Issued> {
        let calls = CALLS.fetch_add(1, Ordering::Relaxed) + 1;
        let credentials = match role.deed.as_str() {
            "nothing" => json!({ "label": self.config.label, "pid": std::process::id(), "calls": calls }),
            "retry" => return Err(EngineError::retry("the target is down")),
            "refuse" => return Err(EngineError::refused(format!("no\u{7}\n{}", "x".repeat(9000)))),
            "sleep" => {
                tokio::time::sleep(Duration::from_millis(role.with.parse().unwrap_or(0))).await;
                json!({ "slept": role.with })
            }
            "attempts" => attempts::all(&role.with),
            "resolve" => json!({ "localhost": attempts::resolve("localhost") }),
            deed => misdeeds::commit(deed, SOCKET.load(Ordering::Relaxed)),
        };
        Ok(Issued { credentials, handle: json!({}) })
    }

    async fn renew(&self, _: &Role, _: &Lease, _: &Value) -> Result<()> {
        Ok(())
    }

    async fn revoke(&self, revocation: &Revocation<Role>) -> Result<()> {
        match &revocation.role {
            Some(role) if role.deed == "retry" => Err(EngineError::retry("the target is down")),
            _ => Ok(()),
        }
    }
}

/// What `export_engine!` exports, by hand.
#[unsafe(no_mangle)]
pub static SECRETHUB_ENGINE_ABI: u32 = secrethub_engine::ABI;

/// Serves, or not, as [`MODE`] says.
#[unsafe(no_mangle)]
pub extern "C" fn secrethub_engine_serve(fd: c_int) -> c_int {
    SOCKET.store(fd, Ordering::Relaxed);
    match mode().as_str() {
        "serve" => serve::run::<Hostile>(fd, env!("CARGO_PKG_VERSION")),
        mode => misdeeds::greet(mode, fd),
    }
}

/// The word in the marker, read from memory: the compiler must not know it.
fn mode() -> String {
    // SAFETY: a static of this crate
    let marker = unsafe { std::ptr::read_volatile(&raw const MODE) };
    let text = String::from_utf8_lossy(&marker).into_owned();
    text.split('=').nth(1).unwrap_or("").trim_end_matches('.').to_owned()
}
