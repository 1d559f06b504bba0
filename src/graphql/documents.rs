//! Parsed documents by the hash of their text: parsing costs far more than looking one up.

use super::guard::{OperationMeasure, PageSize, QueryLimits, measure_document, measure_operation, scan};
use super::persisted::Persisted;
use super::{literals, presence, roots, validation, variable_types};
use crate::error::{Error, ErrorCode, Result};
use crate::model::meter::Lookups;
use async_graphql::Variables;
use async_graphql::parser::types::{ExecutableDocument, OperationType};
use async_graphql::parser::{self, parse_query};
use data_encoding::HEXLOWER_PERMISSIVE;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A document that passed the limits that do not hang on variables.
pub struct Document {
    pub parsed: ExecutableDocument,
    operations: Vec<OperationMeasure>,
    bytes: usize,
    /// Whether it came with its hash, to be asked for by that: a guess at what others ran is not answered.
    registered: AtomicBool,
}

impl Document {
    /// # Errors
    /// `BAD_USER_INPUT` for a syntax error or a document that is not valid, `QUERY_TOO_COMPLEX` over a limit.
    pub(super) fn parse(text: &str, limits: &QueryLimits, page_size: PageSize) -> Result<Self> {
        scan(text, limits)?;
        let mut parsed = parse_query(text).map_err(|error| syntax_error(&error))?;
        roots::settle(&mut parsed)?;
        variable_types::check(&parsed)?;
        let operations = measure_document(&parsed, &Variables::default(), page_size)?;
        limits.check_document(&operations)?;
        validation::check(&parsed)?;
        presence::mark(&mut parsed);
        Ok(Self { parsed, operations, bytes: text.len(), registered: AtomicBool::new(false) })
    }

    /// The operations, as measured without variables.
    pub(super) fn operations(&self) -> &[OperationMeasure] {
        &self.operations
    }
}

/// The documents seen lately. Bounded by their number and by an estimate of their memory.
pub struct DocumentCache {
    documents: Cache<[u8; 32], Arc<Document>, ByMemory>,
    persisted: Arc<Persisted>,
    /// How often a document was known.
    pub lookups: Arc<Lookups>,
    limits: QueryLimits,
    page_size: PageSize,
}

/// The prefix of names of documents that are the hash of their text.
pub(super) const SHA256: &str = "sha256:";

/// The bytes of a SHA-256 in hex.
pub(super) fn hash_of(hex: &str) -> Option<[u8; 32]> {
    HEXLOWER_PERMISSIVE.decode(hex.as_bytes()).ok()?.try_into().ok()
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

/// Which document a request means. One of the three is there; a hash may come beside the text.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked<'a> {
    pub text: Option<&'a str>,
    /// `documentId`.
    pub id: Option<&'a str>,
    /// Of automatic persisted queries: the SHA-256 of the text, in hex.
    pub hash: Option<&'a str>,
}

impl<'a> Asked<'a> {
    /// A document that is all there.
    #[must_use]
    pub fn text(text: &'a str) -> Self {
        Self { text: Some(text), ..Self::default() }
    }

    /// Bytes of what was sent.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.text.map_or(0, str::len)
    }
}

impl DocumentCache {
    /// A cache of at most `max_documents` documents that take about `max_bytes` of memory, beside those that are persisted.
    #[must_use]
    pub fn new(
        limits: QueryLimits,
        page_size: PageSize,
        max_documents: usize,
        max_bytes: u64,
        persisted: Arc<Persisted>,
    ) -> Self {
        let max_documents = max_documents.max(1);
        let by_memory = ByMemory { least: (max_bytes / max_documents as u64).max(1) };
        let documents = Cache::with_weighter(max_documents, max_bytes, by_memory);
        Self { documents, lookups: Arc::default(), limits, page_size, persisted }
    }

    /// Parses and measures a request's text, or remembers it, and picks the operation that is to run.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` for a syntax error, a wrong hash or an operation that is not there, `QUERY_TOO_COMPLEX` over a limit. Neither is
    /// remembered. `PERSISTED_QUERY_NOT_FOUND` for a name or hash that is not known here, `FORBIDDEN` for a text that may not run.
    pub fn prepare(&self, asked: &Asked, operation: Option<&str>, variables: &Variables) -> Result<Prepared> {
        let document = match asked.text {
            Some(text) => self.of_text(text, asked.hash)?,
            None => asked
                .id
                .or(asked.hash)
                .and_then(|name| self.by_name(name))
                .ok_or_else(|| self.persisted.not_found(asked.id.is_some()))?,
        };
        let operation = self.measure(&document, operation, variables)?;
        Ok(Prepared { document, operation })
    }

    fn of_text(&self, text: &str, hash: Option<&str>) -> Result<Arc<Document>> {
        if text.len() > self.limits.max_bytes {
            scan(text, &self.limits)?;
        }
        let key: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        if hash.is_some_and(|hash| hash_of(hash) != Some(key)) {
            return Err(Error::bad_input(
                "extensions.persistedQuery.sha256Hash",
                "is not the SHA-256 of the 'query' beside it, in hex",
            ));
        }
        if let Some(document) = self.persisted.by_text(&key) {
            return Ok(document);
        }
        self.persisted.require_open()?;
        let known = self.lookups.note(self.documents.get(&key));
        let document = known.map_or_else(|| self.parse(text, key), Ok)?;
        if hash.is_some() {
            document.registered.store(true, Ordering::Relaxed);
        }
        Ok(document)
    }

    /// A document of the manifest by any of its names, or one that came lately together with its hash.
    fn by_name(&self, name: &str) -> Option<Arc<Document>> {
        if let Some(document) = self.persisted.by_id(name) {
            return Some(document);
        }
        let key = hash_of(name.strip_prefix(SHA256).unwrap_or(name))?;
        let registered = || {
            let document =
                self.documents.get(&key).filter(|document| document.registered.load(Ordering::Relaxed))?;
            self.persisted.require_open().is_ok().then_some(document)
        };
        self.persisted.by_text(&key).or_else(registered)
    }

    fn parse(&self, text: &str, key: [u8; 32]) -> Result<Arc<Document>> {
        let document = Arc::new(Document::parse(text, &self.limits, self.page_size)?);
        let only_queries = document.operations.iter().all(|op| op.operation_type == OperationType::Query);
        if only_queries || !literals::present(&document.parsed) {
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
    let at = error.positions().next();
    let message = match at {
        Some(at) => format!("syntax error at line {}, column {}: {reason}", at.line, at.column),
        None => format!("syntax error: {reason}"),
    };
    Error::new(ErrorCode::BadUserInput, message)
        .at_places(at.map(|at| (at.line, at.column)).into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::super::guard::connection_page_size;
    use super::*;

    fn cache() -> DocumentCache {
        DocumentCache::new(QueryLimits::default(), connection_page_size, 8, 1 << 20, Arc::default())
    }

    #[test]
    fn documents_are_remembered_but_errors_and_literals_of_mutations_are_not() {
        let cache = cache();
        let none = Variables::default();
        let first = cache.prepare(&Asked::text("{ me { displayName } }"), None, &none).unwrap().document;
        let again = cache.prepare(&Asked::text("{ me { displayName } }"), None, &none).unwrap().document;
        assert!(Arc::ptr_eq(&first, &again));
        assert_eq!(cache.documents.len(), 1);

        let broken = cache
            .prepare(&Asked::text("mutation { unseal(input: {share: \"s3cret\" "), None, &none)
            .map(drop);
        let message = broken.unwrap_err().to_string();
        assert!(message.contains("syntax error at line 1"), "{message}");
        assert!(!message.contains("s3cret"), "{message}");
        for text in [
            "mutation { unseal(input: {share: \"s3cret\"}) { x } }",
            "mutation ($p: SecretPath!) { putSecret(input: {path: $p, data: 123456}) { x } }",
            "query A { a } mutation B($p: SecretPath!, $n: Int) { putSecret(input: {path: $p, data: {pin: $n}}) { x } }",
        ] {
            assert!(
                cache.prepare(&Asked::text(text), text.starts_with('q').then_some("B"), &none).is_ok(),
                "{text}"
            );
            assert_eq!(cache.documents.len(), 1, "{text}");
        }
        let plain = "mutation ($p: SecretPath!, $d: JSON!) { putSecret(input: {path: $p, data: $d}) { x } }";
        assert!(cache.prepare(&Asked::text(plain), None, &none).is_ok());
        assert_eq!(cache.documents.len(), 2);
    }

    #[test]
    fn the_number_of_documents_is_bounded() {
        let cache = cache();
        for number in 0..1000 {
            cache.prepare(&Asked::text(&format!("{{ a{number} }}")), None, &Variables::default()).unwrap();
        }
        assert!(cache.documents.len() <= 8, "{}", cache.documents.len());
    }

    #[test]
    fn an_operation_is_picked_by_name() {
        let cache = cache();
        let text = "query A { a } mutation B { b }";
        let none = Variables::default();
        let picked = cache.prepare(&Asked::text(text), Some("B"), &none).unwrap().operation;
        assert_eq!(picked.operation_type, OperationType::Mutation);
        assert!(cache.prepare(&Asked::text(text), None, &none).is_err());
        assert!(cache.prepare(&Asked::text(text), Some("C"), &none).is_err());
        assert!(cache.prepare(&Asked::text("{ a }"), Some("A"), &none).is_err());
    }

    #[test]
    fn what_is_remembered_can_be_asked_for_by_its_hash() {
        let cache = cache();
        let none = Variables::default();
        let hex = |text: &str| data_encoding::HEXLOWER.encode(&Sha256::digest(text.as_bytes()));
        let by_hash = |hash: &str| {
            let asked = Asked { hash: Some(hash), ..Asked::default() };
            cache.prepare(&asked, None, &none).map(|prepared| prepared.document)
        };
        let text = "{ me { displayName } }";
        assert_eq!(by_hash(&hex(text)).err().unwrap().code(), ErrorCode::PersistedQueryNotFound);
        cache.prepare(&Asked::text(text), None, &none).unwrap();
        assert!(by_hash(&hex(text)).is_err(), "nobody learns by a hash what others ran");
        let registering = |hash: &str| {
            let asked = Asked { text: Some(text), hash: Some(hash), id: None };
            cache.prepare(&asked, None, &none).map(|prepared| prepared.document)
        };
        let wrong = registering(&hex("{ me { displayName }  }")).err().unwrap();
        assert_eq!(wrong.field(), Some("extensions.persistedQuery.sha256Hash"));
        assert!(by_hash(&hex(text)).is_err(), "what was refused is not remembered");
        let first = registering(&hex(text)).unwrap();
        assert!(Arc::ptr_eq(&first, &by_hash(&hex(text)).unwrap()));
        let id = format!("{SHA256}{}", hex(text));
        let by_id = cache.prepare(&Asked { id: Some(&id), ..Asked::default() }, None, &none).unwrap();
        assert!(Arc::ptr_eq(&first, &by_id.document));
        // a secret in the text of a mutation is not kept for anybody
        let secret = "mutation { unseal(input: {share: \"s3cret\"}) { x } }";
        cache
            .prepare(&Asked { text: Some(secret), hash: Some(&hex(secret)), id: None }, None, &none)
            .unwrap();
        assert!(by_hash(&hex(secret)).is_err());
    }

    #[test]
    fn complexity_follows_the_variables_of_each_request() {
        let cache = cache();
        let text = "query ($n: Int = 100) { secrets(first: $n) { nodes { versions(first: $n) { nodes { version } } } } }";
        let vars = |n: i32| Variables::from_json(serde_json::json!({ "n": n }));
        assert!(cache.prepare(&Asked::text(text), None, &vars(5)).is_ok());
        assert_eq!(
            cache.prepare(&Asked::text(text), None, &vars(100)).err().unwrap().code(),
            ErrorCode::QueryTooComplex
        );
        assert_eq!(
            cache.prepare(&Asked::text(text), None, &Variables::default()).err().unwrap().code(),
            ErrorCode::QueryTooComplex
        );
    }
}
