//! Accounts as they are made and renewed, and what is refused before that.

use crate::target::{Admin, Target, lease, lease_until, password, revocation, role, username};
use futures_util::future::join_all;
use secrethub_engine::{Engine, ErrorKind};
use secrethub_engine_postgresql::{Config, PostgresEngine};
use serde_json::{Value, json};

#[tokio::test]
async fn an_account_is_a_member_with_an_end_and_a_limit() {
    let target = Target::with_database(Admin::Createrole).await;
    let engine = target.engine().await;
    engine.check().await.unwrap();
    let role = role(json!({ "groups": [target.group], "connection_limit": 2 }));
    engine.check_role(&role).await.unwrap();
    assert!(target.accounts().await.is_empty(), "a check leaves nothing");
    let lease = lease();
    let issued = engine.issue(&role, &lease).await.unwrap();
    assert_eq!(username(&issued), target.installation.name(lease.id));
    assert_eq!(issued.credentials["database"], target.database);
    assert_eq!(issued.credentials["port"], target.server.port);
    let url = issued.credentials["url"].as_str().unwrap();
    let database = target.database.replace(' ', "%20");
    let expected = format!(
        "postgresql://{}:{}@127.0.0.1:{}/{database}",
        username(&issued),
        password(&issued),
        target.server.port
    );
    assert_eq!(url, expected);
    let config: tokio_postgres::Config = url.parse().unwrap();
    assert_eq!(config.get_dbname(), Some(target.database.as_str()));

    engine.try_credentials(&issued.credentials).await.unwrap();
    let first = target.log_in(&issued).await.unwrap();
    let row = first.query_one("SELECT current_user::text", &[]).await.unwrap();
    assert_eq!(row.get::<_, String>(0), target.group, "objects will belong to the group");
    let _second = target.log_in(&issued).await.unwrap();
    let third = target.log_in(&issued).await.err().unwrap();
    assert_eq!(third.code().unwrap().code(), "53300", "two sessions are the limit");
    engine.revoke(&revocation(&lease)).await.unwrap();
}

#[tokio::test]
async fn renewal_moves_the_end() {
    let target = Target::new(Admin::Createrole).await;
    let engine = target.engine().await;
    let mut lease = lease_until(60);
    let issued = engine.issue(&target.role(), &lease).await.unwrap();
    lease.expires_at += chrono::TimeDelta::seconds(7200);
    engine.renew(&target.role(), &lease, &issued.handle).await.unwrap();
    let query = "SELECT rolvaliduntil FROM pg_roles WHERE rolname = $1";
    let row = target.root().await.query_one(query, &[&username(&issued)]).await.unwrap();
    assert_eq!(
        row.get::<_, chrono::DateTime<chrono::Utc>>(0).timestamp_micros(),
        lease.expires_at.timestamp_micros()
    );

    engine.revoke(&revocation(&lease)).await.unwrap();
    let error = engine.renew(&target.role(), &lease, &issued.handle).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Refused);
    assert!(error.message.contains("gone"), "{error}");
}

#[tokio::test]
async fn credentials_end_with_their_lease_on_the_target_too() {
    let target = Target::new(Admin::Createrole).await;
    let engine = target.engine().await;
    let lease = lease_until(-1);
    let issued = engine.issue(&target.role(), &lease).await.unwrap();
    let error = engine.try_credentials(&issued.credentials).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Refused);
    assert!(target.log_in(&issued).await.is_err());
    engine.revoke(&revocation(&lease)).await.unwrap();
}

#[tokio::test]
async fn many_are_issued_and_revoked_at_once() {
    for admin in [Admin::Createrole, Admin::Superuser] {
        let target = Target::new(admin).await;
        let engine = target.engine().await;
        let role = target.role();
        let each = (0..64).map(|number| {
            let (engine, role) = (&engine, &role);
            async move {
                let lease = lease();
                engine.issue(role, &lease).await.unwrap();
                if number % 8 == 0 {
                    engine
                        .try_credentials(&engine.issue(role, &lease).await.unwrap().credentials)
                        .await
                        .unwrap();
                }
                engine.revoke(&revocation(&lease)).await.unwrap();
            }
        });
        join_all(each).await;
        assert!(target.accounts().await.is_empty());
    }
}

#[tokio::test]
async fn passwords_and_verifiers_stay_out_of_the_log() {
    let target = Target::new(Admin::Createrole).await;
    let engine = target.engine().await;
    let by_statements = role(json!({
        "creation_statements": [format!(
            "CREATE ROLE \"{{{{name}}}}\" LOGIN PASSWORD '{{{{password}}}}' IN ROLE \"{}\"", target.group
        )],
    }));
    for role in [target.role(), by_statements] {
        let issued = engine.issue(&role, &lease()).await.unwrap();
        target.log_in(&issued).await.unwrap();
        let log = target.server.log();
        assert!(log.contains(username(&issued)), "the log has every statement");
        assert!(!log.contains(password(&issued)), "and no password");
    }
    assert!(!target.server.log().contains("-----BEGIN"));
}

#[tokio::test]
async fn wrong_configurations_are_refused_by_field() {
    let target = Target::new(Admin::Createrole).await;
    let long = format!("{{{{installation}}}}{{{{lease}}}}{}", "x".repeat(30));
    for (field, value, named) in [
        ("host", json!("/var/run/postgresql"), "host"),
        ("host", json!(""), "host"),
        ("port", json!(0), "port"),
        ("database", json!("x".repeat(64)), "database"),
        ("username", json!(""), "username"),
        ("password", json!(""), "password"),
        ("ca_pem", json!("x"), "ca_pem"),
        ("connect_timeout_seconds", json!(61), "connect_timeout_seconds"),
        ("statement_timeout_seconds", json!(0), "statement_timeout_seconds"),
        ("max_connections", json!(65), "max_connections"),
        ("username_template", json!(long), "username_template"),
        ("username_template", json!("a {{installation}}{{lease}}"), "username_template"),
        ("username_template", json!("pg_{{installation}}{{lease}}"), "username_template"),
        ("username_template", json!("only-{{lease}}"), "username_template"),
        ("password_policy", json!({ "length": 8 }), "password_policy.length"),
    ] {
        let mut config = target.config();
        config[field] = value;
        let config: Config = serde_json::from_value(config).unwrap();
        let error = PostgresEngine::connect(config, target.installation.clone()).await.err().unwrap();
        assert_eq!((error.kind, error.field.as_deref()), (ErrorKind::BadInput, Some(named)), "{error}");
    }
}

#[tokio::test]
async fn wrong_roles_are_refused_by_field() {
    let target = Target::with_database(Admin::Createrole).await;
    let engine = target.engine().await;
    let group = target.group.as_str();
    let create = "CREATE ROLE {{name}} LOGIN PASSWORD {{password}}";
    let cases: [(Value, &str); 12] = [
        (json!({}), "groups"),
        (json!({ "groups": [group, "no such group"] }), "groups[1]"),
        (json!({ "groups": [group], "owner": "another" }), "owner"),
        (json!({ "groups": ["x".repeat(64)] }), "groups[0]"),
        (json!({ "groups": [group], "connection_limit": 0 }), "connection_limit"),
        (json!({ "groups": [group], "database": "no such database" }), "database"),
        (json!({ "creation_statements": ["SELECT 1"] }), "creation_statements"),
        (json!({ "creation_statements": ["SELECT '{{name}}', '{{password}}'"] }), "creation_statements"),
        (json!({ "creation_statements": [create, "{{nam}}"] }), "creation_statements[1]"),
        (json!({ "creation_statements": [format!("{create}; COMMIT; BEGIN")] }), "creation_statements"),
        (json!({ "groups": [group], "renewal_statements": ["SELEC {{name}}"] }), "renewal_statements[0]"),
        (
            json!({ "groups": [group], "revocation_statements": ["DROP TABLE nothing"] }),
            "revocation_statements[0]",
        ),
    ];
    for (json, field) in cases {
        let error = engine.check_role(&role(json.clone())).await.err().unwrap_or_else(|| panic!("{json}"));
        assert_eq!((error.kind, error.field.as_deref()), (ErrorKind::BadInput, Some(field)), "{error}");
    }
    assert!(target.accounts().await.is_empty(), "a check leaves nothing");
}

#[tokio::test]
async fn an_account_without_rights_is_told_which_it_needs() {
    let target = Target::new(Admin::Createrole).await;
    let root = target.root().await;
    root.batch_execute(&format!("ALTER ROLE {} NOCREATEROLE", target.admin)).await.unwrap();
    let engine = target.engine().await;
    let error = engine.check().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Refused);
    assert!(error.message.contains("CREATEROLE"), "{error}");
    let error = engine.issue(&target.role(), &lease()).await.err().unwrap();
    assert_eq!(error.kind, ErrorKind::Refused);
    assert!(error.message.contains("42501"), "{error}");
}
