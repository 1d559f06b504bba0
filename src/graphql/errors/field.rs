//! Which field async-graphql's own refusals are about.
//!
//! It says so in words only. Its validation names the argument and the way into it; its coercion names just the types, from
//! the inside out, which lead to a field where the schema has one of that type.

use crate::graphql::definitions::{defined_types, innermost};
use async_graphql::parser::types::{InputValueDefinition, TypeKind};
use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

/// Of the type of an argument or input field, by name.
type Named = Vec<(&'static str, &'static str)>;

struct Inputs {
    /// All arguments of all fields.
    arguments: Named,
    /// Of every input type its fields.
    objects: HashMap<&'static str, Named>,
}

static INPUTS: LazyLock<Inputs> = LazyLock::new(|| {
    let mut inputs = Inputs { arguments: Vec::new(), objects: HashMap::new() };
    for definition in defined_types() {
        match &definition.kind {
            TypeKind::Object(object) => {
                let arguments = object.fields.iter().flat_map(|field| &field.node.arguments);
                inputs.arguments.extend(arguments.map(|argument| named(&argument.node)));
            }
            TypeKind::InputObject(input) => {
                let fields = input.fields.iter().map(|field| named(&field.node)).collect();
                inputs.objects.insert(&definition.name.node, fields);
            }
            _ => {}
        }
    }
    inputs
});

fn named(input: &'static InputValueDefinition) -> (&'static str, &'static str) {
    (&input.name.node, innermost(&input.ty.node))
}

/// The field that a message of async-graphql is about, as the client wrote it (`input.policies[0]`); `None` if the message
/// does not tell. For a coercion it may be the object around the field.
pub(super) fn of(message: &str) -> Option<String> {
    if let Some(rest) = message.strip_prefix("Invalid value for argument \"") {
        let (path, reason) = rest.split_once("\", ")?;
        let inner = ["field \"", "unknown field \""].iter().find_map(|start| quoted(reason, start));
        return Some(written(path.split('.').chain(inner)));
    }
    if let Some(argument) = quoted(message, "Unknown argument \"") {
        return message.contains("\" on field \"").then(|| argument.to_owned());
    }
    if message.starts_with("Field \"") {
        let (_, rest) = message.split_once("\" argument \"")?;
        return quoted(rest, "").map(str::to_owned);
    }
    let mut types = types(message)?.into_iter();
    let mut kind = types.next()?;
    let mut path = vec![only(&INPUTS.arguments, kind)?];
    for inner in types.filter(|inner| *inner != kind).collect::<Vec<_>>() {
        let Some(field) = INPUTS.objects.get(kind).and_then(|fields| only(fields, inner)) else { break };
        path.push(field);
        kind = inner;
    }
    Some(path.join("."))
}

fn quoted<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    text.strip_prefix(start)?.split_once('"').map(|(name, _)| name)
}

/// `input.policies.0` as `input.policies[0]`.
fn written<'a>(segments: impl Iterator<Item = &'a str>) -> String {
    segments.fold(String::new(), |mut path, segment| {
        if segment.bytes().all(|byte| byte.is_ascii_digit()) {
            path.push('[');
            path.push_str(segment);
            path.push(']');
        } else {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(segment);
        }
        path
    })
}

/// The types that a failed coercion went through, from the argument inwards. The value stands before them in the text, so
/// they are read from its end.
fn types(message: &str) -> Option<Vec<&str>> {
    let innermost =
        quoted(message, "Expected input type \"").or_else(|| quoted(message, "Failed to parse \""))?;
    let (mut types, mut rest) = (Vec::new(), message);
    while let Some((before, kind)) =
        rest.strip_suffix("\")").and_then(|text| text.rsplit_once(" (occurred while parsing \""))
    {
        types.push(kind);
        rest = before;
    }
    types.push(innermost);
    Some(types.into_iter().map(|kind| kind.trim_matches(['[', ']', '!'])).collect())
}

/// The name that all of this type have, if it is one.
fn only(inputs: &Named, kind: &str) -> Option<&'static str> {
    let names: BTreeSet<&str> =
        inputs.iter().filter(|(_, its)| *its == kind).map(|(name, _)| *name).collect();
    if names.len() == 1 { names.into_iter().next() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graphql::{SchemaOptions, schema};
    use async_graphql::{Request, Variables};
    use serde_json::{Value, json};

    /// What the schema itself says to this, without a node behind it.
    async fn field(query: &str, variables: Value) -> Option<String> {
        let request = Request::new(query).variables(Variables::from_json(variables));
        let response = schema(SchemaOptions::default()).execute(request).await;
        of(&response.errors[0].message)
    }

    const ROLE: &str = "mutation($input: RoleInput!) { createRole(input: $input) { role { name } } }";
    const SETTINGS: &str = "mutation($input: UpdateSecretSettingsInput!) { updateSecretSettings(input: $input) { secret { id } } }";
    const EXPLAIN: &str = "query($input: ExplainAccessInput!) { explainAccess(input: $input) { allowed } }";
    const SECRETS: &str = "query($first: Int, $search: String, $type: SecretType) \
        { secrets(first: $first, search: $search, type: $type) { nodes { id } } }";

    #[tokio::test]
    async fn values_of_the_wrong_kind_are_named() {
        let role = |key: &str, value: Value| json!({ "input": { "name": "r", key: value } });
        for (query, variables, named) in [
            (ROLE, role("ttlSeconds", json!("long")), "input.ttlSeconds"),
            (ROLE, role("ttlSeconds", json!(1.5)), "input.ttlSeconds"),
            (ROLE, role("enabled", json!("yes")), "input.enabled"),
            (ROLE, role("description", json!(["x"])), "input.description"),
            (ROLE, role("policies", json!(["a", 7])), "input.policies[1]"),
            (ROLE, role("policies", json!([null])), "input.policies[0]"),
            (ROLE, role("name", Value::Null), "input.name"),
            (ROLE, role("surprise", json!(1)), "input.surprise"),
            (ROLE, json!({ "input": {} }), "input.name"),
            (ROLE, json!({ "input": null }), "input"),
            (ROLE, json!({ "input": "x (occurred while parsing \"AuditFilter\")" }), "input"),
            (ROLE, role("ttlSeconds", json!(1_u64 << 40)), "input"),
            (SETTINGS, json!({ "input": { "path": "a", "rotation": 7 } }), "input.rotation"),
            (EXPLAIN, json!({ "input": { "as": {} } }), "input.as"),
            (EXPLAIN, json!({ "input": { "as": [7] } }), "input.as"),
            (EXPLAIN, json!({ "input": { "operation": 7 } }), "input.operation"),
            (SECRETS, json!({ "first": "x" }), "first"),
            (SECRETS, json!({ "search": 7 }), "search"),
            (SECRETS, json!({ "type": "MOON" }), "type"),
        ] {
            assert_eq!(field(query, variables.clone()).await.as_deref(), Some(named), "{variables}");
        }
    }

    #[tokio::test]
    async fn arguments_in_the_document_are_named_too() {
        for (query, named) in [
            ("{ secret { id } }", Some("path")),
            ("{ secret(path: null) { id } }", Some("path")),
            ("{ secret(path: \"a\", depth: 1) { id } }", Some("depth")),
            ("{ auditEvents(filter: 7) { nodes { id } } }", Some("filter")),
            (
                "{ auditEvents(filter: { accessGranted: \"x\" }) { nodes { id } } }",
                Some("filter.accessGranted"),
            ),
            ("{ surprise }", None),
            ("query($p: Int) { secrets(search: $p) { nodes { id } } }", None),
        ] {
            assert_eq!(field(query, json!({})).await.as_deref(), named, "{query}");
        }
    }
}
