//! The key of the static seal, from where the configuration points to.

use crate::crypto::memory::Key32;
use crate::error::{Error, Result};
use data_encoding::{BASE64, BASE64_NOPAD, HEXLOWER_PERMISSIVE};
use std::collections::BTreeMap;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use zeroize::Zeroizing;

/// A key is at most 64 characters and a line end; a longer file is another file.
const MAX_FILE: u64 = 256;
const FILE: &str = "seal.key_file";
const VARIABLE: &str = "seal.key_env";

/// The key in a file that nobody but its owner may read.
pub(super) fn from_file(path: &Path) -> Result<Key32> {
    let unreadable = |error: std::io::Error| {
        Error::bad_input(FILE, "cannot be read: check that it is there and belongs to this user")
            .with_context(error)
    };
    let mut file = std::fs::File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(Error::bad_input(FILE, "is not a file"));
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(Error::bad_input(
            FILE,
            "may be read or written by others than its owner: run 'chmod 600' on it",
        ));
    }
    if metadata.len() > MAX_FILE {
        return Err(Error::bad_input(FILE, "is too long to be a key of 32 bytes in hex or base64"));
    }
    // as large as the file can be, so that no copy is left behind by growing
    let mut text = Zeroizing::new(String::with_capacity(512));
    file.by_ref().take(MAX_FILE).read_to_string(&mut text).map_err(unreadable)?;
    decode(&text, FILE)
}

/// The key in an environment variable.
pub(super) fn from_variable(name: &str, environment: &BTreeMap<String, String>) -> Result<Key32> {
    match environment.get(name) {
        Some(text) => decode(text, VARIABLE),
        None => Err(Error::bad_input(VARIABLE, "names an environment variable that is not set")),
    }
}

fn decode(text: &str, field: &'static str) -> Result<Key32> {
    let text = text.trim().as_bytes();
    let encoding = if text.len() == 64 {
        &HEXLOWER_PERMISSIVE
    } else if text.ends_with(b"=") {
        &BASE64
    } else {
        &BASE64_NOPAD
    };
    let bytes = encoding.decode(text).map(Zeroizing::new).ok();
    let bytes = bytes.as_ref().and_then(|bytes| <&[u8; 32]>::try_from(bytes.as_slice()).ok());
    match bytes {
        Some(bytes) if bytes.iter().all(|byte| *byte == bytes[0]) => Err(Error::bad_input(
            field,
            "is one byte repeated: make a random key, with 'openssl rand -hex 32'",
        )),
        Some(bytes) => Ok(Key32::with(|key| key.copy_from_slice(bytes))),
        None => Err(Error::bad_input(
            field,
            "must hold 32 bytes as hex or base64: 'openssl rand -hex 32' makes one",
        )),
    }
}
