//! Where settings come from: a table of the keys there are, and one value for each that was given.

use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::path::Path;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Whole,
    /// A number with or without a fraction.
    Ratio,
    /// A list of texts; in the environment separated by commas.
    List,
    /// `true` or `false`.
    Flag,
    /// Repeated sections, `[[section.key]]`; in the file only.
    Tables,
}

/// Every key there is.
pub const KEYS: &[(&str, Kind)] = &[
    ("listener.address", Kind::Text),
    ("listener.tls_cert", Kind::Text),
    ("listener.tls_key", Kind::Text),
    ("listener.tls", Kind::Text),
    ("listener.tls_names", Kind::List),
    ("listener.client_certificates", Kind::Text),
    ("listener.trusted_proxies", Kind::List),
    ("listener.allowed_origins", Kind::List),
    ("listener.max_connections", Kind::Whole),
    ("listener.max_connections_per_address", Kind::Whole),
    ("listener.max_concurrent_requests", Kind::Whole),
    ("listener.request_timeout", Kind::Text),
    ("listener.shutdown_timeout", Kind::Text),
    ("listener.max_body_bytes", Kind::Whole),
    ("listener.playground", Kind::Flag),
    ("listener.max_bodies_bytes", Kind::Whole),
    ("storage.url", Kind::Text),
    ("storage.max_connections", Kind::Whole),
    ("seal.type", Kind::Text),
    ("seal.key_file", Kind::Text),
    ("seal.key_env", Kind::Text),
    ("graphql.introspection", Kind::Text),
    ("graphql.max_bytes", Kind::Whole),
    ("graphql.max_tokens", Kind::Whole),
    ("graphql.max_depth", Kind::Whole),
    ("graphql.max_aliases", Kind::Whole),
    ("graphql.max_root_fields", Kind::Whole),
    ("graphql.max_root_mutations", Kind::Whole),
    ("graphql.max_directives", Kind::Whole),
    ("graphql.max_complexity", Kind::Whole),
    ("graphql.max_operations", Kind::Whole),
    ("graphql.max_variables", Kind::Whole),
    ("graphql.max_variables_bytes", Kind::Whole),
    ("graphql.max_values", Kind::Whole),
    ("graphql.max_list_length", Kind::Whole),
    ("graphql.max_json_depth", Kind::Whole),
    ("graphql.cached_documents", Kind::Whole),
    ("graphql.documents", Kind::Text),
    ("graphql.persisted_documents", Kind::Text),
    ("rate_limits.enabled", Kind::Flag),
    ("rate_limits.cost_per_second", Kind::Whole),
    ("rate_limits.burst", Kind::Whole),
    ("rate_limits.anonymous_cost_per_second", Kind::Whole),
    ("rate_limits.anonymous_burst", Kind::Whole),
    ("rate_limits.failed_logins", Kind::Whole),
    ("rate_limits.failed_logins_window", Kind::Text),
    ("graphql.max_sockets_per_caller", Kind::Whole),
    ("graphql.max_subscriptions_per_socket", Kind::Whole),
    ("graphql.max_subscriptions_per_caller", Kind::Whole),
    ("graphql.max_subscriptions", Kind::Whole),
    ("audit.partitions_ahead", Kind::Whole),
    ("log.format", Kind::Text),
    ("log.level", Kind::Text),
    ("tokens.default_ttl", Kind::Text),
    ("tokens.max_ttl", Kind::Text),
    ("cluster.name", Kind::Text),
    ("cache.bytes", Kind::Whole),
    ("engines.sandbox", Kind::Text),
    ("engines.idle_timeout", Kind::Text),
    ("engines.plugins", Kind::Tables),
    ("pki.base_url", Kind::Text),
    ("pki.crl_validity", Kind::Text),
    ("pki.tidy_after", Kind::Text),
    ("pki.expiring_within", Kind::Text),
    ("telemetry.otlp_endpoint", Kind::Text),
    ("telemetry.sample_ratio", Kind::Ratio),
];

const PREFIX: &str = "SECRETHUB_";
const MAX_FILE: u64 = 1 << 20;

/// A flag of the command line that stands for a key.
pub struct Override {
    /// One of [`KEYS`] of kind text.
    pub key: &'static str,
    pub value: String,
}

enum Given {
    Text(String),
    Whole(i64),
    Ratio(f64),
    List(Vec<String>),
    Flag(bool),
    Tables(Vec<toml::Table>),
}

/// What was given, by key; later sources replace earlier ones.
#[derive(Default)]
pub struct Source(BTreeMap<&'static str, Given>);

impl Source {
    pub(super) fn add_file(&mut self, path: &Path) -> Result<()> {
        let unreadable = |error: std::io::Error| {
            Error::bad_input("config", format!("{} cannot be read: {}", path.display(), error.kind()))
        };
        let length = std::fs::metadata(path).map_err(unreadable)?.len();
        if length > MAX_FILE {
            return Err(Error::bad_input("config", format!("{} is too long", path.display())));
        }
        self.add_toml(&std::fs::read_to_string(path).map_err(unreadable)?)
    }

    pub(super) fn add_toml(&mut self, text: &str) -> Result<()> {
        let file: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            // its Display repeats the line, which may hold a password
            let line =
                error.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
            Error::bad_input("config", format!("line {line} is not valid TOML: {}", error.message()))
        })?;
        for (section, values) in file {
            let toml::Value::Table(values) = values else {
                return Err(unknown(&section));
            };
            for (name, value) in values {
                let full = format!("{section}.{name}");
                let (key, kind) = known(&full).ok_or_else(|| unknown(&full))?;
                self.0.insert(key, from_toml(value, kind).ok_or_else(|| wrong_kind(key, kind))?);
            }
            if !KEYS.iter().any(|(key, _)| key.split('.').next() == Some(section.as_str())) {
                return Err(unknown(&section));
            }
        }
        Ok(())
    }

    /// `SECRETHUB_SECTION__KEY`. Names without the double underscore are no settings: those of the client, and those that
    /// Kubernetes sets for every service.
    pub(super) fn add_environment(&mut self, environment: &BTreeMap<String, String>) -> Result<()> {
        for (variable, value) in environment {
            let Some((section, name)) = variable.strip_prefix(PREFIX).and_then(|rest| rest.split_once("__"))
            else {
                continue;
            };
            let full = format!("{section}.{name}").to_ascii_lowercase();
            let Some((key, kind)) = known(&full) else {
                let message = "there is no such setting: see the configuration reference in the README";
                return Err(Error::bad_input(variable.clone(), message));
            };
            let given = match kind {
                Kind::Text => Given::Text(value.clone()),
                Kind::Whole => Given::Whole(value.trim().parse().map_err(|_| wrong_kind(key, kind))?),
                Kind::Ratio => Given::Ratio(value.trim().parse().map_err(|_| wrong_kind(key, kind))?),
                Kind::List => Given::List(
                    value
                        .split(',')
                        .map(|item| item.trim().to_owned())
                        .filter(|item| !item.is_empty())
                        .collect(),
                ),
                Kind::Flag => Given::Flag(value.trim().parse().map_err(|_| wrong_kind(key, kind))?),
                Kind::Tables => {
                    let message = "can be set in the configuration file only";
                    return Err(Error::bad_input(variable.clone(), message));
                }
            };
            self.0.insert(key, given);
        }
        Ok(())
    }

    pub(super) fn add_overrides(&mut self, overrides: &[Override]) {
        for given in overrides {
            self.0.insert(given.key, Given::Text(given.value.clone()));
        }
    }

    pub(super) fn text(&self, key: &'static str) -> Result<Option<&str>> {
        match self.0.get(key) {
            None => Ok(None),
            Some(Given::Text(text)) => Ok(Some(text)),
            Some(_) => Err(wrong_kind(key, Kind::Text)),
        }
    }

    pub(super) fn whole(&self, key: &'static str) -> Result<Option<i64>> {
        match self.0.get(key) {
            None => Ok(None),
            Some(Given::Whole(number)) => Ok(Some(*number)),
            Some(_) => Err(wrong_kind(key, Kind::Whole)),
        }
    }

    pub(super) fn flag(&self, key: &'static str) -> Result<Option<bool>> {
        match self.0.get(key) {
            None => Ok(None),
            Some(Given::Flag(flag)) => Ok(Some(*flag)),
            Some(_) => Err(wrong_kind(key, Kind::Flag)),
        }
    }

    pub(super) fn list(&self, key: &'static str) -> Result<&[String]> {
        match self.0.get(key) {
            None => Ok(&[]),
            Some(Given::List(list)) => Ok(list),
            Some(_) => Err(wrong_kind(key, Kind::List)),
        }
    }

    pub(super) fn ratio(&self, key: &'static str) -> Result<Option<f64>> {
        match self.0.get(key) {
            None => Ok(None),
            Some(Given::Ratio(number)) => Ok(Some(*number)),
            Some(_) => Err(wrong_kind(key, Kind::Ratio)),
        }
    }

    pub(super) fn tables(&self, key: &'static str) -> Result<&[toml::Table]> {
        match self.0.get(key) {
            None => Ok(&[]),
            Some(Given::Tables(tables)) => Ok(tables),
            Some(_) => Err(wrong_kind(key, Kind::Tables)),
        }
    }
}

fn known(full: &str) -> Option<(&'static str, Kind)> {
    KEYS.iter().find(|(key, _)| *key == full).copied()
}

fn unknown(key: &str) -> Error {
    Error::bad_input(
        key.to_owned(),
        "there is no such setting: see the configuration reference in the README",
    )
}

fn wrong_kind(key: &'static str, kind: Kind) -> Error {
    let what = match kind {
        Kind::Text => "a text in quotation marks",
        Kind::Whole => "a whole number",
        Kind::Ratio => "a number",
        Kind::List => "a list of texts",
        Kind::Flag => "true or false",
        Kind::Tables => "sections with this name in double brackets",
    };
    Error::bad_input(key, format!("write {what}"))
}

fn from_toml(value: toml::Value, kind: Kind) -> Option<Given> {
    match (kind, value) {
        (Kind::Text, toml::Value::String(text)) => Some(Given::Text(text)),
        (Kind::Whole, toml::Value::Integer(number)) => Some(Given::Whole(number)),
        (Kind::Flag, toml::Value::Boolean(flag)) => Some(Given::Flag(flag)),
        (Kind::Ratio, toml::Value::Float(number)) => Some(Given::Ratio(number)),
        (Kind::Ratio, toml::Value::Integer(number)) => {
            i32::try_from(number).ok().map(|n| Given::Ratio(n.into()))
        }
        (Kind::List, toml::Value::Array(items)) => texts(items).map(Given::List),
        (Kind::Tables, toml::Value::Array(items)) => items
            .into_iter()
            .map(|item| match item {
                toml::Value::Table(table) => Some(table),
                _ => None,
            })
            .collect::<Option<_>>()
            .map(Given::Tables),
        _ => None,
    }
}

/// A list of nothing but texts.
pub(super) fn texts(items: Vec<toml::Value>) -> Option<Vec<String>> {
    items
        .into_iter()
        .map(|item| match item {
            toml::Value::String(text) => Some(text),
            _ => None,
        })
        .collect()
}
