//! The closed sets of words in policies: operations on secrets, and areas of administration.

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$word_doc:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$word_doc])* $variant,)* }

        impl $name {
            /// Every one, in order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word in documents, logs and explanations.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The one of this word, if there is one.
            #[must_use]
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$variant),)* _ => None }
            }

            /// Its bit in a set of them.
            pub(super) fn bit(self) -> u16 {
                1 << (self as u16)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// What may be done with a secret.
    Operation {
        /// See a static secret's value.
        Read = "read",
        /// Know that a secret exists, and see what is known about it but its value.
        List = "list",
        Write = "write",
        Delete = "delete",
        /// Obtain credentials of a dynamic secret.
        Issue = "issue",
        /// Prolong a lease.
        Renew = "renew",
        /// End a lease.
        Revoke = "revoke",
        Rotate = "rotate",
    }
}

words! {
    /// What may be administered.
    Area {
        Secrets = "secrets",
        Policies = "policies",
        Roles = "roles",
        Tokens = "tokens",
        Engines = "engines",
        Leases = "leases",
        Certificates = "certificates",
        Audit = "audit",
        Seal = "seal",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip() {
        for operation in Operation::ALL {
            assert_eq!(Operation::parse(operation.as_str()), Some(*operation));
        }
        for area in Area::ALL {
            assert_eq!(Area::parse(area.as_str()), Some(*area));
        }
        assert_eq!((Operation::ALL.len(), Area::ALL.len()), (8, 9));
        assert_eq!(Operation::parse("Read"), None);
        assert_eq!(Area::parse("root"), None);
    }
}
