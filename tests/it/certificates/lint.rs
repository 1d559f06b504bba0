//! What is issued and published, by the eyes of others: `openssl verify -x509_strict` and pkilint, in every kind of key.

use super::outside::{csr, openssl};
use super::scene::Scene;
use crate::support::{Store, text};
use serde_json::json;
use std::path::PathBuf;
use std::process::Command;

/// Fails for anything that pkilint calls an error or worse.
fn lint(scene: &Scene, tool: &str, file: &str) {
    let folder = std::env::var("SECRETHUB_TEST_PKILINT")
        .expect("SECRETHUB_TEST_PKILINT: run tests/run, which installs pkilint");
    let program = PathBuf::from(folder).join(tool);
    let mut command = Command::new(program);
    command.arg("lint").args(["-s", "ERROR"]);
    if tool == "lint_crl" {
        command.args(["-t", "CRL", "-p", "PKIX"]);
    }
    let ended = command.arg(file).current_dir(scene.place()).output().unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    assert!(ended.status.success() && said.trim().is_empty(), "{tool} {file}: {said}");
}

const KINDS: [&str; 4] = ["EC_P256", "EC_P384", "ED25519", "RSA_2048"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_passes() {
    let scene = Scene::plain(Store::Sqlite).await;
    for kind in KINDS {
        let root = format!("root-{kind}");
        let input = json!({"commonName": root, "keyType": kind, "organization": "Example", "organizationalUnit": "PKI",
            "permittedDnsDomains": ["example.com"], "permittedIpRanges": ["10.0.0.0/8"]});
        let serial = scene.new_root(input, &root).await;
        let issuing = format!("issuing-{kind}");
        let below =
            json!({"commonName": issuing, "keyType": kind, "issuerSerialNumber": serial, "maxPathLength": 0});
        let serial = scene.new_below(below, &issuing).await.unwrap();
        lint(&scene, "lint_pkix_cert", &format!("{root}.pem"));
        lint(&scene, "lint_pkix_cert", &format!("{issuing}.pem"));
        leaves(&scene, kind, &root, &issuing, &serial).await;
        published(&scene, &root, &issuing, &serial).await;
    }
}

async fn leaves(scene: &Scene, kind: &str, root: &str, issuing: &str, serial: &str) {
    let issue = "mutation($input: IssueCertificateInput!) { issueCertificate(input: $input) { certificate { certificatePem } } }";
    for (cert_type, names) in [
        ("SERVER", json!(["DNS:a.example.com", "IP:10.0.0.1"])),
        ("AGENT_CLIENT", json!(["DNS:agent.example.com", "URI:https://agent.example.com/x"])),
        ("APP_CLIENT", json!([])),
        ("ADMIN_CLIENT", json!([])),
    ] {
        let input = json!({"certType": cert_type, "commonName": "a.example.com", "names": names, "keyType": kind,
            "issuerSerialNumber": serial});
        let made = scene.server.as_root(issue, json!({ "input": input })).await.ok();
        let file = format!("{cert_type}-{kind}.pem");
        scene.write(&file, text(&made, "/issueCertificate/certificate/certificatePem"));
        let (root, issuing) = (format!("{root}.pem"), format!("{issuing}.pem"));
        let purpose = if cert_type == "SERVER" { "sslserver" } else { "sslclient" };
        let checked = openssl(
            scene.place(),
            &["verify", "-x509_strict", "-purpose", purpose, "-CAfile", &root, "-untrusted", &issuing, &file],
        );
        assert!(checked.contains("OK"), "{checked}");
        lint(scene, "lint_pkix_cert", &file);
    }
}

async fn published(scene: &Scene, root: &str, issuing: &str, serial: &str) {
    let input =
        json!({"certType": "SERVER", "csrPem": csr("/CN=r.example.com", &[]), "issuerSerialNumber": serial});
    let signed = scene.sign(&scene.server.root, input).await.ok();
    scene.write("gone.pem", text(&signed, "/signCertificate/certificate/certificatePem"));
    let gone = text(&signed, "/signCertificate/certificate/serialNumber");
    scene.revoke(gone).await.ok();
    scene.until_listed(serial, gone).await;
    lint(scene, "lint_crl", "list.crl");
    let (root, issuing) = (format!("{root}.pem"), format!("{issuing}.pem"));
    let url = format!("{}/v1/pki/{serial}/ocsp", scene.server.address());
    for nonce in ["-nonce", "-no_nonce"] {
        openssl(
            scene.place(),
            &[
                "ocsp",
                nonce,
                "-issuer",
                &issuing,
                "-cert",
                "gone.pem",
                "-url",
                &url,
                "-CAfile",
                &root,
                "-respout",
                "answer.der",
            ],
        );
        lint(scene, "lint_ocsp_response", "answer.der");
    }
}
