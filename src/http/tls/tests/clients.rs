//! Who is let in.

use super::*;

fn options(clients: ClientCertificates) -> TlsOptions {
    TlsOptions { files: None, names: Some(vec![AltName::Dns("localhost".to_owned())]), clients }
}

/// Certificates that no connection may come about with.
fn bad_ones(good: &Authority) -> Vec<(&'static str, Identity)> {
    let (now, hour) = (start_of_time(), TimeDelta::hours(1));
    let of = |begins, ends, usage| signed(good, params("bad", begins, ends), usage);
    vec![
        ("another authority", identity(&authority("stranger"), "bad")),
        ("an authority of the same name", identity(&authority("ours"), "bad")),
        ("expired", of(now - hour * 2, now - hour, ExtendedKeyUsagePurpose::ClientAuth)),
        ("not yet valid", of(now + hour, now + hour * 2, ExtendedKeyUsagePurpose::ClientAuth)),
        ("for servers", of(now - hour, now + hour, ExtendedKeyUsagePurpose::ServerAuth)),
    ]
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
    for (what, bad) in bad_ones(&ours) {
        for version in VERSIONS {
            assert_eq!(server.who(&client(Some(&bad), version)).await, "closed", "{what}");
        }
    }
    assert_eq!(server.keeper.admissions.load(Ordering::SeqCst), 2, "a handshake that failed was looked up");
}

#[tokio::test]
async fn required_certificates_are_required_in_both_versions() {
    let ours = authority("ours");
    let server = Server::start(options(ClientCertificates::Required), &[&ours]).await;
    for version in VERSIONS {
        assert_eq!(server.who(&client(None, version)).await, "closed");
        assert_eq!(server.who(&client(Some(&identity(&ours, "agent")), version)).await, "admitted");
        for (what, bad) in bad_ones(&ours) {
            assert_eq!(server.who(&client(Some(&bad), version)).await, "closed", "{what}");
        }
    }
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
