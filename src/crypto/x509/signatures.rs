//! Whether a signature holds: by the algorithms that TLS takes, so that both agree on what is signed.

use std::sync::OnceLock;

use super::der_bounds;
use super::keys::split_spki;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::SignatureVerificationAlgorithm;

/// Whether this is one of the algorithms (the content of an `AlgorithmIdentifier`), with any key.
fn is_taken(algorithm: &[u8]) -> bool {
    verifiers().iter().any(|verifier| verifier.signature_alg_id().as_ref() == algorithm)
}

fn verifiers() -> &'static [&'static dyn SignatureVerificationAlgorithm] {
    static PROVIDER: OnceLock<CryptoProvider> = OnceLock::new();
    PROVIDER.get_or_init(aws_lc_rs::default_provider).signature_verification_algorithms.all
}

/// Whether `signature` over `message` is of this key, by this algorithm.
///
/// `algorithm` and `key_algorithm` are the contents of `AlgorithmIdentifier`s (DER, without the outer tag and length), `key` is the
/// bits of the public key. MD5 and SHA-1 are not among the algorithms, nor is RSA below 2048 or above 8192 bits.
#[must_use]
pub fn holds(algorithm: &[u8], key_algorithm: &[u8], key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    // a curve is verified with several hashes, and each pair of them is an algorithm of its own here
    verifiers()
        .iter()
        .filter(|verifier| {
            verifier.signature_alg_id().as_ref() == algorithm
                && verifier.public_key_alg_id().as_ref() == key_algorithm
        })
        .any(|verifier| verifier.verify_signature(key, message, signature).is_ok())
}

/// Whether a certificate, request or list (DER: what is signed, algorithm, signature) is signed by the key of this
/// `SubjectPublicKeyInfo`.
#[must_use]
pub fn verify(signed_der: &[u8], spki: &[u8]) -> bool {
    parts_hold(signed_der, spki).unwrap_or(false)
}

/// Whether what is signed (as for [`verify`]) names an algorithm that is taken, whatever its signature is worth.
#[must_use]
pub fn of_taken_algorithm(signed_der: &[u8]) -> bool {
    parts(signed_der).is_some_and(|parts| is_taken(parts.algorithm))
}

struct Parts<'a> {
    tbs: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
}

fn parts(signed_der: &[u8]) -> Option<Parts<'_>> {
    let (0x30, content, []) = der_bounds::split(signed_der)? else { return None };
    let members = der_bounds::members_of(content)?;
    let [tbs, algorithm, signature] = *members.as_slice() else { return None };
    let (0x30, algorithm, []) = der_bounds::split(algorithm)? else { return None };
    let (0x03, [0, signature @ ..], []) = der_bounds::split(signature)? else { return None };
    Some(Parts { tbs, algorithm, signature })
}

fn parts_hold(signed_der: &[u8], spki: &[u8]) -> Option<bool> {
    let Parts { tbs, algorithm, signature } = parts(signed_der)?;
    let (key_algorithm, key) = split_spki(spki)?;
    Some(holds(algorithm, key_algorithm, key, tbs, signature))
}
