//! The page at `/` in a real browser: what people do there works, and what must never happen does not. The scenarios
//! themselves are in `playground/tests`.

use crate::support::redis::{self, RedisServer};
use crate::support::server::program;
use crate::support::{Options, Server, Store, text};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tokio::task::JoinHandle;

/// Runs a scenario of `playground/tests` with what it is told.
async fn scenario(name: &'static str, server: &Server, told: Value) {
    begin(name, server, told).await.unwrap();
}

/// The same, to go on meanwhile.
fn begin(name: &'static str, server: &Server, mut told: Value) -> JoinHandle<()> {
    told["url"] = json!(server.address());
    told["shares"] = json!(server.shares);
    let told = told.to_string();
    tokio::task::spawn_blocking(move || {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("playground");
        let mut child = Command::new("node")
            .arg(format!("tests/{name}.mjs"))
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("node is installed: run tests/run");
        child.stdin.take().unwrap().write_all(told.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{name}: {}\n{}\n{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    })
}

/// A server with the Redis engine, initialised and unsealed.
async fn server() -> Server {
    let file = program().with_file_name("libsecrethub_engine_redis.so");
    let bytes = std::fs::read(&file).expect("the plugins are built: run 'cargo build --workspace' first");
    let hash = data_encoding::HEXLOWER.encode(&Sha256::digest(bytes));
    let config = format!(
        "[graphql]\nintrospection = \"always\"\n[[engines.plugins]]\nfile = {file:?}\nsha256 = \"{hash}\"\n"
    );
    let mut server = Server::start(Store::Sqlite, Options { config, ..Options::server() }).await;
    server.initialize().await;
    server.unseal().await;
    server
}

/// The document of a policy for somebody who may do nothing here.
fn nothing() -> Value {
    json!({ "version": 1, "allowed_secrets": ["none"], "allowed_operations": ["list"] })
}

/// 61 secrets, one of them of two versions and with a number that no double holds.
async fn put_secrets(server: &Server) {
    for number in 0..60 {
        server
            .put(&server.root, &format!("prod.web.setting_{number:02}"), json!({ "value": number }))
            .await
            .ok();
    }
    let put = "mutation($data: JSON!) { putSecret(input: { path: \"prod.app.redis_url\", data: $data,
                 description: \"where the shop keeps its sessions\", metadata: { team: \"shop\" } }) { secret { version } } }";
    server.as_root(put, json!({ "data": { "value": "redis://old" } })).await.ok();
    // written by hand: a number in a variable would pass through a double here
    let put = "mutation { putSecret(input: { path: \"prod.app.redis_url\",
                 data: { value: \"redis://new\", big: 9007199254740993 } }) { secret { version } } }";
    server.as_root(put, json!({})).await.ok();
}

/// A Redis server, which goes when this value does, and roles of it at some paths.
async fn target(server: &Server, paths: &[&str]) -> RedisServer {
    let target = tokio::task::spawn_blocking(RedisServer::start).await.unwrap();
    let config =
        json!({ "nodes": [{ "host": "127.0.0.1", "port": target.port() }], "password": redis::PASSWORD });
    let enable = "mutation($config: JSON!) { enableEngine(input: { name: \"cache\", kind: \"redis\", config: $config }) {
                    engine { name } } }";
    server.as_root(enable, json!({ "config": config })).await.ok();
    let role = "mutation($path: SecretPath!) { putEngineRole(input: { path: $path, engine: \"cache\",
                  config: { rules: [\"~app:*\", \"+@read\"] } }) { secret { path } } }";
    for path in paths {
        server.as_root(role, json!({ "path": path })).await.ok();
    }
    target
}

async fn issue(server: &Server, path: &str, ttl_seconds: i64) {
    let issue = "mutation($path: SecretPath!, $ttl: Int!) {
                   issueCredentials(input: { path: $path, ttlSeconds: $ttl }) { lease { leaseId } } }";
    let issued = server.as_root(issue, json!({ "path": path, "ttl": ttl_seconds })).await.ok();
    assert!(!text(&issued, "/issueCredentials/lease/leaseId").is_empty());
}

/// A lease on a Redis server, which goes when this value does.
async fn issue_lease(server: &Server) -> RedisServer {
    let target = target(server, &["prod.cache.main"]).await;
    issue(server, "prod.cache.main", 3600).await;
    target
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sealed_server_is_unsealed_and_people_log_in() {
    let mut server = server().await;
    server.create_policy("nothing", nothing()).await;
    let role_id = server.create_role("visitor", json!({ "policies": ["nothing"], "ttlSeconds": 40 })).await;
    let (secret_id, _) = server.generate_secret_id("visitor", json!({})).await;
    server.restart().await;
    let told = json!({ "token": server.root, "roleId": role_id, "secretId": secret_id });
    scenario("entrance", &server, told).await;
}

/// A token that is good for ten requests, as a scenario is told of it.
async fn counted(server: &Server) -> Value {
    let create =
        "mutation { createToken(input: { policies: [\"nothing\"], numUses: 10 }) { token accessor } }";
    let made = server.as_root(create, json!({})).await.ok();
    let field = |name| text(&made, &format!("/createToken/{name}")).to_owned();
    json!({ "token": field("token"), "accessor": field("accessor"), "uses": 10 })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_panel_does_its_work() {
    let server = server().await;
    put_secrets(&server).await;
    let target = issue_lease(&server).await;
    server.create_policy("nothing", nothing()).await;
    let powerless = server.token_with(&["nothing"], json!({})).await;
    assert_eq!(target.users().len(), 1);
    let told = json!({ "token": server.root, "powerless": powerless, "counted": counted(&server).await });
    scenario("panels", &server, told).await;
    assert!(target.users().is_empty(), "what was revoked on the page is gone from its target");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_leases_those_that_end_next_are_shown() {
    let server = server().await;
    let paths = ["prod.cache.main", "prod.cache.soon", "prod.cache.next", "prod.cache.late"];
    let _target = target(&server, &paths).await;
    for _ in 0..101 {
        issue(&server, "prod.cache.main", 7200).await;
    }
    issue(&server, "prod.cache.soon", 300).await;
    scenario("leases", &server, json!({ "token": server.root, "leases": 102 })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_server_is_followed_again_once_it_is_unsealed() {
    let mut server = server().await;
    put_secrets(&server).await;
    let signals = tempfile::tempdir().unwrap();
    let told = json!({ "token": server.root, "folder": signals.path() });
    let running = begin("restart", &server, told);
    while !signals.path().join("followed").exists() {
        if running.is_finished() {
            return running.await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    server.kill9();
    tokio::time::sleep(Duration::from_secs(3)).await;
    server.launch().await;
    std::fs::write(signals.path().join("restarted"), "").unwrap();
    running.await.unwrap();
}

/// On a socket that the scenario plays itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_pushed_is_shown_and_a_broken_socket_is_taken_up_again() {
    let server = server().await;
    put_secrets(&server).await;
    scenario("live", &server, json!({ "token": server.root })).await;
}

/// With a manifest that names none of the page's operations.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_panels_work_where_only_trusted_documents_run() {
    let mut server = server().await;
    put_secrets(&server).await;
    let manifest = server.folder.path().join("documents.json");
    std::fs::write(&manifest, json!({ "me": "{ me { displayName } }" }).to_string()).unwrap();
    server.options.config =
        format!("[graphql]\ndocuments = \"trusted-only\"\npersisted_documents = {manifest:?}\n");
    server.restart().await;
    scenario("trusted", &server, json!({ "token": server.root })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn axe_finds_nothing_serious() {
    let server = server().await;
    put_secrets(&server).await;
    let _target = issue_lease(&server).await;
    scenario("access", &server, json!({ "token": server.root })).await;
}

/// What a door of the page answers, by the headers asked with.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_is_served_with_its_policy_and_can_be_switched_off() {
    let server = Server::dev(Store::Sqlite).await;
    let page = server.http.get(server.address()).send().await.unwrap();
    assert_eq!(page.status(), 200);
    let header = |name: &str| page.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "text/html; charset=utf-8");
    assert_eq!(header("cache-control"), "no-cache");
    let policy = header("content-security-policy");
    for part in ["default-src 'none'", "script-src 'self';", "connect-src 'self'", "frame-ancestors 'none'"] {
        assert!(policy.contains(part), "{policy}");
    }
    assert!(!policy.contains("unsafe-eval"), "{policy}");
    assert_eq!(header("cross-origin-opener-policy"), "same-origin");
    assert_eq!(header("referrer-policy"), "no-referrer");
    // this client does not take brotli
    assert!(page.headers().get("content-encoding").is_none());
    let html = page.text().await.unwrap();
    let script =
        html.split("src=\"./").nth(1).and_then(|rest| rest.split('"').next()).expect("the page has a script");

    let script = format!("{}/{script}", server.address());
    let plain = server.http.get(&script).send().await.unwrap();
    assert_eq!(plain.headers()["content-type"], "text/javascript; charset=utf-8");
    assert_eq!(plain.headers()["cache-control"], "public, max-age=31536000, immutable");
    let plain = plain.bytes().await.unwrap();
    let packed = server.http.get(&script).header("accept-encoding", "gzip, br").send().await.unwrap();
    assert_eq!(packed.headers()["content-encoding"], "br");
    assert!(packed.bytes().await.unwrap().len() * 2 < plain.len());
    let head = server.http.head(&script).send().await.unwrap();
    assert_eq!((head.status().as_u16(), head.bytes().await.unwrap().len()), (200, 0));
    let posted = server.http.post(&script).send().await.unwrap();
    assert_eq!((posted.status().as_u16(), posted.headers()["allow"].to_str().unwrap()), (405, "GET, HEAD"));
    let missing =
        server.http.get(format!("{}/assets/no-such-file.js", server.address())).send().await.unwrap();
    assert_eq!(missing.status(), 404);

    let environment = vec![("SECRETHUB_LISTENER__PLAYGROUND".to_owned(), "false".to_owned())];
    let server = Server::start(Store::Sqlite, Options { environment, ..Options::server() }).await;
    let plain = server.http.get(server.address()).send().await.unwrap();
    assert_eq!(plain.headers()["content-type"], "text/plain; charset=utf-8");
    let path = script.rsplit_once("/assets/").unwrap().1;
    let missing = server.http.get(format!("{}/assets/{path}", server.address())).send().await.unwrap();
    assert_eq!(missing.status(), 404);
}

/// The operations that the page offers, in their order, each with the variables that stand beside it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operations_that_the_page_offers_run() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("playground/src/explorer/operations");
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|kind| kind == "graphql"));
    files.sort();
    let server = Server::dev(Store::Sqlite).await;
    let (mut root, mut ran) = (String::new(), 0);
    for file in files {
        let document = std::fs::read_to_string(&file).unwrap();
        let name = file.file_stem().unwrap().to_str().unwrap();
        // these need a target, and subscriptions do not end
        if name.starts_with('2') || document.contains("\nsubscription ") {
            continue;
        }
        let variables = std::fs::read_to_string(file.with_extension("json")).unwrap_or_default();
        let variables = variables.replace("the serial number of the root", &root);
        let variables = serde_json::from_str(&variables).unwrap_or_default();
        let reply = server.as_root(&document, variables).await;
        assert!(reply.is_ok(), "{name}: {}", reply.message());
        if name.starts_with("30-") {
            root = text(&reply.ok(), "/createRootCa/certificate/serialNumber").to_owned();
        }
        ran += 1;
    }
    assert!(ran >= 15, "only {ran} ran");
}
