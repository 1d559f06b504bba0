//! The check of client certificates within the handshake, where a refusal reaches the client as an alert that says why.
//!
//! It rests on what needs no store: the chain, the dates, the purpose, the key. Revocation is decided after the handshake; what was once
//! found to be revoked stays so, and is refused here from then on.

use crate::crypto::primitives::sha256;
use crate::service::certificates::trust::FOREIGN;
use parking_lot::Mutex;
use quick_cache::sync::Cache;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use std::fmt;
use std::sync::Arc;

/// So many are remembered; the rest is found out again after the handshake.
const MOST_REVOKED: usize = 10_000;

/// Certificates (by their SHA-256) that were found to be revoked, or below an authority that is.
pub(super) struct Revoked(Cache<[u8; 32], ()>);

impl Revoked {
    pub(super) fn new() -> Self {
        Self(Cache::new(MOST_REVOKED))
    }

    pub(super) fn remember(&self, fingerprint: [u8; 32]) {
        self.0.insert(fingerprint, ());
    }
}

/// What a client has shown in a handshake.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shown {
    /// SHA-256 of its certificate.
    pub(super) fingerprint: Option<[u8; 32]>,
    /// The certificate was found to be good; that the client has its key is seen after that.
    pub(super) verified: bool,
}

tokio::task_local! {
    /// Of the handshake that this task makes: the error that ends one does not say what it was about.
    pub(super) static SHOWN: Arc<Mutex<Shown>>;
}

/// A verifier that notes what was shown, and knows what was revoked.
pub(super) struct Noting {
    pub(super) inner: Arc<dyn ClientCertVerifier>,
    pub(super) revoked: Arc<Revoked>,
}

impl fmt::Debug for Noting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Noting")
    }
}

/// Outside of an accepted connection there is nobody to note it for.
fn note(change: impl FnOnce(&mut Shown)) {
    let _ = SHOWN.try_with(|shown| change(&mut shown.lock()));
}

impl ClientCertVerifier for Noting {
    fn offer_client_auth(&self) -> bool {
        self.inner.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.inner.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.inner.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let fingerprint = sha256(end_entity);
        note(|shown| shown.fingerprint = Some(fingerprint));
        let verified = self.inner.verify_client_cert(end_entity, intermediates, now)?;
        if self.revoked.0.get(&fingerprint).is_some() {
            return Err(CertificateError::Revoked.into());
        }
        note(|shown| shown.verified = true);
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// Why a handshake ended, if it was for the client's certificate.
pub(super) fn reason(error: &std::io::Error, shown: Shown) -> Option<&'static str> {
    use CertificateError as Bad;
    let bad = match error.get_ref()?.downcast_ref::<Error>()? {
        Error::NoCertificatesPresented => return Some("a client certificate is required"),
        Error::InvalidCertificate(bad) => bad,
        _ => return None,
    };
    Some(match bad {
        _ if shown.verified => "the client does not have the certificate's key",
        Bad::Expired | Bad::ExpiredContext { .. } => "the certificate has expired",
        Bad::NotValidYet | Bad::NotValidYetContext { .. } => "the certificate is not valid yet",
        Bad::Revoked => "the certificate, or an authority above it, was revoked",
        Bad::UnknownIssuer | Bad::BadSignature => FOREIGN,
        Bad::InvalidPurpose | Bad::InvalidPurposeContext { .. } => "the certificate is no client's",
        _ => "the certificate cannot be verified",
    })
}
