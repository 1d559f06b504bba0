//! Statements that a role brings along.

use crate::target::{Admin, Target, lease, revocation, role, username};
use futures_util::future::join_all;
use secrethub_engine::{Engine, ErrorKind, Revocation};
use serde_json::json;

const CREATE: &str = "CREATE ROLE {{name}} LOGIN PASSWORD {{password}} VALID UNTIL {{expiration}}";

#[tokio::test]
async fn statements_of_a_role_are_run_in_its_database() {
    let target = Target::with_database(Admin::Superuser).await;
    let root = target.root().await;
    root.batch_execute("CREATE TABLE t (x int); CREATE TABLE notes (what text, who text)").await.unwrap();
    let role = role(json!({
        "database": target.database,
        "creation_statements": [CREATE, "SET search_path = nowhere; GRANT SELECT ON public.t TO \"{{name}}\""],
        "renewal_statements": ["INSERT INTO notes VALUES ('renewed', '{{name}}')"],
        "revocation_statements": [
            "INSERT INTO notes SELECT 'revoked', rolname FROM pg_roles WHERE rolname = {{name_literal}} AND NOT rolcanlogin",
        ],
    }));
    // the engine itself logs in elsewhere
    let engine = target.engine_with(json!({ "database": "postgres", "max_connections": 1 })).await;
    engine.check_role(&role).await.unwrap();
    let lease = lease();
    let issued = engine.issue(&role, &lease).await.unwrap();
    target.log_in(&issued).await.unwrap().batch_execute("SELECT * FROM t").await.unwrap();
    engine.renew(&role, &lease, &issued.handle).await.unwrap();
    assert!(!issued.handle.to_string().contains("SCRAM"));
    // the role is gone: the handle knows its statements
    let gone = Revocation { lease_id: lease.id, handle: Some(issued.handle.clone()), role: None };
    engine.revoke(&gone).await.unwrap();
    engine.revoke(&gone).await.unwrap();
    assert!(target.accounts().await.is_empty());
    let rows =
        root.query("SELECT what FROM notes WHERE who = $1 ORDER BY 1", &[&username(&issued)]).await.unwrap();
    let notes: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(notes, ["renewed", "revoked"]);
}

#[tokio::test]
async fn what_the_target_refuses_at_creation_leaves_nothing() {
    let target = Target::new(Admin::Superuser).await;
    let engine = target.engine().await;
    for (statement, kind, word) in [
        ("GRANT SELECT ON missing TO {{name}}", ErrorKind::BadInput, "missing"),
        ("SELEC {{password}}", ErrorKind::BadInput, "SELEC"),
        ("DO $$BEGIN RAISE 'no more of %', '{{password}}'; END$$", ErrorKind::Refused, "no more of"),
        ("SELECT 1 / 0", ErrorKind::BadInput, "division by zero"),
    ] {
        let role = role(json!({ "creation_statements": [CREATE, statement] }));
        let error = engine.issue(&role, &lease()).await.err().unwrap();
        assert_eq!(error.kind, kind, "{error}");
        assert!(error.to_string().contains("creation_statements[1]"), "{error}");
        assert!(error.message.contains(word), "the target's own words are passed on: {error}");
        assert!(!error.message.contains("SCRAM"), "{error}");
        assert!(target.accounts().await.is_empty(), "{statement}");
    }
}

#[tokio::test]
async fn what_the_target_refuses_at_revocation_is_told_and_can_be_put_right() {
    let target = Target::new(Admin::Superuser).await;
    let engine = target.engine().await;
    let wrong = role(json!({
        "creation_statements": [CREATE],
        "revocation_statements": ["DO $$BEGIN RAISE 'the auditor is out'; END$$"],
    }));
    let lease = lease();
    let issued = engine.issue(&wrong, &lease).await.unwrap();
    let session = target.log_in(&issued).await.unwrap();
    let mut revocation =
        Revocation { lease_id: lease.id, handle: Some(issued.handle.clone()), role: Some(wrong.clone()) };
    let error = engine.revoke(&revocation).await.unwrap_err();
    assert_eq!((error.kind, error.field.as_deref()), (ErrorKind::BadInput, Some("revocation_statements[0]")));
    assert!(error.message.contains("the auditor is out"), "{error}");
    assert!(session.query("SELECT 1", &[]).await.is_err(), "the session is ended all the same");
    assert!(target.log_in(&issued).await.is_err(), "and nobody gets in any more");
    let error = engine.renew(&wrong, &lease, &issued.handle).await.unwrap_err();
    assert!(error.message.contains("being revoked"), "{error}");

    let mut right = wrong;
    right.revocation_statements = vec!["SELECT 1".to_owned()];
    revocation.role = Some(right);
    engine.revoke(&revocation).await.unwrap();
    assert!(target.accounts().await.is_empty());
}

#[tokio::test]
async fn a_database_that_is_gone_does_not_keep_its_accounts() {
    let target = Target::with_database(Admin::Superuser).await;
    let engine = target.engine_with(json!({ "database": "postgres" })).await;
    let role = role(json!({
        "database": target.database,
        "creation_statements": [CREATE],
        "revocation_statements": ["SELECT 1"],
    }));
    let lease = lease();
    engine.issue(&role, &lease).await.unwrap();
    let root = target.server.root("postgres").await;
    root.batch_execute(&format!("DROP DATABASE \"{}\" WITH (FORCE)", target.database)).await.unwrap();
    engine.revoke(&Revocation { role: Some(role), ..revocation(&lease) }).await.unwrap();
    let accounts = engine.list().await.unwrap();
    assert!(accounts.is_empty(), "{accounts:?}");
}

#[tokio::test]
async fn grants_on_one_table_do_not_collide() {
    for admin in [Admin::Superuser, Admin::Createrole] {
        grants_on_one_table(admin).await;
    }
}

async fn grants_on_one_table(admin: Admin) {
    let target = Target::with_database(admin).await;
    let table = format!("CREATE TABLE t (x int); ALTER TABLE t OWNER TO {}", target.admin);
    target.root().await.batch_execute(&table).await.unwrap();
    let engines = [target.engine().await, target.engine().await];
    let role = role(
        json!({ "creation_statements": [CREATE, "GRANT ALL ON ALL TABLES IN SCHEMA public TO {{name}}"] }),
    );
    let each = (0..32).map(|number| {
        // two of them, as two nodes have
        let (engine, role) = (&engines[number % 2], &role);
        async move {
            let lease = lease();
            engine.issue(role, &lease).await.unwrap();
            engine.revoke(&revocation(&lease)).await.unwrap();
        }
    });
    join_all(each).await;
    assert!(target.accounts().await.is_empty());
    let row = target
        .root()
        .await
        .query_one("SELECT relacl::text FROM pg_class WHERE relname = 't'", &[])
        .await
        .unwrap();
    let acl = row.get::<_, Option<String>>(0).unwrap_or_default();
    assert!(!acl.contains("shub_"), "nothing of them is left: {acl}");
}
