//! An edited audit log: the server and the offline verifier both name the first bad sequence number.

use crate::support::sql::Sql;
use crate::support::{Server, Store, text};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Events to tamper with: reads, writes, refusals, policies.
async fn session(server: &Server) {
    let root = server.root.clone();
    server
        .create_policy(
            "app",
            json!({"version": 1, "allowed_secrets": ["t.a"], "allowed_operations": ["read", "list"]}),
        )
        .await;
    let token = server.token_with(&["app"], json!({})).await;
    for number in 0..4 {
        server.put(&root, "t.a", json!({"n": number})).await.ok();
        server.put(&root, "t.b", json!({"n": number})).await.ok();
        server.read(&token, "t.a").await.ok();
        server.read(&token, "t.b").await;
    }
}

/// The log as `secrethub audit export` writes it.
fn export(server: &Server, name: &str) -> PathBuf {
    let output = server.command(&["audit", "export"]);
    assert!(output.status.success(), "audit export: {}", String::from_utf8_lossy(&output.stderr));
    let path = server.folder.path().join(name);
    std::fs::write(&path, output.stdout).unwrap();
    path
}

/// What the offline verifier says of a file: whether it is satisfied, and its words.
fn verify_offline(server: &Server, file: &Path, more: &[&str]) -> (bool, String) {
    let mut arguments = vec!["audit", "verify", file.to_str().unwrap()];
    arguments.extend(more);
    let output = server.command(&arguments);
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), said)
}

async fn checkpoint(server: &Server) -> Value {
    server
        .as_root("{ auditCheckpoint { sequenceNumber hash signature publicKey } }", json!({}))
        .await
        .ok()["auditCheckpoint"]
        .take()
}

/// Another value of a column's type than the one it has.
fn edited(sql: &Sql, column: &str, kind: &str) -> String {
    match (kind, column) {
        (_, "sequence_number") => "sequence_number + 1000000".to_owned(),
        (_, "event_data") => r#"'{"edited": true}'"#.to_owned(),
        (_, "batch_end" | "access_granted") => match sql.store() {
            Store::Sqlite => format!("1 - coalesce({column}, 0)"),
            Store::Postgres => format!("NOT coalesce({column}, false)"),
        },
        (_, "event_id" | "secret_id" | "lease_id") => match sql.store() {
            Store::Sqlite => "x'0123456789abcdef0123456789abcdef'".to_owned(),
            Store::Postgres => "'01234567-89ab-cdef-0123-456789abcdef'".to_owned(),
        },
        (_, "timestamp") => match sql.store() {
            Store::Sqlite => "replace(timestamp, '20', '19')".to_owned(),
            Store::Postgres => "timestamp + interval '1 microsecond'".to_owned(),
        },
        (_, "source_ip") => "'203.0.113.9'".to_owned(),
        (_, "previous_hash" | "current_hash") => sql.bytes(&"5a".repeat(32)),
        (_, "signature") => sql.bytes(&"5a".repeat(64)),
        ("integer" | "bigint", _) => format!("coalesce({column}, 0) + 1"),
        _ => format!("coalesce({column}, '') || 'x'"),
    }
}

/// Puts the events that were kept back as they were; those that came later stay.
async fn restore(sql: &mut Sql) {
    sql.run(
        "DELETE FROM audit_logs WHERE sequence_number >= 1000000
           OR sequence_number <= (SELECT max(sequence_number) FROM kept_logs);
         INSERT INTO audit_logs SELECT * FROM kept_logs;",
    )
    .await;
}

/// Checks that both verifiers name this sequence number, then puts the log back.
async fn both_name(server: &Server, sql: &mut Sql, key: &str, bad: i64, what: &str, wrong: &mut Vec<String>) {
    let file = export(server, "tampered.jsonl");
    let said = server.verify_audit().await;
    let named: Option<i64> = said["firstBadSequence"].as_str().and_then(|number| number.parse().ok());
    if said["valid"] != json!(false) || named != Some(bad) {
        wrong.push(format!("{what}: verifyAudit: {said}"));
    }
    let (fine, said) = verify_offline(server, &file, &["--public-key", key]);
    if fine || !names(&said, bad) {
        wrong.push(format!("{what}: audit verify, satisfied: {fine}: {said}"));
    }
    restore(sql).await;
}

/// Whether a text names a number as a number of its own.
fn names(text: &str, number: i64) -> bool {
    text.split(|c: char| !c.is_ascii_digit()).any(|word| word == number.to_string())
}

both_stores!(every_column, rows, tail, nonsense);

async fn every_column(store: Store) {
    let server = Server::dev(store).await;
    session(&server).await;
    let key = text(&checkpoint(&server).await, "/publicKey").to_owned();
    let mut sql = Sql::open(&server.database.url).await;
    assert_eq!(server.verify_audit().await["valid"], json!(true));
    let (fine, said) = verify_offline(&server, &export(&server, "whole.jsonl"), &["--public-key", &key]);
    assert!(fine, "{said}");
    keep(&mut sql).await;

    let read = "SELECT min(sequence_number) FROM audit_logs WHERE event_type = 'secret.accessed'";
    let denied = "SELECT min(sequence_number) FROM audit_logs WHERE access_granted = false";
    let targets = [sql.number(read).await, sql.number(denied).await];
    let columns = sql.columns("audit_logs").await;
    assert!(columns.len() > 30, "{columns:?}");
    let mut wrong = Vec::new();
    for target in targets {
        for (column, kind) in &columns {
            let value = edited(&sql, column, kind);
            let statement =
                format!("UPDATE audit_logs SET {column} = {value} WHERE sequence_number = {target}");
            assert_eq!(sql.run(&statement).await, 1);
            both_name(&server, &mut sql, &key, target, &format!("{column} of {target}"), &mut wrong).await;
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

async fn keep(sql: &mut Sql) {
    sql.run("CREATE TABLE kept_logs AS SELECT * FROM audit_logs").await;
}

async fn rows(store: Store) {
    let server = Server::dev(store).await;
    session(&server).await;
    let key = text(&checkpoint(&server).await, "/publicKey").to_owned();
    let mut sql = Sql::open(&server.database.url).await;
    keep(&mut sql).await;
    let mut wrong = Vec::new();
    for bad in [1, 2, 9] {
        sql.run(&format!("DELETE FROM audit_logs WHERE sequence_number = {bad}")).await;
        both_name(&server, &mut sql, &key, bad, &format!("removed {bad}"), &mut wrong).await;
    }
    // removed, and the rest moved up
    sql.run("DELETE FROM audit_logs WHERE sequence_number = 5").await;
    renumber(&mut sql).await;
    both_name(&server, &mut sql, &key, 5, "removed 5 and renumbered", &mut wrong).await;
    for (one, two) in [(4, 5), (3, 8)] {
        sql.run(&format!(
            "UPDATE audit_logs SET sequence_number = 1000000 WHERE sequence_number = {one};
             UPDATE audit_logs SET sequence_number = {one} WHERE sequence_number = {two};
             UPDATE audit_logs SET sequence_number = {two} WHERE sequence_number = 1000000;"
        ))
        .await;
        both_name(&server, &mut sql, &key, one, &format!("swapped {one} and {two}"), &mut wrong).await;
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

async fn renumber(sql: &mut Sql) {
    let last = sql.number("SELECT max(sequence_number) FROM kept_logs").await;
    for number in 6..=last {
        sql.run(&format!(
            "UPDATE audit_logs SET sequence_number = {number} - 1 WHERE sequence_number = {number}"
        ))
        .await;
    }
}

/// The end of the log cut off: seen by the server, and offline against a checkpoint that was noted before.
async fn tail(store: Store) {
    let mut server = Server::dev(store).await;
    session(&server).await;
    let noted = checkpoint(&server).await;
    let key = text(&noted, "/publicKey").to_owned();
    let last: i64 = text(&noted, "/sequenceNumber").parse().unwrap();
    let whole = export(&server, "whole.jsonl");
    let mut sql = Sql::open(&server.database.url).await;
    keep(&mut sql).await;
    sql.run(&format!("DELETE FROM audit_logs WHERE sequence_number > {}", last - 3)).await;
    let mut wrong = Vec::new();
    let said = server.verify_audit().await;
    if said["firstBadSequence"] != json!((last - 2).to_string()) {
        wrong.push(format!("tail cut after {}: verifyAudit: {said}", last - 3));
    }
    restore(&mut sql).await;

    // offline: the file cut, against the checkpoint
    let lines = std::fs::read_to_string(&whole).unwrap();
    let cut: String =
        lines.lines().take(usize::try_from(last - 3).unwrap()).map(|line| format!("{line}\n")).collect();
    let file = server.folder.path().join("cut.jsonl");
    std::fs::write(&file, cut).unwrap();
    let against = format!("{last}:{}:{}", text(&noted, "/hash"), text(&noted, "/signature"));
    let (fine, said) = verify_offline(&server, &file, &["--public-key", &key, "--checkpoint", &against]);
    if fine || !names(&said, last - 2) {
        wrong.push(format!("cut file, ended well: {fine}: {said}"));
    }
    let (fine, said) = verify_offline(&server, &whole, &["--public-key", &key, "--checkpoint", &against]);
    if !fine {
        wrong.push(format!("whole file against its checkpoint: {said}"));
    }
    // with another key nothing verifies
    let other = data_encoding::HEXLOWER.encode(&[7; 32]);
    let (fine, said) = verify_offline(&server, &whole, &["--public-key", &other]);
    if fine {
        wrong.push(format!("another public key: {said}"));
    }
    server.kill9();
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// Rows edited into what no event can be: not even then does verifying break off without a name.
async fn nonsense(store: Store) {
    let server = Server::dev(store).await;
    session(&server).await;
    let mut sql = Sql::open(&server.database.url).await;
    keep(&mut sql).await;
    let short = sql.bytes("5a5a");
    let mut edits = vec![
        format!("current_hash = {short}"),
        format!("previous_hash = {short}"),
        format!("signature = {short}"),
        "event_type = 'no.such.event'".to_owned(),
        "actor_type = 'nobody'".to_owned(),
        "event_data = '[1.5, \"text\"]'".to_owned(),
        "secret_version = -1".to_owned(),
    ];
    if store == Store::Sqlite {
        edits.extend(
            ["timestamp = 'yesterday'", "source_ip = 'here'", "secret_id = x'01'"].map(str::to_owned),
        );
    }
    let mut wrong = Vec::new();
    for edit in edits {
        assert_eq!(sql.run(&format!("UPDATE audit_logs SET {edit} WHERE sequence_number = 7")).await, 1);
        let reply = server.as_root("{ verifyAudit { valid firstBadSequence problem } }", json!({})).await;
        if reply.data["verifyAudit"]["firstBadSequence"] != json!("7") {
            wrong.push(format!("{edit}: {}", reply.body));
        }
        restore(&mut sql).await;
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}
