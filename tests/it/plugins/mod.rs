//! Engines' processes, with a plugin that misbehaves in every way that is known (`engines/hostile`).

mod attempts;
mod life;
mod listing;
mod load;
mod misdeeds;

use secrethub::engine::{CallError, EngineSettings, Engines, Lane, PluginPin, Target};
use secrethub::model::clock::SystemClock;
use secrethub_engine::wire::Operation;
use secrethub_engine::{Installation, Lease};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(30);
const MARKER: &[u8] = b"secrethub-hostile-mode=";

/// The built plugin, beside the program.
fn hostile() -> PathBuf {
    let program = Path::new(env!("CARGO_BIN_EXE_secrethub"));
    let file = program.with_file_name("libsecrethub_engine_hostile.so");
    assert!(file.exists(), "the plugins are not built: run 'cargo build --workspace' first");
    file
}

fn pin(file: &Path) -> PluginPin {
    let hash = data_encoding::HEXLOWER.encode(&Sha256::digest(std::fs::read(file).unwrap()));
    PluginPin { file: file.to_owned(), sha256: Some(hash), read: vec![], write: vec![] }
}

/// A copy of the plugin that behaves as `mode` says when it is served.
fn copy(folder: &Path, mode: &str) -> PathBuf {
    let mut bytes = std::fs::read(hostile()).unwrap();
    let at = bytes.windows(MARKER.len()).position(|window| window == MARKER).unwrap() + MARKER.len();
    bytes[at..at + 17].copy_from_slice(format!("{mode:.<17}").as_bytes());
    let file = folder.join(format!("hostile-{mode}.so"));
    std::fs::write(&file, bytes).unwrap();
    file
}

fn settings(plugins: Vec<PluginPin>) -> EngineSettings {
    let host_program = env!("CARGO_BIN_EXE_secrethub").into();
    EngineSettings { host_program, plugins, ..EngineSettings::default() }
}

fn engines() -> Engines {
    start(settings(vec![pin(&hostile())]))
}

fn start(settings: EngineSettings) -> Engines {
    Engines::new(settings, Arc::new(SystemClock))
}

fn target(version: i64, config: Value) -> Target {
    Target {
        id: Uuid::now_v7(),
        name: "tests".to_owned(),
        kind: "hostile".to_owned(),
        version,
        config: Arc::new(move || Ok(config.clone())),
    }
}

fn plain() -> Target {
    target(1, json!({ "label": "plain" }))
}

fn installation() -> Installation {
    Installation::from_bytes([1, 2, 3, 4, 5])
}

fn role(deed: &str, with: &str) -> Operation {
    Operation::Issue {
        role: json!({ "do": deed, "with": with }),
        lease: Lease { id: Uuid::now_v7(), expires_at: chrono::DateTime::UNIX_EPOCH },
    }
}

async fn ask(
    engines: &Engines,
    target: &Target,
    operation: Operation,
    deadline: Duration,
) -> Result<Value, CallError> {
    let answer = engines.call(target, &installation(), operation, deadline, Lane::Caller).await?;
    Ok(answer["credentials"].clone())
}

/// Asks for nothing in particular; which process answers.
async fn pid(engines: &Engines, target: &Target) -> u64 {
    ask(engines, target, role("nothing", ""), PATIENCE).await.unwrap()["pid"].as_u64().unwrap()
}

/// The same as soon as the back-off lets it.
async fn pid_again(engines: &Engines, target: &Target) -> u64 {
    for _ in 0..200 {
        match ask(engines, target, role("nothing", ""), PATIENCE).await {
            Ok(answer) => return answer["pid"].as_u64().unwrap(),
            Err(CallError::Unavailable { .. }) => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the engine did not come back");
}

/// Whether a process is there; one that only waits to be fetched is not.
fn is_alive(pid: u64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

async fn gone(pid: u64) {
    for _ in 0..200 {
        if !is_alive(pid) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("process {pid} is still there");
}

fn is_unavailable<T: std::fmt::Debug>(outcome: &Result<T, CallError>) -> bool {
    matches!(outcome, Err(CallError::Unavailable { .. }))
}
