//! Name constraints of authorities: which names the certificates below them may have (RFC 5280, 4.2.1.10).
//!
//! What is refused here would be refused by who verifies the certificate. Where the standard leaves room, the stricter reading holds:
//! a wildcard that covers an excluded name is excluded, a URI whose host is not plain is outside of every subtree, and a common name
//! that openssl takes for a DNS name has to be one that is allowed.

use super::{AltName, Subject, Violation};
use ipnet::IpNet;
use std::net::IpAddr;

/// Subtrees of the forms that names of certificates made here have. Constraints on other forms concern none of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subtrees {
    /// In lower case. Itself and all below; with a dot in front, all below only.
    pub dns: Vec<String>,
    pub ips: Vec<IpSubtree>,
    /// Hosts, in lower case. Itself only; with a dot in front, all below only.
    pub uris: Vec<String>,
    pub directories: Vec<DirectoryName>,
}

/// The name constraints of one authority.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NameConstraints {
    /// Where a form has any, a name of that form must be within one of them.
    pub permitted: Subtrees,
    pub excluded: Subtrees,
    /// They are of a kind that no verifier takes, so nothing below verifies.
    pub unusable: bool,
}

/// Addresses that agree with one in the bits of a mask, which need not be its first ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IpSubtree {
    v6: bool,
    address: u128,
    mask: u128,
}

/// The parts of a directory name, most significant first: each a sorted list of types (in dotted form) and values as [`directory_text`]
/// makes them.
pub type DirectoryName = Vec<Vec<(String, String)>>;

/// A value of a directory name as it is compared: without regard to case and to how much space is where (RFC 5280, 7.1).
#[must_use]
pub fn directory_text(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

/// A subject as certificates made here have it.
#[must_use]
pub fn directory_name(subject: &Subject) -> DirectoryName {
    let part = |kind: &str, text: &String| vec![(kind.to_owned(), directory_text(text))];
    let organization = subject.organization.iter().map(|text| part("2.5.4.10", text));
    let unit = subject.organizational_unit.iter().map(|text| part("2.5.4.11", text));
    organization.chain(unit).chain([part("2.5.4.3", &subject.common_name)]).collect()
}

impl IpSubtree {
    /// Address and mask as certificates have them: 4 or 16 bytes of each. `None` for any other number.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let number =
            |bytes: &[u8]| bytes.iter().fold(0, |number: u128, byte| number << 8 | u128::from(*byte));
        let (address, mask) = bytes.split_at_checked(bytes.len() / 2)?;
        match bytes.len() {
            8 | 32 => Some(Self {
                v6: bytes.len() == 32,
                address: number(address) & number(mask),
                mask: number(mask),
            }),
            _ => None,
        }
    }

    fn bits(address: IpAddr) -> (bool, u128) {
        match address {
            IpAddr::V4(address) => (false, u128::from(address.to_bits())),
            IpAddr::V6(address) => (true, address.to_bits()),
        }
    }

    fn holds(&self, address: IpAddr) -> bool {
        let (v6, bits) = Self::bits(address);
        v6 == self.v6 && bits & self.mask == self.address
    }

    fn holds_all_of(&self, other: &Self) -> bool {
        other.v6 == self.v6
            && other.mask & self.mask == self.mask
            && other.address & self.mask == self.address
    }
}

impl From<IpNet> for IpSubtree {
    fn from(range: IpNet) -> Self {
        let (v6, mask) = Self::bits(range.netmask());
        let (_, address) = Self::bits(range.network());
        Self { v6, address, mask }
    }
}

/// Why a name is not allowed.
type Reason = &'static str;
const OUTSIDE: Reason = "it is outside of what may be below it";
const EXCLUDED: Reason = "it is excluded below it";

/// Decides on one name: whether the permitted subtrees of its form have it, if there are any, and none that is excluded does.
fn decide<T>(
    permitted: &[T],
    excluded: &[T],
    within: impl Fn(&T) -> bool,
    touches: impl Fn(&T) -> bool,
) -> Result<(), Reason> {
    if excluded.iter().any(touches) {
        Err(EXCLUDED)
    } else if permitted.is_empty() || permitted.iter().any(within) {
        Ok(())
    } else {
        Err(OUTSIDE)
    }
}

impl NameConstraints {
    /// Whether a certificate of this subject and these names may be below the authority.
    ///
    /// # Errors
    /// The field, and the name with the reason.
    pub fn allow(&self, subject: &Subject, names: &[AltName], is_ca: bool) -> Result<(), Violation> {
        let broken =
            |field, name: String, reason| Err(Violation { field, message: format!("{name}: {reason}") });
        if self.unusable {
            return broken(
                "issuerSerialNumber",
                "any name".to_owned(),
                "its name constraints have limits of depth",
            );
        }
        for name in names {
            if let Err(reason) = self.allow_name(name) {
                return broken("names", name.to_string(), reason);
            }
        }
        if let Err(reason) = self.allow_subject(subject) {
            return broken("commonName", subject.to_string(), reason);
        }
        let has_dns = names.iter().any(|name| matches!(name, AltName::Dns(_)));
        let name = &subject.common_name;
        if !is_ca
            && !has_dns
            && looks_like_dns(name)
            && let Err(reason) = self.allow_dns(&name.to_ascii_lowercase())
        {
            return broken("commonName", format!("{name}, as a DNS name"), reason);
        }
        Ok(())
    }

    fn allow_name(&self, name: &AltName) -> Result<(), Reason> {
        let (permitted, excluded) = (&self.permitted, &self.excluded);
        match name {
            AltName::Dns(name) => self.allow_dns(name),
            AltName::Ip(address) => {
                let holds = |subtree: &IpSubtree| subtree.holds(*address);
                decide(&permitted.ips, &excluded.ips, holds, holds)
            }
            AltName::Uri(uri) => match host_of(uri) {
                Some(host) => {
                    let within = |base: &String| uri_within(&host, base);
                    decide(&permitted.uris, &excluded.uris, within, within)
                }
                // the standard has such URIs refused wherever there are constraints on any
                None if permitted.uris.is_empty() && excluded.uris.is_empty() => Ok(()),
                None => Err(OUTSIDE),
            },
        }
    }

    fn allow_dns(&self, name: &str) -> Result<(), Reason> {
        let within = |base: &String| dns_within(name, base);
        let touches = |base: &String| dns_within(name, base) || wildcard_covers(name, base);
        decide(&self.permitted.dns, &self.excluded.dns, within, touches)
    }

    fn allow_subject(&self, subject: &Subject) -> Result<(), Reason> {
        let name = directory_name(subject);
        let within = |base: &DirectoryName| name.starts_with(base);
        decide(&self.permitted.directories, &self.excluded.directories, within, within)
    }

    /// Whether an authority with these constraints may be below the one of these: each domain and range that it permits is one that
    /// a certificate could have.
    ///
    /// # Errors
    /// The field of the list with its index, and the entry with the reason.
    pub fn allow_below(&self, permitted: &Subtrees) -> Result<(), (String, String)> {
        for (index, domain) in permitted.dns.iter().enumerate() {
            let within = |base: &String| dns_within(domain, base);
            decide(&self.permitted.dns, &self.excluded.dns, within, within)
                .map_err(|reason| (format!("permittedDnsDomains[{index}]"), format!("{domain}: {reason}")))?;
        }
        for (index, range) in permitted.ips.iter().enumerate() {
            let within = |base: &IpSubtree| base.holds_all_of(range);
            decide(&self.permitted.ips, &self.excluded.ips, within, within)
                .map_err(|reason| (format!("permittedIpRanges[{index}]"), format!("this range: {reason}")))?;
        }
        Ok(())
    }
}

fn dns_within(name: &str, base: &str) -> bool {
    match name.strip_suffix(base) {
        None => false,
        Some("") => !base.starts_with('.'),
        Some(rest) => base.is_empty() || base.starts_with('.') || rest.ends_with('.'),
    }
}

/// Whether `*.a.example` stands for a name such as `b.a.example`.
fn wildcard_covers(name: &str, base: &str) -> bool {
    let label = name
        .strip_prefix("*.")
        .and_then(|rest| base.strip_suffix(rest))
        .and_then(|label| label.strip_suffix('.'));
    label.is_some_and(|label| !label.is_empty() && !label.contains('.'))
}

fn uri_within(host: &str, base: &str) -> bool {
    match host.strip_suffix(base) {
        None => false,
        Some(rest) => rest.is_empty() != base.starts_with('.'),
    }
}

/// The host of a URI, in lower case, if it is a plain DNS name.
fn host_of(uri: &str) -> Option<String> {
    let (_, rest) = uri.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.split_once(':').map_or(authority, |(host, _)| host);
    super::parse_dns(host).ok().filter(|host| !host.starts_with('*') && !authority.contains('@'))
}

/// Whether openssl takes a common name for a DNS name, as it does where there is none among the alternative names: letters, digits,
/// `_`, `-` and `.`, two labels or more.
fn looks_like_dns(name: &str) -> bool {
    let fine = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    name.contains('.') && name.split('.').all(fine)
}

#[cfg(test)]
#[path = "constraints_tests.rs"]
mod tests;
