//! Who is told what.

use super::client::{Event, Events, Socket};
use crate::support::{Options, Server, Store};
use serde_json::{Value, json};

const SECRETS: &str = "subscription($prefix: SecretPath, $after: String) {
  secretChanged(prefix: $prefix, after: $after) { cursor path kind version at actorId secret { version } } }";
const AUDIT: &str = "subscription($filter: AuditFilter, $after: String) {
  auditEventAdded(filter: $filter, after: $after) { cursor node { sequenceNumber eventType secretPath } } }";

fn rights(paths: &[&str], operations: &[&str]) -> Value {
    json!({"version": 1, "allowed_secrets": paths, "allowed_operations": operations})
}

fn told(data: &Value) -> (&str, &str, i64) {
    let change = &data["secretChanged"];
    (
        change["kind"].as_str().unwrap(),
        change["path"].as_str().unwrap(),
        change["version"].as_i64().unwrap_or_default(),
    )
}

both_stores!(
    changes_are_told,
    only_what_may_be_known_is_told,
    the_log_is_told_to_auditors,
    the_seal_is_told_to_anyone
);

async fn changes_are_told(store: Store) {
    let server = Server::dev(store).await;
    let root = server.root.clone();
    // from here on, however long it takes until both are open
    let from = server.as_root("{ auditCheckpoint { cursor } }", json!({})).await.ok();
    let variables = json!({"prefix": "app.db", "after": from["auditCheckpoint"]["cursor"]});
    let mut socket = Socket::ready(&server, Some(&root)).await;
    socket.subscribe("a", SECRETS, variables.clone()).await;
    let mut events = Events::open(&server, Some(&root), SECRETS, variables).await;

    server.put(&root, "app.db.password", json!({"k": 1})).await.ok();
    server.put(&root, "app.dbx", json!({"k": 1})).await.ok();
    server.put(&root, "app.db.password", json!({"k": 2})).await.ok();
    let change =
        |mutation: &str| format!("mutation($path: SecretPath!) {{ {mutation} {{ secret {{ version }} }} }}");
    let path = json!({"path": "app.db.password"});
    server.as_root(&change("deleteSecret(input: {path: $path})"), path.clone()).await.ok();
    server.as_root(&change("restoreSecret(input: {path: $path, versions: [2]})"), path.clone()).await.ok();
    let mut cursors = Vec::new();
    for expected in ["CREATED", "UPDATED", "DELETED", "RESTORED"] {
        let (one, other) = (socket.data("a").await, events.data().await);
        assert_eq!(one["secretChanged"]["cursor"], other["secretChanged"]["cursor"]);
        assert_eq!((told(&one).0, told(&one).1), (expected, "app.db.password"), "{one}");
        assert!(one["secretChanged"]["secret"]["version"].is_number(), "{one}");
        cursors.push(one["secretChanged"]["cursor"].as_str().unwrap().to_owned());
    }
    // from the first on, once more
    let mut again = Events::open(&server, Some(&root), SECRETS, json!({"after": cursors[0]})).await;
    for expected in ["app.dbx", "app.db.password", "app.db.password", "app.db.password"] {
        assert_eq!(told(&again.data().await).1, expected);
    }
    socket.say(json!({"type": "complete", "id": "a"})).await;
    // messages are heard in their order: once this is answered, so was that
    socket.say(json!({"type": "ping", "payload": {"n": 1}})).await;
    assert_eq!(socket.said().await, json!({"type": "pong", "payload": {"n": 1}}));
    server.put(&root, "app.db.password", json!({"k": 3})).await.ok();
    socket.is_silent().await;
}

async fn only_what_may_be_known_is_told(store: Store) {
    let server = Server::dev(store).await;
    let root = server.root.clone();
    server.create_policy("lister", rights(&["n.a", "n.list.*"], &["list"])).await;
    server.create_policy("reader", rights(&["n.read.*"], &["read"])).await;
    server.create_policy("writer", rights(&["*"], &["write"])).await;
    let from = server.as_root("{ auditCheckpoint { cursor } }", json!({})).await.ok();
    let from = from["auditCheckpoint"]["cursor"].clone();
    let token = server.token_with(&["lister", "reader", "writer"], json!({})).await;
    let mut socket = Socket::ready(&server, Some(&token)).await;
    socket.subscribe("a", SECRETS, json!({"after": from})).await;
    for path in ["n.a", "n.b", "n.list.x", "n.read.x", "n.list", "z"] {
        server.put(&root, path, json!({"k": 1})).await.ok();
    }
    for expected in ["n.a", "n.list.x", "n.read.x"] {
        assert_eq!(told(&socket.data("a").await), ("CREATED", expected, 1));
    }
    // what the policies say by now, not when it was opened
    let update = "mutation($input: PolicyInput!) { updatePolicy(input: $input) { policy { name } } }";
    let narrower = json!({"input": {"name": "lister", "document": rights(&["n.list.*"], &["list"])}});
    server.as_root(update, narrower).await.ok();
    for path in ["n.a", "n.list.x"] {
        server.put(&root, path, json!({"k": 2})).await.ok();
    }
    assert_eq!(told(&socket.data("a").await), ("UPDATED", "n.list.x", 2));
    socket.is_silent().await;
    // nothing of the log for who is no auditor
    socket.subscribe("log", AUDIT, json!({})).await;
    let refused = socket.said().await;
    assert_eq!((refused["type"].as_str(), refused["id"].as_str()), (Some("error"), Some("log")), "{refused}");
    assert_eq!(refused["payload"][0]["extensions"]["code"], "FORBIDDEN", "{refused}");
}

async fn the_log_is_told_to_auditors(store: Store) {
    let server = Server::dev(store).await;
    server.create_policy("auditor", json!({"version": 1, "administers": ["audit"]})).await;
    let token = server.token_with(&["auditor"], json!({})).await;
    let list = "{ auditEvents(first: 1) { edges { cursor node { sequenceNumber } } } }";
    let newest = server.as_root(list, json!({})).await.ok()["auditEvents"]["edges"][0].take();
    let after = json!({"after": newest["cursor"]});
    let mut socket = Socket::ready(&server, Some(&token)).await;
    socket.subscribe("log", AUDIT, after.clone()).await;
    // after the query's own event that of the subscription, and then those of what happens
    let mut number: i64 = newest["node"]["sequenceNumber"].as_str().unwrap().parse().unwrap();
    for expected in ["audit.queried", "secret.created", "secret.accessed"] {
        let data = socket.data("log").await;
        let node = &data["auditEventAdded"]["node"];
        number += 1;
        assert_eq!(
            (&node["sequenceNumber"], &node["eventType"]),
            (&json!(number.to_string()), &json!(expected))
        );
        if expected == "audit.queried" {
            server.put(&server.root, "n.a", json!({"k": 1})).await.ok();
            server.read(&server.root, "n.a").await.ok();
        }
    }
    socket.is_silent().await;
    // a filter, and the cursor of the query is that of the subscription
    let filter = json!({"filter": {"eventTypes": ["secret.accessed"]}, "after": newest["cursor"]});
    let mut events = Events::open(&server, Some(&token), AUDIT, filter).await;
    assert_eq!(events.data().await["auditEventAdded"]["node"]["secretPath"], "n.a");
    // an auditor no more
    server.as_root("mutation { deletePolicy(input: {name: \"auditor\"}) { name } }", json!({})).await.ok();
    let ended = loop {
        let message = socket.said().await;
        if message["type"] != "next" {
            break message;
        }
    };
    assert_eq!(ended["type"], "error", "{ended}");
    assert_eq!(ended["payload"][0]["extensions"]["code"], "FORBIDDEN", "{ended}");
    match events.event().await {
        Event::Next(result) => assert_eq!(result["errors"][0]["extensions"]["code"], "FORBIDDEN", "{result}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(events.event().await, Event::Complete);
    assert_eq!(events.event().await, Event::End);
    for wrong in ["nonsense", "LTE", "OTk5OTk5OTk"] {
        let mut refused = Events::open(&server, Some(&server.root), AUDIT, json!({"after": wrong})).await;
        match refused.event().await {
            Event::Next(result) => {
                assert_eq!(result["errors"][0]["extensions"]["field"], "after", "{wrong}: {result}");
            }
            other => panic!("{other:?}"),
        }
    }
}

/// What the next status says: initialised, sealed, progress.
async fn status(socket: &mut Socket) -> (bool, bool, i64) {
    let data = socket.data("s").await;
    let status = &data["sealStatusChanged"];
    (status["initialized"] == true, status["sealed"] == true, status["progress"].as_i64().unwrap())
}

/// Waits for a status; others may come before.
async fn reaches(socket: &mut Socket, wanted: (bool, bool, i64)) {
    while status(socket).await != wanted {}
}

async fn the_seal_is_told_to_anyone(store: Store) {
    let mut server = Server::start(store, Options::server()).await;
    let query = "subscription { sealStatusChanged { initialized sealed progress } }";
    let mut socket = Socket::ready(&server, None).await;
    socket.subscribe("s", query, json!({})).await;
    assert_eq!(status(&mut socket).await, (false, true, 0));
    server.initialize().await;
    reaches(&mut socket, (true, true, 0)).await;
    server.give_share(&server.shares[0]).await.ok();
    reaches(&mut socket, (true, true, 1)).await;

    // a socket that is opened with a token while the node is sealed is as good as any afterwards
    let mut secrets = Socket::ready(&server, Some(&server.root)).await;
    server.give_share(&server.shares[1]).await.ok();
    reaches(&mut socket, (true, false, 0)).await;
    secrets.subscribe("a", SECRETS, json!({})).await;
    secrets.subscribe("s", query, json!({})).await;
    assert_eq!(status(&mut secrets).await, (true, false, 0));
    server.as_root("mutation { seal { status { sealed } } }", json!({})).await.ok();
    reaches(&mut socket, (true, true, 0)).await;
    let (mut ended, mut sealed) = (false, false);
    while !(ended && sealed) {
        let message = secrets.said().await;
        match message["id"].as_str() {
            Some("a") => {
                assert_eq!(message["payload"][0]["extensions"]["code"], "SEALED", "{message}");
                ended = true;
            }
            _ => sealed = message["payload"]["data"]["sealStatusChanged"]["sealed"] == true,
        }
    }
}
