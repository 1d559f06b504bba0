//! Measures a request before it is executed.
//!
//! async-graphql expands fragments again at every spread, without remembering, and does so before it applies any limit
//! of its own: 26 fragments that each spread the next twice keep it busy for minutes. So the text is scanned before it is
//! parsed (bytes, tokens, nesting), and the parsed document is measured with every fragment visited once and its cost
//! multiplied. Only then does async-graphql see it.

mod connections;
mod json;
mod lexer;
mod measure;
mod price;

use crate::error::{Error, ErrorCode, Result};
use async_graphql::parser::types::OperationType;

pub use connections::{PageSize, connection_page_size, is_connection};
pub use json::{DEEPEST, VariableLimits};
pub use lexer::{Scanned, scan};
pub use measure::{OperationMeasure, measure_document, measure_operation};
#[cfg(test)]
pub(crate) use price::SURCHARGES;
pub use price::{of_text, price};

/// What one request may ask for. Every number is a largest value that is still allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueryLimits {
    /// Bytes of the query text (variables do not count: they are bounded by the request body).
    pub max_bytes: usize,
    /// Lexical tokens of the query text; also the selections it may expand to through its fragments.
    pub max_tokens: usize,
    /// Nested fields.
    pub max_depth: u64,
    pub max_aliases: u64,
    /// Fields at the root of one operation.
    pub max_root_fields: u64,
    /// The same for a mutation: every one of them is an action.
    pub max_root_mutations: u64,
    pub max_directives: u64,
    /// One for each field; a connection counts its fields once for every element of the page asked for.
    pub max_complexity: u64,
    /// Operations in one document. Each is validated with all fragments.
    pub max_operations: u64,
    pub variables: VariableLimits,
}

impl Default for QueryLimits {
    fn default() -> Self {
        Self {
            max_bytes: 64 * 1024,
            max_tokens: 5_000,
            max_depth: 16,
            max_aliases: 100,
            max_root_fields: 20,
            max_root_mutations: 10,
            max_directives: 50,
            max_complexity: 5_000,
            max_operations: 50,
            variables: VariableLimits::default(),
        }
    }
}

/// How deep the four lists of introspection (`fields`, `interfaces`, `possibleTypes`, `inputFields`) may nest. Tools nest
/// them once; each further level multiplies the answer by the size of the schema.
const MAX_INTROSPECTION_LISTS: u64 = 2;

/// Selection sets within each other, those of fragments included. async-graphql has the same limit, but not our words for it.
const MAX_NESTING: u64 = 32;

impl QueryLimits {
    /// Checks what does not depend on the request's variables.
    ///
    /// # Errors
    /// `QUERY_TOO_COMPLEX` naming the limit and its value.
    pub fn check_document(&self, operations: &[OperationMeasure]) -> Result<()> {
        within("operations in one document", operations.len() as u64, self.max_operations)?;
        let selections = operations.iter().fold(0_u64, |sum, op| sum.saturating_add(op.cost.selections));
        within("selections after its fragments are expanded", selections, self.max_tokens as u64)?;
        for operation in operations {
            let cost = &operation.cost;
            within("levels of nested fields", cost.depth, self.max_depth)?;
            within("levels of selections within each other", cost.nesting, MAX_NESTING)?;
            within("aliases", cost.aliases, self.max_aliases)?;
            within("directives", cost.directives, self.max_directives)?;
            within("nested lists of introspection", cost.introspection_lists, MAX_INTROSPECTION_LISTS)?;
            if operation.operation_type == OperationType::Mutation {
                within("mutations in one request", cost.root_fields, self.max_root_mutations)?;
            }
            within("fields at its root", cost.root_fields, self.max_root_fields)?;
        }
        Ok(())
    }

    /// Checks the complexity of the operation that is about to run, measured with its variables.
    ///
    /// # Errors
    /// `QUERY_TOO_COMPLEX` naming the limit and its value.
    pub fn check_complexity(&self, operation: &OperationMeasure) -> Result<()> {
        within("units of complexity", operation.cost.complexity, self.max_complexity)
    }
}

fn within(what: &str, value: u64, limit: u64) -> Result<()> {
    if value <= limit {
        return Ok(());
    }
    Err(too_complex(format!(
        "the query has {value} {what}, at most {limit} are allowed: ask for less, or in several requests"
    )))
}

fn too_complex(message: String) -> Error {
    Error::new(ErrorCode::QueryTooComplex, message)
}

#[cfg(test)]
mod tests;
