//! Nulls where fields failed, as the specification wants them.
//!
//! async-graphql 7 leaves a failed field out of the answer, whatever its type, and an object of which all fields failed
//! is null. The specification has the failed field null, and where it may not be null, the nearest thing around it that
//! may be ("Handling Execution Errors"). Typed clients rely on that, so the answer is mended here; an answer without
//! errors costs nothing.

use super::definitions::{chosen, composite, innermost, root};
use async_graphql::indexmap::IndexMap;
use async_graphql::parser::types::{BaseType, ExecutableDocument, Selection, SelectionSet, Type};
use async_graphql::{Name, PathSegment, Positioned, Response, Value};

/// Puts nulls where the errors of `response` say that fields failed. `operation` names the operation that ran.
pub fn complete(document: &ExecutableDocument, operation: Option<&str>, response: &mut Response) {
    if response.errors.is_empty() {
        return;
    }
    let Some(operation) = chosen(document, operation) else { return };
    let root = root(operation.ty);
    let mut spreading = Vec::new();
    for error in &response.errors {
        match nullable_steps(document, root, &operation.selection_set.node, &error.path) {
            Some(nullable) if nullable.last() == Some(&true) => fail(&mut response.data, &error.path),
            Some(nullable) => spreading.push((nullable.iter().rposition(|nullable| *nullable), &error.path)),
            None => {}
        }
    }
    // afterwards, since what these take away stays away
    for (nullable, path) in spreading {
        match nullable.and_then(|last| find(&mut response.data, &path[..=last])) {
            Some(value) => *value = Value::Null,
            None if nullable.is_none() => response.data = Value::Null,
            None => {}
        }
    }
}

/// Whether what each step of a path leads to may be null. `None` for a path that the schema does not know, or without a
/// step.
fn nullable_steps(
    document: &ExecutableDocument,
    root: &str,
    selection: &SelectionSet,
    path: &[PathSegment],
) -> Option<Vec<bool>> {
    let mut steps = Vec::with_capacity(path.len());
    let mut sets: Vec<(&str, &SelectionSet)> = vec![(root, selection)];
    let mut here: Option<&Type> = None;
    for segment in path {
        let kind = match segment {
            PathSegment::Index(_) => match &here?.base {
                BaseType::List(item) => &**item,
                BaseType::Named(_) => return None,
            },
            PathSegment::Field(key) => {
                let mut below = Vec::new();
                let mut found = None;
                for (parent, set) in sets {
                    collect(document, parent, set, key, &mut found, &mut below);
                }
                let kind = found?;
                let name = innermost(kind);
                sets = below.into_iter().map(|set| (name, set)).collect();
                kind
            }
        };
        steps.push(kind.nullable);
        here = Some(kind);
    }
    (!steps.is_empty()).then_some(steps)
}

/// The fields of a selection that answer under `key`: their type, and what is selected below them.
fn collect<'a>(
    document: &'a ExecutableDocument,
    parent: &str,
    set: &'a SelectionSet,
    key: &str,
    found: &mut Option<&'static Type>,
    below: &mut Vec<&'a SelectionSet>,
) {
    for item in &set.items {
        match &item.node {
            Selection::Field(field) if field.node.response_key().node == key => {
                let defined = composite(parent).and_then(|parent| parent.field(&field.node.name.node));
                *found = found.or(defined.map(|field| field.kind));
                below.push(&field.node.selection_set.node);
            }
            Selection::Field(_) => {}
            Selection::InlineFragment(fragment) => {
                let on = fragment.node.type_condition.as_ref().map(condition);
                collect(document, on.unwrap_or(parent), &fragment.node.selection_set.node, key, found, below);
            }
            Selection::FragmentSpread(spread) => {
                if let Some(fragment) = document.fragments.get(&spread.node.fragment_name.node) {
                    let on = condition(&fragment.node.type_condition);
                    collect(document, on, &fragment.node.selection_set.node, key, found, below);
                }
            }
        }
    }
}

fn condition(condition: &Positioned<async_graphql::parser::types::TypeCondition>) -> &str {
    condition.node.on.node.as_str()
}

fn find<'a>(data: &'a mut Value, path: &[PathSegment]) -> Option<&'a mut Value> {
    path.iter().try_fold(data, |here, segment| match (segment, here) {
        (PathSegment::Field(key), Value::Object(fields)) => fields.get_mut(key.as_str()),
        (PathSegment::Index(index), Value::List(items)) => items.get_mut(*index),
        _ => None,
    })
}

/// Puts the null of a failed field into its object. There was an object, even if async-graphql dropped it for having no
/// other field: only an object that is there has fields that fail.
fn fail(data: &mut Value, path: &[PathSegment]) {
    let mut here = data;
    for segment in path {
        here = match segment {
            PathSegment::Field(key) => {
                if *here == Value::Null {
                    *here = Value::Object(IndexMap::new());
                }
                let Value::Object(fields) = here else { return };
                fields.entry(Name::new(key)).or_insert(Value::Null)
            }
            PathSegment::Index(index) => match here {
                Value::List(items) if *index < items.len() => &mut items[*index],
                _ => return,
            },
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_graphql::parser::parse_query;
    use async_graphql::{ServerError, value};

    fn completed(query: &str, data: Value, path: Vec<PathSegment>) -> Value {
        let mut error = ServerError::new("failed", None);
        error.path = path;
        let mut response = Response::new(data);
        response.errors.push(error);
        complete(&parse_query(query).unwrap(), None, &mut response);
        response.data
    }

    fn path(steps: &[&str]) -> Vec<PathSegment> {
        steps
            .iter()
            .map(|step| {
                step.parse().map_or_else(|_| PathSegment::Field((*step).to_owned()), PathSegment::Index)
            })
            .collect()
    }

    #[test]
    fn the_nearest_thing_that_may_be_null_is() {
        let query = r#"{ a: secret(path: "a") { id value: data ... on Node { ...V } } sealStatus { sealed } }
            fragment V on Secret { versions { nodes { version } } }"#;
        let data = value!({ "a": { "id": "secret:1" }, "sealStatus": { "sealed": false } });
        assert_eq!(
            completed(query, data.clone(), path(&["a", "value"])),
            value!({ "a": { "id": "secret:1", "value": null }, "sealStatus": { "sealed": false } })
        );
        assert_eq!(
            completed(query, data.clone(), path(&["a", "versions"])),
            value!({ "a": null, "sealStatus": { "sealed": false } })
        );
        assert_eq!(completed(query, data.clone(), path(&["sealStatus"])), Value::Null);
        assert_eq!(completed(query, data.clone(), path(&["unheard"])), data);
    }

    #[test]
    fn an_object_without_any_field_left_is_still_there() {
        let query = r#"{ secret(path: "a") { data } }"#;
        let data = value!({ "secret": null });
        assert_eq!(completed(query, data, path(&["secret", "data"])), value!({ "secret": { "data": null } }));
        assert_eq!(completed(query, Value::Null, path(&["secret"])), value!({ "secret": null }));
        assert_eq!(completed(query, Value::Null, Vec::new()), Value::Null);
    }

    #[test]
    fn an_item_of_a_list_takes_the_list_with_it() {
        let query = "{ me { displayName } secrets { nodes { id data versions { nodes { version } } } } }";
        let data = value!({ "me": { "displayName": "x" }, "secrets": { "nodes": [{ "id": "secret:1" }] } });
        assert_eq!(
            completed(query, data.clone(), path(&["secrets", "nodes", "0", "data"])),
            value!({ "me": { "displayName": "x" }, "secrets": { "nodes": [{ "id": "secret:1", "data": null }] } })
        );
        assert_eq!(completed(query, data, path(&["secrets", "nodes", "0", "versions"])), Value::Null);
    }
}
