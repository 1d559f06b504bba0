//! Many leases: a storm of expiries, and a store that is full of them. What is measured is printed, not judged.

use super::*;
use crate::support::sql::Sql;

/// A number from the environment, for the bench.
fn size(variable: &str, otherwise: usize) -> usize {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

fn share(sorted: &[Duration], per_hundred: usize) -> Duration {
    sorted[(sorted.len() * per_hundred / 100).min(sorted.len() - 1)]
}

/// Copies of one lease's row, whose accounts do not exist, as texts of SQL: `id` and `end` are expressions over `n`.
async fn copy_leases(sql: &mut Sql, count: usize, end: &str) {
    let columns: Vec<String> = sql.columns("leases").await.into_iter().map(|(name, _)| name).collect();
    let changed = |name: &str| match name {
        // the number in the last bytes of a UUID of version 7
        "lease_id" => "unhex(printf('0190000000007000a%03x%012x', n % 4096, n))".to_owned(),
        "expires_at" | "due_at" | "max_expires_at" => end.to_owned(),
        "idempotency_key" => "NULL".to_owned(),
        name => name.to_owned(),
    };
    let values: Vec<_> = columns.iter().map(|name| changed(name)).collect();
    let insert = format!(
        "WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count}), \
         one AS (SELECT * FROM leases LIMIT 1) INSERT INTO leases ({}) SELECT {} FROM one, numbers; \
         UPDATE engines SET live_leases = (SELECT count(*) FROM leases WHERE NOT revoked); \
         UPDATE engine_roles SET live_leases = (SELECT count(*) FROM leases WHERE NOT revoked)",
        columns.join(", "),
        values.join(", ")
    );
    sql.run(&insert).await;
}

/// Accounts are made by SQL in the names of leases that are made by SQL: all end in the same second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_that_expire_in_the_same_second() {
    let count = size("SECRETHUB_TEST_EXPIRING", 2000);
    let (server, target) = dev_with_postgres().await;
    let first = server.issue_for(PG, json!({ "ttlSeconds": 3600 })).await;
    let name = text(&first, "/credentials/username").to_owned();
    let mark: secrethub_engine::Installation =
        serde_json::from_value(json!(name.split('_').nth(1).unwrap())).unwrap();
    server.put(&server.root, "prod.plain", json!({ "a": "b" })).await.ok();
    let mut sql = Sql::open(&server.database.url).await;
    copy_leases(&mut sql, count, "strftime('%Y-%m-%dT%H:%M:%S+00:00', 'now', '+1 hour')").await;
    let ids = sql.rows("SELECT lower(hex(lease_id)) FROM leases").await;
    let mut accounts = String::new();
    for id in ids {
        let lease = uuid::Uuid::parse_str(id[0].as_deref().unwrap()).unwrap();
        if mark.name(lease) != name {
            accounts.push_str(&format!("CREATE ROLE {} LOGIN IN ROLE {GROUP};", mark.name(lease)));
        }
    }
    target.run(&accounts).await;
    assert_eq!(target.users().await.len(), count + 1);
    sql.run("UPDATE leases SET expires_at = issued_at, due_at = issued_at WHERE NOT revoked").await;
    let begun = Instant::now();
    let mut reads = Vec::new();
    let mut left = i64::MAX;
    while left > 0 {
        let read = Instant::now();
        server.read(&server.root, "prod.plain").await.ok();
        reads.push(read.elapsed());
        if reads.len().is_multiple_of(20) {
            left = server.engine("main").await["activeLeases"].as_i64().unwrap();
        }
        assert!(begun.elapsed() < Duration::from_secs(180), "{left} leases are left");
    }
    let took = begun.elapsed();
    assert!(target.users().await.is_empty());
    reads.sort();
    eprintln!(
        "{} leases were revoked in {took:?} ({:.0}/s); {} reads meanwhile, p50 {:?}, p99 {:?}, longest {:?}",
        count + 1,
        count as f64 / took.as_secs_f64(),
        reads.len(),
        share(&reads, 50),
        share(&reads, 99),
        share(&reads, 100)
    );
}

/// Start, unseal and the first issue, beside those of a store with ten leases.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_full_of_leases_starts_as_quickly() {
    let count = size("SECRETHUB_TEST_LEASES", 100_000);
    let target = Postgres::start().await;
    let mut server = server_with_plugins(Store::Sqlite).await;
    server.enable("main", "postgresql", target.config()).await;
    server.put_role(PG, "main", json!({})).await.ok();
    for _ in 0..10 {
        server.issue(PG).await;
    }
    for rows in [10, count] {
        if rows > 10 {
            let mut sql = Sql::open(&server.database.url).await;
            let end = "strftime('%Y-%m-%dT%H:%M:%S+00:00', 'now', '+1 hour')";
            copy_leases(&mut sql, rows, end).await;
        }
        server.stop().await;
        let begun = Instant::now();
        server.launch().await;
        let started = begun.elapsed();
        server.unseal().await;
        let unsealed = begun.elapsed();
        let issued = server.issue(PG).await;
        let first = begun.elapsed();
        // another pass of the task beside it
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let asked = Instant::now();
        server.revoke_as(&server.root, lease_id(&issued)).await.ok();
        eprintln!(
            "{rows} leases: started after {started:?}, unsealed after {unsealed:?}, issued after {first:?}; \
             a revocation took {:?}",
            asked.elapsed()
        );
    }
}
