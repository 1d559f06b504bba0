//! The types of introspection, which are written down here a second time.

use super::{SchemaOptions, schema};
use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{InputValueDefinition, TypeKind, TypeSystemDefinition};
use serde_json::{Map, Value, json};
use std::fmt::Write;

/// The text of the types of introspection is what the schema says of them.
#[tokio::test]
async fn the_types_of_introspection_are_those_of_the_schema() {
    let written = parse_schema(include_str!("introspection.graphql")).unwrap();
    let of = "{ kind name ofType { kind name ofType { kind name ofType { kind name ofType { name } } } } }";
    let (mut text, mut expected) = (String::from("{"), Map::new());
    let input = |input: &InputValueDefinition| {
        let default = input.default_value.as_ref().map(|default| default.node.to_string());
        json!({ "name": input.name.node, "type": input.ty.node.to_string(), "defaultValue": default })
    };
    for definition in &written.definitions {
        let TypeSystemDefinition::Type(definition) = definition else { panic!() };
        let name = definition.node.name.node.as_str();
        if name == "__Meta" {
            continue;
        }
        write!(
            text,
            " {name}: __type(name: \"{name}\") {{ fields {{ name type {of} args {{ name defaultValue type {of} }} }} enumValues {{ name }} }}"
        )
        .unwrap();
        let (mut fields, mut values) = (Value::Null, Value::Null);
        match &definition.node.kind {
            TypeKind::Object(object) => {
                let all = object.fields.iter().map(|field| {
                    let arguments: Vec<_> = field.node.arguments.iter().map(|it| input(&it.node)).collect();
                    json!({ "name": field.node.name.node, "type": field.node.ty.node.to_string(), "args": arguments })
                });
                fields = all.collect();
            }
            TypeKind::Enum(kind) => {
                values = kind.values.iter().map(|it| json!({ "name": it.node.value.node })).collect();
            }
            other => panic!("{other:?}"),
        }
        expected.insert(name.to_owned(), json!({ "fields": fields, "enumValues": values }));
    }
    text.push('}');
    let answer = schema(SchemaOptions::default()).execute(text).await;
    assert!(answer.errors.is_empty(), "{:?}", answer.errors);
    let mut answer = serde_json::to_value(&answer.data).unwrap();
    write_types(&mut answer);
    assert_eq!(sorted(answer), sorted(expected.into()));
}

/// Lists of what has a name in the order of the names.
fn sorted(mut value: Value) -> Value {
    match &mut value {
        Value::Array(items) => {
            items.iter_mut().for_each(|item| *item = sorted(item.take()));
            items.sort_by_key(|item| item["name"].to_string());
        }
        Value::Object(fields) => {
            fields.values_mut().for_each(|field| *field = sorted(field.take()));
        }
        _ => {}
    }
    value
}

/// Types as the language writes them.
fn write_types(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(write_types),
        Value::Object(fields) => {
            for (name, field) in fields {
                if name == "type" { *field = written(field).into() } else { write_types(field) }
            }
        }
        _ => {}
    }
}

fn written(kind: &Value) -> String {
    match kind["kind"].as_str() {
        Some("NON_NULL") => format!("{}!", written(&kind["ofType"])),
        Some("LIST") => format!("[{}]", written(&kind["ofType"])),
        _ => kind["name"].as_str().unwrap_or_default().to_owned(),
    }
}
