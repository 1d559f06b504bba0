//! The section `engines`: which plugins may be loaded, and how they are confined.
//!
//! ```toml
//! [engines]
//! sandbox = "required"
//!
//! [[engines.plugins]]
//! file = "/usr/lib/secrethub/libsecrethub_engine_postgresql.so"
//! sha256 = "64 hex digits"
//! ```

use super::seconds;
use super::source::{Source, texts};
use crate::engine::{EngineSettings, PluginPin, SandboxPolicy};
use crate::error::{Error, Result};
use std::path::{Path, PathBuf};

/// Where plugins are for `secrethub dev`: these files beside the program.
const BESIDE: &[&str] =
    &["libsecrethub_engine_postgresql.so", "libsecrethub_engine_redis.so", "libsecrethub_engine_aws_iam.so"];

pub(super) fn engines(source: &Source) -> Result<EngineSettings> {
    let sandbox = match source.text("engines.sandbox")?.unwrap_or("required") {
        "required" => SandboxPolicy::Required,
        "best-effort" => SandboxPolicy::BestEffort,
        _ => return Err(Error::bad_input("engines.sandbox", "write \"required\" or \"best-effort\"")),
    };
    let plugins: Vec<PluginPin> = source
        .tables("engines.plugins")?
        .iter()
        .enumerate()
        .map(|(at, table)| plugin(at, table))
        .collect::<Result<_>>()?;
    for (at, plugin) in plugins.iter().enumerate() {
        if plugins[..at].iter().any(|other| other.file == plugin.file) {
            return Err(bad(at, "file", "is listed already"));
        }
    }
    let idle = seconds(source, "engines.idle_timeout", 300, 1, 24 * 3600)?;
    Ok(EngineSettings { plugins, sandbox, idle, ..EngineSettings::default() })
}

/// `engines.plugins[0].file`.
fn bad(at: usize, key: &str, message: &'static str) -> Error {
    Error::bad_input(format!("engines.plugins[{at}].{key}"), message)
}

fn plugin(at: usize, table: &toml::Table) -> Result<PluginPin> {
    let (mut file, mut sha256) = (None, None);
    let (mut read, mut write) = (Vec::new(), Vec::new());
    for (key, value) in table {
        match key.as_str() {
            "file" => file = Some(path(at, "file", value.as_str())?),
            "sha256" => sha256 = Some(hash(at, value.as_str())?),
            "read" => read = paths(at, "read", value)?,
            "write" => write = paths(at, "write", value)?,
            _ => {
                return Err(bad(
                    at,
                    key,
                    "there is no such setting: see the configuration reference in the README",
                ));
            }
        }
    }
    let file = file.ok_or_else(|| bad(at, "file", "is needed: the absolute path of the plugin"))?;
    let sha256 = sha256.ok_or_else(|| {
        bad(at, "sha256", "is needed: what sha256sum prints for the file, of a plugin that you trust")
    })?;
    Ok(PluginPin { file, sha256: Some(sha256), read, write })
}

fn path(at: usize, key: &str, text: Option<&str>) -> Result<PathBuf> {
    let path = text.map(Path::new).filter(|path| path.is_absolute());
    path.map(Path::to_owned).ok_or_else(|| bad(at, key, "write an absolute path"))
}

fn paths(at: usize, key: &str, value: &toml::Value) -> Result<Vec<PathBuf>> {
    let list = value.as_array().cloned().and_then(texts);
    let list = list.ok_or_else(|| bad(at, key, "write a list of absolute paths"))?;
    list.iter().map(|text| path(at, key, Some(text))).collect()
}

fn hash(at: usize, text: Option<&str>) -> Result<String> {
    text.filter(|text| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .map(str::to_ascii_lowercase)
        .ok_or_else(|| bad(at, "sha256", "write 64 hex digits, as sha256sum prints them"))
}

/// For `secrethub dev`: the plugins beside the running program, pinned to what they hold at their first use. None of them is
/// read here.
#[must_use]
pub fn beside_program() -> EngineSettings {
    let folder = std::env::current_exe().ok().and_then(|program| program.parent().map(Path::to_owned));
    let plugins = folder.map(|folder| found_in(&folder)).unwrap_or_default();
    // a workstation's kernel may lack what production requires; the level reached is reported
    EngineSettings { plugins, sandbox: SandboxPolicy::BestEffort, ..EngineSettings::default() }
}

fn found_in(folder: &Path) -> Vec<PluginPin> {
    let files = BESIDE.iter().map(|name| folder.join(name)).filter(|file| file.is_file());
    files.map(|file| PluginPin { file, sha256: None, read: Vec::new(), write: Vec::new() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "BA7816BF8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    fn read(toml: &str) -> Result<EngineSettings> {
        let mut source = Source::default();
        source.add_toml(toml)?;
        engines(&source)
    }

    #[test]
    fn plugins_are_listed_with_their_hashes() {
        let settings = read(&format!(
            "[engines]\nsandbox = \"best-effort\"\nidle_timeout = \"1m\"\n\
             [[engines.plugins]]\nfile = \"/a.so\"\nsha256 = \"{HASH}\"\nread = [\"/etc/x\"]\n\
             [[engines.plugins]]\nfile = \"/b.so\"\nsha256 = \"{HASH}\"\nwrite = [\"/var/x\"]"
        ))
        .unwrap();
        assert_eq!(settings.sandbox, SandboxPolicy::BestEffort);
        assert_eq!(settings.idle.as_secs(), 60);
        assert_eq!(settings.plugins.len(), 2);
        assert_eq!(settings.plugins[0].sha256.as_deref(), Some(HASH.to_ascii_lowercase().as_str()));
        assert_eq!(settings.plugins[0].read, [PathBuf::from("/etc/x")]);
        assert_eq!(settings.plugins[1].write, [PathBuf::from("/var/x")]);
        let none = read("").unwrap();
        assert!(none.plugins.is_empty() && none.sandbox == SandboxPolicy::Required);
    }

    #[test]
    fn every_mistake_names_its_place() {
        let plugin = |text: &str| format!("[[engines.plugins]]\n{text}");
        let table = [
            ("[engines]\nsandbox = \"off\"".to_owned(), "engines.sandbox"),
            ("[engines]\nidle_timeout = \"0s\"".to_owned(), "engines.idle_timeout"),
            ("[engines]\nplugins = \"/a.so\"".to_owned(), "engines.plugins"),
            ("[engines]\nplugins = [\"/a.so\"]".to_owned(), "engines.plugins"),
            ("[engines]\nplugin = []".to_owned(), "engines.plugin"),
            (plugin("file = \"/a.so\""), "engines.plugins[0].sha256"),
            (plugin(&format!("sha256 = \"{HASH}\"")), "engines.plugins[0].file"),
            (plugin(&format!("file = \"a.so\"\nsha256 = \"{HASH}\"")), "engines.plugins[0].file"),
            (plugin("file = \"/a.so\"\nsha256 = \"abc\""), "engines.plugins[0].sha256"),
            (plugin("file = \"/a.so\"\nread = \"/x\""), "engines.plugins[0].read"),
            (plugin("file = \"/a.so\"\nwrite = [\"x\"]"), "engines.plugins[0].write"),
            (plugin("fil = \"/a.so\""), "engines.plugins[0].fil"),
            (
                plugin(&format!("file = \"/a.so\"\nsha256 = \"{HASH}\"\n")).repeat(2),
                "engines.plugins[1].file",
            ),
        ];
        for (toml, field) in table {
            let error = read(&toml).err().unwrap_or_else(|| panic!("{toml} was taken"));
            assert_eq!(error.field(), Some(field), "{toml}");
        }
        let mut source = Source::default();
        let environment = [("SECRETHUB_ENGINES__PLUGINS".to_owned(), "/a.so".to_owned())].into();
        let error = source.add_environment(&environment).unwrap_err();
        assert_eq!(error.field(), Some("SECRETHUB_ENGINES__PLUGINS"));
    }

    #[test]
    fn dev_finds_what_is_beside_the_program_without_reading_it() {
        let folder = tempfile::tempdir().unwrap();
        assert!(found_in(folder.path()).is_empty());
        std::fs::write(folder.path().join(BESIDE[1]), "").unwrap();
        std::fs::create_dir(folder.path().join(BESIDE[0])).unwrap();
        let found = found_in(folder.path());
        assert_eq!(found.len(), 1);
        assert!(found[0].file.ends_with(BESIDE[1]) && found[0].sha256.is_none());
    }
}
