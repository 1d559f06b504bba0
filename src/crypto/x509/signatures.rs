//! Whether a signature holds: by the algorithms that TLS takes, so that both agree on what is signed.

use std::sync::OnceLock;

use super::der_bounds;
use super::keys::split_spki;
use rustls::crypto::{CryptoProvider, aws_lc_rs};

/// Whether `signature` over `message` is of this key, by this algorithm.
///
/// `algorithm` and `key_algorithm` are the contents of `AlgorithmIdentifier`s (DER, without the outer tag and length), `key` is the
/// bits of the public key. MD5 and SHA-1 are not among the algorithms, nor is RSA below 2048 or above 8192 bits.
#[must_use]
pub fn holds(algorithm: &[u8], key_algorithm: &[u8], key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    static PROVIDER: OnceLock<CryptoProvider> = OnceLock::new();
    let provider = PROVIDER.get_or_init(aws_lc_rs::default_provider);
    // a curve is verified with several hashes, and each pair of them is an algorithm of its own here
    provider
        .signature_verification_algorithms
        .all
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

fn parts_hold(signed_der: &[u8], spki: &[u8]) -> Option<bool> {
    let (0x30, content, []) = der_bounds::split(signed_der)? else { return None };
    let parts = der_bounds::members_of(content)?;
    let [tbs, algorithm, signature] = parts.as_slice() else { return None };
    let (0x30, algorithm, []) = der_bounds::split(algorithm)? else { return None };
    let (0x03, [0, signature @ ..], []) = der_bounds::split(signature)? else { return None };
    let (key_algorithm, key) = split_spki(spki)?;
    Some(holds(algorithm, key_algorithm, key, tbs, signature))
}
