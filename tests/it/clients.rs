//! The clients of `playground/examples` against a server: they log in, read, list, know a refusal by its code, and follow
//! changes across a restart of the server.

use crate::support::{Server, Store};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Lines, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};

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

/// A client that runs: what it prints, line by line.
struct Client {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Client {
    fn start(mut command: Command) -> Self {
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self { process, lines }
    }

    /// Waits for the next line; none if it ended well.
    async fn next(&mut self) -> Option<Value> {
        tokio::task::block_in_place(|| match self.lines.next() {
            Some(line) => {
                let line = line.unwrap();
                assert!(!line.contains("not-to-be-printed"), "{line}");
                Some(serde_json::from_str(&line).unwrap())
            }
            None => {
                let status = self.process.wait().unwrap();
                let mut errors = String::new();
                self.process.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
                assert!(status.success(), "{status} {errors}");
                None
            }
        })
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Makes a role that may read, and runs a client as it, which follows two changes: one before and one after a restart. The
/// server's address may end with a slash.
async fn run(mut client: Command, slash: &str) {
    let mut server = Server::unsealed(Store::Sqlite).await;
    for n in 1..=5 {
        server.put(&server.root, &format!("app.s{n}"), json!({"password": "not-to-be-printed"})).await.ok();
    }
    let rules = json!({"version": 1, "allowed_secrets": ["app.*"], "allowed_operations": ["read", "list"]});
    server.create_policy("reads", rules).await;
    let role_id = server.create_role("app", json!({"policies": ["reads"]})).await;
    let (secret_id, _) = server.generate_secret_id("app", json!({})).await;
    client
        .args(["app.s3", "app", "2"])
        .env("SECRETHUB_ADDR", format!("{}{slash}", server.address()))
        .env("SECRETHUB_ROLE_ID", role_id)
        .env("SECRETHUB_SECRET_ID", secret_id);
    let mut client = Client::start(client);
    assert_eq!(
        client.next().await,
        Some(json!({
            "policies": ["reads"], "keys": ["password"], "version": 1, "write": "FORBIDDEN",
            "paths": ["app.s1", "app.s2", "app.s3", "app.s4", "app.s5"],
        }))
    );
    // it may not know of this one
    server.put(&server.root, "other", json!({"password": "not-to-be-printed"})).await.ok();
    server.put(&server.root, "app.s1", json!({"password": "not-to-be-printed"})).await.ok();
    assert_eq!(client.next().await, Some(json!({"path": "app.s1", "kind": "UPDATED", "version": 2})));
    server.restart().await;
    server.unseal().await;
    server.put(&server.root, "app.new", json!({"password": "not-to-be-printed"})).await.ok();
    assert_eq!(client.next().await, Some(json!({"path": "app.new", "kind": "CREATED", "version": 1})));
    assert_eq!(client.next().await, None);
    // it logged out
    let open = "{ tokens(first: 10) { nodes { entity } } }";
    let tokens = server.as_root(open, json!({})).await.ok();
    assert!(!tokens.to_string().contains("role:app"), "{tokens}");
}

/// The types are generated anew, so an operation that does not fit the schema does not compile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_typescript_client_works() {
    let folder = folder("typescript");
    well(Command::new("npm").args(["run", "build"]).current_dir(&folder).output().unwrap());
    let mut client = Command::new("node");
    client.arg(folder.join("dist/main.js"));
    run(client, "").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_python_client_works() {
    let python =
        std::env::var("SECRETHUB_TEST_PYTHON_CLIENT").expect("tests/run makes an environment for it");
    let mut client = Command::new(python);
    client.arg(folder("python").join("main.py")).env("PYTHONDONTWRITEBYTECODE", "1");
    run(client, "/").await;
}
