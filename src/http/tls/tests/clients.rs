//! Who is let in.

use super::*;
use crate::crypto::primitives::sha256;
use crate::service::certificates::trust::Refusal;
use rustls::AlertDescription;

fn options(clients: ClientCertificates) -> TlsOptions {
    TlsOptions { files: None, names: Some(vec![AltName::Dns("localhost".to_owned())]), clients }
}

/// What no connection may come about with: why it is refused, and the alert that the client gets.
fn bad_ones(good: &Authority) -> Vec<(&'static str, AlertDescription, Identity)> {
    use AlertDescription as Alert;
    let (now, hour) = (start_of_time(), TimeDelta::hours(1));
    let of = |begins, ends, usage| signed(good, params("bad", begins, ends), usage);
    let thief = Identity { leaf: identity(good, "agent").leaf, key: identity(good, "bad").key };
    let foreign = "the certificate is of no authority of this installation";
    vec![
        (foreign, Alert::UnknownCA, identity(&authority("stranger"), "bad")),
        // the name is right, the signature is not
        (foreign, Alert::DecryptError, identity(&authority("ours"), "bad")),
        (
            "the certificate has expired",
            Alert::CertificateExpired,
            of(now - hour * 2, now - hour, ExtendedKeyUsagePurpose::ClientAuth),
        ),
        (
            "the certificate is not valid yet",
            Alert::CertificateExpired,
            of(now + hour, now + hour * 2, ExtendedKeyUsagePurpose::ClientAuth),
        ),
        (
            "the certificate is no client's",
            Alert::UnsupportedCertificate,
            of(now - hour, now + hour, ExtendedKeyUsagePurpose::ServerAuth),
        ),
        ("the client does not have the certificate's key", Alert::DecryptError, thief),
    ]
}

/// That each is refused for its reason, with its alert, and recorded with its fingerprint.
async fn bad_ones_are_refused(server: &Server, good: &Authority, version: &'static SupportedProtocolVersion) {
    for (reason, alert, bad) in bad_ones(good) {
        server.keeper.refusals.lock().clear();
        let refused = server.visit(&client(Some(&bad), version)).await.map(|visit| visit.who).unwrap_err();
        assert_eq!(alert_of(&refused), Some(alert), "{reason}: {refused}");
        let recorded = recorded(server, 1).await;
        let expected = Refusal {
            address: server.address.ip(),
            reason,
            fingerprint: Some(sha256(&bad.leaf)),
            unrecorded: 0,
        };
        assert_eq!(recorded, [expected]);
        server.clock.advance(TimeDelta::seconds(61));
    }
}

/// What was put on the record, which comes after the alert.
async fn recorded(server: &Server, count: usize) -> Vec<Refusal> {
    for _ in 0..400 {
        if server.keeper.refusals.lock().len() >= count {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let recorded = server.keeper.refusals.lock().clone();
    assert_eq!(recorded.len(), count);
    recorded
}

fn alert_of(error: &std::io::Error) -> Option<AlertDescription> {
    match error.get_ref()?.downcast_ref::<rustls::Error>()? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        _ => None,
    }
}

#[tokio::test]
async fn a_client_may_show_a_certificate_which_must_be_good() {
    let ours = authority("ours");
    let server = Server::start(options(ClientCertificates::Optional), &[&authority("other"), &ours]).await;
    for version in VERSIONS {
        assert_eq!(server.who(&client(None, version)).await, "nobody");
        assert_eq!(server.who(&client(Some(&identity(&ours, "agent")), version)).await, "admitted");
    }
    assert_eq!(server.keeper.admissions.load(Ordering::SeqCst), 2);
    assert!(server.keeper.refusals.lock().is_empty());
    for version in VERSIONS {
        bad_ones_are_refused(&server, &ours, version).await;
    }
    assert_eq!(server.keeper.admissions.load(Ordering::SeqCst), 2, "a handshake that failed was looked up");
}

#[tokio::test]
async fn required_certificates_are_required_in_both_versions() {
    let ours = authority("ours");
    let server = Server::start(options(ClientCertificates::Required), &[&ours]).await;
    for version in VERSIONS {
        server.keeper.refusals.lock().clear();
        let refused = server.visit(&client(None, version)).await.map(|visit| visit.who).unwrap_err();
        assert!(alert_of(&refused).is_some(), "{refused}");
        let recorded = recorded(&server, 1).await;
        assert_eq!((recorded[0].reason, recorded[0].fingerprint), ("a client certificate is required", None));
        assert_eq!(server.who(&client(Some(&identity(&ours, "agent")), version)).await, "admitted");
        bad_ones_are_refused(&server, &ours, version).await;
    }
}

/// The first time is found out after the handshake, and the connection closed; from then on the handshake itself says why.
#[tokio::test]
async fn what_was_revoked_is_told_so() {
    let ours = authority("ours");
    for version in VERSIONS {
        let server = Server::start(options(ClientCertificates::Optional), &[&ours]).await;
        let one = identity(&ours, "one");
        server.set(Verdict::Revoked);
        let refused = server.visit(&client(Some(&one), version)).await.map(|visit| visit.who).unwrap_err();
        assert_eq!((refused.kind(), alert_of(&refused)), (std::io::ErrorKind::UnexpectedEof, None));
        assert_eq!(server.keeper.refusals.lock()[0].reason, "it was revoked");
        server.set(Verdict::Admit);
        let refused = server.visit(&client(Some(&one), version)).await.map(|visit| visit.who).unwrap_err();
        assert_eq!(alert_of(&refused), Some(AlertDescription::CertificateRevoked), "{refused}");
        let recorded = recorded(&server, 2).await;
        let wanted = "the certificate, or an authority above it, was revoked";
        assert_eq!((recorded[1].reason, recorded[1].fingerprint), (wanted, Some(sha256(&one.leaf))));
        assert_eq!(server.keeper.admissions.load(Ordering::SeqCst), 1);
        assert_eq!(server.who(&client(Some(&identity(&ours, "two")), version)).await, "admitted");
        // also when the authorities have changed
        *server.keeper.anchors.lock() = vec![ours.der().to_vec(), authority("other").der().to_vec()];
        server.tls.see_to_trust(&mut false).await;
        assert_eq!(server.who(&client(Some(&one), version)).await, "closed");
    }
}

#[tokio::test]
async fn a_stranger_does_not_fill_the_record() {
    let ours = authority("ours");
    let server = Server::start(options(ClientCertificates::Optional), &[&ours]).await;
    let stranger = client(Some(&identity(&ours, "unknown")), TLS13);
    server.set(Verdict::Refuse);
    for _ in 0..30 {
        assert_eq!(server.who(&stranger).await, "closed");
    }
    assert_eq!(server.keeper.refusals.lock().len(), 20);
    server.clock.advance(TimeDelta::seconds(61));
    assert_eq!(server.who(&stranger).await, "closed");
    assert_eq!(server.keeper.refusals.lock().last().unwrap().unrecorded, 10);
}

#[tokio::test]
async fn certificates_are_not_asked_for_if_they_are_off_or_nobody_could_have_one() {
    let ours = authority("ours");
    let off = Server::start(options(ClientCertificates::Off), &[&ours]).await;
    let none = Server::start(options(ClientCertificates::Optional), &[]).await;
    for server in [off, none] {
        for version in VERSIONS {
            assert_eq!(server.who(&client(Some(&identity(&ours, "agent")), version)).await, "nobody");
        }
        assert_eq!(server.keeper.admissions.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test]
async fn what_is_refused_or_cannot_be_looked_up_is_closed() {
    let ours = authority("ours");
    let server = Server::start(options(ClientCertificates::Optional), &[&ours]).await;
    for version in VERSIONS {
        let agent = client(Some(&identity(&ours, "agent")), version);
        for verdict in [Verdict::Refuse, Verdict::Unavailable] {
            server.set(verdict);
            assert_eq!(server.who(&agent).await, "closed");
        }
        server.set(Verdict::Admit);
        assert_eq!(server.who(&agent).await, "admitted");
    }
    // a store that does not answer is as good as one that refuses
    server.set(Verdict::Hang);
    let asked = std::time::Instant::now();
    assert_eq!(server.who(&client(Some(&identity(&ours, "agent")), TLS13)).await, "closed");
    assert!(asked.elapsed() < Duration::from_secs(5));
    assert_eq!(server.who(&client(None, TLS13)).await, "nobody");
}

#[tokio::test]
async fn a_resumed_session_is_looked_up_like_any_other() {
    let ours = authority("ours");
    for clients in [ClientCertificates::Optional, ClientCertificates::Required] {
        for version in VERSIONS {
            let server = Server::start(options(clients), &[&ours]).await;
            let agent = client(Some(&identity(&ours, "agent")), version);
            assert!(!server.visit(&agent).await.unwrap().resumed);
            let again = server.visit(&agent).await.unwrap();
            assert_eq!((again.resumed, again.who.as_str()), (true, "admitted"));
            assert_eq!(server.keeper.admissions.load(Ordering::SeqCst), 2);
            server.set(Verdict::Refuse);
            assert_eq!(server.who(&agent).await, "closed");
            assert_eq!(server.keeper.admissions.load(Ordering::SeqCst), 3);
        }
    }
}

#[tokio::test]
async fn authorities_come_and_go() {
    let (first, second) = (authority("first"), authority("second"));
    for version in VERSIONS {
        let server = Server::start(options(ClientCertificates::Optional), &[]).await;
        let (one, two) = (
            client(Some(&identity(&first, "one")), version),
            client(Some(&identity(&second, "two")), version),
        );
        assert_eq!(server.who(&one).await, "nobody");

        *server.keeper.anchors.lock() = vec![first.der().to_vec()];
        server.tls.see_to_trust(&mut false).await;
        assert_eq!(
            (server.who(&one).await.as_str(), server.who(&two).await.as_str()),
            ("admitted", "closed")
        );
        assert!(server.visit(&one).await.unwrap().resumed);

        // the store is gone: what was known stays, and each certificate is still looked up
        server.keeper.anchors_fail.store(true, Ordering::SeqCst);
        server.tls.see_to_trust(&mut false).await;
        assert_eq!(server.who(&one).await, "admitted");
        server.keeper.anchors_fail.store(false, Ordering::SeqCst);

        // its sessions end with the authority
        *server.keeper.anchors.lock() = vec![second.der().to_vec()];
        server.tls.see_to_trust(&mut false).await;
        assert_eq!(
            (server.who(&one).await.as_str(), server.who(&two).await.as_str()),
            ("closed", "admitted")
        );
    }
}

#[tokio::test]
async fn without_an_authority_nobody_has_the_required_certificate() {
    let ours = authority("ours");
    let server = Server::start(options(ClientCertificates::Required), &[]).await;
    let agent = client(Some(&identity(&ours, "agent")), TLS13);
    assert_eq!(server.who(&agent).await, "closed");
    assert_eq!(server.who(&client(None, TLS13)).await, "closed");
    // found without being told, though not as soon
    let watching = tokio::spawn(Arc::clone(&server.tls).watch());
    *server.keeper.anchors.lock() = vec![ours.der().to_vec()];
    server.keeper.changed.notify_one();
    let mut tries = 0;
    while server.who(&agent).await != "admitted" {
        tries += 1;
        assert!(tries < 100, "the authority was not found");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(server.who(&client(None, TLS13)).await, "closed");
    watching.abort();
}

#[tokio::test]
async fn many_authorities_do_not_make_handshakes_longer() {
    let authorities: Vec<_> = (0..200).map(|number| authority(&format!("authority {number}"))).collect();
    let server =
        Server::start(options(ClientCertificates::Optional), &authorities.iter().collect::<Vec<_>>()).await;
    for version in VERSIONS {
        assert_eq!(
            server.who(&client(Some(&identity(&authorities[150], "agent")), version)).await,
            "admitted"
        );
    }
}

#[tokio::test]
async fn a_handshake_has_its_time_and_its_size() {
    let server = Server::start(options(ClientCertificates::Optional), &[]).await;
    let ended = |mut stream: TcpStream, within: u64| async move {
        let mut rest = Vec::new();
        let read = tokio::time::timeout(Duration::from_secs(within), stream.read_to_end(&mut rest)).await;
        read.is_ok()
    };
    let silent = TcpStream::connect(server.address).await.unwrap();
    // a message of 16 MiB is announced
    let mut large = TcpStream::connect(server.address).await.unwrap();
    large.write_all(b"\x16\x03\x01\x40\x00\x01\xff\xff\xff").await.unwrap();
    // the listener may hang up in the middle of it
    let _ = large.write_all(&[0; 0x4000 - 4]).await;
    assert!(ended(large, 2).await);
    let mut plain = TcpStream::connect(server.address).await.unwrap();
    plain.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    assert!(ended(plain, 2).await);
    assert!(ended(silent, 8).await);
}
