//! What is signed or answered about certificates: requests in DER and PEM, and questions of OCSP.

use crate::{try_all, try_texts};
use secrethub::crypto::x509::request::CertificateRequest;
use secrethub::crypto::x509::{der_bounds, facts, ocsp, pem};
use secrethub::model::certificates::MAX_NAMES;
use secrethub_fuzz::corpus;

const WORDS: [&str; 6] =
    ["0\u{0}", "\u{30}\u{3}\u{1}\u{1}\u{7f}", "1\u{0}", "\u{5}\u{0}", "\u{2}\u{1}\u{0}", "\u{30}\u{80}"];

#[test]
fn csr() {
    let seeds = corpus("csr").unwrap();
    assert!(seeds.iter().all(|seed| CertificateRequest::from_der(seed).is_ok()));
    try_all(&seeds, &WORDS, |der| {
        let Ok(request) = CertificateRequest::from_der(der) else { return };
        assert!(der_bounds::fine(der), "within bounds, and nothing behind it");
        assert!(request.names.len() <= MAX_NAMES);
        // it is signed: hardly any edit leaves a good one
        assert!(CertificateRequest::parse(&pem::write("CERTIFICATE REQUEST", der)).is_ok());
    });
}

#[test]
fn der() {
    try_all(&corpus("csr").unwrap(), &WORDS, |bytes| {
        if der_bounds::fine(bytes) {
            let (_, content, rest) = der_bounds::split(bytes).expect("it was walked through");
            assert!(rest.is_empty() && content.len() < bytes.len());
        }
        if let Some(members) = der_bounds::members_of(bytes) {
            assert_eq!(members.concat(), bytes);
        }
        // any certificate may be shown to the server
        let _ = facts::Facts::from_der(bytes);
    });
}

#[test]
fn ocsp_request() {
    let seeds = corpus("ocsp").unwrap();
    assert!(seeds.iter().all(|seed| ocsp::parse(seed).is_some()));
    try_all(&seeds, &WORDS, |der| {
        let Some(request) = ocsp::parse(der) else { return };
        assert!(der.len() <= ocsp::MAX_REQUEST && der_bounds::fine(der));
        assert!(!request.asked.is_empty());
        for asked in &request.asked {
            let serial = asked.serial();
            assert!(
                !serial.is_empty() && serial.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':'),
                "{serial}"
            );
        }
    });
}

#[test]
fn pem_text() {
    let seeds: Vec<Vec<u8>> = corpus("csr")
        .unwrap()
        .iter()
        .map(|der| pem::write("CERTIFICATE REQUEST", der).into_bytes())
        .collect();
    let words = ["-----BEGIN A-----\n", "-----END A-----\n", "-----", "AAAA", "=", "\r\n", "\n"];
    try_texts(&seeds, &words, |text| {
        let Some(blocks) = pem::read(text, 3) else { return };
        assert!(blocks.len() <= 3);
        for block in blocks {
            assert!(!block.der.is_empty());
            let again =
                pem::read(&pem::write(&block.label, &block.der), 1).expect("what is written can be read");
            assert!(again.len() == 1 && again[0].der == block.der && again[0].label == block.label);
        }
        let _ = facts::from_pem(text);
    });
}
