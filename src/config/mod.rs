//! Floor 6: the settings of `secrethub server`. A TOML file, over it the environment (`SECRETHUB_STORAGE__URL`), over it the
//! flags of the command line. Every key is known ([`source::KEYS`]), every section is validated, and a mistake is named as
//! `section.key`. Nothing here has `Debug`: addresses of stores hold passwords.

mod documents;
mod engines;
mod graphql;
mod key;
mod listener;
mod pki;
mod rate_limits;
mod source;
mod store;
mod telemetry;

use crate::crypto::memory::Key32;
use crate::engine::EngineSettings;
use crate::error::{Error, Result};
use crate::http::transport::TransportOptions;
use crate::model::duration;
use crate::service::certificates::PkiSettings;
use crate::service::rate::RateSettings;
use crate::storage::db::StoreUrl;
use source::Source;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

pub use documents::Documents;
pub use engines::beside_program;
pub use listener::{DEFAULT_ADDRESS, Listener};
pub use source::Override;
pub use store::in_the_clear;
pub use telemetry::Telemetry;

pub struct Config {
    pub listener: Listener,
    pub storage: Storage,
    pub seal: Seal,
    pub graphql: TransportOptions,
    pub audit: Audit,
    pub log: Log,
    pub tokens: Tokens,
    pub cluster_name: String,
    /// Bound on the cached ciphertexts, in bytes.
    pub cache_bytes: u64,
    pub engines: EngineSettings,
    pub pki: PkiSettings,
    pub documents: Documents,
    pub rates: RateSettings,
    /// `None`: no spans are made.
    pub telemetry: Option<Telemetry>,
}

pub struct Storage {
    pub url: StoreUrl,
    pub max_connections: u32,
}

pub enum Seal {
    /// Unsealed by people with key shares.
    Shamir,
    /// Unseals itself at start with this key.
    Static(Key32),
}

pub struct Audit {
    /// Months of partitions made ahead (PostgreSQL).
    pub partitions_ahead: u32,
}

#[derive(Debug, Clone)]
pub struct Log {
    pub format: LogFormat,
    /// A filter of tracing-subscriber: `info`, `secrethub=debug,warn`.
    pub level: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Human,
    Json,
}

pub struct Tokens {
    /// In seconds.
    pub default_ttl: i64,
    pub max_ttl: i64,
}

impl Config {
    /// Reads and validates the settings.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` naming `section.key`, and what to write there.
    pub fn load(
        file: Option<&Path>,
        environment: &BTreeMap<String, String>,
        overrides: &[Override],
    ) -> Result<Self> {
        let mut source = Source::default();
        if let Some(path) = file {
            source.add_file(path)?;
        }
        source.add_environment(environment)?;
        source.add_overrides(overrides);
        Self::from_source(&source, environment)
    }

    fn from_source(source: &Source, environment: &BTreeMap<String, String>) -> Result<Self> {
        Ok(Self {
            listener: listener::listener(source)?,
            storage: storage(source)?,
            seal: seal(source, environment)?,
            graphql: graphql::graphql(source)?,
            audit: Audit { partitions_ahead: whole(source, "audit.partitions_ahead", 3, 1, 24)? },
            log: log(source)?,
            tokens: tokens(source)?,
            cluster_name: cluster_name(source)?,
            cache_bytes: whole(source, "cache.bytes", 64 << 20, 1 << 20, 1 << 40)?,
            engines: engines::engines(source)?,
            pki: pki::pki(source)?,
            documents: documents::documents(source)?,
            rates: rate_limits::rate_limits(source)?,
            telemetry: telemetry::telemetry(source, environment)?,
        })
    }
}

fn storage(source: &Source) -> Result<Storage> {
    let url = source.text("storage.url")?.ok_or_else(|| {
        Error::bad_input(
            "storage.url",
            "is needed: write sqlite:PATH or postgres://USER:PASSWORD@HOST:PORT/DATABASE",
        )
    })?;
    Ok(Storage {
        url: StoreUrl::parse(url)?,
        max_connections: whole(source, "storage.max_connections", 16, 2, 1000)?,
    })
}

fn seal(source: &Source, environment: &BTreeMap<String, String>) -> Result<Seal> {
    let (file, variable) = (source.text("seal.key_file")?, source.text("seal.key_env")?);
    match source.text("seal.type")?.unwrap_or("shamir") {
        "shamir" => match (file, variable) {
            (None, None) => Ok(Seal::Shamir),
            (Some(_), _) => Err(Error::bad_input("seal.key_file", "belongs to seal.type = \"static\"")),
            (None, Some(_)) => Err(Error::bad_input("seal.key_env", "belongs to seal.type = \"static\"")),
        },
        "static" => match (file, variable) {
            (Some(path), None) => key::from_file(Path::new(path)).map(Seal::Static),
            (None, Some(name)) => key::from_variable(name, environment).map(Seal::Static),
            _ => Err(Error::bad_input(
                "seal.key_file",
                "a static seal needs either seal.key_file or seal.key_env",
            )),
        },
        _ => Err(Error::bad_input("seal.type", "write \"shamir\" or \"static\"")),
    }
}

fn log(source: &Source) -> Result<Log> {
    let format = match source.text("log.format")?.unwrap_or("human") {
        "human" => LogFormat::Human,
        "json" => LogFormat::Json,
        _ => return Err(Error::bad_input("log.format", "write \"human\" or \"json\"")),
    };
    let level = source.text("log.level")?.unwrap_or("info").to_owned();
    if level.is_empty() || tracing_subscriber::EnvFilter::try_new(&level).is_err() {
        return Err(Error::bad_input(
            "log.level",
            "write a level or filter, such as info or secrethub=debug,warn",
        ));
    }
    Ok(Log { format, level })
}

fn tokens(source: &Source) -> Result<Tokens> {
    const YEAR: u64 = 366 * 24 * 3600;
    let default_ttl = seconds(source, "tokens.default_ttl", 8 * 3600, 1, YEAR)?.as_secs();
    let max_ttl = seconds(source, "tokens.max_ttl", 32 * 24 * 3600, 1, YEAR)?.as_secs();
    if default_ttl > max_ttl {
        return Err(Error::bad_input("tokens.default_ttl", "is longer than tokens.max_ttl"));
    }
    // a year fits
    Ok(Tokens { default_ttl: default_ttl.cast_signed(), max_ttl: max_ttl.cast_signed() })
}

fn cluster_name(source: &Source) -> Result<String> {
    let name = source.text("cluster.name")?.unwrap_or("secrethub");
    let fits = (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if fits {
        Ok(name.to_owned())
    } else {
        Err(Error::bad_input("cluster.name", "write 1 to 64 letters, digits, '.', '_' or '-'"))
    }
}

/// A whole number within bounds.
fn whole<T>(source: &Source, key: &'static str, default: T, least: u64, most: u64) -> Result<T>
where
    T: TryFrom<u64>,
{
    let out_of_bounds = || Error::bad_input(key, format!("write a whole number from {least} to {most}"));
    match source.whole(key)? {
        None => Ok(default),
        Some(number) => u64::try_from(number)
            .ok()
            .filter(|number| (least..=most).contains(number))
            .and_then(|number| T::try_from(number).ok())
            .ok_or_else(out_of_bounds),
    }
}

/// A duration such as `30s` or `8h`, within bounds in seconds.
fn seconds(source: &Source, key: &'static str, default: u64, least: u64, most: u64) -> Result<Duration> {
    let Some(text) = source.text(key)? else { return Ok(Duration::from_secs(default)) };
    duration::parse(text)
        .ok()
        .and_then(|seconds| u64::try_from(seconds).ok())
        .filter(|seconds| (least..=most).contains(seconds))
        .map(Duration::from_secs)
        .ok_or_else(|| {
            let bound = |seconds: u64| duration::format(i64::try_from(seconds).unwrap_or(i64::MAX));
            let (least, most) = (bound(least), bound(most));
            Error::bad_input(key, format!("write a duration such as 30s, 5m or 8h, from {least} to {most}"))
        })
}

#[cfg(test)]
mod tests;
