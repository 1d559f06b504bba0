//! Certificates (X.509, RFC 5280): their kinds, keys and names, the reasons to revoke them, the rules of roles, and the names that
//! authorities may certify.

mod constraints;
mod names;
mod role;

pub use constraints::{DirectoryName, IpSubtree, NameConstraints, Subtrees, directory_name, directory_text};
pub use names::{AltName, Subject, parse_dns, parse_uri};
pub use role::{Asked, MAX_NAMES, RoleRules, Violation};

use std::fmt;

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$word_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        pub enum $name { $($(#[$word_doc])* #[serde(rename = $word)] $variant,)* }

        impl $name {
            /// Every one, in order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word that is stored.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The one of this word, if there is one.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// What a certificate is for.
    CertType {
        /// A certificate authority that nobody else answers for.
        RootCa = "root_ca",
        /// A certificate authority that another one answers for.
        IntermediateCa = "intermediate_ca",
        AgentClient = "agent_client",
        AppClient = "app_client",
        AdminClient = "admin_client",
        Server = "server",
    }
}

impl CertType {
    #[must_use]
    pub fn is_ca(self) -> bool {
        matches!(self, Self::RootCa | Self::IntermediateCa)
    }

    /// The kind of entity that logs in with it: `agent`, `app` or `admin`; `None` if nobody does.
    #[must_use]
    pub fn entity_type(self) -> Option<&'static str> {
        match self {
            Self::AgentClient => Some("agent"),
            Self::AppClient => Some("app"),
            Self::AdminClient => Some("admin"),
            Self::RootCa | Self::IntermediateCa | Self::Server => None,
        }
    }
}

words! {
    /// Algorithm and size of a key.
    KeyType {
        EcP256 = "ec_p256",
        EcP384 = "ec_p384",
        Ed25519 = "ed25519",
        Rsa2048 = "rsa_2048",
        Rsa3072 = "rsa_3072",
        Rsa4096 = "rsa_4096",
    }
}

impl KeyType {
    /// The bits of an RSA modulus.
    #[must_use]
    pub fn rsa_bits(self) -> Option<usize> {
        match self {
            Self::Rsa2048 => Some(2048),
            Self::Rsa3072 => Some(3072),
            Self::Rsa4096 => Some(4096),
            Self::EcP256 | Self::EcP384 | Self::Ed25519 => None,
        }
    }
}

words! {
    /// Why a certificate is revoked (RFC 5280, 5.3.1). Holding one for a while is not among them: what is revoked stays so.
    RevocationReason {
        Unspecified = "unspecified",
        /// The private key is known to others.
        KeyCompromise = "key_compromise",
        /// The private key of the authority is known to others.
        CaCompromise = "ca_compromise",
        AffiliationChanged = "affiliation_changed",
        /// Another certificate takes its place.
        Superseded = "superseded",
        /// It is no longer needed.
        CessationOfOperation = "cessation_of_operation",
        PrivilegeWithdrawn = "privilege_withdrawn",
    }
}

impl RevocationReason {
    /// The number of RFC 5280's `CRLReason`.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Unspecified => 0,
            Self::KeyCompromise => 1,
            Self::CaCompromise => 2,
            Self::AffiliationChanged => 3,
            Self::Superseded => 4,
            Self::CessationOfOperation => 5,
            Self::PrivilegeWithdrawn => 9,
        }
    }
}

words! {
    /// How far a request for a certificate that waits for an operator has come.
    EnrollmentState {
        Pending = "pending",
        /// Approved, and the certificate is issued.
        Approved = "approved",
        Denied = "denied",
        /// Nobody decided in time.
        Expired = "expired",
    }
}

/// The most bytes of a serial number (RFC 5280, 4.1.2.2).
const MAX_SERIAL: usize = 20;

/// A serial number as it is stored and shown: lower-case hex of its bytes, without colons and leading zeros.
/// `None` for what is none. Upper case and colons (as openssl prints them) are taken.
#[must_use]
pub fn parse_serial(text: &str) -> Option<String> {
    if text.len() > 3 * MAX_SERIAL {
        return None;
    }
    let digits: String = text.chars().filter(|c| *c != ':').map(|c| c.to_ascii_lowercase()).collect();
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let digits = digits.trim_start_matches('0');
    let padded =
        if digits.len() % 2 == 1 || digits.is_empty() { format!("0{digits}") } else { digits.to_owned() };
    let padded = if padded == "0" { "00".to_owned() } else { padded };
    (padded.len() <= 2 * MAX_SERIAL).then_some(padded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip() {
        for word in CertType::ALL {
            assert_eq!(CertType::parse(word.as_str()), Some(*word));
        }
        for word in KeyType::ALL {
            assert_eq!(KeyType::parse(word.as_str()), Some(*word));
        }
        for word in RevocationReason::ALL {
            assert_eq!(RevocationReason::parse(word.as_str()), Some(*word));
        }
        for word in EnrollmentState::ALL {
            assert_eq!(EnrollmentState::parse(word.as_str()), Some(*word));
        }
        assert_eq!(CertType::parse("ROOT_CA"), None);
    }

    #[test]
    fn serial_numbers_have_one_form() {
        for (text, form) in [
            ("0A:1b:2C", Some("0a1b2c")),
            ("a1b2c", Some("0a1b2c")),
            ("00ff", Some("ff")),
            ("0", Some("00")),
            ("", None),
            (":", None),
            ("xy", None),
            ("12 34", None),
        ] {
            assert_eq!(parse_serial(text).as_deref(), form, "{text}");
        }
        assert_eq!(parse_serial(&"f".repeat(40)), Some("f".repeat(40)));
        assert_eq!(parse_serial(&"f".repeat(41)), None);
        assert_eq!(parse_serial(&"0".repeat(1000)), None);
    }
}
