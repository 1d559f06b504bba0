//! The TLS listener: PEM files, TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1.

use crate::error::{Error, Result};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;

/// Refuses a file that others than its owner may read or write.
///
/// # Errors
/// `BAD_USER_INPUT` at `field`.
fn owner_only(path: &Path, field: &'static str) -> Result<()> {
    let metadata = std::fs::metadata(path).map_err(|error| {
        Error::bad_input(field, "cannot be read: check that it is there and belongs to this user")
            .with_context(error)
    })?;
    if metadata.mode() & 0o077 != 0 {
        return Err(Error::bad_input(
            field,
            "may be read or written by others than its owner: run 'chmod 600' on it",
        ));
    }
    Ok(())
}

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
    owner_only(key, KEY)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (mode, fine) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o620, false)] {
            file.as_file().set_permissions(std::fs::Permissions::from_mode(mode)).unwrap();
            let checked = owner_only(file.path(), "listener.tls_key");
            assert_eq!(checked.is_ok(), fine, "{mode:o}");
            if let Err(error) = checked {
                assert!(error.message().contains("chmod 600"), "{error}");
            }
        }
        let missing = owner_only(Path::new("/nosuch/key"), "listener.tls_key").unwrap_err();
        assert_eq!(missing.field(), Some("listener.tls_key"));
    }
}
