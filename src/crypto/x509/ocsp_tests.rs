use super::super::certificate::sign;
use super::super::facts::{Facts, to_pem};
use super::super::keys::SigningKey;
use super::super::testing::{Openssl, damaged, leaf, now, root};
use super::*;
use crate::model::certificates::{CertType, KeyType};
use chrono::Duration;
use proptest::prelude::*;

/// An authority and a certificate of it, in files `root.pem` and `leaf.pem`; the serial number.
fn setting(openssl: &Openssl, kind: KeyType) -> (Issuer, String) {
    let issuer = root(kind);
    let key = SigningKey::generate(KeyType::EcP256).unwrap();
    let der = sign(&leaf(CertType::Server), key.public_key(), &issuer).unwrap();
    openssl.file("root.pem", to_pem(issuer.certificate_der())).file("leaf.pem", to_pem(&der));
    (issuer, Facts::from_der(&der).unwrap().serial)
}

fn reply(issuer: &Issuer, request: &OcspRequest, status: Status) -> Vec<u8> {
    let statuses: Vec<(CertId, Status)> = request.asked.iter().map(|id| (id.clone(), status)).collect();
    answer(issuer, &statuses, request.nonce.as_deref(), now(), now(), now() + Duration::hours(1)).unwrap()
}

#[test]
fn openssl_asks_and_believes_the_answer() {
    let openssl = Openssl::new();
    for kind in [KeyType::EcP256, KeyType::EcP384, KeyType::Ed25519, KeyType::Rsa2048] {
        let (issuer, serial) = setting(&openssl, kind);
        for hash in ["-sha1", "-sha256"] {
            openssl.run(&format!("ocsp {hash} -issuer root.pem -cert leaf.pem -reqout request.der"));
            let request = parse(&openssl.read("request.der")).unwrap();
            assert_eq!(request.asked.len(), 1);
            assert!(
                request.asked[0].is_of(&issuer) && !request.asked[0].is_of(&root(KeyType::EcP256)),
                "{hash}"
            );
            assert_eq!(request.asked[0].serial(), serial);
            assert!(request.nonce.is_some(), "openssl sends one");
            let revoked = Status::Revoked { at: now(), reason: RevocationReason::KeyCompromise };
            let quietly = Status::Revoked { at: now(), reason: RevocationReason::Unspecified };
            for (status, shown) in [
                (Status::Good, "leaf.pem: good"),
                (revoked, "Reason: keyCompromise"),
                (quietly, "leaf.pem: revoked"),
                (Status::Unknown, "leaf.pem: unknown"),
            ] {
                openssl.file("response.der", reply(&issuer, &request, status));
                let text = openssl.run(&format!(
                    "ocsp {hash} -no_nonce -reqin request.der -issuer root.pem -cert leaf.pem -respin response.der -CAfile root.pem"
                ));
                assert!(
                    text.contains("Response verify OK") && text.contains(shown),
                    "{kind} {shown} in {text}"
                );
                assert!(!text.contains("WARNING"), "the nonce comes back: {text}");
                assert!(!text.contains("Reason: unspecified"), "{text}");
            }
        }
    }
}

#[test]
fn answers_have_no_nonce_that_was_not_sent() {
    let openssl = Openssl::new();
    let (issuer, _) = setting(&openssl, KeyType::EcP256);
    openssl.run("ocsp -no_nonce -issuer root.pem -cert leaf.pem -reqout request.der");
    let request = parse(&openssl.read("request.der")).unwrap();
    assert_eq!(request.nonce, None);
    openssl.file("response.der", reply(&issuer, &request, Status::Good));
    let text = openssl.run(
        "ocsp -no_nonce -issuer root.pem -cert leaf.pem -respin response.der -CAfile root.pem -resp_text",
    );
    assert!(text.contains("Response verify OK") && !text.contains("OCSP Nonce"), "{text}");
}

#[test]
fn an_answer_by_another_authority_is_not_believed() {
    let openssl = Openssl::new();
    setting(&openssl, KeyType::EcP256);
    openssl.run("ocsp -issuer root.pem -cert leaf.pem -reqout request.der");
    let request = parse(&openssl.read("request.der")).unwrap();
    openssl.file("response.der", reply(&root(KeyType::EcP256), &request, Status::Good));
    let (_, text) =
        openssl.try_run("ocsp -issuer root.pem -cert leaf.pem -respin response.der -CAfile root.pem");
    assert!(!text.contains("Response verify OK"), "{text}");
}

#[test]
fn openssl_reads_failures() {
    let openssl = Openssl::new();
    for (reason, shown) in [
        (Failure::MalformedRequest, "malformedrequest"),
        (Failure::InternalError, "internalerror"),
        (Failure::TryLater, "trylater"),
        (Failure::Unauthorized, "unauthorized"),
    ] {
        let (_, text) = openssl
            .file("response.der", failure(reason))
            .try_run("ocsp -respin response.der -resp_text -noverify");
        assert!(text.contains(shown), "{text}");
    }
}

#[test]
fn requests_have_bounds() {
    let openssl = Openssl::new();
    setting(&openssl, KeyType::EcP256);
    let ask = |count: usize| {
        let serials: String = (1..=count).map(|n| format!(" -serial {n}")).collect();
        openssl.run(&format!("ocsp -issuer root.pem{serials} -reqout request.der"));
        parse(&openssl.read("request.der"))
    };
    let ten = ask(10).unwrap();
    assert_eq!(ten.asked[9].serial(), "0a");
    assert!(ask(11).is_none());
    assert!(ask(200).is_none());
    let (_, _) = openssl.try_run("ocsp -issuer root.pem -serial -5 -reqout negative.der");
    assert!(parse(&vec![0x30; MAX_REQUEST + 1]).is_none());
}

/// A request with these extensions.
fn request_with(extensions: Vec<Extension>) -> Option<OcspRequest> {
    let openssl = Openssl::new();
    setting(&openssl, KeyType::EcP256);
    openssl.run("ocsp -no_nonce -issuer root.pem -cert leaf.pem -reqout request.der");
    let mut request = x509_ocsp::OcspRequest::from_der(&openssl.read("request.der")).unwrap();
    request.tbs_request.request_extensions = Some(extensions);
    parse(&request.to_der().unwrap())
}

#[test]
fn nonces_and_extensions_have_bounds() {
    let nonce = |length: usize| nonce_extension(&vec![7; length]).unwrap();
    for length in [1, 32, 128] {
        assert_eq!(request_with(vec![nonce(length)]).unwrap().nonce, Some(vec![7; length]));
    }
    for extensions in [vec![nonce(0)], vec![nonce(129)], vec![nonce(1), nonce(2)]] {
        assert!(request_with(extensions).is_none());
    }
    let other = |critical| Extension { extn_id: SHA1, critical, extn_value: octets(&[5, 0]).unwrap() };
    assert!(request_with(vec![other(false)]).is_some());
    assert!(request_with(vec![other(true)]).is_none());
    let raw = Extension { extn_id: NONCE, critical: false, extn_value: octets(&[1, 2, 3]).unwrap() };
    assert!(request_with(vec![raw]).is_none(), "a nonce is an OCTET STRING");
}

#[test]
fn hashes_that_are_not_known_and_negative_numbers_match_nothing() {
    let openssl = Openssl::new();
    let (issuer, _) = setting(&openssl, KeyType::EcP256);
    openssl.run("ocsp -sha384 -issuer root.pem -cert leaf.pem -reqout request.der");
    let request = parse(&openssl.read("request.der")).unwrap();
    assert!(!request.asked[0].is_of(&issuer));
    openssl.run("ocsp -no_nonce -issuer root.pem -serial 0x7f -reqout request.der");
    let mut der = openssl.read("request.der");
    assert_eq!(parse(&der).unwrap().asked[0].serial(), "7f");
    *der.last_mut().unwrap() = 0x80;
    assert!(parse(&der).is_none());
}

#[test]
fn damaged_requests_do_no_harm() {
    let openssl = Openssl::new();
    let (issuer, _) = setting(&openssl, KeyType::EcP256);
    openssl.run("ocsp -issuer root.pem -cert leaf.pem -reqout request.der");
    for der in damaged(&openssl.read("request.der")) {
        if let Some(request) = parse(&der) {
            assert!(request.asked.iter().all(|id| id.serial().len() <= 40));
            let _ = request.asked[0].is_of(&issuer);
            assert!(!reply(&issuer, &request, Status::Unknown).is_empty());
        }
    }
}

proptest! {
    #[test]
    fn anything_is_read_without_panic(der in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&der);
    }
}
