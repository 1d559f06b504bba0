//! Who gets in and what they may, from login to refusal, and that the explanation says what is done.

use crate::support::{Options, Reply, Server, Store, text};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const EXPLAIN: &str = "query($input: ExplainAccessInput!) { explainAccess(input: $input) {
  allowed decidedBy reason missing } }";
const UPDATE_ROLE: &str = "mutation($input: RoleInput!) { updateRole(input: $input) { role { enabled } } }";
const REVOKE: &str = "mutation($input: RevokeTokenInput!) { revokeToken(input: $input) { revoked } }";
const CREATE_TOKEN: &str =
    "mutation($input: CreateTokenInput!) { createToken(input: $input) { token accessor warnings } }";

fn reads(paths: &[&str]) -> Value {
    json!({"version": 1, "allowed_secrets": paths, "allowed_operations": ["read", "list"]})
}

fn when(condition: &str, value: Value) -> Value {
    let mut document = reads(&["x.*"]);
    document["conditions"] = json!({ condition: value });
    document
}

async fn token_of_role(server: &Server, role: &str, fields: Value) -> String {
    let role_id = server.create_role(role, fields).await;
    let (secret_id, _) = server.generate_secret_id(role, json!({})).await;
    let login = server.login(&role_id, &secret_id).await.ok();
    text(&login, "/loginWithAppRole/token").to_owned()
}

fn may_read(reply: &Reply) -> bool {
    reply.is_ok() && !reply.data["secret"].is_null()
}

/// Asks until what was good for some seconds is refused.
async fn runs_out(mut ask: impl AsyncFnMut() -> Reply) {
    let since = Instant::now();
    let refused = loop {
        let reply = ask().await;
        if !reply.is_ok() {
            break reply;
        }
        assert!(since.elapsed() < Duration::from_secs(20), "it does not run out");
        tokio::time::sleep(Duration::from_millis(500)).await;
    };
    refused.refused("UNAUTHENTICATED");
}

both_stores!(
    policies_decide,
    explanations_are_true,
    bindings_add_policies,
    roles_end_their_tokens,
    token_trees,
    secret_ids_run_out,
    lockout,
    no_more_than_one_holds,
    forwarded_addresses
);

async fn policies_decide(store: Store) {
    let server = Server::dev(store).await;
    server.put(&server.root, "x.a", json!({"k": "v"})).await.ok();
    server.put(&server.root, "x.deep.er.b", json!({"k": "v"})).await.ok();
    let deny = json!({"name": "deny", "denyPolicy": true, "document": reads(&["x.deep.*"])});
    let policy = "mutation($input: PolicyInput!) { createPolicy(input: $input) { policy { name } } }";
    server.as_root(policy, json!({ "input": deny })).await.ok();
    for (name, document, first, second) in [
        ("all", reads(&["x.*"]), true, true),
        ("one", reads(&["x.a"]), true, false),
        ("segment", reads(&["x.*.er.b"]), false, true),
        ("within", reads(&["x.d*p.er.b"]), false, true),
        ("none", reads(&["y.*"]), false, false),
        ("here", when("ip_ranges", json!(["127.0.0.0/8"])), true, true),
        ("elsewhere", when("ip_ranges", json!(["10.0.0.0/8"])), false, false),
        (
            "everyday",
            when("days_of_week", json!(["mon", "tue", "wed", "thu", "fri", "sat", "sun"])),
            true,
            true,
        ),
    ] {
        server.create_policy(name, document).await;
        let token = server.token_with(&[name], json!({})).await;
        let got = (
            may_read(&server.read(&token, "x.a").await),
            may_read(&server.read(&token, "x.deep.er.b").await),
        );
        assert_eq!(got, (first, second), "{name}");
        let denied = server.token_with(&[name, "deny"], json!({})).await;
        assert_eq!(
            may_read(&server.read(&denied, "x.a").await),
            first,
            "{name} beside a denial of other paths"
        );
        assert!(!may_read(&server.read(&denied, "x.deep.er.b").await), "a denial wins over {name}");
    }
    // a policy that is gone gives nothing, one that changes counts from the next request
    let token = server.token_with(&["all"], json!({})).await;
    assert!(may_read(&server.read(&token, "x.a").await));
    let update = "mutation($input: PolicyInput!) { updatePolicy(input: $input) { policy { name } } }";
    server.as_root(update, json!({"input": {"name": "all", "document": reads(&["y.*"])}})).await.ok();
    assert!(!may_read(&server.read(&token, "x.a").await));
    let one = server.token_with(&["one"], json!({})).await;
    let delete = "mutation { deletePolicy(input: {name: \"one\"}) { name } }";
    server.as_root(delete, json!({})).await.ok();
    assert!(!may_read(&server.read(&one, "x.a").await));
    server.audit_is_whole().await;
}

/// For every policy, `explainAccess` says what a read then shows.
async fn explanations_are_true(store: Store) {
    let server = Server::dev(store).await;
    server.put(&server.root, "x.a", json!({"k": "v"})).await.ok();
    for (name, document) in [
        ("all", reads(&["x.*"])),
        ("other", reads(&["y.*"])),
        ("lists", json!({"version": 1, "allowed_secrets": ["x.*"], "allowed_operations": ["list"]})),
        ("here", when("ip_ranges", json!(["127.0.0.1"]))),
        ("elsewhere", when("ip_ranges", json!(["192.0.2.0/24"]))),
        ("never", when("time_of_day", json!("00:00-00:00"))),
    ] {
        let input = json!({"input": {"name": name, "document": document}});
        let made = server
            .as_root(
                "mutation($input: PolicyInput!) { createPolicy(input: $input) { policy { name } } }",
                input,
            )
            .await;
        if !made.is_ok() {
            // an empty span of time may be refused when it is written
            assert_eq!((name, made.code()), ("never", Some("BAD_USER_INPUT")), "{}", made.body);
            continue;
        }
        let token = server.token_with(&[name], json!({})).await;
        let read = server.read(&token, "x.a").await;
        let allowed = read.is_ok() && !read.data["secret"]["data"].is_null();
        let mine = json!({"input": {"path": "x.a", "operation": "READ"}});
        let said = server.graphql(Some(&token), EXPLAIN, mine).await.ok()["explainAccess"].take();
        assert_eq!(said["allowed"], json!(allowed), "{name}: {said}");
        assert!(!text(&said, "/reason").is_empty());
        if allowed {
            assert!(text(&said, "/decidedBy").contains(name), "{said}");
        }
        let of_others = json!({"input": {"path": "x.a", "operation": "READ", "as": {"policies": [name]}, "sourceIp": "127.0.0.1"}});
        let said = server.as_root(EXPLAIN, of_others).await.ok()["explainAccess"].take();
        assert_eq!(said["allowed"], json!(allowed), "{name} as seen by root: {said}");
    }
}

async fn bindings_add_policies(store: Store) {
    let server = Server::dev(store).await;
    server.put(&server.root, "x.a", json!({"k": "v"})).await.ok();
    server.create_policy("nothing", reads(&["y.*"])).await;
    let token = token_of_role(&server, "billing", json!({"policies": ["nothing"]})).await;
    assert!(!may_read(&server.read(&token, "x.a").await));
    let bound =
        json!({"input": {"name": "bound", "document": reads(&["x.*"]), "entityBindings": ["role:billing"]}});
    server
        .as_root("mutation($input: PolicyInput!) { createPolicy(input: $input) { policy { name } } }", bound)
        .await
        .ok();
    assert!(may_read(&server.read(&token, "x.a").await), "bound to the role");
    let other = token_of_role(&server, "other", json!({"policies": ["nothing"]})).await;
    assert!(!may_read(&server.read(&other, "x.a").await), "not bound to this one");
}

async fn roles_end_their_tokens(store: Store) {
    let server = Server::dev(store).await;
    server.put(&server.root, "x.a", json!({"k": "v"})).await.ok();
    server.create_policy("all", reads(&["x.*"])).await;
    let role_id = server.create_role("app", json!({"policies": ["all"]})).await;
    let (secret_id, _) = server.generate_secret_id("app", json!({})).await;
    let login = server.login(&role_id, &secret_id).await.ok();
    let token = text(&login, "/loginWithAppRole/token").to_owned();
    assert!(may_read(&server.read(&token, "x.a").await));
    server.as_root(UPDATE_ROLE, json!({"input": {"name": "app", "enabled": false}})).await.ok();
    server.read(&token, "x.a").await.refused("UNAUTHENTICATED");
    server.login(&role_id, &secret_id).await.refused("UNAUTHENTICATED");
    server.as_root(UPDATE_ROLE, json!({"input": {"name": "app", "enabled": true}})).await.ok();
    server.read(&token, "x.a").await.refused("UNAUTHENTICATED");
    let login = server.login(&role_id, &secret_id).await.ok();
    let token = text(&login, "/loginWithAppRole/token").to_owned();
    server.as_root("mutation { deleteRole(input: {name: \"app\"}) { name } }", json!({})).await.ok();
    server.read(&token, "x.a").await.refused("UNAUTHENTICATED");
    server.login(&role_id, &secret_id).await.refused("UNAUTHENTICATED");
}

/// A token's children end with it, and so do those that outlive their time.
async fn token_trees(store: Store) {
    let server = Server::dev(store).await;
    server.create_policy("maker", json!({"version": 1, "administers": ["tokens"]})).await;
    let make = async |parent: &str, orphan: bool| {
        let input = json!({"input": {"policies": ["maker"], "orphan": orphan}});
        let made = server.graphql(Some(parent), CREATE_TOKEN, input).await.ok();
        text(&made, "/createToken/token").to_owned()
    };
    let parent = make(&server.root, false).await;
    let child = make(&parent, false).await;
    let grandchild = make(&child, false).await;
    let sibling = make(&server.root, false).await;
    let revoked = server.graphql(Some(&parent), REVOKE, json!({"input": {}})).await.ok();
    assert_eq!(revoked["revokeToken"]["revoked"], json!(3));
    for gone in [&parent, &child, &grandchild] {
        server.graphql(Some(gone), "{ me { displayName } }", json!({})).await.refused("UNAUTHENTICATED");
    }
    server.graphql(Some(&sibling), "{ me { displayName } }", json!({})).await.ok();
    let short = server.token_with(&["maker"], json!({"ttlSeconds": 5})).await;
    server.graphql(Some(&short), "{ me { displayName } }", json!({})).await.ok();
    runs_out(async || server.graphql(Some(&short), "{ me { displayName } }", json!({})).await).await;
    let renew = "mutation { renewToken(input: {}) { accessor } }";
    server.graphql(Some(&short), renew, json!({})).await.refused("UNAUTHENTICATED");
}

async fn secret_ids_run_out(store: Store) {
    let server = Server::dev(store).await;
    server.create_policy("all", reads(&["x.*"])).await;
    let role_id = server.create_role("app", json!({"policies": ["all"]})).await;
    for (what, fields) in [
        ("used up", json!({"numUses": 1})),
        ("run out", json!({"ttlSeconds": 5})),
        ("destroyed", json!({})),
        ("for elsewhere", json!({"boundCidrList": ["192.0.2.0/24"]})),
    ] {
        let (secret_id, accessor) = server.generate_secret_id("app", fields).await;
        if what != "for elsewhere" {
            server.login(&role_id, &secret_id).await.ok();
        }
        if what == "run out" {
            runs_out(async || server.login(&role_id, &secret_id).await).await;
        }
        if what == "destroyed" {
            let input = json!({"input": {"roleName": "app", "accessor": accessor}});
            let destroy =
                "mutation($input: DestroySecretIdInput!) { destroySecretId(input: $input) { accessor } }";
            server.as_root(destroy, input).await.ok();
        }
        server.login(&role_id, &secret_id).await.refused("UNAUTHENTICATED");
        // a good one in between, so that the failures do not add up to a lockout
        let (good, _) = server.generate_secret_id("app", json!({"numUses": 1})).await;
        server.login(&role_id, &good).await.ok();
    }
    // an accessor cannot log in, and a role that nobody knows is answered in the same words as a wrong SecretID
    let (_, accessor) = server.generate_secret_id("app", json!({})).await;
    let wrong = server.login(&role_id, &accessor).await;
    let unknown = server.login("7e5cfe9a-0b5c-4d3b-9c6e-0c8b2c1d4e5f", &accessor).await;
    wrong.refused("UNAUTHENTICATED");
    assert_eq!((wrong.code(), wrong.message()), (unknown.code(), unknown.message()));
}

async fn lockout(store: Store) {
    let server = Server::dev(store).await;
    server.create_policy("all", reads(&["x.*"])).await;
    let role_id = server.create_role("app", json!({"policies": ["all"]})).await;
    let (secret_id, _) = server.generate_secret_id("app", json!({})).await;
    let mut locked = None;
    for failure in 1..=12 {
        let reply = server.login(&role_id, "a-wrong-secret-id-of-some-length").await;
        if reply.code() == Some("RATE_LIMITED") {
            locked = Some(failure);
            let seconds = reply.errors[0].pointer("/extensions/retryAfterSeconds").and_then(Value::as_i64);
            assert!(seconds.is_some_and(|seconds| seconds > 0), "{}", reply.body);
            break;
        }
        reply.refused("UNAUTHENTICATED");
    }
    assert!(locked.is_some(), "twelve failures and no lockout");
    server.login(&role_id, &secret_id).await.refused("RATE_LIMITED");
    server.audit_is_whole().await;
}

/// One can hand on what one holds and no more.
async fn no_more_than_one_holds(store: Store) {
    let server = Server::dev(store).await;
    server.create_policy("maker", json!({"version": 1, "administers": ["tokens", "roles"]})).await;
    server.create_policy("all", reads(&["x.*"])).await;
    let maker = server.token_with(&["maker"], json!({})).await;
    for policies in [json!(["root"]), json!(["all"]), json!(["maker", "root"])] {
        let made = server.graphql(Some(&maker), CREATE_TOKEN, json!({"input": {"policies": policies}})).await;
        made.refused("FORBIDDEN");
    }
    server.graphql(Some(&maker), CREATE_TOKEN, json!({"input": {"policies": ["maker"]}})).await.ok();
    let role = "mutation($input: RoleInput!) { createRole(input: $input) { role { name } } }";
    for input in [
        json!({"name": "r", "policies": ["root"]}),
        json!({"name": "r", "policies": ["maker"], "tokenPolicies": ["root"]}),
    ] {
        server.graphql(Some(&maker), role, json!({ "input": input })).await.refused("FORBIDDEN");
    }
    // nor can one get there by changing a role
    server.create_role("rooted", json!({"policies": ["root"]})).await;
    let secret_id = json!({"input": {"roleName": "rooted"}});
    let generate =
        "mutation($input: GenerateSecretIdInput!) { generateSecretId(input: $input) { accessor } }";
    server.graphql(Some(&maker), generate, secret_id).await.refused("FORBIDDEN");
}

/// `X-Forwarded-For` counts behind a configured proxy only, and then its last entry that is no proxy.
async fn forwarded_addresses(store: Store) {
    for (proxies, forwarded, seen) in [
        ("", "192.0.2.7", "127.0.0.1"),
        ("trusted_proxies = [\"127.0.0.1\"]", "192.0.2.7", "192.0.2.7"),
        ("trusted_proxies = [\"127.0.0.1\"]", "198.51.100.1, 192.0.2.7", "192.0.2.7"),
        ("trusted_proxies = [\"127.0.0.1\", \"192.0.2.0/24\"]", "198.51.100.1, 192.0.2.7", "198.51.100.1"),
    ] {
        let variable = proxies.split_once(" = ").map(|(_, list)| list.replace(['[', ']', '"'], ""));
        let environment = variable
            .into_iter()
            .map(|list| ("SECRETHUB_LISTENER__TRUSTED_PROXIES".to_owned(), list))
            .collect();
        let mut server = Server::start(store, Options { environment, ..Options::server() }).await;
        server.initialize().await;
        server.unseal().await;
        let asked = server
            .http
            .post(format!("{}/graphql", server.address()))
            .bearer_auth(&server.root)
            .header("X-Forwarded-For", forwarded)
            .json(&json!({"query": "{ policies { nodes { name } } }"}))
            .send()
            .await
            .unwrap();
        assert!(asked.status().is_success());
        let events = server
            .as_root("{ auditEvents(first: 5, filter: {eventTypes: [\"admin.accessed\"]}) { nodes { sourceIp } } }", json!({}))
            .await
            .ok();
        assert_eq!(text(&events, "/auditEvents/nodes/0/sourceIp"), seen, "{forwarded} behind '{proxies}'");
    }
}
