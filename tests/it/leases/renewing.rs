//! Lifetimes: granted, cut, renewed, and kept in step on the target.

use super::*;
use chrono::{DateTime, Utc};

fn time(value: &Value, pointer: &str) -> DateTime<Utc> {
    text(value, pointer).parse().unwrap()
}

/// Seconds between issue or renewal and the end.
fn lasts(lease: &Value) -> i64 {
    lease["ttlSeconds"].as_i64().unwrap()
}

fn warned(warnings: &Value, of: &str) {
    let warnings = warnings.to_string();
    assert!(warnings.contains(of), "no word of {of} in {warnings}");
}

/// When the target lets an account in no more.
async fn valid_until(target: &Postgres, user: &str) -> DateTime<Utc> {
    let sql = format!(
        "SELECT to_char(rolvaliduntil AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"') FROM pg_roles \
         WHERE rolname = '{user}'"
    );
    target.texts(&sql).await[0].parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_cap_cuts_and_is_named() {
    let (server, target) = dev_with_postgres().await;
    server.put_role(PG, "main", json!({ "defaultTtlSeconds": 100, "maxTtlSeconds": 500 })).await.ok();
    let plain = server.issue(PG).await;
    assert_eq!((lasts(&plain["lease"]), &plain["warnings"]), (100, &json!([])));
    let cut = server.issue_for(PG, json!({ "ttlSeconds": 501 })).await;
    assert_eq!(lasts(&cut["lease"]), 500);
    warned(&cut["warnings"], "engine's role");

    let mut short = json!({ "name": "short", "kind": "postgresql", "config": target.config() });
    short["maxTtlSeconds"] = json!(200);
    server.enable_with(short.clone()).await.ok();
    let refused = server.put_role("prod.db.short", "short", json!({ "maxTtlSeconds": 300 })).await;
    refused.refused("BAD_USER_INPUT");
    assert_eq!(refused.field(), Some("input.maxTtlSeconds"));
    server.put_role("prod.db.short", "short", json!({ "maxTtlSeconds": 200 })).await.ok();
    short["maxTtlSeconds"] = json!(150);
    server.mutate(&server.root, "updateEngine", "EnableEngineInput", short, "engine { name }").await.ok();
    let cut = server.issue_for("prod.db.short", json!({ "ttlSeconds": 180 })).await;
    assert_eq!(lasts(&cut["lease"]), 150);
    warned(&cut["warnings"], "the longest lifetime of the engine");

    let document = json!({
        "version": 1, "allowed_secrets": ["prod.*"], "allowed_operations": ["issue", "renew"],
        "conditions": { "max_ttl": "1m" }
    });
    server.create_policy("minute", document).await;
    let token = server.token_with(&["minute"], json!({})).await;
    let cut = server.issue_as(&token, json!({ "path": PG })).await.ok()["issueCredentials"].take();
    assert_eq!(lasts(&cut["lease"]), 60);
    warned(&cut["warnings"], "policies");
    let asked = json!({ "path": PG, "ttlSeconds": 61 });
    let cut = server.issue_as(&token, asked).await.ok()["issueCredentials"].take();
    assert_eq!(lasts(&cut["lease"]), 60);
    warned(&cut["warnings"], "policies");
    let renewed = server.renew_as(&token, lease_id(&cut), Some(300)).await.ok()["renewLease"].take();
    assert!((50..=60).contains(&lasts(&renewed["lease"])), "{renewed}");
    warned(&renewed["warnings"], "the lease was issued with");

    let brief = server.token_with(&["root"], json!({ "ttlSeconds": 90 })).await;
    let cut = server.issue_as(&brief, json!({ "path": PG })).await.ok()["issueCredentials"].take();
    assert!((80..=90).contains(&lasts(&cut["lease"])), "{cut}");
    warned(&cut["warnings"], "token");
    let renewed = server.renew_as(&brief, lease_id(&cut), Some(300)).await.ok()["renewLease"].take();
    assert!((80..=90).contains(&lasts(&renewed["lease"])), "{renewed}");
    warned(&renewed["warnings"], "token");
    // whoever renews it, it ends with the token that it was issued to
    let renewed = server.renew_as(&server.root, lease_id(&cut), Some(300)).await.ok()["renewLease"].take();
    assert!((60..=90).contains(&lasts(&renewed["lease"])), "{renewed}");
    warned(&renewed["warnings"], "the token that the lease was issued to");
    server.issue_as(&server.root, json!({ "path": PG, "ttlSeconds": 0 })).await.refused("BAD_USER_INPUT");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renewals_count_from_now_and_reach_the_target() {
    let (server, target) = dev_with_postgres().await;
    let role = json!({ "defaultTtlSeconds": 60, "maxTtlSeconds": 300, "maxRenewals": 2 });
    server.put_role(PG, "main", role).await.ok();
    let issued = server.issue(PG).await;
    let user = text(&issued, "/credentials/username");
    let first = valid_until(&target, user).await;
    let end = time(&issued, "/lease/expiresAt");
    assert!((first - end).num_seconds().abs() <= 2, "{first} for {end}");
    tokio::time::sleep(Duration::from_millis(1200)).await;

    let renewed = server.renew_as(&server.root, lease_id(&issued), None).await.ok()["renewLease"].take();
    assert_eq!((lasts(&renewed["lease"]), &renewed["warnings"]), (60, &json!([])));
    assert!(time(&renewed, "/lease/expiresAt") > end);
    let renewed =
        server.renew_as(&server.root, lease_id(&issued), Some(1000)).await.ok()["renewLease"].take();
    warned(&renewed["warnings"], "engine's role");
    let end = time(&renewed, "/lease/expiresAt");
    assert!(end <= time(&renewed, "/lease/maxExpiresAt"));
    assert!((end - time(&issued, "/lease/issuedAt")).num_seconds() <= 300);
    let moved = valid_until(&target, user).await;
    assert!((moved - end).num_seconds().abs() <= 2, "{moved} for {end}");
    assert!(target.works(&issued["credentials"]).await);
    assert_eq!(renewed["lease"]["renewable"], false);
    server.renew_as(&server.root, lease_id(&issued), None).await.refused("CONFLICT");

    // a shorter end is granted as well, and counts
    let role = json!({ "defaultTtlSeconds": 60, "maxTtlSeconds": 300 });
    server.put_role(PG, "main", role).await.ok();
    let issued = server.issue(PG).await;
    server.renew_as(&server.root, lease_id(&issued), Some(2)).await.ok();
    server.revoked(lease_id(&issued), Duration::from_secs(15)).await;
    server.renew_as(&server.root, lease_id(&issued), None).await.refused("CONFLICT");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_learn_and_end_nothing() {
    let (server, target) = dev_with_postgres().await;
    let issued = server.issue(PG).await;
    server
        .create_policy(
            "nothing",
            json!({ "version": 1, "allowed_secrets": ["other.*"], "allowed_operations": ["issue"] }),
        )
        .await;
    let token = server.token_with(&["nothing"], json!({})).await;
    server.issue_as(&token, json!({ "path": PG })).await.refused("NOT_FOUND");
    server.renew_as(&token, lease_id(&issued), None).await.refused("NOT_FOUND");
    server.revoke_as(&token, lease_id(&issued)).await.refused("NOT_FOUND");
    let unknown = uuid::Uuid::now_v7().to_string();
    server.revoke_as(&server.root, &unknown).await.refused("NOT_FOUND");
    assert!(target.works(&issued["credentials"]).await);
}
