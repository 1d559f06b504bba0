//! Accounts that own tables in two databases and have sessions open in both: they end, and what they made stays with the group.

use super::*;
use sqlx::Connection;

const DATABASES: [&str; 2] = ["postgres", "reports"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn owners_with_sessions_are_revoked_and_their_tables_stay() {
    let (server, target) = dev_with_postgres().await;
    target.run("CREATE DATABASE reports").await;
    for database in DATABASES {
        let mut session = target.login("secrethub", PASSWORD, database).await.unwrap();
        let grant = format!("GRANT CREATE, USAGE ON SCHEMA public TO {GROUP}");
        session.execute(sqlx::raw_sql(AssertSqlSafe(grant))).await.unwrap();
    }
    let mut sessions = Vec::new();
    let mut leases = Vec::new();
    for number in 0..3 {
        let issued = server.issue(PG).await;
        let (user, password) =
            (text(&issued, "/credentials/username"), text(&issued, "/credentials/password"));
        for database in DATABASES {
            let mut session = target.login(user, password, database).await.unwrap();
            let tables = format!(
                "CREATE TABLE by_group_{number} (x int); INSERT INTO by_group_{number} VALUES (1); RESET ROLE; \
                 SET ROLE NONE"
            );
            session.execute(sqlx::raw_sql(AssertSqlSafe(tables))).await.unwrap();
            // made as the account itself, which owns it then
            let own = format!(
                "CREATE TABLE by_account_{number} (x int); INSERT INTO by_account_{number} VALUES (2)"
            );
            session.execute(sqlx::raw_sql(AssertSqlSafe(own))).await.unwrap();
            // one of them in the middle of a transaction
            session.execute("BEGIN").await.unwrap();
            sessions.push(session);
        }
        leases.push(issued);
    }
    for issued in &leases {
        let revoked = server.revoke_as(&server.root, lease_id(issued)).await.ok();
        assert_eq!(revoked["revokeLease"]["lease"]["state"], "REVOKED", "{revoked}");
        assert!(!target.works(&issued["credentials"]).await);
    }
    for mut session in sessions {
        assert!(session.ping().await.is_err(), "a session goes on");
    }
    assert!(target.users().await.is_empty());
    for database in DATABASES {
        let mut session = target.login("secrethub", PASSWORD, database).await.unwrap();
        let owners: Vec<(String, String)> = sqlx::query_as(
            "SELECT tablename::text, tableowner::text FROM pg_tables WHERE tablename LIKE 'by\\_%' ORDER BY 1",
        )
        .fetch_all(&mut session)
        .await
        .unwrap();
        assert_eq!(owners.len(), 6, "{database}: {owners:?}");
        assert!(owners.iter().all(|(_, owner)| owner == GROUP), "{database}: {owners:?}");
        let rows: i64 =
            sqlx::query_scalar("SELECT count(*) FROM by_account_0").fetch_one(&mut session).await.unwrap();
        assert_eq!(rows, 1);
    }
    server.audit_is_whole().await;
}
