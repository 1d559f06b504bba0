//! What changes make untrue, on this node and on others.

use crate::model::paths::SecretPath;
use data_encoding::HEXLOWER;

/// What a committed change makes untrue in the caches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    Secret(SecretPath),
    /// By the hash of the token.
    Token([u8; 32]),
    Policies,
    /// What a certificate role says, or which authority signs where none is named; what an engine's role says, or its engine.
    Issuance,
    /// A data key was added; other nodes read the keyring again when they meet a record sealed with it.
    Keyring,
    /// The keys leave this node's memory after the commit.
    Sealed,
}

impl Effect {
    /// What other nodes are told: a kind and a key. Sealing is each node's own affair.
    #[must_use]
    pub fn shared(&self) -> Option<(&'static str, String)> {
        match self {
            Self::Secret(path) => Some(("secret", path.as_str().to_owned())),
            Self::Token(hash) => Some(("token", HEXLOWER.encode(hash))),
            Self::Policies => Some(("policies", String::new())),
            Self::Issuance => Some(("issuance", String::new())),
            Self::Keyring => Some(("keyring", String::new())),
            Self::Sealed => None,
        }
    }

    /// What another node has told; `None` for what this version does not know.
    #[must_use]
    pub fn told(kind: &str, key: &str) -> Option<Self> {
        match kind {
            "secret" => SecretPath::parse(key).ok().map(Self::Secret),
            "token" => {
                let hash = HEXLOWER.decode(key.as_bytes()).ok()?;
                hash.try_into().ok().map(Self::Token)
            }
            "policies" => Some(Self::Policies),
            "issuance" => Some(Self::Issuance),
            "keyring" => Some(Self::Keyring),
            _ => None,
        }
    }
}

/// What a request was decided on.
#[derive(Debug, Clone, Copy)]
pub struct Basis<'a> {
    /// Of the caches, when the decision began.
    pub generation: i64,
    /// The caller's token, and with it all policies; `None` if neither was looked at.
    pub token: Option<[u8; 32]>,
    /// The secret that was looked at.
    pub path: Option<&'a str>,
}

impl Basis<'_> {
    #[must_use]
    pub fn is_touched_by(&self, effect: &Effect) -> bool {
        match effect {
            Effect::Secret(path) => self.path == Some(path.as_str()),
            Effect::Token(hash) => self.token.as_ref() == Some(hash),
            Effect::Policies | Effect::Issuance => self.token.is_some(),
            Effect::Keyring | Effect::Sealed => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn effects_are_told_and_understood() {
        let path = SecretPath::parse("a.b").unwrap();
        for effect in [
            Effect::Secret(path),
            Effect::Token([9; 32]),
            Effect::Policies,
            Effect::Issuance,
            Effect::Keyring,
        ] {
            let (kind, key) = effect.shared().unwrap();
            assert_eq!(Effect::told(kind, &key), Some(effect));
        }
        assert_eq!(Effect::told("lease", "x"), None);
    }
}
