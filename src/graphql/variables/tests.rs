use super::*;
use crate::graphql::{SchemaOptions, schema};
use async_graphql::parser::parse_query;
use async_graphql::{Request, Response};
use serde_json::{Value as Json, json};

const PUT_TWO: &str = "mutation($a: PutSecretInput!, $b: PutSecretInput!) \
    { a: putSecret(input: $a) { secret { version } } b: putSecret(input: $b) { secret { version } } }";
const ROLE: &str = "mutation($input: RoleInput!) { createRole(input: $input) { role { name } } }";

fn settled(text: &str, operation: Option<&str>, given: Json) -> Result<(ExecutableDocument, Json)> {
    let mut document = parse_query(text).unwrap();
    let mut variables = Variables::from_json(given);
    settle(&mut document, operation, &mut variables)?;
    Ok((document, serde_json::to_value(&variables).unwrap()))
}

/// What the schema says to it, without a node behind it.
async fn answered(text: &str, operation: Option<&str>, given: Json) -> Response {
    let (document, variables) = settled(text, operation, given).unwrap();
    let mut request = Request::new("").variables(Variables::from_json(variables));
    request.operation_name = operation.map(str::to_owned);
    request.set_parsed_query(document);
    schema(SchemaOptions::default()).execute(request).await
}

#[test]
fn defaults_stand_in_for_what_is_left_out() {
    let text =
        "query($hide: Boolean = true, $first: Int = 7, $n: Int = null) { __typename @skip(if: $hide) }";
    let (_, variables) = settled(text, None, json!({ "first": 2 })).unwrap();
    assert_eq!(variables, json!({ "hide": true, "first": 2, "n": null }));
    // null is a value
    let (_, variables) = settled(text, None, json!({ "first": null, "hide": false })).unwrap();
    assert_eq!(variables, json!({ "hide": false, "first": null, "n": null }));
}

#[test]
fn what_must_have_a_value_and_has_none_is_refused() {
    let put = |b: Json| json!({ "a": { "path": "a", "data": {} }, "b": b });
    let explain =
        "query($p: SecretPath!) { explainAccess(input: { operation: READ, path: $p }) { allowed } }";
    let deep = "query($p: SecretPath!) { ...F } fragment F on Query { ...G ...F2 } \
        fragment F2 on Query { me { displayName } } fragment G on Query { secret(path: $p) { path } }";
    for (text, variables, field) in [
        (PUT_TWO, json!({ "a": { "path": "a", "data": {} } }), "input"),
        (PUT_TWO, put(Json::Null), "input"),
        (PUT_TWO, put(json!(7)), "input"),
        (
            PUT_TWO,
            put(json!({ "path": "b", "data": {}, "expectedVersion": 1_u64 << 40 })),
            "input.expectedVersion",
        ),
        (ROLE, json!({ "input": { "name": "r", "ttlSeconds": -(1_i64 << 31) - 1 } }), "input.ttlSeconds"),
        (ROLE, json!({ "input": [7] }), "input"),
        ("query($n: Boolean!) { me { displayName @include(if: $n) } }", json!({}), "variables.n"),
        (explain, json!({}), "input.path"),
        (deep, json!({}), "path"),
    ] {
        let error = settled(text, None, variables.clone()).unwrap_err();
        assert_eq!(
            (error.code(), error.field()),
            (ErrorCode::BadUserInput, Some(field)),
            "{text} {variables}"
        );
        assert!(error.message().starts_with("the variable \"$"), "{error}");
    }
    let error = settled(PUT_TWO, None, put(json!("s3cret"))).unwrap_err();
    assert_eq!(error.message(), "the variable \"$b\" must hold an object: correct it in 'variables'");
}

#[test]
fn what_is_of_its_type_is_taken() {
    let many = "query($l: [Int!], $o: [[RoleInput]], $x: Nope, $j: JSON!) { __typename }";
    for variables in [
        json!({ "l": 1, "o": { "name": "r" }, "x": 7, "j": 1_u64 << 60 }),
        json!({ "l": [1, 2], "o": [[{ "name": "r", "ttlSeconds": 5, "other": 1_u64 << 60 }, null]], "j": {} }),
        json!({ "l": null, "o": null, "x": null, "j": [], "more": 1 }),
    ] {
        assert!(settled(many, None, variables.clone()).is_ok(), "{variables}");
    }
    for (variables, inside) in [(json!([1, null]), "$l[1]"), (json!([1, 2.5]), "$l[1]"), (json!(0.5), "$l\"")]
    {
        let error = settled(many, None, json!({ "l": variables, "j": 1 })).unwrap_err();
        assert!(error.message().contains(inside), "{error}");
    }
}

#[test]
fn what_is_left_out_is_not_null() {
    let text = "mutation($p: SecretPath!, $d: String, $l: String) \
        { updateSecretSettings(input: { path: $p, description: $d, metadata: { a: [1, $l], b: $l } }) { secret { id } } }";
    let (document, variables) = settled(text, None, json!({ "p": "a" })).unwrap();
    assert_eq!(variables, json!({ "p": "a" }));
    let (_, operation) = document.operations.iter().next().unwrap();
    assert_eq!(operation.node.variable_definitions.len(), 1);
    let Some(async_graphql::parser::types::Selection::Field(field)) =
        operation.node.selection_set.node.items.first().map(|selection| &selection.node)
    else {
        panic!("no field")
    };
    assert_eq!(field.node.arguments[0].1.node.to_string(), "{path: $p, metadata: {a: [1, null]}}");
    let (document, _) = settled(text, None, json!({ "p": "a", "d": null, "l": "x" })).unwrap();
    assert_eq!(document.operations.iter().next().unwrap().1.node.variable_definitions.len(), 3);
}

#[tokio::test]
async fn the_schema_takes_what_is_left_of_a_document() {
    let two = "query A($f: Int) { ...F } query B($f: Int!) { ...F } query C { ...H } \
        fragment F on Query { __typename ...G } fragment G on Query { x: __typename secrets(first: $f) { nodes { id } } } \
        fragment H on Query { __typename }";
    // what the schema would not let pass fails without a path
    for (text, operation) in
        [(two, Some("A")), (two, Some("C")), ("query($f: Int) { secrets(first: $f) { nodes { id } } }", None)]
    {
        let response = answered(text, operation, json!({})).await;
        assert!(response.errors.iter().all(|error| !error.path.is_empty()), "{text} {:?}", response.errors);
    }
}

#[tokio::test]
async fn scalars_of_another_kind_are_refused_before_anything_runs() {
    let seconds = "query($from: DateTime!) { auditEvents(filter: { from: $from }) { nodes { id } } }";
    for (text, variables, at) in [
        (
            PUT_TWO,
            json!({ "a": { "path": "a", "data": {} }, "b": { "path": 7, "data": {} } }),
            "\"input.path\"",
        ),
        ("query($p: SecretPath!) { secret(path: $p) { path } }", json!({ "p": [] }), "\"path\""),
        ("{ secret(path: a) { path } }", json!({}), "\"path\""),
        (
            "query($n: BigInt) { verifyAudit(fromSequence: $n) { valid } }",
            json!({ "n": true }),
            "\"fromSequence\"",
        ),
        (seconds, json!({ "from": 7 }), "\"filter.from\""),
    ] {
        let response = answered(text, None, variables).await;
        let error = &response.errors[0];
        assert!(error.path.is_empty() && error.message.contains(at), "{text}: {error:?}");
    }
}
