//! Requests that must be refused, by a role and without one, and those that must not.

use super::outside::{csr, openssl, read, request, try_openssl};
use super::scene::Scene;
use crate::support::{Store, text};
use data_encoding::BASE64;
use serde_json::{Value, json};
use std::collections::BTreeSet;

both_stores!(by_role, of_keys_and_encodings, lifetimes, lifetimes_by_policy, at_once);

const ROLE: &str =
    "mutation($input: CertificateRoleInput!) { putCertificateRole(input: $input) { role { path } } }";

/// A role for servers below `web.example`, and a token that may use it.
async fn web(scene: &Scene, more: Value) -> String {
    let mut input = json!({"path": "pki.web", "certTypes": ["SERVER"], "allowedDomains": ["web.example"],
        "allowSubdomains": true, "ttlSeconds": 3600, "maxTtlSeconds": 7200});
    for (key, value) in more.as_object().into_iter().flatten() {
        input[key] = value.clone();
    }
    scene.server.as_root(ROLE, json!({ "input": input })).await.ok();
    let document = json!({"version": 1, "allowed_secrets": ["pki.web"], "allowed_operations": ["issue"]});
    scene.server.create_policy("web", document).await;
    scene.server.token_with(&["web"], json!({})).await
}

fn asked(csr: &str) -> Value {
    json!({"role": "pki.web", "certType": "SERVER", "csrPem": csr})
}

async fn by_role(store: Store) {
    let scene = Scene::plain(store).await;
    let token = web(&scene, json!({})).await;
    let good = scene.sign(&token, asked(&csr("/CN=a.web.example", &[]))).await.ok();
    assert_eq!(good["signCertificate"]["certificate"]["names"], json!(["DNS:a.web.example"]));
    let name = |names: &str| format!("subjectAltName={names}");
    for (what, subject, extension) in [
        ("an authority", "/CN=a.web.example", "basicConstraints=critical,CA:TRUE".to_owned()),
        ("signing certificates", "/CN=a.web.example", "keyUsage=keyCertSign".to_owned()),
        ("a wildcard", "/CN=a.web.example", name("DNS:*.web.example")),
        ("a foreign name", "/CN=a.web.example", name("DNS:a.web.example,DNS:other.example")),
        ("a name that ends alike", "/CN=a.web.example", name("DNS:evilweb.example")),
        ("the domain itself", "/CN=web.example", name("DNS:web.example")),
        ("an address", "/CN=a.web.example", name("IP:10.0.0.1")),
        ("a URI", "/CN=a.web.example", name("URI:spiffe://web/a")),
        ("an e-mail address", "/CN=a.web.example", name("email:a@web.example")),
        ("a foreign common name", "/CN=other.example", name("DNS:a.web.example")),
        ("an address as common name", "/CN=10.0.0.1", name("DNS:a.web.example")),
    ] {
        let reply = scene.sign(&token, asked(&csr(subject, &[&extension]))).await;
        assert_eq!(reply.code(), Some("BAD_USER_INPUT"), "{what}: {}", reply.body);
    }
    let mut kind = asked(&csr("/CN=a.web.example", &[]));
    for other in ["AGENT_CLIENT", "ADMIN_CLIENT", "INTERMEDIATE_CA", "ROOT_CA"] {
        kind["certType"] = json!(other);
        scene.sign(&token, kind.clone()).await.refused("BAD_USER_INPUT");
    }
    // where the common name is the only name, it is what is wrong
    let bare = json!({"role": "pki.web", "certType": "SERVER", "csrPem": csr("/O=x", &[]), "commonName": "a.*.web.example"});
    let reply = scene.sign(&token, bare).await;
    assert_eq!(reply.field(), Some("input.commonName"), "{}", reply.body);
    let mut elsewhere = asked(&csr("/CN=a.web.example", &[]));
    elsewhere["role"] = json!("pki.none");
    let reply = scene.sign(&token, elsewhere).await;
    reply.refused("NOT_FOUND");
    assert!(reply.message().contains("certificate role"), "{}", reply.body);
    // who administers certificates may know of every role, and is told what is missing
    let document = json!({"version": 1, "administers": ["certificates"]});
    scene.server.create_policy("pki", document).await;
    let administrator = scene.server.token_with(&["pki"], json!({})).await;
    scene.sign(&administrator, asked(&csr("/CN=a.web.example", &[]))).await.refused("FORBIDDEN");
    let outside_role = json!({"certType": "SERVER", "csrPem": csr("/CN=a.web.example", &[])});
    scene.sign(&token, outside_role).await.refused("FORBIDDEN");
    // names that are not the CSR's are asked for in the request, and checked alike
    let mut other = asked(&csr("/CN=a.web.example", &[]));
    other["names"] = json!(["DNS:b.web.example", "IP:10.0.0.1"]);
    scene.sign(&token, other).await.refused("BAD_USER_INPUT");
}

async fn of_keys_and_encodings(store: Store) {
    let scene = Scene::plain(store).await;
    let token = web(&scene, json!({"keyTypes": ["EC_P256"]})).await;
    let place = scene.place();
    let keys: [(&str, &[&str]); 7] = [
        ("rsa1024", &["genrsa", "-out", "rsa1024.key", "1024"]),
        ("rsa6144", &["genrsa", "-out", "rsa6144.key", "6144"]),
        ("ed448", &["genpkey", "-algorithm", "ED448", "-out", "ed448.key"]),
        ("p521", &["ecparam", "-name", "secp521r1", "-genkey", "-noout", "-out", "p521.key"]),
        ("k256", &["ecparam", "-name", "secp256k1", "-genkey", "-noout", "-out", "k256.key"]),
        ("rsa2048", &["genrsa", "-out", "rsa2048.key", "2048"]),
        (
            "e3",
            &[
                "genpkey",
                "-algorithm",
                "RSA",
                "-pkeyopt",
                "rsa_keygen_bits:2048",
                "-pkeyopt",
                "rsa_keygen_pubexp:3",
                "-out",
                "e3.key",
            ],
        ),
    ];
    for (name, arguments) in keys {
        openssl(place, arguments);
        let (key, file) = (format!("{name}.key"), format!("{name}.csr"));
        openssl(place, &["req", "-new", "-key", &key, "-subj", "/CN=a.web.example", "-out", &file]);
        let reply = scene.sign(&token, asked(&read(place, &file))).await;
        let field = Some("input.csrPem");
        assert_eq!((reply.code(), reply.field()), (Some("BAD_USER_INPUT"), field), "{name}: {}", reply.body);
    }
    let good = request(place, "good", "/CN=a.web.example", &[]);
    for (what, pem) in odd(&scene, &good) {
        let reply = scene.sign(&token, asked(&pem)).await;
        assert_eq!(reply.code(), Some("BAD_USER_INPUT"), "{what}: {}", reply.body);
    }
    scene.sign(&token, asked(&good)).await.ok();
}

/// What is no good CSR, made of a good one.
fn odd(scene: &Scene, good: &str) -> Vec<(&'static str, String)> {
    let body: String = good.lines().filter(|line| !line.starts_with("---")).collect();
    let der = BASE64.decode(body.as_bytes()).unwrap();
    let pem = |der: &[u8]| {
        let text = BASE64.encode(der);
        let lines: Vec<&str> =
            (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
        format!(
            "-----BEGIN CERTIFICATE REQUEST-----\n{}\n-----END CERTIFICATE REQUEST-----\n",
            lines.join("\n")
        )
    };
    let changed = |at: usize, bit: u8| {
        let mut copy = der.clone();
        copy[at] ^= bit;
        pem(&copy)
    };
    let names: Vec<String> = (0..40_000).map(|n| format!("DNS:n{n}.very-long-name.web.example")).collect();
    let many = format!(
        "[req]\ndistinguished_name=d\nreq_extensions=e\n[d]\n[e]\nsubjectAltName={}\n",
        names.join(",")
    );
    scene.write("many.conf", &many);
    let made = [
        "req",
        "-new",
        "-key",
        "good.key",
        "-subj",
        "/CN=a.web.example",
        "-config",
        "many.conf",
        "-out",
        "many.csr",
    ];
    openssl(scene.place(), &made);
    let huge = read(scene.place(), "many.csr");
    assert!(huge.len() > 1_000_000, "{}", huge.len());
    let few: Vec<String> = (0..101).map(|n| format!("DNS:n{n}.web.example")).collect();
    let (last, middle) = (der.len() - 1, der.len() / 3);
    vec![
        ("a broken signature", changed(last, 1)),
        ("other content than was signed", changed(middle, 1)),
        ("half of it", pem(&der[..der.len() / 2])),
        ("more after it", pem(&[der.as_slice(), &[0]].concat())),
        ("an indefinite length", pem(&[&[0x30, 0x80], &der[4..], &[0, 0]].concat())),
        ("two of them", format!("{good}{good}")),
        ("no PEM", "not a request".to_owned()),
        ("nothing", String::new()),
        ("of another label", good.replace("CERTIFICATE REQUEST", "CERTIFICATE")),
        ("text in UTF-16", good.chars().flat_map(|c| [c, '\0']).collect()),
        ("1 MB of names", huge),
        ("101 names", csr("/CN=a.web.example", &[&format!("subjectAltName={}", few.join(","))])),
        ("a name with a zero", good.replacen('\n', "\n\0", 1)),
    ]
}

async fn lifetimes(store: Store) {
    let scene = Scene::plain(store).await;
    let token = web(&scene, json!({})).await;
    let short = json!({"commonName": "Short", "issuerSerialNumber": scene.root, "ttlSeconds": 600});
    let serial = scene.new_below(short, "short").await.unwrap();
    let mut input =
        json!({"certType": "SERVER", "csrPem": csr("/CN=a.web.example", &[]), "issuerSerialNumber": serial});
    input["ttlSeconds"] = json!(3600);
    let reply = scene.sign(&scene.server.root, input.clone()).await;
    assert_eq!(
        (reply.code(), reply.field()),
        (Some("BAD_USER_INPUT"), Some("input.ttlSeconds")),
        "{}",
        reply.body
    );
    input.as_object_mut().unwrap().remove("ttlSeconds");
    let signed = scene.sign(&scene.server.root, input).await.ok();
    scene.write("leaf.pem", text(&signed, "/signCertificate/certificate/certificatePem"));
    let end =
        |name| openssl(scene.place(), &["x509", "-in", name, "-noout", "-enddate", "-dateopt", "iso_8601"]);
    assert!(
        end("leaf.pem") <= end("short.pem"),
        "what is not asked for ends with the authority at the latest"
    );
    let mut by_role = asked(&csr("/CN=a.web.example", &[]));
    by_role["ttlSeconds"] = json!(7201);
    scene.sign(&token, by_role.clone()).await.refused("BAD_USER_INPUT");
    by_role["ttlSeconds"] = json!(7200);
    scene.sign(&token, by_role).await.ok();
    let below = json!({"commonName": "Longer", "issuerSerialNumber": serial, "ttlSeconds": 86400});
    scene.new_below(below, "longer").await.unwrap_err().refused("BAD_USER_INPUT");
}

/// What a policy bounds is cut to its bound, and told.
async fn lifetimes_by_policy(store: Store) {
    let scene = Scene::plain(store).await;
    web(&scene, json!({})).await;
    let document = json!({"version": 1, "allowed_secrets": ["pki.web"], "allowed_operations": ["issue"],
        "conditions": {"max_ttl": "10m"}});
    scene.server.create_policy("brief", document).await;
    let token = scene.server.token_with(&["brief"], json!({})).await;
    let issue = "mutation($input: IssueCertificateInput!) { issueCertificate(input: $input) {
        certificate { validFrom validUntil } warnings } }";
    let cut = json!([
        "the lifetime was cut to 600 seconds by the longest lifetime that the caller's policies allow"
    ]);
    for (asked, most, warnings) in [(Some(1200), 600, &cut), (None, 600, &cut), (Some(300), 300, &json!([]))]
    {
        let mut input = json!({"role": "pki.web", "certType": "SERVER", "commonName": "a.web.example"});
        if let Some(seconds) = asked {
            input["ttlSeconds"] = json!(seconds);
        }
        let made = scene.server.graphql(Some(&token), issue, json!({ "input": input })).await.ok();
        let moment = |field| -> chrono::DateTime<chrono::Utc> {
            text(&made, &format!("/issueCertificate/certificate/{field}")).parse().unwrap()
        };
        // it is valid from half a minute ago
        let seconds = (moment("validUntil") - moment("validFrom")).num_seconds();
        assert!((most..=most + 30).contains(&seconds), "{asked:?}: {seconds}");
        assert_eq!(&made["issueCertificate"]["warnings"], warnings, "{asked:?}");
        input["csrPem"] = json!(csr("/CN=a.web.example", &[]));
        let signed = scene.sign(&token, input).await.ok();
        assert_eq!(&signed["signCertificate"]["warnings"], warnings, "{asked:?}");
    }
    // beside a policy without the bound there is none
    let both = scene.server.token_with(&["brief", "web"], json!({})).await;
    let input =
        json!({"role": "pki.web", "certType": "SERVER", "commonName": "a.web.example", "ttlSeconds": 1200});
    let made = scene.server.graphql(Some(&both), issue, json!({ "input": input })).await.ok();
    assert_eq!(made["issueCertificate"]["warnings"], json!([]));
    // the role's own bound refuses
    let mut long = asked(&csr("/CN=a.web.example", &[]));
    long["ttlSeconds"] = json!(7201);
    scene.sign(&token, long).await.refused("BAD_USER_INPUT");
}

/// Many at the same instant: each has a serial number of its own.
async fn at_once(store: Store) {
    let scene = Scene::plain(store).await;
    let one = csr("/CN=a.web.example", &[]);
    let input = json!({"certType": "SERVER", "csrPem": one});
    let token = scene.server.root.clone();
    let all = (0..40).map(|_| scene.sign(&token, input.clone()));
    let serials: BTreeSet<String> = futures_util::future::join_all(all)
        .await
        .into_iter()
        .map(|reply| text(&reply.ok(), "/signCertificate/certificate/serialNumber").to_owned())
        .collect();
    assert_eq!(serials.len(), 40);
    for serial in &serials {
        let bytes = serial.replace(':', "").len() / 2;
        assert!(bytes >= 16, "{serial} has fewer than 64 random bits");
    }
    assert!(try_openssl(scene.place(), &["version"]).0);
}
