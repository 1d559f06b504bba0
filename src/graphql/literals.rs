//! Whether a document has literals in it. Those of a mutation may be a secret's value, so such a document is not kept.

use async_graphql::Positioned;
use async_graphql::parser::types::{Directive, ExecutableDocument, Selection, SelectionSet};
use async_graphql_value::Value;

/// Whether any argument or default holds something other than variables and nulls. An input object of those is fine; one
/// within another is not, since in JSON the keys are the client's own, and neither are enum values, which pass for texts there.
pub fn present(document: &ExecutableDocument) -> bool {
    let in_operations = document.operations.iter().any(|(_, operation)| {
        let operation = &operation.node;
        operation.variable_definitions.iter().any(|definition| {
            definition.node.default_value.is_some() || in_directives(&definition.node.directives)
        }) || in_directives(&operation.directives)
            || in_set(&operation.selection_set.node)
    });
    in_operations
        || document.fragments.values().any(|fragment| {
            in_directives(&fragment.node.directives) || in_set(&fragment.node.selection_set.node)
        })
}

/// Nesting is bounded by the scan before the parser; fragments are looked at once each, not where they are spread.
fn in_set(set: &SelectionSet) -> bool {
    set.items.iter().any(|selection| match &selection.node {
        Selection::Field(field) => {
            let field = &field.node;
            field.arguments.iter().any(|(_, value)| literal(&value.node))
                || in_directives(&field.directives)
                || in_set(&field.selection_set.node)
        }
        Selection::FragmentSpread(spread) => in_directives(&spread.node.directives),
        Selection::InlineFragment(inline) => {
            in_directives(&inline.node.directives) || in_set(&inline.node.selection_set.node)
        }
    })
}

fn in_directives(directives: &[Positioned<Directive>]) -> bool {
    directives.iter().any(|directive| directive.node.arguments.iter().any(|(_, value)| literal(&value.node)))
}

fn literal(value: &Value) -> bool {
    let nothing = |value: &Value| matches!(value, Value::Variable(_) | Value::Null);
    match value {
        Value::Object(fields) => !fields.values().all(nothing),
        value => !nothing(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_graphql::parser::parse_query;

    #[test]
    fn only_variables_and_nulls_pass() {
        for text in [
            "mutation { a }",
            "mutation ($i: I!) { a(input: $i) { b(x: null) ...F } } fragment F on T { c(x: $i) @include(if: $i) }",
            "mutation ($p: P!, $d: JSON) { a(input: {path: $p, data: $d, cas: null}) { b } }",
        ] {
            assert!(!present(&parse_query(text).unwrap()), "{text}");
        }
        for text in [
            "mutation { a(x: \"s\") }",
            "mutation { a(x: 1) }",
            "mutation { a(x: true) }",
            "mutation { a(x: ENUM) }",
            "mutation { a(x: [$y]) }",
            "mutation { a(input: {pin: 1234}) }",
            "mutation { a(input: {data: {s3cret: $y}}) }",
            "mutation { a(input: {data: s3cret}) }",
            "mutation ($x: JSON = {pin: 1}) { a(x: $x) }",
            "mutation { a { b @include(if: true) } }",
            "mutation { a { ... on T { b(x: 1) } } }",
            "mutation { a { ...F } } fragment F on T { b(x: 1) }",
            "query A { a } mutation B { b(x: 1) }",
        ] {
            assert!(present(&parse_query(text).unwrap()), "{text}");
        }
    }
}
