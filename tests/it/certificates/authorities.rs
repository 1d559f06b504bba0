//! Authorities: their limits, their change, and what they publish while the server is sealed or was killed.

use super::outside::{Outside, csr, openssl, read, try_openssl};
use super::scene::Scene;
use crate::support::{Server, Store, text};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

both_stores!(path_lengths, rotation, from_outside, same_serial_numbers, statuses, sealed, killed);

/// A server's certificate in leaf.pem.
async fn leaf(scene: &Scene, issuer: &str, name: &str) {
    let input = json!({"certType": "SERVER", "csrPem": csr(&format!("/CN={name}"), &[]), "issuerSerialNumber": issuer});
    let made = scene.sign(&scene.server.root, input).await.ok();
    scene.write("leaf.pem", text(&made, "/signCertificate/certificate/certificatePem"));
    scene.write("leaf.chain", text(&made, "/signCertificate/certificate/chainPem"));
}

fn verifies(scene: &Scene, root: &str) -> (bool, String) {
    let arguments = ["verify", "-x509_strict", "-CAfile", root, "-untrusted", "leaf.chain", "leaf.pem"];
    try_openssl(scene.place(), &arguments)
}

/// No authority is made below one that leaves no room for it.
async fn path_lengths(store: Store) {
    let scene = Scene::plain(store).await;
    let flat = scene.new_root(json!({"commonName": "Flat", "maxPathLength": 0}), "flat").await;
    scene
        .new_below(json!({"commonName": "X", "issuerSerialNumber": flat}), "x")
        .await
        .unwrap_err()
        .refused("CONFLICT");
    let one = scene.new_root(json!({"commonName": "One", "maxPathLength": 1}), "one").await;
    let wide = json!({"commonName": "X", "issuerSerialNumber": one, "maxPathLength": 1});
    scene.new_below(wide, "x").await.unwrap_err().refused("BAD_USER_INPUT");
    let below = scene.new_below(json!({"commonName": "Y", "issuerSerialNumber": one}), "y").await.unwrap();
    scene
        .new_below(json!({"commonName": "Z", "issuerSerialNumber": below}), "z")
        .await
        .unwrap_err()
        .refused("CONFLICT");
    leaf(&scene, &below, "a.example").await;
    assert!(verifies(&scene, "one.pem").0, "{}", verifies(&scene, "one.pem").1);
    // a chain is as long as is looked at, and its last certificate is still taken
    let mut above = scene.root.clone();
    for height in 2..10 {
        let input = json!({"commonName": format!("Floor {height}"), "issuerSerialNumber": above});
        above = scene.new_below(input, "deep").await.unwrap();
    }
    leaf(&scene, &above, "a.example").await;
    assert!(verifies(&scene, "root.pem").0, "{}", verifies(&scene, "root.pem").1);
    let input = json!({"commonName": "Floor 10", "issuerSerialNumber": above});
    scene.new_below(input, "deep").await.unwrap_err().refused("CONFLICT");
}

/// The old authority goes on publishing what it has to say of its own.
async fn rotation(store: Store) {
    let scene = Scene::plain(store).await;
    let old = scene.issuing.clone();
    let before = scene.client("before", json!({})).await;
    let next = json!({"commonName": "Next", "issuerSerialNumber": scene.root, "makeDefault": true});
    let new = scene.new_below(next, "next").await.unwrap();
    let update = "mutation($input: UpdateCertificateAuthorityInput!) { updateCertificateAuthority(input: $input) { authority { enabled } } }";
    scene
        .server
        .as_root(update, json!({"input": {"serialNumber": new, "enabled": false}}))
        .await
        .refused("CONFLICT");
    scene.server.as_root(update, json!({"input": {"serialNumber": old, "enabled": false}})).await.ok();
    let named = json!({"certType": "SERVER", "csrPem": csr("/CN=a.example", &[]), "issuerSerialNumber": old});
    let reply = scene.sign(&scene.server.root, named).await;
    reply.refused("CONFLICT");
    assert!(reply.message().contains("name another one"), "{}", reply.body);
    // who asks by a role cannot name one
    let role =
        "mutation($input: CertificateRoleInput!) { putCertificateRole(input: $input) { role { path } } }";
    let rules = json!({"path": "pki.old", "certTypes": ["SERVER"], "allowedDomains": ["a.example"],
        "allowBareDomains": true, "issuerSerialNumber": old});
    scene.server.as_root(role, json!({ "input": rules })).await.ok();
    let by_role = json!({"certType": "SERVER", "csrPem": csr("/CN=a.example", &[]), "role": "pki.old"});
    let reply = scene.sign(&scene.server.root, by_role.clone()).await;
    reply.refused("CONFLICT");
    assert!(reply.message().contains("give the role another one"), "{}", reply.body);
    let after = scene.client("after", json!({})).await;
    assert!(scene.ocsp(&new, "next", "after", &[]).contains("after.pem: good"));
    assert!(scene.ocsp(&old, "issuing", "before", &[]).contains("before.pem: good"));
    scene.revoke(&before.serial).await.ok();
    assert!(scene.ocsp(&old, "issuing", "before", &[]).contains("before.pem: revoked"));
    let list = scene.until_listed(&old, &before.serial).await;
    assert!(!list.contains(&after.serial.to_uppercase()) && list.contains("Key Compromise"), "{list}");
    openssl(
        scene.place(),
        &["crl", "-inform", "DER", "-in", "list.crl", "-noout", "-verify", "-CAfile", "issuing.pem"],
    );
    assert!(
        scene
            .sign(&scene.server.root, json!({"certType": "ROOT_CA", "csrPem": csr("/CN=r", &[])}))
            .await
            .code()
            .is_some()
    );
}

/// An authority that one outside has signed, and one that was imported with its key.
async fn from_outside(store: Store) {
    let scene = Scene::plain(store).await;
    let outside = Outside::new();
    scene.write("outside.pem", &outside.certificate);
    let request = "mutation { requestIntermediateCa(input: {commonName: \"Below\"}) { requestId csrPem } }";
    let asked = scene.server.as_root(request, json!({})).await.ok();
    let (id, asked) =
        (text(&asked, "/requestIntermediateCa/requestId"), text(&asked, "/requestIntermediateCa/csrPem"));
    let complete = "mutation($input: CompleteIntermediateCaInput!) { completeIntermediateCa(input: $input) { certificate { serialNumber } } }";
    let answer = |pem: &str| json!({"input": {"requestId": id, "certificatePem": pem, "chainPem": outside.certificate}});
    // the key is another one's
    let other = outside.sign_authority(&csr("/CN=Below", &[]));
    scene.server.as_root(complete, answer(&other)).await.refused("BAD_USER_INPUT");
    // it is no authority's
    let leaf_only = outside.sign(asked, "basicConstraints=critical,CA:FALSE\n", 10);
    scene.server.as_root(complete, answer(&leaf_only)).await.refused("BAD_USER_INPUT");
    let signed = outside.sign_authority(asked);
    let made = scene.server.as_root(complete, answer(&signed)).await.ok();
    scene.server.as_root(complete, answer(&signed)).await.refused("NOT_FOUND");
    let serial = text(&made, "/completeIntermediateCa/certificate/serialNumber");
    leaf(&scene, serial, "a.example").await;
    assert!(verifies(&scene, "outside.pem").0, "{}", verifies(&scene, "outside.pem").1);
    let import =
        "mutation($input: ImportCaInput!) { importCa(input: $input) { certificate { serialNumber } } }";
    let pair =
        |certificate: &str| json!({"input": {"certificatePem": certificate, "privateKeyPem": outside.key}});
    scene.server.as_root(import, pair(&Outside::new().certificate)).await.refused("BAD_USER_INPUT");
    let made = scene.server.as_root(import, pair(&outside.certificate)).await.ok();
    scene.server.as_root(import, pair(&outside.certificate)).await.refused("CONFLICT");
    leaf(&scene, text(&made, "/importCa/certificate/serialNumber"), "b.example").await;
    assert!(verifies(&scene, "outside.pem").0);
    // no key is in an answer, a log line or the audit log
    let body: String = outside.key.lines().nth(1).unwrap().to_owned();
    assert!(!scene.server.log().contains(&body));
}

/// Authorities are named by their serial numbers: no two have the same.
async fn same_serial_numbers(store: Store) {
    let scene = Scene::plain(store).await;
    let place = scene.place();
    let twin = |name: &str| {
        let made = format!(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -out {name}.pem -days 30 \
             -subj /CN={name} -set_serial 77 -addext keyUsage=critical,keyCertSign,cRLSign"
        );
        openssl(place, &made.split_whitespace().collect::<Vec<_>>());
        let key = read(place, &format!("{name}.key"));
        json!({"input": {"certificatePem": scene.pem(name), "privateKeyPem": key}})
    };
    let import =
        "mutation($input: ImportCaInput!) { importCa(input: $input) { certificate { serialNumber } } }";
    let made = scene.server.as_root(import, twin("one")).await.ok();
    assert_eq!(made["importCa"]["certificate"]["serialNumber"], json!("4d"));
    let refused = scene.server.as_root(import, twin("two")).await;
    assert!(refused.body.contains("CN=one"), "{}", refused.body);
    refused.refused("CONFLICT");
    // the same of one that was asked for here; its request waits on
    let request = "mutation { requestIntermediateCa(input: {commonName: \"Three\"}) { requestId csrPem } }";
    let asked = scene.server.as_root(request, json!({})).await.ok();
    scene.write("three.csr", text(&asked, "/requestIntermediateCa/csrPem"));
    let id = text(&asked, "/requestIntermediateCa/requestId");
    scene.write("three.ext", "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n");
    let complete = "mutation($input: CompleteIntermediateCaInput!) { completeIntermediateCa(input: $input) { certificate { serialNumber } } }";
    for (serial, refused) in [("77", true), ("78", false)] {
        let sign = format!(
            "x509 -req -in three.csr -CA two.pem -CAkey two.key -set_serial {serial} -days 20 -extfile three.ext -out three.pem"
        );
        openssl(place, &sign.split_whitespace().collect::<Vec<_>>());
        let input =
            json!({"requestId": id, "certificatePem": scene.pem("three"), "chainPem": scene.pem("two")});
        let reply = scene.server.as_root(complete, json!({ "input": input })).await;
        assert_eq!(reply.code(), refused.then_some("CONFLICT"), "{serial}: {}", reply.body);
    }
}

/// OCSP by POST and GET, with a nonce and without; good, revoked and unknown.
async fn statuses(store: Store) {
    let scene = Scene::plain(store).await;
    let issuing = scene.issuing.clone();
    let one = scene.client("one", json!({})).await;
    scene.client("two", json!({})).await;
    let foreign = json!({"issuerSerialNumber": scene.root});
    scene.client("foreign", foreign).await;
    for how in [&[][..], &["-no_nonce"], &["-sha256"], &["-no_nonce", "-sha256"]] {
        let good = scene.ocsp(&issuing, "issuing", "one", how);
        assert!(good.contains("Response verify OK") && good.contains("one.pem: good"), "{how:?}: {good}");
    }
    // a number that it has not issued
    let unknown = [
        "ocsp",
        "-issuer",
        "issuing.pem",
        "-serial",
        "0x4711",
        "-url",
        &format!("{}/v1/pki/default/ocsp", scene.server.address()),
        "-CAfile",
        "root.pem",
    ]
    .join(" ");
    let unknown: Vec<&str> = unknown.split(' ').collect();
    assert!(openssl(scene.place(), &unknown).contains("0x4711: unknown"));
    // a request about another authority's
    let (good, said) = try_openssl(
        scene.place(),
        &[
            "ocsp",
            "-issuer",
            "root.pem",
            "-cert",
            "foreign.pem",
            "-url",
            &format!("{}/v1/pki/{issuing}/ocsp", scene.server.address()),
            "-CAfile",
            "root.pem",
        ],
    );
    assert!(!good || said.contains("unauthorized"), "{said}");
    scene.revoke(&one.serial).await.ok();
    for how in [&[][..], &["-no_nonce"]] {
        let revoked = scene.ocsp(&issuing, "issuing", "one", how);
        assert!(
            revoked.contains("one.pem: revoked") && revoked.contains("keyCompromise"),
            "{how:?}: {revoked}"
        );
    }
    by_get(&scene, &issuing).await;
    for (path, status) in [
        ("none/ca.pem", 404),
        ("4711/crl", 404),
        ("default/nothing", 404),
        ("default/ca.der", 200),
        ("default/crl.pem", 200),
    ] {
        assert_eq!(scene.fetch(path, "any").await, status, "{path}");
    }
}

async fn by_get(scene: &Scene, issuing: &str) {
    for (name, wanted) in [("one", "one.pem: revoked"), ("two", "two.pem: good")] {
        let certificate = format!("{name}.pem");
        let place = scene.place();
        openssl(
            place,
            &["ocsp", "-issuer", "issuing.pem", "-cert", &certificate, "-no_nonce", "-reqout", "request.der"],
        );
        let request = data_encoding::BASE64.encode(&std::fs::read(place.join("request.der")).unwrap());
        let request = request.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
        assert_eq!(scene.fetch(&format!("{issuing}/ocsp/{request}"), "answer.der").await, 200);
        let said = openssl(
            place,
            &[
                "ocsp",
                "-issuer",
                "issuing.pem",
                "-cert",
                &certificate,
                "-no_nonce",
                "-respin",
                "answer.der",
                "-CAfile",
                "root.pem",
            ],
        );
        assert!(said.contains(wanted), "{said}");
    }
}

/// While sealed nothing is signed and nothing published; afterwards all is there again.
async fn sealed(store: Store) {
    let mut scene = Scene::on(Server::unsealed(store).await).await;
    let one = scene.client("one", json!({})).await;
    scene.revoke(&one.serial).await.ok();
    let (issuing, serial) = (scene.issuing.clone(), one.serial.clone());
    scene.until_listed(&issuing, &serial).await;
    scene.server.as_root("mutation { seal { status { sealed } } }", json!({})).await.ok();
    let asked = json!({"certType": "SERVER", "csrPem": csr("/CN=a.example", &[])});
    scene.sign(&scene.server.root, asked).await.refused("SEALED");
    scene.revoke(&one.serial).await.refused("SEALED");
    for path in ["default/ca.pem", "default/ca.der", "default/crl", "default/crl.pem"] {
        assert_eq!(scene.fetch(path, "any").await, 503, "{path}");
    }
    let url = format!("{}/v1/pki/{issuing}/ocsp", scene.server.address());
    let how = ["ocsp", "-issuer", "issuing.pem", "-cert", "one.pem", "-url", &url, "-CAfile", "root.pem"];
    let (_, said) = try_openssl(scene.place(), &how);
    assert!(said.contains("trylater"), "{said}");
    scene.server.unseal().await;
    assert!(scene.ocsp(&issuing, "issuing", "one", &[]).contains("one.pem: revoked"));
    // and after a start
    scene.server.kill9();
    scene.server.launch().await;
    scene.server.unseal().await;
    scene.until_listed(&issuing, &serial).await;
    scene.client("two", json!({})).await;
    assert!(scene.ocsp(&issuing, "issuing", "two", &[]).contains("two.pem: good"));
}

/// Killed while certificates are issued and revoked: what was answered holds, and every serial number is accounted for.
async fn killed(store: Store) {
    let mut scene = Scene::on(Server::unsealed(store).await).await;
    let issuing = scene.issuing.clone();
    let mut answered: Vec<(String, bool)> = Vec::new();
    let asked = json!({"input": {"certType": "SERVER", "csrPem": csr("/CN=a.example", &[])}});
    // as soon as so many were issued and revoked, in the middle of whatever is under way
    for pairs in [3, 6, 10] {
        let finished = AtomicUsize::new(0);
        let sign = "mutation($input: SignCertificateInput!) { signCertificate(input: $input) { certificate { serialNumber } } }";
        let revoke = "mutation($input: RevokeCertificateInput!) { revokeCertificate(input: $input) { certificate { revoked } } }";
        let server = &scene.server;
        let work = async {
            let mut done: Vec<(String, bool)> = Vec::new();
            loop {
                let Some(reply) = server.try_graphql(Some(&server.root), sign, asked.clone()).await else {
                    break;
                };
                let serial = text(&reply.ok(), "/signCertificate/certificate/serialNumber").to_owned();
                done.push((serial.clone(), false));
                let input = json!({"input": {"serialNumber": serial}});
                let Some(reply) = server.try_graphql(Some(&server.root), revoke, input).await else { break };
                reply.ok();
                done.last_mut().unwrap().1 = true;
                finished.fetch_add(1, Ordering::Relaxed);
            }
            done
        };
        let pid = server.pid().to_string();
        let kill = async {
            let since = Instant::now();
            while finished.load(Ordering::Relaxed) < pairs {
                assert!(since.elapsed() < Duration::from_secs(45), "there are no {pairs} yet");
                tokio::time::sleep(Duration::from_millis(3)).await;
            }
            std::process::Command::new("kill").args(["-9", &pid]).status().unwrap();
        };
        let (done, ()) = tokio::join!(work, kill);
        answered.extend(done);
        scene.server.kill9();
        scene.server.launch().await;
        scene.server.unseal().await;
    }
    assert!(answered.len() >= 3 + 6 + 10, "{answered:?}");
    for (serial, revoked) in &answered {
        let look = format!("{{ certificate(serialNumber: \"{serial}\") {{ revoked }} }}");
        let seen = scene.server.as_root(&look, json!({})).await.ok();
        if *revoked {
            assert_eq!(seen["certificate"]["revoked"], Value::Bool(true), "{serial}");
        } else {
            assert!(!seen["certificate"].is_null(), "{serial}");
        }
    }
    let last = answered.iter().rfind(|(_, revoked)| *revoked).unwrap().0.clone();
    let list = scene.until_listed(&issuing, &last).await;
    for (serial, _) in answered.iter().filter(|(_, revoked)| *revoked) {
        assert!(list.contains(&serial.to_uppercase()), "{serial}");
    }
    scene.server.audit_is_whole().await;
}
