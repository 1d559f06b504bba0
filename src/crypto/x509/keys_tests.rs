use super::super::testing::{Openssl, damaged, key};
use super::*;
use proptest::prelude::*;

fn spki_of(openssl: &Openssl, generate: &str) -> Vec<u8> {
    openssl.run(&format!("genpkey -out key.pem {generate}"));
    openssl.run("pkey -in key.pem -pubout -outform DER -out public.der");
    openssl.read("public.der")
}

#[test]
fn keys_of_every_kind_sign_and_survive_their_encodings() {
    let openssl = Openssl::new();
    for kind in KeyType::ALL {
        let key = key(*kind);
        assert_eq!(key.kind(), *kind);
        let again = SigningKey::from_pkcs8_der(&key.to_pkcs8_der().unwrap()).unwrap();
        assert_eq!(again.public_key(), key.public_key());
        let again = SigningKey::from_pem(&key.to_pem().unwrap()).unwrap();
        assert_eq!(again.public_key(), key.public_key());
        assert_eq!(again.kind(), *kind);

        let signature = again.sign(b"message").unwrap();
        let (algorithm, bits) = split_spki(key.public_key().spki_der()).unwrap();
        let holds = |message: &[u8], signature: &[u8]| {
            super::super::signatures::holds(key.signature_algorithm(), algorithm, bits, message, signature)
        };
        assert!(holds(b"message", &signature), "{kind}");
        assert!(!holds(b"massage", &signature) && !holds(b"message", &signature[1..]), "{kind}");

        openssl.file("key.pem", key.to_pem().unwrap().as_bytes()).run("pkey -in key.pem -check -noout");
    }
}

#[test]
fn rcgen_writes_the_same_public_key() {
    for kind in [KeyType::EcP256, KeyType::EcP384, KeyType::Ed25519, KeyType::Rsa2048] {
        let key = key(kind);
        assert_eq!(key.public_key().subject_public_key_info(), key.public_key().spki_der(), "{kind}");
    }
}

#[test]
fn keys_of_openssl_are_taken_in_each_of_its_forms() {
    let openssl = Openssl::new();
    for (generate, kind) in [
        ("ecparam -name prime256v1 -genkey -out key.pem", KeyType::EcP256),
        ("ecparam -name secp384r1 -genkey -noout -out key.pem", KeyType::EcP384),
        ("genpkey -algorithm ed25519 -out key.pem", KeyType::Ed25519),
        ("genrsa -traditional -out key.pem 2048", KeyType::Rsa2048),
    ] {
        openssl.run(generate);
        assert_eq!(SigningKey::from_pem(&openssl.text("key.pem")).unwrap().kind(), kind, "{generate}");
        openssl.run("pkcs8 -topk8 -nocrypt -in key.pem -out p8.pem");
        assert_eq!(SigningKey::from_pem(&openssl.text("p8.pem")).unwrap().kind(), kind, "{generate}");
    }
}

#[test]
fn other_private_keys_are_refused() {
    let openssl = Openssl::new();
    openssl.run("genpkey -algorithm ed25519 -out good.pem");
    let good = openssl.text("good.pem");
    let mut refused =
        vec![String::new(), "key".to_owned(), format!("{good}{good}"), " ".repeat(MAX_KEY_PEM + 1)];
    refused.push(pem::write("CERTIFICATE", &pem::read(&good, 1).unwrap()[0].der));
    for generate in [
        "genpkey -algorithm rsa -pkeyopt rsa_keygen_bits:1024 -out key.pem",
        "genpkey -algorithm rsa -pkeyopt rsa_keygen_bits:2056 -out key.pem",
        "genpkey -algorithm rsa -pkeyopt rsa_keygen_pubexp:3 -out key.pem",
        "genpkey -algorithm ec -pkeyopt ec_paramgen_curve:P-521 -out key.pem",
        "genpkey -algorithm ec -pkeyopt ec_paramgen_curve:secp256k1 -out key.pem",
        "genpkey -algorithm ed448 -out key.pem",
        "genpkey -algorithm x25519 -out key.pem",
        "genpkey -algorithm ed25519 -aes256 -pass pass:secret -out key.pem",
        "genrsa -traditional -aes128 -passout pass:secret -out key.pem 2048",
    ] {
        openssl.run(generate);
        refused.push(openssl.text("key.pem"));
    }
    for text in refused {
        let error = SigningKey::from_pem(&text).err().unwrap();
        assert_eq!(error.field(), Some("privateKeyPem"), "{text}");
    }
}

#[test]
fn other_public_keys_are_refused() {
    let openssl = Openssl::new();
    for generate in [
        "-algorithm rsa -pkeyopt rsa_keygen_bits:1024",
        "-algorithm rsa -pkeyopt rsa_keygen_bits:2056",
        "-algorithm rsa -pkeyopt rsa_keygen_pubexp:3",
        "-algorithm rsa-pss",
        "-algorithm ec -pkeyopt ec_paramgen_curve:P-521",
        "-algorithm ec -pkeyopt ec_paramgen_curve:P-224",
        "-algorithm ec -pkeyopt ec_paramgen_curve:secp256k1",
        "-algorithm ec -pkeyopt ec_paramgen_curve:P-256 -pkeyopt ec_param_enc:explicit",
        "-algorithm ed448",
        "-algorithm x25519",
    ] {
        let spki = spki_of(&openssl, generate);
        let error = PublicKey::from_spki_der(&spki).unwrap_err();
        assert_eq!(error.field(), Some("publicKey"), "{generate}");
    }
}

/// The public key of an RSA key with this modulus and exponent, as a `SubjectPublicKeyInfo`.
fn rsa_spki(modulus: &[u8], exponent: &[u8]) -> Vec<u8> {
    use der::asn1::{BitString, UintRef};
    use der::{Decode, Encode};
    #[derive(der::Sequence)]
    struct Rsa<'a> {
        modulus: UintRef<'a>,
        exponent: UintRef<'a>,
    }
    let key = Rsa { modulus: UintRef::new(modulus).unwrap(), exponent: UintRef::new(exponent).unwrap() };
    let mut algorithm = vec![0x30, 13];
    algorithm.extend_from_slice(&alg_id::RSA_ENCRYPTION);
    x509_cert::spki::SubjectPublicKeyInfoOwned {
        algorithm: x509_cert::spki::AlgorithmIdentifierOwned::from_der(&algorithm).unwrap(),
        subject_public_key: BitString::from_bytes(&key.to_der().unwrap()).unwrap(),
    }
    .to_der()
    .unwrap()
}

#[test]
fn rsa_keys_have_an_odd_modulus_of_the_right_size_and_the_one_exponent() {
    let read =
        |bytes: usize, exponent: &[u8]| PublicKey::from_spki_der(&rsa_spki(&vec![0xff; bytes], exponent));
    assert_eq!(read(256, &EXPONENT).unwrap().kind(), KeyType::Rsa2048);
    assert_eq!(read(384, &EXPONENT).unwrap().kind(), KeyType::Rsa3072);
    assert_eq!(read(512, &EXPONENT).unwrap().kind(), KeyType::Rsa4096);
    for bytes in [1, 128, 255, 257, 1024, 2048, 60_000] {
        assert!(read(bytes, &EXPONENT).is_err(), "{bytes}");
    }
    for exponent in [&[0][..], &[1], &[2], &[3], &[1, 0, 0], &[1, 0, 2], &[1, 0, 0, 1], &[0xff; 256]] {
        assert!(read(256, exponent).is_err(), "{exponent:?}");
    }
    let mut even = vec![0xff; 256];
    even[255] = 0xfe;
    assert!(PublicKey::from_spki_der(&rsa_spki(&even, &EXPONENT)).is_err());
    let mut short = vec![0xff; 256];
    short[0] = 0x7f;
    assert!(PublicKey::from_spki_der(&rsa_spki(&short, &EXPONENT)).is_err());
}

#[test]
fn points_are_on_their_curve_uncompressed_and_not_of_small_order() {
    let key = SigningKey::generate(KeyType::EcP256).unwrap();
    let good = key.public_key().spki_der();
    let mut off = good.to_vec();
    *off.last_mut().unwrap() ^= 1;
    assert!(PublicKey::from_spki_der(&off).is_err(), "not on the curve");

    let openssl = Openssl::new();
    openssl.run("genpkey -algorithm ec -pkeyopt ec_paramgen_curve:P-256 -out key.pem");
    openssl.run("ec -in key.pem -pubout -conv_form compressed -outform DER -out public.der");
    assert!(PublicKey::from_spki_der(&openssl.read("public.der")).is_err(), "compressed");

    let key = SigningKey::generate(KeyType::Ed25519).unwrap();
    let good = key.public_key().spki_der();
    let mut neutral = good[..12].to_vec();
    neutral.extend([1].into_iter().chain([0; 31]));
    assert!(PublicKey::from_spki_der(&neutral).is_err(), "of order 1");
}

#[test]
fn a_damaged_key_is_another_key_or_none() {
    for kind in [KeyType::EcP256, KeyType::Ed25519] {
        let key = SigningKey::generate(kind).unwrap();
        let mut more = key.public_key().spki_der().to_vec();
        more.push(0);
        assert!(PublicKey::from_spki_der(&more).is_err());
        for spki in damaged(key.public_key().spki_der()) {
            assert!(
                PublicKey::from_spki_der(&spki).is_ok_and(|read| read != *key.public_key())
                    || PublicKey::from_spki_der(&spki).is_err()
            );
        }
        for pkcs8 in damaged(&key.to_pkcs8_der().unwrap()) {
            let _ = SigningKey::from_pkcs8_der(&pkcs8);
        }
    }
}

proptest! {
    #[test]
    fn anything_is_read_without_panic(der in proptest::collection::vec(any::<u8>(), 0..200), text in ".{0,200}") {
        let _ = PublicKey::from_spki_der(&der);
        let _ = SigningKey::from_pkcs8_der(&der);
        let _ = SigningKey::from_pem(&text);
        let _ = SigningKey::from_pem(&pem::write("EC PRIVATE KEY", &der));
        let _ = SigningKey::from_pem(&pem::write("RSA PRIVATE KEY", &der));
    }
}
