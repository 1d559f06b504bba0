//! Accounts over restarts, and what they may do.

use crate::server::{Keeps, Server, call, config, engine, lease, live, role};
use deadpool_redis::redis;
use secrethub_engine::ErrorKind;
use secrethub_engine::wire::Operation;
use serde_json::{Value, json};
use std::time::Instant;
use uuid::Uuid;

#[tokio::test]
async fn what_a_node_stores_outlives_its_restart_and_so_does_its_end() {
    for (keeps, place) in [(Keeps::AclFile, "acl_file"), (Keeps::ConfigFile, "config")] {
        let mut server = Server::start(keeps);
        let client = engine(config(&[&server])).await;
        let lease = lease();
        let issued = client.issue(&role(), &lease).await.unwrap();
        assert_eq!(issued.handle["persistence"], json!(place));
        server.restart();
        assert!(server.accepts(&issued.credentials), "{keeps:?}");
        // the connections of before the restart are gone, and that is no failure
        client.revoke(lease.id).await.unwrap();
        server.restart();
        assert!(!server.accepts(&issued.credentials), "{keeps:?}");
    }
}

#[tokio::test]
async fn what_a_node_forgets_is_missing_and_is_restored_as_it_was() {
    let (mut forgetful, other) = (Server::start(Keeps::Nothing), Server::start(Keeps::AclFile));
    let client = engine(config(&[&forgetful, &other])).await;
    let lease = lease();
    let issued = client.issue(&role(), &lease).await.unwrap();
    assert_eq!(issued.handle["persistence"], json!("none"), "the weakest node counts");
    assert_eq!(client.list().await.unwrap().len(), 1);
    let before = rules(&forgetful, &issued.credentials);
    forgetful.restart();
    assert!(!forgetful.accepts(&issued.credentials) && other.accepts(&issued.credentials));
    assert!(client.list().await.unwrap().is_empty(), "what one node lacks counts as missing");
    let renew = Operation::Renew { role: role(), lease: lease.clone(), handle: issued.handle.clone() };
    assert_eq!(call(&client, renew).await.unwrap_err().kind, ErrorKind::Refused);
    // the role has changed meanwhile; the account is what it was
    let mut live = live(&lease, &issued);
    live.role = json!({ "rules": ["allkeys", "+@all"] });
    let mut session =
        other.login(text(&issued.credentials, "username"), text(&issued.credentials, "password")).unwrap();
    call(&client, Operation::Restore { live }).await.unwrap();
    assert!(forgetful.accepts(&issued.credentials) && other.accepts(&issued.credentials));
    let _: () = redis::cmd("PING").query(&mut session).expect("those who are connected stay so");
    for node in [&forgetful, &other] {
        assert_eq!(rules(node, &issued.credentials), before, "hash and rights are what they were");
    }
    assert_eq!(client.list().await.unwrap().len(), 1);
}

#[tokio::test]
async fn where_storing_is_required_forgetful_nodes_are_refused() {
    let server = Server::start(Keeps::Nothing);
    let mut config = config(&[&server]);
    config["persistence"] = json!("required");
    let client = engine(config).await;
    let error = call(&client, Operation::Check).await.unwrap_err();
    assert!(error.kind == ErrorKind::Refused && error.message.contains("aclfile"), "{error}");
    assert_eq!(client.issue(&role(), &lease()).await.err().unwrap().kind, ErrorKind::Refused);
    assert!(server.accounts().is_empty(), "what was made is undone");
}

#[tokio::test]
async fn accounts_have_the_rights_of_their_role_alone() {
    let server = Server::start(Keeps::AclFile);
    let client = engine(config(&[&server])).await;
    let issued = client.issue(&role(), &lease()).await.unwrap();
    let (username, password) = (text(&issued.credentials, "username"), text(&issued.credentials, "password"));
    assert!(!rules(&server, &issued.credentials).contains(password));
    let mut session = server.login(username, password).unwrap();
    let get = |key: &str, session: &mut redis::Connection| {
        redis::cmd("GET").arg(key).query::<Option<String>>(session)
    };
    assert_eq!(get("app:x", &mut session).unwrap(), None);
    assert_eq!(get("other", &mut session).unwrap_err().code(), Some("NOPERM"));
    let set = redis::cmd("SET").arg("app:x").arg("1").query::<()>(&mut session);
    assert_eq!(set.unwrap_err().code(), Some("NOPERM"));
    // nothing at all is enough to log in
    let nothing = client.issue(&json!({ "rules": ["-@all"] }), &lease()).await.unwrap();
    client.try_credentials(&nothing.credentials).await.unwrap();
}

#[tokio::test]
async fn revocation_ends_open_sessions_and_issuing_again_does_too() {
    let server = Server::start(Keeps::AclFile);
    let client = engine(config(&[&server])).await;
    let lease = lease();
    for again in [true, false] {
        let issued = client.issue(&role(), &lease).await.unwrap();
        let (username, password) =
            (text(&issued.credentials, "username"), text(&issued.credentials, "password"));
        let mut session = server.login(username, password).unwrap();
        let _: () = redis::cmd("PING").query(&mut session).unwrap();
        if again {
            client.issue(&role(), &lease).await.unwrap();
        } else {
            client.revoke(lease.id).await.unwrap();
        }
        assert!(redis::cmd("PING").query::<()>(&mut session).is_err(), "again: {again}");
    }
}

#[tokio::test]
async fn a_thousand_are_revoked_in_one_call() {
    let server = Server::start(Keeps::AclFile);
    let client = engine(config(&[&server])).await;
    let leases: Vec<_> = (0..1000).map(|_| Uuid::new_v4()).collect();
    let mut pipeline = redis::pipe();
    for lease in &leases {
        let name = secrethub_engine::conformance::installation().name(*lease);
        pipeline.cmd("ACL").arg("SETUSER").arg(name).arg("on").arg(">x").ignore();
    }
    let _: () = pipeline.query(&mut server.root()).unwrap();
    assert_eq!(client.list().await.unwrap().len(), 1000);
    let start = Instant::now();
    let results = client.revoke_all(&leases).await.unwrap();
    let took = start.elapsed();
    assert!(results.len() == 1000 && results.iter().all(Result::is_ok));
    assert!(server.accounts().is_empty());
    assert!(took.as_secs() < 5, "{took:?}");
    println!("1000 revoked in {took:?}");
}

fn text<'a>(credentials: &'a Value, field: &str) -> &'a str {
    credentials[field].as_str().unwrap()
}

/// The account's line of `ACL LIST`.
fn rules(server: &Server, credentials: &Value) -> String {
    let lines: Vec<String> = redis::cmd("ACL").arg("LIST").query(&mut server.root()).unwrap();
    lines.into_iter().find(|line| line.contains(text(credentials, "username"))).unwrap()
}
