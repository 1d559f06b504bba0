//! Documents of policies, and manifests of persisted GraphQL documents.

use crate::{try_all, try_texts};
use secrethub::graphql::persisted::Manifest;
use secrethub::model::policies::{Document, MAX_PATTERN_LENGTH, MAX_PATTERNS};
use secrethub_fuzz::corpus;

#[test]
fn policy() {
    let words = [
        "\"version\":1",
        "\"*\"",
        "\"prod.*\"",
        "\"read\"",
        "\"audit\"",
        "null",
        "[]",
        "{}",
        ",",
        "\"\"",
        "-1",
        "\"24:00\"",
        "\"00:00-24:00\"",
        "\"UTC\"",
        "\"::/0\"",
        "\"0.0.0.0/0\"",
        "\"1s\"",
        "\"conditions\":",
    ];
    try_texts(&corpus("policy").unwrap(), &words, |text| {
        let Ok(value) = serde_json::from_str(text) else { return };
        let Ok(document) = Document::parse(&value) else { return };
        assert!(document.allowed_secrets().len() <= MAX_PATTERNS);
        assert!(
            document.allowed_secrets().iter().all(|pattern| pattern.as_str().len() <= MAX_PATTERN_LENGTH)
        );
        assert_eq!(document.allowed_secrets().is_empty(), document.allowed_operations().is_empty());
        let written = document.to_value();
        let again = Document::parse(&written).expect("what is written can be read");
        assert_eq!(again.to_value(), written);
    });
}

#[test]
fn manifest() {
    let words = [
        "\"format\":",
        "\"version\":1",
        "\"operations\":[",
        "{\"id\":\"a\",\"body\":\"{a}\"}",
        "null",
        "\"\"",
        ",",
    ];
    try_all(&corpus("manifest").unwrap(), &words, |bytes| {
        // whether it is one makes no difference: it is read, or refused with a sentence
        if let Err(error) = Manifest::parse(bytes) {
            assert_eq!(error.field(), Some("graphql.persisted_documents"));
        }
    });
}
