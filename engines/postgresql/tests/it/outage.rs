//! A target that is away for a while.

use crate::server::Server;
use crate::target::{Admin, Target, lease, revocation};
use secrethub_engine::{Engine, ErrorKind};
use serde_json::json;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_target_that_is_away_is_tried_again() {
    let server = Arc::new(Server::start());
    let target = Target::on(server, Admin::Superuser).await;
    let engine = target.engine_with(json!({ "connect_timeout_seconds": 2 })).await;
    let lease = lease();
    engine.issue(&target.role(), &lease).await.unwrap();
    target.server.stop();
    for _ in 0..2 {
        let error = engine.revoke(&revocation(&lease)).await.unwrap_err();
        assert_eq!(error.kind, ErrorKind::Retry, "{error}");
        assert!(!error.message.contains("127.0.0.1"), "{error}");
    }
    target.server.start_again();
    engine.revoke(&revocation(&lease)).await.unwrap();
    assert!(target.accounts().await.is_empty());
}

#[tokio::test]
async fn a_kept_connection_that_was_ended_does_not_fail_a_call() {
    let target = Target::new(Admin::Superuser).await;
    let engine = target.engine().await;
    engine.check().await.unwrap();
    let query = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1";
    target.root().await.query(query, &[&target.admin]).await.unwrap();
    engine.check().await.unwrap();
}

#[tokio::test]
async fn one_that_does_not_answer_is_given_up() {
    // takes connections and says nothing
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let target = Target::new(Admin::Superuser).await;
    let engine = target.engine_with(json!({ "port": port, "connect_timeout_seconds": 1 })).await;
    let start = Instant::now();
    let error = engine.check().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Retry, "{error}");
    assert!(start.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_host_without_an_address_is_told() {
    let target = Target::new(Admin::Superuser).await;
    let engine = target.engine_with(json!({ "host": "no-such-host.invalid" })).await;
    let error = engine.check().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Retry);
    assert!(error.message.contains("cannot be resolved") && !error.message.contains("invalid"), "{error}");
}

#[tokio::test]
async fn connections_are_bounded_and_reused() {
    let target = Target::with_database(Admin::Superuser).await;
    let engine = target.engine_with(json!({ "max_connections": 2, "database": "postgres" })).await;
    let role = crate::target::role(json!({ "database": target.database, "creation_statements": [
        "CREATE ROLE {{name}} LOGIN PASSWORD {{password}}",
    ] }));
    let calls = (0..20).map(|number| {
        let (engine, role) = (&engine, if number % 2 == 0 { role.clone() } else { target.role() });
        async move {
            let lease = lease();
            engine.issue(&role, &lease).await.unwrap();
            engine.revoke(&revocation(&lease)).await.unwrap();
        }
    });
    futures_util::future::join_all(calls).await;
    let query = "SELECT count(*) FROM pg_stat_activity WHERE usename = $1";
    let row = target.root().await.query_one(query, &[&target.admin]).await.unwrap();
    assert!(row.get::<_, i64>(0) <= 2);
}
