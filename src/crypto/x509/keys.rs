//! Keys: private ones that sign, and the public ones that are accepted.
//!
//! Accepted are P-256, P-384, Ed25519, and RSA of 2048, 3072 or 4096 bits with the exponent 65537; anything else is refused
//! wherever it comes from, so that nothing behind has to ask again.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1,
    ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256,
    UnparsedPublicKey,
};
use rcgen::{PublicKeyData, SignatureAlgorithm};
use rustls::pki_types::alg_id;
use zeroize::Zeroizing;

use super::{der_bounds, pem};
use crate::crypto::primitives::sha256;
use crate::error::{Error, Result};
use crate::model::certificates::KeyType;

/// A certificate's own limit of 64 KiB is far above what any key needs.
const MAX_KEY_PEM: usize = 16 * 1024;
const EXPONENT: [u8; 3] = [1, 0, 1];

enum Private {
    Ec(EcdsaKeyPair),
    Ed(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

/// A private key that signs. It lives in memory of aws-lc, which wipes it when it goes; there is no `Debug` and no `Clone`.
pub struct SigningKey {
    private: Private,
    public: PublicKey,
}

impl SigningKey {
    /// A new random key. RSA takes up to seconds: call it where blocking is allowed.
    ///
    /// # Errors
    /// `INTERNAL` if the library fails.
    pub fn generate(kind: KeyType) -> Result<Self> {
        let rsa = |size| RsaKeyPair::generate(size).map(Private::Rsa);
        let private = match kind {
            KeyType::EcP256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map(Private::Ec),
            KeyType::EcP384 => EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).map(Private::Ec),
            KeyType::Ed25519 => Ed25519KeyPair::generate().map(Private::Ed),
            KeyType::Rsa2048 => rsa(KeySize::Rsa2048),
            KeyType::Rsa3072 => rsa(KeySize::Rsa3072),
            KeyType::Rsa4096 => rsa(KeySize::Rsa4096),
        };
        Self::of(private.map_err(Error::internal)?)
    }

    fn of(private: Private) -> Result<Self> {
        let spki = match &private {
            Private::Ec(key) => key.public_key().as_der(),
            Private::Ed(key) => key.public_key().as_der(),
            Private::Rsa(key) => key.public_key().as_der(),
        };
        let public = PublicKey::from_spki_der(spki.map_err(Error::internal)?.as_ref())?;
        Ok(Self { private, public })
    }

    /// The key of a PKCS#8 structure (RFC 5958), such as [`SigningKey::to_pkcs8_der`] writes.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` at `privateKeyPem` if it is none, or of a kind that is not accepted.
    pub fn from_pkcs8_der(der: &[u8]) -> Result<Self> {
        let ec = |algorithm| EcdsaKeyPair::from_pkcs8(algorithm, der).ok().map(Private::Ec);
        // each refuses what is another's
        ec(&ECDSA_P256_SHA256_ASN1_SIGNING)
            .or_else(|| ec(&ECDSA_P384_SHA384_ASN1_SIGNING))
            .or_else(|| Ed25519KeyPair::from_pkcs8(der).ok().map(Private::Ed))
            .or_else(|| RsaKeyPair::from_pkcs8(der).ok().map(Private::Rsa))
            .and_then(|private| Self::of(private).ok())
            .ok_or_else(bad_private_key)
    }

    /// A key from elsewhere: PKCS#8 (`PRIVATE KEY`), SEC 1 (`EC PRIVATE KEY`) or PKCS#1 (`RSA PRIVATE KEY`), not encrypted.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` at `privateKeyPem`.
    pub fn from_pem(text: &str) -> Result<Self> {
        if text.len() > MAX_KEY_PEM {
            return Err(bad_private_key());
        }
        // openssl writes a block 'EC PARAMETERS' before a key, which says nothing that the key does not say
        let blocks = pem::read(text, 2).ok_or_else(bad_private_key)?;
        let mut keys = blocks.iter().filter(|block| block.label != "EC PARAMETERS");
        let (Some(block), None) = (keys.next(), keys.next()) else { return Err(bad_private_key()) };
        let ec = |algorithm| EcdsaKeyPair::from_private_key_der(algorithm, &block.der).ok().map(Private::Ec);
        let private = match block.label.as_str() {
            "PRIVATE KEY" => return Self::from_pkcs8_der(&block.der),
            "EC PRIVATE KEY" => {
                ec(&ECDSA_P256_SHA256_ASN1_SIGNING).or_else(|| ec(&ECDSA_P384_SHA384_ASN1_SIGNING))
            }
            "RSA PRIVATE KEY" => RsaKeyPair::from_der(&block.der).ok().map(Private::Rsa),
            _ => None,
        };
        private.and_then(|private| Self::of(private).ok()).ok_or_else(bad_private_key)
    }

    /// PKCS#8, version 1.
    ///
    /// # Errors
    /// `INTERNAL` if the library fails.
    pub fn to_pkcs8_der(&self) -> Result<Zeroizing<Vec<u8>>> {
        // what the library hands out it wipes itself
        match &self.private {
            Private::Ec(key) => key.to_pkcs8v1().map(|der| Zeroizing::new(der.as_ref().to_vec())),
            Private::Ed(key) => key.to_pkcs8v1().map(|der| Zeroizing::new(der.as_ref().to_vec())),
            Private::Rsa(key) => key.as_der().map(|der| Zeroizing::new(der.as_ref().to_vec())),
        }
        .map_err(Error::internal)
    }

    /// A block `PRIVATE KEY`.
    ///
    /// # Errors
    /// As [`SigningKey::to_pkcs8_der`].
    pub fn to_pem(&self) -> Result<Zeroizing<String>> {
        Ok(Zeroizing::new(pem::write("PRIVATE KEY", &self.to_pkcs8_der()?)))
    }

    #[must_use]
    pub fn kind(&self) -> KeyType {
        self.public.kind
    }

    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Signs: ECDSA with SHA-256 (P-256) or SHA-384 (P-384), Ed25519, or RSA PKCS#1 v1.5 with SHA-256.
    ///
    /// # Errors
    /// `INTERNAL` if the library fails.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>> {
        let rng = SystemRandom::new();
        match &self.private {
            Private::Ec(key) => key.sign(&rng, message).map(|signature| signature.as_ref().to_vec()),
            Private::Ed(key) => key.try_sign(message).map(|signature| signature.as_ref().to_vec()),
            Private::Rsa(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &rng, message, &mut signature).map(|()| signature)
            }
        }
        .map_err(Error::internal)
    }

    /// The content of the `AlgorithmIdentifier` of [`SigningKey::sign`].
    pub(super) fn signature_algorithm(&self) -> &'static [u8] {
        match self.kind() {
            KeyType::EcP256 => &alg_id::ECDSA_SHA256,
            KeyType::EcP384 => &alg_id::ECDSA_SHA384,
            KeyType::Ed25519 => &alg_id::ED25519,
            KeyType::Rsa2048 | KeyType::Rsa3072 | KeyType::Rsa4096 => &alg_id::RSA_PKCS1_SHA256,
        }
    }
}

impl PublicKeyData for SigningKey {
    fn der_bytes(&self) -> &[u8] {
        self.public.der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.public.algorithm()
    }
}

impl rcgen::SigningKey for SigningKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Self::sign(self, message).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

/// A public key of an accepted kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    kind: KeyType,
    spki: Vec<u8>,
    /// The bits of the key in `spki`: a point, a compressed point, or modulus and exponent.
    bits: Vec<u8>,
}

impl PublicKey {
    /// Reads a `SubjectPublicKeyInfo`: strict DER, a point that is on its curve, not of small order, and not compressed.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` at `publicKey`.
    pub fn from_spki_der(der: &[u8]) -> Result<Self> {
        let (algorithm, bits) = split_spki(der).ok_or_else(bad_public_key)?;
        let kind = if algorithm == &*alg_id::ECDSA_P256 {
            ec_point(bits, 65, KeyType::EcP256)
        } else if algorithm == &*alg_id::ECDSA_P384 {
            ec_point(bits, 97, KeyType::EcP384)
        } else if algorithm == &*alg_id::ED25519 {
            ed25519_point(bits)
        } else if algorithm == &*alg_id::RSA_ENCRYPTION {
            rsa_key(bits)
        } else {
            None
        };
        let kind = kind.ok_or_else(bad_public_key)?;
        Ok(Self { kind, spki: der.to_vec(), bits: bits.to_vec() })
    }

    #[must_use]
    pub fn kind(&self) -> KeyType {
        self.kind
    }

    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.spki
    }

    /// The bits of the key alone.
    #[must_use]
    pub fn bits(&self) -> &[u8] {
        &self.bits
    }

    /// The key identifier: the first 160 bits of the SHA-256 of the key's bits (RFC 7093, method 1).
    #[must_use]
    pub fn key_id(&self) -> [u8; 20] {
        let mut id = [0; 20];
        id.copy_from_slice(&sha256(&self.bits)[..20]);
        id
    }
}

impl PublicKeyData for PublicKey {
    fn der_bytes(&self) -> &[u8] {
        &self.bits
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        match self.kind {
            KeyType::EcP256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            KeyType::EcP384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            KeyType::Ed25519 => &rcgen::PKCS_ED25519,
            KeyType::Rsa2048 | KeyType::Rsa3072 | KeyType::Rsa4096 => &rcgen::PKCS_RSA_SHA256,
        }
    }
}

/// Content of the algorithm, and bits of the key.
pub(super) fn split_spki(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (0x30, content, []) = der_bounds::split(der)? else { return None };
    let (0x30, algorithm, rest) = der_bounds::split(content)? else { return None };
    let (0x03, [0, bits @ ..], []) = der_bounds::split(rest)? else { return None };
    Some((algorithm, bits))
}

fn ec_point(bits: &[u8], length: usize, kind: KeyType) -> Option<KeyType> {
    let algorithm = if kind == KeyType::EcP256 { &ECDSA_P256_SHA256_ASN1 } else { &ECDSA_P384_SHA384_ASN1 };
    let uncompressed = bits.len() == length && bits.first() == Some(&4);
    (uncompressed && UnparsedPublicKey::new(algorithm, bits).parse().is_ok()).then_some(kind)
}

fn ed25519_point(bits: &[u8]) -> Option<KeyType> {
    let point = ed25519_dalek::VerifyingKey::from_bytes(bits.try_into().ok()?).ok()?;
    // under a key of small order anybody can sign
    (!point.is_weak()).then_some(KeyType::Ed25519)
}

fn rsa_key(bits: &[u8]) -> Option<KeyType> {
    let (0x30, content, []) = der_bounds::split(bits)? else { return None };
    // the first bit of an accepted modulus is set, so there is a zero before it
    let (0x02, [0, modulus @ ..], rest) = der_bounds::split(content)? else { return None };
    let (0x02, exponent, []) = der_bounds::split(rest)? else { return None };
    let full = modulus.first()? & 0x80 != 0 && modulus.last()? & 1 == 1;
    if !full || exponent != EXPONENT {
        return None;
    }
    match modulus.len() {
        256 => Some(KeyType::Rsa2048),
        384 => Some(KeyType::Rsa3072),
        512 => Some(KeyType::Rsa4096),
        _ => None,
    }
}

fn bad_public_key() -> Error {
    Error::bad_input(
        "publicKey",
        "use a key on P-256 or P-384 (named curve, uncompressed point), Ed25519, or RSA of 2048, 3072 or 4096 bits with the exponent \
         65537",
    )
}

fn bad_private_key() -> Error {
    Error::bad_input(
        "privateKeyPem",
        "send one private key as PEM, not encrypted ('openssl pkey' writes one): on P-256 or P-384, Ed25519, or RSA of 2048, 3072 or \
         4096 bits with the exponent 65537",
    )
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
