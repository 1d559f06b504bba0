//! The variables of a request, settled before the schema sees it, as the specification wants it ("Coercing Variable Values"): a request
//! that lacks one, or has one of another kind than its type, does nothing at all.
//!
//! async-graphql 7 looks at `@skip` and `@include` before it looks at defaults, and takes what is missing there for `false`. It finds a
//! missing variable only at the field that uses it, when others have run already, and one that may be missing it takes for `null`, which
//! in an input is something else than a field that is left out.

mod absent;
mod kinds;
mod place;

use super::definitions::chosen;
use crate::error::{Error, ErrorCode, Result};
use async_graphql::parser::types::{ExecutableDocument, OperationDefinition, VariableDefinition};
use async_graphql::{Name, Value, Variables};
use kinds::Mismatch;
use std::collections::HashSet;

/// Puts defaults in for the variables that the request leaves out, and takes out of the document what hangs on those that have none.
/// `operation` names the one that is to run.
///
/// # Errors
/// `BAD_USER_INPUT` for a variable that has no value and needs one, or a value of another kind.
pub fn settle(
    document: &mut ExecutableDocument,
    operation: Option<&str>,
    variables: &mut Variables,
) -> Result<()> {
    // that there is one was seen when it was measured
    let Some(chosen) = chosen(document, operation) else { return Ok(()) };
    let mut absent = HashSet::new();
    for definition in &chosen.variable_definitions {
        let definition = &definition.node;
        let name = &definition.name.node;
        let default = definition.default_value.as_ref().map(|default| &default.node);
        match (variables.get(name), default) {
            (Some(value), _) => kinds::check(value, &definition.var_type.node)
                .map_err(|mismatch| refusal(document, chosen, definition, value, &mismatch))?,
            (None, Some(default)) => {
                variables.insert(name.clone(), default.clone());
            }
            (None, None) if definition.var_type.node.nullable => {
                absent.insert(name.clone());
            }
            (None, None) => return Err(missing(document, chosen, definition)),
        }
    }
    if !absent.is_empty() {
        absent::leave_out(document, operation, &absent);
    }
    Ok(())
}

/// Of a variable without a value, or with the value `null`, that must have another.
fn missing(
    document: &ExecutableDocument,
    operation: &OperationDefinition,
    definition: &VariableDefinition,
) -> Error {
    let (name, kind) = (&definition.name.node, &definition.var_type.node);
    let message =
        format!("the variable \"${name}\" of the type \"{kind}\" has no value: send one in 'variables'");
    Error::bad_input(field(document, operation, name), message)
}

fn refusal(
    document: &ExecutableDocument,
    operation: &OperationDefinition,
    definition: &VariableDefinition,
    value: &Value,
    mismatch: &Mismatch,
) -> Error {
    if *value == Value::Null {
        return missing(document, operation, definition);
    }
    let name = &definition.name.node;
    let at = mismatch.within(name);
    let field = mismatch.within(&field(document, operation, name));
    let message = format!("the variable \"${at}\" must hold {}: correct it in 'variables'", mismatch.wanted);
    Error::new(ErrorCode::BadUserInput, message).at_field(field)
}

/// The argument that a variable is given to, as the document has it, or where it stands in the request if there is none.
fn field(document: &ExecutableDocument, operation: &OperationDefinition, name: &Name) -> String {
    place::of(document, operation, name).unwrap_or_else(|| format!("variables.{name}"))
}

#[cfg(test)]
mod tests;
