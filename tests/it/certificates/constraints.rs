//! Name constraints: what an authority, or one above it, may not certify is refused before it is signed, in every way that something is
//! signed. That the same is refused by who verifies is seen with `openssl` on certificates that another tool has signed.

use super::outside::{csr, openssl, try_openssl};
use super::scene::Scene;
use crate::support::{Options, Reply, Server, Store, text};
use serde_json::{Value, json};

both_stores!(names, authorities, roles, of_imported, own);

const ROLE: &str =
    "mutation($input: CertificateRoleInput!) { putCertificateRole(input: $input) { role { path } } }";
const ISSUE: &str = "mutation($input: IssueCertificateInput!) { issueCertificate(input: $input) {
  certificate { certificatePem chainPem } } }";

#[track_caller]
fn refused_at(reply: &Reply, field: &str, name: &str) {
    assert_eq!(
        (reply.code(), reply.field()),
        (Some("BAD_USER_INPUT"), Some(field)),
        "{name}: {}",
        reply.body
    );
    assert!(reply.message().contains(name) && reply.message().contains("name constraints"), "{}", reply.body);
}

/// An authority that permits and excludes, and one below it without constraints of its own; the serial number of the latter.
async fn narrow(scene: &Scene) -> String {
    let root = json!({"commonName": "Narrow", "permittedDnsDomains": ["in.example"], "excludedDnsDomains": ["no.in.example"],
        "permittedIpRanges": ["10.0.0.0/8", "2001:db8::/32"], "excludedIpRanges": ["10.1.0.0/16"]});
    let root = scene.new_root(root, "narrow").await;
    let below = json!({"commonName": "Below", "issuerSerialNumber": root});
    scene.new_below(below, "below").await.unwrap()
}

/// With `names` of the request, by a CSR and with a key made here; and what is issued verifies.
async fn names(store: Store) {
    let scene = Scene::plain(store).await;
    let issuer = narrow(&scene).await;
    for (names, refused) in [
        (json!(["DNS:a.in.example", "IP:10.2.0.1", "IP:2001:db8::1"]), None),
        (json!(["DNS:in.example", "DNS:*.a.in.example"]), None),
        (json!(["DNS:a.in.example", "URI:https://elsewhere.example/"]), None),
        (json!(["DNS:a.out.example"]), Some("DNS:a.out.example")),
        (json!(["DNS:a.in.example", "DNS:notin.example"]), Some("DNS:notin.example")),
        (json!(["DNS:a.no.in.example"]), Some("DNS:a.no.in.example")),
        (json!(["DNS:*.in.example"]), Some("DNS:*.in.example")),
        (json!(["IP:11.0.0.1"]), Some("IP:11.0.0.1")),
        (json!(["IP:10.1.2.3"]), Some("IP:10.1.2.3")),
        (json!(["IP:2001:db9::1"]), Some("IP:2001:db9::1")),
    ] {
        let input = json!({"certType": "SERVER", "commonName": "A Server", "names": names, "issuerSerialNumber": issuer});
        let issued = scene.server.as_root(ISSUE, json!({ "input": input })).await;
        let mut signing = input.clone();
        signing["csrPem"] = json!(csr("/CN=x", &[]));
        let signed = scene.sign(&scene.server.root, signing).await;
        let Some(name) = refused else {
            signed.ok();
            verifies(&scene, &issued.ok(), "/issueCertificate/certificate", "narrow.pem");
            continue;
        };
        refused_at(&issued, "input.names", name);
        refused_at(&signed, "input.names", name);
    }
    // names that the CSR asks for
    let asked = csr("/CN=a.in.example", &["subjectAltName=DNS:a.out.example"]);
    let input = json!({"certType": "SERVER", "csrPem": asked, "issuerSerialNumber": issuer});
    refused_at(&scene.sign(&scene.server.root, input).await, "input.names", "DNS:a.out.example");
    // a client's common name, which openssl takes for a DNS name where there is no other
    for (name, fine) in [("agent.in.example", true), ("backup", true), ("agent.out.example", false)] {
        let input = json!({"certType": "AGENT_CLIENT", "commonName": name, "issuerSerialNumber": issuer});
        let issued = scene.server.as_root(ISSUE, json!({ "input": input })).await;
        if fine {
            verifies(&scene, &issued.ok(), "/issueCertificate/certificate", "narrow.pem");
        } else {
            refused_at(&issued, "input.commonName", name);
        }
    }
}

fn verifies(scene: &Scene, answer: &Value, at: &str, root: &str) {
    let certificate = answer.pointer(at).unwrap();
    scene.write("leaf.pem", text(certificate, "/certificatePem"));
    scene.write("leaf.chain", text(certificate, "/chainPem"));
    let how = ["verify", "-x509_strict", "-CAfile", root, "-untrusted", "leaf.chain", "leaf.pem"];
    let checked = openssl(scene.place(), &how);
    assert!(checked.contains("leaf.pem: OK"), "{checked}");
}

/// An authority whose own constraints are not within those above it could issue what nobody takes.
async fn authorities(store: Store) {
    let scene = Scene::plain(store).await;
    let issuer = narrow(&scene).await;
    for (more, field) in [
        (json!({"permittedDnsDomains": ["a.in.example"], "permittedIpRanges": ["10.2.0.0/16"]}), None),
        (json!({"permittedDnsDomains": ["in.example"], "excludedDnsDomains": ["else.example"]}), None),
        (json!({"permittedDnsDomains": ["in.example", "out.example"]}), Some("input.permittedDnsDomains[1]")),
        (json!({"permittedDnsDomains": ["example"]}), Some("input.permittedDnsDomains[0]")),
        (json!({"permittedDnsDomains": ["x.no.in.example"]}), Some("input.permittedDnsDomains[0]")),
        (json!({"permittedIpRanges": ["0.0.0.0/0"]}), Some("input.permittedIpRanges[0]")),
        (json!({"permittedIpRanges": ["10.1.2.0/24"]}), Some("input.permittedIpRanges[0]")),
        // by its own word
        (
            json!({"permittedDnsDomains": ["b.a.in.example"], "excludedDnsDomains": ["a.in.example"]}),
            Some("input.permittedDnsDomains[0]"),
        ),
    ] {
        let mut input = json!({"commonName": "Lower", "issuerSerialNumber": issuer});
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        match (scene.new_below(input, "lower").await, field) {
            (Ok(_), None) => {}
            (Err(reply), Some(field)) => {
                assert_eq!(
                    (reply.code(), reply.field()),
                    (Some("BAD_USER_INPUT"), Some(field)),
                    "{}",
                    reply.body
                );
            }
            (made, _) => panic!("{more}: {made:?}"),
        }
    }
}

/// By a role: at once, when an enrolment is sent and when it is approved, and at a renewal.
async fn roles(store: Store) {
    let scene = Scene::tls(store).await;
    let issuer = narrow(&scene).await;
    let rules = |issuer: &str, more: Value| {
        let mut input = json!({"path": "pki.n", "certTypes": ["AGENT_CLIENT"], "allowedEntityIds": ["*"], "issuerSerialNumber": issuer,
            "allowedDomains": ["example"], "allowSubdomains": true});
        input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({ "input": input })
    };
    let put = async |issuer: &str, more: Value| scene.server.as_root(ROLE, rules(issuer, more)).await.ok();
    let asked = |name: &str| {
        json!({"certType": "AGENT_CLIENT", "role": "pki.n", "entityId": "agent", "csrPem": csr("/CN=agent", &[]),
            "names": [format!("DNS:{name}")]})
    };
    let root = scene.server.root.clone();
    put(&issuer, json!({})).await;
    scene.sign(&root, asked("a.in.example")).await.ok();
    refused_at(&scene.sign(&root, asked("a.out.example")).await, "input.names", "DNS:a.out.example");
    put(&issuer, json!({"requiresApproval": true})).await;
    refused_at(&scene.sign(&root, asked("a.out.example")).await, "input.names", "DNS:a.out.example");
    // asked for while another authority signed by the role
    put(&scene.issuing, json!({"requiresApproval": true})).await;
    let waiting = scene.sign(&root, asked("a.out.example")).await.ok();
    let id = text(&waiting, "/signCertificate/enrollment/enrollmentId");
    put(&issuer, json!({"requiresApproval": true})).await;
    let approve = "mutation($input: ApproveEnrollmentInput!) { approveEnrollment(input: $input) { enrollment { state } } }";
    let reply = scene.server.as_root(approve, json!({"input": {"enrollmentId": id}})).await;
    assert_eq!(
        (reply.code(), reply.field()),
        (Some("BAD_USER_INPUT"), Some("input.enrollmentId")),
        "{}",
        reply.body
    );
    assert!(reply.message().contains("DNS:a.out.example"), "{}", reply.body);
    renewal(&scene, put, &issuer).await;
}

async fn renewal(scene: &Scene, put: impl AsyncFn(&str, Value) -> Value, issuer: &str) {
    put(&scene.issuing, json!({})).await;
    let holder = scene.client("agent", json!({"role": "pki.n", "names": ["DNS:a.out.example"]})).await;
    let document = json!({"version": 1, "allowed_secrets": ["pki.n"], "allowed_operations": ["renew"]});
    let policy = json!({"name": "n", "document": document, "entityBindings": ["agent:agent"]});
    let create = "mutation($input: PolicyInput!) { createPolicy(input: $input) { policy { name } } }";
    scene.server.as_root(create, json!({ "input": policy })).await.ok();
    let login = scene.login(&holder).unwrap();
    let token = text(&login, "/data/loginWithCertificate/token");
    let asked = serde_json::to_string(&csr("/CN=agent", &[])).unwrap();
    let renew =
        format!("mutation {{ renewCertificate(input: {{csrPem: {asked}}}) {{ certificate {{ names }} }} }}");
    let shown = Some(("agent.full", "agent.key"));
    let renewed = scene.curl(shown, Some(token), &renew, &[]).unwrap();
    assert_eq!(renewed["data"]["renewCertificate"]["certificate"]["names"], json!(["DNS:a.out.example"]));
    put(issuer, json!({})).await;
    let refused = scene.curl(shown, Some(token), &renew, &[]).unwrap();
    assert_eq!(refused["errors"][0]["extensions"]["code"], "BAD_USER_INPUT", "{refused}");
    assert!(refused["errors"][0]["message"].as_str().unwrap().contains("DNS:a.out.example"), "{refused}");
}

/// Constraints that an imported authority has, of forms that are not written here too; each as openssl verifies it.
async fn of_imported(store: Store) {
    let scene = Scene::plain(store).await;
    for (constraint, common_name, name, fine) in [
        ("permitted;DNS:.in.example", "x", "DNS:a.in.example", true),
        ("permitted;DNS:.in.example", "x", "DNS:in.example", false),
        ("permitted;URI:in.example", "x", "URI:https://in.example/x", true),
        ("permitted;URI:in.example", "x", "URI:https://a.in.example/x", false),
        ("permitted;URI:.in.example", "x", "URI:https://a.in.example/x", true),
        ("excluded;URI:.in.example", "x", "URI:https://a.in.example/x", false),
        ("permitted;IP:10.0.0.0/255.0.0.255", "x", "IP:10.9.9.0", true),
        ("permitted;IP:10.0.0.0/255.0.0.255", "x", "IP:10.9.9.1", false),
        ("permitted;email:in.example", "x", "DNS:any.example", true),
        ("permitted;dirName:dir", "x", "DNS:any.example", false),
        ("excluded;dirName:dir", "x", "DNS:any.example", true),
        ("permitted;DNS:in.example", "c.out.example", "IP:10.0.0.1", false),
        ("permitted;DNS:in.example", "c.in.example", "IP:10.0.0.1", true),
    ] {
        let (certificate, key) = with_constraint(&scene, constraint);
        let import =
            "mutation($input: ImportCaInput!) { importCa(input: $input) { certificate { serialNumber } } }";
        let pair = json!({"input": {"certificatePem": certificate, "privateKeyPem": key}});
        let made = scene.server.as_root(import, pair).await.ok();
        let serial = text(&made, "/importCa/certificate/serialNumber");
        let input = json!({"certType": "AGENT_CLIENT", "commonName": common_name, "names": [name], "issuerSerialNumber": serial});
        let issued = scene.server.as_root(ISSUE, json!({ "input": input })).await;
        assert_eq!(by_openssl(&scene, common_name, name), fine, "openssl: {constraint} {common_name} {name}");
        if fine {
            verifies(&scene, &issued.ok(), "/issueCertificate/certificate", "constrained.pem");
        } else {
            assert_eq!(
                issued.code(),
                Some("BAD_USER_INPUT"),
                "{constraint} {common_name} {name}: {}",
                issued.body
            );
        }
    }
}

/// An authority of another installation with a name constraint, in constrained.pem and constrained.key.
fn with_constraint(scene: &Scene, constraint: &str) -> (String, String) {
    scene.write(
        "constrained.conf",
        &format!(
            "[req]\ndistinguished_name=d\nx509_extensions=e\nprompt=no\n[d]\nCN=Constrained\n[e]\n\
             basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n\
             nameConstraints=critical,{constraint}\n[dir]\nO=Example\n"
        ),
    );
    let made = "req -x509 -config constrained.conf -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
        -keyout constrained.key -out constrained.pem";
    openssl(scene.place(), &made.split_whitespace().collect::<Vec<_>>());
    let read = |name: &str| std::fs::read_to_string(scene.place().join(name)).unwrap();
    (read("constrained.pem"), read("constrained.key"))
}

/// Whether openssl takes such a certificate, signed by openssl.
fn by_openssl(scene: &Scene, common_name: &str, name: &str) -> bool {
    let place = scene.place();
    scene.write("ext.conf", &format!("basicConstraints=critical,CA:FALSE\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\nsubjectAltName={name}\n"));
    scene.write("by-openssl.csr", &csr(&format!("/CN={common_name}"), &[]));
    let sign = "x509 -req -in by-openssl.csr -CA constrained.pem -CAkey constrained.key -CAcreateserial -days 5 -extfile ext.conf -out by-openssl.pem";
    openssl(place, &sign.split_whitespace().collect::<Vec<_>>());
    try_openssl(place, &["verify", "-x509_strict", "-CAfile", "constrained.pem", "by-openssl.pem"]).0
}

/// The server's own certificate is not made either: it goes on with what it has, and says why.
async fn own(store: Store) {
    let server = Server::start(store, Options { tls: true, ..Options::default() }).await;
    let scene = Scene::bare(server);
    scene.new_root(json!({"commonName": "Narrow", "permittedDnsDomains": ["in.example"]}), "narrow").await;
    let since = std::time::Instant::now();
    while !scene.server.log().contains("do not allow DNS:localhost") {
        assert!(since.elapsed().as_secs() < 30, "{}", scene.server.log());
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let rows = crate::support::sql::Sql::open(&scene.server.database.url)
        .await
        .number("SELECT count(*) FROM certificates WHERE cert_type = 'server'")
        .await;
    assert_eq!(rows, 0);
}
