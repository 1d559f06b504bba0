//! Subjects and subject alternative names.

use std::fmt;
use std::net::IpAddr;

/// The most bytes of a common name, organisation or unit (RFC 5280, upper bounds of attributes, counted in characters there).
const MAX_ATTRIBUTE: usize = 64;
/// The most bytes of a DNS name and of one label (RFC 1035).
const MAX_DNS: usize = 253;
const MAX_LABEL: usize = 63;
const MAX_URI: usize = 500;

/// Whom a certificate is about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    pub common_name: String,
    pub organization: Option<String>,
    pub organizational_unit: Option<String>,
}

impl Subject {
    /// Checks lengths and characters.
    ///
    /// # Errors
    /// The field, and a sentence that says what to write.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let fields = [
            ("commonName", Some(&self.common_name)),
            ("organization", self.organization.as_ref()),
            ("organizationalUnit", self.organizational_unit.as_ref()),
        ];
        for (field, text) in fields {
            let Some(text) = text else { continue };
            let bad = text.trim().is_empty()
                || text.trim() != text
                || text.chars().count() > MAX_ATTRIBUTE
                || text.chars().any(char::is_control);
            if bad {
                return Err((
                    field,
                    format!(
                        "write 1 to {MAX_ATTRIBUTE} characters, without control characters or space around"
                    ),
                ));
            }
        }
        Ok(())
    }
}

/// As RFC 4514 writes it, most significant last, for people: `CN=web,OU=shop,O=Example`.
impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CN={}", escape(&self.common_name))?;
        if let Some(unit) = &self.organizational_unit {
            write!(f, ",OU={}", escape(unit))?;
        }
        if let Some(organization) = &self.organization {
            write!(f, ",O={}", escape(organization))?;
        }
        Ok(())
    }
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for (index, c) in text.chars().enumerate() {
        if matches!(c, '"' | '+' | ',' | ';' | '<' | '>' | '\\' | '=') || (index == 0 && c == '#') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

/// One subject alternative name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AltName {
    /// In lower case; the first label may be `*`.
    Dns(String),
    Ip(IpAddr),
    Uri(String),
}

impl fmt::Display for AltName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => write!(f, "DNS:{name}"),
            Self::Ip(address) => write!(f, "IP:{address}"),
            Self::Uri(uri) => write!(f, "URI:{uri}"),
        }
    }
}

impl AltName {
    /// Reads a name as [`fmt::Display`] writes it: `DNS:web.example`, `IP:10.0.0.1`, `URI:spiffe://prod/web`.
    ///
    /// # Errors
    /// A sentence that says what to write.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (kind, name) = text.split_once(':').unwrap_or_default();
        match kind {
            "DNS" => parse_dns(name).map(Self::Dns),
            "IP" => name
                .parse()
                .map(Self::Ip)
                .map_err(|_| "write the address after 'IP:' such as 10.0.0.1 or 2001:db8::1".to_owned()),
            "URI" => parse_uri(name).map(Self::Uri),
            _ => Err("write a name as DNS:NAME, IP:ADDRESS or URI:URI".to_owned()),
        }
    }

    /// The alternative name that a common name stands for, as a server's certificate has it beside the others.
    #[must_use]
    pub fn of_common_name(common_name: &str) -> Option<Self> {
        match common_name.parse() {
            Ok(address) => Some(Self::Ip(address)),
            Err(_) => parse_dns(common_name).ok().map(Self::Dns),
        }
    }
}

/// A DNS name in lower case (RFC 1035 labels; international names in their ASCII form); `*` as a whole first label.
///
/// # Errors
/// A sentence that says what to write.
pub fn parse_dns(text: &str) -> Result<String, String> {
    let bad = || {
        Err("write a DNS name of letters, digits, '-' and '.', 253 characters at most, '*' only as its whole first label"
            .to_owned())
    };
    if text.is_empty() || text.len() > MAX_DNS || !text.is_ascii() {
        return bad();
    }
    let name = text.to_ascii_lowercase();
    let host = name.strip_prefix("*.").unwrap_or(&name);
    let fine = |label: &str| {
        !label.is_empty()
            && label.len() <= MAX_LABEL
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    // a wildcard over a whole top-level domain is never meant
    let wide = name.starts_with("*.") && !host.contains('.');
    // what looks like an address is one, to somebody
    let numeric = host.rsplit('.').next().is_some_and(|last| last.bytes().all(|b| b.is_ascii_digit()));
    if wide || numeric || !host.split('.').all(fine) {
        return bad();
    }
    Ok(name)
}

/// A URI with scheme and authority, printable ASCII (RFC 3986), 500 characters at most.
///
/// # Errors
/// A sentence that says what to write.
pub fn parse_uri(text: &str) -> Result<String, String> {
    let scheme_ends = text.find("://");
    let scheme_is_fine = scheme_ends.is_some_and(|end| {
        let scheme = &text.as_bytes()[..end];
        scheme.first().is_some_and(u8::is_ascii_alphabetic)
            && scheme.iter().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(b))
            && text.len() > end + 3
    });
    let printable = text.bytes().all(|b| b.is_ascii_graphic() && !b"<>\"{}|\\^`".contains(&b));
    if text.len() > MAX_URI || !scheme_is_fine || !printable {
        return Err(format!(
            "write a URI such as spiffe://prod/web, of printable ASCII, {MAX_URI} characters at most"
        ));
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dns_names() {
        for (text, name) in [
            ("Web.Example", "web.example"),
            ("*.a.example", "*.a.example"),
            ("localhost", "localhost"),
            ("xn--bcher-kva.de", "xn--bcher-kva.de"),
        ] {
            assert_eq!(parse_dns(text).as_deref(), Ok(name));
        }
        let long = format!("{}.de", "a".repeat(64));
        for text in [
            "",
            ".",
            "a..b",
            "-a.b",
            "a-.b",
            "a_b.c",
            "*",
            "*.com",
            "a.*.b",
            "w*.b.c",
            "bücher.de",
            "a b",
            "10.0.0.1",
            "a.b.",
            "a\0.b",
            &long,
            &"a.".repeat(130),
        ] {
            assert!(parse_dns(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn alternative_names_round_trip() {
        for text in ["DNS:web.example", "IP:10.0.0.1", "IP:2001:db8::1", "URI:spiffe://prod/web"] {
            assert_eq!(AltName::parse(text).unwrap().to_string(), text);
        }
        for text in
            ["web.example", "IP:10.0.0.0/8", "URI:web", "URI:://x", "URI:a b://c", "email:a@b.c", "URI:s://"]
        {
            assert!(AltName::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn subjects() {
        let subject = |cn: &str| Subject { common_name: cn.to_owned(), ..Subject::default() };
        assert!(subject("Example Root, 2026").check().is_ok());
        assert_eq!(subject("a,b=#").to_string(), "CN=a\\,b\\=#");
        for cn in ["", " a", "a\nb", "a\0", &"ä".repeat(65)] {
            assert_eq!(subject(cn).check().unwrap_err().0, "commonName", "{cn:?}");
        }
        assert!(subject(&"ä".repeat(64)).check().is_ok());
    }
}
