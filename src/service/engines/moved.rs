//! Whether another configuration is about another target: then what was issued on the former one would be looked for in vain.

use serde_json::Value;

/// A field of the configuration that says which target it is, as the plugin's JSON Schema marks them with `x-target`, and that has
/// changed. A list may become longer: what it had is still reached.
pub fn moved(former: &Value, new: &Value, schema: &Value) -> Option<String> {
    let properties = schema["properties"].as_object()?;
    let mut marked = properties.iter().filter(|(_, described)| described["x-target"] == Value::Bool(true));
    let changed = marked.find(|(name, described)| {
        let of = |config: &Value| {
            config.get(*name).or_else(|| described.get("default")).cloned().unwrap_or(Value::Null)
        };
        match (of(former), of(new)) {
            (Value::Array(former), Value::Array(new)) => former.iter().any(|one| !new.contains(one)),
            (former, new) => former != new,
        }
    });
    changed.map(|(name, _)| name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_marked_and_changed_is_named() {
        let schema = json!({ "properties": {
            "host": { "x-target": true }, "port": { "x-target": true, "default": 1 },
            "nodes": { "x-target": true }, "password": { "writeOnly": true }
        } });
        let moved = |former: Value, new: Value| super::moved(&former, &new, &schema);
        let was = json!({ "host": "a", "password": "p", "nodes": [1, 2] });
        let same = json!({ "host": "a", "port": 1, "password": "q", "other": 1, "nodes": [3, 2, 1] });
        assert_eq!(moved(was.clone(), same), None, "the default, another password, and a node more");
        let with = |name: &str, value: Value| {
            let mut config = was.clone();
            config[name] = value;
            moved(was.clone(), config)
        };
        assert_eq!(with("host", json!("b")).as_deref(), Some("host"));
        assert_eq!(with("port", json!(2)).as_deref(), Some("port"));
        assert_eq!(with("nodes", json!([1])).as_deref(), Some("nodes"), "one is reached no more");
        assert_eq!(super::moved(&was, &json!({}), &Value::Null), None);
    }
}
