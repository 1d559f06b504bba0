//! The whole life of a static secret, as a client sees it.

use crate::support::{Reply, Server, Store};
use serde_json::{Value, json};

const PATCH: &str =
    "mutation($input: PatchSecretInput!) { patchSecret(input: $input) { secret { version } } }";
const DELETE: &str =
    "mutation($input: DeleteSecretInput!) { deleteSecret(input: $input) { secret { version } } }";
const RESTORE: &str =
    "mutation($input: RestoreSecretInput!) { restoreSecret(input: $input) { secret { version } } }";
const ROLLBACK: &str =
    "mutation($input: RollbackSecretInput!) { rollbackSecret(input: $input) { secret { version } } }";
const DESTROY: &str = "mutation($input: DestroySecretVersionsInput!) {
  destroySecretVersions(input: $input) { secret { version } } }";
const SETTINGS: &str = "mutation($input: UpdateSecretSettingsInput!) { updateSecretSettings(input: $input) {
  secret { version description metadata maxVersions rotation { enabled schedule nextRotationAt } } } }";
const VERSIONS: &str = "query($path: SecretPath!) { secret(path: $path) {
  versions(first: 100) { nodes { version createdBy deletedAt destroyed } } } }";
const LIST: &str =
    "query($prefix: SecretPath, $search: String, $first: Int, $after: String, $last: Int, $before: String) {
  secrets(prefix: $prefix, search: $search, first: $first, after: $after, last: $last, before: $before) {
    nodes { path } pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } }";

async fn change(server: &Server, mutation: &str, input: Value) -> Reply {
    server.as_root(mutation, json!({ "input": input })).await
}

async fn data(server: &Server, version: Option<i64>) -> Value {
    let read = match version {
        Some(version) => server.read_version(&server.root, "l.a", version).await,
        None => server.read(&server.root, "l.a").await,
    };
    read.ok()["secret"]["data"].take()
}

async fn versions(server: &Server) -> Vec<(i64, bool, bool)> {
    let mut all = server.as_root(VERSIONS, json!({"path": "l.a"})).await.ok();
    let nodes = all["secret"]["versions"]["nodes"].take();
    nodes
        .as_array()
        .unwrap()
        .iter()
        .map(|node| {
            (
                node["version"].as_i64().unwrap(),
                !node["deletedAt"].is_null(),
                node["destroyed"] == json!(true),
            )
        })
        .collect()
}

both_stores!(versions_come_and_go, only_the_newest_are_kept, settings, lists, large_values);

async fn versions_come_and_go(store: Store) {
    let server = Server::dev(store).await;
    let root = server.root.clone();
    assert_eq!(server.read(&root, "l.a").await.ok()["secret"], Value::Null);
    server.put_expecting(&root, "l.a", json!({"n": 1, "keep": {"a": 1, "b": 2}}), 0).await.ok();
    server.put_expecting(&root, "l.a", json!({"n": 1}), 0).await.refused("CONFLICT");
    change(&server, PATCH, json!({"path": "l.a", "data": {"n": 2, "keep": {"a": null}, "new": [1.5, "ü"]}}))
        .await
        .ok();
    assert_eq!(data(&server, None).await, json!({"n": 2, "keep": {"b": 2}, "new": [1.5, "ü"]}));
    change(&server, PATCH, json!({"path": "l.a", "data": {}, "expectedVersion": 1}))
        .await
        .refused("CONFLICT");
    server.put_expecting(&root, "l.a", json!({"n": 3}), 2).await.ok();
    assert_eq!(data(&server, Some(1)).await, json!({"n": 1, "keep": {"a": 1, "b": 2}}));
    server.read_version(&root, "l.a", 4).await.refused("NOT_FOUND");

    // soft deletion and back
    change(&server, DELETE, json!({"path": "l.a"})).await.ok();
    assert_eq!(
        (data(&server, None).await, data(&server, Some(2)).await["n"].clone()),
        (Value::Null, json!(2))
    );
    change(&server, PATCH, json!({"path": "l.a", "data": {"n": 9}})).await.refused("CONFLICT");
    server.put_expecting(&root, "l.a", json!({"n": 9}), 0).await.refused("CONFLICT");
    change(&server, RESTORE, json!({"path": "l.a", "versions": [3]})).await.ok();
    assert_eq!(data(&server, None).await, json!({"n": 3}));

    // rollback makes a new version
    let back = change(&server, ROLLBACK, json!({"path": "l.a", "toVersion": 1})).await.ok();
    assert_eq!(back["rollbackSecret"]["secret"]["version"], json!(4));
    assert_eq!(data(&server, None).await, data(&server, Some(1)).await);
    change(&server, ROLLBACK, json!({"path": "l.a", "toVersion": 7})).await.refused("NOT_FOUND");

    // destruction is for good
    change(&server, DESTROY, json!({"path": "l.a", "versions": [1, 2]})).await.ok();
    change(&server, RESTORE, json!({"path": "l.a", "versions": [1]})).await;
    assert_eq!(data(&server, Some(1)).await, Value::Null);
    change(&server, ROLLBACK, json!({"path": "l.a", "toVersion": 1})).await.refused("CONFLICT");
    assert_eq!(
        versions(&server).await,
        [(4, false, false), (3, false, false), (2, false, true), (1, false, true)]
    );
    let gone = change(&server, DESTROY, json!({"path": "l.a", "entireSecret": true})).await.ok();
    assert_eq!(gone["destroySecretVersions"]["secret"], Value::Null);
    assert_eq!(server.read(&root, "l.a").await.ok()["secret"], Value::Null);
    server.put_expecting(&root, "l.a", json!({"n": 1}), 0).await.ok();
    server.audit_is_whole().await;
}

async fn only_the_newest_are_kept(store: Store) {
    let server = Server::dev(store).await;
    let root = server.root.clone();
    for n in 1..=14 {
        server.put(&root, "l.a", json!({ "n": n })).await.ok();
    }
    let kept: Vec<i64> = versions(&server)
        .await
        .into_iter()
        .filter(|(_, _, destroyed)| !destroyed)
        .map(|(version, ..)| version)
        .collect();
    assert_eq!(kept, [14, 13, 12, 11, 10, 9, 8, 7, 6, 5]);
    change(&server, SETTINGS, json!({"path": "l.a", "maxVersions": 2})).await.ok();
    server.put(&root, "l.a", json!({"n": 15})).await.ok();
    assert_eq!(
        (data(&server, Some(14)).await, data(&server, Some(13)).await),
        (json!({"n": 14}), Value::Null)
    );
    change(&server, SETTINGS, json!({"path": "l.a", "maxVersions": 0})).await.refused("BAD_USER_INPUT");
}

async fn settings(store: Store) {
    let server = Server::dev(store).await;
    server.put(&server.root, "l.a", json!({"n": 1})).await.ok();
    let input = json!({"path": "l.a", "description": "the one", "metadata": {"team": "red"},
        "rotation": {"enabled": true, "schedule": "0 0 3 * * *"}});
    let mut set = change(&server, SETTINGS, input).await.ok();
    let set = set["updateSecretSettings"]["secret"].take();
    assert_eq!(
        (&set["version"], &set["description"], &set["metadata"]),
        (&json!(1), &json!("the one"), &json!({"team": "red"}))
    );
    assert!(set["rotation"]["nextRotationAt"].is_string(), "{set}");
    let mut kept = change(&server, SETTINGS, json!({"path": "l.a", "description": null})).await.ok();
    let kept = kept["updateSecretSettings"]["secret"].take();
    assert_eq!((&kept["description"], &kept["metadata"]), (&Value::Null, &json!({"team": "red"})));
    let bad = json!({"path": "l.a", "rotation": {"enabled": true, "schedule": "whenever"}});
    let bad = change(&server, SETTINGS, bad).await;
    bad.refused("BAD_USER_INPUT");
    assert!(bad.field().is_some_and(|field| field.starts_with("input.rotation")), "{}", bad.body);
}

async fn lists(store: Store) {
    let server = Server::dev(store).await;
    let root = server.root.clone();
    for path in ["l.a", "l.a.b", "l.ab", "l.b.c", "l.b.d", "l.b_x.d", "l.b-x.d", "m.z", "m.100_percent"] {
        server.put(&root, path, json!({"k": "v"})).await.ok();
    }
    let paths = async |token: &str, variables: Value| -> Vec<String> {
        let found = server.graphql(Some(token), LIST, variables).await.ok();
        found["secrets"]["nodes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|node| node["path"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(paths(&root, json!({"prefix": "l.a"})).await, ["l.a", "l.a.b"], "whole segments");
    assert_eq!(paths(&root, json!({"prefix": "l.b"})).await, ["l.b.c", "l.b.d"]);
    assert_eq!(
        paths(&root, json!({"search": "100_P"})).await,
        ["m.100_percent"],
        "any case, and _ is no wildcard"
    );
    assert_eq!(paths(&root, json!({"search": "b%d"})).await, [""; 0], "% is no wildcard");
    let all = paths(&root, json!({})).await;
    let mut sorted = all.clone();
    sorted.sort();
    assert_eq!((all.len(), &all), (9, &sorted));

    // page by page, forward and backward
    for size in [1, 2, 4, 9, 100] {
        let (mut forward, mut after) = (Vec::new(), Value::Null);
        loop {
            let page =
                server.as_root(LIST, json!({"first": size, "after": after})).await.ok()["secrets"].take();
            forward.extend(
                page["nodes"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|node| node["path"].as_str().unwrap().to_owned()),
            );
            after = page["pageInfo"]["endCursor"].clone();
            if page["pageInfo"]["hasNextPage"] == json!(false) {
                break;
            }
        }
        assert_eq!(forward, all, "forward by {size}");
        let (mut backward, mut before) = (Vec::new(), Value::Null);
        loop {
            let page = server
                .as_root(LIST, json!({"first": null, "last": size, "before": before}))
                .await
                .ok()["secrets"]
                .take();
            let mut paths: Vec<String> = page["nodes"]
                .as_array()
                .unwrap()
                .iter()
                .map(|node| node["path"].as_str().unwrap().to_owned())
                .collect();
            paths.extend(backward);
            backward = paths;
            before = page["pageInfo"]["startCursor"].clone();
            if page["pageInfo"]["hasPreviousPage"] == json!(false) {
                break;
            }
        }
        assert_eq!(backward, all, "backward by {size}");
    }

    // only what the policy lets list, page boundaries included
    let document = json!({"version": 1, "allowed_secrets": ["l.b.*", "m.z"], "allowed_operations": ["list"]});
    server.create_policy("lister", document).await;
    let token = server.token_with(&["lister"], json!({})).await;
    assert_eq!(paths(&token, json!({})).await, ["l.b.c", "l.b.d", "m.z"]);
    assert_eq!(paths(&token, json!({"first": 2})).await, ["l.b.c", "l.b.d"]);
    assert_eq!(paths(&token, json!({"prefix": "l.a"})).await, [""; 0]);
    let page = server.graphql(Some(&token), LIST, json!({"first": 3})).await.ok()["secrets"].take();
    assert_eq!(page["pageInfo"]["hasNextPage"], json!(false), "what one may not list is not counted");
}

async fn large_values(store: Store) {
    let server = Server::dev(store).await;
    let root = server.root.clone();
    let fits = "x".repeat((1 << 20) - 100);
    server.put(&root, "l.a", json!({ "k": fits })).await.ok();
    assert_eq!(data(&server, None).await["k"].as_str().map(str::len), Some(fits.len()));
    let too_long = "x".repeat(1 << 20);
    let refused = server.put(&root, "l.a", json!({ "k": too_long })).await;
    refused.refused("BAD_USER_INPUT");
    assert_eq!(refused.field(), Some("input.data"));
    // a patch cannot make it too long either
    let patched = change(&server, PATCH, json!({"path": "l.a", "data": {"more": "y".repeat(1000)}})).await;
    patched.refused("BAD_USER_INPUT");
    // texts that databases are touchy about, and numbers beyond 53 bits
    let touchy = json!({"nul": "a\u{0}b", "unicode": "\u{10ffff} \u{202e} é e\u{301}", "": "empty key", "big": 9_007_199_254_740_993_i64, "null": null});
    server.put(&root, "l.touchy", touchy.clone()).await.ok();
    assert_eq!(server.read(&root, "l.touchy").await.ok()["secret"]["data"], touchy);
}
