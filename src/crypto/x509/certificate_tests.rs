use super::super::facts::{Facts, is_signed_by, to_pem};
use super::super::testing::{Openssl, key, leaf, now, profile, root};
use super::*;
use crate::model::certificates::RevocationReason;
use chrono::Duration;

fn dns(text: &str) -> AltName {
    AltName::parse(&format!("DNS:{text}")).unwrap()
}

#[test]
fn everything_issued_verifies_strictly_with_keys_of_every_kind() {
    let openssl = Openssl::new();
    let keys: Vec<SigningKey> = KeyType::ALL.iter().map(|kind| key(*kind)).collect();
    for ca_kind in KeyType::ALL {
        let root = root(*ca_kind);
        let intermediate_key = key(*ca_kind);
        let mut wanted = profile(CertType::IntermediateCa, "Example Issuing CA");
        wanted.ca = Some(CaProfile { max_path_length: Some(0), ..CaProfile::default() });
        wanted.urls = leaf(CertType::Server).urls;
        let intermediate = sign(&wanted, intermediate_key.public_key(), &root).unwrap();
        let intermediate = Issuer::new(intermediate, intermediate_key).unwrap();
        openssl.file("root.pem", to_pem(root.certificate_der()));
        openssl.file("ca.pem", to_pem(intermediate.certificate_der()));
        openssl.run("verify -x509_strict -check_ss_sig -CAfile root.pem root.pem");
        openssl.run("verify -x509_strict -CAfile root.pem ca.pem");
        for (index, key) in keys.iter().enumerate() {
            let types = [CertType::Server, CertType::AgentClient, CertType::AppClient, CertType::AdminClient];
            let cert_type = types[index % types.len()];
            for cert_type in [cert_type, CertType::Server] {
                let der = sign(&leaf(cert_type), key.public_key(), &intermediate).unwrap();
                let purpose = if cert_type == CertType::Server { "sslserver" } else { "sslclient" };
                openssl.file("leaf.pem", to_pem(&der));
                openssl.run(&format!(
                    "verify -x509_strict -purpose {purpose} -CAfile root.pem -untrusted ca.pem leaf.pem"
                ));
                let other = if cert_type == CertType::Server { "sslclient" } else { "sslserver" };
                let (taken, _) = openssl.try_run(&format!(
                    "verify -x509_strict -purpose {other} -CAfile root.pem -untrusted ca.pem leaf.pem"
                ));
                assert!(!taken, "{cert_type} is not for {other}");
                assert!(is_signed_by(&der, intermediate.certificate_der()).unwrap());
                assert!(!is_signed_by(&der, root.certificate_der()).unwrap());
            }
        }
    }
}

#[test]
fn what_is_written_is_what_openssl_and_facts_read() {
    let root = root(KeyType::EcP256);
    let key = key(KeyType::Rsa2048);
    let wanted = leaf(CertType::Server);
    let der = sign(&wanted, key.public_key(), &root).unwrap();
    let text = Openssl::new()
        .file("leaf.der", &der)
        .run("x509 -inform DER -in leaf.der -noout -text -nameopt RFC2253,utf8,-esc_msb");
    for line in [
        "Version: 3 (0x2)",
        "Issuer: CN=Example Root\\, 2026,O=Bücher & Söhne\\, Inc",
        "Subject: CN=web.example,O=Bücher & Söhne\\, Inc",
        "X509v3 Key Usage: critical",
        "Digital Signature, Key Encipherment",
        "TLS Web Server Authentication",
        "X509v3 Basic Constraints: critical",
        "CA:FALSE",
        "DNS:web.example, DNS:*.web.example, IP Address:10.0.0.1, IP Address:2001:DB8:0:0:0:0:0:1, URI:spiffe://prod/web",
        "OCSP - URI:http://pki.example/v1/pki/01/ocsp",
        "CA Issuers - URI:http://pki.example/v1/pki/01/ca.der",
        "URI:http://pki.example/v1/pki/01/crl",
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    let facts = Facts::from_der(&der).unwrap();
    assert_eq!(facts.serial, data_encoding::HEXLOWER.encode(&wanted.serial));
    assert_eq!(facts.subject, "CN=web.example,O=Bücher & Söhne\\, Inc");
    assert_eq!(facts.issuer, root.facts().subject);
    assert_eq!(facts.common_name.as_deref(), Some("web.example"));
    assert_eq!(facts.organization, wanted.subject.organization);
    assert_eq!(facts.organizational_unit, None);
    assert_eq!((facts.not_before, facts.not_after), (wanted.not_before, wanted.not_after));
    assert!(!facts.is_ca && facts.max_path_length.is_none());
    assert_eq!(facts.key_usage, ["digital_signature", "key_encipherment", "server_auth"]);
    assert_eq!(facts.names, wanted.names.iter().map(ToString::to_string).collect::<Vec<_>>());
    assert_eq!(facts.key, Some(KeyType::Rsa2048));
    assert_eq!(facts.public_key.as_ref(), Some(key.public_key()));
    assert_eq!(facts.issuer_der, root.facts().subject_der);
    assert_eq!(facts.key_id, Some(key.public_key().key_id().to_vec()));
    assert_eq!(facts.authority_key_id, root.facts().key_id);
    assert_eq!(root.facts().key_usage, ["digital_signature", "key_cert_sign", "crl_sign"]);
    assert!(root.facts().is_ca);
}

#[test]
fn serial_numbers_are_positive_and_long_and_differ() {
    let mut all: Vec<Vec<u8>> = (0..1000).map(|_| new_serial()).collect();
    assert!(all.iter().all(|serial| serial.len() == 16 && (0x40..=0x7f).contains(&serial[0])));
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 1000);
}

#[test]
fn far_times_are_generalized_and_the_end_of_time_is_refused() {
    let key = SigningKey::generate(KeyType::EcP256).unwrap();
    let mut wanted = profile(CertType::RootCa, "Long");
    wanted.not_after = DateTime::from_timestamp(253_402_300_799, 0).unwrap();
    let der = self_signed(&wanted, &key).unwrap();
    assert_eq!(Facts::from_der(&der).unwrap().not_after, wanted.not_after);
    let text = Openssl::new().file("c.der", &der).run("x509 -inform DER -in c.der -noout -enddate");
    assert!(text.contains("Dec 31 23:59:59 9999 GMT"), "{text}");

    wanted.not_after += Duration::seconds(1);
    assert_eq!(self_signed(&wanted, &key).unwrap_err().field(), Some("ttlSeconds"));
    wanted.not_after = wanted.not_before;
    assert_eq!(self_signed(&wanted, &key).unwrap_err().field(), Some("ttlSeconds"));
}

#[test]
fn bad_profiles_are_refused() {
    let root = root(KeyType::EcP256);
    let key = SigningKey::generate(KeyType::EcP256).unwrap();
    let field = |change: &dyn Fn(&mut Profile)| {
        let mut wanted = leaf(CertType::Server);
        change(&mut wanted);
        sign(&wanted, key.public_key(), &root).unwrap_err().field().map(str::to_owned)
    };
    assert_eq!(field(&|p| p.subject.common_name = "a\0".to_owned()).as_deref(), Some("commonName"));
    assert_eq!(field(&|p| p.names = vec![dns("a.b"); MAX_NAMES + 1]).as_deref(), Some("names"));
    assert_eq!(field(&|p| p.names = vec![AltName::Dns("bücher.de".to_owned())]).as_deref(), Some("names"));
    assert_eq!(field(&|p| p.ca = Some(CaProfile::default())), None, "a leaf is no authority");
    assert_eq!(field(&|p| p.serial.clear()), None);
    assert_eq!(field(&|p| p.urls.crl = Some("http://ä".to_owned())), None);
    for bad in ["*.corp.example", ".corp.example", "ä.example", ""] {
        let mut wanted = profile(CertType::IntermediateCa, "CA");
        wanted.ca = Some(CaProfile { permitted_dns: vec![bad.to_owned()], ..CaProfile::default() });
        assert_eq!(
            sign(&wanted, key.public_key(), &root).unwrap_err().field(),
            Some("permittedDns"),
            "{bad}"
        );
    }
}

#[test]
fn the_path_length_is_kept() {
    let root = root(KeyType::EcP256);
    let key = SigningKey::generate(KeyType::EcP256).unwrap();
    let mut wanted = profile(CertType::IntermediateCa, "Last");
    wanted.ca = Some(CaProfile { max_path_length: Some(0), ..CaProfile::default() });
    let der = sign(&wanted, key.public_key(), &root).unwrap();
    let last = Issuer::new(der, key).unwrap();
    assert_eq!(last.facts().max_path_length, Some(0));
    let below = SigningKey::generate(KeyType::EcP256).unwrap();
    let error = sign(&profile(CertType::IntermediateCa, "Below"), below.public_key(), &last).unwrap_err();
    assert_eq!(error.field(), Some("maxPathLength"));
    assert!(sign(&leaf(CertType::Server), below.public_key(), &last).is_ok());
}

#[test]
fn openssl_keeps_to_the_name_constraints() {
    let openssl = Openssl::new();
    let root = root(KeyType::EcP256);
    let key = SigningKey::generate(KeyType::EcP256).unwrap();
    let mut wanted = profile(CertType::IntermediateCa, "Constrained");
    wanted.ca = Some(CaProfile {
        max_path_length: Some(0),
        permitted_dns: vec!["corp.example".to_owned()],
        excluded_dns: vec!["lab.corp.example".to_owned()],
        permitted_ips: vec!["10.1.2.3/8".parse().unwrap(), "fd00::/8".parse().unwrap()],
        excluded_ips: vec!["10.9.0.0/16".parse().unwrap()],
    });
    let der = sign(&wanted, key.public_key(), &root).unwrap();
    let ca = Issuer::new(der, key).unwrap();
    openssl.file("root.pem", to_pem(root.certificate_der())).file("ca.pem", to_pem(ca.certificate_der()));
    let text = openssl.run("x509 -in ca.pem -noout -text");
    for line in ["Name Constraints: critical", "DNS:corp.example", "IP:10.0.0.0/255.0.0.0", "pathlen:0"] {
        assert!(text.contains(line), "{line} in {text}");
    }
    let leaf_key = SigningKey::generate(KeyType::EcP256).unwrap();
    for (name, fine) in [
        ("DNS:corp.example", true),
        ("DNS:a.corp.example", true),
        ("DNS:a.lab.corp.example", false),
        ("DNS:corp.example.com", false),
        ("IP:10.1.1.1", true),
        ("IP:10.9.1.1", false),
        ("IP:192.168.0.1", false),
        ("IP:fd00::1", true),
        ("IP:2001:db8::1", false),
    ] {
        let mut wanted = profile(CertType::Server, "leaf");
        wanted.names = vec![AltName::parse(name).unwrap()];
        let der = sign(&wanted, leaf_key.public_key(), &ca).unwrap();
        let (taken, text) = openssl
            .file("leaf.pem", to_pem(&der))
            .try_run("verify -x509_strict -CAfile root.pem -untrusted ca.pem leaf.pem");
        assert_eq!(taken, fine, "{name}: {text}");
    }
}

#[test]
fn an_issuer_is_an_authority_with_its_own_key() {
    let root = root(KeyType::EcP256);
    let key = || key(KeyType::EcP256);
    let refused = |der: Vec<u8>, key| Issuer::new(der, key).err().unwrap().field().map(str::to_owned);
    let field = Some("certificatePem".to_owned());
    assert_eq!(refused(root.certificate_der().to_vec(), key()), field, "another's key");
    assert_eq!(refused(b"nothing".to_vec(), key()), field);
    let own = key();
    let der = sign(&leaf(CertType::Server), own.public_key(), &root).unwrap();
    assert_eq!(refused(der, own), field, "no authority");
}

/// An authority as openssl makes it, with a subject and usages.
fn imported(openssl: &Openssl, subject: &str, usages: &str) -> Result<Issuer> {
    let config = format!(
        "[req]\nprompt=no\ndistinguished_name=dn\nx509_extensions=ext\nstring_mask=utf8only\n[dn]\n{subject}\n\
         [ext]\nbasicConstraints=critical,CA:TRUE\nsubjectKeyIdentifier=hash\n{usages}\n"
    );
    openssl.file("ca.cnf", config);
    openssl.run("req -x509 -config ca.cnf -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out ca.pem -days 30 -utf8");
    let der = super::super::facts::from_pem(&openssl.text("ca.pem")).unwrap().remove(0);
    Issuer::new(der, SigningKey::from_pem(&openssl.text("key.pem")).unwrap())
}

#[test]
fn an_authority_of_openssl_is_taken_over_with_its_names_to_the_byte() {
    let openssl = Openssl::new();
    let usages = "keyUsage=critical,keyCertSign,cRLSign";
    for (name, usages) in [
        ("C=DE\nST=Bayern\nL=München\nO=Alt\nOU=IT\nCN=Alte CA\nemailAddress=a@b.example", usages),
        ("0.DC=example\nO=Alt", ""),
        ("O=No common name", usages),
    ] {
        let issuer = imported(&openssl, name, usages).unwrap();
        let key = SigningKey::generate(KeyType::EcP256).unwrap();
        let der = sign(&leaf(CertType::Server), key.public_key(), &issuer).unwrap();
        assert_eq!(Facts::from_der(&der).unwrap().issuer_der, issuer.facts().subject_der, "{name}");
        let list = super::super::crl::make(&issuer, 7, now(), now() + Duration::days(1), &[]).unwrap();
        openssl.file("leaf.pem", to_pem(&der)).file("crl.der", list);
        openssl.run("crl -inform DER -in crl.der -out crl.pem");
        // strictly, an authority without usages is none
        let strict = if usages.is_empty() { "" } else { "-x509_strict" };
        openssl.run(&format!("verify {strict} -crl_check -CRLfile crl.pem -CAfile ca.pem leaf.pem"));
    }
    for (name, usages) in [
        ("0.DC=example\n1.DC=corp\nCN=Twice", usages),
        ("O=Two\n+CN=In one part", usages),
        ("CN=No lists", "keyUsage=critical,keyCertSign"),
        ("CN=No certificates", "keyUsage=critical,cRLSign"),
    ] {
        let error = imported(&openssl, name, usages).err().unwrap();
        assert_eq!(error.field(), Some("certificatePem"), "{name}");
    }
}

#[test]
fn a_revoked_certificate_fails_openssl_verification() {
    let openssl = Openssl::new();
    let root = root(KeyType::EcP384);
    let key = SigningKey::generate(KeyType::EcP256).unwrap();
    let wanted = leaf(CertType::AgentClient);
    let der = sign(&wanted, key.public_key(), &root).unwrap();
    let entry = super::super::crl::RevokedEntry {
        serial: wanted.serial,
        revoked_at: now(),
        reason: RevocationReason::KeyCompromise,
    };
    let list = super::super::crl::make(&root, 1, now(), now() + Duration::days(1), &[entry]).unwrap();
    openssl.file("root.pem", to_pem(root.certificate_der())).file("leaf.pem", to_pem(&der));
    openssl.file("crl.pem", super::super::pem::write("X509 CRL", &list));
    openssl.run("verify -x509_strict -CAfile root.pem leaf.pem");
    let (taken, text) =
        openssl.try_run("verify -x509_strict -crl_check -CRLfile crl.pem -CAfile root.pem leaf.pem");
    assert!(!taken && text.contains("certificate revoked"), "{text}");
}
