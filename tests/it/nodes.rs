//! Several nodes on one PostgreSQL: one chain of audit events, one truth, changes seen by all.

use crate::support::store::Database;
use crate::support::writers::{Writers, all_there};
use crate::support::{Options, Server, Store};
use serde_json::json;
use std::time::{Duration, Instant};

/// How long a change may take to reach another node.
const SEEN_WITHIN: Duration = Duration::from_secs(20);

/// Two nodes, started at the same moment on an empty database, both unsealed. The first owns the database.
pub async fn two_nodes() -> (Server, Server) {
    two_nodes_with(String::new()).await
}

/// The same, with these sections in the configuration of both.
pub async fn two_nodes_with(config: String) -> (Server, Server) {
    let options = || Options { config: config.clone(), ..Options::server() };
    let folder = tempfile::tempdir().unwrap();
    let database = Database::fresh(Store::Postgres, folder.path()).await;
    let shared = Database::at(database.url.clone());
    let (mut one, mut two) = tokio::join!(
        Server::start_on(database, folder, options()),
        Server::start_on(shared, tempfile::tempdir().unwrap(), options()),
    );
    one.initialize().await;
    one.unseal().await;
    two.shares.clone_from(&one.shares);
    two.root.clone_from(&one.root);
    two.unseal().await;
    (one, two)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_chain_and_one_truth() {
    let (one, two) = two_nodes().await;
    let (first, second) = (Writers::start(&one, 6, 1), Writers::start(&two, 6, 2));
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (first, second) = (first.finish_unrefused().await, second.finish_unrefused().await);
    assert!(!first.is_empty() && !second.is_empty(), "{} and {}", first.len(), second.len());
    all_there(&two, &first).await;
    all_there(&one, &second).await;
    one.audit_is_whole().await;
    two.audit_is_whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_reach_the_other_node() {
    let (one, two) = two_nodes().await;
    let root = one.root.clone();
    let document =
        |path: &str| json!({"version": 1, "allowed_secrets": [path], "allowed_operations": ["read"]});
    one.create_policy("reader", document("n.*")).await;
    let token = one.token_with(&["reader"], json!({})).await;
    for version in 1..=3 {
        one.put(&root, "n.a", json!({"of": version})).await.ok();
        let read = two.read(&token, "n.a").await.ok();
        let seen = Instant::now();
        // a value once written is the one that is read, at once or as soon as the other node has heard of it
        if read["secret"]["version"] != json!(version) {
            while two.read(&token, "n.a").await.ok()["secret"]["version"] != json!(version) {
                assert!(seen.elapsed() < SEEN_WITHIN, "the other node still reads an old version");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            eprintln!("version {version} seen after {:?}", seen.elapsed());
        }
    }
    let update = "mutation($input: PolicyInput!) { updatePolicy(input: $input) { policy { name } } }";
    one.as_root(update, json!({"input": {"name": "reader", "document": document("other.*")}})).await.ok();
    gone(&two, &token, "a changed policy", |reply| reply.is_ok() && reply.data["secret"].is_null()).await;
    one.as_root(update, json!({"input": {"name": "reader", "document": document("n.*")}})).await.ok();
    gone(&two, &token, "a policy changed back", |reply| reply.is_ok() && !reply.data["secret"].is_null())
        .await;
    let revoke = "mutation($token: String) { revokeToken(input: {token: $token}) { revoked } }";
    one.as_root(revoke, json!({"token": token})).await.ok();
    gone(&two, &token, "a revoked token", |reply| reply.code() == Some("UNAUTHENTICATED")).await;
}

/// Reads by the other node until it answers as expected.
async fn gone(node: &Server, token: &str, what: &str, expected: impl Fn(&crate::support::Reply) -> bool) {
    let since = Instant::now();
    loop {
        let reply = node.read(token, "n.a").await;
        if expected(&reply) {
            eprintln!("{what}: seen after {:?}", since.elapsed());
            return;
        }
        assert!(since.elapsed() < SEEN_WITHIN, "{what} is not seen by the other node: {}", reply.body);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What a certificate role allows, and which authority signs, is remembered by each node, and yet what one node changes holds on the
/// other for the next request.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_certificate_role_holds_on_the_other_node_at_once() {
    let (one, two) = two_nodes().await;
    let root_ca =
        "mutation($n: String!) { createRootCa(input: {commonName: $n}) { certificate { serialNumber } } }";
    let mut authorities = Vec::new();
    for name in ["First", "Second"] {
        let made = one.as_root(root_ca, json!({ "n": name })).await.ok();
        authorities.push(made["createRootCa"]["certificate"]["serialNumber"].as_str().unwrap().to_owned());
    }
    let put = async |domain: &str, enabled: bool| {
        let text =
            "mutation($input: CertificateRoleInput!) { putCertificateRole(input: $input) { role { path } } }";
        let rules = json!({"path": "pki.web", "certTypes": ["SERVER"], "allowedDomains": [domain],
            "allowSubdomains": true, "enabled": enabled});
        one.as_root(text, json!({ "input": rules })).await.ok();
    };
    let issue = async || {
        let text = "mutation { issueCertificate(input: {role: \"pki.web\", certType: SERVER, commonName: \"a.x.example\"}) \
            { certificate { issuerCertificate { serialNumber } } } }";
        two.as_root(text, json!({})).await
    };
    let signed_by = async || {
        let made = issue().await.ok();
        made["issueCertificate"]["certificate"]["issuerCertificate"]["serialNumber"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    put("x.example", true).await;
    for _ in 0..3 {
        assert_eq!(signed_by().await, authorities[0]);
    }
    put("y.example", true).await;
    let refused = issue().await;
    assert_eq!((refused.code(), refused.field()), (Some("BAD_USER_INPUT"), Some("input.commonName")));
    put("x.example", true).await;
    assert_eq!(signed_by().await, authorities[0]);
    put("x.example", false).await;
    assert_eq!(issue().await.code(), Some("CONFLICT"));
    put("x.example", true).await;
    let default = "mutation($s: String!) { updateCertificateAuthority(input: {serialNumber: $s, isDefault: true}) \
        { authority { isDefault } } }";
    one.as_root(default, json!({ "s": authorities[1] })).await.ok();
    assert_eq!(signed_by().await, authorities[1]);
    one.as_root("mutation { deleteCertificateRole(input: {path: \"pki.web\"}) { path } }", json!({}))
        .await
        .ok();
    assert_eq!(issue().await.code(), Some("NOT_FOUND"));
    let listed = one.as_root("{ certificates(first: 50) { nodes { id } } }", json!({})).await.ok();
    assert_eq!(
        listed["certificates"]["nodes"].as_array().unwrap().len(),
        2 + 5,
        "nothing was signed in vain"
    );
}

/// A data key made by one node opens on the other, under load on both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotated_key_reaches_the_other_node() {
    let (one, two) = two_nodes().await;
    let writers = Writers::start(&two, 4, 0);
    for _ in 0..3 {
        one.as_root("mutation { rotateEncryptionKey { keyVersion } }", json!({})).await.ok();
        one.put(&one.root, "n.rotated", json!({"k": "v"})).await.ok();
        assert_eq!(two.read(&two.root, "n.rotated").await.ok()["secret"]["data"], json!({"k": "v"}));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let writes = writers.finish_unrefused().await;
    all_there(&one, &writes).await;
    all_there(&two, &writes).await;
    one.audit_is_whole().await;
}

/// One node killed under load leaves the other at work and the chain whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_killed_the_other_goes_on() {
    let (one, mut two) = two_nodes().await;
    let (first, second) = (Writers::start(&one, 4, 1), Writers::start(&two, 4, 2));
    tokio::time::sleep(Duration::from_millis(700)).await;
    two.kill9();
    tokio::time::sleep(Duration::from_millis(300)).await;
    one.put(&one.root, "n.after", json!({"k": "v"})).await.ok();
    let mut writes = first.finish().await;
    writes.extend(second.finish().await);
    all_there(&one, &writes).await;
    one.audit_is_whole().await;
}
