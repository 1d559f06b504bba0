//! What a node remembers of roles and engines, and what another one changes of them.

use super::*;
use crate::nodes::two_nodes_with;

/// A role of the target that an engine can be enabled with, whose password may change.
const ACCOUNT: &str = "sole_admin";

fn engine(target: &Postgres, fields: Value) -> Value {
    let mut config = target.config();
    config["username"] = json!(ACCOUNT);
    let mut input = json!({ "name": "main", "kind": "postgresql", "config": config });
    for (key, value) in fields.as_object().unwrap() {
        input[key] = value.clone();
    }
    input
}

async fn update(server: &Server, target: &Postgres, fields: Value) {
    let input = engine(target, fields);
    let updated = server.mutate(&server.root, "updateEngine", "EnableEngineInput", input, "engine { name }");
    updated.await.ok();
}

async fn lifetime(server: &Server) -> i64 {
    server.issue(PG).await["lease"]["ttlSeconds"].as_i64().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_role_or_engine_holds_on_the_other_node_at_once() {
    let ((one, two), target) = tokio::join!(two_nodes_with(plugins()), Postgres::start());
    target.run(&format!("CREATE ROLE {ACCOUNT} LOGIN SUPERUSER PASSWORD '{PASSWORD}'")).await;
    one.enable_with(engine(&target, json!({}))).await.ok();
    one.put_role(PG, "main", json!({ "defaultTtlSeconds": 3600 })).await.ok();
    for _ in 0..3 {
        assert_eq!(lifetime(&two).await, 3600);
    }
    one.put_role(PG, "main", json!({ "defaultTtlSeconds": 900 })).await.ok();
    assert_eq!(lifetime(&two).await, 900);
    update(&one, &target, json!({ "maxTtlSeconds": 600 })).await;
    assert_eq!(lifetime(&two).await, 600);
    update(&one, &target, json!({ "enabled": false })).await;
    two.issue_as(&two.root, json!({ "path": PG })).await.refused("CONFLICT");
    update(&one, &target, json!({ "enabled": true })).await;
    assert_eq!(lifetime(&two).await, 900);
    // with the former password of its account the engine would not get in
    let rotate = one.mutate(
        &one.root,
        "rotateEngineRoot",
        "RotateEngineRootInput",
        json!({ "name": "main" }),
        "engine { name }",
    );
    rotate.await.ok();
    assert_eq!(lifetime(&two).await, 900);
    let delete = json!({ "path": PG, "revokeLeases": true });
    one.mutate(&one.root, "deleteEngineRole", "DeleteEngineRoleInput", delete, "path").await.ok();
    two.issue_as(&two.root, json!({ "path": PG })).await.refused("NOT_FOUND");
    until(Duration::from_secs(30), "every account is gone", async || target.users().await.is_empty()).await;
    two.audit_is_whole().await;
}
