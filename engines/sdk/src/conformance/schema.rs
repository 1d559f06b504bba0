//! Where a text is in a configuration, and what the schema says of that place.

use serde_json::Value;

/// A place within a configuration: names of fields and numbers of elements.
pub type Place = Vec<String>;

/// Every place whose text contains this one.
pub fn places_of(json: &Value, text: &str) -> Vec<Place> {
    let mut found = Vec::new();
    let mut left = vec![(Vec::new(), json)];
    while let Some((place, value)) = left.pop() {
        let mut inner = |name: String, value| {
            let mut place: Place = place.clone();
            place.push(name);
            left.push((place, value));
        };
        match value {
            Value::String(here) if here.contains(text) => found.push(place),
            Value::Object(fields) => fields.iter().for_each(|(name, value)| inner(name.clone(), value)),
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(number, value)| inner(number.to_string(), value));
            }
            _ => {}
        }
    }
    found
}

/// Puts another text in the place of this one, wherever it is.
pub fn replace(json: &mut Value, text: &str, other: &str) {
    match json {
        Value::String(here) => *here = here.replace(text, other),
        Value::Object(fields) => fields.values_mut().for_each(|value| replace(value, text, other)),
        Value::Array(items) => items.iter_mut().for_each(|value| replace(value, text, other)),
        _ => {}
    }
}

/// Whether the schema marks this place, or one around it, as `writeOnly`.
pub fn is_write_only(root: &Value, place: &[String]) -> bool {
    let mut schemas = branches(root, root);
    for name in place {
        if schemas.iter().any(|schema| schema["writeOnly"] == true) {
            return true;
        }
        schemas = schemas.iter().flat_map(|schema| below(root, schema, name)).collect();
    }
    schemas.iter().any(|schema| schema["writeOnly"] == true)
}

/// A schema and all that it refers to or is composed of.
fn branches<'a>(root: &'a Value, schema: &'a Value) -> Vec<&'a Value> {
    let mut found: Vec<&'a Value> = Vec::new();
    let mut left = vec![schema];
    while let Some(schema) = left.pop() {
        if found.iter().any(|known| std::ptr::eq(*known, schema)) {
            continue;
        }
        found.push(schema);
        let target = schema["$ref"].as_str().and_then(|at| root.pointer(at.strip_prefix('#')?));
        left.extend(target);
        for key in ["anyOf", "oneOf", "allOf"] {
            left.extend(schema[key].as_array().into_iter().flatten());
        }
    }
    found
}

fn below<'a>(root: &'a Value, schema: &'a Value, name: &str) -> Vec<&'a Value> {
    let direct = [
        schema["properties"].get(name),
        schema.get("additionalProperties"),
        schema.get("items").filter(|_| name.parse::<usize>().is_ok()),
    ];
    direct.into_iter().flatten().flat_map(|schema| branches(root, schema)).collect()
}
