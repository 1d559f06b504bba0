//! Where things may stand: no directive on a variable ("Directives Are in Valid Locations"), no fragment called `on`, and what async-graphql
//! passes over on `__typename`.

use super::super::definitions::directive;
use super::refusal;
use crate::error::Result;
use async_graphql::Positioned;
use async_graphql::parser::types::{ExecutableDocument, Field};
use std::collections::HashSet;

pub fn check(document: &ExecutableDocument) -> Result<()> {
    let definitions =
        document.operations.iter().flat_map(|(_, operation)| &operation.node.variable_definitions);
    if let Some(misplaced) = definitions.flat_map(|definition| &definition.node.directives).next() {
        let name = &misplaced.node.name.node;
        let message = format!("Directive \"@{name}\" may not be used on VARIABLE_DEFINITION: leave it out");
        return Err(refusal(message, [misplaced.pos]));
    }
    if let Some(fragment) = document.fragments.get("on") {
        let message = "A fragment cannot be called \"on\": give it another name";
        return Err(refusal(message.to_owned(), [fragment.pos]));
    }
    Ok(())
}

/// `__typename` has no arguments and nothing below it, and of the directives `@skip` and `@include` once each.
pub fn typename(field: &Positioned<Field>) -> Result<()> {
    if let Some((argument, _)) = field.node.arguments.first() {
        let message = format!("Unknown argument \"{}\" on field \"__typename\": leave it out", argument.node);
        return Err(refusal(message, [argument.pos]));
    }
    if !field.node.selection_set.node.items.is_empty() {
        let message =
            "Field \"__typename\" must not have a selection since type \"String!\" has no subfields";
        return Err(refusal(message.to_owned(), [field.pos]));
    }
    let mut seen = HashSet::new();
    for used in &field.node.directives {
        let name = used.node.name.node.as_str();
        let problem = match directive(name).filter(|_| name == "skip" || name == "include") {
            None => "may not be used on FIELD, or is not known: leave it out",
            Some(_) if !seen.insert(name) => "can only be used once at this location",
            Some(arguments)
                if used.node.arguments.len() != 1
                    || !arguments.contains_key(used.node.arguments[0].0.node.as_str()) =>
            {
                "has the argument \"if\" and no other: give it"
            }
            Some(_) => continue,
        };
        return Err(refusal(format!("Directive \"@{name}\" {problem}"), [used.pos]));
    }
    Ok(())
}
