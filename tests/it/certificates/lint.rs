//! What is issued and published, by the eyes of others: `openssl verify -x509_strict` and pkilint, in every kind of key, with the addresses
//! of `pki.base_url`.

use super::outside::{csr, openssl};
use super::scene::Scene;
use crate::support::{Options, Server, Store, text};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;

/// What pkilint calls an error or worse: its code, and what it says.
fn findings(scene: &Scene, tool: &str, file: &str) -> Vec<(String, String)> {
    let folder = std::env::var("SECRETHUB_TEST_PKILINT")
        .expect("SECRETHUB_TEST_PKILINT: run tests/run, which installs pkilint");
    let mut command = Command::new(PathBuf::from(folder).join(tool));
    command.arg("lint").args(["-s", "ERROR"]);
    if tool == "lint_crl" {
        command.args(["-t", "CRL", "-p", "PKIX"]);
    }
    let ended = command.arg(file).current_dir(scene.place()).output().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    let found: Vec<_> = said
        .lines()
        .filter_map(|line| line.trim().split_once(" (ERROR): "))
        .map(|(code, message)| (code.to_owned(), message.to_owned()))
        .collect();
    // its status is the number of findings; anything else is a failure of the tool
    assert_eq!(ended.status.code(), i32::try_from(found.len()).ok(), "{tool} {file}: {said}");
    assert!(!found.is_empty() || said.trim().is_empty(), "{tool} {file}: {said}");
    found
}

fn lint(scene: &Scene, tool: &str, file: &str) {
    let found = findings(scene, tool, file);
    assert!(found.is_empty(), "{tool} {file}: {found:?}");
}

macro_rules! kinds {
    ($($name:ident = $kind:literal),+ $(,)?) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            everything_passes($kind).await;
        }
    )+};
}

kinds!(
    p256 = "EC_P256",
    p384 = "EC_P384",
    ed25519 = "ED25519",
    rsa_2048 = "RSA_2048",
    rsa_3072 = "RSA_3072",
    rsa_4096 = "RSA_4096",
);

/// With addresses in what is issued.
async fn scene() -> Scene {
    let config = "[pki]\nbase_url = \"http://pki.example.com:8200\"\n".to_owned();
    let mut server = Server::start(Store::Sqlite, Options { config, ..Options::server() }).await;
    server.initialize().await;
    server.unseal().await;
    Scene::bare(server)
}

async fn everything_passes(kind: &str) {
    let scene = scene().await;
    let root = json!({"commonName": "Root", "keyType": kind, "organization": "Example", "organizationalUnit": "PKI",
        "permittedDnsDomains": ["example.com"], "permittedIpRanges": ["10.0.0.0/8"], "excludedDnsDomains": ["no.example.com"]});
    let root = scene.new_root(root, "root").await;
    let below =
        json!({"commonName": "Issuing", "keyType": kind, "issuerSerialNumber": root, "maxPathLength": 0});
    let issuing = scene.new_below(below, "issuing").await.unwrap();
    lint(&scene, "lint_pkix_cert", "root.pem");
    lint(&scene, "lint_pkix_cert", "issuing.pem");
    leaves(&scene, kind, &issuing).await;
    let input =
        json!({"certType": "SERVER", "csrPem": csr("/CN=r.example.com", &[]), "issuerSerialNumber": issuing});
    let signed = scene.sign(&scene.server.root, input).await.ok();
    scene.write("leaf.pem", text(&signed, "/signCertificate/certificate/certificatePem"));
    let leaf = text(&signed, "/signCertificate/certificate/serialNumber").to_owned();
    published(&scene, &issuing, "issuing", "leaf", &leaf).await;
    published(&scene, &root, "root", "issuing", &issuing).await;
}

async fn leaves(scene: &Scene, kind: &str, issuing: &str) {
    for (cert_type, names) in [
        ("SERVER", json!(["DNS:a.example.com", "IP:10.0.0.1"])),
        ("AGENT_CLIENT", json!(["DNS:agent.example.com", "URI:https://agent.example.com/x"])),
        ("APP_CLIENT", json!([])),
        ("ADMIN_CLIENT", json!([])),
    ] {
        let input = json!({"certType": cert_type, "commonName": "a.example.com", "names": names, "keyType": kind,
            "issuerSerialNumber": issuing});
        let file = format!("{cert_type}.pem");
        issue(scene, input, &file).await;
        let shown = openssl(scene.place(), &["x509", "-in", &file, "-noout", "-text"]);
        for address in ["crl", "ocsp", "ca.der"] {
            let address = format!("http://pki.example.com:8200/v1/pki/{issuing}/{address}");
            assert!(shown.contains(&address), "{shown}");
        }
        let purpose = if cert_type == "SERVER" { "sslserver" } else { "sslclient" };
        let checked = openssl(
            scene.place(),
            &[
                "verify",
                "-x509_strict",
                "-purpose",
                purpose,
                "-CAfile",
                "root.pem",
                "-untrusted",
                "issuing.pem",
                &file,
            ],
        );
        assert!(checked.contains("OK"), "{checked}");
        lint(scene, "lint_pkix_cert", &file);
    }
}

async fn issue(scene: &Scene, input: Value, file: &str) {
    let issue = "mutation($input: IssueCertificateInput!) { issueCertificate(input: $input) { certificate { certificatePem } } }";
    let made = scene.server.as_root(issue, json!({ "input": input })).await.ok();
    scene.write(file, text(&made, "/issueCertificate/certificate/certificatePem"));
}

/// List and answers of an authority, empty and good, and then with one of its certificates revoked.
async fn published(scene: &Scene, serial: &str, name: &str, certificate: &str, revoked: &str) {
    let (issuer, file) = (format!("{name}.pem"), format!("{certificate}.pem"));
    let url = format!("{}/v1/pki/{serial}/ocsp", scene.server.address());
    for after in [false, true] {
        if after {
            scene.revoke(revoked).await.ok();
            scene.until_listed(serial, revoked).await;
        } else {
            scene.first_list(serial).await;
        }
        lint(scene, "lint_crl", "list.crl");
        for nonce in ["-nonce", "-no_nonce"] {
            let said = openssl(
                scene.place(),
                &[
                    "ocsp",
                    nonce,
                    "-issuer",
                    &issuer,
                    "-cert",
                    &file,
                    "-url",
                    &url,
                    "-CAfile",
                    "root.pem",
                    "-respout",
                    "answer.der",
                ],
            );
            assert!(said.contains(if after { ": revoked" } else { ": good" }), "{said}");
            lint(scene, "lint_ocsp_response", "answer.der");
        }
    }
}

/// What pkilint calls wrong and is not, each with its reason; nothing else is excused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_excused() {
    let scene = scene().await;
    let constraint = json!({"commonName": "Root", "permittedDnsDomains": ["localhost", "example.com"]});
    let root = scene.new_root(constraint, "root").await;
    // A DNS name of one label is in the preferred syntax (RFC 1034, 3.5; RFC 5280, 4.2.1.6): pkilint's checker of domains wants two.
    let domain =
        |name: &str| ("pkix.invalid_domain_name_syntax", format!("Invalid domain name syntax: \"{name}\""));
    // A URI is of any scheme (RFC 3986): pkilint's checker of URLs has a list of some, and SPIFFE's is not on it.
    let uri = |uri: &str| ("pkix.invalid_uri_syntax", format!("Invalid URI syntax: \"{uri}\""));
    let only = |file: &str, excused: &[(&str, String)]| {
        let found = findings(&scene, "lint_pkix_cert", file);
        let excused: Vec<_> = excused.iter().map(|(code, text)| ((*code).to_owned(), text.clone())).collect();
        assert_eq!(found, excused, "{file}");
    };
    only("root.pem", &[domain("localhost")]);
    let leaf = async |names: Value, file: &str| {
        let input = json!({"certType": "SERVER", "commonName": "A Server", "names": names, "issuerSerialNumber": root});
        issue(&scene, input, file).await;
        let checked = openssl(scene.place(), &["verify", "-x509_strict", "-CAfile", "root.pem", file]);
        assert!(checked.contains("OK"), "{checked}");
    };
    leaf(json!(["DNS:localhost"]), "single.pem").await;
    only("single.pem", &[domain("localhost")]);
    // RFC 5280 (4.2.1.6) leaves wildcards to others, and RFC 9525 (6.3) has them as a whole first label.
    leaf(json!(["DNS:*.example.com"]), "wildcard.pem").await;
    only("wildcard.pem", &[domain("*.example.com")]);
    leaf(json!(["DNS:a.example.com", "URI:spiffe://example.com/web"]), "spiffe.pem").await;
    only("spiffe.pem", &[uri("spiffe://example.com/web")]);
    leaf(json!(["DNS:a.example.com", "URI:https://a.example.com/web"]), "plain.pem").await;
    only("plain.pem", &[]);
}
