//! Nodes that are down, refuse, or cannot write; and configurations and roles that will not do.

use crate::server::{ACCOUNT, Keeps, PASSWORD, Server, call, config, engine, lease, role};
use deadpool_redis::redis;
use secrethub_engine::conformance::{Client, installation};
use secrethub_engine::wire::Operation;
use secrethub_engine::{ErrorKind, Revocation};
use secrethub_engine_redis::Redis;
use serde_json::{Value, json};
use std::fs;
use std::net::TcpListener;
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_node_that_is_down_lets_nothing_be_half_done() {
    let (one, mut other) = (Server::start(Keeps::AclFile), Server::start(Keeps::AclFile));
    let client = engine(config(&[&one, &other])).await;
    let live = lease();
    let issued = client.issue(&role(), &live).await.unwrap();
    other.stop();
    let failed = client.issue(&role(), &lease()).await.err().unwrap();
    assert_eq!(failed.kind, ErrorKind::Retry, "{failed}");
    assert!(failed.message.contains(&other.port.to_string()), "the node is named: {failed}");
    assert_eq!(one.accounts().len(), 1, "what was made on the other node is undone");
    assert_eq!(client.list().await.unwrap_err().kind, ErrorKind::Retry);
    // revoked where it can be, but not done
    assert_eq!(client.revoke(live.id).await.unwrap_err().kind, ErrorKind::Retry);
    assert!(!one.accepts(&issued.credentials));
    other.go_on();
    assert!(other.accepts(&issued.credentials), "the node that was down still has it");
    client.revoke(live.id).await.unwrap();
    assert!(!other.accepts(&issued.credentials));
    other.restart();
    assert!(!other.accepts(&issued.credentials), "and has stored that it is gone");
}

#[tokio::test]
async fn what_one_node_refuses_is_undone_on_the_others() {
    let one = Server::start(Keeps::AclFile);
    let other = Server::start_with(Keeps::AclFile, "-@all +ping +unwatch +acl|users +acl|deluser");
    let client = engine(config(&[&one, &other])).await;
    let error = client.issue(&role(), &lease()).await.err().unwrap();
    assert!(error.kind == ErrorKind::Refused && error.message.contains(&other.port.to_string()), "{error}");
    assert!(one.accounts().is_empty(), "what was made on the other node is undone");
    assert!(!fs::read_to_string(one.path("users.acl")).unwrap().contains(installation().as_str()));
}

#[tokio::test]
async fn a_node_that_hangs_is_answered_for_in_time() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let mut config = json!({ "nodes": [{ "host": "127.0.0.1", "port": port }], "response_timeout_ms": 300 });
    config["connect_timeout_ms"] = json!(300);
    let client = engine(config).await;
    let start = Instant::now();
    assert_eq!(call(&client, Operation::Check).await.unwrap_err().kind, ErrorKind::Retry);
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_revocation_that_is_not_written_is_not_done() {
    let server = Server::start(Keeps::AclFile);
    let client = engine(config(&[&server])).await;
    let lease = lease();
    let issued = client.issue(&role(), &lease).await.unwrap();
    // a directory in the file's place: not even root can write there
    let (file, aside) = (server.path("users.acl"), server.path("aside"));
    fs::rename(&file, &aside).unwrap();
    fs::create_dir(&file).unwrap();
    fs::write(file.join("x"), "").unwrap();
    let unstored = client.issue(&role(), &self::lease()).await.unwrap();
    assert_eq!(unstored.handle["persistence"], json!("none"));
    let error = client.revoke(lease.id).await.unwrap_err();
    assert!(error.kind == ErrorKind::Retry && error.message.contains("could not write"), "{error}");
    assert!(!server.accepts(&issued.credentials), "it has ended all the same");
    // one that was never stored cannot come back
    let id = installation().lease_of(unstored.handle["username"].as_str().unwrap()).unwrap();
    let revocation = Revocation { lease_id: id, handle: Some(unstored.handle), role: None };
    assert_eq!(client.revoke_with(vec![revocation]).await.unwrap(), [Ok(())]);
    fs::remove_dir_all(&file).unwrap();
    fs::rename(&aside, &file).unwrap();
    client.revoke(lease.id).await.unwrap();
    assert!(!fs::read_to_string(&file).unwrap().contains(installation().as_str()));
}

#[tokio::test]
async fn check_names_the_rights_that_are_missing() {
    let server =
        Server::start_with(Keeps::AclFile, "-@all +ping +unwatch +acl|whoami +acl|users +acl|deluser");
    let client = engine(config(&[&server])).await;
    let error = call(&client, Operation::Check).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Refused);
    assert!(error.message.contains(ACCOUNT) && error.message.ends_with("give it +acl|setuser"), "{error}");
    assert_eq!(client.issue(&role(), &lease()).await.err().unwrap().kind, ErrorKind::Refused);
    // what it cannot store it says it did not
    let server = Server::start_with(
        Keeps::AclFile,
        "-@all +ping +unwatch +acl|whoami +acl|users +acl|deluser +acl|setuser",
    );
    let client = engine(config(&[&server])).await;
    call(&client, Operation::Check).await.unwrap();
    let issued = client.issue(&role(), &lease()).await.unwrap();
    assert_eq!(issued.handle["persistence"], json!("none"));
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_not_retried() {
    let server = Server::start(Keeps::AclFile);
    for (field, value) in [("password", json!("wrong-password")), ("username", json!("nobody"))] {
        let mut config = config(&[&server]);
        config[field] = value;
        let client = engine(config).await;
        for operation in [Operation::Check, Operation::List] {
            let error = call(&client, operation).await.unwrap_err();
            assert_eq!(error.kind, ErrorKind::Refused, "{error}");
            assert!(
                !error.message.contains(PASSWORD) && !error.message.contains("wrong-password"),
                "{error}"
            );
        }
    }
}

#[tokio::test]
async fn rules_that_will_not_do_are_named() {
    let (one, other) = (Server::start(Keeps::AclFile), Server::start(Keeps::AclFile));
    let client = engine(config(&[&one, &other])).await;
    for (rules, field) in [
        (json!([]), "rules"),
        (json!(["+get", ">hunter2"]), "rules[1]"),
        (json!(["+get", "+nosuchcommand"]), "rules[1]"),
        (json!(["+get", "~a", "+@nosuchcategory"]), "rules[2]"),
        (json!(["~a b"]), "rules[0]"),
        (json!(["+get\n+set"]), "rules[0]"),
    ] {
        let role = json!({ "rules": rules });
        let checked = call(&client, Operation::CheckRole { role: role.clone() }).await.unwrap_err();
        let issued = client.issue(&role, &lease()).await.err().unwrap();
        for error in [checked, issued] {
            assert_eq!((error.kind, error.field.as_deref()), (ErrorKind::BadInput, Some(field)), "{error}");
            assert!(!error.message.contains("hunter2"));
        }
        assert!(one.accounts().is_empty() && other.accounts().is_empty(), "nothing is left");
    }
    call(&client, Operation::CheckRole { role: role() }).await.unwrap();
    assert!(one.accounts().is_empty() && other.accounts().is_empty(), "checking leaves nothing");
}

#[tokio::test]
async fn configurations_that_will_not_do_are_named() {
    let node = json!({ "host": "127.0.0.1", "port": 1 });
    for (change, field) in [
        (json!({ "nodes": [] }), "nodes"),
        (json!({ "nodes": [node, { "host": "" }] }), "nodes[1].host"),
        (json!({ "nodes": [{ "host": "a", "port": 0 }] }), "nodes[0].port"),
        (json!({ "nodes": [node, node] }), "nodes[1]"),
        (json!({ "username": "a b" }), "username"),
        (json!({ "username": "a" }), "password"),
        (json!({ "password": "" }), "password"),
        (json!({ "tls": { "ca_pem": "hunter2" } }), "tls.ca_pem"),
        (json!({ "tls": { "ca": "hunter2" } }), "tls.ca"),
        (json!({ "connect_timeout_ms": 1 }), "connect_timeout_ms"),
        (json!({ "username_template": "x y {{lease}}{{installation}}" }), "username_template"),
        (
            json!({ "username_template": format!("{}{{{{lease}}}}{{{{installation}}}}", "x".repeat(100)) }),
            "username_template",
        ),
        (json!({ "password_policy": { "length": 5 } }), "password_policy.length"),
        (json!({ "persistence": "perhaps" }), "persistence"),
    ] {
        let mut config = json!({ "nodes": [node] });
        for (name, value) in change.as_object().unwrap() {
            config[name] = value.clone();
        }
        let error = Client::connect::<Redis>(config, installation()).await.err().unwrap();
        assert_eq!((error.kind, error.field.as_deref()), (ErrorKind::BadInput, Some(field)), "{error}");
        assert!(!error.message.contains("hunter2") && !error.message.contains("perhaps"), "{error}");
    }
}

#[tokio::test]
async fn a_template_of_ones_own_is_kept_apart_from_foreign_names() {
    let server = Server::start(Keeps::AclFile);
    let mut config = config(&[&server]);
    config["username_template"] = json!("app.{{lease}}@{{installation}}");
    let client = engine(config).await;
    let lease = lease();
    let issued = client.issue(&role(), &lease).await.unwrap();
    assert!(issued.handle["username"].as_str().unwrap().starts_with("app."));
    let foreign = installation().name(uuid::Uuid::new_v4());
    let _: () = redis::cmd("ACL").arg("SETUSER").arg(&foreign).query(&mut server.root()).unwrap();
    let listed = client.list().await.unwrap();
    assert_eq!(listed.iter().map(|account| account.lease_id).collect::<Vec<_>>(), [lease.id]);
    client.revoke(lease.id).await.unwrap();
    assert_eq!(server.accounts(), [foreign]);
    let _: Value = issued.credentials;
}
