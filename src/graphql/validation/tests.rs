use super::super::definitions::{composite, defined_types, innermost};
use super::super::guard::{QueryLimits, connection_page_size, measure_document, scan};
use super::super::{SchemaOptions, schema};
use super::*;
use async_graphql::parser::parse_query;
use async_graphql::parser::types::TypeKind;
use std::fmt::Write;

fn checked(text: &str) -> Result<()> {
    check(&parse_query(text).unwrap_or_else(|error| panic!("{text}: {error}")))
}

#[track_caller]
fn valid(texts: &[&str]) {
    for text in texts {
        assert_eq!(checked(text).err().map(|error| error.to_string()), None, "{text}");
    }
}

/// Documents with the field and a part of the sentence of their refusal.
#[track_caller]
fn refused(texts: &[(&str, Option<&str>, &str)]) {
    for (text, field, part) in texts {
        let error = checked(text).err().unwrap_or_else(|| panic!("{text} is taken"));
        assert_eq!(error.code(), ErrorCode::BadUserInput, "{text}");
        assert!(error.message().contains(part), "{text}: {error}");
        assert_eq!(error.field(), *field, "{text}: {error}");
        assert!(!error.places().is_empty(), "{text}");
    }
}

#[test]
fn variables_that_may_stand_where_they_do() {
    valid(&[
        "query ($p: SecretPath!) { secret(path: $p) { path } }",
        "query ($p: SecretPath = \"a\") { secret(path: $p) { path } }",
        "query ($n: Int) { secrets(first: $n) { nodes { path } } }",
        "query ($n: Int!) { secrets(first: $n) { nodes { path } } }",
        "query ($h: Boolean!) { me { displayName @skip(if: $h) } }",
        "query ($h: Boolean = true) { me { ... @include(if: $h) { displayName } } }",
        "query ($s: [LeaseState!]) { leases(filter: {states: $s}) { nodes { leaseId } } }",
        "query ($s: [LeaseState!]!) { leases(filter: {states: $s}) { nodes { leaseId } } }",
        "query ($s: LeaseState!) { leases(filter: {states: [$s]}) { nodes { leaseId } } }",
        "query ($f: LeaseFilter) { leases(filter: $f) { nodes { leaseId } } }",
        "query ($r: String!) { explainAccess(input: {as: {roleName: $r}, operation: READ, path: \"a\"}) { allowed } }",
        "query ($r: String = \"r\") { explainAccess(input: {as: {roleName: $r}, operation: READ, path: \"a\"}) { allowed } }",
        "query ($d: Boolean) { __type(name: \"Secret\") { fields(includeDeprecated: $d) { name } } }",
        // inside of JSON nothing is expected
        "mutation ($i: Int) { putSecret(input: {path: \"a\", data: {a: [$i], b: {c: $i}}}) { secret { path } } }",
        "query A($n: Int) { ...F } query B($n: Int!) { ...F } fragment F on Query { secrets(first: $n) { nodes { path } } }",
        // what the schema does not know is not this one's to refuse
        "query ($x: Nope) { nope(nope: $x) { nope(nope: {a: $x}) @nope(nope: $x) } }",
    ]);
}

#[test]
fn variables_that_may_not() {
    refused(&[
        (
            "query ($n: String) { secrets(first: $n) { nodes { path } } }",
            Some("first"),
            "Variable \"$n\" of type \"String\" used in position expecting type \"Int\"",
        ),
        (
            "query ($p: SecretPath) { secret(path: $p) { path } }",
            Some("path"),
            "expecting type \"SecretPath!\"",
        ),
        ("query ($p: SecretPath = null) { secret(path: $p) { path } }", Some("path"), "\"SecretPath\" used"),
        ("query ($p: String!) { secret(path: $p) { path } }", Some("path"), "\"String!\" used"),
        ("query ($h: Boolean) { me { displayName @skip(if: $h) } }", Some("variables.h"), "\"Boolean!\""),
        (
            "query ($h: String!) { me { ...F @skip(if: $h) } } fragment F on Caller { entity }",
            Some("variables.h"),
            "",
        ),
        ("query ($h: Boolean) { me { __typename @skip(if: $h) } }", Some("variables.h"), "\"Boolean!\""),
        (
            "query ($s: [LeaseState]) { leases(filter: {states: $s}) { nodes { leaseId } } }",
            Some("filter.states"),
            "\"[LeaseState!]\"",
        ),
        // one value written out stands for a list, a variable does not
        (
            "query ($s: LeaseState!) { leases(filter: {states: $s}) { nodes { leaseId } } }",
            Some("filter.states"),
            "\"LeaseState!\" used",
        ),
        (
            "query ($s: LeaseState) { leases(filter: {states: [ACTIVE, $s]}) { nodes { leaseId } } }",
            Some("filter.states[1]"),
            "\"LeaseState!\": declare",
        ),
        (
            "query ($s: [LeaseState!]!) { leases(filter: {states: [$s]}) { nodes { leaseId } } }",
            Some("filter.states[0]"),
            "",
        ),
        (
            "query ($r: String) { explainAccess(input: {as: {roleName: $r}, operation: READ, path: \"a\"}) { allowed } }",
            Some("input.as.roleName"),
            "must be non-nullable to be used for OneOf Input Object \"ExplainAccessSubject\"",
        ),
        (
            "query ($r: Int!) { explainAccess(input: {as: {roleName: $r}, operation: READ, path: \"a\"}) { allowed } }",
            Some("input.as.roleName"),
            "expecting type \"String\"",
        ),
        ("query ($d: String) { __type(name: $d) { name } }", Some("name"), "\"String!\""),
        (
            "query A($n: Int) { ...F } query B($n: String) { ...G } fragment G on Query { ...F } \
             fragment F on Query { secrets(first: $n) { nodes { path } } }",
            Some("first"),
            "\"String\" used",
        ),
        (
            "query { secrets(first: $n) { nodes { path } } }",
            Some("first"),
            "\"$n\" is not defined: declare it",
        ),
        (
            "query A { __typename @skip(if: $n) }",
            Some("variables.n"),
            "\"$n\" is not defined by operation \"A\"",
        ),
        ("query ($n: Int) { me { displayName } }", None, "\"$n\" is never used"),
        (
            "query A { __typename } query B($n: Int) { ...F } fragment F on Query { __typename }",
            None,
            "never used",
        ),
        (
            "query ($n: Int, $n: Int) { secrets(first: $n) { nodes { path } } }",
            None,
            "only one variable named",
        ),
        (
            "mutation { putSecret(input: {path: \"a\", data: {a: [$i]}}) { secret { path } } }",
            Some("input"),
            "\"$i\" is not defined",
        ),
    ]);
}

#[test]
fn values_of_their_types() {
    valid(&[
        "{ secrets(first: 2147483647, type: STATIC) { nodes { path } } }",
        "{ secrets(first: null, type: null) { nodes { path } } }",
        "{ node(id: 7) { id } }",
        "{ node(id: \"7\") { id } }",
        "{ leases(filter: {states: ACTIVE}) { nodes { leaseId } } }",
        "{ leases(filter: {states: [ACTIVE, REVOKED]}) { nodes { leaseId } } }",
        "{ leases(filter: {states: []}) { nodes { leaseId } } }",
        "{ explainAccess(input: {as: {policies: \"a\"}, operation: READ, path: \"a\"}) { allowed } }",
        "mutation { putSecret(input: {path: \"a\", data: {a: [1, 2.5, \"x\", E, null, true, 99999999999]}}) { secret { path } } }",
        "query ($l: [[Int!]] = [1, [2]], $f: Float = 1, $i: LeaseFilter = {states: ACTIVE}, $n: Nope = 1) \
           { nope(l: $l, f: $f, i: $i, n: $n) }",
        // scalars that are not built in say themselves what they take
        "{ secret(path: 7) { path } verifyAudit(fromSequence: 1.5) { valid } }",
    ]);
}

#[test]
fn values_of_other_types() {
    refused(&[
        (
            "{ secrets(first: 2147483648) { nodes { path } } }",
            Some("first"),
            "must hold a whole number of 32 bits",
        ),
        ("{ secrets(first: -2147483649) { nodes { path } } }", Some("first"), "32 bits"),
        ("{ secrets(first: 1.0) { nodes { path } } }", Some("first"), "32 bits"),
        ("{ secrets(first: \"1\") { nodes { path } } }", Some("first"), "32 bits"),
        ("{ secrets(first: [1]) { nodes { path } } }", Some("first"), "32 bits"),
        ("{ secrets(first: {a: 1}) { nodes { path } } }", Some("first"), "32 bits"),
        (
            "{ secrets(type: \"STATIC\") { nodes { path } } }",
            Some("type"),
            "enum \"SecretType\", without quotation",
        ),
        ("{ secrets(type: 1) { nodes { path } } }", Some("type"), "enum \"SecretType\""),
        ("{ secrets(type: static) { nodes { path } } }", Some("type"), "one of the values of the enum"),
        ("{ secret(path: null) { path } }", Some("path"), "a value other than null"),
        ("{ node(id: 1.5) { id } }", Some("id"), "a string in quotation marks, or a whole number"),
        ("{ node(id: X) { id } }", Some("id"), "whole number"),
        ("{ leases(filter: \"x\") { nodes { leaseId } } }", Some("filter"), "an object"),
        ("{ leases(filter: [{}]) { nodes { leaseId } } }", Some("filter"), "an object"),
        (
            "{ leases(filter: {overdueOnly: \"true\"}) { nodes { leaseId } } }",
            Some("filter.overdueOnly"),
            "true or false",
        ),
        (
            "{ leases(filter: {engine: E}) { nodes { leaseId } } }",
            Some("filter.engine"),
            "a string in quotation",
        ),
        (
            "{ leases(filter: {states: [ACTIVE, null]}) { nodes { leaseId } } }",
            Some("filter.states[1]"),
            "null",
        ),
        ("{ leases(filter: {states: [[ACTIVE]]}) { nodes { leaseId } } }", Some("filter.states[0]"), "enum"),
        (
            "{ leases(filter: {nope: 1}) { nodes { leaseId } } }",
            Some("filter.nope"),
            "is not defined by the type",
        ),
        ("{ me { displayName @skip(if: 1) } }", None, "true or false"),
        ("{ me { displayName @skip(if: null) } }", None, "null"),
        ("{ me { __typename @skip(if: \"x\") } }", None, "true or false"),
        ("{ __type(name: 7) { name } }", Some("name"), "string"),
        ("query ($n: Int = \"x\") { __typename }", Some("variables.n"), "the default of the variable \"$n\""),
        ("query ($n: [Int!]! = [1, null]) { __typename }", Some("variables.n[1]"), "\"$n[1]\""),
        // also of an operation that is not to run, and with variables beside it
        (
            "query A { __typename } mutation B($d: JSON!) { putSecret(input: {data: $d}) { secret { path } } }",
            Some("input.path"),
            "the argument \"input.path\" of the type \"SecretPath!\" is required",
        ),
        (
            "query ($r: String!) { explainAccess(input: {as: {roleName: $r, policies: []}, operation: READ, path: \"a\"}) { allowed } }",
            Some("input.as"),
            "exactly one of its fields",
        ),
        (
            "{ explainAccess(input: {as: {}, operation: READ, path: \"a\"}) { allowed } }",
            Some("input.as"),
            "exactly one",
        ),
        (
            "{ explainAccess(input: {as: {roleName: null}, operation: READ, path: \"a\"}) { allowed } }",
            Some("input.as"),
            "which is not null",
        ),
    ]);
    let error =
        checked("mutation { unseal(input: {share: [\"s3cret\"]}) { status { sealed } } }").unwrap_err();
    assert!(!error.message().contains("s3cret"), "{error}");
}

#[test]
fn fields_that_merge() {
    valid(&[
        "{ me { displayName displayName } }",
        "{ me { x: displayName } me { x: displayName } }",
        "{ secret(path: \"a\") { data data } secret(path: \"a\") { version } }",
        // of different objects, with types alike
        "{ node(id: \"x\") { ... on Role { x: name } ... on Policy { x: name } } }",
        "{ node(id: \"x\") { id ... on Secret { id } ... on Policy { id __typename } } }",
        "{ node(id: \"x\") { ... on Role { x: __typename } ... on Policy { x: name } } }",
        "{ node(id: \"x\") { ... on Secret { x: data(version: 1) } ... { ... on Secret { x: data(version: 1) } } } }",
        "{ node(id: \"x\") { ... on Secret { v: versions(first: 1) { nodes { x: createdAt } } } \
           ... on Role { v: secretIds(first: 2) { nodes { x: createdAt } } } } }",
        "{ a: secret(path: \"a\") { ...F } b: secret(path: \"b\") { ...F ...F } } fragment F on Secret { path }",
        "{ leases(filter: {engine: \"a\", states: ACTIVE}) { nodes { leaseId } } \
           leases(filter: {states: ACTIVE, engine: \"a\"}) { nodes { lockedBy: leaseId } } }",
        "query A { x: __typename } query B { x: me { displayName } }",
        "{ nope { x: nope } nope { x: nope } }",
    ]);
}

#[test]
fn fields_that_do_not() {
    refused(&[
        ("{ me { x: displayName x: usesLeft } }", None, "conflict"),
        (
            "{ node(id: \"x\") { ... on Secret { x: version } ... on Policy { x: name } } }",
            None,
            "Fields \"x\" conflict because they return conflicting types",
        ),
        (
            "{ node(id: \"x\") { ...S ...P } } fragment S on Secret { x: version } fragment P on Policy { x: name }",
            None,
            "\"x\"",
        ),
        (
            "{ node(id: \"x\") { ... on Secret { x: path } ... on Policy { x: name } } }",
            None,
            "\"SecretPath!\"",
        ),
        (
            "{ node(id: \"x\") { ... on Secret { x: version } ... on Policy { x: __typename } } }",
            None,
            "\"String!\"",
        ),
        (
            "{ node(id: \"x\") { ... on Secret { v: versions { nodes { x: version } } } \
               ... on Role { v: secretIds { nodes { x: accessor } } } } }",
            None,
            "Fields \"x\" conflict",
        ),
        ("{ node(id: \"x\") { x: id ... on Secret { x: __typename } } }", None, "conflict"),
        ("{ secret(path: \"a\") { x: path ... on Secret { x: version } } }", None, "conflict"),
        (
            "{ secret(path: \"a\") { data ...F } } fragment F on Secret { data(version: 1) }",
            None,
            "differing arguments",
        ),
        (
            "{ secret(path: \"a\") { path } ...F } fragment F on Query { secret(path: \"b\") { path } }",
            None,
            "differing arguments",
        ),
        ("{ me { x: displayName } ... { me { ... { x: entity } } } }", None, "conflict"),
        (
            "query A { __typename } query B { me { x: displayName ... on Caller { x: entity } } }",
            None,
            "conflict",
        ),
        (
            "{ __schema { x: types { name } ...S } } fragment S on __Schema { x: queryType { name } }",
            None,
            "\"x\"",
        ),
    ]);
}

#[test]
fn what_stands_elsewhere() {
    valid(&[
        "query on { me { displayName } }",
        "query ($h: Boolean!) @nope { __typename @skip(if: $h) @include(if: true) }",
        "{ me { ...of } } fragment of on Caller { on: entity }",
    ]);
    refused(&[
        (
            "query ($n: Int @skip(if: true)) { secrets(first: $n) { nodes { path } } }",
            None,
            "VARIABLE_DEFINITION",
        ),
        ("fragment on on Caller { entity } { me { ...on } }", None, "cannot be called \"on\""),
        ("{ me { entity } } fragment F on Caller { entity }", None, "Fragment \"F\" is never used"),
        (
            "query A { __typename } fragment F on Caller { ...G } fragment G on Caller { ...F }",
            None,
            "is never used",
        ),
        ("{ __typename(x: 1) }", None, "Unknown argument \"x\" on field \"__typename\""),
        ("{ __typename { x } }", None, "no subfields"),
        ("{ __typename @nope }", None, "Directive \"@nope\""),
        ("{ __typename @specifiedBy(url: \"x\") }", None, "may not be used on FIELD"),
        ("{ __typename @skip(if: true) @skip(if: true) }", None, "only be used once"),
        ("{ __typename @skip }", None, "has the argument \"if\""),
        ("{ __typename @skip(unless: true) }", None, "has the argument \"if\""),
    ]);
}

#[test]
fn a_refusal_says_where_it_is() {
    let error = checked("query ($n: String) {\n  secrets(first: $n) { nodes { path } }\n}").unwrap_err();
    assert_eq!(error.places(), [(1, 8), (2, 18)]);
}

/// Documents as large as they may be, in which much meets. What they take is printed: some milliseconds, in an optimised build.
#[test]
fn the_largest_documents_are_looked_at_once() {
    let limits = QueryLimits::default();
    let mut documents = Vec::new();
    // fragments that spread the next twice
    let below = "id createdAt versions(first: 1) { nodes { version } }";
    let mut doubling = String::from("{ secret(path: \"a\") { ...F0 } }");
    for level in 0..8 {
        let next = level + 1;
        write!(
            doubling,
            " fragment F{level} on Secret {{ {below} ...F{next} engine {{ id }} ... {{ ...F{next} }} }}"
        )
        .unwrap();
    }
    write!(doubling, " fragment F8 on Secret {{ {below} }}").unwrap();
    documents.push(doubling);
    // one name as often as may be, each time with the same long argument
    let field = format!(" leases(filter: {{states: [{}]}}) {{ nodes {{ leaseId }} }}", "ACTIVE ".repeat(215));
    let mut long = String::new();
    for number in 0..20 {
        write!(long, " fragment F{number} on Query {{ {field} }}").unwrap();
    }
    let spreads: String = (0..20).map(|number| format!(" ...F{number}")).collect();
    documents.push(format!("{{ {spreads} }} {long}"));
    // the same fields of many objects
    let objects = ["Secret { versions", "Role { secretIds", "Token { accessor } ... on Secret { versions"];
    let many: String = (0..300)
        .map(|number| format!(" ... on {} {{ nodes {{ createdAt }} }} createdAt }}", objects[number % 3]))
        .collect();
    documents.push(format!("{{ node(id: 1) {{ {many} }} }}"));
    // many operations, with what they use in one fragment
    let uses = " versions(first: $a) { pageInfo { endCursor } }".repeat(80);
    let operations: String = (0..19)
        .map(|number| format!(" query Q{number}($a: Int) {{ secret(path: \"a\") {{ ...F }} }}"))
        .collect();
    documents.push(format!("{operations} fragment F on Secret {{ {uses} }}"));
    for text in documents {
        scan(&text, &limits).unwrap();
        let parsed = parse_query(&text).unwrap();
        let measured =
            measure_document(&parsed, &async_graphql::Variables::default(), connection_page_size).unwrap();
        limits.check_document(&measured).unwrap();
        let begun = std::time::Instant::now();
        check(&parsed).unwrap();
        let selections: u64 = measured.iter().map(|operation| operation.cost.selections).sum();
        eprintln!("{} bytes, {selections} selections: {:?}", text.len(), begun.elapsed());
    }
}

/// What [`shapes`] has left out of the rule.
#[test]
fn no_interface_has_fields_with_something_below() {
    let mut seen = 0;
    for definition in defined_types() {
        let fields = match &definition.kind {
            TypeKind::Interface(interface) => &interface.fields,
            _ => continue,
        };
        for field in fields {
            seen += 1;
            let below = composite(innermost(&field.node.ty.node));
            assert!(below.is_none(), "{}.{}", definition.name.node, field.node.name.node);
        }
    }
    assert!(seen > 0);
}

/// The text of the types of introspection is what the schema says of them.
#[tokio::test]
async fn the_types_of_introspection_are_those_of_the_schema() {
    let written = async_graphql::parser::parse_schema(include_str!("../introspection.graphql")).unwrap();
    let of = "{ kind name ofType { kind name ofType { kind name ofType { kind name ofType { name } } } } }";
    let (mut text, mut expected) = (String::from("{"), serde_json::Map::new());
    let input = |input: &async_graphql::parser::types::InputValueDefinition| {
        let default = input.default_value.as_ref().map(|default| default.node.to_string());
        serde_json::json!({ "name": input.name.node, "type": input.ty.node.to_string(), "defaultValue": default })
    };
    for definition in &written.definitions {
        let async_graphql::parser::types::TypeSystemDefinition::Type(definition) = definition else {
            panic!()
        };
        let name = definition.node.name.node.as_str();
        if name == "__Meta" {
            continue;
        }
        write!(
            text,
            " {name}: __type(name: \"{name}\") {{ fields {{ name type {of} args {{ name defaultValue type {of} }} }} enumValues {{ name }} }}"
        )
        .unwrap();
        let (mut fields, mut values) = (serde_json::Value::Null, serde_json::Value::Null);
        match &definition.node.kind {
            TypeKind::Object(object) => {
                let all = object.fields.iter().map(|field| {
                    let arguments: Vec<_> = field.node.arguments.iter().map(|it| input(&it.node)).collect();
                    serde_json::json!({ "name": field.node.name.node, "type": field.node.ty.node.to_string(), "args": arguments })
                });
                fields = all.collect();
            }
            TypeKind::Enum(kind) => {
                values =
                    kind.values.iter().map(|it| serde_json::json!({ "name": it.node.value.node })).collect();
            }
            other => panic!("{other:?}"),
        }
        expected.insert(name.to_owned(), serde_json::json!({ "fields": fields, "enumValues": values }));
    }
    text.push('}');
    let answer = schema(SchemaOptions::default()).execute(text).await;
    assert!(answer.errors.is_empty(), "{:?}", answer.errors);
    let mut answer = serde_json::to_value(&answer.data).unwrap();
    write_types(&mut answer);
    assert_eq!(sorted(answer), sorted(expected.into()));
}

/// Lists of what has a name in the order of the names.
fn sorted(mut value: serde_json::Value) -> serde_json::Value {
    match &mut value {
        serde_json::Value::Array(items) => {
            items.iter_mut().for_each(|item| *item = sorted(item.take()));
            items.sort_by_key(|item| item["name"].to_string());
        }
        serde_json::Value::Object(fields) => {
            fields.values_mut().for_each(|field| *field = sorted(field.take()));
        }
        _ => {}
    }
    value
}

/// Types as the language writes them.
fn write_types(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Array(items) => items.iter_mut().for_each(write_types),
        serde_json::Value::Object(fields) => {
            for (name, field) in fields {
                if name == "type" { *field = written(field).into() } else { write_types(field) }
            }
        }
        _ => {}
    }
}

fn written(kind: &serde_json::Value) -> String {
    match kind["kind"].as_str() {
        Some("NON_NULL") => format!("{}!", written(&kind["ofType"])),
        Some("LIST") => format!("[{}]", written(&kind["ofType"])),
        _ => kind["name"].as_str().unwrap_or_default().to_owned(),
    }
}
