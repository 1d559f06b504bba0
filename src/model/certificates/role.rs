//! What a certificate role allows: a closed set of rules, each deny by default.

use super::{AltName, CertType, KeyType, Subject, parse_dns};
use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// The most entries of one list.
const MAX_ENTRIES: usize = 100;
/// The most characters of one pattern.
const MAX_PATTERN: usize = 500;
/// The most alternative names of one certificate.
pub const MAX_NAMES: usize = 100;

/// The rules of a role, as they are stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleRules {
    /// Kinds of certificates; never an authority's or an administrator's.
    pub cert_types: Vec<CertType>,
    pub key_types: Vec<KeyType>,
    /// DNS domains. Whether the domain itself, names below it, or wildcards below it may be certified, the next three say.
    pub allowed_domains: Vec<String>,
    pub allow_bare_domains: bool,
    pub allow_subdomains: bool,
    pub allow_wildcards: bool,
    pub allowed_ip_ranges: Vec<IpNet>,
    /// Patterns of URIs; `*` matches any characters.
    pub allowed_uris: Vec<String>,
    /// Patterns of common names that are neither an allowed DNS name nor the entity's id.
    pub allowed_common_names: Vec<String>,
    /// Patterns of entity ids; empty: only the caller's own, which is the name of its role.
    pub allowed_entity_ids: Vec<String>,
    /// Whether common name and alternative names are taken from a CSR, where the request names none itself.
    pub use_csr_names: bool,
    /// Put into every subject.
    pub organization: Option<String>,
    pub organizational_unit: Option<String>,
}

/// A certificate that somebody asks for, as it would be.
#[derive(Debug, Clone)]
pub struct Asked<'a> {
    pub cert_type: CertType,
    pub key_type: KeyType,
    pub subject: &'a Subject,
    pub names: &'a [AltName],
    pub entity_id: Option<&'a str>,
    /// The entity of the caller: the name of the role that it logged in with, or what its certificate is bound to.
    pub own_entity_id: Option<&'a str>,
}

/// What the rules do not allow: the field of the request, and a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub field: &'static str,
    pub message: String,
}

fn violation<T>(field: &'static str, message: impl Into<String>) -> Result<T, Violation> {
    Err(Violation { field, message: message.into() })
}

impl RoleRules {
    /// Checks rules that are to be stored.
    ///
    /// # Errors
    /// The field, and what to write.
    pub fn check(&self) -> Result<(), Violation> {
        if self.cert_types.is_empty() {
            return violation("certTypes", "name at least one kind of certificate");
        }
        if self.cert_types.iter().any(|kind| kind.is_ca() || *kind == CertType::AdminClient) {
            return violation(
                "certTypes",
                "a role issues no certificates of authorities and administrators: whoever administers 'certificates' \
                 issues those without a role",
            );
        }
        if self.key_types.is_empty() {
            return violation("keyTypes", "name at least one kind of key");
        }
        let lists = [
            ("allowedDomains", &self.allowed_domains),
            ("allowedUris", &self.allowed_uris),
            ("allowedCommonNames", &self.allowed_common_names),
            ("allowedEntityIds", &self.allowed_entity_ids),
        ];
        for (field, list) in lists {
            if list.len() > MAX_ENTRIES {
                return violation(field, format!("at most {MAX_ENTRIES} entries"));
            }
            let bad = |text: &String| {
                text.is_empty() || text.len() > MAX_PATTERN || text.chars().any(char::is_control)
            };
            if list.iter().any(bad) {
                return violation(
                    field,
                    format!("an entry has 1 to {MAX_PATTERN} characters, none a control character"),
                );
            }
        }
        if self.allowed_ip_ranges.len() > MAX_ENTRIES {
            return violation("allowedIpRanges", format!("at most {MAX_ENTRIES} entries"));
        }
        for domain in &self.allowed_domains {
            match parse_dns(domain) {
                Ok(name) if name == *domain && !name.starts_with('*') => {}
                _ => {
                    return violation(
                        "allowedDomains",
                        "write domains in lower case, without '*' (see allowWildcards)",
                    );
                }
            }
        }
        let fixed = Subject {
            common_name: "x".to_owned(),
            organization: self.organization.clone(),
            organizational_unit: self.organizational_unit.clone(),
        };
        fixed.check().map_err(|(field, message)| Violation { field, message })
    }

    /// Whether a certificate may be issued.
    ///
    /// # Errors
    /// The first rule that is broken.
    pub fn allows(&self, asked: &Asked<'_>) -> Result<(), Violation> {
        if !self.cert_types.contains(&asked.cert_type) {
            return violation(
                "certType",
                format!("the role issues no certificates of the kind {}", word(asked.cert_type.as_str())),
            );
        }
        if !self.key_types.contains(&asked.key_type) {
            let kinds: Vec<String> = self.key_types.iter().map(|kind| word(kind.as_str())).collect();
            return violation(
                "keyType",
                format!("the role takes keys of the kinds {} only", kinds.join(", ")),
            );
        }
        if asked.names.len() > MAX_NAMES {
            return violation("names", format!("a certificate has at most {MAX_NAMES} alternative names"));
        }
        // of a server its common name is among them, and it is that which is to be corrected
        let common_name = AltName::of_common_name(&asked.subject.common_name)
            .filter(|_| asked.cert_type == CertType::Server);
        for name in asked.names {
            let field = if Some(name) == common_name.as_ref() { "commonName" } else { "names" };
            self.allows_name(name, field)?;
        }
        self.allows_entity(asked)?;
        self.allows_common_name(asked)
    }

    fn allows_name(&self, name: &AltName, field: &'static str) -> Result<(), Violation> {
        let allowed = match name {
            AltName::Dns(dns) => self.allows_dns(dns),
            AltName::Ip(address) => self.allows_ip(*address),
            AltName::Uri(uri) => self.allowed_uris.iter().any(|pattern| matches(pattern, uri)),
        };
        if allowed { Ok(()) } else { violation(field, format!("the role does not allow the name {name}")) }
    }

    fn allows_dns(&self, dns: &str) -> bool {
        let (name, wildcard) = match dns.strip_prefix("*.") {
            Some(rest) => (rest, true),
            None => (dns, false),
        };
        if wildcard && !self.allow_wildcards {
            return false;
        }
        self.allowed_domains.iter().any(|domain| {
            let below = name.strip_suffix(domain.as_str()).is_some_and(|rest| rest.ends_with('.'));
            if name == domain {
                // '*.domain' is about the names below the domain
                if wildcard { self.allow_subdomains } else { self.allow_bare_domains }
            } else {
                below && self.allow_subdomains
            }
        })
    }

    fn allows_ip(&self, address: IpAddr) -> bool {
        self.allowed_ip_ranges.iter().any(|range| range.contains(&address))
    }

    fn allows_entity(&self, asked: &Asked<'_>) -> Result<(), Violation> {
        let Some(id) = asked.entity_id else { return Ok(()) };
        if asked.cert_type.entity_type().is_none() {
            return violation("entityId", "nobody logs in with a server's certificate: leave the entity out");
        }
        let allowed = if self.allowed_entity_ids.is_empty() {
            asked.own_entity_id == Some(id)
        } else {
            self.allowed_entity_ids.iter().any(|pattern| matches(pattern, id))
        };
        if allowed {
            return Ok(());
        }
        violation(
            "entityId",
            "the role does not issue for this entity: leave it out to get a certificate of your own",
        )
    }

    fn allows_common_name(&self, asked: &Asked<'_>) -> Result<(), Violation> {
        let name = asked.subject.common_name.as_str();
        let of_entity = asked.entity_id == Some(name);
        let is_address = name.parse::<IpAddr>().is_ok_and(|address| self.allows_ip(address));
        let is_dns = parse_dns(name).is_ok_and(|dns| dns == name && self.allows_dns(&dns));
        let by_pattern = self.allowed_common_names.iter().any(|pattern| matches(pattern, name));
        if of_entity || is_address || is_dns || by_pattern {
            return Ok(());
        }
        violation("commonName", "the role does not allow this common name")
    }
}

/// A kind as requests write it.
fn word(stored: &str) -> String {
    stored.to_ascii_uppercase()
}

/// Whether a text is of a pattern, in which `*` stands for any number of any characters. In time linear in their product.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && pattern[p] == b'*' {
            retry = Some((p, t));
            p += 1;
        } else if p < pattern.len() && pattern[p] == text[t] {
            p += 1;
            t += 1;
        } else if let Some((star, from)) = retry {
            p = star + 1;
            t = from + 1;
            retry = Some((star, t));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> RoleRules {
        RoleRules {
            cert_types: vec![CertType::Server, CertType::AgentClient],
            key_types: vec![KeyType::EcP256],
            allowed_domains: vec!["shop.example".to_owned()],
            allow_bare_domains: false,
            allow_subdomains: true,
            allow_wildcards: false,
            allowed_ip_ranges: vec!["10.0.0.0/8".parse().unwrap()],
            allowed_uris: vec!["spiffe://prod/*".to_owned()],
            allowed_common_names: Vec::new(),
            allowed_entity_ids: Vec::new(),
            use_csr_names: true,
            organization: None,
            organizational_unit: None,
        }
    }

    fn try_server(rules: &RoleRules, cn: &str, names: &[&str]) -> Result<(), &'static str> {
        let subject = Subject { common_name: cn.to_owned(), ..Subject::default() };
        let names: Vec<AltName> = names.iter().map(|name| AltName::parse(name).unwrap()).collect();
        let asked = Asked {
            cert_type: CertType::Server,
            key_type: KeyType::EcP256,
            subject: &subject,
            names: &names,
            entity_id: None,
            own_entity_id: Some("billing"),
        };
        rules.allows(&asked).map_err(|violation| violation.field)
    }

    #[test]
    fn names_are_allowed_one_by_one() {
        let mut rules = rules();
        assert_eq!(try_server(&rules, "a.shop.example", &["DNS:a.shop.example", "IP:10.1.2.3"]), Ok(()));
        assert_eq!(try_server(&rules, "a.shop.example", &["DNS:b.example"]), Err("names"));
        assert_eq!(
            try_server(&rules, "a.shop.example", &["DNS:myshop.example"]),
            Err("names"),
            "no label's tail"
        );
        assert_eq!(try_server(&rules, "a.shop.example", &["DNS:shop.example"]), Err("names"));
        assert_eq!(try_server(&rules, "a.shop.example", &["DNS:*.shop.example"]), Err("names"));
        assert_eq!(try_server(&rules, "a.shop.example", &["IP:11.0.0.1"]), Err("names"));
        assert_eq!(try_server(&rules, "a.shop.example", &["URI:spiffe://prod/web"]), Ok(()));
        assert_eq!(try_server(&rules, "a.shop.example", &["URI:spiffe://test/web"]), Err("names"));
        assert_eq!(try_server(&rules, "shop.example", &[]), Err("commonName"));
        // what stands for the common name is not among what was asked for in 'names'
        assert_eq!(try_server(&rules, "web", &["DNS:a.shop.example", "DNS:web"]), Err("commonName"));
        assert_eq!(try_server(&rules, "a.shop.example", &["DNS:web"]), Err("names"));
        assert_eq!(try_server(&rules, "10.0.0.1", &[]), Ok(()));
        rules.allow_wildcards = true;
        assert_eq!(
            try_server(&rules, "a.shop.example", &["DNS:*.shop.example", "DNS:*.a.shop.example"]),
            Ok(())
        );
        rules.allow_subdomains = false;
        rules.allow_bare_domains = true;
        assert_eq!(try_server(&rules, "shop.example", &["DNS:shop.example"]), Ok(()));
        assert_eq!(try_server(&rules, "shop.example", &["DNS:*.shop.example"]), Err("names"));
    }

    #[test]
    fn an_agent_gets_its_own_name_only() {
        let mut rules = rules();
        let attempt = |rules: &RoleRules, id: &str| {
            let subject = Subject { common_name: id.to_owned(), ..Subject::default() };
            let asked = Asked {
                cert_type: CertType::AgentClient,
                key_type: KeyType::EcP256,
                subject: &subject,
                names: &[],
                entity_id: Some(id),
                own_entity_id: Some("billing"),
            };
            rules.allows(&asked).map_err(|violation| violation.field)
        };
        assert_eq!(attempt(&rules, "billing"), Ok(()));
        assert_eq!(attempt(&rules, "shipping"), Err("entityId"));
        rules.allowed_entity_ids = vec!["node-*".to_owned()];
        assert_eq!(attempt(&rules, "node-7"), Ok(()));
        assert_eq!(attempt(&rules, "billing"), Err("entityId"));
        rules.cert_types = vec![CertType::Server];
        assert_eq!(attempt(&rules, "node-7"), Err("certType"));
    }

    #[test]
    fn kinds_are_named_as_requests_name_them() {
        let rules = RoleRules { key_types: vec![KeyType::EcP256, KeyType::Rsa2048], ..rules() };
        let subject = Subject { common_name: "a.shop.example".to_owned(), ..Subject::default() };
        let asked = Asked {
            cert_type: CertType::AppClient,
            key_type: KeyType::EcP384,
            subject: &subject,
            names: &[],
            entity_id: None,
            own_entity_id: None,
        };
        let said = |asked: &Asked<'_>| rules.allows(asked).unwrap_err().message;
        assert!(said(&asked).ends_with("of the kind APP_CLIENT"), "{}", said(&asked));
        let asked = Asked { cert_type: CertType::Server, ..asked };
        assert!(said(&asked).contains("EC_P256, RSA_2048"), "{}", said(&asked));
    }

    #[test]
    fn rules_that_make_no_sense_are_refused() {
        let field = |change: &dyn Fn(&mut RoleRules)| {
            let mut rules = rules();
            change(&mut rules);
            rules.check().map_err(|violation| violation.field)
        };
        assert_eq!(field(&|_| {}), Ok(()));
        assert_eq!(field(&|rules| rules.cert_types = vec![CertType::AdminClient]), Err("certTypes"));
        assert_eq!(field(&|rules| rules.cert_types = vec![CertType::IntermediateCa]), Err("certTypes"));
        assert_eq!(field(&|rules| rules.cert_types.clear()), Err("certTypes"));
        assert_eq!(field(&|rules| rules.key_types.clear()), Err("keyTypes"));
        assert_eq!(field(&|rules| rules.allowed_domains = vec!["*.x.de".to_owned()]), Err("allowedDomains"));
        assert_eq!(field(&|rules| rules.allowed_uris = vec![String::new()]), Err("allowedUris"));
        assert_eq!(field(&|rules| rules.organization = Some(String::new())), Err("organization"));
    }

    #[test]
    fn patterns() {
        for (pattern, text, is) in [
            ("*", "", true),
            ("*", "anything", true),
            ("a*c", "abc", true),
            ("a*c", "ac", true),
            ("a*c", "acb", false),
            ("a*b*c", "axxbyyc", true),
            ("node-*", "node-", true),
            ("node-*", "xnode-1", false),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, text), is, "{pattern} {text}");
        }
        assert!(!matches(&"*a".repeat(100), &"a".repeat(99)), "quick, too");
    }
}
