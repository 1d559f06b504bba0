//! The rules of the specification's validation (section 5) that async-graphql 7 does not have, or not wholly. Every operation of a
//! document is looked at, whichever is to run, and once for each text.
//!
//! It is done behind the measure: what selections expand to, their nesting and cycles of fragments are bounded there.

mod places;
mod scope;
mod shapes;
mod usages;
mod values;
mod way;

use crate::error::{Error, ErrorCode, Result};
use async_graphql::Pos;
use async_graphql::parser::types::ExecutableDocument;
use scope::Scope;
use std::collections::{HashMap, HashSet};

/// # Errors
/// `BAD_USER_INPUT` for a document that is not valid.
pub fn check(document: &ExecutableDocument) -> Result<()> {
    places::check(document)?;
    let mut fragments = HashMap::with_capacity(document.fragments.len());
    for (name, fragment) in &document.fragments {
        fragments.insert(name, Scope::of_fragment(&fragment.node)?);
    }
    let mut reached = HashSet::with_capacity(fragments.len());
    for (name, operation) in document.operations.iter() {
        let scope = Scope::of_operation(&operation.node)?;
        usages::check(name, &operation.node, &scope, &fragments, &mut reached)?;
    }
    if let Some((name, unused)) = document.fragments.iter().find(|(name, _)| !reached.contains(name)) {
        return Err(refusal(format!("Fragment \"{name}\" is never used: leave it out"), [unused.pos]));
    }
    shapes::check(document)
}

fn refusal(message: String, at: impl IntoIterator<Item = Pos>) -> Error {
    let places = at.into_iter().map(|pos| (pos.line, pos.column)).collect();
    Error::new(ErrorCode::BadUserInput, message).at_places(places)
}

#[cfg(test)]
mod bounds_tests;
#[cfg(test)]
mod tests;
