//! What an authority and those above it leave to what is below.

use super::facts::Facts;
use crate::error::{Error, Result};
use crate::model::certificates::{AltName, NameConstraints, Subject, Subtrees};

/// An authority and those above it, as far as they bound what it signs. That each has signed the one before is not checked here.
pub struct Chain {
    height: usize,
    path_length: Option<i64>,
    /// With the subjects of those whose they are.
    constraints: Vec<(String, NameConstraints)>,
}

impl Chain {
    /// Certificates (DER), nearest first.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` at `certificatePem` if one of them is none.
    pub fn read(certificates: &[Vec<u8>]) -> Result<Self> {
        let mut chain = Self { height: certificates.len(), path_length: None, constraints: Vec::new() };
        let mut below = 0;
        for der in certificates {
            let facts = Facts::from_der(der)?;
            let left = facts.max_path_length.map(|most| i64::from(most) - below);
            chain.path_length = left.into_iter().chain(chain.path_length).min();
            // one that signs itself anew under the same name is not counted (RFC 5280, 6.1.4)
            below += i64::from(facts.subject_der != facts.issuer_der);
            chain.constraints.extend(facts.constraints.map(|constraints| (facts.subject, constraints)));
        }
        Ok(chain)
    }

    /// How many certificates it is.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// How many authorities may follow below the nearest: the least that any of them leaves. `None`: any number; negative: it is
    /// itself too far down.
    #[must_use]
    pub fn path_length(&self) -> Option<i64> {
        self.path_length
    }

    /// Whether a certificate of this subject and these names may be below all of them.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` at `names` or `commonName`, naming the name and the authority.
    pub fn allow(&self, subject: &Subject, names: &[AltName], is_ca: bool) -> Result<()> {
        for (authority, constraints) in &self.constraints {
            constraints
                .allow(subject, names, is_ca)
                .map_err(|broken| Error::bad_input(broken.field, refusal(authority, &broken.message)))?;
        }
        Ok(())
    }

    /// Whether an authority that permits these may be below all of them.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` at the entry of `permittedDnsDomains` or `permittedIpRanges`.
    pub fn allow_below(&self, permitted: &Subtrees) -> Result<()> {
        for (authority, constraints) in &self.constraints {
            constraints
                .allow_below(permitted)
                .map_err(|(field, message)| Error::bad_input(field, refusal(authority, &message)))?;
        }
        Ok(())
    }
}

fn refusal(authority: &str, message: &str) -> String {
    format!("the name constraints of the authority {authority} do not allow {message}")
}
