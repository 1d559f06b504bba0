use super::*;
use async_graphql::parser::parse_query;

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
