//! TLS to the target, by rustls on aws-lc-rs.

use crate::config::{Config, TlsMode};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use secrethub_engine::{EngineError, Result};
use std::sync::Arc;
use tokio_postgres_rustls::MakeRustlsConnect;

/// The connector; `None` without TLS.
///
/// # Errors
/// [`EngineError::bad_input`] if there are no certificates to trust.
pub(crate) fn connector(config: &Config) -> Result<Option<MakeRustlsConnect>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let versions = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|_| EngineError::refused("this build of the engine has no TLS"))?;
    let client = match config.tls {
        TlsMode::Disable => return Ok(None),
        TlsMode::VerifyFull => versions.with_root_certificates(roots(config)?).with_no_client_auth(),
        TlsMode::Require => versions
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Anyone(provider)))
            .with_no_client_auth(),
    };
    Ok(Some(MakeRustlsConnect::new(client)))
}

fn roots(config: &Config) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let Some(pem) = &config.ca_pem else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(EngineError::bad_input("ca_pem", "is needed: this system trusts no certificates"));
        }
        return Ok(roots);
    };
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let bad = |_| EngineError::bad_input("ca_pem", "has something that is not a certificate in PEM");
        let certificate = certificate.map_err(bad)?;
        roots
            .add(certificate)
            .map_err(|_| EngineError::bad_input("ca_pem", "has a certificate that cannot be read"))?;
    }
    if roots.is_empty() {
        return Err(EngineError::bad_input("ca_pem", "has no certificate in PEM"));
    }
    Ok(roots)
}

/// Takes whatever certificate the server has: `require`.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
