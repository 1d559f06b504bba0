//! A plugin's bytes: read once, hashed, and sealed in memory, so that what is loaded is what was checked.

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

/// The largest plugin, in bytes. Debug builds of large client libraries have a hundred million.
const MAX_FILE: u64 = 256 << 20;
const CHUNK: usize = 1 << 20;

/// The bytes of a plugin, which nobody can change any more.
pub(super) struct Sealed {
    pub file: OwnedFd,
    /// 64 small hex digits.
    pub sha256: String,
}

/// Reads the plugin into memory, sealed. Blocks: not for an async task.
///
/// # Errors
/// A sentence for the operator.
pub(super) fn read(path: &Path) -> Result<Sealed, String> {
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => "the file is not there".to_owned(),
        io::ErrorKind::PermissionDenied => "the file may not be read by this user".to_owned(),
        _ => "the file cannot be read".to_owned(),
    };
    let source = File::open(path).map_err(unreadable)?;
    let metadata = source.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err("this is not a file".to_owned());
    }
    if metadata.len() > MAX_FILE {
        return Err(format!("the file is larger than {} MiB", MAX_FILE >> 20));
    }
    let mut memory = File::from(memory().map_err(|_| no_memory())?);
    let mut hash = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    let mut total = 0;
    let mut source = source.take(MAX_FILE + 1);
    loop {
        let read = match source.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(unreadable(error)),
        };
        hash.update(&chunk[..read]);
        memory.write_all(&chunk[..read]).map_err(|_| no_memory())?;
        total += read as u64;
    }
    if total > MAX_FILE {
        return Err(format!("the file is larger than {} MiB", MAX_FILE >> 20));
    }
    let seals = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    fcntl_add_seals(&memory, seals).map_err(|_| "the plugin cannot be sealed in memory".to_owned())?;
    let sha256 = data_encoding::HEXLOWER.encode(&hash.finalize());
    Ok(Sealed { file: memory.into(), sha256 })
}

fn no_memory() -> String {
    "there is no memory for the plugin".to_owned()
}

/// A file in memory that can be mapped but not executed as a program.
fn memory() -> Result<OwnedFd, Errno> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    match memfd_create("secrethub-engine", flags | MemfdFlags::NOEXEC_SEAL) {
        // before Linux 6.3
        Err(Errno::INVAL) => memfd_create("secrethub-engine", flags),
        made => made,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Seek;

    #[test]
    fn the_bytes_are_those_of_the_file_and_stay_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("plugin.so");
        std::fs::write(&path, b"abc").unwrap();
        let sealed = read(&path).unwrap();
        assert_eq!(sealed.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        std::fs::write(&path, b"other").unwrap();
        let mut memory = File::from(sealed.file);
        memory.rewind().unwrap();
        let mut text = String::new();
        memory.read_to_string(&mut text).unwrap();
        assert_eq!(text, "abc");
        memory.rewind().unwrap();
        assert!(memory.write_all(b"x").is_err());
        assert!(memory.set_len(0).is_err() && memory.set_len(10).is_err());
    }

    #[test]
    fn what_cannot_be_read_is_said_plainly() {
        let folder = tempfile::tempdir().unwrap();
        let said = |path: &Path| read(path).err().unwrap();
        assert_eq!(said(&folder.path().join("none.so")), "the file is not there");
        assert_eq!(said(folder.path()), "this is not a file");
        let large = folder.path().join("large.so");
        File::create(&large).unwrap().set_len(MAX_FILE + 1).unwrap();
        assert_eq!(said(&large), "the file is larger than 256 MiB");
    }
}
