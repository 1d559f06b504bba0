//! What authorities are asked to be.

use super::super::input;
use super::plan::MAX_TTL;
use crate::crypto::x509::certificate::CaProfile;
use crate::error::{Error, Result};
use crate::model::certificates::{KeyType, NameConstraints, Subject, parse_dns};
use ipnet::IpNet;
use zeroize::Zeroizing;

/// The most entries of one list of name constraints.
const MAX_CONSTRAINTS: usize = 50;

/// A new authority.
#[derive(Debug, Clone)]
pub struct AuthorityInput {
    pub subject: Subject,
    pub key_type: KeyType,
    pub ttl_seconds: Option<i64>,
    /// How many authorities may follow below it.
    pub max_path_length: Option<i64>,
    pub permitted_dns: Vec<String>,
    pub excluded_dns: Vec<String>,
    pub permitted_ips: Vec<String>,
    pub excluded_ips: Vec<String>,
    /// Of the authority that signs it; the default's if left out. Not for a root.
    pub issuer_serial: Option<String>,
    pub make_default: bool,
}

/// An authority that comes with its key.
pub struct ImportInput {
    pub certificate_pem: String,
    pub private_key_pem: Zeroizing<String>,
    /// The certificates above it, nearest first.
    pub chain_pem: Option<String>,
    pub make_default: bool,
}

impl AuthorityInput {
    /// # Errors
    /// `BAD_USER_INPUT` naming the field.
    pub(super) fn check(&self) -> Result<()> {
        self.subject.check().map_err(|(field, message)| Error::bad_input(field, message))?;
        input::ttl("ttlSeconds", self.ttl_seconds, MAX_TTL)?;
        let wanted = self.profile(None)?.constraints();
        // what it excludes itself, nobody would take either
        let excluded = NameConstraints { excluded: wanted.excluded, ..NameConstraints::default() };
        excluded
            .allow_below(&wanted.permitted)
            .map_err(|(field, message)| Error::bad_input(field, format!("permits and excludes {message}")))
    }

    /// The profile, with a path length that was settled.
    pub(super) fn profile(&self, max_path_length: Option<u8>) -> Result<CaProfile> {
        Ok(CaProfile {
            max_path_length,
            permitted_dns: domains("permittedDnsDomains", &self.permitted_dns)?,
            excluded_dns: domains("excludedDnsDomains", &self.excluded_dns)?,
            permitted_ips: ranges("permittedIpRanges", &self.permitted_ips)?,
            excluded_ips: ranges("excludedIpRanges", &self.excluded_ips)?,
        })
    }

    /// The path length of a root.
    pub(super) fn own_path_length(&self) -> Result<Option<u8>> {
        self.max_path_length
            .map(|length| {
                u8::try_from(length)
                    .map_err(|_| Error::bad_input("maxPathLength", "write a whole number from 0 to 255"))
            })
            .transpose()
    }
}

fn bounded(field: &'static str, length: usize) -> Result<()> {
    if length > MAX_CONSTRAINTS {
        return Err(Error::bad_input(field, format!("at most {MAX_CONSTRAINTS} entries")));
    }
    Ok(())
}

fn domains(field: &'static str, texts: &[String]) -> Result<Vec<String>> {
    bounded(field, texts.len())?;
    let parse = |(index, text): (usize, &String)| match parse_dns(text) {
        Ok(name) if !name.starts_with('*') => Ok(name),
        _ => Err(Error::bad_input(
            format!("{field}[{index}]"),
            "write a domain such as example.com; it covers what is below it",
        )),
    };
    texts.iter().enumerate().map(parse).collect()
}

fn ranges(field: &'static str, texts: &[String]) -> Result<Vec<IpNet>> {
    bounded(field, texts.len())?;
    let parse = |(index, text): (usize, &String)| {
        text.parse::<IpNet>()
            .map(|range| range.trunc())
            .map_err(|_| Error::bad_input(format!("{field}[{index}]"), "write a range such as 10.0.0.0/8"))
    };
    texts.iter().enumerate().map(parse).collect()
}
