//! What the text of the schema defines, and where in a document an operation stands.

use super::sdl;
use async_graphql::Positioned;
use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    DocumentOperations, ExecutableDocument, OperationDefinition, TypeDefinition, TypeSystemDefinition,
};
use std::sync::LazyLock;

/// The text is made by this program, and a test parses it.
static TYPES: LazyLock<Vec<TypeDefinition>> = LazyLock::new(|| {
    let definitions = parse_schema(sdl()).map(|schema| schema.definitions).unwrap_or_default();
    let types = definitions.into_iter().filter_map(|definition| match definition {
        TypeSystemDefinition::Type(definition) => Some(definition.node),
        _ => None,
    });
    types.collect()
});

/// Every type of the schema, without the built-in scalars.
pub fn defined_types() -> &'static [TypeDefinition] {
    &TYPES
}

/// The operation of a document that runs: the one of this name, or without a name the first.
pub fn chosen<'a>(document: &'a ExecutableDocument, name: Option<&str>) -> Option<&'a OperationDefinition> {
    let operation = match (&document.operations, name) {
        (DocumentOperations::Single(operation), _) => operation,
        (DocumentOperations::Multiple(all), Some(name)) => all.get(name)?,
        (DocumentOperations::Multiple(all), None) => all.values().next()?,
    };
    Some(&operation.node)
}

/// All operations of a document, to be changed.
pub fn operations_mut(document: &mut ExecutableDocument) -> Vec<&mut OperationDefinition> {
    let operations: Vec<&mut Positioned<OperationDefinition>> = match &mut document.operations {
        DocumentOperations::Single(operation) => vec![operation],
        DocumentOperations::Multiple(all) => all.values_mut().collect(),
    };
    operations.into_iter().map(|operation| &mut operation.node).collect()
}
