//! Paths of secrets, and the patterns that policies match them with.

use crate::try_texts;
use secrethub::model::paths::{MAX_PATH_LENGTH, SecretPath};
use secrethub::model::policies::Pattern;

fn seeds() -> Vec<Vec<u8>> {
    let long = "segment-of_500.".repeat(34);
    ["prod.db.password", "a", "a.*.c", "prod.*", "*", "a*b.c-1_2", long.as_str()]
        .map(|text| text.into())
        .into()
}

#[test]
fn path() {
    try_texts(&seeds(), &[".", "..", "*", "**", "-", "_", "é", "A", "\0", " "], |text| {
        let Ok(path) = SecretPath::parse(text) else { return };
        assert_eq!(path.as_str(), text);
        assert!((1..=MAX_PATH_LENGTH).contains(&text.len()));
        assert!(
            text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_.".contains(&b)),
            "{text}"
        );
        assert!(!text.starts_with('.') && !text.ends_with('.') && !text.contains(".."));
        assert!(path.is_within(&path));
        // as a pattern it matches itself
        assert!(Pattern::parse(text).expect("a path is a pattern").matches(&path));
    });
}

#[test]
fn pattern() {
    let path = SecretPath::parse("prod.db.password").unwrap();
    try_texts(&seeds(), &[".", "*", "**", "*.*", "prod", "db", "password", "é", " "], |text| {
        let Ok(pattern) = Pattern::parse(text) else { return };
        assert_eq!(pattern.as_str(), text);
        if pattern.matches(&path) {
            assert!(path.as_str().starts_with(pattern.literal_prefix().trim_end_matches('.')), "{text}");
            assert!(pattern.may_match_below(&SecretPath::parse("prod").unwrap()), "{text}");
        }
    });
}
