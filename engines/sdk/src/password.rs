//! Random passwords.

use crate::{EngineError, Result, SecretString};
use rand::TryRng;
use rand::rngs::SysRng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
const UPPER: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const DIGITS: &[u8] = b"0123456789";
/// Safe in URLs, shells, connection strings and quoted texts.
const SYMBOLS: &[u8] = b"-._~";

/// What passwords are made of. The default has 32 characters with at least one small letter, one capital, one digit and
/// one of `-._~`: about 193 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PasswordPolicy {
    /// Characters, 20 to 128.
    pub length: usize,
    /// Whether one of `-._~` must be among them.
    pub symbols: bool,
}

impl Default for PasswordPolicy {
    fn default() -> Self {
        Self { length: 32, symbols: true }
    }
}

impl PasswordPolicy {
    /// # Errors
    /// [`EngineError::bad_input`] at `field.length`.
    pub fn validate(&self, field: &str) -> Result<()> {
        if (20..=128).contains(&self.length) {
            Ok(())
        } else {
            Err(EngineError::bad_input(format!("{field}.length"), "a password has 20 to 128 characters"))
        }
    }

    /// A new random password of the operating system's randomness.
    ///
    /// # Panics
    /// If the operating system gives no randomness, which it does not do.
    #[must_use]
    pub fn generate(&self) -> SecretString {
        let classes: &[&[u8]] =
            if self.symbols { &[LOWER, UPPER, DIGITS, SYMBOLS] } else { &[LOWER, UPPER, DIGITS] };
        let all: Vec<u8> = classes.concat();
        loop {
            let mut text = String::with_capacity(self.length);
            for _ in 0..self.length {
                text.push(char::from(all[below(all.len())]));
            }
            let password = SecretString::from(text);
            // by rejection: every password of the policy is equally likely
            let has = |class: &&[u8]| password.expose().bytes().any(|byte| class.contains(&byte));
            if classes.iter().all(has) {
                return password;
            }
        }
    }
}

/// A number below `bound` (at most 256), without bias.
fn below(bound: usize) -> usize {
    let limit = 256 - 256 % bound;
    loop {
        let mut byte = [0];
        if let Err(error) = SysRng.try_fill_bytes(&mut byte) {
            panic!("the operating system gives no randomness: {error}");
        }
        if usize::from(byte[0]) < limit {
            return usize::from(byte[0]) % bound;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn passwords_have_every_class_and_are_distinct() {
        let policy = PasswordPolicy { length: 20, symbols: true };
        let mut seen = HashSet::new();
        for _ in 0..500 {
            let password = policy.generate();
            let text = password.expose();
            assert_eq!(text.len(), 20);
            for class in [LOWER, UPPER, DIGITS, SYMBOLS] {
                assert!(text.bytes().any(|byte| class.contains(&byte)), "{text}");
            }
            assert!(seen.insert(text.to_owned()));
        }
        let plain = PasswordPolicy { symbols: false, ..policy }.generate();
        assert!(plain.expose().bytes().all(|byte| byte.is_ascii_alphanumeric()));
    }

    #[test]
    fn lengths_are_bounded() {
        for length in [0, 19, 129] {
            let error = PasswordPolicy { length, symbols: true }.validate("password").unwrap_err();
            assert_eq!(error.field.as_deref(), Some("password.length"));
        }
    }
}
