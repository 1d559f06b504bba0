//! Accounts as they end.

use crate::target::{Admin, Target, lease, revocation, role, username};
use secrethub_engine::{Engine, ErrorKind, Lease, Revocation};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn objects_stay_with_the_group_and_sessions_end() {
    for admin in [Admin::Createrole, Admin::Superuser] {
        for role_is_known in [true, false] {
            objects_and_sessions(admin, role_is_known).await;
        }
    }
}

async fn objects_and_sessions(admin: Admin, role_is_known: bool) {
    let target = Target::with_database(admin).await;
    let other = Target::with_database(admin).await;
    let grant = format!("GRANT ALL ON SCHEMA public TO \"{}\"", target.group);
    other.root().await.batch_execute(&grant).await.unwrap();
    let engine = target.engine().await;
    let lease = lease();
    let issued = engine.issue(&target.role(), &lease).await.unwrap();
    let here = target.log_in(&issued).await.unwrap();
    let there = target.log_in_to(&other.database, &issued).await.unwrap();
    here.batch_execute("CREATE TABLE by_group (x int)").await.unwrap();
    // as itself, not as the group
    let user = username(&issued);
    for (session, root) in [(&here, target.root().await), (&there, other.root().await)] {
        // only the owner of a table, or a superuser, can take back what was granted on it
        if matches!(admin, Admin::Superuser) {
            root.batch_execute("CREATE TABLE root_table (x int)").await.unwrap();
            let grant =
                format!("GRANT SELECT ON root_table TO {user}; GRANT CREATE ON SCHEMA public TO {user}");
            root.batch_execute(&grant).await.unwrap();
        }
        session.batch_execute("RESET ROLE; SET ROLE NONE; CREATE TABLE by_user (x int)").await.unwrap();
        session.batch_execute("ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC").await.unwrap();
    }
    let mut revocation = revocation(&lease);
    if role_is_known {
        revocation.role = Some(target.role());
        revocation.handle = Some(issued.handle.clone());
    }
    engine.revoke(&revocation).await.unwrap();
    assert!(here.query("SELECT 1", &[]).await.is_err());
    assert!(there.query("SELECT 1", &[]).await.is_err());
    assert!(target.accounts().await.is_empty());
    for root in [target.root().await, other.root().await] {
        let query = "SELECT tableowner::text FROM pg_tables WHERE tablename IN ('by_user', 'by_group')";
        for row in root.query(query, &[]).await.unwrap() {
            assert_eq!(row.get::<_, String>(0), target.group);
        }
    }
    // what the engine's account took for that is given back
    let query = "SELECT count(*) FROM pg_auth_members m JOIN pg_roles u ON u.oid = m.member \
         JOIN pg_roles g ON g.oid = m.roleid WHERE u.rolname = $1 AND g.rolname = $2 AND NOT m.admin_option";
    let rows = target.root().await.query_one(query, &[&target.admin, &target.group]).await.unwrap();
    assert_eq!(rows.get::<_, i64>(0), 0);
}

#[tokio::test]
async fn one_that_cannot_be_dropped_does_not_keep_the_others() {
    let target = Target::new(Admin::Createrole).await;
    let engine = target.engine_with(json!({ "statement_timeout_seconds": 4 })).await;
    let role = target.role();
    // made by hand, and quickly: what counts is how they end
    let leases: Vec<Lease> = (0..300).map(|_| lease()).collect();
    let mut bad = Vec::new();
    for at in [7, 150] {
        let issued = engine.issue(&role, &leases[at]).await.unwrap();
        bad.push(username(&issued).to_owned());
    }
    let made: Vec<String> = leases
        .iter()
        .map(|lease| target.installation.name(lease.id))
        .filter(|name| !bad.contains(name))
        .map(|name| format!("CREATE ROLE {name} LOGIN IN ROLE \"{}\";", target.group))
        .collect();
    let maker = target.server.log_in(&target.database, &target.admin, &target.admin_password).await.unwrap();
    maker.batch_execute(&made.concat()).await.unwrap();
    let root = target.root().await;
    // one that the engine's account may not touch, and one with something where nobody gets in
    root.batch_execute(&format!("ALTER ROLE {} SUPERUSER", bad[0])).await.unwrap();
    let closed = format!("closed_{}", target.installation);
    root.batch_execute(&format!("CREATE DATABASE {closed} OWNER {}", bad[1])).await.unwrap();
    let there = target.server.root(&closed).await;
    there.batch_execute(&format!("CREATE TABLE t (x int); ALTER TABLE t OWNER TO {}", bad[1])).await.unwrap();
    drop(there);
    root.batch_execute(&format!("ALTER DATABASE {closed} ALLOW_CONNECTIONS false")).await.unwrap();

    let revocations: Vec<_> = leases.iter().map(revocation).collect();
    let results = engine.revoke_many(&revocations).await;
    let failed: Vec<usize> = (0..300).filter(|at| results[*at].is_err()).collect();
    assert_eq!(failed, [7, 150], "{results:?}");
    let told = results[7].clone().unwrap_err();
    assert_eq!(told.kind, ErrorKind::Refused);
    assert!(told.message.contains("42501"), "{told}");
    let told = results[150].clone().unwrap_err();
    assert!(told.message.contains("not currently accepting connections"), "{told}");
    bad.sort();
    assert_eq!(target.accounts().await, bad);

    root.batch_execute(&format!("ALTER ROLE {} NOSUPERUSER", target.installation.name(leases[7].id)))
        .await
        .unwrap();
    root.batch_execute(&format!("ALTER DATABASE {closed} ALLOW_CONNECTIONS true")).await.unwrap();
    let results = engine.revoke_many(&revocations).await;
    assert!(results.iter().all(Result::is_ok), "{results:?}");
    assert!(target.accounts().await.is_empty());
}

#[tokio::test]
async fn a_locked_table_keeps_its_own_account_only() {
    let target = Target::with_database(Admin::Superuser).await;
    let engine = target.engine().await;
    let (held, free) = (lease(), lease());
    let issued = engine.issue(&target.role(), &held).await.unwrap();
    engine.issue(&target.role(), &free).await.unwrap();
    let mut root = target.root().await;
    root.batch_execute(&format!("CREATE TABLE t (x int); ALTER TABLE t OWNER TO {}", username(&issued)))
        .await
        .unwrap();
    let lock = root.transaction().await.unwrap();
    lock.batch_execute("LOCK TABLE t").await.unwrap();
    let results = engine.revoke_many(&[revocation(&held), revocation(&free)]).await;
    assert_eq!(results[0].clone().unwrap_err().kind, ErrorKind::Retry);
    assert!(results[1].is_ok());
    lock.rollback().await.unwrap();
    engine.revoke(&revocation(&held)).await.unwrap();
}

#[tokio::test]
async fn an_issue_that_is_under_way_is_waited_for() {
    let target = Target::new(Admin::Superuser).await;
    let engine = target.engine().await;
    let slow = role(json!({ "creation_statements": [
        "CREATE ROLE {{name}} LOGIN PASSWORD {{password}}", "SELECT pg_sleep(0.5)",
    ] }));
    let lease = lease();
    for wait in [5, 50, 300, 520] {
        let issued = tokio::time::timeout(Duration::from_millis(wait), engine.issue(&slow, &lease)).await;
        engine.revoke(&revocation(&lease)).await.unwrap();
        assert!(target.accounts().await.is_empty(), "after {wait} ms: {}", issued.is_ok());
    }
    // not even later
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(target.accounts().await.is_empty());
}

#[tokio::test]
async fn accounts_of_an_earlier_template_end_by_their_handle() {
    let target = Target::new(Admin::Createrole).await;
    let before = target.engine_with(json!({ "username_template": "old-{{lease}}.{{installation}}" })).await;
    let lease = lease();
    let issued = before.issue(&target.role(), &lease).await.unwrap();
    assert!(username(&issued).starts_with("old-"));
    let listed = before.list().await.unwrap();
    assert_eq!((listed.len(), listed[0].lease_id), (1, lease.id));
    let now = target.engine().await;
    // somebody else's name in a handle is not believed
    let forged = Revocation { handle: Some(json!({ "username": target.group })), ..revocation(&lease) };
    now.revoke(&forged).await.unwrap();
    assert_eq!(target.accounts().await.len(), 1);
    now.revoke(&Revocation { handle: Some(issued.handle.clone()), ..revocation(&lease) }).await.unwrap();
    assert!(target.accounts().await.is_empty());
}
