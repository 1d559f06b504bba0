//! Leases, followed by subscription.

use super::*;
use crate::subscriptions::client::Socket;

const FOLLOW: &str = "subscription($filter: LeaseFilter, $after: String) {
  leaseChanged(filter: $filter, after: $after) { kind path leaseId lease { state } } }";

/// The kinds of the next changes, which must all be of this lease.
async fn kinds(socket: &mut Socket, id: &str, lease: &str, count: usize) -> Vec<String> {
    let mut kinds = Vec::new();
    for _ in 0..count {
        let data = socket.data(id).await;
        let change = &data["leaseChanged"];
        assert_eq!((text(change, "/leaseId"), text(change, "/path")), (lease, PG));
        assert!(change["lease"]["state"].is_string(), "{change}");
        kinds.push(text(change, "/kind").to_owned());
    }
    kinds
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_is_told_from_beginning_to_end_to_whom_it_concerns() {
    let (server, _target) = dev_with_postgres().await;
    let document =
        json!({ "version": 1, "allowed_secrets": ["prod.*"], "allowed_operations": ["issue", "renew"] });
    server.create_policy("client", document).await;
    let own = server.token_with(&["client"], json!({})).await;
    let other = server.token_with(&["client"], json!({})).await;
    // from here on, however long it takes until they are open
    let from = server.as_root("{ auditCheckpoint { cursor } }", json!({})).await.ok();
    let after = &from["auditCheckpoint"]["cursor"];
    let (mut all, mut mine) =
        (Socket::ready(&server, Some(&server.root)).await, Socket::ready(&server, Some(&own)).await);
    let mut others = Socket::ready(&server, Some(&other)).await;
    for (socket, id, filter) in [
        (&mut all, "all", json!(null)),
        (&mut mine, "mine", json!({"pathPrefix": "prod"})),
        (&mut others, "others", json!(null)),
    ] {
        socket.subscribe(id, FOLLOW, json!({ "filter": filter, "after": after })).await;
    }
    let mut filtered = Socket::ready(&server, Some(&server.root)).await;
    let ended = json!({"engine": "main", "states": ["REVOKED"]});
    filtered.subscribe("ended", FOLLOW, json!({ "filter": ended, "after": after })).await;
    let mut nothing = Socket::ready(&server, Some(&server.root)).await;
    for (id, filter) in
        [("engine", json!({"engine": "another"})), ("path", json!({"pathPrefix": "prod.db.mai"}))]
    {
        nothing.subscribe(id, FOLLOW, json!({ "filter": filter, "after": after })).await;
    }

    let issued = server.issue_as(&own, json!({ "path": PG })).await.ok();
    let lease = text(&issued, "/issueCredentials/lease/leaseId").to_owned();
    let renew = json!({ "leaseId": lease, "incrementSeconds": 1200 });
    server.mutate(&own, "renewLease", "RenewLeaseInput", renew, "lease { state }").await.ok();
    let revoke = json!({ "leaseId": lease });
    server.mutate(&server.root, "revokeLease", "RevokeLeaseInput", revoke, "lease { state }").await.ok();
    let story = ["ISSUING", "ISSUED", "RENEWED", "REVOCATION_REQUESTED", "REVOKED"];
    assert_eq!(kinds(&mut all, "all", &lease, 5).await, story);
    assert_eq!(kinds(&mut mine, "mine", &lease, 5).await, story);
    others.is_silent().await;
    nothing.is_silent().await;
    // by the state that the lease has when it is told of: what came before its end is among it if it is told late
    let mut kind = String::new();
    while kind != "REVOKED" {
        let data = filtered.data("ended").await;
        let change = &data["leaseChanged"];
        assert_eq!((text(change, "/leaseId"), text(change, "/lease/state")), (lease.as_str(), "REVOKED"));
        text(change, "/kind").clone_into(&mut kind);
    }
    filtered.is_silent().await;
}
