//! The clients of `playground/examples` against a server: they log in, read, list, and know a refusal by its code.

use crate::support::{Server, Store};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("playground/examples").join(name)
}

#[track_caller]
fn well(output: Output) -> String {
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{errors}");
    said
}

/// Makes a role that may read, and runs a client as it.
async fn run(mut client: Command) {
    let server = Server::dev(Store::Sqlite).await;
    for n in 1..=5 {
        server.put(&server.root, &format!("app.s{n}"), json!({"password": "not-to-be-printed"})).await.ok();
    }
    let rules = json!({"version": 1, "allowed_secrets": ["app.*"], "allowed_operations": ["read", "list"]});
    server.create_policy("reads", rules).await;
    let role_id = server.create_role("app", json!({"policies": ["reads"]})).await;
    let (secret_id, _) = server.generate_secret_id("app", json!({})).await;
    client
        .args(["app.s3", "app"])
        .env("SECRETHUB_ADDR", server.address())
        .env("SECRETHUB_ROLE_ID", role_id)
        .env("SECRETHUB_SECRET_ID", secret_id);
    let said = well(tokio::task::spawn_blocking(move || client.output().unwrap()).await.unwrap());
    assert!(!said.contains("not-to-be-printed"), "{said}");
    let found: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(
        found,
        json!({
            "policies": ["reads"], "keys": ["password"], "version": 1, "write": "FORBIDDEN",
            "paths": ["app.s1", "app.s2", "app.s3", "app.s4", "app.s5"],
        })
    );
}

/// The types are generated anew, so an operation that does not fit the schema does not compile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_typescript_client_works() {
    let folder = folder("typescript");
    well(Command::new("npm").args(["run", "build"]).current_dir(&folder).output().unwrap());
    let mut client = Command::new("node");
    client.arg(folder.join("dist/main.js"));
    run(client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_client_works() {
    let python =
        std::env::var("SECRETHUB_TEST_PYTHON_CLIENT").expect("tests/run makes an environment for it");
    let mut client = Command::new(python);
    client.arg(folder("python").join("main.py")).env("PYTHONDONTWRITEBYTECODE", "1");
    run(client).await;
}
