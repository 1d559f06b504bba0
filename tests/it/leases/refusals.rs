//! What cannot work is refused at once, naming the field and the target's complaint without its secrets, and nothing is left of it.

use super::*;

/// A password of the caller's that no answer may repeat.
const WRONG: &str = "hunter2-hunter2-hunter2";

fn refused_at(reply: &Reply, field: &str) {
    reply.refused("BAD_USER_INPUT");
    assert_eq!(reply.field(), Some(field), "{}", reply.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_configurations_of_engines() {
    let (server, target) = tokio::join!(Server::dev(Store::Sqlite), Postgres::start());
    let enable = async |change: Value| {
        let mut config = target.config();
        for (key, value) in change.as_object().unwrap() {
            config[key] = value.clone();
        }
        server.enable_with(json!({ "name": "bad", "kind": "postgresql", "config": config })).await
    };
    for (change, field) in [
        (json!({ "hst": "x" }), "input.config.hst"),
        (json!({ "port": "many" }), "input.config.port"),
        (json!({ "host": "postgres://x:hunter2-hunter2-hunter2@y" }), "input.config.host"),
        (json!({ "connect_timeout_seconds": 0 }), "input.config.connect_timeout_seconds"),
        (
            json!({ "username_template": format!("{{{{installation}}}}_{{{{lease}}}}_{}", "x".repeat(40)) }),
            "input.config.username_template",
        ),
        (json!({ "username_template": "no-lease" }), "input.config.username_template"),
        (json!({ "password": { "text": WRONG } }), "input.config.password"),
    ] {
        let reply = enable(change).await;
        refused_at(&reply, field);
        assert!(!reply.body.contains(WRONG) && !reply.body.contains(PASSWORD), "{}", reply.body);
    }
    let port = crate::support::server::free_port();
    let of_the_target = [
        (json!({ "password": WRONG }), "password", "BAD_USER_INPUT", Some("input.config.password")),
        (json!({ "port": port }), "engine", "ENGINE_UNAVAILABLE", None),
        (json!({ "database": "nowhere" }), "nowhere", "BAD_USER_INPUT", Some("input.config.database")),
    ];
    for (change, complaint, code, field) in of_the_target {
        let begun = Instant::now();
        let reply = enable(change).await;
        reply.refused(code);
        assert_eq!(reply.field(), field, "{}", reply.body);
        assert!(reply.message().contains(complaint), "{}", reply.body);
        assert!(!reply.body.contains(WRONG) && !reply.body.contains(PASSWORD), "{}", reply.body);
        assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    }
    assert!(server.engine("bad").await.is_null());
    let unknown = json!({ "name": "bad", "kind": "oracle", "config": {} });
    refused_at(&server.enable_with(unknown).await, "input.kind");
    let log = server.log();
    assert!(!log.contains(WRONG) && !log.contains(PASSWORD), "a password is in the log");
}

/// What the target refuses of a configuration or role is for who saves it to correct, and names the field.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_of_a_target_name_the_field() {
    let (server, target) = dev_with_postgres().await;
    let redis = RedisServer::start_forgetful();
    let enable = async |change: Value| {
        let mut config = redis_config(&redis);
        for (key, value) in change.as_object().unwrap() {
            config[key] = value.clone();
        }
        server.enable_with(json!({ "name": "cache", "kind": "redis", "config": config })).await
    };
    refused_at(&enable(json!({ "persistence": "required" })).await, "input.config.persistence");
    refused_at(&enable(json!({ "password": WRONG })).await, "input.config.password");

    let lesser = "password-of-the-lesser";
    target.run(&format!("CREATE ROLE lesser LOGIN CREATEROLE PASSWORD '{lesser}'")).await;
    let mut config = target.config();
    config["username"] = json!("lesser");
    config["password"] = json!(lesser);
    server.enable("lesser", "postgresql", config.clone()).await;
    let creation = ["CREATE ROLE {{name}} LOGIN SUPERUSER PASSWORD {{password}}"];
    let role = json!({ "config": { "creation_statements": creation } });
    let refused = server.put_role("prod.db.super", "lesser", role).await;
    refused_at(&refused, "input.config.creation_statements[0]");
    assert!(refused.message().contains("42501"), "{}", refused.body);
    let revocation = ["DELETE FROM no_such_schema.accounts WHERE name = {{name_literal}}"];
    let role = json!({ "config": { "groups": [GROUP], "revocation_statements": revocation } });
    let refused = server.put_role("prod.db.bad", "main", role).await;
    refused_at(&refused, "input.config.revocation_statements[0]");

    // the same at an issue is none of the caller's input
    target.run("CREATE TABLE given (name text)").await;
    let creation =
        ["CREATE ROLE {{name}} LOGIN PASSWORD {{password}}", "INSERT INTO given VALUES ({{name_literal}})"];
    target.run("GRANT INSERT ON given TO lesser").await;
    let role = json!({ "config": { "creation_statements": creation } });
    server.put_role("prod.db.lesser", "lesser", role).await.ok();
    target.run("REVOKE INSERT ON given FROM lesser").await;
    let refused = server.issue_as(&server.root, json!({ "path": "prod.db.lesser" })).await;
    refused.refused("ENGINE_UNAVAILABLE");
    assert!(refused.message().contains("creation_statements[1]"), "{}", refused.body);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_roles() {
    let (server, target) = dev_with_postgres().await;
    let put = async |config: Value, rehearse: bool| {
        server.put_role("prod.db.bad", "main", json!({ "config": config, "rehearse": rehearse })).await
    };
    for (config, field) in [
        (json!({}), "input.config.groups"),
        (json!({ "groups": [GROUP], "gruops": [] }), "input.config.gruops"),
        (json!({ "groups": ["nobody_knows"] }), "input.config.groups[0]"),
        (json!({ "groups": [GROUP], "connection_limit": 0 }), "input.config.connection_limit"),
        (json!({ "groups": [GROUP], "database": "nowhere" }), "input.config.database"),
        (json!({ "creation_statements": ["  "] }), "input.config.creation_statements[0]"),
    ] {
        refused_at(&put(config, false).await, field);
    }
    let created = "CREATE ROLE {{name}} LOGIN PASSWORD {{password}}";
    // the rehearsal finds what only the target knows
    let creation = json!({ "creation_statements": [created, "GRANT SELECT ON no_such_table TO {{name}}"] });
    let reply = put(creation.clone(), true).await;
    assert!(!reply.is_ok() && reply.message().contains("no_such_table"), "{}", reply.body);
    let revocation = json!({
        "groups": [GROUP], "revocation_statements": ["DELETE FROM no_such_accounts WHERE name = {{name_literal}}"]
    });
    let reply = put(revocation, true).await;
    assert!(!reply.is_ok() && reply.message().contains("no_such_accounts"), "{}", reply.body);
    assert!(
        !put(json!({ "creation_statements": ["SELECT 1"] }), true).await.is_ok(),
        "it creates no account"
    );
    server.issue_as(&server.root, json!({ "path": "prod.db.bad" })).await.refused("NOT_FOUND");

    // what is saved without a rehearsal, or worked then, fails at issue: nothing is left on the target
    if put(creation, false).await.is_ok() {
        let reply = server.issue_as(&server.root, json!({ "path": "prod.db.bad" })).await;
        reply.refused("ENGINE_UNAVAILABLE");
        assert!(reply.message().contains("no_such_table"), "{}", reply.body);
    }
    until(
        Duration::from_secs(20),
        "the rehearsed accounts are gone, but for the one that refuses",
        async || target.users().await.len() <= 1,
    )
    .await;
    let refused = server.put_role("prod.db.bad", "nowhere", json!({})).await;
    refused_at(&refused, "input.engine");
    let ttl = json!({ "defaultTtlSeconds": 100, "maxTtlSeconds": 50 });
    refused_at(&server.put_role("prod.db.bad", "main", ttl).await, "input.defaultTtlSeconds");
}

/// What only a real revocation shows: the statements of the role run, and one that the target refuses then is the role's mistake.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rehearsal_revokes_by_the_roles_own_statements() {
    let (server, target) = dev_with_postgres().await;
    target.run("CREATE TABLE ended (name text)").await;
    let put = async |statement: &str| {
        let config = json!({ "groups": [GROUP], "revocation_statements": [statement] });
        server.put_role("prod.db.own", "main", json!({ "config": config, "rehearse": true })).await
    };
    put("INSERT INTO ended VALUES ({{name_literal}})").await.ok();
    let ended = target.texts("SELECT name FROM ended").await;
    assert_eq!(ended.len(), 1, "once, and not rolled back: {ended:?}");
    assert!(target.users().await.is_empty());

    // the check, in which the account can log in still, does not find it
    let refused = put(
        "DO $$BEGIN IF EXISTS (SELECT FROM pg_roles WHERE rolname = {{name_literal}} AND NOT rolcanlogin) \
         THEN RAISE 'never to be revoked'; END IF; END$$",
    )
    .await;
    refused_at(&refused, "input.config.revocation_statements[0]");
    assert!(refused.message().contains("never to be revoked"), "{}", refused.body);
    assert!(refused.message().contains("when revoking"), "{}", refused.body);
    assert!(target.users().await.is_empty(), "nothing is left on the target");
    assert_eq!(server.live().await.1, 0, "nor a lease");
    let query =
        "{ auditEvents(filter: { secretPathPrefix: \"prod.db.own\" }) { nodes { eventType eventData } } }";
    let events = server.as_root(query, json!({})).await.ok()["auditEvents"]["nodes"].take();
    let issued =
        events.as_array().unwrap().iter().filter(|event| event["eventType"] == "secret.dynamic_issued");
    let rehearsed: Vec<_> = issued.map(|event| event["eventData"]["rehearsal"].clone()).collect();
    assert_eq!(rehearsed, [json!(true), json!(true)], "{events}");
    // the role is as it was
    assert!(target.works(&server.issue("prod.db.own").await["credentials"]).await);
}

/// Leases and bound accounts of one target are not looked for on another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_with_leases_does_not_move_to_another_target() {
    let (server, target) = dev_with_postgres().await;
    let update = async |change: Value| {
        let mut config = target.config();
        config["host"] = json!("localhost");
        let mut input = json!({ "name": "main", "kind": "postgresql", "config": config });
        for (key, value) in change.as_object().unwrap() {
            input[key] = value.clone();
        }
        server.mutate(&server.root, "updateEngine", "EnableEngineInput", input, "engine { config }").await
    };
    let issued = server.issue(PG).await;
    let refused = update(json!({})).await;
    refused.refused("CONFLICT");
    assert!(
        refused.message().contains("host") && refused.message().contains("sameTarget"),
        "{}",
        refused.body
    );
    // what does not say which target it is can be changed
    let mut config = target.config();
    config["max_connections"] = json!(4);
    update(json!({ "config": config })).await.ok();
    let moved = update(json!({ "sameTarget": true })).await.ok();
    assert_eq!(moved["updateEngine"]["engine"]["config"]["host"], "localhost");
    let lease = server.revoke_as(&server.root, lease_id(&issued)).await.ok()["revokeLease"]["lease"].take();
    assert_eq!(lease["state"], "REVOKED");
    assert!(!target.works(&issued["credentials"]).await);
    update(json!({ "config": target.config() })).await.ok();
}

/// A revocation that the target refuses is shown, retried, and succeeds when the reason is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_revocation_is_visible_and_not_given_up() {
    let (server, target) = dev_with_postgres().await;
    target.run("CREATE TABLE accounts (name text); INSERT INTO accounts VALUES ('x')").await;
    let config = json!({
        "groups": [GROUP], "revocation_statements": ["DELETE FROM accounts WHERE name = {{name_literal}}"]
    });
    server.put_role(PG, "main", json!({ "config": config, "rehearse": true })).await.ok();
    let issued = server.issue(PG).await;
    target.run("ALTER TABLE accounts RENAME TO elsewhere").await;
    let lease = server.revoke_as(&server.root, lease_id(&issued)).await.ok()["revokeLease"]["lease"].take();
    assert_eq!(lease["state"], "REVOKING");
    let complaint = text(&lease, "/lastRevocationError");
    assert!(complaint.contains("accounts"), "{complaint}");
    assert!(!complaint.contains(text(&issued, "/credentials/password")) && !complaint.contains(PASSWORD));
    assert!(!target.works(&issued["credentials"]).await, "nobody logs in while the rest is retried");
    // its health says so, though the target answers
    let health = server.engine("main").await["health"].take();
    assert_eq!(health["status"], "DEGRADED", "{health}");
    assert!(text(&health, "/lastError").contains("accounts"), "{health}");
    assert!(!health.to_string().contains(text(&issued, "/credentials/password")));
    // others are revoked meanwhile
    server.put_role("prod.db.plain", "main", json!({})).await.ok();
    let other = server.issue("prod.db.plain").await;
    let other = server.revoke_as(&server.root, lease_id(&other)).await.ok();
    assert_eq!(other["revokeLease"]["lease"]["state"], "REVOKED");
    assert_eq!(server.engine("main").await["health"]["status"], "DEGRADED", "one is not revoked still");
    target.run("ALTER TABLE elsewhere RENAME TO accounts").await;
    let ended = server.revoked(lease_id(&issued), Duration::from_secs(20)).await;
    assert_eq!(ended["lastRevocationError"], Value::Null, "{ended}");
    let health = server.engine("main").await["health"].take();
    assert_eq!((&health["status"], &health["lastError"]), (&json!("HEALTHY"), &Value::Null));
    assert!(target.users().await.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn static_secrets_roles_and_bound_secrets_keep_to_their_kind() {
    let (server, target) = dev_with_postgres().await;
    let root = &server.root;
    server.put(root, "prod.static", json!({ "a": "b" })).await.ok();
    server.put_role("prod.static", "main", json!({})).await.refused("CONFLICT");
    server.issue_as(root, json!({ "path": "prod.static" })).await.refused("NOT_FOUND");
    server.put(root, PG, json!({ "a": "b" })).await.refused("CONFLICT");
    let destroy = json!({ "path": PG, "versions": [1] });
    let reply = server
        .mutate(root, "destroySecretVersions", "DestroySecretVersionsInput", destroy, "secret { path }")
        .await;
    assert!(!reply.is_ok(), "{}", reply.body);
    assert!(target.works(&server.issue(PG).await["credentials"]).await, "the role is as it was");

    let bind = async |path: &str, account: &str, schedule: Option<&str>| {
        let input = json!({ "path": path, "engine": "main", "account": account, "schedule": schedule });
        server.mutate(root, "bindSecretAccount", "BindSecretAccountInput", input, "secret { path }").await
    };
    let unknown = bind("prod.unknown", "nobody_knows", None).await;
    refused_at(&unknown, "input.account");
    let left = server.as_root("{ secret(path: \"prod.unknown\") { path } }", json!({})).await.ok();
    assert_eq!(left["secret"], Value::Null);
    refused_at(&bind("prod.static", "nobody_knows", Some("0 3 * * *")).await, "input.account");
    let query = "{ secret(path: \"prod.static\") { data rotation { schedule } account { account } } }";
    let secret = server.as_root(query, json!({})).await.ok()["secret"].take();
    assert_eq!((&secret["data"], &secret["account"]), (&json!({ "a": "b" }), &Value::Null));
    assert_eq!(secret["rotation"], Value::Null, "a refused binding left its schedule");
    refused_at(&bind("prod.x", "secrethub", None).await, "input.account");
    let issued = server.issue(PG).await;
    refused_at(&bind("prod.x", text(&issued, "/credentials/username"), None).await, "input.account");
    assert!(target.works(&issued["credentials"]).await);

    target.run("CREATE ROLE billing LOGIN PASSWORD 'billing-password-at-first'").await;
    bind("prod.static", "billing", None).await.ok();
    let secret = server.as_root(query, json!({})).await.ok()["secret"].take();
    assert_eq!((&secret["data"]["a"], &secret["data"]["username"]), (&json!("b"), &json!("billing")));
    assert!(target.works(&secret["data"]).await);
    server.put(root, "prod.static", json!({ "password": "mine" })).await.refused("CONFLICT");
    // nor is it taken away
    for (name, kind, input) in [
        ("deleteSecret", "DeleteSecretInput", json!({ "path": "prod.static" })),
        ("destroySecretVersions", "DestroySecretVersionsInput", json!({ "path": "prod.static" })),
        (
            "destroySecretVersions",
            "DestroySecretVersionsInput",
            json!({ "path": "prod.static", "entireSecret": true }),
        ),
    ] {
        let refused = server.mutate(root, name, kind, input, "secret { path }").await;
        refused.refused("CONFLICT");
        assert!(refused.message().contains("unbind"), "{}", refused.body);
    }
    let former = json!({ "path": "prod.static", "versions": [1] });
    server.mutate(root, "deleteSecret", "DeleteSecretInput", former, "secret { path }").await.ok();
    bind("prod.other", "billing", None).await.refused("CONFLICT");
    let disable = json!({ "name": "main", "revokeLeases": true });
    server.mutate(root, "disableEngine", "DisableEngineInput", disable, "name").await.refused("CONFLICT");
    let unbind = json!({ "path": "prod.static" });
    server.mutate(root, "unbindSecretAccount", "UnbindSecretAccountInput", unbind, "path").await.ok();
    assert!(target.works(&secret["data"]).await);
    server.put(root, "prod.static", json!({ "password": "mine" })).await.ok();
    let delete = json!({ "path": "prod.static" });
    server.mutate(root, "deleteSecret", "DeleteSecretInput", delete, "secret { path }").await.ok();
}
