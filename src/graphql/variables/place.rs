//! Where a variable is given to an argument.

use async_graphql::parser::types::{ExecutableDocument, OperationDefinition, Selection, SelectionSet};
use async_graphql::{Name, Positioned};
use async_graphql_value::Value;
use std::collections::HashSet;

/// The argument or the field of one that a variable stands for where it is used first, such as `input.path`. `None` if it is used in
/// directives alone.
pub fn of(document: &ExecutableDocument, operation: &OperationDefinition, variable: &Name) -> Option<String> {
    let mut seen = HashSet::new();
    in_set(document, &operation.selection_set.node, variable, &mut seen)
}

/// The measure has bounded how deep it goes.
fn in_set<'a>(
    document: &'a ExecutableDocument,
    set: &'a SelectionSet,
    variable: &Name,
    seen: &mut HashSet<&'a Name>,
) -> Option<String> {
    set.items.iter().find_map(|selection| match &selection.node {
        Selection::Field(field) => in_arguments(&field.node.arguments, variable)
            .or_else(|| in_set(document, &field.node.selection_set.node, variable, seen)),
        Selection::InlineFragment(inline) => {
            in_set(document, &inline.node.selection_set.node, variable, seen)
        }
        Selection::FragmentSpread(spread) => {
            let name = &spread.node.fragment_name.node;
            let fragment = document.fragments.get(name).filter(|_| seen.insert(name))?;
            in_set(document, &fragment.node.selection_set.node, variable, seen)
        }
    })
}

fn in_arguments(arguments: &[(Positioned<Name>, Positioned<Value>)], variable: &Name) -> Option<String> {
    arguments.iter().find_map(|(name, value)| {
        let inside = inside(&value.node, variable)?;
        Some(format!("{}{inside}", name.node))
    })
}

/// The way to a variable inside a value.
fn inside(value: &Value, variable: &Name) -> Option<String> {
    match value {
        Value::Variable(name) if name == variable => Some(String::new()),
        Value::List(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| Some(format!("[{index}]{}", inside(item, variable)?))),
        Value::Object(fields) => {
            fields.iter().find_map(|(name, value)| Some(format!(".{name}{}", inside(value, variable)?)))
        }
        _ => None,
    }
}
