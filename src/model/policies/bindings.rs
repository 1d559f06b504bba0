//! Names of policies, and of the entities that policies are bound to.

use std::fmt;

/// Longest name of a policy or an entity, in bytes.
pub const MAX_NAME_LENGTH: usize = 128;

/// Checks the name of a policy to be stored: `[a-z0-9._-]{1,128}`. `root` is refused, since the built-in policy has
/// that name.
///
/// # Errors
/// A sentence that says what to do.
pub fn validate_policy_name(name: &str) -> Result<(), &'static str> {
    let allowed = |byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'_' | b'-');
    if name.is_empty() || name.len() > MAX_NAME_LENGTH || !name.bytes().all(allowed) {
        return Err("write a policy's name as 1 to 128 characters of a-z, 0-9, '.', '_' and '-'");
    }
    if name == super::ROOT {
        return Err("the name 'root' belongs to the built-in policy: choose another one");
    }
    Ok(())
}

/// An entity that a policy can be bound to, besides the policies that its tokens name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Binding {
    /// A role, by name: `role:billing`.
    Role(String),
    /// A client certificate, by the SHA-256 of its DER in lower-case hex: `cert:9f86...`.
    Certificate(String),
    /// An application, by name: `app:shop`.
    App(String),
    /// An agent, by name: `agent:node-7`.
    Agent(String),
    /// An administrator, by name: `admin:alice`.
    Admin(String),
}

impl Binding {
    /// Reads a binding. A fingerprint may be in upper case and is kept in lower case.
    ///
    /// # Errors
    /// A sentence that says what to write.
    pub fn parse(text: &str) -> Result<Self, String> {
        let Some((kind, name)) = text.split_once(':') else { return Err(notation()) };
        let make = match kind {
            "cert" => {
                if name.len() != 64 || !name.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    return Err(
                        "write the certificate's SHA-256 fingerprint as 64 hex digits after 'cert:', \
                                without colons"
                            .to_owned(),
                    );
                }
                return Ok(Self::Certificate(name.to_ascii_lowercase()));
            }
            "role" => Self::Role,
            "app" => Self::App,
            "agent" => Self::Agent,
            "admin" => Self::Admin,
            _ => return Err(notation()),
        };
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        if name.is_empty() || name.len() > MAX_NAME_LENGTH || !name.bytes().all(allowed) {
            return Err(format!(
                "write the name after '{kind}:' as 1 to 128 characters of a-z, A-Z, 0-9, '.', '_' and '-'"
            ));
        }
        Ok(make(name.to_owned()))
    }
}

fn notation() -> String {
    "write a binding as role:NAME, app:NAME, agent:NAME, admin:NAME or cert:FINGERPRINT".to_owned()
}

impl fmt::Display for Binding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, name) = match self {
            Self::Role(name) => ("role", name),
            Self::Certificate(name) => ("cert", name),
            Self::App(name) => ("app", name),
            Self::Agent(name) => ("agent", name),
            Self::Admin(name) => ("admin", name),
        };
        write!(f, "{kind}:{name}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bindings_round_trip() {
        let cert = format!("cert:{}", "0a".repeat(32));
        for text in ["role:billing", "app:Shop.eu_1", "agent:node-7", "admin:alice", &cert] {
            assert_eq!(Binding::parse(text).unwrap().to_string(), text);
        }
        assert_eq!(Binding::parse(&cert.to_uppercase().replace("CERT", "cert")).unwrap().to_string(), cert);
        let long = format!("role:{}", "a".repeat(129));
        for text in [
            "", "billing", "role:", ":x", "user:x", "ROLE:x", "role:a b", "role:a:b", "role:ä", "cert:ab",
            &long,
        ] {
            assert!(Binding::parse(text).is_err(), "{text:?}");
        }
        assert!(Binding::parse(&format!("cert:{}", "zz".repeat(32))).is_err());
    }

    #[test]
    fn policy_names() {
        assert!(validate_policy_name("app-read_1.x").is_ok());
        assert!(validate_policy_name(&"a".repeat(128)).is_ok());
        for name in ["", "A", "a b", "a/b", "ä", &"a".repeat(129), "root"] {
            assert!(validate_policy_name(name).is_err(), "{name:?}");
        }
    }
}
