//! A configuration without its secrets: what the plugin's JSON Schema marks as `writeOnly` is left out.

use serde_json::{Map, Value};

/// Deepest nesting that is looked into; below it nothing is shown.
const MAX_DEPTH: u32 = 16;

/// What may be shown of a configuration. What the schema does not describe is left out as well.
pub fn without_secrets(config: &Value, schema: &Value) -> Value {
    reduce(config, schema, schema, MAX_DEPTH).unwrap_or(Value::Null)
}

/// `None`: not to be shown.
fn reduce(value: &Value, schema: &Value, root: &Value, depth: u32) -> Option<Value> {
    let depth = depth.checked_sub(1)?;
    let branches = branches(schema, root, depth);
    // of several descriptions any one can say that it is secret
    if branches.iter().any(|branch| branch["writeOnly"] == Value::Bool(true)) {
        return None;
    }
    match value {
        Value::Object(fields) => {
            let mut shown = Map::new();
            for (key, value) in fields {
                let described: Vec<&Value> = branches
                    .iter()
                    .filter_map(|branch| branch["properties"].get(key).or_else(|| additional(branch)))
                    .collect();
                let kept: Vec<_> =
                    described.iter().map(|schema| reduce(value, schema, root, depth)).collect();
                // shown only if no description of it hides it
                if let Some(Some(first)) = kept.first()
                    && kept.iter().all(Option::is_some)
                {
                    shown.insert(key.clone(), first.clone());
                }
            }
            Some(Value::Object(shown))
        }
        Value::Array(items) => {
            let schema = branches.iter().find_map(|branch| branch.get("items"))?;
            items
                .iter()
                .map(|item| reduce(item, schema, root, depth))
                .collect::<Option<Vec<_>>>()
                .map(Value::Array)
        }
        plain => Some(plain.clone()),
    }
}

fn additional(branch: &Value) -> Option<&Value> {
    branch.get("additionalProperties").filter(|schema| schema.is_object())
}

/// A schema and all that it refers to or is made up of.
fn branches<'s>(schema: &'s Value, root: &'s Value, depth: u32) -> Vec<&'s Value> {
    let mut found = vec![schema];
    let Some(depth) = depth.checked_sub(1) else { return found };
    if let Some(target) = schema["$ref"].as_str().and_then(|text| root.pointer(text.strip_prefix('#')?)) {
        found.extend(branches(target, root, depth));
    }
    for key in ["anyOf", "oneOf", "allOf"] {
        for part in schema[key].as_array().into_iter().flatten() {
            found.extend(branches(part, root, depth));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_write_only_is_left_out_wherever_it_stands() {
        let schema = json!({
            "properties": {
                "host": { "type": "string" },
                "password": { "type": "string", "writeOnly": true },
                "token": { "anyOf": [{ "type": "string", "writeOnly": true }, { "type": "null" }] },
                "nodes": { "type": "array", "items": { "$ref": "#/$defs/Node" } },
                "keys": { "type": "array", "items": { "type": "string", "writeOnly": true } },
                "labels": { "type": "object", "additionalProperties": { "type": "string" } }
            },
            "$defs": { "Node": { "properties": { "host": {}, "key": { "writeOnly": true } } } }
        });
        let config = json!({
            "host": "a", "password": "p", "token": "t", "undescribed": "u",
            "nodes": [{ "host": "b", "key": "k" }], "keys": ["s"], "labels": { "x": "y" }
        });
        assert_eq!(
            without_secrets(&config, &schema),
            json!({ "host": "a", "nodes": [{ "host": "b" }], "labels": { "x": "y" } })
        );
    }

    #[test]
    fn one_description_that_hides_is_enough_and_loops_end() {
        let schema = json!({
            "oneOf": [
                { "properties": { "key": { "type": "string" } } },
                { "properties": { "key": { "type": "string", "writeOnly": true } } }
            ],
            "allOf": [{ "$ref": "#" }]
        });
        assert_eq!(without_secrets(&json!({ "key": "k" }), &schema), json!({}));
    }
}
