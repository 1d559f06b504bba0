//! Client certificates at the listener, shown by the real `curl`.

use super::outside::{Outside, openssl, read, request};
use super::scene::{Holder, Scene, curl_at};
use crate::support::server::program;
use crate::support::store::Database;
use crate::support::{Options, Server, Store, text};
use serde_json::{Value, json};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

both_stores!(bound_tokens, administrators, bad_certificates, forged_headers, command_line, own_certificate);

const ME: &str = "{ me { entity policies } }";
/// How long a change may take to reach handshakes, the record or another node.
const SEEN_WITHIN: Duration = Duration::from_secs(30);

pub fn token_of(scene: &Scene, holder: &Holder) -> String {
    let answer = scene.login(holder).expect("the connection is served");
    text(&answer, "/data/loginWithCertificate/token").to_owned()
}

pub fn files(holder: &Holder) -> (String, String) {
    (format!("{}.full", holder.name), format!("{}.key", holder.name))
}

pub fn code(answer: &Value) -> &str {
    answer["errors"][0]["extensions"]["code"].as_str().unwrap_or_default()
}

/// Why client certificates were refused, oldest first: the reasons and fingerprints on the record.
async fn refusals(scene: &Scene) -> Vec<(String, Option<String>)> {
    let query = "{ auditEvents(filter: {eventTypes: [\"auth.failed\"], accessGranted: false}, first: 100) { nodes { denialReason eventData } } }";
    let events = scene.server.as_root(query, json!({})).await.ok();
    let mut found = Vec::new();
    for event in events["auditEvents"]["nodes"].as_array().unwrap() {
        if let Some(reason) = event["denialReason"].as_str().unwrap().strip_prefix("client certificate: ") {
            found.push((reason.to_owned(), event["eventData"]["fingerprint"].as_str().map(str::to_owned)));
        }
    }
    found.reverse();
    found
}

/// Shows a certificate that is not served, and waits until its refusal is on the record: what `curl` says, and the reason.
async fn shown(scene: &Scene, name: &str) -> (String, String) {
    let fingerprint = ["x509", "-in", &format!("{name}.full"), "-noout", "-fingerprint", "-sha256"];
    let fingerprint = openssl(scene.place(), &fingerprint);
    let fingerprint = fingerprint.trim().rsplit('=').next().unwrap().replace(':', "").to_lowercase();
    let count = refusals(scene).await.len();
    let said = scene.refusal((&format!("{name}.full"), &format!("{name}.key")));
    let mut new = refused_since(scene, count).await;
    assert_eq!(new.len(), 1, "{name}: {new:?}");
    let (reason, of) = new.remove(0);
    assert_eq!(of, Some(fingerprint), "{name}: {reason}");
    (said, reason)
}

/// The refusals after so many, as soon as there are any.
async fn refused_since(scene: &Scene, count: usize) -> Vec<(String, Option<String>)> {
    let since = Instant::now();
    loop {
        let mut all = refusals(scene).await;
        if all.len() > count {
            return all.split_off(count);
        }
        assert!(since.elapsed() < SEEN_WITHIN, "no refusal is on the record");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Whether `curl` tells of this alert; of none for a connection that is closed after its handshake.
fn tells_of(said: &str, alert: Option<&str>) -> bool {
    alert.map_or_else(|| !said.contains("alert"), |alert| said.contains(&format!("alert {alert}")))
}

/// Shows a certificate, which is refused with this alert and for this reason.
#[track_caller]
fn refused<'a>(
    scene: &'a Scene,
    name: &'a str,
    alert: Option<&'a str>,
    reason: &'a str,
) -> impl Future<Output = ()> + 'a {
    let at = std::panic::Location::caller();
    async move {
        let (said, recorded) = shown(scene, name).await;
        assert!(tells_of(&said, alert), "{at}: {name}: {said}");
        assert_eq!(recorded, reason, "{at}: {name}");
    }
}

/// Shows a certificate until it is refused as at last. Until handshakes have heard of a change it is refused as at first.
async fn refused_at_last(scene: &Scene, name: &str, first: (Option<&str>, &str), last: (Option<&str>, &str)) {
    let since = Instant::now();
    loop {
        let (said, reason) = shown(scene, name).await;
        if tells_of(&said, last.0) && reason == last.1 {
            return;
        }
        assert!(tells_of(&said, first.0) && reason == first.1, "{name}: {reason}: {said}");
        assert!(since.elapsed() < SEEN_WITHIN, "{name} is refused as before: {reason}: {said}");
        // only so many refusals in a minute are recorded
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Shows a certificate until it is served.
async fn until_served(scene: &Scene, name: &str) {
    let (full, key) = (format!("{name}.full"), format!("{name}.key"));
    let since = Instant::now();
    loop {
        let count = refusals(scene).await.len();
        if scene.curl(Some((&full, &key)), None, "{ __typename }", &[]).is_some() {
            return;
        }
        // or it would be taken for a later one
        refused_since(scene, count).await;
        assert!(since.elapsed() < SEEN_WITHIN, "{name} is not served");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
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
    refused(&scene, "one", None, "the certificate was revoked").await;
    // from then on the handshake says so itself
    let revoked = "the certificate, or an authority above it, was revoked";
    refused(&scene, "one", Some("certificate revoked"), revoked).await;
    assert!(with(&mine, &token).is_none(), "a connection with a revoked certificate is served");
    assert_eq!(code(&scene.curl(None, Some(&token), read, &[]).unwrap()), "UNAUTHENTICATED");
    assert!(scene.login(&one).is_none() && scene.login(&two).is_some());
}

/// A policy that is bound to an administrator is in force for every certificate of that one, and for nobody else's.
async fn administrators(store: Store) {
    let scene = Scene::tls(store).await;
    let document = json!({"version": 1, "administers": ["audit"]});
    let policy = json!({"name": "auditors", "document": document, "entityBindings": ["admin:alice"]});
    let create =
        "mutation($input: PolicyInput!) { createPolicy(input: $input) { policy { entityBindings } } }";
    let made = scene.server.as_root(create, json!({ "input": policy })).await.ok();
    assert_eq!(made["createPolicy"]["policy"]["entityBindings"], json!(["admin:alice"]));
    let alice = scene.client("alice", json!({"certType": "ADMIN_CLIENT"})).await;
    let bob = scene.client("bob", json!({"certType": "ADMIN_CLIENT"})).await;
    let agent = scene.client("agent", json!({"entityId": "alice"})).await;
    let events = "{ auditEvents(first: 1) { nodes { eventType } } }";
    for (holder, refusal) in [(alice, ""), (bob, "FORBIDDEN"), (agent, "FORBIDDEN")] {
        let token = token_of(&scene, &holder);
        let (full, key) = files(&holder);
        let answer = scene.curl(Some((&full, &key)), Some(&token), events, &[]).unwrap();
        assert_eq!(code(&answer), refusal, "{}: {answer}", holder.name);
    }
}

/// Expired, not yet valid, of another authority, without a record, below a revoked authority, of a server: each is refused for its
/// reason. That a client must have the certificate's key is seen at the listener itself, since `curl` shows no pair that does not fit.
async fn bad_certificates(store: Store) {
    let scene = Scene::tls(store).await;
    let good = scene.client("good", json!({})).await;
    let below = json!({"commonName": "Doomed", "issuerSerialNumber": scene.root});
    let doomed = scene.new_below(below, "doomed").await.unwrap();
    let late = scene.client("late", json!({"issuerSerialNumber": doomed})).await;
    // without the new authority in its chain it is served once handshakes know that one
    scene.write("bare.full", &scene.pem("late"));
    scene.write("bare.key", &read(scene.place(), "late.key"));
    until_served(&scene, "bare").await;
    assert!(scene.login(&late).is_some() && scene.login(&good).is_some());
    expired(&scene).await;
    // of another authority, with every name right
    let foreign = "the certificate is of no authority of this installation";
    let outside = Outside::new();
    let asked = request(scene.place(), "foreign", "/CN=good", &[]);
    let extensions = "basicConstraints=critical,CA:FALSE\nextendedKeyUsage=clientAuth\n";
    let signed = outside.sign(&asked, extensions, 30);
    scene.write("foreign.full", &format!("{signed}{}", outside.certificate));
    refused(&scene, "foreign", Some("unknown ca"), foreign).await;
    // of an authority that is here but did not issue it here: chains well, and nobody knows of it
    let import =
        "mutation($input: ImportCaInput!) { importCa(input: $input) { certificate { serialNumber } } }";
    let pair = json!({"certificatePem": outside.certificate, "privateKeyPem": outside.key});
    scene.server.as_root(import, json!({ "input": pair })).await.ok();
    let unknown = (None, "the certificate is not one that was issued here");
    refused_at_last(&scene, "foreign", (Some("unknown ca"), foreign), unknown).await;
    not_yet_valid(&scene, &outside).await;
    scene.revoke(&doomed).await.ok();
    refused(&scene, "late", None, "an authority above the certificate was revoked").await;
    let revoked = "the certificate, or an authority above it, was revoked";
    refused(&scene, "late", Some("certificate revoked"), revoked).await;
    // shown without that authority, it is of none once handshakes know that no longer; the record tells all the same
    let above = (Some("unknown ca"), "an authority above the certificate was revoked");
    refused_at_last(&scene, "bare", (Some("certificate revoked"), revoked), above).await;
    // a server's certificate is no client's
    let csr = request(scene.place(), "server", "/CN=s.example", &[]);
    let signed = scene.sign(&scene.server.root, json!({"certType": "SERVER", "csrPem": csr})).await.ok();
    let certificate = &signed["signCertificate"]["certificate"];
    let chain = format!("{}{}", text(certificate, "/certificatePem"), text(certificate, "/chainPem"));
    scene.write("server.full", &chain);
    refused(&scene, "server", Some("unsupported certificate"), "the certificate is no client's").await;
    assert!(scene.login(&good).is_some());
    scene.server.audit_is_whole().await;
}

/// It was good, and then its time was over.
async fn expired(scene: &Scene) {
    let brief = scene.client("brief", json!({"ttlSeconds": 8})).await;
    let since = Instant::now();
    assert!(scene.login(&brief).is_some(), "it is good for eight seconds");
    tokio::time::sleep(Duration::from_secs(9).saturating_sub(since.elapsed())).await;
    refused(scene, "brief", Some("certificate expired"), "the certificate has expired").await;
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
    refused(scene, "early", Some("certificate expired"), "the certificate is not valid yet").await;
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

/// Where a certificate is required, the command line shows one: to unseal, too.
async fn command_line(store: Store) {
    let mut server = Server::start(store, Options { tls: true, ..Options::server() }).await;
    server.initialize().await;
    server.unseal().await;
    let mut scene = Scene::on(server).await;
    scene.until_trusted().await;
    let (full, key) = files(&scene.client("operator", json!({})).await);
    let place = scene.place().to_owned();
    let path = |name: &str| place.join(name).display().to_string();
    // while it is sealed the server has no certificate of its authority, and shows this one
    let own = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout own.key -out own.pem -days 2 -subj /CN=localhost \
        -addext basicConstraints=critical,CA:FALSE -addext subjectAltName=IP:127.0.0.1";
    openssl(&place, &own.split_whitespace().collect::<Vec<_>>());
    scene.write("trusted.pem", &[scene.pem("own"), scene.pem("root")].concat());
    let listener = [
        ("TLS_CERT", path("own.pem")),
        ("TLS_KEY", path("own.key")),
        ("CLIENT_CERTIFICATES", "required".to_owned()),
    ];
    let variable = |(name, value)| (format!("SECRETHUB_LISTENER__{name}"), value);
    scene.server.options.environment = listener.map(variable).into();
    let shown = [read(&place, &full), read(&place, &key)].concat();
    scene.server.http = reqwest::Client::builder()
        .tls_danger_accept_invalid_certs(true)
        .identity(reqwest::Identity::from_pem(shown.as_bytes()).unwrap())
        .build()
        .unwrap();
    scene.server.restart().await;
    let address = scene.server.address();
    let run = |shown: &[(&str, String)], command: &str, input: &str| {
        let mut child = Command::new(program())
            .args(["operator", command])
            .env("SECRETHUB_ADDR", &address)
            .env("SECRETHUB_CACERT", path("trusted.pem"))
            .envs(shown.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).ok();
        let ended = child.wait_with_output().unwrap();
        let said = [ended.stdout, ended.stderr].concat();
        (ended.status.code(), String::from_utf8_lossy(&said).into_owned())
    };
    let (code, said) = run(&[], "status", "");
    assert!(code == Some(1) && said.contains("asks for a client certificate"), "{said}");
    let both = [("SECRETHUB_CLIENT_CERT", path(&full)), ("SECRETHUB_CLIENT_KEY", path(&key))];
    let (code, said) = run(&both[..1], "status", "");
    assert!(code == Some(2) && said.contains("both or neither"), "{said}");
    let (code, said) = run(&both, "status", "");
    assert_eq!(code, Some(3), "it is sealed: {said}");
    for share in &scene.server.shares[..2] {
        let (code, said) = run(&both, "unseal", &format!("{share}\n"));
        assert_eq!(code, Some(0), "{said}");
    }
    let (code, said) = run(&both, "status", "");
    assert_eq!(code, Some(0), "{said}");
}

/// The server's own certificate is of the default authority, also when that is another one.
async fn own_certificate(store: Store) {
    let scene = Scene::tls(store).await;
    let next = json!({"commonName": "Next", "issuerSerialNumber": scene.root, "makeDefault": true});
    scene.new_below(next, "next").await.unwrap();
    let since = Instant::now();
    let address = scene.server.address().replace("https://", "");
    let issuer = || {
        let shown = openssl(scene.place(), &["s_client", "-connect", &address]);
        shown.lines().find(|line| line.starts_with("issuer=")).unwrap_or_default().to_owned()
    };
    while !issuer().contains("Next") {
        assert!(since.elapsed() < Duration::from_secs(90), "it is of {}", issuer());
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    scene.until_trusted().await;
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
    scene.until_trusted_at(&two.address()).await;
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
