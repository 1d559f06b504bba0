//! Many callers at once for what only one may have.

use crate::support::{Reply, Server, Store};
use serde_json::{Value, json};
use std::future::Future;
use std::sync::Arc;
use tokio::sync::Barrier;

const CALLERS: usize = 64;

/// Makes the same call from many tasks that start together.
async fn all_at_once<F>(server: &Arc<Server>, call: impl Fn(Arc<Server>, usize) -> F) -> Vec<Reply>
where
    F: Future<Output = Reply> + Send + 'static,
{
    let start = Arc::new(Barrier::new(CALLERS));
    let tasks: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (start, call) = (Arc::clone(&start), call(Arc::clone(server), caller));
            tokio::spawn(async move {
                start.wait().await;
                call.await
            })
        })
        .collect();
    let mut replies = Vec::with_capacity(CALLERS);
    for task in tasks {
        replies.push(task.await.unwrap());
    }
    replies
}

/// How many succeeded; every other must have been refused with this code.
fn winners(replies: &[Reply], losers_code: &str) -> usize {
    let (won, lost): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.is_ok());
    for reply in lost {
        reply.refused(losers_code);
    }
    won.len()
}

both_stores!(one_use_secret_id, limited_secret_id, same_expected_version, first_version, limited_token);

async fn one_use_secret_id(store: Store) {
    let server = Arc::new(Server::dev(store).await);
    server
        .create_policy(
            "app",
            json!({"version": 1, "allowed_secrets": ["a.*"], "allowed_operations": ["read"]}),
        )
        .await;
    let role_id = server.create_role("racing", json!({"policies": ["app"], "secretIdNumUses": 1})).await;
    let (secret_id, _) = server.generate_secret_id("racing", json!({})).await;
    // a wrong SecretID is refused in the same words as a used-up one; enough of them lock the role out, hence RATE_LIMITED
    let replies = all_at_once(&server, |server, _| {
        let (role_id, secret_id) = (role_id.clone(), secret_id.clone());
        async move { server.login(&role_id, &secret_id).await }
    })
    .await;
    let won = replies.iter().filter(|reply| reply.is_ok()).count();
    assert_eq!(won, 1);
    for reply in replies.iter().filter(|reply| !reply.is_ok()) {
        assert!(matches!(reply.code(), Some("UNAUTHENTICATED" | "RATE_LIMITED")), "{}", reply.body);
    }
    server.audit_is_whole().await;
}

async fn limited_secret_id(store: Store) {
    let server = Arc::new(Server::dev(store).await);
    server
        .create_policy(
            "app",
            json!({"version": 1, "allowed_secrets": ["a.*"], "allowed_operations": ["read"]}),
        )
        .await;
    let role_id =
        server.create_role("racing", json!({"policies": ["app"], "secretIdNumUses": CALLERS})).await;
    let (secret_id, _) = server.generate_secret_id("racing", json!({"numUses": 7})).await;
    let replies = all_at_once(&server, |server, _| {
        let (role_id, secret_id) = (role_id.clone(), secret_id.clone());
        async move { server.login(&role_id, &secret_id).await }
    })
    .await;
    assert_eq!(replies.iter().filter(|reply| reply.is_ok()).count(), 7);
    server.audit_is_whole().await;
}

async fn same_expected_version(store: Store) {
    let server = Arc::new(Server::dev(store).await);
    let root = server.root.clone();
    server.put(&root, "race.one", json!({"by": -1})).await.ok();
    for version in 1..=3_i64 {
        let replies = all_at_once(&server, |server, caller| async move {
            let root = server.root.clone();
            server.put_expecting(&root, "race.one", json!({"by": caller}), version).await
        })
        .await;
        assert_eq!(winners(&replies, "CONFLICT"), 1);
        let winner = replies.iter().position(Reply::is_ok).unwrap();
        let now = server.read(&root, "race.one").await.ok();
        assert_eq!(now["secret"]["version"], json!(version + 1));
        assert_eq!(now["secret"]["data"], json!({"by": winner}), "the value of the one that won");
    }
    server.audit_is_whole().await;
}

/// `expectedVersion: 0`: it must not exist yet.
async fn first_version(store: Store) {
    let server = Arc::new(Server::dev(store).await);
    let replies = all_at_once(&server, |server, caller| async move {
        let root = server.root.clone();
        server.put_expecting(&root, "race.new", json!({"by": caller}), 0).await
    })
    .await;
    assert_eq!(winners(&replies, "CONFLICT"), 1);
    let root = server.root.clone();
    let made: Value = server.read(&root, "race.new").await.ok();
    assert_eq!(made["secret"]["version"], json!(1));
    server.audit_is_whole().await;
}

async fn limited_token(store: Store) {
    let server = Arc::new(Server::dev(store).await);
    let root = server.root.clone();
    server.put(&root, "a.b", json!({"k": "v"})).await.ok();
    server
        .create_policy(
            "app",
            json!({"version": 1, "allowed_secrets": ["a.*"], "allowed_operations": ["read"]}),
        )
        .await;
    let token = server.token_with(&["app"], json!({"numUses": 10})).await;
    let replies = all_at_once(&server, |server, _| {
        let token = token.clone();
        async move { server.read(&token, "a.b").await }
    })
    .await;
    assert_eq!(winners(&replies, "UNAUTHENTICATED"), 10);
    server.audit_is_whole().await;
}
