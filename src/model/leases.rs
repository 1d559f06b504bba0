//! Leases: their states, how long they may live, and when a revocation that failed is tried again.

use chrono::Duration;
use std::fmt;

/// How far a lease has come. It only moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LeaseState {
    /// The engine is being asked for credentials.
    Issuing,
    /// The credentials are out.
    Active,
    /// They are to end; the target is asked until it has ended them.
    Revoking,
    Revoked,
}

impl LeaseState {
    pub const ALL: [Self; 4] = [Self::Issuing, Self::Active, Self::Revoking, Self::Revoked];

    /// The word that is stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Issuing => "issuing",
            Self::Active => "active",
            Self::Revoking => "revoking",
            Self::Revoked => "revoked",
        }
    }

    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == word)
    }
}

/// What bounds the lifetime of a lease, or of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cap {
    Role,
    Engine,
    /// Of a certificate: the authority that signs it.
    Authority,
    Policy,
    Token,
    /// The end of the token that the lease was issued to, with which it ends.
    Issuer,
    /// What bounded the lease as a whole when it was issued.
    Lease,
}

impl fmt::Display for Cap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Role => "the longest lifetime of the engine's role",
            Self::Engine => "the longest lifetime of the engine",
            Self::Authority => "the end of the authority",
            Self::Policy => "the longest lifetime that the caller's policies allow",
            Self::Token => "the end of the caller's token",
            Self::Issuer => "the end of the token that the lease was issued to",
            Self::Lease => "the longest lifetime that the lease was issued with",
        })
    }
}

/// A lifetime as it is granted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granted {
    pub seconds: i64,
    /// What cut it, if it is shorter than was wanted.
    pub cut_by: Option<Cap>,
}

impl Granted {
    /// The sentence for the caller, if something was cut.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        self.cut_by.map(|cap| format!("the lifetime was cut to {} seconds by {cap}", self.seconds))
    }
}

/// The least of what is wanted and what each cap leaves, in seconds from now.
#[must_use]
pub fn grant(wanted: i64, caps: &[(Cap, Option<i64>)]) -> Granted {
    let mut granted = Granted { seconds: wanted, cut_by: None };
    for (cap, left) in caps {
        if let Some(left) = left.filter(|left| *left < granted.seconds) {
            granted = Granted { seconds: left, cut_by: Some(*cap) };
        }
    }
    granted
}

/// How long after the `attempts`th failed attempt the next one is made: 1, 2, 4, ... seconds, and then every five minutes. It
/// is never given up.
#[must_use]
pub fn retry_after(attempts: i64) -> Duration {
    const MOST: i64 = 300;
    let doublings = u32::try_from((attempts - 1).clamp(0, 16)).unwrap_or_default();
    Duration::seconds((1_i64 << doublings).min(MOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_cap_counts_and_is_named() {
        assert_eq!(grant(60, &[(Cap::Role, Some(60)), (Cap::Engine, None)]).cut_by, None);
        let granted =
            grant(3600, &[(Cap::Role, Some(1800)), (Cap::Policy, Some(900)), (Cap::Token, Some(1000))]);
        assert_eq!(granted, Granted { seconds: 900, cut_by: Some(Cap::Policy) });
        assert_eq!(
            granted.warning().unwrap(),
            "the lifetime was cut to 900 seconds by the longest lifetime that the caller's policies allow"
        );
    }

    #[test]
    fn retries_come_less_often_and_never_stop() {
        let seconds: Vec<_> = [0, 1, 2, 3, 9, 10, 60, i64::MAX].map(|n| retry_after(n).num_seconds()).into();
        assert_eq!(seconds, [1, 1, 2, 4, 256, 300, 300, 300]);
    }

    #[test]
    fn states_round_trip() {
        for state in LeaseState::ALL {
            assert_eq!(LeaseState::parse(state.as_str()), Some(state));
        }
        assert_eq!(LeaseState::parse("ISSUING"), None);
    }
}
