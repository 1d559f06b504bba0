//! Parsed documents by the hash of their text: parsing costs far more than looking one up.

use super::guard::{OperationMeasure, PageSize, QueryLimits, measure_document, measure_operation, scan};
use super::literals;
use crate::error::{Error, ErrorCode, Result};
use crate::model::meter::Lookups;
use async_graphql::Variables;
use async_graphql::parser::types::{ExecutableDocument, OperationType};
use async_graphql::parser::{self, parse_query};
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};
use std::sync::Arc;

/// A document that passed the limits that do not hang on variables.
pub struct Document {
    pub parsed: ExecutableDocument,
    operations: Vec<OperationMeasure>,
    bytes: usize,
}

/// The documents seen lately. Bounded by their number and by an estimate of their memory.
pub struct DocumentCache {
    documents: Cache<[u8; 32], Arc<Document>, ByMemory>,
    /// How often a document was known.
    pub lookups: Arc<Lookups>,
    limits: QueryLimits,
    page_size: PageSize,
}

/// A document that may be executed, and what it was measured to be.
pub struct Prepared {
    pub document: Arc<Document>,
    pub operation: OperationMeasure,
}

/// A tree of a text takes about this many times the text.
const MEMORY_PER_BYTE: usize = 24;

#[derive(Clone)]
struct ByMemory {
    /// The least that an entry counts, so that the number of entries is bounded as well.
    least: u64,
}

impl Weighter<[u8; 32], Arc<Document>> for ByMemory {
    fn weight(&self, _: &[u8; 32], document: &Arc<Document>) -> u64 {
        (document.bytes.saturating_mul(MEMORY_PER_BYTE) as u64).max(self.least)
    }
}

impl DocumentCache {
    /// A cache of at most `max_documents` documents that take about `max_bytes` of memory.
    #[must_use]
    pub fn new(limits: QueryLimits, page_size: PageSize, max_documents: usize, max_bytes: u64) -> Self {
        let max_documents = max_documents.max(1);
        let by_memory = ByMemory { least: (max_bytes / max_documents as u64).max(1) };
        let documents = Cache::with_weighter(max_documents, max_bytes, by_memory);
        Self { documents, lookups: Arc::default(), limits, page_size }
    }

    /// Parses and measures a request's text, or remembers it, and picks the operation that is to run.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` for a syntax error or an operation that is not there, `QUERY_TOO_COMPLEX` over a limit. Neither is remembered.
    pub fn prepare(&self, text: &str, operation: Option<&str>, variables: &Variables) -> Result<Prepared> {
        if text.len() > self.limits.max_bytes {
            scan(text, &self.limits)?;
        }
        let key: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        let document = match self.lookups.note(self.documents.get(&key)) {
            Some(document) => document,
            None => self.parse(text, key)?,
        };
        let operation = self.measure(&document, operation, variables)?;
        Ok(Prepared { document, operation })
    }

    fn parse(&self, text: &str, key: [u8; 32]) -> Result<Arc<Document>> {
        scan(text, &self.limits)?;
        let parsed = parse_query(text).map_err(|error| syntax_error(&error))?;
        let operations = measure_document(&parsed, &Variables::default(), self.page_size)?;
        self.limits.check_document(&operations)?;
        let only_queries = operations.iter().all(|op| op.operation_type == OperationType::Query);
        let may_keep = only_queries || !literals::present(&parsed);
        let document = Arc::new(Document { parsed, operations, bytes: text.len() });
        if may_keep {
            self.documents.insert(key, Arc::clone(&document));
        }
        Ok(document)
    }

    fn measure(
        &self,
        document: &Document,
        name: Option<&str>,
        variables: &Variables,
    ) -> Result<OperationMeasure> {
        let found = match name {
            Some(_) => document.operations.iter().find(|op| op.operation_name.as_deref() == name),
            None if document.operations.len() == 1 => document.operations.first(),
            None => None,
        };
        let measured = match found {
            Some(known) if !known.cost.varies => known.clone(),
            // the sizes of its pages are in the variables; walking it again is cheap
            _ => measure_operation(&document.parsed, name, variables, self.page_size)?,
        };
        self.limits.check_complexity(&measured)?;
        Ok(measured)
    }
}

/// The parser's message without the excerpt of the text that it comes with: the text may hold a secret.
fn syntax_error(error: &parser::Error) -> Error {
    let text = error.to_string();
    let reason = match error {
        parser::Error::Syntax { .. } => {
            text.rsplit_once("= ").map_or("the query is not valid GraphQL", |(_, reason)| reason.trim())
        }
        _ => text.trim_end_matches('.'),
    };
    let message = match error.positions().next() {
        Some(at) => format!("syntax error at line {}, column {}: {reason}", at.line, at.column),
        None => format!("syntax error: {reason}"),
    };
    Error::new(ErrorCode::BadUserInput, message)
}

#[cfg(test)]
mod tests {
    use super::super::guard::connection_page_size;
    use super::*;

    fn cache() -> DocumentCache {
        DocumentCache::new(QueryLimits::default(), connection_page_size, 8, 1 << 20)
    }

    #[test]
    fn documents_are_remembered_but_errors_and_literals_of_mutations_are_not() {
        let cache = cache();
        let none = Variables::default();
        let first = cache.prepare("{ me { displayName } }", None, &none).unwrap().document;
        let again = cache.prepare("{ me { displayName } }", None, &none).unwrap().document;
        assert!(Arc::ptr_eq(&first, &again));
        assert_eq!(cache.documents.len(), 1);

        let broken = cache.prepare("mutation { unseal(input: {share: \"s3cret\" ", None, &none).map(drop);
        let message = broken.unwrap_err().to_string();
        assert!(message.contains("syntax error at line 1"), "{message}");
        assert!(!message.contains("s3cret"), "{message}");
        for text in [
            "mutation { unseal(input: {share: \"s3cret\"}) { x } }",
            "mutation { putSecret(input: {path: $p, data: 123456}) { x } }",
            "query A { a } mutation B { putSecret(input: {path: $p, data: {pin: $pin}}) { x } }",
        ] {
            assert!(cache.prepare(text, text.starts_with('q').then_some("B"), &none).is_ok(), "{text}");
            assert_eq!(cache.documents.len(), 1, "{text}");
        }
        let plain = "mutation ($p: SecretPath!, $d: JSON!) { putSecret(input: {path: $p, data: $d}) { x } }";
        assert!(cache.prepare(plain, None, &none).is_ok());
        assert_eq!(cache.documents.len(), 2);
    }

    #[test]
    fn the_number_of_documents_is_bounded() {
        let cache = cache();
        for number in 0..1000 {
            cache.prepare(&format!("{{ a{number} }}"), None, &Variables::default()).unwrap();
        }
        assert!(cache.documents.len() <= 8, "{}", cache.documents.len());
    }

    #[test]
    fn an_operation_is_picked_by_name() {
        let cache = cache();
        let text = "query A { a } mutation B { b }";
        let none = Variables::default();
        let picked = cache.prepare(text, Some("B"), &none).unwrap().operation;
        assert_eq!(picked.operation_type, OperationType::Mutation);
        assert!(cache.prepare(text, None, &none).is_err());
        assert!(cache.prepare(text, Some("C"), &none).is_err());
        assert!(cache.prepare("{ a }", Some("A"), &none).is_err());
    }

    #[test]
    fn complexity_follows_the_variables_of_each_request() {
        let cache = cache();
        let text = "query ($n: Int = 100) { secrets(first: $n) { nodes { versions(first: $n) { nodes { version } } } } }";
        let vars = |n: i32| Variables::from_json(serde_json::json!({ "n": n }));
        assert!(cache.prepare(text, None, &vars(5)).is_ok());
        assert_eq!(cache.prepare(text, None, &vars(100)).err().unwrap().code(), ErrorCode::QueryTooComplex);
        assert_eq!(
            cache.prepare(text, None, &Variables::default()).err().unwrap().code(),
            ErrorCode::QueryTooComplex
        );
    }
}
