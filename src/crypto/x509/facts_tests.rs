use super::super::certificate::{self_signed, sign};
use super::super::keys::SigningKey;
use super::super::testing::{Openssl, damaged, leaf, profile, root};
use super::*;
use crate::model::certificates::CertType;
use proptest::prelude::*;

#[test]
fn foreign_certificates_are_read() {
    let openssl = Openssl::new();
    openssl.file(
        "c.cnf",
        "[req]\nprompt=no\ndistinguished_name=dn\nx509_extensions=ext\n[dn]\nC=DE\nDC=example\nO=a+b, \\\"c\\\"\nCN=\\#x\n[ext]\n\
         subjectAltName=email:a@b.example,RID:1.2.3.4,otherName:1.2.3.4;UTF8:x,dirName:name,DNS:a.example,IP:10.0.0.1\n\
         extendedKeyUsage=codeSigning,1.2.3.4\nkeyUsage=keyAgreement,decipherOnly\n1.2.3.4.5=critical,DER:05:00\n[name]\nO=a\nCN=b\n",
    );
    openssl.run(
        "req -x509 -config c.cnf -newkey ec -pkeyopt ec_paramgen_curve:P-521 -nodes -keyout k.pem -out c.pem -set_serial 0xff01",
    );
    let der = from_pem(&openssl.text("c.pem")).unwrap().remove(0);
    let facts = Facts::from_der(&der).unwrap();
    assert_eq!(facts.serial, "ff01");
    assert_eq!(facts.subject, "CN=\\#x,O=a\\+b\\, \\\"c\\\",DC=example,C=DE");
    assert_eq!(facts.subject, facts.issuer);
    assert_eq!(facts.key, None, "P-521 is of no accepted kind");
    assert_eq!(
        facts.key_usage,
        ["key_agreement", "decipher_only", "code_signing", "1.2.3.4"].map(str::to_owned)
    );
    assert_eq!(
        facts.names[..3],
        ["email:a@b.example", "RID:1.2.3.4", "otherName:1.2.3.4"].map(str::to_owned)
    );
    assert!(facts.names[3].starts_with("dirName:CN=b,O=a"), "{:?}", facts.names);
    assert_eq!(facts.names[4..], ["DNS:a.example", "IP:10.0.0.1"].map(str::to_owned));
    let printed = openssl.run("x509 -in c.pem -noout -fingerprint -sha256").replace(':', "").to_lowercase();
    assert!(printed.contains(&HEXLOWER.encode(&facts.fingerprint)));
    assert!(is_signed_by(&der, &der).unwrap(), "other keys than ours are verified too");
}

#[test]
fn chains_have_bounds() {
    let one = to_pem(root(KeyType::EcP256).certificate_der());
    assert_eq!(from_pem(&one.repeat(10)).unwrap().len(), 10);
    let key = SigningKey::generate(KeyType::EcP256).unwrap().to_pem().unwrap();
    for text in [
        String::new(),
        one.repeat(11),
        one.replace("CERTIFICATE", "X509 CRL"),
        format!("{one}{}", *key),
        format!("{one}-----BEGIN CERTIFICATE-----"),
        " ".repeat(MAX_PEM) + &one,
    ] {
        assert_eq!(from_pem(&text).unwrap_err().field(), Some("certificatePem"));
    }
}

#[test]
fn signatures_by_others_and_under_other_names_are_told() {
    let first = root(KeyType::EcP256);
    let second = root(KeyType::EcP256);
    let key = SigningKey::generate(KeyType::EcP256).unwrap();
    let der = sign(&leaf(CertType::Server), key.public_key(), &first).unwrap();
    assert!(is_signed_by(&der, first.certificate_der()).unwrap());
    assert!(!is_signed_by(&der, second.certificate_der()).unwrap(), "the same name, another key");
    let renamed = self_signed(&profile(CertType::RootCa, "Other name"), first.key()).unwrap();
    assert!(!is_signed_by(&der, &renamed).unwrap(), "the same key, another name");
    assert!(is_signed_by(&der, b"nothing").is_err());
}

#[test]
fn negative_serial_numbers_are_refused() {
    let openssl = Openssl::new();
    openssl.run("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout k.pem -out c.pem -subj /CN=a -set_serial -5");
    let der = from_pem(&openssl.text("c.pem")).unwrap().remove(0);
    assert!(Facts::from_der(&der).is_err());
    assert_eq!(serial(&[0xff]), None);
    assert_eq!(serial(&[]), None);
    assert_eq!(serial(&[0, 0xff]).as_deref(), Some("ff"));
    assert_eq!(serial(&[0]).as_deref(), Some("00"));
}

#[test]
fn a_damaged_certificate_is_refused_or_not_signed() {
    let root = root(KeyType::EcP256);
    let key = SigningKey::generate(KeyType::EcP256).unwrap();
    let der = sign(&leaf(CertType::Server), key.public_key(), &root).unwrap();
    for bytes in damaged(&der) {
        let _ = Facts::from_der(&bytes);
        assert!(!is_signed_by(&bytes, root.certificate_der()).unwrap_or(false));
    }
    let mut more = der;
    more.push(0);
    assert!(Facts::from_der(&more).is_err());
}

proptest! {
    #[test]
    fn anything_is_read_without_panic(der in proptest::collection::vec(any::<u8>(), 0..300), text in ".{0,200}") {
        prop_assert!(Facts::from_der(&der).is_err());
        prop_assert!(from_pem(&text).is_err());
        prop_assert!(is_signed_by(&der, &der).is_err());
    }

    #[test]
    fn a_certificate_with_any_bytes_in_it_is_read_without_panic(
        at in 0_usize..500,
        bytes in proptest::collection::vec(any::<u8>(), 1..20),
    ) {
        static CERTIFICATE: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        let mut der = CERTIFICATE.get_or_init(|| root(KeyType::EcP256).certificate_der().to_vec()).clone();
        let at = at.min(der.len() - 1);
        let end = (at + bytes.len()).min(der.len());
        der.splice(at..end, bytes);
        let _ = Facts::from_der(&der);
    }
}
