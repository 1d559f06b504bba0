//! Certificates that follow others: renewed by their holders, or issued on an operator's approval.

use super::clients::{code, files, token_of};
use super::outside::csr;
use super::scene::Scene;
use crate::support::{Store, text};
use serde_json::{Value, json};

both_stores!(renewal, renewal_by_policy, enrolment);

/// Renewal needs the old certificate on the connection, its token, and `renew` on the path of a role that renews.
async fn renewal(store: Store) {
    let scene = Scene::tls(store).await;
    let server = &scene.server;
    let role =
        "mutation($input: CertificateRoleInput!) { putCertificateRole(input: $input) { role { path } } }";
    let rules = json!({"path": "pki.r", "certTypes": ["AGENT_CLIENT"], "allowedEntityIds": ["r*"]});
    server.as_root(role, json!({ "input": rules })).await.ok();
    let holder = scene.client("r1", json!({"role": "pki.r"})).await;
    let token = token_of(&scene, &holder);
    let asked = serde_json::to_string(&csr("/CN=else", &["subjectAltName=DNS:else.example"])).unwrap();
    let renew = format!(
        "mutation {{ renewCertificate(input: {{csrPem: {asked}}}) {{ certificate {{ commonName names entityId }} }} }}"
    );
    let (full, key) = files(&holder);
    let with = |token: &str| scene.curl(Some((&full, &key)), Some(token), &renew, &[]).unwrap();
    // who may not know of the path learns nothing of it
    assert_eq!(code(&with(&token)), "NOT_FOUND", "without `renew`");
    let listing = json!({"version": 1, "allowed_secrets": ["pki.r"], "allowed_operations": ["list"]});
    let policy = json!({"name": "l", "document": listing, "entityBindings": ["agent:r1"]});
    let create = "mutation($input: PolicyInput!) { createPolicy(input: $input) { policy { name } } }";
    server.as_root(create, json!({ "input": policy })).await.ok();
    assert_eq!(code(&with(&token)), "FORBIDDEN", "without `renew`");
    let document = json!({"version": 1, "allowed_secrets": ["pki.r"], "allowed_operations": ["renew"]});
    let policy = json!({"name": "r", "document": document, "entityBindings": ["agent:r1"]});
    server.as_root(create, json!({ "input": policy })).await.ok();
    assert_eq!(code(&with(&server.root)), "FORBIDDEN", "with another token");
    assert_eq!(code(&scene.curl(None, Some(&token), &renew, &[]).unwrap()), "UNAUTHENTICATED");
    let renewed = with(&token);
    assert_eq!(
        renewed["data"]["renewCertificate"]["certificate"],
        json!({"commonName": "r1", "names": [], "entityId": "r1"}),
        "{renewed}"
    );
    let mut fixed = rules.clone();
    fixed["renewable"] = json!(false);
    server.as_root(role, json!({ "input": fixed })).await.ok();
    assert_eq!(code(&with(&token)), "CONFLICT");
}

/// A policy that bounds lifetimes cuts the renewed certificate's, asked for or not.
async fn renewal_by_policy(store: Store) {
    let scene = Scene::tls(store).await;
    let server = &scene.server;
    let role =
        "mutation($input: CertificateRoleInput!) { putCertificateRole(input: $input) { role { path } } }";
    let rules = json!({"path": "pki.r", "certTypes": ["AGENT_CLIENT"], "allowedEntityIds": ["r*"], "ttlSeconds": 3600});
    server.as_root(role, json!({ "input": rules })).await.ok();
    let document = json!({"version": 1, "allowed_secrets": ["pki.r"], "allowed_operations": ["renew"],
        "conditions": {"max_ttl": "10m"}});
    let policy = json!({"name": "r", "document": document, "entityBindings": ["agent:r1"]});
    let create = "mutation($input: PolicyInput!) { createPolicy(input: $input) { policy { name } } }";
    server.as_root(create, json!({ "input": policy })).await.ok();
    let holder = scene.client("r1", json!({"role": "pki.r"})).await;
    let token = token_of(&scene, &holder);
    let (full, key) = files(&holder);
    for (ttl, warned) in [("", 1), (", ttlSeconds: 1200", 1), (", ttlSeconds: 300", 0)] {
        let asked = serde_json::to_string(&csr("/CN=r1", &[])).unwrap();
        let renew = format!(
            "mutation {{ renewCertificate(input: {{csrPem: {asked}{ttl}}}) {{ certificate {{ commonName }} warnings }} }}"
        );
        let renewed = scene.curl(Some((&full, &key)), Some(&token), &renew, &[]).unwrap();
        let warnings = renewed["data"]["renewCertificate"]["warnings"].as_array();
        let warnings = warnings.unwrap_or_else(|| panic!("{ttl}: {renewed}"));
        assert_eq!(warnings.len(), warned, "{ttl}: {renewed}");
        assert!(
            warnings.iter().all(|said| said.as_str().unwrap().contains("cut to 600 seconds")),
            "{renewed}"
        );
    }
}

/// A request that waits for approval; who asked for it gets its certificate there.
async fn enrolment(store: Store) {
    let scene = Scene::plain(store).await;
    let server = &scene.server;
    let role =
        "mutation($input: CertificateRoleInput!) { putCertificateRole(input: $input) { role { path } } }";
    let rules = json!({"path": "pki.slow", "certTypes": ["AGENT_CLIENT"], "requiresApproval": true});
    server.as_root(role, json!({ "input": rules })).await.ok();
    let document = json!({"version": 1, "allowed_secrets": ["pki.slow"], "allowed_operations": ["issue"]});
    server.create_policy("slow", document).await;
    let role_id = server.create_role("backup", json!({"policies": ["slow"], "entityType": "agent"})).await;
    let (secret_id, _) = server.generate_secret_id("backup", json!({"numUses": 1})).await;
    let login = server.login(&role_id, &secret_id).await.ok();
    let token = text(&login, "/loginWithAppRole/token");
    server.login(&role_id, &secret_id).await.refused("UNAUTHENTICATED");
    let input = json!({"role": "pki.slow", "certType": "AGENT_CLIENT", "csrPem": csr("/CN=backup", &[])});
    let mut ids = Vec::new();
    for _ in 0..2 {
        let waiting = scene.sign(token, input.clone()).await.ok();
        assert_eq!(waiting["signCertificate"]["certificate"], Value::Null);
        ids.push(text(&waiting, "/signCertificate/enrollment/enrollmentId").to_owned());
    }
    let look = |id: &str| {
        format!("{{ enrollment(enrollmentId: \"{id}\") {{ state certificate {{ commonName entityId }} }} }}")
    };
    let approve = |id: &str| {
        format!(
            "mutation {{ approveEnrollment(input: {{enrollmentId: \"{id}\"}}) {{ enrollment {{ state }} }} }}"
        )
    };
    let deny = |id: &str| {
        format!(
            "mutation {{ denyEnrollment(input: {{enrollmentId: \"{id}\", reason: \"no\"}}) {{ enrollment {{ state }} }} }}"
        )
    };
    server.graphql(Some(token), &approve(&ids[0]), json!({})).await.refused("FORBIDDEN");
    let (one, two) = (approve(&ids[0]), approve(&ids[0]));
    let (one, two) = tokio::join!(server.as_root(&one, json!({})), server.as_root(&two, json!({})));
    assert_eq!(
        [one.is_ok(), two.is_ok()].iter().filter(|good| **good).count(),
        1,
        "{} {}",
        one.body,
        two.body
    );
    server.as_root(&deny(&ids[1]), json!({})).await.ok();
    server.as_root(&approve(&ids[1]), json!({})).await.refused("CONFLICT");
    // the role has become stricter meanwhile
    let late = scene.sign(token, input.clone()).await.ok();
    let mut strict = rules.clone();
    strict["keyTypes"] = json!(["RSA_2048"]);
    server.as_root(role, json!({ "input": strict })).await.ok();
    let approved = approve(text(&late, "/signCertificate/enrollment/enrollmentId"));
    let approved = server.as_root(&approved, json!({})).await;
    approved.refused("BAD_USER_INPUT");
    assert_eq!(approved.field(), Some("input.enrollmentId"), "{}", approved.body);
    let seen = server.graphql(Some(token), &look(&ids[0]), json!({})).await.ok();
    assert_eq!(
        seen["enrollment"],
        json!({"state": "APPROVED", "certificate": {"commonName": "backup", "entityId": "backup"}})
    );
    let seen = server.graphql(Some(token), &look(&ids[1]), json!({})).await.ok();
    assert_eq!(seen["enrollment"], json!({"state": "DENIED", "certificate": null}));
    server.audit_is_whole().await;
}
