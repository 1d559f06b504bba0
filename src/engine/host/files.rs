//! Landlock: which files there are for a plugin, and that it listens on no port and reaches no process by abstract sockets or
//! signals.

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, LandlockStatus, PathBeneath, PathFd,
    Ruleset, RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};
use std::path::{Path, PathBuf};

/// What is asked for; a kernel with less gives less, and says so.
const VERSION: ABI = ABI::V6;

/// What the C library's name resolution and TLS need to read. No `/etc` as a whole, no `/proc`, no `/home`.
const READABLE: &[&str] = &[
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/host.conf",
    "/etc/ld.so.cache",
    // certificates, and where the links among them lead: nothing that has private keys beside them, as /etc/ssl and /etc/pki do
    "/etc/ssl/certs",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/openssl.cnf",
    "/etc/pki/ca-trust",
    "/etc/pki/trust",
    "/etc/pki/tls/certs",
    "/etc/pki/tls/cert.pem",
    "/etc/pki/tls/openssl.cnf",
    "/etc/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    "/var/lib/ca-certificates",
    // the modules of name resolution, which are loaded at the first look-up
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/dev/urandom",
];

/// The Landlock version in force; 0 if there is none or only a part of the files could be closed off.
pub(super) fn restrict(read: &[PathBuf], write: &[PathBuf]) -> u32 {
    enforce(read, write).unwrap_or(0)
}

fn enforce(read: &[PathBuf], write: &[PathBuf]) -> Result<u32, RulesetError> {
    let reading = AccessFs::ReadFile | AccessFs::ReadDir;
    let files = READABLE.iter().map(PathBuf::from).chain(resolver_folder()).chain(read.iter().cloned());
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(VERSION))?
        .handle_access(AccessNet::BindTcp)?
        .scope(Scope::from_all(VERSION))?
        .create()?;
    for path in files {
        rules = allow(rules, &path, reading)?;
    }
    rules = allow(rules, Path::new("/dev/null"), AccessFs::ReadFile | AccessFs::WriteFile)?;
    for path in write {
        rules = allow(rules, path, changing())?;
    }
    let status = rules.restrict_self()?;
    let version = match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => effective_abi as u32,
        _ => 0,
    };
    Ok(if status.ruleset == RulesetStatus::NotEnforced { 0 } else { version })
}

/// A path that is not there is left out.
fn allow(
    rules: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    let Ok(place) = PathFd::new(path) else { return Ok(rules) };
    let access = if path.is_dir() { access } else { access & AccessFs::from_file(VERSION) };
    rules.add_rule(PathBeneath::new(place, access))
}

fn changing() -> BitFlags<AccessFs> {
    AccessFs::ReadFile
        | AccessFs::ReadDir
        | AccessFs::WriteFile
        | AccessFs::Truncate
        | AccessFs::MakeReg
        | AccessFs::MakeDir
        | AccessFs::RemoveFile
        | AccessFs::RemoveDir
        | AccessFs::Refer
}

/// Where services keep `resolv.conf` behind a link, they replace it at changes: the folder, so that the new one can be read.
fn resolver_folder() -> Option<PathBuf> {
    let target = std::fs::canonicalize("/etc/resolv.conf").ok()?;
    let folder = target.parent()?;
    (folder.starts_with("/run") && folder != Path::new("/run")).then(|| folder.to_owned())
}
