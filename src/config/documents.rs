//! Of the section `graphql`: which documents may run, and what may come with them.

use super::source::Source;
use super::whole;
use crate::error::{Error, Result};
use crate::graphql::guard::{DEEPEST, QueryLimits, VariableLimits};
use crate::graphql::persisted::{Manifest, Persisted};
use crate::http::playground;
use std::path::Path;

/// The documents that are named beforehand.
#[derive(Debug, Clone)]
pub struct Documents {
    pub manifest: Option<Manifest>,
    /// Nothing else may run.
    pub trusted_only: bool,
    /// The page at `/` is served, so its own documents may run as well.
    pub playground: bool,
}

impl Documents {
    /// Parses and validates them all.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` at `graphql.persisted_documents`, naming the first document that is not good.
    pub async fn build(&self, limits: &QueryLimits) -> Result<Persisted> {
        let Some(manifest) = &self.manifest else { return Ok(Persisted::default()) };
        let mut persisted = Persisted::build(manifest, limits, self.trusted_only).await?;
        if self.trusted_only && self.playground {
            persisted.add(&Manifest::parse(playground::DOCUMENTS)?, limits).await;
        }
        Ok(persisted)
    }
}

pub(super) fn documents(source: &Source) -> Result<Documents> {
    let trusted_only = match source.text("graphql.documents")?.unwrap_or("any") {
        "any" => false,
        "trusted-only" => true,
        _ => return Err(Error::bad_input("graphql.documents", "write \"any\" or \"trusted-only\"")),
    };
    let file = source.text("graphql.persisted_documents")?;
    if trusted_only && file.is_none() {
        let message =
            "\"trusted-only\" needs graphql.persisted_documents, the file of the documents that may run";
        return Err(Error::bad_input("graphql.documents", message));
    }
    let manifest = file.map(|file| Manifest::read(Path::new(file))).transpose()?;
    let playground = source.flag("listener.playground")?.unwrap_or(true);
    Ok(Documents { manifest, trusted_only, playground })
}

pub(super) fn variables(source: &Source) -> Result<VariableLimits> {
    let default = VariableLimits::default();
    let many = 100_000_000;
    Ok(VariableLimits {
        max_variables: whole(source, "graphql.max_variables", default.max_variables, 0, 10_000)?,
        max_bytes: whole(source, "graphql.max_variables_bytes", default.max_bytes, 2, 64 << 20)?,
        max_values: whole(source, "graphql.max_values", default.max_values, 1, many)?,
        max_list_length: whole(source, "graphql.max_list_length", default.max_list_length, 1, many)?,
        max_depth: whole(source, "graphql.max_json_depth", default.max_depth, 1, DEEPEST as u64)?,
    })
}
