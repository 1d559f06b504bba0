//! What the server shows of itself.

use super::*;
use crate::service::certificates::own::Standing;
use rustls::client::danger::ServerCertVerifier;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn named(names: &[&str]) -> Option<Vec<AltName>> {
    Some(names.iter().map(|name| AltName::Dns((*name).to_owned())).collect())
}

fn write(path: &Path, text: &str, mode: u32) {
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

/// PEM texts of a new pair, and its certificate.
fn pair() -> (String, String, Vec<u8>) {
    let key = KeyPair::generate().unwrap();
    let made =
        params("files", start_of_time(), start_of_time() + TimeDelta::days(1)).self_signed(&key).unwrap();
    (made.pem(), key.serialize_pem(), made.der().to_vec())
}

struct Files {
    files: TlsFiles,
    _folder: tempfile::TempDir,
}

fn files(cert: &str, key: &str) -> Files {
    let folder = tempfile::tempdir().unwrap();
    let files = TlsFiles { cert: folder.path().join("cert.pem"), key: folder.path().join("key.pem") };
    write(&files.cert, cert, 0o644);
    write(&files.key, key, 0o600);
    Files { files, _folder: folder }
}

fn of_files(files: &Files) -> TlsOptions {
    TlsOptions { files: Some(files.files.clone()), names: None, clients: ClientCertificates::Optional }
}

#[tokio::test]
async fn files_are_read_again_and_old_connections_go_on() {
    let (cert, key, first) = pair();
    let files = files(&cert, &key);
    let server = Server::start(of_files(&files), &[]).await;
    assert_eq!(server.served().await, first);
    let mut old = connect(server.address, &client(None, TLS13)).await.unwrap();
    assert_eq!(ask(&mut old).await.unwrap(), "nobody");

    let (cert, key, second) = pair();
    let broken = [
        // half of a certificate, of a key, or of the pair
        (cert[..cert.len() / 2].to_owned(), key.clone(), 0o600),
        (cert.clone(), key[..key.len() / 2].to_owned(), 0o600),
        (cert.clone(), pair().1, 0o600),
        (String::new(), String::new(), 0o600),
        ("no PEM".to_owned(), key.clone(), 0o600),
        (cert.clone(), key.clone(), 0o644),
    ];
    for (cert, key, mode) in broken {
        write(&files.files.cert, &cert, 0o644);
        write(&files.files.key, &key, mode);
        for forced in [false, true] {
            server.tls.see_to_files(forced).await;
            assert_eq!(server.served().await, first);
        }
    }
    std::fs::remove_file(&files.files.cert).unwrap();
    server.tls.see_to_files(false).await;
    assert_eq!(server.served().await, first);

    write(&files.files.cert, &cert, 0o644);
    write(&files.files.key, &key, 0o600);
    server.tls.see_to_files(false).await;
    assert_eq!(server.served().await, second);
    assert_eq!(ask(&mut old).await.unwrap(), "nobody");
}

#[tokio::test]
async fn files_are_watched_and_read_at_once_when_told() {
    let (cert, key, first) = pair();
    let files = files(&cert, &key);
    let server = Server::start(of_files(&files), &[]).await;
    let watching = tokio::spawn(Arc::clone(&server.tls).watch());
    assert_eq!(server.served().await, first);
    let (cert, key, second) = pair();
    write(&files.files.key, &key, 0o600);
    write(&files.files.cert, &cert, 0o644);
    server.tls.reload();
    let told = std::time::Instant::now();
    while server.served().await != second {
        assert!(told.elapsed() < Duration::from_secs(4), "the files were not read");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    watching.abort();
}

#[test]
fn broken_files_are_named_at_start() {
    let (cert, key, _) = pair();
    for (cert, key, field) in [
        (cert.as_str(), pair().1.as_str(), "listener.tls_key"),
        (&cert, "", "listener.tls_key"),
        ("", &key, "listener.tls_cert"),
    ] {
        let error = of_files(&files(cert, key)).prepare(start_of_time()).err().unwrap();
        assert_eq!(error.field(), Some(field));
    }
    let fine = of_files(&files(&cert, &key)).prepare(start_of_time()).unwrap();
    assert_eq!(fine.fingerprint().len(), 64);
}

#[tokio::test]
async fn the_certificate_is_self_signed_until_there_is_an_authority() {
    let options = TlsOptions {
        files: None,
        names: named(&["localhost", "vault.example"]),
        clients: ClientCertificates::Optional,
    };
    let server = Server::start(options, &[]).await;
    let names = server.tls.names.clone().unwrap();
    let first = server.served().await;
    // a client that was given the certificate takes it for its names and no others, as long as it is valid
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from(first.clone())).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
    let verifier = verifier.build().unwrap();
    let verify = |name: &'static str, time: DateTime<Utc>| {
        let time = UnixTime::since_unix_epoch(Duration::from_secs(time.timestamp().try_into().unwrap()));
        let name = ServerName::try_from(name).unwrap();
        verifier.verify_server_cert(&CertificateDer::from(first.clone()), &[], &name, &[], time).is_ok()
    };
    assert!(verify("vault.example", start_of_time()));
    assert!(!verify("other.example", start_of_time()));
    assert!(!verify("vault.example", start_of_time() + TimeDelta::days(400)));

    assert_eq!(server.tls.see_to_own(&names).await, issued::Outlook::Waiting);
    assert_eq!(server.served().await, first);
    *server.keeper.issuer.lock() = Some(authority("ours"));
    assert_eq!(server.tls.see_to_own(&names).await, issued::Outlook::Good);
    assert_ne!(server.served().await, first);
}

#[tokio::test]
async fn an_issued_certificate_is_renewed_at_two_thirds_of_its_life() {
    let (cert, key, of_files) = pair();
    let files = files(&cert, &key);
    let options = TlsOptions {
        files: Some(files.files.clone()),
        names: named(&["localhost"]),
        clients: ClientCertificates::Off,
    };
    let server = Server::start(options, &[]).await;
    let names = server.tls.names.clone().unwrap();
    assert_eq!(server.served().await, of_files);
    *server.keeper.issuer.lock() = Some(authority("ours"));
    server.tls.see_to_own(&names).await;
    let first = server.served().await;
    assert_ne!(first, of_files);

    let mut old = connect(server.address, &client(None, TLS12)).await.unwrap();
    assert_eq!(ask(&mut old).await.unwrap(), "nobody");
    server.clock.advance(TimeDelta::minutes(119));
    assert_eq!(server.tls.see_to_own(&names).await, issued::Outlook::Good);
    assert_eq!(server.served().await, first);
    server.clock.advance(TimeDelta::minutes(1));
    assert_eq!(server.tls.see_to_own(&names).await, issued::Outlook::Good);
    let second = server.served().await;
    assert_ne!(second, first);
    assert_eq!(ask(&mut old).await.unwrap(), "nobody");
    assert_eq!(server.keeper.issued.load(Ordering::SeqCst), 2);

    // sealed meanwhile: it is used as long as it is valid, then the one of the files is
    let issuer = server.keeper.issuer.lock().take();
    server.clock.advance(TimeDelta::minutes(179));
    assert_eq!(server.tls.see_to_own(&names).await, issued::Outlook::Waiting);
    assert_eq!(server.served().await, second);
    server.clock.advance(TimeDelta::minutes(1));
    server.tls.see_to_own(&names).await;
    assert_eq!(server.served().await, of_files);
    *server.keeper.issuer.lock() = issuer;
    assert_eq!(server.tls.see_to_own(&names).await, issued::Outlook::Good);
    assert_ne!(server.served().await, of_files);
}

#[tokio::test]
async fn an_issued_certificate_that_was_revoked_is_replaced_but_not_over_and_over() {
    let options =
        TlsOptions { files: None, names: named(&["localhost"]), clients: ClientCertificates::Optional };
    let server = Server::start(options, &[]).await;
    let names = server.tls.names.clone().unwrap();
    let base = server.served().await;
    *server.keeper.issuer.lock() = Some(authority("ours"));
    server.tls.see_to_own(&names).await;
    let first = server.served().await;

    server.clock.advance(TimeDelta::minutes(1));
    *server.keeper.standing.lock() = Standing::Fallen;
    assert_eq!(server.tls.see_to_own(&names).await, issued::Outlook::Good);
    let second = server.served().await;
    assert!(second != first && second != base);
    assert_eq!(server.tls.see_to_own(&names).await, issued::Outlook::Failed);
    assert_eq!(server.served().await, base);
    assert_eq!(server.keeper.issued.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_issued_certificate_follows_the_default_authority() {
    let options =
        TlsOptions { files: None, names: named(&["localhost"]), clients: ClientCertificates::Optional };
    let server = Server::start(options, &[]).await;
    let names = server.tls.names.clone().unwrap();
    *server.keeper.issuer.lock() = Some(authority("root"));
    server.tls.see_to_own(&names).await;
    let first = server.served().await;
    // the next default is there a second later
    *server.keeper.issuer.lock() = Some(authority("below"));
    *server.keeper.standing.lock() = Standing::Superseded;
    server.clock.advance(TimeDelta::seconds(1));
    assert_eq!(server.tls.see_to_own(&names).await, issued::Outlook::Good);
    assert_eq!(server.served().await, first, "not over and over");
    server.clock.advance(TimeDelta::seconds(30));
    assert_eq!(server.tls.see_to_own(&names).await, issued::Outlook::Good);
    let second = server.served().await;
    assert_ne!(second, first);
    // one that the new default cannot give is no reason to drop what is good
    *server.keeper.issuer.lock() = None;
    server.clock.advance(TimeDelta::seconds(60));
    assert_eq!(server.tls.see_to_own(&names).await, issued::Outlook::Waiting);
    assert_eq!(server.served().await, second);
}

#[tokio::test]
async fn both_versions_of_http_are_offered() {
    let (cert, key, _) = pair();
    let server = Server::start(of_files(&files(&cert, &key)), &[]).await;
    for (offered, chosen) in [("h2", "h2"), ("http/1.1", "http/1.1")] {
        let mut config = Arc::unwrap_or_clone(client(None, TLS13));
        config.alpn_protocols = vec![offered.as_bytes().to_vec()];
        let mut stream = connect(server.address, &Arc::new(config)).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(chosen.as_bytes()));
        if chosen == "h2" {
            stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
            let mut frame = [0; 9];
            stream.read_exact(&mut frame).await.unwrap();
            assert_eq!(frame[3], 4, "the server's settings");
        } else {
            assert_eq!(ask(&mut stream).await.unwrap(), "nobody");
        }
    }
}
