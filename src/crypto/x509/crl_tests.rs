use super::super::certificate::new_serial;
use super::super::testing::{Openssl, now, root};
use super::*;
use crate::model::certificates::KeyType;
use chrono::Duration;
use data_encoding::HEXUPPER;

fn pem_of(issuer: &Issuer) -> String {
    super::super::facts::to_pem(issuer.certificate_der())
}

#[test]
fn openssl_reads_what_is_revoked_and_why() {
    let openssl = Openssl::new();
    for kind in [KeyType::EcP256, KeyType::EcP384, KeyType::Ed25519, KeyType::Rsa2048] {
        let issuer = root(kind);
        let revoked_at = now() - Duration::days(1);
        let entries: Vec<RevokedEntry> = RevocationReason::ALL
            .iter()
            .map(|reason| RevokedEntry { serial: new_serial(), revoked_at, reason: *reason })
            .collect();
        let list = make(&issuer, 300, now(), now() + Duration::days(7), &entries).unwrap();
        openssl.file("root.pem", pem_of(&issuer)).file("crl.der", &list);
        let text = openssl.run("crl -inform DER -in crl.der -noout -text -CAfile root.pem -verify");
        for line in [
            "verify OK",
            "Version 2 (0x1)",
            "X509v3 CRL Number: \n                300",
            "X509v3 Authority Key Identifier",
            "Key Compromise",
            "CA Compromise",
            "Affiliation Changed",
            "Superseded",
            "Cessation Of Operation",
            "Privilege Withdrawn",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert!(!text.contains("Unspecified"), "left out");
        for entry in entries {
            assert!(text.contains(&HEXUPPER.encode(&entry.serial)));
        }
    }
}

#[test]
fn an_empty_list_has_no_empty_sequence() {
    let issuer = root(KeyType::EcP256);
    let list = make(&issuer, 1, now(), now() + Duration::days(7), &[]).unwrap();
    let openssl = Openssl::new();
    openssl.file("root.pem", pem_of(&issuer)).file("crl.der", &list);
    let text = openssl.run("crl -inform DER -in crl.der -noout -text -CAfile root.pem -verify");
    assert!(text.contains("No Revoked Certificates") && text.contains("verify OK"), "{text}");
}

#[test]
fn numbers_grow_as_large_as_they_may() {
    let issuer = root(KeyType::EcP256);
    let openssl = Openssl::new();
    for (number, shown) in
        [(0, "crlNumber=0x0"), (255, "crlNumber=0xFF"), (u64::MAX, "crlNumber=0xFFFFFFFFFFFFFFFF")]
    {
        let list = make(&issuer, number, now(), now() + Duration::days(7), &[]).unwrap();
        let text = openssl.file("crl.der", &list).run("crl -inform DER -in crl.der -noout -crlnumber");
        assert!(text.trim_end().eq_ignore_ascii_case(shown) || number == 0 && text.contains("0x0"), "{text}");
    }
}

#[test]
fn a_list_is_followed_by_another_later() {
    let issuer = root(KeyType::EcP256);
    assert!(make(&issuer, 1, now(), now(), &[]).is_err());
}

#[test]
fn large_lists_are_fine() {
    let issuer = root(KeyType::EcP256);
    let entries: Vec<RevokedEntry> = (0..20_000)
        .map(|_| RevokedEntry {
            serial: new_serial(),
            revoked_at: now(),
            reason: RevocationReason::Superseded,
        })
        .collect();
    let list = make(&issuer, 1, now(), now() + Duration::days(7), &entries).unwrap();
    let openssl = Openssl::new();
    openssl.file("root.pem", pem_of(&issuer)).file("crl.der", &list);
    let text = openssl.run("crl -inform DER -in crl.der -noout -text -CAfile root.pem -verify");
    assert_eq!(text.matches("Serial Number:").count(), entries.len());
    assert!(text.contains("verify OK"));
}
