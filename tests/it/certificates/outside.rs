//! What is not of this installation: an authority of another one, and requests as agents make them. All by `openssl`.

use std::path::Path;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// Runs `openssl` in a folder; what it printed. Panics if it fails.
#[track_caller]
pub fn openssl(folder: &Path, arguments: &[&str]) -> String {
    let (good, output) = try_openssl(folder, arguments);
    assert!(good, "openssl {}: {output}", arguments.join(" "));
    output
}

/// The same, with whether it ended well; both of its outputs.
pub fn try_openssl(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let ended =
        Command::new("openssl").args(arguments).current_dir(folder).stdin(Stdio::null()).output().unwrap();
    let mut output = String::from_utf8_lossy(&ended.stdout).into_owned();
    output.push_str(&String::from_utf8_lossy(&ended.stderr));
    (ended.status.success(), output)
}

pub fn read(folder: &Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap()
}

/// A CSR for a new key of P-256; the key is dropped. `extensions` as `openssl req -addext` takes them.
pub fn csr(subject: &str, extensions: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    request(folder.path(), "one", subject, extensions)
}

/// A key of P-256 in NAME.key and a CSR for it in NAME.csr; the CSR.
pub fn request(folder: &Path, name: &str, subject: &str, extensions: &[&str]) -> String {
    let (key, csr) = (format!("{name}.key"), format!("{name}.csr"));
    openssl(folder, &["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", &key]);
    let mut arguments = vec!["req", "-new", "-key", &key, "-out", &csr, "-subj", subject];
    for extension in extensions {
        arguments.extend(["-addext", extension]);
    }
    openssl(folder, &arguments);
    read(folder, &csr)
}

/// An authority of another installation.
pub struct Outside {
    folder: TempDir,
    pub certificate: String,
    pub key: String,
}

impl Outside {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path();
        let curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "300"];
        let mut arguments =
            vec!["req", "-x509", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Outside"];
        arguments.extend(curve);
        arguments.extend(["-addext", "keyUsage=critical,keyCertSign,cRLSign,digitalSignature"]);
        openssl(place, &arguments);
        let (certificate, key) = (read(place, "ca.pem"), read(place, "ca.key"));
        Self { folder, certificate, key }
    }

    /// Signs the CSR of an authority below.
    pub fn sign_authority(&self, csr: &str) -> String {
        self.sign(
            csr,
            "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign,digitalSignature\n\
                        subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n",
            100,
        )
    }

    /// Signs any CSR, with extensions as a configuration file of openssl has them.
    pub fn sign(&self, csr: &str, extensions: &str, days: u32) -> String {
        let place = self.folder.path();
        std::fs::write(place.join("one.csr"), csr).unwrap();
        std::fs::write(place.join("one.ext"), extensions).unwrap();
        let days = days.to_string();
        openssl(
            place,
            &[
                "x509",
                "-req",
                "-in",
                "one.csr",
                "-CA",
                "ca.pem",
                "-CAkey",
                "ca.key",
                "-CAcreateserial",
                "-days",
                &days,
                "-extfile",
                "one.ext",
                "-out",
                "one.pem",
            ],
        );
        read(place, "one.pem")
    }
}
