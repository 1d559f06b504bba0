//! The TLS listener: PEM files, TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1.

use crate::error::{Error, Result};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// Reads a certificate chain (leaf first) and its key.
///
/// # Errors
/// `BAD_USER_INPUT` naming `listener.tls_cert` or `listener.tls_key`.
pub fn acceptor(cert: &Path, key: &Path) -> Result<TlsAcceptor> {
    const CERT: &str = "listener.tls_cert";
    const KEY: &str = "listener.tls_key";
    let chain =
        CertificateDer::pem_file_iter(cert).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(
            |error| Error::bad_input(CERT, "is no readable PEM file of certificates").with_context(error),
        )?;
    if chain.is_empty() {
        return Err(Error::bad_input(CERT, "holds no certificate"));
    }
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| {
        Error::bad_input(KEY, "is no readable PEM file of a private key").with_context(error)
    })?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| {
            Error::bad_input(KEY, "does not belong to the certificate, or is of a kind that is not supported")
                .with_context(error)
        })?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
