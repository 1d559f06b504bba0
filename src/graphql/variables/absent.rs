//! What hangs on variables that have no value and no default is left out of the document, and with it the variables: an argument or a
//! field of an input that is not given is not `null`.

use super::super::definitions::operations_mut;
use async_graphql::parser::types::{
    Directive, DocumentOperations, ExecutableDocument, Selection, SelectionSet,
};
use async_graphql::{Name, Positioned};
use async_graphql_value::Value;
use std::collections::HashSet;

/// `operation` names the one that is to run. Others go too, since they may share fragments in which they need these variables.
pub fn leave_out(document: &mut ExecutableDocument, operation: Option<&str>, absent: &HashSet<Name>) {
    if let (DocumentOperations::Multiple(all), Some(name)) = (&mut document.operations, operation)
        && all.len() > 1
    {
        all.retain(|other, _| other.as_str() == name);
        let reached = reached(document);
        document.fragments.retain(|name, _| reached.contains(name));
    }
    for operation in operations_mut(document) {
        operation.variable_definitions.retain(|definition| !absent.contains(&definition.node.name.node));
        of_directives(&mut operation.directives, absent);
        of_set(&mut operation.selection_set.node, absent);
    }
    for fragment in document.fragments.values_mut() {
        of_set(&mut fragment.node.selection_set.node, absent);
    }
}

/// The fragments that the operations spread.
fn reached(document: &ExecutableDocument) -> HashSet<Name> {
    let mut reached = HashSet::new();
    let mut sets: Vec<&SelectionSet> =
        document.operations.iter().map(|(_, operation)| &operation.node.selection_set.node).collect();
    while let Some(set) = sets.pop() {
        for selection in &set.items {
            match &selection.node {
                Selection::Field(field) => sets.push(&field.node.selection_set.node),
                Selection::InlineFragment(inline) => sets.push(&inline.node.selection_set.node),
                Selection::FragmentSpread(spread) => {
                    let name = &spread.node.fragment_name.node;
                    if let Some(fragment) = document.fragments.get(name)
                        && reached.insert(name.clone())
                    {
                        sets.push(&fragment.node.selection_set.node);
                    }
                }
            }
        }
    }
    reached
}

/// The scan before the parser has bounded the nesting, of values as of sets.
fn of_set(set: &mut SelectionSet, absent: &HashSet<Name>) {
    for selection in &mut set.items {
        of_directives(selection.node.directives_mut(), absent);
        match &mut selection.node {
            Selection::Field(field) => {
                of_arguments(&mut field.node.arguments, absent);
                of_set(&mut field.node.selection_set.node, absent);
            }
            Selection::InlineFragment(inline) => of_set(&mut inline.node.selection_set.node, absent),
            Selection::FragmentSpread(_) => {}
        }
    }
}

fn of_directives(directives: &mut [Positioned<Directive>], absent: &HashSet<Name>) {
    directives.iter_mut().for_each(|directive| of_arguments(&mut directive.node.arguments, absent));
}

fn of_arguments(arguments: &mut Vec<(Positioned<Name>, Positioned<Value>)>, absent: &HashSet<Name>) {
    arguments.retain_mut(|(_, value)| stays(&mut value.node, absent));
}

/// Whether a value is there, and takes out of it what is not.
fn stays(value: &mut Value, absent: &HashSet<Name>) -> bool {
    match value {
        Value::Variable(name) => return !absent.contains(name),
        Value::Object(fields) => fields.retain(|_, value| stays(value, absent)),
        Value::List(items) => {
            for item in items {
                if !stays(item, absent) {
                    // the others keep their places
                    *item = Value::Null;
                }
            }
        }
        _ => {}
    }
    true
}
