//! Certificates that are read, ours and others'.

use chrono::{DateTime, Utc};
use data_encoding::HEXLOWER;
use der::asn1::ObjectIdentifier;
use der::{Decode, Encode};
use x509_cert::Certificate;
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, KeyUsages,
    NameConstraints as NameConstraintsExtension, SubjectAltName, SubjectKeyIdentifier,
};
use x509_cert::time::Time;

use super::keys::PublicKey;
use super::{constraints, der_bounds, names, pem, signatures};
use crate::crypto::primitives::sha256;
use crate::error::{Error, Result};
use crate::model::certificates::{KeyType, NameConstraints, parse_serial};

/// The most bytes of a chain as PEM, and of one certificate.
pub const MAX_PEM: usize = 64 * 1024;
/// The most certificates of a chain.
pub const MAX_CHAIN: usize = 10;

/// What a certificate says. Nothing of it is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// As [`parse_serial`] writes them.
    pub serial: String,
    /// SHA-256 of the DER.
    pub fingerprint: [u8; 32],
    /// As RFC 4514 writes names.
    pub subject: String,
    pub issuer: String,
    pub common_name: Option<String>,
    pub organization: Option<String>,
    pub organizational_unit: Option<String>,
    pub not_before: DateTime<Utc>,
    pub not_after: DateTime<Utc>,
    pub is_ca: bool,
    pub max_path_length: Option<u8>,
    /// Usages of the key and extended ones, in words: `digital_signature`, `server_auth`; others as numbers.
    pub key_usage: Vec<String>,
    /// Alternative names as [`names::show_alt_name`] writes them.
    pub names: Vec<String>,
    /// `None` for a key of another kind.
    pub key: Option<KeyType>,
    pub public_key: Option<PublicKey>,
    pub subject_der: Vec<u8>,
    pub issuer_der: Vec<u8>,
    pub key_id: Option<Vec<u8>>,
    pub authority_key_id: Option<Vec<u8>>,
    /// Which names may be below it.
    pub constraints: Option<NameConstraints>,
}

impl Facts {
    /// Reads a certificate of version 3.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` at `certificatePem`.
    pub fn from_der(der: &[u8]) -> Result<Self> {
        let certificate = decode(der)?;
        let tbs = &certificate.tbs_certificate;
        let spki = tbs.subject_public_key_info.to_der().map_err(|_| damaged())?;
        let public_key = PublicKey::from_spki_der(&spki).ok();
        let text = |kind| names::text_of(&tbs.subject, kind);
        let mut facts = Self {
            serial: serial(tbs.serial_number.as_bytes()).ok_or_else(damaged)?,
            fingerprint: sha256(der),
            subject: tbs.subject.to_string(),
            issuer: tbs.issuer.to_string(),
            common_name: text(names::COMMON_NAME),
            organization: text(names::ORGANIZATION),
            organizational_unit: text(names::ORGANIZATIONAL_UNIT),
            not_before: time(tbs.validity.not_before)?,
            not_after: time(tbs.validity.not_after)?,
            is_ca: false,
            max_path_length: None,
            key_usage: Vec::new(),
            names: Vec::new(),
            key: public_key.as_ref().map(PublicKey::kind),
            public_key,
            subject_der: names::to_der(&tbs.subject)?,
            issuer_der: names::to_der(&tbs.issuer)?,
            key_id: None,
            authority_key_id: None,
            constraints: None,
        };
        let extensions = tbs.extensions.as_deref().unwrap_or_default();
        for (index, extension) in extensions.iter().enumerate() {
            if extensions[..index].iter().any(|other| other.extn_id == extension.extn_id) {
                return Err(damaged());
            }
            let value = extension.extn_value.as_bytes();
            facts.read_extension(extension.extn_id, value).ok_or_else(damaged)?;
        }
        Ok(facts)
    }

    fn read_extension(&mut self, kind: ObjectIdentifier, der: &[u8]) -> Option<()> {
        const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
        const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
        const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
        const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
        const SUBJECT_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.14");
        const AUTHORITY_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.35");
        const NAME_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.30");
        match kind {
            BASIC_CONSTRAINTS => {
                let constraints = decoded::<BasicConstraints>(der)?;
                self.is_ca = constraints.ca;
                self.max_path_length = constraints.path_len_constraint;
            }
            KEY_USAGE => {
                let usage = decoded::<KeyUsage>(der)?;
                let words = KEY_USAGES.iter().filter(|(flag, _)| usage.0.contains(*flag));
                // before the extended ones, wherever they stand
                self.key_usage.splice(0..0, words.map(|(_, word)| (*word).to_owned()));
            }
            EXTENDED_KEY_USAGE => {
                let usages = decoded::<ExtendedKeyUsage>(der)?.0;
                self.key_usage.extend(usages.iter().map(extended_usage));
            }
            SUBJECT_ALT_NAME => {
                self.names = decoded::<SubjectAltName>(der)?.0.iter().map(names::show_alt_name).collect();
            }
            NAME_CONSTRAINTS => {
                self.constraints = Some(constraints::read(&decoded::<NameConstraintsExtension>(der)?)?);
            }
            SUBJECT_KEY_ID => self.key_id = Some(decoded::<SubjectKeyIdentifier>(der)?.0.into_bytes()),
            AUTHORITY_KEY_ID => {
                let authority = decoded::<AuthorityKeyIdentifier>(der)?;
                self.authority_key_id = authority.key_identifier.map(der::asn1::OctetString::into_bytes);
            }
            _ => {}
        }
        Some(())
    }
}

const KEY_USAGES: [(KeyUsages, &str); 9] = [
    (KeyUsages::DigitalSignature, "digital_signature"),
    (KeyUsages::NonRepudiation, "content_commitment"),
    (KeyUsages::KeyEncipherment, "key_encipherment"),
    (KeyUsages::DataEncipherment, "data_encipherment"),
    (KeyUsages::KeyAgreement, "key_agreement"),
    (KeyUsages::KeyCertSign, "key_cert_sign"),
    (KeyUsages::CRLSign, "crl_sign"),
    (KeyUsages::EncipherOnly, "encipher_only"),
    (KeyUsages::DecipherOnly, "decipher_only"),
];

/// Whether a word of [`Facts::key_usage`] is a usage of the key, and not an extended one.
#[must_use]
pub fn is_key_usage(word: &str) -> bool {
    KEY_USAGES.iter().any(|(_, usage)| *usage == word)
}

fn extended_usage(kind: &ObjectIdentifier) -> String {
    let number = kind.to_string();
    match number.as_str() {
        "1.3.6.1.5.5.7.3.1" => "server_auth",
        "1.3.6.1.5.5.7.3.2" => "client_auth",
        "1.3.6.1.5.5.7.3.3" => "code_signing",
        "1.3.6.1.5.5.7.3.4" => "email_protection",
        "1.3.6.1.5.5.7.3.8" => "time_stamping",
        "1.3.6.1.5.5.7.3.9" => "ocsp_signing",
        "2.5.29.37.0" => "any",
        _ => return number,
    }
    .to_owned()
}

/// Bytes of an integer as a serial number; `None` if it is negative, which none may be.
pub(super) fn serial(bytes: &[u8]) -> Option<String> {
    if bytes.first()? & 0x80 != 0 {
        return None;
    }
    parse_serial(&HEXLOWER.encode(bytes))
}

fn time(time: Time) -> Result<DateTime<Utc>> {
    let seconds = i64::try_from(time.to_unix_duration().as_secs()).map_err(|_| damaged())?;
    DateTime::from_timestamp(seconds, 0).ok_or_else(damaged)
}

fn decoded<'a, T: Decode<'a>>(der: &'a [u8]) -> Option<T> {
    if der_bounds::fine(der) { T::from_der(der).ok() } else { None }
}

fn decode(der: &[u8]) -> Result<Certificate> {
    let certificate = if der.len() > MAX_PEM { None } else { decoded::<Certificate>(der) };
    certificate
        .filter(|certificate| certificate.signature_algorithm == certificate.tbs_certificate.signature)
        .ok_or_else(damaged)
}

fn damaged() -> Error {
    Error::bad_input(
        "certificatePem",
        "the certificate is damaged, or not X.509 version 3 in DER: export it anew",
    )
}

/// The certificates (DER) of a PEM text, in its order: 1 to [`MAX_CHAIN`] of them, and no other blocks. What is in them is not read.
///
/// # Errors
/// `BAD_USER_INPUT` at `certificatePem`.
pub fn from_pem(text: &str) -> Result<Vec<Vec<u8>>> {
    let blocks = if text.len() > MAX_PEM { None } else { pem::read(text, MAX_CHAIN) };
    let blocks = blocks.unwrap_or_default();
    if blocks.is_empty() || blocks.iter().any(|block| block.label != "CERTIFICATE") {
        return Err(Error::bad_input(
            "certificatePem",
            format!(
                "send 1 to {MAX_CHAIN} PEM blocks 'CERTIFICATE' and nothing else, {} KiB at most",
                MAX_PEM / 1024
            ),
        ));
    }
    Ok(blocks.into_iter().map(|block| block.der.to_vec()).collect())
}

/// A block `CERTIFICATE`.
#[must_use]
pub fn to_pem(der: &[u8]) -> String {
    pem::write("CERTIFICATE", der)
}

/// Whether a certificate names the other as its issuer and is signed by its key. Times and constraints are not looked at.
///
/// # Errors
/// `BAD_USER_INPUT` at `certificatePem` if one of them is none.
pub fn is_signed_by(certificate_der: &[u8], issuer_der: &[u8]) -> Result<bool> {
    let certificate = decode(certificate_der)?;
    let issuer = decode(issuer_der)?.tbs_certificate;
    if names::to_der(&certificate.tbs_certificate.issuer)? != names::to_der(&issuer.subject)? {
        return Ok(false);
    }
    let spki = issuer.subject_public_key_info.to_der().map_err(|_| damaged())?;
    Ok(signatures::verify(certificate_der, &spki))
}

#[cfg(test)]
#[path = "facts_tests.rs"]
mod tests;
