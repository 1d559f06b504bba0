//! Limits of leases, idempotency keys, and many callers at once.

use super::*;
use std::sync::Arc;

/// Runs as many at once, and gathers what they return.
async fn at_once<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    count: usize,
    make: impl Fn(usize) -> F,
) -> Vec<T> {
    let started: Vec<_> = (0..count).map(|number| tokio::spawn(make(number))).collect();
    let mut all = Vec::with_capacity(count);
    for one in started {
        all.push(one.await.unwrap());
    }
    all
}

/// Issues at once with the same input; the answers.
async fn issues(server: &Arc<Server>, count: usize, input: &Value) -> Vec<Reply> {
    at_once(count, |_| {
        let (server, input) = (Arc::clone(server), input.clone());
        async move { server.issue_as(&server.root, input).await }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_hold_under_concurrent_callers() {
    let (server, target) = dev_with_postgres().await;
    let server = Arc::new(server);
    server.put_role("prod.db.few", "main", json!({ "maxLeases": 7 })).await.ok();
    let input = json!({ "path": "prod.db.few" });
    let replies = issues(&server, 64, &input).await;
    let (issued, refused): (Vec<_>, Vec<_>) = replies.into_iter().partition(Reply::is_ok);
    assert_eq!(issued.len(), 7);
    refused.iter().for_each(|reply| reply.refused("CONFLICT"));
    assert_eq!(target.users().await.len(), 7);

    let mut engine = json!({ "name": "small", "kind": "postgresql", "config": target.config() });
    engine["maxLeases"] = json!(5);
    server.enable_with(engine).await.ok();
    server.put_role("prod.db.small", "small", json!({ "maxLeases": 50 })).await.ok();
    let replies = issues(&server, 64, &json!({ "path": "prod.db.small" })).await;
    assert_eq!(replies.iter().filter(|reply| reply.is_ok()).count(), 5);
    assert_eq!(server.engine("small").await["activeLeases"], 5);

    // a place is free again as soon as a lease has ended
    let first = text(&issued[0].data, "/issueCredentials/lease/leaseId");
    assert_eq!(server.revoke_as(&server.root, first).await.ok()["revokeLease"]["lease"]["state"], "REVOKED");
    server.issue("prod.db.few").await;
    server.issue_as(&server.root, input).await.refused("CONFLICT");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_idempotency_key_is_one_credential() {
    let (server, target) = dev_with_postgres().await;
    let server = Arc::new(server);
    let input = json!({ "path": PG, "idempotencyKey": "deploy-42" });
    let replies = issues(&server, 32, &input).await;
    let (issued, refused): (Vec<_>, Vec<_>) = replies.into_iter().partition(Reply::is_ok);
    assert!(!issued.is_empty());
    for reply in &refused {
        reply.refused("CONFLICT");
        assert!(reply.message().contains("ask again shortly"), "{}", reply.message());
    }
    let credentials = &issued[0].data["issueCredentials"]["credentials"];
    assert!(issued.iter().all(|reply| &reply.data["issueCredentials"]["credentials"] == credentials));
    assert_eq!(target.users().await.len(), 1);
    let again = server.issue_as(&server.root, input.clone()).await.ok()["issueCredentials"].take();
    assert_eq!(&again["credentials"], credentials);
    assert!(target.works(credentials).await);

    server.put_role("prod.db.other", "main", json!({})).await.ok();
    let elsewhere = json!({ "path": "prod.db.other", "idempotencyKey": "deploy-42" });
    server.issue_as(&server.root, elsewhere).await.refused("CONFLICT");
    // another caller's key is another key
    let token = server.token_with(&["root"], json!({})).await;
    let other = server.issue_as(&token, input.clone()).await.ok();
    assert_ne!(&other["issueCredentials"]["credentials"], credentials);
    server.revoke_as(&server.root, lease_id(&again)).await.ok();
    let ended = server.issue_as(&server.root, input).await;
    ended.refused("CONFLICT");
    assert!(!ended.body.contains(text(credentials, "/password")));
}

/// Tokens of one AppRole are one actor, but each has its own end and its own leases.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idempotency_key_is_not_shared_by_the_tokens_of_a_role() {
    let (server, target) = dev_with_postgres().await;
    let document =
        json!({ "version": 1, "allowed_secrets": ["prod.*"], "allowed_operations": ["issue", "revoke"] });
    server.create_policy("issuer", document).await;
    let role_id = server.create_role("billing", json!({ "policies": ["issuer"] })).await;
    let mut tokens = Vec::new();
    for _ in 0..2 {
        let (secret_id, _) = server.generate_secret_id("billing", json!({})).await;
        let login = server.login(&role_id, &secret_id).await.ok();
        tokens.push(text(&login, "/loginWithAppRole/token").to_owned());
    }
    let input = json!({ "path": PG, "idempotencyKey": "the-same" });
    let mut issued = Vec::new();
    for token in &tokens {
        issued.push(server.issue_as(token, input.clone()).await.ok()["issueCredentials"].take());
    }
    assert_ne!(lease_id(&issued[0]), lease_id(&issued[1]));
    assert_ne!(issued[0]["credentials"], issued[1]["credentials"]);
    let again = server.issue_as(&tokens[1], input).await.ok()["issueCredentials"].take();
    assert_eq!((lease_id(&again), &again["credentials"]), (lease_id(&issued[1]), &issued[1]["credentials"]));
    // the end of one is not the end of the other's credentials
    let revoke = "mutation($token: String) { revokeToken(input: { token: $token }) { revoked } }";
    server.as_root(revoke, json!({ "token": tokens[0] })).await.ok();
    server.revoked(lease_id(&issued[0]), Duration::from_secs(15)).await;
    assert!(!target.works(&issued[0]["credentials"]).await);
    assert!(target.works(&issued[1]["credentials"]).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_issue_and_revoke_at_once() {
    let (server, target) = dev_with_postgres().await;
    let server = Arc::new(server);
    let states = at_once(64, |_| {
        let server = Arc::clone(&server);
        async move {
            let issued = server.issue(PG).await;
            let revoked = server.revoke_as(&server.root, lease_id(&issued)).await.ok();
            (
                revoked["revokeLease"]["lease"]["state"].clone(),
                text(&issued, "/credentials/username").to_owned(),
            )
        }
    })
    .await;
    let names: std::collections::HashSet<_> = states.iter().map(|(_, name)| name).collect();
    assert_eq!(names.len(), 64);
    assert!(states.iter().all(|(state, _)| state == "REVOKED"), "{states:?}");
    assert!(target.users().await.is_empty());
    assert_eq!(server.engine("main").await["activeLeases"], 0);
    server.audit_is_whole().await;
}

/// Two callers revoke one lease, while a third renews it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_lease_ends_once() {
    let (server, target) = dev_with_postgres().await;
    let server = Arc::new(server);
    for _ in 0..5 {
        let issued = server.issue(PG).await;
        let id = lease_id(&issued).to_owned();
        at_once(12, |number| {
            let (server, id) = (Arc::clone(&server), id.clone());
            async move {
                if number % 3 == 0 {
                    server.renew_as(&server.root, &id, Some(60)).await;
                } else {
                    server.revoke_as(&server.root, &id).await.ok();
                }
            }
        })
        .await;
        server.revoked(&id, Duration::from_secs(10)).await;
        assert!(target.users().await.is_empty());
    }
    assert_eq!(server.engine("main").await["activeLeases"], 0);
}
