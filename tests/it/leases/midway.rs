//! Targets that stop answering in the middle of a call, and leases that end while they do.

use super::*;
use std::sync::Arc;

/// An issue that the target does not answer for now; its lease's id.
async fn stuck(server: &Arc<Server>, target: &Postgres) -> (tokio::task::JoinHandle<Reply>, String) {
    // the engine's connections stand already
    let first = server.issue(PG).await;
    server.revoke_as(&server.root, lease_id(&first)).await.ok();
    target.server.freeze();
    let asking = tokio::spawn({
        let server = Arc::clone(server);
        async move { server.issue_as(&server.root, json!({ "path": PG })).await }
    });
    let mut id = String::new();
    until(Duration::from_secs(5), "the lease is being issued", async || {
        let query = "{ leases(filter: { states: [ISSUING] }) { nodes { leaseId } } }";
        let found = server.as_root(query, json!({})).await.ok();
        id = found["leases"]["nodes"][0]["leaseId"].as_str().unwrap_or_default().to_owned();
        !id.is_empty()
    })
    .await;
    (asking, id)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_is_revoked_while_it_is_issued() {
    let (server, target) = dev_with_impatient_postgres().await;
    let server = Arc::new(server);
    let (asking, id) = stuck(&server, &target).await;
    let lease = server.revoke_as(&server.root, &id).await.ok()["revokeLease"]["lease"].take();
    assert_eq!(lease["state"], "REVOKING", "{lease}");
    target.server.thaw();
    asking.await.unwrap().refused("CONFLICT");
    server.revoked(&id, Duration::from_secs(45)).await;
    assert!(target.users().await.is_empty());
    assert_eq!(server.engine("main").await["activeLeases"], 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_that_is_given_up_while_it_is_issued() {
    let (server, target) = dev_with_impatient_postgres().await;
    let server = Arc::new(server);
    let (asking, id) = stuck(&server, &target).await;
    assert_eq!(server.revoke_leases(json!({ "pathPrefix": PG, "force": true })).await, 1);
    assert_eq!(server.lease(&id).await["state"], "REVOKED");
    target.server.thaw();
    asking.await.unwrap().refused("CONFLICT");
    // the credentials came into being after the lease had ended, and are taken back all the same
    until(Duration::from_secs(10), "no account is left", async || target.users().await.is_empty()).await;
    assert_eq!(server.engine("main").await["activeLeases"], 0);
}

/// An issue that fails for want of an answer leaves nothing, even if the target made the account after all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issue_without_an_answer() {
    let (server, target) = dev_with_impatient_postgres().await;
    let server = Arc::new(server);
    let (asking, id) = stuck(&server, &target).await;
    let reply = asking.await.unwrap();
    reply.refused("ENGINE_UNAVAILABLE");
    assert!(!reply.body.contains(PASSWORD));
    target.server.thaw();
    let lease = server.revoked(&id, Duration::from_secs(45)).await;
    assert_eq!(lease["revocationReason"], "the credentials could not be issued");
    assert!(target.users().await.is_empty());
    server.audit_is_whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn renewals_and_rotations_while_the_target_is_down() {
    let (server, target) = dev_with_impatient_postgres().await;
    let root = &server.root;
    target.run("CREATE ROLE billing LOGIN PASSWORD 'billing-password-at-first'").await;
    let input = json!({ "path": "prod.bound", "engine": "main", "account": "billing" });
    server.mutate(root, "bindSecretAccount", "BindSecretAccountInput", input, "secret { path }").await.ok();
    let issued = server.issue(PG).await;
    target.server.crash();
    server.renew_as(root, lease_id(&issued), Some(7200)).await.refused("ENGINE_UNAVAILABLE");
    let lease = server.lease(lease_id(&issued)).await;
    assert_eq!((&lease["expiresAt"], &lease["renewedCount"]), (&issued["lease"]["expiresAt"], &json!(0)));
    let rotate = async || {
        let input = json!({ "path": "prod.bound" });
        server.mutate(root, "rotateSecret", "RotateSecretInput", input, "secret { path }").await
    };
    let reply = rotate().await;
    reply.refused("ENGINE_UNAVAILABLE");
    assert!(!reply.body.contains(PASSWORD));
    let query = "{ secret(path: \"prod.bound\") { version data account { rotationPending lastError } } }";
    let secret = server.as_root(query, json!({})).await.ok()["secret"].take();
    assert_eq!(secret["account"]["rotationPending"], true, "{secret}");
    assert!(secret["account"]["lastError"].is_string());
    target.server.start_again();
    assert!(target.works(&secret["data"]).await, "the former password is good until the new one is");
    until(Duration::from_secs(30), "the rotation is finished", async || {
        let now = server.as_root(query, json!({})).await.ok()["secret"].take();
        now["account"]["rotationPending"] == false && target.works(&now["data"]).await
    })
    .await;
    let version = |secret: &Value| secret["version"].as_u64().unwrap();
    let before = server.as_root(query, json!({})).await.ok()["secret"].take();
    let replies = futures_util::future::join_all((0..8).map(|_| rotate())).await;
    let (rotated, refused): (Vec<_>, Vec<_>) = replies.into_iter().partition(Reply::is_ok);
    refused.iter().for_each(|reply| reply.refused("CONFLICT"));
    let after = server.as_root(query, json!({})).await.ok()["secret"].take();
    assert_eq!(version(&after) - version(&before), rotated.len() as u64);
    assert!(target.works(&after["data"]).await, "the last of many rotations is the one that is stored");
    let renewed = server.renew_as(root, lease_id(&issued), Some(7200)).await.ok();
    assert_eq!(renewed["renewLease"]["lease"]["renewedCount"], 1);
    // unbound, nothing changes it any more
    let unbind = json!({ "path": "prod.bound" });
    server.mutate(root, "unbindSecretAccount", "UnbindSecretAccountInput", unbind, "path").await.ok();
    rotate().await.refused("NOT_FOUND");
}
