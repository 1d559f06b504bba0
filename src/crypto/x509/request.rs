//! Certification requests (PKCS#10, RFC 2986): read from strangers, and written for an authority elsewhere.

use std::borrow::Cow;

use der::asn1::ObjectIdentifier;
use der::{Decode, Encode};
use rcgen::{BasicConstraints as CaLimits, CertificateParams, IsCa, KeyUsagePurpose};
use x509_cert::ext::pkix::{BasicConstraints, KeyUsage, SubjectAltName};
use x509_cert::request::{CertReq, ExtensionReq};

use super::keys::{PublicKey, SigningKey};
use super::{der_bounds, names, pem, signatures};
use crate::error::{Error, Result};
use crate::model::certificates::{AltName, MAX_NAMES, Subject};

/// The most bytes of a request as PEM.
pub const MAX_PEM: usize = 64 * 1024;
/// The most attributes and the most extensions of a request.
const MAX_PARTS: usize = 16;

const EXTENSION_REQUEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.14");
const SUBJECT_ALT_NAME: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.17");
const BASIC_CONSTRAINTS: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.19");
const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
const SUBJECT_KEY_ID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.14");

/// A request whose signature holds. What else it asks for (usages, lifetimes, attributes) is not looked at: roles decide on that.
#[derive(Debug, Clone)]
pub struct CertificateRequest {
    /// `None` if it has no common name.
    pub subject: Option<Subject>,
    /// Without repetitions, in its order.
    pub names: Vec<AltName>,
    pub public_key: PublicKey,
    /// It asks to be an authority: `CA:TRUE`, or the usage `keyCertSign`.
    pub asks_for_ca: bool,
}

impl CertificateRequest {
    /// Reads one PEM block: strict DER, a key of an accepted kind, a signature by that key, at most [`MAX_NAMES`] names of the kinds DNS,
    /// IP and URI.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` at `csrPem`.
    pub fn parse(text: &str) -> Result<Self> {
        if text.len() > MAX_PEM {
            return bad(format!("a request has at most {} KiB", MAX_PEM / 1024));
        }
        let blocks = pem::read(text, 1).unwrap_or_default();
        let [block] = blocks.as_slice() else { return bad(NOT_ONE) };
        if !matches!(block.label.as_str(), "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST") {
            return bad(NOT_ONE);
        }
        Self::from_der(&block.der)
    }

    /// As [`CertificateRequest::parse`], without the text around.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` at `csrPem`.
    pub fn from_der(der: &[u8]) -> Result<Self> {
        let Some(request) = decode(der) else { return bad(NOT_DER) };
        let spki = request.info.public_key.to_der().map_err(Error::internal)?;
        let public_key = PublicKey::from_spki_der(&spki).map_err(|error| error.at_field("csrPem"))?;
        if !signatures::of_taken_algorithm(der) {
            return bad(
                "the request is signed by an algorithm that is not taken: sign it with SHA-256, SHA-384 or SHA-512, as by 'openssl req \
                 -sha256', or Ed25519",
            );
        }
        if !signatures::verify(der, &spki) {
            return bad(
                "the signature of the request is not by its own key: make the request anew with the private key",
            );
        }
        let subject = names::read_subject(&request.info.subject).or_else(bad)?;
        let wanted = Wanted::read(&request).or_else(bad)?;
        Ok(Self { subject, names: wanted.names, public_key, asks_for_ca: wanted.authority })
    }
}

const NOT_ONE: &str = "send one PEM block 'CERTIFICATE REQUEST', as 'openssl req -new' writes it";
const NOT_DER: &str = "the request is damaged, or not in DER: make it anew, such as with 'openssl req -new'";

type Sentence = Cow<'static, str>;

fn bad<T>(message: impl Into<Sentence>) -> Result<T> {
    Err(Error::bad_input("csrPem", message))
}

fn decode(der: &[u8]) -> Option<CertReq> {
    if !der_bounds::fine(der) {
        return None;
    }
    let (0x30, content, []) = der_bounds::split(der)? else { return None };
    let (0x30, info, _) = der_bounds::split(content)? else { return None };
    // the attributes are a SET under another tag, see der_bounds
    let attributes = der_bounds::members_of(info)?.into_iter().nth(3)?;
    let (0xa0, attributes, []) = der_bounds::split(attributes)? else { return None };
    if der_bounds::members_of(attributes)?.len() > MAX_PARTS {
        return None;
    }
    let request = CertReq::from_der(der).ok()?;
    let canonical = request.to_der().is_ok_and(|again| again == der);
    canonical.then_some(request)
}

/// What the extensions of a request ask for.
#[derive(Default)]
struct Wanted {
    names: Vec<AltName>,
    authority: bool,
}

impl Wanted {
    fn read(request: &CertReq) -> Result<Self, Sentence> {
        let mut wanted = Self::default();
        let mut lists = request.info.attributes.iter().filter(|attribute| attribute.oid == EXTENSION_REQUEST);
        let Some(list) = lists.next() else { return Ok(wanted) };
        let (None, [list]) = (lists.next(), list.values.as_slice()) else {
            return Err("the request asks for extensions twice: ask once".into());
        };
        let list = list.to_der().map_err(|_| NOT_DER)?;
        let extensions = strict::<ExtensionReq>(&list)?.0;
        if extensions.len() > MAX_PARTS {
            return Err("the request asks for too many extensions: ask for alternative names only".into());
        }
        for (index, extension) in extensions.iter().enumerate() {
            if extensions[..index].iter().any(|other| other.extn_id == extension.extn_id) {
                return Err("the request asks for one extension twice: ask once".into());
            }
            let value = extension.extn_value.as_bytes();
            match extension.extn_id {
                SUBJECT_ALT_NAME => wanted.names = alt_names(value)?,
                BASIC_CONSTRAINTS => wanted.authority |= strict::<BasicConstraints>(value)?.ca,
                KEY_USAGE => {
                    wanted.authority |= KeyUsage::from_der(value).map_err(|_| NOT_DER)?.key_cert_sign()
                }
                EXTENDED_KEY_USAGE | SUBJECT_KEY_ID => {}
                _ if extension.critical => {
                    return Err(
                        "the request asks for a critical extension that is not supported: leave it out"
                            .into(),
                    );
                }
                _ => {}
            }
        }
        Ok(wanted)
    }
}

/// Decodes what encodes to the same bytes again.
fn strict<'a, T: Decode<'a> + Encode>(der: &'a [u8]) -> Result<T, Sentence> {
    if !der_bounds::fine(der) {
        return Err(NOT_DER.into());
    }
    let value = T::from_der(der).map_err(|_| NOT_DER)?;
    let canonical = value.to_der().is_ok_and(|again| again == der);
    if canonical { Ok(value) } else { Err(NOT_DER.into()) }
}

fn alt_names(der: &[u8]) -> Result<Vec<AltName>, Sentence> {
    let list = strict::<SubjectAltName>(der)?.0;
    if list.is_empty() {
        return Err("the request has an empty list of alternative names: leave it out".into());
    }
    if list.len() > MAX_NAMES {
        return Err("the request has too many alternative names: ask for 100 at most".into());
    }
    let mut names = Vec::with_capacity(list.len());
    for name in &list {
        let name = names::read_alt_name(name)?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// A request (PEM) of an authority that another one, elsewhere, is to sign.
///
/// # Errors
/// `BAD_USER_INPUT` at the field of the subject that is not as [`Subject::check`] wants it.
pub fn make(subject: &Subject, key: &SigningKey) -> Result<String> {
    let mut params = CertificateParams::default();
    params.distinguished_name = names::write_subject(subject)?;
    params.is_ca = IsCa::Ca(CaLimits::Unconstrained);
    params.key_usages =
        vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let request = params.serialize_request(key).map_err(Error::internal)?;
    Ok(pem::write("CERTIFICATE REQUEST", request.der()))
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
