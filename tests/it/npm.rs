//! What the authors of the specifications have written to check servers, and their own clients, from npm: `tests/node`, installed by
//! `tests/run`.

use crate::support::{Options, Server, Store};
use std::path::Path;
use std::process::Stdio;

/// Runs a script of `tests/node` against a server; it says what is wrong and fails.
async fn run(script: &str, server: &Server) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node");
    assert!(folder.join("node_modules").exists(), "the npm packages are not installed: run tests/run");
    let output = tokio::process::Command::new("node")
        .arg(script)
        .current_dir(folder)
        .env("SECRETHUB_URL", format!("{}/graphql", server.address()))
        .env("SECRETHUB_TOKEN", &server.root)
        // whom the server is shown to be is tested with other clients
        .env("NODE_TLS_REJECT_UNAUTHORIZED", "0")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(std::time::Duration::from_secs(240), output).await;
    let output = output.expect("the script ends").expect("node is installed");
    let said = String::from_utf8_lossy(&output.stdout);
    eprintln!("{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script} failed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn graphql_http_audits() {
    run("audits.mjs", &Server::dev(Store::Sqlite).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn graphql_ws_client() {
    run("ws.mjs", &Server::dev(Store::Sqlite).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn graphql_ws_client_over_tls() {
    run("ws.mjs", &Server::start(Store::Sqlite, Options { tls: true, ..Options::default() }).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn graphql_sse_client() {
    run("sse.mjs", &Server::dev(Store::Sqlite).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_are_judged_as_graphql_js_judges_them() {
    run("validate.mjs", &Server::dev(Store::Sqlite).await).await;
}
