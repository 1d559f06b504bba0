//! Documents that the operator named beforehand: from a manifest, parsed, measured and validated at start, and kept.

mod manifest;
#[cfg(test)]
mod tests;

use super::documents::{Document, SHA256, hash_of};
use super::guard::{QueryLimits, connection_page_size};
use super::{ApiSchema, Introspection, SchemaOptions, builder};
use crate::error::{Error, ErrorCode, Result};
use async_graphql::extensions::{Extension, ExtensionContext, ExtensionFactory, NextValidation};
use async_graphql::{Request, ServerError, ValidationResult};
pub use manifest::Manifest;
use manifest::Named;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;

/// The documents of a manifest. By default there are none, and every other may run.
#[derive(Default)]
pub struct Persisted {
    by_id: HashMap<String, Arc<Document>>,
    by_text: HashMap<[u8; 32], Arc<Document>>,
    trusted_only: bool,
    /// What is wrong with documents of the page that are not among them.
    left_out: Vec<String>,
}

impl std::fmt::Debug for Persisted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} documents, trusted only: {}", self.by_id.len(), self.trusted_only)
    }
}

impl Persisted {
    /// Takes up a manifest. With `trusted_only` nothing else may run, whoever asks.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` at `graphql.persisted_documents`, naming the document that is not good.
    pub async fn build(manifest: &Manifest, limits: &QueryLimits, trusted_only: bool) -> Result<Self> {
        let mut persisted = Self { trusted_only, ..Self::default() };
        let schema = validator();
        for named in manifest.documents() {
            persisted.take(named, &schema, limits).await?;
        }
        Ok(persisted)
    }

    /// Takes up the documents of the server's own page besides. Those that the limits do not let through could not run
    /// anyway, and are left out.
    pub async fn add(&mut self, page: &Manifest, limits: &QueryLimits) {
        let schema = validator();
        for named in page.documents() {
            // the operator may have named it as well
            if self.by_text.contains_key(&key_of(&named.text)) {
                continue;
            }
            if let Err(error) = self.take(named, &schema, limits).await {
                self.left_out.push(error.message().to_owned());
            }
        }
    }

    /// What is wrong with each document of the page that was left out.
    #[must_use]
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    async fn take(&mut self, named: &Named, schema: &ApiSchema, limits: &QueryLimits) -> Result<()> {
        let key = key_of(&named.text);
        if named.id.strip_prefix(SHA256).is_some_and(|hex| hash_of(hex) != Some(key)) {
            return Err(refused(named, "its name is not the SHA-256 of its text"));
        }
        let document =
            Arc::new(checked(&named.text, limits).map_err(|error| refused(named, error.message()))?);
        let first = document.operations().first().and_then(|operation| operation.operation_name.clone());
        let mut request = Request::new(named.text.as_str());
        request.operation_name = first;
        let found = schema.execute(request).await.errors;
        if let Some(problem) = found.iter().find(|error| error.message != VALID) {
            return Err(refused(named, &problem.message));
        }
        match self.by_id.entry(named.id.clone()) {
            Entry::Occupied(_) => return Err(refused(named, "another document has the same name")),
            Entry::Vacant(free) => free.insert(Arc::clone(&document)),
        };
        self.by_text.insert(key, document);
        Ok(())
    }

    pub(super) fn by_id(&self, id: &str) -> Option<Arc<Document>> {
        self.by_id.get(id).cloned()
    }

    pub(super) fn by_text(&self, hash: &[u8; 32]) -> Option<Arc<Document>> {
        self.by_text.get(hash).cloned()
    }

    /// # Errors
    /// `FORBIDDEN` if nothing but the documents of the manifest may run.
    pub(super) fn require_open(&self) -> Result<()> {
        if !self.trusted_only {
            return Ok(());
        }
        Err(Error::forbidden(
            "this server runs only the documents of its manifest (graphql.documents = \"trusted-only\"): this is none of them",
        ))
    }

    pub(super) fn not_found(&self, by_id: bool) -> Error {
        let message = match (self.trusted_only, by_id) {
            (true, _) => {
                "this server runs only the documents of its manifest, and none of them has this name"
            }
            (false, true) => "no document has this 'documentId': send it as 'query'",
            // the words of the protocol, which clients compare: send the query together with its hash
            (false, false) => "PersistedQueryNotFound",
        };
        Error::new(ErrorCode::PersistedQueryNotFound, message)
    }
}

fn key_of(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

/// A schema that says whether documents are valid, and executes nothing.
fn validator() -> ApiSchema {
    builder(SchemaOptions { introspection: Introspection::Always }).extension(OnlyValidate).finish()
}

/// Whether a document may run whatever variables come with it; those are measured with each request.
fn checked(text: &str, limits: &QueryLimits) -> Result<Document> {
    let document = Document::parse(text, limits, connection_page_size)?;
    for operation in document.operations().iter().filter(|operation| !operation.cost.varies) {
        limits.check_complexity(operation)?;
    }
    Ok(document)
}

fn refused(named: &Named, problem: &str) -> Error {
    let id = &named.id;
    let name = named.name.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
    Error::bad_input(
        "graphql.persisted_documents",
        format!("the document '{id}'{name} cannot be used: {problem}"),
    )
}

/// What stands in the answer to a document that is valid: nothing of it is executed.
const VALID: &str = "valid";

/// Stops behind validation.
struct OnlyValidate;

impl ExtensionFactory for OnlyValidate {
    fn create(&self) -> Arc<dyn Extension> {
        Arc::new(Self)
    }
}

#[async_graphql::async_trait::async_trait]
impl Extension for OnlyValidate {
    async fn validation(
        &self,
        ctx: &ExtensionContext<'_>,
        next: NextValidation<'_>,
    ) -> Result<ValidationResult, Vec<ServerError>> {
        next.run(ctx).await?;
        Err(vec![ServerError::new(VALID, None)])
    }
}
