//! Patterns of secret paths: `prod.db.*`, `prod.*.readonly`, `prod.billing-*`.

use crate::model::paths::{SecretPath, is_segment_byte};
use std::fmt;

/// Longest pattern, in bytes.
pub const MAX_PATTERN_LENGTH: usize = 500;

/// Why a text is no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("a pattern is empty: write segments joined by dots, such as prod.db.*")]
    Empty,
    #[error("a pattern is longer than 500 characters: write a shorter one")]
    TooLong,
    #[error("a pattern has an empty segment: join segments by single dots")]
    EmptySegment,
    #[error("a pattern has a character outside a-z, 0-9, '-', '_', '.' and '*': remove it")]
    BadCharacter,
    #[error(
        "a pattern has stars side by side: write a single '*', which as the last segment matches any depth"
    )]
    StarsSideBySide,
}

/// Which secret paths a policy is about.
///
/// As the last segment `*` matches one or more segments, as another whole segment exactly one. Within a segment
/// (`billing-*`, `a*b*c`) it matches any run of characters of that segment, also none.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Pattern {
    text: Box<str>,
    /// How many bytes stand before the first star. Every path that matches begins with them.
    literal: usize,
    shape: Shape,
}

/// What is left to check of a path that begins with the literal bytes.
#[derive(Clone, PartialEq, Eq, Hash)]
enum Shape {
    /// No star: that it ends there too.
    Exact,
    /// The only star is the last segment: nothing, since no path ends in a dot.
    Below,
    /// Everything, segment by segment; `rest` if the last one was a star, which is then not in `segments`.
    Segments { segments: Box<[Segment]>, rest: bool },
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Segment {
    Literal(Box<str>),
    Any,
    Glob(Box<str>),
}

impl Segment {
    fn of(text: &str) -> Self {
        match text {
            "*" => Self::Any,
            _ if text.contains('*') => Self::Glob(text.into()),
            _ => Self::Literal(text.into()),
        }
    }

    fn matches(&self, part: &str) -> bool {
        match self {
            Self::Literal(text) => **text == *part,
            Self::Any => true,
            Self::Glob(glob) => glob_matches(glob, part),
        }
    }
}

impl Pattern {
    /// Checks the notation.
    ///
    /// # Errors
    /// [`PatternError`] says which rule is broken.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.len() > MAX_PATTERN_LENGTH {
            return Err(PatternError::TooLong);
        }
        for segment in text.split('.') {
            if segment.is_empty() {
                return Err(PatternError::EmptySegment);
            }
            if !segment.bytes().all(|byte| byte == b'*' || is_segment_byte(byte)) {
                return Err(PatternError::BadCharacter);
            }
            if segment.contains("**") {
                return Err(PatternError::StarsSideBySide);
            }
        }
        let literal = text.find('*').unwrap_or(text.len());
        let above = if text == "*" { Some("") } else { text.strip_suffix(".*") };
        let shape = if literal == text.len() {
            Shape::Exact
        } else if above.is_some() && literal == text.len() - 1 {
            Shape::Below
        } else {
            let segments = above.unwrap_or(text).split('.').map(Segment::of).collect();
            Shape::Segments { segments, rest: above.is_some() }
        };
        Ok(Self { text: text.into(), literal, shape })
    }

    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the path matches. Takes time in proportion to the path's length, times the length of a segment where
    /// the pattern has stars within one; allocates nothing.
    #[must_use]
    pub fn matches(&self, path: &SecretPath) -> bool {
        let path = path.as_str();
        if !path.as_bytes().starts_with(&self.text.as_bytes()[..self.literal]) {
            return false;
        }
        match &self.shape {
            Shape::Exact => path.len() == self.text.len(),
            Shape::Below => true,
            Shape::Segments { segments, rest } => {
                let mut parts = path.split('.');
                for segment in segments {
                    if !parts.next().is_some_and(|part| segment.matches(part)) {
                        return false;
                    }
                }
                parts.next().is_some() == *rest
            }
        }
    }

    /// Whether some path, `prefix` itself or one below it, could match. For pruning lists: it does not count the
    /// longest path's length, so it may say yes where a match would be too long to be a path.
    #[must_use]
    pub fn may_match_below(&self, prefix: &SecretPath) -> bool {
        let mut segments = self.text.split('.').peekable();
        for part in prefix.as_str().split('.') {
            match segments.next() {
                None => return false,
                Some("*") if segments.peek().is_none() => return true,
                Some(segment) if glob_matches(segment, part) => {}
                Some(_) => return false,
            }
        }
        true
    }

    /// The longest run of whole segments without a star from the beginning (`prod.db` of `prod.db.*`, empty for
    /// `*`). Every path that matches is this path or lies below it.
    #[must_use]
    pub fn literal_prefix(&self) -> String {
        if self.shape == Shape::Exact {
            return self.text.to_string();
        }
        let before = &self.text[..self.literal];
        before.rsplit_once('.').map_or("", |(prefix, _)| prefix).to_owned()
    }
}

/// Matches one segment, going back to the last star only: an earlier star never needs to take more, so this is at
/// worst the product of the two lengths.
fn glob_matches(glob: &str, part: &str) -> bool {
    let (glob, part) = (glob.as_bytes(), part.as_bytes());
    let (mut g, mut p) = (0, 0);
    // Behind the last star, and how far into the part that star reaches so far.
    let mut star: Option<(usize, usize)> = None;
    while p < part.len() {
        match (glob.get(g), star) {
            (Some(b'*'), _) => {
                g += 1;
                star = Some((g, p));
            }
            (Some(byte), _) if *byte == part[p] => {
                g += 1;
                p += 1;
            }
            (_, Some((behind, reach))) => {
                star = Some((behind, reach + 1));
                g = behind;
                p = reach + 1;
            }
            (_, None) => return false,
        }
    }
    glob[g..].iter().all(|byte| *byte == b'*')
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.text, f)
    }
}

#[cfg(test)]
#[path = "pattern_tests.rs"]
mod tests;
