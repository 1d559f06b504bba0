//! The server's certificate in files, which others renew.

use crate::error::{Error, Result};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroize;

const CERT: &str = "listener.tls_cert";
const KEY: &str = "listener.tls_key";
/// A chain or a key has some thousand bytes; a longer file is another file.
const MAX_FILE: u64 = 1 << 20;

/// PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The certificate chain, leaf first.
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// What shows that a file was replaced or written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let metadata = std::fs::metadata(path).ok()?;
        Some(Self {
            inode: metadata.ino(),
            length: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }
}

type Stamps = [Option<Stamp>; 2];

/// Files that are read again when they change.
pub(super) struct Watched {
    files: TlsFiles,
    /// Of the pair in use; taken before it was read, so that a change meanwhile is seen.
    used: Stamps,
    /// Of the last pair that was no good: one warning for each.
    refused: Option<Stamps>,
}

impl Watched {
    pub(super) fn read(files: TlsFiles) -> Result<(Self, Arc<CertifiedKey>)> {
        let used = stamps(&files);
        let certified = load(&files)?;
        Ok((Self { files, used, refused: None }, certified))
    }

    /// The pair, if it is another than the one in use. What is half-written, does not fit together, or is gone is left for the
    /// next look.
    pub(super) fn look(&mut self, forced: bool) -> Option<Arc<CertifiedKey>> {
        let seen = stamps(&self.files);
        if seen == self.used && !forced {
            return None;
        }
        match load(&self.files) {
            Ok(certified) => {
                (self.used, self.refused) = (seen, None);
                Some(certified)
            }
            Err(error) => {
                if forced || self.refused != Some(seen) {
                    tracing::warn!(
                        error = %error,
                        "the new certificate files cannot be used: the certificate that was read before stays in use"
                    );
                }
                self.refused = Some(seen);
                None
            }
        }
    }
}

fn stamps(files: &TlsFiles) -> Stamps {
    [Stamp::of(&files.cert), Stamp::of(&files.key)]
}

/// Refuses what is no file of a sensible size, and a key that others than its owner may read or write.
fn check(path: &Path, field: &'static str, secret: bool) -> Result<()> {
    let metadata = std::fs::metadata(path).map_err(|error| {
        Error::bad_input(field, "cannot be read: check that it is there and belongs to this user")
            .with_context(error)
    })?;
    if !metadata.is_file() || metadata.len() > MAX_FILE {
        return Err(Error::bad_input(field, "is no PEM file"));
    }
    if secret && metadata.mode() & 0o077 != 0 {
        return Err(Error::bad_input(
            field,
            "may be read or written by others than its owner: run 'chmod 600' on it",
        ));
    }
    Ok(())
}

fn load(files: &TlsFiles) -> Result<Arc<CertifiedKey>> {
    check(&files.cert, CERT, false)?;
    let chain =
        CertificateDer::pem_file_iter(&files.cert).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(
            |error| Error::bad_input(CERT, "is no readable PEM file of certificates").with_context(error),
        )?;
    if chain.is_empty() {
        return Err(Error::bad_input(CERT, "holds no certificate"));
    }
    check(&files.key, KEY, true)?;
    let mut key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| {
        Error::bad_input(KEY, "is no readable PEM file of a private key").with_context(error)
    })?;
    let certified = super::certified(chain, &key);
    key.zeroize();
    certified.map_err(|error| {
        Error::bad_input(KEY, "does not belong to the certificate, or is of a kind that is not supported")
            .with_context(error)
    })
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
            let checked = check(file.path(), KEY, true);
            assert_eq!(checked.is_ok(), fine, "{mode:o}");
            if let Err(error) = checked {
                assert!(error.message().contains("chmod 600"), "{error}");
            }
        }
        let missing = check(Path::new("/nosuch/key"), KEY, true).unwrap_err();
        assert_eq!(missing.field(), Some(KEY));
        assert!(check(Path::new("/"), CERT, false).is_err());
    }
}
