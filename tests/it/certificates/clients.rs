//! Client certificates at the listener, shown by the real `curl`.

use super::outside::{Outside, csr, openssl, request};
use super::scene::{Holder, Scene, curl_at};
use crate::support::store::Database;
use crate::support::{Options, Server, Store, text};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

both_stores!(bound_tokens, bad_certificates, forged_headers, renewal, enrolment);

const ME: &str = "{ me { entity policies } }";
/// How long a change may take to reach another node.
const SEEN_WITHIN: Duration = Duration::from_secs(5);

fn token_of(scene: &Scene, holder: &Holder) -> String {
    let answer = scene.login(holder).expect("the connection is served");
    text(&answer, "/data/loginWithCertificate/token").to_owned()
}

fn files(holder: &Holder) -> (String, String) {
    (format!("{}.full", holder.name), format!("{}.key", holder.name))
}

fn code(answer: &Value) -> &str {
    answer["errors"][0]["extensions"]["code"].as_str().unwrap_or_default()
}

/// A token of a certificate is good with it only, and ends with it.
async fn bound_tokens(store: Store) {
    let scene = Scene::tls(store).await;
    let one = scene.client("one", json!({})).await;
    let two = scene.client("two", json!({})).await;
    let document = json!({"version": 1, "allowed_secrets": ["c.*"], "allowed_operations": ["read"]});
    let policy =
        json!({"name": "c", "document": document, "entityBindings": [format!("cert:{}", one.fingerprint)]});
    let create = "mutation($input: PolicyInput!) { createPolicy(input: $input) { policy { name } } }";
    scene.server.as_root(create, json!({ "input": policy })).await.ok();
    let root = scene.server.root.clone();
    scene.server.put(&root, "c.a", json!({"k": "v"})).await.ok();
    let token = token_of(&scene, &one);
    let read = "{ secret(path: \"c.a\") { data } }";
    let (mine, other) = (files(&one), files(&two));
    let with = |shown: &(String, String), token: &str| {
        scene.curl(Some((&shown.0, &shown.1)), Some(token), read, &[])
    };
    assert_eq!(with(&mine, &token).unwrap()["data"]["secret"]["data"], json!({"k": "v"}));
    assert_eq!(code(&with(&other, &token).unwrap()), "UNAUTHENTICATED", "with another certificate");
    assert_eq!(code(&scene.curl(None, Some(&token), read, &[]).unwrap()), "UNAUTHENTICATED", "without one");
    scene.server.read(&token, "c.a").await.refused("UNAUTHENTICATED");
    // the other's policies are not this one's
    assert_eq!(with(&other, &token_of(&scene, &two)).unwrap()["data"]["secret"], Value::Null);
    scene.revoke(&one.serial).await.ok();
    scene.revoke(&one.serial).await.refused("CONFLICT");
    assert!(with(&mine, &token).is_none(), "a connection with a revoked certificate is served");
    assert_eq!(code(&scene.curl(None, Some(&token), read, &[]).unwrap()), "UNAUTHENTICATED");
    assert!(scene.login(&one).is_none() && scene.login(&two).is_some());
    assert!(scene.server.log().contains("the certificate was revoked"));
}

/// Expired, not yet valid, revoked, of another authority, of the right name with another key, below a revoked authority.
async fn bad_certificates(store: Store) {
    let scene = Scene::tls(store).await;
    let good = scene.client("good", json!({})).await;
    let brief = scene.client("brief", json!({"ttlSeconds": 2})).await;
    let below = json!({"commonName": "Doomed", "issuerSerialNumber": scene.root});
    let doomed = scene.new_below(below, "doomed").await.unwrap();
    let late = scene.client("late", json!({"issuerSerialNumber": doomed})).await;
    tokio::time::sleep(Duration::from_secs(3)).await; // the new authority is an anchor by now, and the brief one is over
    assert!(scene.login(&late).is_some() && scene.login(&good).is_some());
    assert!(scene.login(&brief).is_none(), "an expired certificate is taken");
    // of another authority, with every name right
    let outside = Outside::new();
    let asked = request(scene.place(), "foreign", "/CN=good", &[]);
    let extensions = "basicConstraints=critical,CA:FALSE\nextendedKeyUsage=clientAuth\n";
    let signed = outside.sign(&asked, extensions, 30);
    scene.write("foreign.full", &format!("{signed}{}", outside.certificate));
    let foreign = Holder { name: "foreign".to_owned(), serial: String::new(), fingerprint: String::new() };
    assert!(scene.login(&foreign).is_none(), "a certificate of another authority is taken");
    // of an authority that is here but did not issue it here: chains well, and nobody knows of it
    let import =
        "mutation($input: ImportCaInput!) { importCa(input: $input) { certificate { serialNumber } } }";
    let pair = json!({"certificatePem": outside.certificate, "privateKeyPem": outside.key});
    scene.server.as_root(import, json!({ "input": pair })).await.ok();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(scene.login(&foreign).is_none(), "a certificate that has no record is taken");
    not_yet_valid(&scene, &outside).await;
    // the right certificate, another key
    request(scene.place(), "thief", "/CN=good", &[]);
    assert!(scene.curl(Some(("good.full", "thief.key")), None, ME, &[]).is_none(), "a foreign key is taken");
    scene.revoke(&doomed).await.ok();
    assert!(scene.login(&late).is_none(), "a certificate below a revoked authority is taken");
    // a server's certificate is no client's
    let csr = request(scene.place(), "server", "/CN=s.example", &[]);
    let signed = scene.sign(&scene.server.root, json!({"certType": "SERVER", "csrPem": csr})).await.ok();
    scene.write("server.full", text(&signed, "/signCertificate/certificate/certificatePem"));
    assert!(scene.curl(Some(("server.full", "server.key")), None, ME, &[]).is_none());
    assert!(scene.login(&good).is_some());
}

async fn not_yet_valid(scene: &Scene, outside: &Outside) {
    scene.write("ca.pem", &outside.certificate);
    scene.write("ca.key", &outside.key);
    scene.write("index.txt", "");
    scene.write("serial", "0A\n");
    scene.write(
        "ca.conf",
        "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nserial=serial\nnew_certs_dir=.\ndefault_md=sha256\n\
        policy=p\nx509_extensions=e\n[p]\ncommonName=supplied\n[e]\nextendedKeyUsage=clientAuth\n",
    );
    request(scene.place(), "early", "/CN=good", &[]);
    openssl(
        scene.place(),
        &[
            "ca",
            "-batch",
            "-notext",
            "-config",
            "ca.conf",
            "-cert",
            "ca.pem",
            "-keyfile",
            "ca.key",
            "-startdate",
            "20400101000000Z",
            "-enddate",
            "20410101000000Z",
            "-in",
            "early.csr",
            "-out",
            "early.full",
        ],
    );
    assert!(
        scene.curl(Some(("early.full", "early.key")), None, ME, &[]).is_none(),
        "not valid yet, and taken"
    );
}

/// What a header says of a certificate does not count.
async fn forged_headers(store: Store) {
    let scene = Scene::tls(store).await;
    let one = scene.client("one", json!({})).await;
    let token = token_of(&scene, &one);
    let pem = scene.pem("one");
    let single = pem.replace('\n', " ");
    let escaped = pem.replace('\n', "%0A").replace(' ', "%20");
    for header in [
        format!("X-Forwarded-Client-Cert: Hash={};Cert=\"{escaped}\"", one.fingerprint),
        format!("X-SSL-Client-Cert: {escaped}"),
        format!("X-Client-Cert: {escaped}"),
        format!("SSL_CLIENT_CERT: {single}"),
        format!("Client-Cert: :{}:", single.replace(' ', "")),
        format!("X-SSL-Client-Fingerprint: {}", one.fingerprint),
    ] {
        let login =
            scene.curl(None, None, "mutation { loginWithCertificate { token } }", &["-H", &header]).unwrap();
        assert_eq!(code(&login), "UNAUTHENTICATED", "{header}");
        assert_eq!(
            code(&scene.curl(None, Some(&token), ME, &["-H", &header]).unwrap()),
            "UNAUTHENTICATED",
            "{header}"
        );
    }
}

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
    assert_ne!(code(&with(&token)), "", "without `renew`");
    let document = json!({"version": 1, "allowed_secrets": ["pki.r"], "allowed_operations": ["renew"]});
    let policy = json!({"name": "r", "document": document, "entityBindings": ["agent:r1"]});
    let create = "mutation($input: PolicyInput!) { createPolicy(input: $input) { policy { name } } }";
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
    let seen = server.graphql(Some(token), &look(&ids[0]), json!({})).await.ok();
    assert_eq!(
        seen["enrollment"],
        json!({"state": "APPROVED", "certificate": {"commonName": "backup", "entityId": "backup"}})
    );
    let seen = server.graphql(Some(token), &look(&ids[1]), json!({})).await.ok();
    assert_eq!(seen["enrollment"], json!({"state": "DENIED", "certificate": null}));
    server.audit_is_whole().await;
}

/// What is revoked on one node ends tokens and logins on the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revoked_on_the_other_node() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::fresh(Store::Postgres, folder.path()).await;
    let shared = Database::at(database.url.clone());
    let options = || Options { tls: true, ..Options::server() };
    let mut one = Server::start_on(database, folder, options()).await;
    one.initialize().await;
    one.unseal().await;
    let mut two = Server::start_on(shared, tempfile::tempdir().unwrap(), options()).await;
    two.shares.clone_from(&one.shares);
    two.root.clone_from(&one.root);
    two.unseal().await;
    let scene = Scene::on(one).await;
    scene.until_trusted().await;
    let holder = scene.client("agent", json!({})).await;
    let token = token_of(&scene, &holder);
    let (full, key) = files(&holder);
    let address = two.address();
    let at_two =
        |query: &str| curl_at(scene.place(), &address, Some((&full, &key)), Some(&token), query, &[]);
    let since = Instant::now();
    while at_two(ME).is_none_or(|answer| answer["data"]["me"]["entity"] != json!("agent:agent")) {
        assert!(since.elapsed() < SEEN_WITHIN, "the other node does not know the certificate");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    scene.revoke(&holder.serial).await.ok();
    assert!(at_two(ME).is_none(), "the other node serves a connection with a revoked certificate");
    let without = curl_at(scene.place(), &address, None, Some(&token), ME, &[]).unwrap();
    assert_eq!(code(&without), "UNAUTHENTICATED");
    let live = "SELECT count(*) FROM tokens WHERE certificate_id IS NOT NULL AND revoked_at IS NULL";
    assert_eq!(crate::support::sql::Sql::open(&two.database.url).await.number(live).await, 0);
}
