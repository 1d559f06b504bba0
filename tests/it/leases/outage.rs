//! Targets that are down, or do not answer, while leases end.

use super::*;

/// The leases show what is the matter, for as long as it lasts.
async fn overdue(server: &Server, id: &str) -> Value {
    let mut lease = Value::Null;
    until(Duration::from_secs(90), "the lease is shown overdue, with the complaint", async || {
        lease = server.lease(id).await;
        lease["overdueSeconds"].as_i64().is_some_and(|late| late > 0)
            && lease["lastRevocationError"].is_string()
    })
    .await;
    assert_eq!(lease["state"], "REVOKING");
    let query = "{ leases(filter: { overdueOnly: true }) { nodes { leaseId } } }";
    let listed = server.as_root(query, json!({})).await.ok();
    assert_eq!(listed["leases"]["nodes"][0]["leaseId"], id);
    lease
}

/// How long a statement on the target may take that does not answer.
const HANGING: u32 = 30;
/// Whatever waits for a statement that hangs takes longer.
const UNAFFECTED: Duration = Duration::from_secs(20);

/// Leases on a Redis are issued, revoked and run out as if nothing were.
async fn another_engine_is_unaffected(server: &Server, redis: &RedisServer) {
    let begun = Instant::now();
    let asked = server.issue(REDIS).await;
    let expiring = server.issue_for(REDIS, json!({ "ttlSeconds": 2 })).await;
    let ended = server.revoke_as(&server.root, lease_id(&asked)).await.ok();
    assert_eq!(ended["revokeLease"]["lease"]["state"], "REVOKED");
    server.revoked(lease_id(&expiring), UNAFFECTED).await;
    assert!(redis.users().is_empty());
    server.put(&server.root, "prod.plain", json!({ "still": "written" })).await.ok();
    assert!(begun.elapsed() < UNAFFECTED, "{:?}", begun.elapsed());
}

async fn with_redis() -> (Server, Postgres, RedisServer) {
    let (server, target) = tokio::join!(Server::dev(Store::Sqlite), Postgres::start());
    let mut config = target.impatient_config();
    config["statement_timeout_seconds"] = json!(HANGING);
    server.enable("main", "postgresql", config).await;
    server.put_role(PG, "main", json!({})).await.ok();
    let redis = RedisServer::start();
    server.enable("cache", "redis", redis_config(&redis)).await;
    server.put_role(REDIS, "cache", json!({ "config": redis_role() })).await.ok();
    (server, target, redis)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_is_stopped() {
    let (server, target, redis) = with_redis().await;
    let asked = server.issue(PG).await;
    let expiring = server.issue_for(PG, json!({ "ttlSeconds": 3 })).await;
    target.server.crash();
    let lease = server.revoke_as(&server.root, lease_id(&asked)).await.ok()["revokeLease"]["lease"].take();
    assert_eq!(lease["state"], "REVOKING", "{lease}");
    server.issue_as(&server.root, json!({ "path": PG })).await.refused("ENGINE_UNAVAILABLE");
    let lease = overdue(&server, lease_id(&asked)).await;
    assert!(!lease.to_string().contains(PASSWORD));
    another_engine_is_unaffected(&server, &redis).await;
    overdue(&server, lease_id(&asked)).await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    target.server.start_again();
    for issued in [&asked, &expiring] {
        server.revoked(lease_id(issued), Duration::from_secs(30)).await;
        assert!(!target.works(&issued["credentials"]).await);
    }
    until(Duration::from_secs(30), "nothing is left on the target", async || target.users().await.is_empty())
        .await;
    assert!(target.works(&server.issue(PG).await["credentials"]).await);
    server.audit_is_whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_accepts_and_never_answers() {
    let (server, target, redis) = with_redis().await;
    let expiring = server.issue_for(PG, json!({ "ttlSeconds": 8 })).await;
    let issued = Instant::now();
    target.server.freeze();
    // until it has run out, and the reaper has been at it
    tokio::time::sleep(Duration::from_secs(10).saturating_sub(issued.elapsed())).await;
    // the first attempt hangs at this moment
    another_engine_is_unaffected(&server, &redis).await;
    overdue(&server, lease_id(&expiring)).await;
    another_engine_is_unaffected(&server, &redis).await;
    target.server.thaw();
    server.revoked(lease_id(&expiring), Duration::from_secs(40)).await;
    assert!(!target.works(&expiring["credentials"]).await);
    let mut issued = None;
    until(Duration::from_secs(30), "it issues again", async || {
        issued = Some(server.issue_as(&server.root, json!({ "path": PG })).await);
        issued.as_ref().is_some_and(Reply::is_ok)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_ran_out_while_the_server_was_down_is_revoked_after_unseal() {
    let target = Postgres::start().await;
    let redis = RedisServer::start();
    let mut server = server_with_plugins(Store::Sqlite).await;
    server.enable("main", "postgresql", target.config()).await;
    server.put_role(PG, "main", json!({})).await.ok();
    server.enable("cache", "redis", redis_config(&redis)).await;
    server.put_role(REDIS, "cache", json!({ "config": redis_role() })).await.ok();
    let kept = server.issue_for(PG, json!({ "ttlSeconds": 600 })).await;
    // long enough to be there still when the server stops
    let brief = json!({ "ttlSeconds": 10 });
    let ended = [server.issue_for(PG, brief.clone()).await, server.issue_for(REDIS, brief).await];
    let issued = Instant::now();
    server.stop().await;
    tokio::time::sleep(Duration::from_secs(11).saturating_sub(issued.elapsed())).await;
    server.launch().await;
    // sealed, it has no configuration to reach the targets with
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!((target.users().await.len(), redis.users().len()), (2, 1));
    server.unseal().await;
    for issued in &ended {
        let lease = server.revoked(lease_id(issued), Duration::from_secs(30)).await;
        assert_eq!(lease["revocationReason"], "expired");
    }
    assert_eq!((target.users().await.len(), redis.users().len()), (1, 0));
    assert!(target.works(&kept["credentials"]).await);
}
