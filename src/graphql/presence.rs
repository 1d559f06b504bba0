//! Objects that are there although nothing of them is asked for.
//!
//! async-graphql 7 answers `null` for an object without a field: when `@skip` and `@include` leave none, or no fragment is of its type.
//! The specification has `{}` there, and `null` of a field such as `secret` says that there is none. So a field that is always there is
//! put into every selection that may come to nothing, under a name that no client can write, and taken out of the answer again.

use super::definitions::operations_mut;
use async_graphql::indexmap::IndexMap;
use async_graphql::parser::types::{ExecutableDocument, Field, OperationType, Selection, SelectionSet};
use async_graphql::{Name, Pos, Positioned, Value};

/// The name in the answer.
const MARK: &str = " ";

/// Puts the mark where it is needed. The root of a subscription needs none: its field has no directives.
pub fn mark(document: &mut ExecutableDocument) {
    for operation in operations_mut(document) {
        let object = operation.ty != OperationType::Subscription;
        mark_set(&mut operation.selection_set.node, object);
    }
    for fragment in document.fragments.values_mut() {
        mark_set(&mut fragment.node.selection_set.node, false);
    }
}

/// `object`: whether the set is all of what is asked of an object, and no fragment. The scan before the parser bounds the nesting.
fn mark_set(set: &mut SelectionSet, object: bool) {
    let mut certain = false;
    for selection in &mut set.items {
        match &mut selection.node {
            Selection::Field(field) => {
                certain |= field.node.directives.is_empty();
                mark_set(&mut field.node.selection_set.node, true);
            }
            Selection::InlineFragment(inline) => mark_set(&mut inline.node.selection_set.node, false),
            Selection::FragmentSpread(_) => {}
        }
    }
    if object && !certain && !set.items.is_empty() {
        set.items.push(at_nowhere(Selection::Field(at_nowhere(field()))));
    }
}

fn field() -> Field {
    Field {
        alias: Some(at_nowhere(Name::new(MARK))),
        name: at_nowhere(Name::new("__typename")),
        arguments: Vec::new(),
        directives: Vec::new(),
        selection_set: at_nowhere(SelectionSet::default()),
    }
}

fn at_nowhere<T>(node: T) -> Positioned<T> {
    Positioned::new(node, Pos::default())
}

/// Whether a field of a document is the mark.
pub fn is_mark(field: &Field) -> bool {
    field.alias.as_ref().is_some_and(|alias| alias.node == MARK)
}

/// Takes the mark out of an object of the answer.
pub fn unmark(object: &mut IndexMap<Name, Value>) {
    object.shift_remove(MARK);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graphql::order;
    use async_graphql::parser::parse_query;
    use async_graphql::{
        EmptyMutation, EmptySubscription, Object, Request, Schema, SimpleObject, Union, Variables,
    };
    use serde_json::json;

    #[derive(SimpleObject)]
    struct Cat {
        name: &'static str,
        json: async_graphql::Json<serde_json::Value>,
    }

    #[derive(SimpleObject)]
    struct Dog {
        bark: bool,
    }

    #[derive(Union)]
    enum Pet {
        Cat(Cat),
        Dog(Dog),
    }

    struct Query;

    fn one() -> Cat {
        Cat { name: "Minka", json: async_graphql::Json(json!({ " ": 1 })) }
    }

    #[Object]
    impl Query {
        async fn cat(&self, there: bool) -> Option<Cat> {
            there.then(one)
        }

        async fn pets(&self) -> Vec<Pet> {
            vec![Pet::Cat(one()), Pet::Dog(Dog { bark: true })]
        }
    }

    async fn answer(text: &str, variables: serde_json::Value) -> String {
        let mut document = parse_query(text).unwrap();
        mark(&mut document);
        let mut request = Request::new("").variables(Variables::from_json(variables));
        request.set_parsed_query(document.clone());
        let mut response = Schema::new(Query, EmptyMutation, EmptySubscription).execute(request).await;
        assert!(response.errors.is_empty(), "{text}: {:?}", response.errors);
        order::arrange(&document, None, &mut response);
        serde_json::to_string(&response.data).unwrap()
    }

    #[tokio::test]
    async fn nothing_of_an_object_is_an_object_and_no_null() {
        for (text, expected) in [
            ("{ cat(there: true) { name @skip(if: true) } }", r#"{"cat":{}}"#),
            ("{ cat(there: false) { name @skip(if: true) } }", r#"{"cat":null}"#),
            ("{ cat(there: true) @skip(if: true) { name } }", "{}"),
            ("{ ... @skip(if: true) { cat(there: true) { name } } }", "{}"),
            ("{ pets { ... on Cat { name } } }", r#"{"pets":[{"name":"Minka"},{}]}"#),
            ("{ pets { ...D } } fragment D on Dog { bark }", r#"{"pets":[{},{"bark":true}]}"#),
            (
                "{ ...Q } fragment Q on Query { cat(there: true) { ...C ... @include(if: false) { name } } } \
                 fragment C on Cat { json @include(if: false) }",
                r#"{"cat":{}}"#,
            ),
        ] {
            assert_eq!(answer(text, json!({})).await, expected, "{text}");
        }
    }

    #[tokio::test]
    async fn what_is_asked_for_comes_as_it_was_asked() {
        let text = "query($n: Boolean!) { cat(there: true) { json @include(if: $n) ... { name } } }";
        assert_eq!(
            answer(text, json!({ "n": true })).await,
            r#"{"cat":{"json":{" ":1},"name":"Minka"}}"#,
            "an object within a value is not looked at"
        );
        assert_eq!(answer(text, json!({ "n": false })).await, r#"{"cat":{"name":"Minka"}}"#);
    }

    #[test]
    fn what_has_a_certain_field_is_left_alone() {
        for text in
            ["{ a { b } }", "{ a ... @skip(if: true) { b } }", "subscription { a { b c @skip(if: true) } }"]
        {
            let mut document = parse_query(text).unwrap();
            let before = format!("{document:?}");
            mark(&mut document);
            assert_eq!(format!("{document:?}"), before, "{text}");
        }
    }
}
