use super::super::testing::{Openssl, damaged, subject};
use super::*;
use crate::model::certificates::KeyType;
use proptest::prelude::*;

const EC: &str = "-newkey ec -pkeyopt ec_paramgen_curve:P-256";

/// A request as openssl makes it: subject and extensions as in its configuration.
fn request_with(openssl: &Openssl, key: &str, subject: &str, extensions: &str) -> String {
    let wants = if extensions.is_empty() { "" } else { "req_extensions=ext\n" };
    openssl.file(
        "req.cnf",
        format!(
            "[req]\nprompt=no\nstring_mask=utf8only\ndistinguished_name=dn\n{wants}[dn]\n{subject}\n[ext]\n{extensions}\n"
        ),
    );
    openssl.run(&format!("req -new -utf8 -config req.cnf -nodes -keyout key.pem -out req.pem {key}"));
    openssl.text("req.pem")
}

fn refused(text: &str) -> String {
    let error = CertificateRequest::parse(text).unwrap_err();
    assert_eq!(error.code(), crate::error::ErrorCode::BadUserInput);
    assert_eq!(error.field(), Some("csrPem"));
    error.message().to_owned()
}

#[test]
fn requests_of_openssl_are_read() {
    let openssl = Openssl::new();
    let text = request_with(
        &openssl,
        EC,
        "C=DE\nO=Bücher\nOU=IT\nCN=web.example",
        "subjectAltName=DNS:Web.Example,DNS:web.example,DNS:*.a.example,IP:10.0.0.1,IP:2001:db8::1,URI:spiffe://prod/web\n\
         keyUsage=critical,digitalSignature\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE",
    );
    let request = CertificateRequest::parse(&text).unwrap();
    let read = request.subject.unwrap();
    assert_eq!(read.common_name, "web.example");
    assert_eq!(read.organization.as_deref(), Some("Bücher"));
    assert_eq!(read.organizational_unit.as_deref(), Some("IT"));
    let names: Vec<String> = request.names.iter().map(ToString::to_string).collect();
    assert_eq!(
        names,
        ["DNS:web.example", "DNS:*.a.example", "IP:10.0.0.1", "IP:2001:db8::1", "URI:spiffe://prod/web"]
    );
    assert_eq!(request.public_key.kind(), KeyType::EcP256);
    assert!(!request.asks_for_ca);
    assert!(CertificateRequest::parse(&openssl.run("req -in req.pem -text")).is_ok(), "with text before it");

    for (key, kind) in [
        ("-newkey ec -pkeyopt ec_paramgen_curve:P-384 -sha512", KeyType::EcP384),
        ("-newkey ed25519", KeyType::Ed25519),
        ("-newkey rsa:2048", KeyType::Rsa2048),
        ("-newkey rsa:3072 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32", KeyType::Rsa3072),
    ] {
        let request =
            CertificateRequest::parse(&request_with(&openssl, key, "O=no common name", "")).unwrap();
        assert_eq!(request.public_key.kind(), kind, "{key}");
        assert!(request.subject.is_none() && request.names.is_empty());
    }
}

#[test]
fn what_asks_to_be_an_authority_says_so() {
    let openssl = Openssl::new();
    for extensions in [
        "basicConstraints=critical,CA:TRUE",
        "keyUsage=digitalSignature,keyCertSign",
        "basicConstraints=CA:TRUE,pathlen:3",
    ] {
        let text = request_with(&openssl, EC, "CN=ca", extensions);
        assert!(CertificateRequest::parse(&text).unwrap().asks_for_ca, "{extensions}");
    }
}

#[test]
fn other_keys_are_refused() {
    let openssl = Openssl::new();
    for key in [
        "-newkey rsa:1024",
        "-newkey rsa:2048 -pkeyopt rsa_keygen_pubexp:3",
        "-newkey ec -pkeyopt ec_paramgen_curve:P-521",
        "-newkey ed448",
    ] {
        let message = refused(&request_with(&openssl, key, "CN=a", ""));
        assert!(message.contains("use a key on P-256"), "{key}: {message}");
    }
}

#[test]
fn weak_signatures_are_refused() {
    let openssl = Openssl::new();
    for hash in ["-sha1", "-sha224"] {
        assert!(
            refused(&request_with(&openssl, &format!("-newkey rsa:2048 {hash}"), "CN=a", ""))
                .contains("-sha256")
        );
    }
}

#[test]
fn other_names_are_refused() {
    let openssl = Openssl::new();
    for names in [
        "email:a@b.example",
        "RID:1.2.3.4",
        "otherName:1.2.3.4;UTF8:admin",
        "otherName:1.3.6.1.4.1.311.20.2.3;UTF8:admin@corp",
        "dirName:dn",
        "DNS:*",
        "DNS:*.com",
        "DNS:a.*.example",
        "DNS:w*.a.example",
        "DNS:*.*.example",
        "DNS:a..b",
        "DNS:a b",
        "DNS:10.0.0.1",
        "DNS:a.example.",
        "URI:web",
    ] {
        let text = request_with(&openssl, EC, "CN=a", &format!("subjectAltName={names}"));
        refused(&text);
    }
    let names = |count: usize| (0..count).map(|n| format!("DNS:{n}.example")).collect::<Vec<_>>().join(",");
    let text = request_with(&openssl, EC, "CN=a", &format!("subjectAltName={}", names(100)));
    assert_eq!(CertificateRequest::parse(&text).unwrap().names.len(), 100);
    let text = request_with(&openssl, EC, "CN=a", &format!("subjectAltName={}", names(101)));
    assert!(refused(&text).contains("100"));
}

#[test]
fn extensions_in_hex_are_read_strictly() {
    let openssl = Openssl::new();
    let with = |extension: &str| request_with(&openssl, EC, "CN=a", extension);
    assert!(CertificateRequest::parse(&with("2.5.29.17=DER:30:05:82:03:61:2e:62")).is_ok(), "a.b");
    for extension in [
        "2.5.29.17=DER:30:00",                      // no names
        "2.5.29.17=DER:30:07:82:05:61:00:2e:62:63", // NUL
        "2.5.29.17=DER:30:05:82:03:61:2e:e4",       // not ASCII
        "2.5.29.17=DER:30:81:05:82:03:61:2e:62",    // a length that is longer than it must be
        "2.5.29.17=DER:30:05:82:03:61:2e:62:05:00", // more behind it
        "2.5.29.17=DER:30:80:82:03:61:2e:62:00:00", // of indefinite length
        "2.5.29.17=DER:30:05:87:03:0a:00:00",       // three bytes of an address
        "2.5.29.17=DER:30:06:87:04:0a:00:00",       // cut short
        "2.5.29.19=DER:30:03:01:01:01",             // a boolean that is neither 0 nor 255
        "2.5.29.19=DER:30:03:01:01:00",             // a default that is written
        "2.5.29.15=DER:03:01",
        "1.2.3.4=critical,DER:05:00", // not known
    ] {
        refused(&with(extension));
    }
    assert!(CertificateRequest::parse(&with("1.2.3.4=DER:05:00")).is_ok(), "not known, not critical");
    refused(&with("2.5.29.17=DER:30:05:82:03:61:2e:62\nsubjectAltName=DNS:c.d"));
}

#[test]
fn odd_strings_in_the_subject_are_refused() {
    let openssl = Openssl::new();
    let with = |mask: &str, subject: &str| {
        openssl.file(
            "odd.cnf",
            format!("[req]\nprompt=no\nstring_mask={mask}\ndistinguished_name=dn\n[dn]\n{subject}\n"),
        );
        openssl.run(&format!("req -new -utf8 -config odd.cnf -nodes -keyout key.pem -out req.pem {EC}"));
        openssl.text("req.pem")
    };
    assert!(CertificateRequest::parse(&with("MASK:0x2", "CN=printable")).is_ok());
    // BMPString, TeletexString
    for mask in ["MASK:0x800", "MASK:0x4"] {
        assert!(refused(&with(mask, "CN=odd")).contains("UTF8String"), "{mask}");
    }
    refused(&with("utf8only", "0.CN=one\n1.CN=two"));
    refused(&with("utf8only", "O= \\ space\nCN=\\ a"));
}

#[test]
fn what_is_not_one_request_is_refused() {
    let openssl = Openssl::new();
    let good = request_with(&openssl, EC, "CN=a", "");
    let der = pem::read(&good, 1).unwrap()[0].der.clone();
    let mut more = der.to_vec();
    more.push(0);
    let old = pem::write("NEW CERTIFICATE REQUEST", &der);
    assert!(CertificateRequest::parse(&old).is_ok());
    for text in [
        String::new(),
        format!("{good}{good}"),
        pem::write("CERTIFICATE", &der),
        pem::write("CERTIFICATE REQUEST", &more),
        pem::write("CERTIFICATE REQUEST", &[0x30, 0]),
        format!("{}{good}", "#".repeat(MAX_PEM)),
    ] {
        refused(&text);
    }
}

/// A request with these attributes (content of the SET), signed by its key.
fn signed(attributes: &[u8], key: &SigningKey) -> Vec<u8> {
    signed_as(&[0x30, 0], attributes, key)
}

fn signed_as(name: &[u8], attributes: &[u8], key: &SigningKey) -> Vec<u8> {
    let mut info = vec![2, 1, 0];
    info.extend_from_slice(name);
    info.extend_from_slice(key.public_key().spki_der());
    info.extend(wrap(0xa0, attributes));
    let mut request = wrap(0x30, &info);
    let signature = [vec![0], key.sign(&request).unwrap()].concat();
    request.extend(wrap(0x30, key.signature_algorithm()));
    request.extend(wrap(0x03, &signature));
    wrap(0x30, &request)
}

fn wrap(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = u32::try_from(content.len()).unwrap().to_be_bytes();
    let short = length.iter().position(|byte| *byte != 0).unwrap_or(3);
    let mut der = vec![tag];
    if content.len() >= 0x80 {
        der.push(0x80 | u8::try_from(4 - short).unwrap());
    }
    der.extend_from_slice(&length[short..]);
    der.extend_from_slice(content);
    der
}

#[test]
fn common_names_of_every_string_type() {
    let key = SigningKey::generate(KeyType::EcP256).unwrap();
    let read = |tag: u8, text: &[u8]| {
        let attribute = wrap(0x30, &[&[6, 3, 0x55, 4, 3][..], &wrap(tag, text)].concat());
        CertificateRequest::from_der(&signed_as(&wrap(0x30, &wrap(0x31, &attribute)), &[], &key))
    };
    assert!(read(0x0c, b"web").is_ok() && read(0x13, b"web").is_ok());
    for (tag, text) in [
        (0x1c, &[0, 0, 0, 0x61][..]), // UniversalString
        (0x1e, &[0, 0x61]),           // BMPString
        (0x14, b"web"),               // TeletexString
        (0x16, b"web"),               // IA5String
        (0x04, b"web"),               // no string
        (0x0c, b"we\0b"),             // NUL
        (0x0c, b"we\xff"),            // not UTF-8
        (0x0c, b""),
        (0x13, b"w*b"), // not printable
        (0x13, b"w\0b"),
        (0x0c, &[b'a'; 65]),
    ] {
        assert!(read(tag, text).is_err(), "{tag:x}");
    }
}

#[test]
fn huge_requests_are_refused_in_little_time() {
    let key = SigningKey::generate(KeyType::EcP256).unwrap();
    assert!(CertificateRequest::from_der(&signed(&[], &key)).is_ok());
    let alt_names = |count: usize| {
        let extension = |value: &[u8]| wrap(0x30, &[&[6, 3, 0x55, 0x1d, 0x11][..], &wrap(4, value)].concat());
        let names = wrap(0x30, &wrap(0x82, b"a.example").repeat(count));
        let list = wrap(0x31, &wrap(0x30, &extension(&names)));
        let kind = [0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 14];
        wrap(0x30, &[&kind[..], &list].concat())
    };
    assert_eq!(CertificateRequest::from_der(&signed(&alt_names(100), &key)).unwrap().names.len(), 1);
    assert!(CertificateRequest::from_der(&signed(&alt_names(101), &key)).is_err());
    let start = std::time::Instant::now();
    let megabyte = pem::write("CERTIFICATE REQUEST", &signed(&alt_names(100_000), &key));
    assert!(megabyte.len() > 1_000_000);
    refused(&megabyte);
    // sets that are sorted in quadratic time, if anything sorts them
    let attribute =
        |n: u32| wrap(0x30, &[&[6, 4][..], &n.to_be_bytes().map(|byte| byte & 0x7f), &[0x31, 0]].concat());
    let many: Vec<u8> = (0..4000).rev().flat_map(attribute).collect();
    assert!(CertificateRequest::from_der(&signed(&many, &key)).is_err());
    let set: Vec<u8> = (0..60_000_u32).rev().flat_map(|n| wrap(4, &n.to_be_bytes())).collect();
    let one = wrap(0x30, &[&[6, 3, 0x2a, 3, 4][..], &wrap(0x31, &set)].concat());
    assert!(CertificateRequest::from_der(&signed(&one, &key)).is_err());
    assert!(start.elapsed() < std::time::Duration::from_secs(5));
}

#[test]
fn a_damaged_request_is_refused() {
    let openssl = Openssl::new();
    let text =
        request_with(&openssl, EC, "O=Org\nCN=web.example", "subjectAltName=DNS:web.example,IP:10.0.0.1");
    let der = pem::read(&text, 1).unwrap()[0].der.clone();
    assert!(CertificateRequest::from_der(&der).is_ok());
    for bytes in damaged(&der) {
        assert!(CertificateRequest::from_der(&bytes).is_err());
    }
}

#[test]
fn our_own_request_is_for_an_authority_elsewhere() {
    let openssl = Openssl::new();
    let key = SigningKey::generate(KeyType::EcP384).unwrap();
    let text = make(&subject("Example Issuing CA"), &key).unwrap();
    let read = openssl.file("req.pem", &text).run("req -in req.pem -verify -noout -text");
    for line in ["verify OK", "CA:TRUE", "Certificate Sign, CRL Sign", "ecdsa-with-SHA384"] {
        assert!(read.contains(line), "{line} in {read}");
    }
    let request = CertificateRequest::parse(&text).unwrap();
    assert!(request.asks_for_ca);
    assert_eq!(request.public_key, *key.public_key());
    assert_eq!(request.subject, Some(subject("Example Issuing CA")));
    assert_eq!(make(&subject(""), &key).unwrap_err().field(), Some("commonName"));
}

proptest! {
    #[test]
    fn anything_is_read_without_panic(der in proptest::collection::vec(any::<u8>(), 0..300), text in ".{0,200}") {
        prop_assert!(CertificateRequest::from_der(&der).is_err());
        prop_assert!(CertificateRequest::parse(&pem::write("CERTIFICATE REQUEST", &der)).is_err());
        prop_assert!(CertificateRequest::parse(&text).is_err());
        let _ = alt_names(&der);
    }

    #[test]
    fn extensions_of_any_bytes_are_read_without_panic(
        value in proptest::collection::vec(any::<u8>(), 0..100),
        last in prop_oneof![Just(0x0e_u8), Just(0x0f), Just(0x11), Just(0x13), Just(0x25), any::<u8>()],
    ) {
        let key = SigningKey::generate(KeyType::Ed25519).unwrap();
        let extension = wrap(0x30, &[&[6, 3, 0x55, 0x1d, last & 0x7f][..], &wrap(4, &value)].concat());
        let list = wrap(0x31, &wrap(0x30, &extension));
        let kind = [0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 14];
        let _ = CertificateRequest::from_der(&signed(&wrap(0x30, &[&kind[..], &list].concat()), &key));
    }
}
