//! All the ways in which a lease ends.

use super::*;

const SOON: Duration = Duration::from_secs(15);

/// A policy for clients: they issue and renew below `prod`.
async fn client_policy(server: &Server) {
    let document =
        json!({ "version": 1, "allowed_secrets": ["prod.*"], "allowed_operations": ["issue", "renew"] });
    server.create_policy("client", document).await;
}

/// Issues as this token; the lease's id.
async fn issued_to(server: &Server, token: &str, path: &str) -> String {
    let issued = server.issue_as(token, json!({ "path": path })).await.ok();
    text(&issued, "/issueCredentials/lease/leaseId").to_owned()
}

/// A client that logs in as a new role; its token.
async fn client(server: &Server, role: &str) -> String {
    let role_id = server.create_role(role, json!({ "policies": ["client"] })).await;
    let (secret_id, _) = server.generate_secret_id(role, json!({})).await;
    let login = server.login(&role_id, &secret_id).await.ok();
    text(&login, "/loginWithAppRole/token").to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_end_with_their_token_and_their_role() {
    let (server, target) = dev_with_postgres().await;
    client_policy(&server).await;
    let token = server.token_with(&["client"], json!({})).await;
    let lease = issued_to(&server, &token, PG).await;
    let input = json!({ "token": token });
    server.mutate(&server.root, "revokeToken", "RevokeTokenInput", input, "revoked").await.ok();
    let ended = server.revoked(&lease, SOON).await;
    assert_eq!(ended["revocationReason"], "the token was revoked");

    // a lease of a child ends with the parent
    let document = json!({ "version": 1, "administers": ["tokens"] });
    server.create_policy("maker", document).await;
    let parent = server.token_with(&["client", "maker"], json!({})).await;
    let input = json!({ "policies": ["client"] });
    let child = server.mutate(&parent, "createToken", "CreateTokenInput", input, "token").await.ok();
    let lease = issued_to(&server, text(&child, "/createToken/token"), PG).await;
    server.mutate(&parent, "revokeToken", "RevokeTokenInput", json!({}), "revoked").await.ok();
    server.revoked(&lease, SOON).await;

    let disabled = client(&server, "billing").await;
    let lease = issued_to(&server, &disabled, PG).await;
    let input = json!({ "name": "billing", "enabled": false });
    server.mutate(&server.root, "updateRole", "RoleInput", input, "role { name }").await.ok();
    server.revoked(&lease, SOON).await;

    let deleted = client(&server, "shop").await;
    let lease = issued_to(&server, &deleted, PG).await;
    server
        .mutate(&server.root, "deleteRole", "DeleteRoleInput", json!({ "name": "shop" }), "name")
        .await
        .ok();
    server.revoked(&lease, SOON).await;
    assert!(target.users().await.is_empty());
    assert_eq!(server.engine("main").await["activeLeases"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_leases_end_by_path_engine_token_and_role() {
    let (server, target) = dev_with_postgres().await;
    client_policy(&server).await;
    server.enable("second", "postgresql", target.config()).await;
    server.put_role("prod.db.main.deeper", "main", json!({})).await.ok();
    server.put_role("prod.db.main2", "second", json!({})).await.ok();
    let token = client(&server, "billing").await;
    let role_id = server.create_role("shop", json!({ "policies": ["client"] })).await;
    let (secret_id, _) = server.generate_secret_id("shop", json!({})).await;
    let login = server.login(&role_id, &secret_id).await.ok()["loginWithAppRole"].take();
    let root = server.root.clone();
    let mut ids = Vec::new();
    for (token, path) in [
        (&root, PG),
        (&root, "prod.db.main.deeper"),
        (&root, "prod.db.main2"),
        (&token, "prod.db.main2"),
        (&login["token"].as_str().unwrap().to_owned(), "prod.db.main2"),
    ] {
        ids.push(issued_to(&server, token, path).await);
    }
    let state = async |at: usize| server.lease(&ids[at]).await["state"].clone();
    assert_eq!(server.revoke_leases(json!({ "pathPrefix": PG })).await, 2);
    server.revoked(&ids[0], SOON).await;
    server.revoked(&ids[1], SOON).await;
    assert_eq!(state(2).await, "ACTIVE", "its path only begins with the same letters");
    assert_eq!(server.revoke_leases(json!({ "roleName": "billing" })).await, 1);
    server.revoked(&ids[3], SOON).await;
    assert_eq!(server.revoke_leases(json!({ "tokenAccessor": login["accessor"] })).await, 1);
    server.revoked(&ids[4], SOON).await;
    assert_eq!(state(2).await, "ACTIVE");
    assert_eq!(server.revoke_leases(json!({ "engine": "second" })).await, 1);
    server.revoked(&ids[2], SOON).await;
    assert_eq!(server.revoke_leases(json!({ "pathPrefix": "prod" })).await, 0);
    assert!(target.users().await.is_empty());
    let both = json!({ "engine": "second", "roleName": "billing" });
    server.mutate(&root, "revokeLeases", "RevokeLeasesInput", both, "count").await.refused("BAD_USER_INPUT");
    server
        .mutate(&token, "revokeLeases", "RevokeLeasesInput", json!({ "engine": "second" }), "count")
        .await
        .refused("FORBIDDEN");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_and_engines_go_with_their_leases() {
    let (server, target) = dev_with_postgres().await;
    let root = server.root.clone();
    let first = server.issue(PG).await;
    let delete = async |revoke: bool| {
        let input = json!({ "path": PG, "revokeLeases": revoke });
        server.mutate(&root, "deleteEngineRole", "DeleteEngineRoleInput", input, "revokedLeases").await
    };
    delete(false).await.refused("CONFLICT");
    assert_eq!(delete(true).await.ok()["deleteEngineRole"]["revokedLeases"], 1);
    server.revoked(lease_id(&first), SOON).await;
    let gone = server.issue_as(&root, json!({ "path": PG })).await;
    gone.refused("NOT_FOUND");

    server.put_role(PG, "main", json!({})).await.ok();
    let mut leases = Vec::new();
    for _ in 0..3 {
        leases.push(server.issue(PG).await);
    }
    let disable = async |revoke: bool| {
        let input = json!({ "name": "main", "revokeLeases": revoke });
        server.mutate(&root, "disableEngine", "DisableEngineInput", input, "pendingLeases").await
    };
    disable(false).await.refused("CONFLICT");
    assert_eq!(disable(true).await.ok()["disableEngine"]["pendingLeases"], 3);
    for lease in &leases {
        server.revoked(lease_id(lease), SOON).await;
    }
    until(SOON, "the engine is gone", async || server.engine("main").await.is_null()).await;
    assert!(target.users().await.is_empty());
    server.issue_as(&root, json!({ "path": PG })).await.refused("NOT_FOUND");
    // its name is free again
    server.enable("main", "postgresql", target.config()).await;
    server.audit_is_whole().await;
}

/// A change of an engine that was begun before it was disabled does not bring it back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_that_is_disabled_while_it_is_changed_goes_all_the_same() {
    let (server, target) = tokio::join!(Server::dev(Store::Sqlite), Postgres::start());
    let mut config = target.config();
    for number in 0..8 {
        let (name, path, account) =
            (format!("e{number}"), format!("prod.db.e{number}"), format!("admin_{number}"));
        target.run(&format!("CREATE ROLE {account} LOGIN SUPERUSER PASSWORD '{PASSWORD}'")).await;
        config["username"] = json!(account);
        server.enable(&name, "postgresql", config.clone()).await;
        server.put_role(&path, &name, json!({})).await.ok();
        server.issue(&path).await;
        let disable = json!({ "name": name, "revokeLeases": true });
        let (rotated, disabled) = tokio::join!(
            server.mutate(
                &server.root,
                "rotateEngineRoot",
                "RotateEngineRootInput",
                json!({ "name": name }),
                "engine { name }"
            ),
            async {
                // each time at another moment of the rotation
                tokio::time::sleep(Duration::from_millis(2 * number)).await;
                server.mutate(&server.root, "disableEngine", "DisableEngineInput", disable, "name").await
            },
        );
        disabled.ok();
        // it may have been too late for it
        assert!(
            rotated.is_ok() || ["CONFLICT", "NOT_FOUND"].map(Some).contains(&rotated.code()),
            "{}",
            rotated.body
        );
        until(SOON, "the engine is gone", async || server.engine(&name).await.is_null()).await;
    }
    assert!(target.users().await.is_empty());
    server.audit_is_whole().await;
}

/// What an engine is in the middle of is not undone by another configuration: neither the new password of its account, nor its end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_in_the_middle_of_something_is_not_configured() {
    let ((server, target), elsewhere) = tokio::join!(dev_with_postgres(), Postgres::start());
    target.run(&format!("CREATE ROLE its_own LOGIN SUPERUSER PASSWORD '{PASSWORD}'")).await;
    let engine = |target: &Postgres| {
        let mut config = target.config();
        config["username"] = json!("its_own");
        // a call of the target that is frozen lasts until it is not
        config["connect_timeout_seconds"] = json!(60);
        config["statement_timeout_seconds"] = json!(60);
        json!({ "name": "own", "kind": "postgresql", "config": config })
    };
    server.enable_with(engine(&target)).await.ok();
    server.put_role("prod.db.own", "own", json!({})).await.ok();
    server.issue("prod.db.own").await;
    elsewhere.run(&format!("CREATE ROLE its_own LOGIN SUPERUSER PASSWORD '{PASSWORD}'")).await;
    let refused = async |why: &str| {
        // where it would go is there, so nothing but what it is at stands against it
        let mut input = engine(&elsewhere);
        input["sameTarget"] = json!(true);
        let reply =
            server.mutate(&server.root, "updateEngine", "EnableEngineInput", input, "engine { name }").await;
        reply.refused("CONFLICT");
        assert!(reply.message().contains(why), "{}", reply.body);
    };
    target.server.freeze();
    let own = json!({ "name": "own" });
    let rotation =
        server.mutate(&server.root, "rotateEngineRoot", "RotateEngineRootInput", own, "engine { name }");
    let meanwhile = async {
        until(SOON, "the rotation is begun", async || {
            server.engine("own").await["rootRotationPending"] == true
        })
        .await;
        refused("is being changed").await;
        target.server.thaw();
    };
    let (_, ()) = tokio::join!(rotation, meanwhile);
    until(Duration::from_secs(60), "the rotation is finished", async || {
        server.engine("own").await["rootRotationPending"] == false
    })
    .await;
    server.issue("prod.db.own").await;
    target.server.freeze();
    let disable = json!({ "name": "own", "revokeLeases": true });
    server.mutate(&server.root, "disableEngine", "DisableEngineInput", disable, "name").await.ok();
    refused("is being disabled").await;
    target.server.thaw();
    until(Duration::from_secs(60), "the engine is gone", async || server.engine("own").await.is_null()).await;
    assert!(target.users().await.is_empty());
}

/// A target that is gone for good: what was issued there is given up by who may, on the record, and the engine can go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_of_a_target_that_is_gone_are_given_up_by_force() {
    let (server, target) = dev_with_postgres().await;
    let root = server.root.clone();
    let issued = server.issue(PG).await;
    drop(target);
    let input = json!({ "name": "main", "revokeLeases": true });
    server.mutate(&root, "disableEngine", "DisableEngineInput", input, "pendingLeases").await.ok();
    until(SOON, "the target's silence is seen", async || {
        server.lease(lease_id(&issued)).await["lastRevocationError"].is_string()
    })
    .await;
    assert!(!server.engine("main").await.is_null());
    let forced = json!({ "pathPrefix": "prod", "force": true });
    for area in ["engines", "leases"] {
        server.create_policy(area, json!({ "version": 1, "administers": [area] })).await;
        let token = server.token_with(&[area], json!({})).await;
        server
            .mutate(&token, "revokeLeases", "RevokeLeasesInput", forced.clone(), "count")
            .await
            .refused("FORBIDDEN");
    }
    assert_eq!(server.revoke_leases(forced).await, 1);
    let lease = server.lease(lease_id(&issued)).await;
    assert_eq!(lease["state"], "REVOKED");
    assert_eq!(lease["revocationReason"], "forced: the target was not asked");
    until(SOON, "the engine goes with its last lease", async || server.engine("main").await.is_null()).await;
    server.audit_is_whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_has_run_out_is_revoked_and_its_session_ended() {
    let (server, target) = dev_with_postgres().await;
    let issued = server.issue_for(PG, json!({ "ttlSeconds": 3 })).await;
    let (user, password) = (text(&issued, "/credentials/username"), text(&issued, "/credentials/password"));
    let mut session = target.login(user, password, "postgres").await.unwrap();
    let ended = server.revoked(lease_id(&issued), SOON).await;
    assert_eq!(ended["revocationReason"], "expired");
    assert!(sqlx::query("SELECT 1").execute(&mut session).await.is_err(), "the session goes on");
    assert!(!target.works(&issued["credentials"]).await);
    // with a role that is gone meanwhile
    let issued = server.issue_for(PG, json!({ "ttlSeconds": 600 })).await;
    let input = json!({ "path": PG, "revokeLeases": true });
    server.mutate(&server.root, "deleteEngineRole", "DeleteEngineRoleInput", input, "path").await.ok();
    server.revoked(lease_id(&issued), SOON).await;
    assert!(target.users().await.is_empty());
}
