//! Secret paths: reverse domain notation, `prod.db.postgres.billing-db.password`.

use std::fmt;
use std::sync::Arc;

/// Longest path, in bytes (the alphabet is ASCII, so also in characters).
pub const MAX_PATH_LENGTH: usize = 500;

/// A valid secret path: segments of `[a-z0-9-_]+` joined by dots, up to [`MAX_PATH_LENGTH`] bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SecretPath(Arc<str>);

/// Why a text is no secret path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    #[error("a path is empty: write segments joined by dots, such as prod.db.password")]
    Empty,
    #[error("a path is longer than 500 characters")]
    TooLong,
    #[error("a path has an empty segment: segments are joined by single dots")]
    EmptySegment,
    #[error("a path has a character outside a-z, 0-9, '-', '_' and '.'")]
    BadCharacter,
}

/// Whether a byte may stand in a segment.
#[must_use]
pub fn is_segment_byte(byte: u8) -> bool {
    matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_')
}

impl SecretPath {
    /// Checks the notation.
    ///
    /// # Errors
    /// [`PathError`] says which rule is broken.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        if text.is_empty() {
            return Err(PathError::Empty);
        }
        if text.len() > MAX_PATH_LENGTH {
            return Err(PathError::TooLong);
        }
        for segment in text.split('.') {
            if segment.is_empty() {
                return Err(PathError::EmptySegment);
            }
            if !segment.bytes().all(is_segment_byte) {
                return Err(PathError::BadCharacter);
            }
        }
        Ok(Self(text.into()))
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this path is `prefix` itself or lies below it (whole segments: `prod.d` is no prefix of `prod.db`).
    #[must_use]
    pub fn is_within(&self, prefix: &SecretPath) -> bool {
        self.0.strip_prefix(&*prefix.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

impl fmt::Display for SecretPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for SecretPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_the_notation_and_names_each_fault() {
        assert!(SecretPath::parse("prod.db.postgres.billing-db.pass_word9").is_ok());
        assert!(SecretPath::parse(&"a".repeat(500)).is_ok());
        assert_eq!(SecretPath::parse(""), Err(PathError::Empty));
        assert_eq!(SecretPath::parse(&"a".repeat(501)), Err(PathError::TooLong));
        for path in [".a", "a.", "a..b", "."] {
            assert_eq!(SecretPath::parse(path), Err(PathError::EmptySegment), "{path}");
        }
        for path in ["A", "a b", "a/b", "ä", "a.*", "a\0", "a\n"] {
            assert_eq!(SecretPath::parse(path), Err(PathError::BadCharacter), "{path:?}");
        }
    }

    #[test]
    fn a_prefix_ends_at_a_dot() -> Result<(), PathError> {
        let path = SecretPath::parse("prod.db.x")?;
        assert!(path.is_within(&SecretPath::parse("prod.db")?));
        assert!(path.is_within(&path));
        assert!(!path.is_within(&SecretPath::parse("prod.d")?));
        Ok(())
    }
}
