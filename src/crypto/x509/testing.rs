//! For tests: openssl as the other side, authorities, and damage.

use std::process::Command;
use std::sync::OnceLock;

use chrono::{DateTime, Duration, SubsecRound, Utc};

use super::certificate::{CaProfile, Issuer, Profile, Urls, new_serial, self_signed};
use super::keys::SigningKey;
use crate::model::certificates::{AltName, CertType, KeyType, Subject};
use crate::model::clock::{Clock, SystemClock};

/// A directory, with openssl run in it.
pub struct Openssl(tempfile::TempDir);

impl Openssl {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        std::fs::write(self.0.path().join(name), content).unwrap();
        self
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.path().join(name)).unwrap()
    }

    pub fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).unwrap()
    }

    /// Whether it succeeds, and all that it prints.
    pub fn try_run(&self, arguments: &str) -> (bool, String) {
        let output = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(self.0.path())
            .output()
            .unwrap();
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        (output.status.success(), text.concat())
    }

    pub fn run(&self, arguments: &str) -> String {
        let (success, text) = self.try_run(arguments);
        assert!(success, "openssl {arguments}: {text}");
        text
    }
}

pub fn now() -> DateTime<Utc> {
    SystemClock.now().trunc_subsecs(0)
}

pub fn subject(common_name: &str) -> Subject {
    Subject {
        common_name: common_name.to_owned(),
        organization: Some("Bücher & Söhne, Inc".to_owned()),
        organizational_unit: None,
    }
}

pub fn profile(cert_type: CertType, common_name: &str) -> Profile {
    Profile {
        cert_type,
        subject: subject(common_name),
        names: Vec::new(),
        serial: new_serial(),
        not_before: now() - Duration::minutes(5),
        not_after: now() + Duration::days(30),
        ca: cert_type.is_ca().then(CaProfile::default),
        urls: Urls::default(),
    }
}

pub fn leaf(cert_type: CertType) -> Profile {
    let mut profile = profile(cert_type, "web.example");
    profile.names =
        ["DNS:web.example", "DNS:*.web.example", "IP:10.0.0.1", "IP:2001:db8::1", "URI:spiffe://prod/web"]
            .map(|name| AltName::parse(name).unwrap())
            .to_vec();
    profile.urls = Urls {
        ca_issuers: Some("http://pki.example/v1/pki/01/ca.der".to_owned()),
        ocsp: Some("http://pki.example/v1/pki/01/ocsp".to_owned()),
        crl: Some("http://pki.example/v1/pki/01/crl".to_owned()),
    };
    profile
}

/// A new key; of RSA, which takes long to make, the same one each time.
pub fn key(kind: KeyType) -> SigningKey {
    static RSA: [OnceLock<Vec<u8>>; 3] = [const { OnceLock::new() }; 3];
    let generate = || SigningKey::generate(kind).unwrap();
    let kept = match kind {
        KeyType::Rsa2048 => &RSA[0],
        KeyType::Rsa3072 => &RSA[1],
        KeyType::Rsa4096 => &RSA[2],
        _ => return generate(),
    };
    SigningKey::from_pkcs8_der(kept.get_or_init(|| generate().to_pkcs8_der().unwrap().to_vec())).unwrap()
}

pub fn root(kind: KeyType) -> Issuer {
    let key = key(kind);
    let certificate = self_signed(&profile(CertType::RootCa, "Example Root, 2026"), &key).unwrap();
    Issuer::new(certificate, key).unwrap()
}

/// Every way to cut it short, and every one with a bit flipped.
pub fn damaged(der: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let cut = (0..der.len()).map(|length| der[..length].to_vec());
    let flipped = (0..der.len() * 8).map(|bit| {
        let mut copy = der.to_vec();
        copy[bit / 8] ^= 1 << (bit % 8);
        copy
    });
    cut.chain(flipped)
}
