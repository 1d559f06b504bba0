//! The root of a subscription: one field and nothing else.
//!
//! The specification wants exactly one ("Single Root Field"). async-graphql would run several side by side, would pass over fragments
//! without a word, and would not heed `@skip` there.

use super::definitions::operations_mut;
use crate::error::{Error, ErrorCode, Result};
use async_graphql::parser::types::{ExecutableDocument, OperationDefinition, OperationType, Selection};

/// Checks every subscription of a document, and takes inline fragments around its field away.
///
/// # Errors
/// `BAD_USER_INPUT` saying what the root of a subscription looks like.
pub fn settle(document: &mut ExecutableDocument) -> Result<()> {
    for operation in operations_mut(document) {
        if operation.ty == OperationType::Subscription {
            settle_one(operation)?;
        }
    }
    Ok(())
}

fn settle_one(operation: &mut OperationDefinition) -> Result<()> {
    // the scan before the parser bounds the nesting
    loop {
        let set = &mut operation.selection_set.node;
        let [selection] = set.items.as_slice() else { return Err(refusal()) };
        match &selection.node {
            Selection::Field(field) => {
                let plain = field.node.directives.is_empty() && !field.node.name.node.starts_with("__");
                return if plain { Ok(()) } else { Err(refusal()) };
            }
            Selection::InlineFragment(inline) if inline.node.directives.is_empty() => {
                let on = inline.node.type_condition.as_ref().map(|on| on.node.on.node.as_str());
                if on.is_some_and(|on| on != "Subscription") {
                    return Err(refusal());
                }
                let inner = inline.node.selection_set.clone();
                operation.selection_set = inner;
            }
            _ => return Err(refusal()),
        }
    }
}

fn refusal() -> Error {
    let message = "a subscription has exactly one field at its root, written there itself and without directives: \
                   send one request for each";
    Error::new(ErrorCode::BadUserInput, message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_graphql::parser::parse_query;

    #[test]
    fn one_field_and_nothing_else() {
        for text in [
            "subscription { a }",
            "subscription { x: a(b: 1) { c d } }",
            "subscription { ... { ... on Subscription { a } } }",
            "query Q { a b } subscription S { a }",
            "{ a b }",
        ] {
            assert!(settle(&mut parse_query(text).unwrap()).is_ok(), "{text}");
        }
        for text in [
            "subscription { a b }",
            "subscription { a a }",
            "subscription { __typename }",
            "subscription { a @skip(if: true) }",
            "subscription { ... @include(if: true) { a } }",
            "subscription { ... { a b } }",
            "subscription { ... on Query { a } }",
            "subscription { ...F } fragment F on Subscription { a }",
            "query Q { a b } subscription S { a b }",
        ] {
            let error = settle(&mut parse_query(text).unwrap()).unwrap_err();
            assert_eq!(error.code(), ErrorCode::BadUserInput, "{text}");
        }
    }

    #[test]
    fn the_field_comes_out_of_its_fragments() {
        let mut document = parse_query("subscription { ... { ... on Subscription { a } } }").unwrap();
        settle(&mut document).unwrap();
        let (_, operation) = document.operations.iter().next().unwrap();
        assert!(matches!(operation.node.selection_set.node.items[0].node, Selection::Field(_)));
    }
}
