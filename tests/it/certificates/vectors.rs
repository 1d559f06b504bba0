//! X.509 vectors that others made (NIST PKITS, and the odd ones of the library `cryptography`): nothing panics, what is forged is
//! refused, and what is read says the same as by that library.

use data_encoding::BASE64;
use secrethub::crypto::x509::chain::Chain;
use secrethub::crypto::x509::facts::{self, Facts};
use secrethub::crypto::x509::ocsp;
use secrethub::crypto::x509::request::CertificateRequest;
use secrethub::model::certificates::{AltName, Subject};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

/// Of PKITS, not read here: a serial number is positive (RFC 5280, 4.1.2.2), and time begins in 1970.
const UNREAD: [&str; 2] =
    ["InvalidNegativeSerialNumberTest15EE.crt", "Validpre2000UTCnotBeforeDateTest3EE.crt"];

struct Vectors(Vec<Value>);

impl Vectors {
    /// As `tests/x509_vectors.py` prints them.
    fn read() -> Self {
        let folder = std::env::var("SECRETHUB_TEST_PKILINT")
            .expect("SECRETHUB_TEST_PKILINT: run tests/run, which installs pkilint and the vectors");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/x509_vectors.py");
        let ended = Command::new(Path::new(&folder).join("python")).arg(script).output().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        let text = String::from_utf8(ended.stdout).unwrap();
        Self(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    }

    /// Those of a kind, with their names and bytes.
    fn of(&self, kind: &'static str) -> impl Iterator<Item = (&str, Vec<u8>, &Value)> {
        self.0.iter().filter(move |vector| vector["kind"] == kind).map(|vector| {
            let der = BASE64.decode(vector["der"].as_str().unwrap().as_bytes()).unwrap();
            (vector["file"].as_str().unwrap(), der, &vector["facts"])
        })
    }

    /// The certificates of PKITS by the names of their files.
    fn pkits(&self) -> HashMap<&str, Vec<u8>> {
        let prefix = "PKITS_data/certs/";
        self.of("certificate").filter_map(|(file, der, _)| Some((file.strip_prefix(prefix)?, der))).collect()
    }
}

#[test]
fn requests() {
    let vectors = Vectors::read();
    let mut taken = Vec::new();
    for (file, der, facts) in vectors.of("request") {
        let Ok(request) = CertificateRequest::from_der(&der) else { continue };
        assert_eq!(facts["signature"], json!(true), "{file}: its signature does not hold, and it was taken");
        let names: Vec<String> = request.names.iter().map(ToString::to_string).collect();
        assert_eq!(json!(names), facts["names"], "{file}");
        let common_names: Vec<String> =
            request.subject.into_iter().map(|subject| subject.common_name).collect();
        assert_eq!(json!(common_names), facts["commonNames"], "{file}");
        taken.push(file);
    }
    // all whose signature holds: the rest is forged, damaged, or signed by what nobody should use any more
    let good: Vec<&str> = vectors
        .of("request")
        .filter(|(_, _, facts)| facts["signature"] == json!(true))
        .map(|(file, _, _)| file)
        .collect();
    assert_eq!(taken, good);
    assert!(good.len() >= 5, "{good:?}");
}

#[test]
fn certificates() {
    let vectors = Vectors::read();
    let (mut read, mut refused) = (0, Vec::new());
    for (file, der, facts) in vectors.of("certificate") {
        let Ok(found) = Facts::from_der(&der) else {
            if !facts.is_null() {
                refused.push(file);
            }
            continue;
        };
        if facts.is_null() {
            continue;
        }
        read += 1;
        let serial = facts["serial"].as_str().unwrap();
        assert_eq!(found.serial.trim_start_matches('0'), serial.trim_start_matches('0'), "{file}");
        assert_eq!(json!(found.not_before.timestamp()), facts["notBefore"], "{file}");
        assert_eq!(json!(found.not_after.timestamp()), facts["notAfter"], "{file}");
        assert_eq!(json!(found.is_ca), facts["isCa"], "{file}");
        assert_eq!(json!(found.max_path_length), facts["pathLength"], "{file}");
        if let (Some(name), [one]) = (&found.common_name, facts["commonNames"].as_array().unwrap().as_slice())
        {
            assert_eq!(one, name, "{file}");
        }
        for (ours, theirs) in found.names.iter().zip(facts["names"].as_array().unwrap()) {
            assert!(theirs == "other" || theirs == ours, "{file}: {ours}, {theirs}");
        }
    }
    assert!(read > 450, "{read} were read; not: {refused:?}");
    let of_pkits: Vec<_> = refused.iter().filter_map(|file| file.strip_prefix("PKITS_data/certs/")).collect();
    assert_eq!(of_pkits, UNREAD);
}

/// Whether one has signed the other, over all pairs of PKITS that agree in the name.
#[test]
fn signatures() {
    let vectors = Vectors::read();
    let certificates = vectors.pkits();
    let (mut signed, mut not, mut differ) = (0, 0, Vec::new());
    for pair in vectors.0.iter().filter(|vector| vector["kind"] == "pair") {
        let name = |field: &str| pair[field].as_str().unwrap().rsplit('/').next().unwrap();
        let (file, issuer) = (name("file"), name("issuer"));
        let ours = facts::is_signed_by(&certificates[file], &certificates[issuer]).unwrap_or(false);
        if json!(ours) != pair["signed"] {
            assert!(!ours, "{file} by {issuer} is taken here only");
            differ.push(file);
        }
        if ours { signed += 1 } else { not += 1 }
    }
    assert!(signed > 300 && not > 50, "{signed} {not}");
    // its serial number does not matter for who has signed it
    assert_eq!(differ, UNREAD[1..]);
    let forged = [
        ("InvalidEESignatureTest3EE.crt", "GoodCACert.crt"),
        ("BadSignedCACert.crt", "TrustAnchorRootCertificate.crt"),
    ];
    for (file, issuer) in forged {
        assert!(!facts::is_signed_by(&certificates[file], &certificates[issuer]).unwrap(), "{file}");
    }
}

/// The tests of PKITS (4.13) whose names are of forms that are issued here.
#[test]
fn name_constraints() {
    let vectors = Vectors::read();
    let certificates = vectors.pkits();
    for (form, numbers) in [("DNS", 30..=33), ("URI", 34..=37), ("DNS", 38..=38)] {
        for number in numbers {
            let end = format!("{form}nameConstraintsTest{number}EE.crt");
            let find = |verdict: &str| certificates.get(format!("{verdict}{end}").as_str());
            let (valid, der) = match (find("Valid"), find("Invalid")) {
                (Some(der), None) => (true, der),
                (None, Some(der)) => (false, der),
                _ => panic!("{end} is not there"),
            };
            let found = Facts::from_der(der).unwrap();
            let issuer = certificates.values().find(|issuer| {
                Facts::from_der(issuer).is_ok_and(|issuer| issuer.subject_der == found.issuer_der)
                    && facts::is_signed_by(der, issuer).unwrap()
            });
            let chain = Chain::read(&[issuer.unwrap().clone()]).unwrap();
            let names: Vec<AltName> = found.names.iter().map(|name| AltName::parse(name).unwrap()).collect();
            assert!(!names.is_empty());
            let subject = Subject { common_name: "x".to_owned(), ..Subject::default() };
            assert_eq!(chain.allow(&subject, &names, false).is_ok(), valid, "{end}: {names:?}");
        }
    }
}

/// Every file is given to every reader.
#[test]
fn nothing_panics() {
    let vectors = Vectors::read();
    let mut count = 0;
    for kind in ["request", "certificate", "other"] {
        for (_, der, _) in vectors.of(kind) {
            let _ = CertificateRequest::from_der(&der);
            let _ = Facts::from_der(&der);
            let _ = ocsp::parse(&der);
            let _ = Chain::read(std::slice::from_ref(&der));
            let _ = facts::is_signed_by(&der, &der);
            // cut short, and with one byte changed
            for at in (0..der.len()).step_by(der.len() / 24 + 1) {
                let _ = Facts::from_der(&der[..at]);
                let _ = CertificateRequest::from_der(&der[..at]);
                let mut changed = der.clone();
                changed[at] ^= 0x21;
                let _ = Facts::from_der(&changed);
                let _ = CertificateRequest::from_der(&changed);
                let _ = ocsp::parse(&changed);
            }
            count += 1;
        }
    }
    assert!(count > 700, "{count}");
}
