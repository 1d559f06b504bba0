//! TLS to the nodes.

use crate::server::{ACCOUNT, PASSWORD, Server, call, engine, free_port, hash, lease, role};
use secrethub_engine::ErrorKind;
use secrethub_engine::wire::Operation;
use serde_json::{Value, json};
use std::fs;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A self-signed certificate for 127.0.0.1.
fn certificate(dir: &TempDir) {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args(["-keyout", "key.pem", "-out", "cert.pem", "-days", "2", "-subj", "/CN=test"])
        .args(["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"])
        .current_dir(dir.path())
        .stderr(Stdio::null())
        .status();
    assert!(made.unwrap().success());
}

fn start() -> (Server, String) {
    let dir = TempDir::new().unwrap();
    certificate(&dir);
    let pem = fs::read_to_string(dir.path().join("cert.pem")).unwrap();
    let port = free_port();
    let place = dir.path().display().to_string();
    fs::write(dir.path().join("users.acl"), format!("user {ACCOUNT} on #{} +@all\n", hash(PASSWORD)))
        .unwrap();
    let lines = [
        format!("port 0\ntls-port {port}\nbind 127.0.0.1\nsave \"\"\ndir {place}\naclfile {place}/users.acl"),
        format!("tls-cert-file {place}/cert.pem\ntls-key-file {place}/key.pem"),
        format!("tls-ca-cert-file {place}/cert.pem\ntls-auth-clients no\n"),
    ];
    fs::write(dir.path().join("redis.conf"), lines.join("\n")).unwrap();
    (Server::run(vec![format!("{place}/redis.conf")], port, dir), pem)
}

#[tokio::test]
async fn certificates_are_checked() {
    let (server, pem) = start();
    let config = |host: &str, tls: Value| {
        json!({
            "nodes": [{ "host": host, "port": server.port }],
            "username": ACCOUNT, "password": PASSWORD, "tls": tls,
        })
    };
    let client = engine(config("127.0.0.1", json!({ "ca_pem": pem }))).await;
    call(&client, Operation::Check).await.unwrap();
    let lease = lease();
    let issued = client.issue(&role(), &lease).await.unwrap();
    assert_eq!(issued.credentials["tls"], json!(true));
    client.try_credentials(&issued.credentials).await.unwrap();
    client.revoke(lease.id).await.unwrap();
    let (_, stranger) = start();
    for (host, tls, kind) in [
        ("127.0.0.1", json!({ "ca_pem": stranger }), ErrorKind::Refused),
        ("127.0.0.1", json!({}), ErrorKind::Refused),
        ("localhost", json!({ "ca_pem": pem }), ErrorKind::Refused),
        // without TLS the server says nothing
        ("127.0.0.1", Value::Null, ErrorKind::Retry),
    ] {
        let client = engine(config(host, tls)).await;
        let error = call(&client, Operation::Check).await.unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
        assert_eq!(error.message.contains("certificate"), kind == ErrorKind::Refused, "{error}");
    }
}
