//! Fields in the order of the request.
//!
//! async-graphql 7 puts fields into the answer in the order in which they were resolved. The specification wants the order
//! in which they were asked for ("Response Map"), and people who read answers expect it. On the way the marks of [`presence`] go.

use super::definitions::chosen;
use super::presence;
use async_graphql::indexmap::IndexMap;
use async_graphql::parser::types::{ExecutableDocument, Selection, SelectionSet};
use async_graphql::{Name, Response, Value};

/// Puts the fields of `response` into the order of the operation that ran, at every level.
pub fn arrange(document: &ExecutableDocument, operation: Option<&str>, response: &mut Response) {
    if let Some(operation) = chosen(document, operation) {
        sort(document, &[&operation.selection_set.node], &mut response.data);
    }
}

/// A field of the answer, and what was selected below it (in several places, if it was asked for several times).
type Fields<'a> = IndexMap<&'a Name, Vec<&'a SelectionSet>>;

fn sort(document: &ExecutableDocument, sets: &[&SelectionSet], value: &mut Value) {
    // a scalar may be an object too, with an order of its own
    if sets.iter().all(|set| set.items.is_empty()) {
        return;
    }
    match value {
        Value::Object(_) | Value::List(_) => {
            let mut fields = Fields::new();
            for set in sets {
                collect(document, set, &mut fields);
            }
            sort_by(document, &fields, value);
        }
        _ => {}
    }
}

fn sort_by(document: &ExecutableDocument, fields: &Fields<'_>, value: &mut Value) {
    match value {
        Value::Object(map) => {
            let place = |name: &Name| fields.get_index_of(name).unwrap_or(usize::MAX);
            if !map.keys().is_sorted_by_key(place) {
                map.sort_by_cached_key(|name, _| place(name));
            }
            presence::unmark(map);
            for (name, value) in map.iter_mut() {
                if let Some(sets) = fields.get(name) {
                    sort(document, sets, value);
                }
            }
        }
        Value::List(items) => {
            for item in items {
                sort_by(document, fields, item);
            }
        }
        _ => {}
    }
}

/// The response keys of a selection set in order; the guard has seen to it that fragments end.
fn collect<'a>(document: &'a ExecutableDocument, set: &'a SelectionSet, fields: &mut Fields<'a>) {
    for selection in &set.items {
        match &selection.node {
            Selection::Field(field) => {
                let name = &field.node.response_key().node;
                fields.entry(name).or_default().push(&field.node.selection_set.node);
            }
            Selection::InlineFragment(inline) => collect(document, &inline.node.selection_set.node, fields),
            Selection::FragmentSpread(spread) => {
                if let Some(fragment) = document.fragments.get(&spread.node.fragment_name.node) {
                    collect(document, &fragment.node.selection_set.node, fields);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_graphql::parser::parse_query;

    #[test]
    fn every_level_is_put_in_order_but_scalars_are_left_alone() {
        let document = parse_query(
            "query Q { b: x { ...F k ... on T { j } } a list { two one } json } fragment F on T { z y } query R { a b }",
        )
        .unwrap();
        let data = serde_json::json!({
            "json": { "q": 1, "p": 2 },
            "list": [{ "one": 1, "two": 2 }, null, { "two": 2, "one": 1 }],
            "a": 1,
            "b": { "j": 1, "k": 2, "y": 3, "z": 4 },
        });
        let mut response = Response::new(Value::from_json(data).unwrap());
        let json = serde_json::to_string(&response.data).unwrap();
        assert!(json.starts_with(r#"{"a":1"#), "the input is out of order: {json}");
        let scalar = json.split(r#""json":"#).nth(1).unwrap().split('}').next().unwrap().to_owned();
        arrange(&document, Some("Q"), &mut response);
        let json = serde_json::to_string(&response.data).unwrap();
        assert!(json.starts_with(r#"{"b":{"z":4,"y":3,"k":2,"j":1},"a":1,"list":[{"two":2,"one":1},null,{"two":2,"one":1}],"json":"#), "{json}");
        assert!(json.contains(&scalar), "{json}");
    }
}
