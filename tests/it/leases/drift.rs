//! What the target has and the leases do not, and the other way round.

use super::*;
use secrethub_engine::Installation;

const SOON_KNOWN: Duration = Duration::from_secs(10);

async fn heal(server: &Server, engine: &str) -> Value {
    let input = json!({ "name": engine });
    let fields =
        "removed restored problems engine { drift { unknownOnTarget missingOnTarget unknownNames } }";
    server.mutate(&server.root, "healEngineDrift", "HealEngineDriftInput", input, fields).await.ok()
        ["healEngineDrift"]
        .take()
}

/// A name of this installation's that no lease has.
fn orphan_beside(name: &str) -> String {
    let mark: Installation = serde_json::from_value(json!(name.split('_').nth(1).unwrap())).unwrap();
    mark.name(uuid::Uuid::now_v7())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn orphans_are_removed_and_foreign_users_never() {
    let (server, target) = dev_with_postgres().await;
    let issued = server.issue(PG).await;
    let name = text(&issued, "/credentials/username");
    let orphan = orphan_beside(name);
    // of another installation, nearly of this one, and of nobody
    let foreign = Installation::from_bytes([9, 9, 9, 9, 9]).name(uuid::Uuid::now_v7());
    let nearly = format!("{name}x");
    for name in [&orphan, &foreign, &nearly, &"shub_x".to_owned(), &"app".to_owned()] {
        target.run(&format!("CREATE ROLE \"{name}\" LOGIN PASSWORD 'password-of-somebody'")).await;
    }
    let healed = heal(&server, "main").await;
    assert_eq!((&healed["removed"], &healed["restored"]), (&json!(1), &json!(0)), "{healed}");
    assert_eq!(healed["problems"], json!([]));
    assert_eq!(healed["engine"]["drift"]["unknownOnTarget"], 0);
    let left = target
        .texts("SELECT rolname::text FROM pg_roles WHERE rolname LIKE 'shub%' OR rolname = 'app'")
        .await;
    assert!(!left.contains(&orphan), "{left:?}");
    for name in [name, &foreign, &nearly, "shub_x", "app"] {
        assert!(left.iter().any(|there| there == name), "{name} is gone");
    }
    assert!(target.works(&issued["credentials"]).await);

    // an account that somebody dropped is missing, and cannot be made anew or is exactly as it was
    target.run(&format!("DROP ROLE {name}")).await;
    let healed = heal(&server, "main").await;
    let restored = healed["restored"].as_i64().unwrap();
    if restored == 1 {
        assert!(target.works(&issued["credentials"]).await);
    } else {
        assert_eq!(healed["engine"]["drift"]["missingOnTarget"], 1, "{healed}");
        assert!(!healed["problems"].as_array().unwrap().is_empty());
    }
    // it ends all the same
    let ended = server.revoke_as(&server.root, lease_id(&issued)).await.ok();
    assert_eq!(ended["revokeLease"]["lease"]["state"], "REVOKED");
    server.audit_is_whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_forgot_its_users_gets_them_again() {
    let server = Server::dev(Store::Sqlite).await;
    let mut redis = RedisServer::start_forgetful();
    server.enable("cache", "redis", redis_config(&redis)).await;
    server.put_role(REDIS, "cache", json!({ "config": redis_role() })).await.ok();
    let kept = server.issue(REDIS).await;
    let ended = server.issue(REDIS).await;
    server.revoke_as(&server.root, lease_id(&ended)).await.ok();
    let works = |redis: &RedisServer, issued: &Value| {
        let (user, password) = (text(issued, "/credentials/username"), text(issued, "/credentials/password"));
        redis.command(user, password, &["PING"]) == "PONG"
    };
    assert!(works(&redis, &kept) && !works(&redis, &ended));
    redis.kill();
    redis.start_again();
    redis.command("default", redis::PASSWORD, &["ACL", "SETUSER", "app", "on", ">somebodys", "~*", "+@all"]);
    let orphan = orphan_beside(text(&kept, "/credentials/username"));
    redis.command("default", redis::PASSWORD, &["ACL", "SETUSER", &orphan, "on", ">left", "~*", "+@all"]);
    let healed = heal(&server, "cache").await;
    assert_eq!(healed["engine"]["drift"]["missingOnTarget"], 0, "{healed}");
    assert_eq!(healed["removed"], 1, "{healed}");
    assert!(works(&redis, &kept) && !works(&redis, &ended));
    let mut users = redis.users();
    users.sort();
    assert_eq!(users, ["app", text(&kept, "/credentials/username")]);
    server.revoke_as(&server.root, lease_id(&kept)).await.ok();
    assert_eq!(redis.users(), ["app"]);
}

/// Nobody asks for it: what a target has lost is made anew on schedule, and nothing is removed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_accounts_of_live_leases_come_back_by_themselves() {
    let server = Server::dev(Store::Sqlite).await;
    let mut redis = RedisServer::start_forgetful();
    server.enable("cache", "redis", redis_config(&redis)).await;
    server.put_role(REDIS, "cache", json!({ "config": redis_role() })).await.ok();
    let kept = server.issue(REDIS).await;
    let name = text(&kept, "/credentials/username").to_owned();
    redis.kill();
    redis.start_again();
    let orphan = orphan_beside(&name);
    redis.command("default", redis::PASSWORD, &["ACL", "SETUSER", &orphan, "on", ">left", "~*", "+@all"]);
    until(Duration::from_secs(150), "the account is there again", async || redis.users().contains(&name))
        .await;
    let password = text(&kept, "/credentials/password");
    assert_eq!(redis.command(&name, password, &["PING"]), "PONG");
    assert!(redis.users().contains(&orphan), "only an operator has something removed");
    until(SOON_KNOWN, "the engine shows what is left", async || {
        let drift = server.engine("cache").await["drift"].take();
        drift["missingOnTarget"] == 0 && drift["unknownOnTarget"] == 1
    })
    .await;
    let log =
        "{ auditEvents(first: 100, filter: { eventTypes: [\"engine.drift_healed\"] }) { nodes { id } } }";
    let events = server.as_root(log, json!({})).await.ok();
    assert_eq!(events["auditEvents"]["nodes"].as_array().map(Vec::len), Some(1), "{events}");
    server.revoke_as(&server.root, lease_id(&kept)).await.ok();
    assert_eq!(redis.users(), [orphan]);
    server.audit_is_whole().await;
}
