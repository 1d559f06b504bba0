//! What happens by itself: the addresses that certificates name answer, what nears its end is reported, what ended long ago goes, and
//! lists come out right whenever the process is killed.

use super::outside::{csr, openssl};
use super::scene::Scene;
use crate::support::sql::Sql;
use crate::support::{Server, Store, text};
use chrono::{DateTime, TimeDelta, Utc};
use secrethub::model::clock::{Clock, SystemClock};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

both_stores!(addresses, ends, lists_and_crashes);

/// A server's certificate in NAME.pem; its serial number.
async fn leaf(scene: &Scene, name: &str, more: Value) -> String {
    let mut input = json!({"certType": "SERVER", "csrPem": csr(&format!("/CN={name}.example"), &[])});
    input.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let made = scene.sign(&scene.server.root, input).await.ok();
    scene.write(&format!("{name}.pem"), text(&made, "/signCertificate/certificate/certificatePem"));
    text(&made, "/signCertificate/certificate/serialNumber").to_owned()
}

/// With `pki.base_url` certificates name addresses, and what is there is what the names promise.
async fn addresses(store: Store) {
    let mut server = Server::unsealed(store).await;
    server.options.config = format!("[pki]\nbase_url = \"{}\"\n", server.address());
    server.restart().await;
    server.unseal().await;
    let scene = Scene::on(server).await;
    let serial = leaf(&scene, "web", json!({})).await;
    let place = scene.place();
    for (name, issuer, authority) in [("web", "issuing", &scene.issuing), ("issuing", "root", &scene.root)] {
        let file = format!("{name}.pem");
        let shown = openssl(place, &["x509", "-in", &file, "-noout", "-text"]);
        let base = format!("{}/v1/pki/{authority}", scene.server.address());
        for address in [
            format!("{base}/crl"),
            format!("OCSP - URI:{base}/ocsp"),
            format!("CA Issuers - URI:{base}/ca.der"),
        ] {
            assert!(shown.contains(&address), "{address} is not in {shown}");
        }
        assert_eq!(scene.fetch(&format!("{authority}/ca.der"), "fetched.der").await, 200);
        let fetched = openssl(place, &["x509", "-inform", "DER", "-in", "fetched.der"]);
        assert_eq!(fetched.trim(), scene.pem(issuer).trim());
        let responder = openssl(place, &["x509", "-in", &file, "-noout", "-ocsp_uri"]);
        let issuer = format!("{issuer}.pem");
        let asked =
            ["ocsp", "-issuer", &issuer, "-cert", &file, "-url", responder.trim(), "-CAfile", "root.pem"];
        let said = openssl(place, &asked);
        assert!(said.contains(&format!("{file}: good")) && said.contains("Response verify OK"), "{said}");
    }
    // a root answers for itself
    let root = openssl(place, &["x509", "-in", "root.pem", "-noout", "-text"]);
    assert!(!root.contains("URI:"), "{root}");
    scene.revoke(&serial).await.ok();
    scene.until_listed(&scene.issuing, &serial).await;
    // the lists that the certificates name, as a client takes them
    for (authority, file) in [(&scene.issuing, "issuing.crl"), (&scene.root, "root.crl")] {
        assert_eq!(scene.fetch(&format!("{authority}/crl.pem"), file).await, 200);
    }
    let other = leaf(&scene, "other", json!({})).await;
    assert_ne!(other, serial);
    let check = |name: &str| {
        let crls = ["-CRLfile", "issuing.crl", "-CRLfile", "root.crl", "-crl_check_all", "-x509_strict"];
        let mut how = vec!["verify", "-CAfile", "root.pem", "-untrusted", "issuing.pem"];
        how.extend(crls);
        how.push(name);
        super::outside::try_openssl(place, &how)
    };
    assert!(check("other.pem").0, "{}", check("other.pem").1);
    let (good, said) = check("web.pem");
    assert!(!good && said.contains("certificate revoked"), "{said}");
}

/// Moves the end of a certificate, past the server.
async fn ends_at(sql: &mut Sql, serial: &str, end: DateTime<Utc>) {
    let moved = format!(
        "UPDATE certificates SET valid_from = '{}', valid_until = '{}' WHERE serial_number = '{serial}'",
        (end - TimeDelta::days(2)).to_rfc3339(),
        end.to_rfc3339()
    );
    assert_eq!(sql.run(&moved).await, 1);
}

/// A certificate near its end is reported once, and counted; long after its end it goes, unless something needs it.
async fn ends(store: Store) {
    let mut server = Server::unsealed(store).await;
    server.options.config = "[pki]\ntidy_after = \"1h\"\nexpiring_within = \"2d\"\n".to_owned();
    server.restart().await;
    server.unseal().await;
    let scene = Scene::on(server).await;
    let near = leaf(&scene, "near", json!({"ttlSeconds": 86400})).await;
    let far = leaf(&scene, "far", json!({"ttlSeconds": 86400 * 10})).await;
    // near its end only when it is revoked already: it must not be reported before
    let revoked = leaf(&scene, "revoked", json!({"ttlSeconds": 86400 * 10})).await;
    scene.revoke(&revoked).await.ok();
    let empty = json!({"commonName": "Empty", "issuerSerialNumber": scene.root});
    let empty = scene.new_below(empty, "empty").await.unwrap();
    let parent = json!({"commonName": "Parent", "issuerSerialNumber": scene.root});
    let parent = scene.new_below(parent, "parent").await.unwrap();
    let child = leaf(&scene, "child", json!({"issuerSerialNumber": parent})).await;
    let gone = leaf(&scene, "gone", json!({})).await;
    let gone_revoked = leaf(&scene, "gone-revoked", json!({})).await;
    scene.revoke(&gone_revoked).await.ok();
    let ended = leaf(&scene, "ended", json!({})).await;
    let mut requests = Vec::new();
    for _ in 0..2 {
        let request = "mutation { requestIntermediateCa(input: {commonName: \"Waits\"}) { requestId } }";
        let asked = scene.server.as_root(request, json!({})).await.ok();
        requests.push(text(&asked, "/requestIntermediateCa/requestId").to_owned());
    }
    let now = SystemClock.now();
    let mut sql = Sql::open(&scene.server.database.url).await;
    for serial in [&gone, &gone_revoked, &empty, &parent] {
        ends_at(&mut sql, serial, now - TimeDelta::hours(2)).await;
    }
    ends_at(&mut sql, &ended, now - TimeDelta::minutes(30)).await;
    ends_at(&mut sql, &revoked, now + TimeDelta::days(1)).await;
    let long_ago = now - TimeDelta::days(31);
    let abandoned = match sql.store() {
        Store::Sqlite => format!("hex(id) = '{}'", requests[0].replace('-', "").to_uppercase()),
        Store::Postgres => format!("id = '{}'", requests[0]),
    };
    let moved =
        format!("UPDATE pending_authorities SET created_at = '{}' WHERE {abandoned}", long_ago.to_rfc3339());
    assert_eq!(sql.run(&moved).await, 1);
    let metrics = scene.server.http.get(format!("{}/metrics", scene.server.address())).send().await.unwrap();
    let metrics = metrics.text().await.unwrap();
    assert!(metrics.contains("secrethub_certificates_expiring{type=\"server\"} 1\n"), "{metrics}");
    let since = Instant::now();
    let count = |serial: &str| format!("SELECT count(*) FROM certificates WHERE serial_number = '{serial}'");
    while sql.number(&count(&gone)).await
        + sql.number(&count(&gone_revoked)).await
        + sql.number(&count(&empty)).await
        + sql.number(&format!("SELECT count(*) FROM pending_authorities WHERE {abandoned}")).await
        > 0
    {
        assert!(since.elapsed() < Duration::from_secs(150), "nothing was tidied: {}", scene.server.log());
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    for serial in [&near, &far, &revoked, &parent, &child, &ended, &scene.root, &scene.issuing] {
        assert_eq!(sql.number(&count(serial)).await, 1, "{serial}");
    }
    assert_eq!(sql.number("SELECT count(*) FROM certificate_authorities").await, 3);
    let query = "{ auditEvents(filter: {eventTypes: [\"certificate.expiring\", \"certificate.tidied\"]}, first: 100) { nodes { eventType eventData } } }";
    let events = scene.server.as_root(query, json!({})).await.ok();
    let of = |kind: &str| -> Vec<Value> {
        let nodes = events["auditEvents"]["nodes"].as_array().unwrap();
        nodes.iter().filter(|node| node["eventType"] == kind).map(|node| node["eventData"].clone()).collect()
    };
    let reported: Vec<_> =
        of("certificate.expiring").iter().map(|data| data["serial_number"].clone()).collect();
    assert_eq!(reported, [json!(near)]);
    let removed: i64 = of("certificate.tidied").iter().filter_map(|data| data["removed"].as_i64()).sum();
    assert!(removed >= 3, "{events}");
    let given_up: Vec<_> = of("certificate.tidied")
        .iter()
        .filter_map(|data| data["authority_requests"].as_array().cloned())
        .flatten()
        .collect();
    assert_eq!(given_up, [json!(requests[0])], "the other one waits on");
    let look = format!("{{ certificate(serialNumber: \"{gone}\") {{ serialNumber }} }}");
    assert_eq!(scene.server.as_root(&look, json!({})).await.ok()["certificate"], Value::Null);
    scene.server.audit_is_whole().await;
}

/// The process killed at each step of making a list, and at any moment: the list after it is good, has every revocation, and a number
/// that follows.
async fn lists_and_crashes(store: Store) {
    let mut scene = Scene::on(Server::unsealed(store).await).await;
    let issuing = scene.issuing.clone();
    let mut revoked = vec![leaf(&scene, "first", json!({})).await];
    scene.revoke(&revoked[0]).await.ok();
    scene.until_listed(&issuing, &revoked[0]).await;
    let mut last = number(&scene);
    for point in [Some("list_read"), Some("list_signed"), Some("list_kept"), None, None] {
        scene.server.stop().await;
        start(&mut scene.server, point).await;
        let serial = leaf(&scene, "next", json!({})).await;
        let revoke = "mutation($input: RevokeCertificateInput!) { revokeCertificate(input: $input) { certificate { revoked } } }";
        let input = json!({"input": {"serialNumber": serial}});
        let root = scene.server.root.clone();
        let reply = scene.server.try_graphql(Some(&root), revoke, input.clone()).await;
        match point {
            Some(_) => scene.server.ended().await,
            None => scene.server.kill9(),
        }
        start(&mut scene.server, None).await;
        match reply {
            Some(reply) => drop(reply.ok()),
            // killed before it could answer: it may be done or not
            None => drop(scene.server.try_graphql(Some(&root), revoke, input).await),
        }
        revoked.push(serial);
        let list = scene.until_listed(&issuing, revoked.last().unwrap()).await;
        for serial in &revoked {
            assert!(list.contains(&serial.to_uppercase()), "{point:?}: {serial} is not in {list}");
        }
        let how = ["crl", "-inform", "DER", "-in", "list.crl", "-noout", "-verify", "-CAfile", "issuing.pem"];
        let checked = openssl(scene.place(), &how);
        assert!(checked.contains("verify OK"), "{checked}");
        let now = number(&scene);
        assert!(now > last, "{point:?}: list {now} after {last}");
        last = now;
    }
    // each number was published once
    let query = "{ auditEvents(filter: {eventTypes: [\"certificate.crl_published\"]}, first: 100) { nodes { eventData } } }";
    let events = scene.server.as_root(query, json!({})).await.ok();
    let published: Vec<(String, i64)> = events["auditEvents"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| {
            (text(node, "/eventData/authority").to_owned(), node["eventData"]["number"].as_i64().unwrap())
        })
        .collect();
    let mut of_issuing: Vec<i64> = published
        .iter()
        .filter(|(authority, _)| published.iter().filter(|(other, _)| other == authority).count() > 1)
        .map(|(_, number)| *number)
        .collect();
    of_issuing.reverse();
    assert_eq!(of_issuing, (1..=last).collect::<Vec<_>>());
    scene.server.audit_is_whole().await;
}

async fn start(server: &mut Server, point: Option<&str>) {
    let variable = point.map(|point| ("SECRETHUB_FAILPOINT".to_owned(), point.to_owned()));
    server.options.environment = variable.into_iter().collect();
    server.launch().await;
    server.unseal().await;
}

/// Of the list that was fetched last.
fn number(scene: &Scene) -> i64 {
    let said = openssl(scene.place(), &["crl", "-inform", "DER", "-in", "list.crl", "-noout", "-crlnumber"]);
    let hex = said.trim().trim_start_matches("crlNumber=").trim_start_matches("0x");
    i64::from_str_radix(hex, 16).unwrap_or_else(|_| panic!("{said}"))
}
