//! An authority that signs.

use der::Decode;
use rcgen::{CertificateParams, KeyIdMethod};
use x509_cert::name::Name;

use super::facts::Facts;
use super::keys::SigningKey;
use super::names;
use crate::error::{Error, Result};

/// The certificate of an authority, and its key. There is no `Debug` and no `Clone`.
pub struct Issuer {
    certificate: Vec<u8>,
    facts: Facts,
    name: rcgen::DistinguishedName,
    key: SigningKey,
}

impl Issuer {
    /// # Errors
    /// `BAD_USER_INPUT` at `certificatePem`: the certificate is not an authority's that may sign certificates and revocation lists, the
    /// key is another's, or its name is of a form that would come out differently as the name of an issuer.
    pub fn new(certificate_der: Vec<u8>, key: SigningKey) -> Result<Self> {
        let bad = |message: &'static str| Error::bad_input("certificatePem", message);
        let facts = Facts::from_der(&certificate_der)?;
        let may = |usage: &str| facts.key_usage.iter().any(|word| word == usage);
        // without the extension a key may be used for anything
        let limited = facts.key_usage.iter().any(|word| super::facts::is_key_usage(word));
        if !facts.is_ca || limited && !(may("key_cert_sign") && may("crl_sign")) {
            return Err(bad(
                "this is not the certificate of an authority: it needs CA:TRUE and the usages keyCertSign and cRLSign",
            ));
        }
        if facts.public_key.as_ref() != Some(key.public_key()) {
            return Err(bad(
                "the certificate is not about this private key: send those that belong together",
            ));
        }
        let name = Name::from_der(&facts.subject_der)
            .ok()
            .and_then(|name| names::rewritable(&name))
            .ok_or_else(|| {
                bad("the subject of an authority is to have each attribute once, as UTF8String, PrintableString or IA5String: \
                     have its certificate issued anew with such a subject")
            })?;
        Ok(Self { certificate: certificate_der, facts, name, key })
    }

    #[must_use]
    pub fn certificate_der(&self) -> &[u8] {
        &self.certificate
    }

    #[must_use]
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    #[must_use]
    pub fn key(&self) -> &SigningKey {
        &self.key
    }

    /// The key identifier of its certificate, which certificates and lists that it signs refer to.
    #[must_use]
    pub fn key_id(&self) -> Vec<u8> {
        self.facts.key_id.clone().unwrap_or_else(|| self.key.public_key().key_id().to_vec())
    }

    /// As rcgen takes an issuer.
    pub(super) fn rcgen(&self) -> rcgen::Issuer<'static, &SigningKey> {
        let mut params = CertificateParams::default();
        params.distinguished_name = self.name.clone();
        params.key_identifier_method = KeyIdMethod::PreSpecified(self.key_id());
        rcgen::Issuer::new(params, &self.key)
    }
}
