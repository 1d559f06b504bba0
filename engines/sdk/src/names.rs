//! Names on the target: made from the lease id and the installation's mark, and read back.

use crate::{EngineError, Result};
use data_encoding::{BASE32_NOPAD, Encoding};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::LazyLock;
use uuid::Uuid;

/// Characters of a lease id in a name: 16 bytes in base32 (RFC 4648, small letters, no padding).
const LEASE_LENGTH: usize = 26;
/// Characters of a mark.
const MARK_LENGTH: usize = 8;

static LOWER: LazyLock<Option<Encoding>> = LazyLock::new(|| {
    let mut specification = BASE32_NOPAD.specification();
    specification.symbols = specification.symbols.to_ascii_lowercase();
    specification.encoding().ok()
});

fn encode(bytes: &[u8]) -> String {
    BASE32_NOPAD.encode(bytes).to_ascii_lowercase()
}

fn decode(text: &str) -> Option<Vec<u8>> {
    LOWER.as_ref()?.decode(text.as_bytes()).ok()
}

/// The mark of one installation of SecretHub: eight small letters and digits, always the same for one store. Names that carry
/// it are its own; nothing else on a target is ever touched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Installation(String);

impl Installation {
    /// The mark of these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 5]) -> Self {
        Self(encode(&bytes))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of a lease by the default template: 40 characters, `shub_MARK_LEASE`.
    #[must_use]
    pub fn name(&self, lease_id: Uuid) -> String {
        NameTemplate::default().name(self, lease_id)
    }

    /// The lease of a name by the default template.
    #[must_use]
    pub fn lease_of(&self, name: &str) -> Option<Uuid> {
        NameTemplate::default().lease_of(self, name)
    }
}

impl TryFrom<String> for Installation {
    type Error = String;

    fn try_from(text: String) -> std::result::Result<Self, String> {
        if text.len() == MARK_LENGTH && decode(&text).is_some() {
            Ok(Self(text))
        } else {
            Err("a mark has eight small letters and digits".to_owned())
        }
    }
}

impl From<Installation> for String {
    fn from(mark: Installation) -> Self {
        mark.0
    }
}

impl fmt::Display for Installation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How names are made: text with `{{installation}}` and `{{lease}}` in it, each once. So a name says whose it is and which lease
/// it belongs to, and both can be read back from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameTemplate {
    before: String,
    between: String,
    after: String,
    installation_first: bool,
}

const INSTALLATION: &str = "{{installation}}";
const LEASE: &str = "{{lease}}";

impl Default for NameTemplate {
    fn default() -> Self {
        Self {
            before: "shub_".to_owned(),
            between: "_".to_owned(),
            after: String::new(),
            installation_first: true,
        }
    }
}

impl NameTemplate {
    /// The default as text.
    pub const DEFAULT: &'static str = "shub_{{installation}}_{{lease}}";

    /// Reads a template whose names have at most `longest` bytes, of characters that `allowed` has.
    ///
    /// # Errors
    /// [`EngineError::bad_input`] at `field`.
    pub fn parse(field: &str, text: &str, longest: usize, allowed: impl Fn(char) -> bool) -> Result<Self> {
        let bad = |message: String| EngineError::bad_input(field, message);
        let once = |part: &str| {
            let mut places = text.match_indices(part).map(|(at, _)| at);
            places.next().filter(|_| places.next().is_none())
        };
        let (Some(installation), Some(lease)) = (once(INSTALLATION), once(LEASE)) else {
            return Err(bad(format!("must contain {INSTALLATION} and {LEASE}, each once")));
        };
        let installation_first = installation < lease;
        let ((first, first_part), (second, second_part)) = if installation_first {
            ((installation, INSTALLATION), (lease, LEASE))
        } else {
            ((lease, LEASE), (installation, INSTALLATION))
        };
        let template = Self {
            before: text[..first].to_owned(),
            between: text[first + first_part.len()..second].to_owned(),
            after: text[second + second_part.len()..].to_owned(),
            installation_first,
        };
        let literal = [&template.before, &template.between, &template.after];
        if let Some(character) = literal.iter().flat_map(|part| part.chars()).find(|c| !allowed(*c)) {
            return Err(bad(format!("must not contain {character:?}")));
        }
        let length = literal.iter().map(|part| part.len()).sum::<usize>() + MARK_LENGTH + LEASE_LENGTH;
        if length > longest {
            return Err(bad(format!(
                "makes names of {length} bytes, and the target takes {longest}: shorten it"
            )));
        }
        Ok(template)
    }

    /// The name of a lease.
    #[must_use]
    pub fn name(&self, installation: &Installation, lease_id: Uuid) -> String {
        let lease = encode(lease_id.as_bytes());
        let (first, second) = if self.installation_first {
            (installation.as_str(), lease.as_str())
        } else {
            (lease.as_str(), installation.as_str())
        };
        [&self.before, first, &self.between, second, &self.after].concat()
    }

    /// The lease of a name that this template made for this installation.
    #[must_use]
    pub fn lease_of(&self, installation: &Installation, name: &str) -> Option<Uuid> {
        let inner = name.strip_prefix(&self.before)?.strip_suffix(&self.after)?;
        let lease = if self.installation_first {
            inner.strip_prefix(installation.as_str())?.strip_prefix(&self.between)?
        } else {
            inner.strip_suffix(installation.as_str())?.strip_suffix(&self.between)?
        };
        if lease.len() != LEASE_LENGTH {
            return None;
        }
        Uuid::from_slice(&decode(lease)?).ok()
    }

    /// What every name of this installation begins with, to ask a target for no more than those.
    #[must_use]
    pub fn prefix(&self, installation: &Installation) -> String {
        if self.installation_first {
            [&self.before, installation.as_str(), &self.between].concat()
        } else {
            self.before.clone()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any(_: char) -> bool {
        true
    }

    #[test]
    fn names_lead_back_to_their_lease() {
        let mark = Installation::from_bytes([1, 2, 3, 4, 250]);
        let lease = Uuid::new_v4();
        for text in [
            NameTemplate::DEFAULT,
            "{{lease}}{{installation}}",
            "a{{lease}}-{{installation}}z",
            "{{installation}}{{lease}}",
        ] {
            let template = NameTemplate::parse("t", text, 63, any).unwrap();
            let name = template.name(&mark, lease);
            assert_eq!(template.lease_of(&mark, &name), Some(lease), "{name}");
            assert!(name.starts_with(&template.prefix(&mark)));
            assert_eq!(template.lease_of(&Installation::from_bytes([9; 5]), &name), None);
            assert_eq!(template.lease_of(&mark, &format!("{name}x")), None);
        }
        assert_eq!(
            mark.name(lease),
            NameTemplate::parse("t", NameTemplate::DEFAULT, 40, any).unwrap().name(&mark, lease)
        );
        assert_eq!(mark.name(lease).len(), 40);
    }

    #[test]
    fn templates_without_both_parts_or_too_long_are_refused() {
        for text in [
            "",
            "{{lease}}",
            "{{installation}}",
            "{{lease}}{{lease}}{{installation}}",
            "{{lease}} {{installation}}",
        ] {
            let error = NameTemplate::parse("username_template", text, 63, |c| c != ' ').unwrap_err();
            assert_eq!(error.field.as_deref(), Some("username_template"), "{text}");
        }
        let long = format!("{}{{{{lease}}}}{{{{installation}}}}", "x".repeat(30));
        assert!(NameTemplate::parse("t", &long, 63, any).is_err());
        assert!(NameTemplate::parse("t", &long, 64, any).is_ok());
    }

    #[test]
    fn marks_are_checked() {
        assert!(Installation::try_from("aeaqcbba".to_owned()).is_ok());
        for text in ["", "AEAQCBBA", "aeaqcbb", "aeaqcbb1", "aeaqcbbaa"] {
            assert!(Installation::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
