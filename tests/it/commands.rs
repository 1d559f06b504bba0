//! The program itself: its subcommands, its configuration, how it starts and how it ends.

use crate::support::server::{Server, free_port, program};
use crate::support::sql::Sql;
use crate::support::writers::{Writers, all_there};
use crate::support::{Options, Store};
use serde_json::json;
use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// Runs `secrethub` against a server, with this standard input and no token.
fn secrethub(server: &Server, token: Option<&str>, arguments: &[&str], input: &str) -> (bool, String) {
    let mut command = Command::new(program());
    command.args(arguments).env("SECRETHUB_ADDR", server.address()).env_remove("SECRETHUB_TOKEN");
    if let Some(token) = token {
        command.env("SECRETHUB_TOKEN", token);
    }
    let mut child = command
        .current_dir(server.folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).ok();
    said(child.wait_with_output().unwrap())
}

fn said(output: Output) -> (bool, String) {
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// The words of a text that begin so.
fn words(text: &str, prefix: &str) -> Vec<String> {
    text.split(|c: char| c.is_whitespace() || c == '"' || c == ',')
        .filter(|word| word.starts_with(prefix))
        .map(str::to_owned)
        .collect()
}

both_stores!(operator, stops_gracefully, newer_database_is_refused);

/// The life of a real server from the command line alone.
async fn operator(store: Store) {
    let server = Server::start(store, Options::server()).await;
    let (_, status) = secrethub(&server, None, &["operator", "status"], "");
    assert!(status.to_lowercase().contains("initiali"), "{status}");
    let (fine, made) =
        secrethub(&server, None, &["operator", "init", "--shares", "3", "--threshold", "2"], "");
    assert!(fine, "{made}");
    let (shares, tokens) = (words(&made, "shubk1-"), words(&made, "shub_"));
    assert_eq!((shares.len(), tokens.len()), (3, 1), "{made}");
    let (again, _) = secrethub(&server, None, &["operator", "init"], "");
    assert!(!again, "initialised twice");

    let mistyped = format!("{}{}", &shares[0][..80], if shares[0].ends_with('a') { "b" } else { "a" });
    let (fine, error) = secrethub(&server, None, &["operator", "unseal"], &format!("{mistyped}\n"));
    assert!(!fine && !error.contains(&mistyped), "{error}");
    let (on_the_line, _) = secrethub(&server, None, &["operator", "unseal", &shares[0]], "");
    assert!(!on_the_line, "a share is not taken from the command line, where others see it");
    for share in &shares[..2] {
        let (fine, said) = secrethub(&server, None, &["operator", "unseal"], &format!("{share}\n"));
        assert!(fine && !said.contains(share.as_str()), "{said}");
    }
    let (fine, status) = secrethub(&server, None, &["operator", "status"], "");
    assert!(fine, "{status}");
    server.put(&tokens[0], "c.a", json!({"k": "v"})).await.ok();
    let (fine, said) = secrethub(&server, Some(&tokens[0]), &["operator", "rotate"], "");
    assert!(fine, "{said}");
    let (fine, said) = secrethub(&server, None, &["operator", "seal"], "");
    assert!(!fine, "sealed without a token: {said}");
    let (fine, said) = secrethub(&server, Some(&tokens[0]), &["operator", "seal"], "");
    assert!(fine, "{said}");
    server.read(&tokens[0], "c.a").await.refused("SEALED");
}

/// SIGTERM: what is in flight is answered, what was answered is there, and the exit status is 0.
async fn stops_gracefully(store: Store) {
    let mut server = Server::unsealed(store).await;
    let writers = Writers::start(&server, 16, 0);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let status = server.stop().await;
    assert!(status.success(), "{status}");
    let writes = writers.finish().await;
    server.launch().await;
    server.unseal().await;
    all_there(&server, &writes).await;
    server.audit_is_whole().await;
}

/// A database that a later version migrated: refused, in words that say so.
async fn newer_database_is_refused(store: Store) {
    let mut server = Server::unsealed(store).await;
    server.stop().await;
    let mut sql = Sql::open(&server.database.url).await;
    let checksum = sql.bytes("00");
    let now = match sql.store() {
        Store::Sqlite => "'2026-01-01 00:00:00'",
        Store::Postgres => "now()",
    };
    sql.run(&format!(
        "INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time)
         VALUES (99990101000000, 'of the future', {now}, true, {checksum}, 0)"
    ))
    .await;
    let config = server.folder.path().join("secrethub.toml");
    let output = Command::new(program())
        .args(["server", "--config", config.to_str().unwrap()])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (fine, said) = said(output);
    assert!(!fine && said.contains("newer"), "{said}");
}

/// Mistakes in the configuration: named, and nothing starts.
#[test]
fn configuration() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secrethub.toml");
    let good =
        format!("[storage]\nurl = \"sqlite:x.db\"\n[listener]\naddress = \"127.0.0.1:{}\"\n", free_port());
    for (more, names) in [
        ("[surprise]\nkey = 1\n", "surprise"),
        ("[log]\nlevle = \"info\"\n", "log.levle"),
        ("[log]\nformat = \"xml\"\n", "log.format"),
        ("[seal]\ntype = \"none\"\n", "seal.type"),
        ("[tokens]\nmax_ttl = 5\n", "tokens.max_ttl"),
        ("[log\n", "line"),
    ] {
        std::fs::write(&path, format!("{good}{more}")).unwrap();
        let output = Command::new(program())
            .args(["server", "--config", path.to_str().unwrap()])
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let (fine, said) = said(output);
        assert!(!fine && said.contains(names), "{more}: {said}");
    }
}

/// What `secrethub schema` prints is what is checked in.
#[test]
fn schema() {
    let output = Command::new(program()).arg("schema").stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success());
    let checked_in =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/schema.graphql")).unwrap_or_default();
    assert_eq!(String::from_utf8(output.stdout).unwrap().trim(), checked_in.trim());
}
