//! Engines: the secrets of their configurations, what they issue, and the passwords of their targets' accounts.

use super::{Search, Server, Sql};
use crate::support::plugins::postgresql_config;
use crate::support::postgres::PostgresServer;
use crate::support::text;
use serde_json::{Value, json};

const PASSWORD: &str = "planted-engine-password-Wq2eR4tY6u";
const NEXT_PASSWORD: &str = "planted-next-engine-password-Nb5vC7xZ9a";
const REFUSED: &str = "planted-refused-configuration-Mk1jH3gF5d";

const ENABLE: &str =
    "mutation($input: EnableEngineInput!) { enableEngine(input: $input) { engine { config } } }";
const UPDATE: &str =
    "mutation($input: EnableEngineInput!) { updateEngine(input: $input) { engine { config } } }";
const ROLE: &str = "mutation($input: EngineRoleInput!) { putEngineRole(input: $input) { secret { path } } }";
const ISSUE: &str = "mutation($input: IssueCredentialsInput!) { issueCredentials(input: $input) {
    credentials lease { leaseId handle } } }";
const RENEW: &str = "mutation($input: RenewLeaseInput!) { renewLease(input: $input) { lease { handle } } }";
const REVOKE: &str =
    "mutation($input: RevokeLeaseInput!) { revokeLease(input: $input) { lease { lastRevocationError } } }";
const BIND: &str =
    "mutation($input: BindSecretAccountInput!) { bindSecretAccount(input: $input) { secret { version } } }";
const ROTATE: &str = "mutation { rotateSecret(input: {path: \"leak.account\"}) { secret { version } } }";
const ROOT: &str = "mutation { rotateEngineRoot(input: {name: \"leak\"}) { engine { config } } }";

/// Engines enabled, changed and refused; credentials in all their ways; and the same with the target gone.
pub async fn engines(server: &Server, search: &mut Search) {
    search.plant("an engine's password", PASSWORD);
    search.plant("an engine's next password", NEXT_PASSWORD);
    search.plant("a refused configuration", REFUSED);
    let target = tokio::task::spawn_blocking(PostgresServer::start).await.unwrap();
    let mut sql = Sql::open(&target.url()).await;
    sql.run("CREATE ROLE leak_admin LOGIN SUPERUSER; CREATE ROLE leak_account LOGIN").await;
    let config = |password: &str| postgresql_config(&target.url(), "leak_admin", password);
    let good = json!({"input": {"name": "leak", "kind": "postgresql", "config": config(PASSWORD)}});
    let shown = search.note(server.as_root(ENABLE, good.clone()).await);
    assert_eq!(text(&shown, "/enableEngine/engine/config/username"), "leak_admin");
    assert!(!shown.to_string().contains(PASSWORD), "{shown}");
    let next = json!({"input": {"name": "leak", "kind": "postgresql", "config": config(NEXT_PASSWORD)}});
    let shown = search.note(server.as_root(UPDATE, next).await);
    assert!(shown["updateEngine"].is_object() && !shown.to_string().contains(NEXT_PASSWORD), "{shown}");
    refused(server, search, &config(REFUSED)).await;

    let role = json!({"input": {"path": "leak.role", "engine": "leak", "rehearse": true, "config": {"groups": ["pg_monitor"]}}});
    assert!(search.note(server.as_root(ROLE, role).await)["putEngineRole"].is_object());
    let lease = credentials(server, search).await;
    accounts(server, search).await;
    search.note(server.as_root(ROOT, json!({})).await);
    credentials(server, search).await;
    // and when nobody answers
    target.crash();
    search.note(server.as_root(UPDATE, good).await);
    search.note(server.as_root(ISSUE, json!({"input": {"path": "leak.role"}})).await);
    search.note(server.as_root(RENEW, json!({"input": {"leaseId": lease}})).await);
    let revoked = search.note(server.as_root(REVOKE, json!({"input": {"leaseId": lease}})).await);
    search.errors.push_str(text(&revoked, "/revokeLease/lease/lastRevocationError"));
    search.note(server.as_root(ROTATE, json!({})).await);
    search.note(server.as_root(ROOT, json!({})).await);
}

/// Configurations that are wrong in every way, each with a secret in it.
async fn refused(server: &Server, search: &mut Search, config: &Value) {
    let with = |key: &str, value: Value| {
        let mut config = config.clone();
        config[key] = value;
        config
    };
    let closed = crate::support::server::free_port();
    for (kind, config) in [
        ("none", config.clone()),
        (REFUSED, config.clone()),
        ("postgresql", json!(REFUSED)),
        ("postgresql", json!([REFUSED])),
        ("postgresql", with("surprise", json!(REFUSED))),
        ("postgresql", with("port", json!(REFUSED))),
        ("postgresql", with("port", json!(closed))),
        ("postgresql", with("password", json!({"is": REFUSED}))),
        ("postgresql", with("tls", json!("require"))),
        ("postgresql", with("username", json!("nobody-of-this-name"))),
        ("postgresql", with("ca_pem", json!(REFUSED))),
    ] {
        let input = json!({"name": "refused", "kind": kind, "config": config});
        let reply = server.as_root(ENABLE, json!({ "input": input })).await;
        assert!(!reply.is_ok(), "{kind}: {}", reply.body);
        search.note(reply);
    }
}

/// Issues twice, one of them twice with one key, renews, and ends one; the other's lease.
async fn credentials(server: &Server, search: &mut Search) -> String {
    let key = uuid::Uuid::new_v4().to_string();
    let mut leases = Vec::new();
    for input in [
        json!({"path": "leak.role", "idempotencyKey": key}),
        json!({"path": "leak.role", "idempotencyKey": key}),
        json!({"path": "leak.role"}),
    ] {
        let issued = search.note(server.as_root(ISSUE, json!({ "input": input })).await);
        search.plant("an issued password", text(&issued, "/issueCredentials/credentials/password"));
        leases.push(text(&issued, "/issueCredentials/lease/leaseId").to_owned());
    }
    assert_eq!(leases[0], leases[1]);
    let renewed = search.note(server.as_root(RENEW, json!({"input": {"leaseId": leases[0]}})).await);
    assert!(renewed["renewLease"].is_object(), "{renewed}");
    search.note(server.as_root(REVOKE, json!({"input": {"leaseId": leases[0]}})).await);
    search.note(server.as_root(RENEW, json!({"input": {"leaseId": leases[0]}})).await);
    leases.remove(2)
}

/// An account's password, made at once and again on demand.
async fn accounts(server: &Server, search: &mut Search) {
    let input = json!({"path": "leak.account", "engine": "leak", "account": "leak_account"});
    search.note(server.as_root(BIND, json!({ "input": input })).await);
    for _ in 0..2 {
        let read = search.note(server.read(&server.root, "leak.account").await);
        search.plant("an account's password", text(&read, "/secret/data/password"));
        assert!(search.note(server.as_root(ROTATE, json!({})).await)["rotateSecret"].is_object());
    }
    let unknown = json!({"path": "leak.none", "engine": "leak", "account": "no_such_account"});
    search.note(server.as_root(BIND, json!({ "input": unknown })).await);
}
