//! The schema as a document: written down, described, bounded, and holding what clients rely on.

use super::*;
use async_graphql::parser::parse_schema;
use async_graphql::parser::types::{
    BaseType, FieldDefinition, InputValueDefinition, ServiceDocument, Type, TypeDefinition, TypeKind,
    TypeSystemDefinition,
};
use async_graphql::{Positioned, Request, Variables};
use std::collections::BTreeMap;
use std::path::Path;

fn file(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

#[test]
fn the_schema_file_is_the_schema() {
    let path = file("schema.graphql");
    if std::env::var_os("SECRETHUB_UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, sdl()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == sdl(),
        "schema.graphql differs from the code: run this test with SECRETHUB_UPDATE_SCHEMA=1 and look at the diff"
    );
}

#[test]
fn the_text_is_the_same_every_time() {
    assert_eq!(sdl(), sdl());
}

const INTROSPECTION: &str = "{ __schema { types { kind name description \
    fields(includeDeprecated: true) { name description args { name description } } \
    inputFields { name description } enumValues(includeDeprecated: true) { name description } } } }";

async fn introspected(options: SchemaOptions, request: Request) -> serde_json::Value {
    let response = schema(options).execute(request).await;
    assert!(response.errors.is_empty(), "{:?}", response.errors);
    response.data.into_json().unwrap()
}

fn is_described(thing: &serde_json::Value) -> bool {
    thing["description"].as_str().is_some_and(|text| text.len() > 10 && text.ends_with('.'))
}

fn children<'a>(thing: &'a serde_json::Value, key: &str) -> impl Iterator<Item = &'a serde_json::Value> {
    thing[key].as_array().into_iter().flatten()
}

#[tokio::test]
async fn everything_is_described_in_sentences() {
    let options = SchemaOptions { introspection: Introspection::Always };
    let data = introspected(options, Request::new(INTROSPECTION)).await;
    let mut bare = Vec::new();
    let mut seen = 0;
    for kind in children(&data["__schema"], "types") {
        let name = kind["name"].as_str().unwrap();
        if name.starts_with("__") || ["Boolean", "Float", "ID", "Int", "String"].contains(&name) {
            continue;
        }
        let mut check = |thing: &serde_json::Value, place: String| {
            seen += 1;
            if !is_described(thing) {
                bare.push(place);
            }
        };
        check(kind, name.to_owned());
        for key in ["fields", "inputFields", "enumValues"] {
            for member in children(kind, key) {
                let place = format!("{name}.{}", member["name"].as_str().unwrap());
                for argument in children(member, "args") {
                    check(argument, format!("{place}({})", argument["name"].as_str().unwrap()));
                }
                check(member, place);
            }
        }
    }
    assert!(bare.is_empty(), "without a description of a sentence: {bare:#?}");
    assert!(seen > 300, "only {seen} things were looked at");
}

struct Document(BTreeMap<String, TypeDefinition>);

impl Document {
    fn parse(text: &str) -> Self {
        let ServiceDocument { definitions } = parse_schema(text).unwrap();
        let types = definitions.into_iter().filter_map(|definition| match definition {
            TypeSystemDefinition::Type(kind) => Some((kind.node.name.node.to_string(), kind.node)),
            _ => None,
        });
        Self(types.collect())
    }
}

fn fields(kind: &TypeDefinition) -> &[Positioned<FieldDefinition>] {
    match &kind.kind {
        TypeKind::Object(object) => &object.fields,
        TypeKind::Interface(interface) => &interface.fields,
        _ => &[],
    }
}

fn inputs(kind: &TypeDefinition) -> &[Positioned<InputValueDefinition>] {
    match &kind.kind {
        TypeKind::InputObject(input) => &input.fields,
        _ => &[],
    }
}

fn words(kind: &TypeDefinition) -> Vec<String> {
    let mut words: Vec<_> = match &kind.kind {
        TypeKind::Object(object) => object.implements.iter().map(|name| name.node.to_string()).collect(),
        TypeKind::Enum(words) => words.values.iter().map(|value| value.node.value.node.to_string()).collect(),
        _ => Vec::new(),
    };
    words.sort();
    words
}

fn list_item(kind: &Type) -> Option<&Type> {
    match &kind.base {
        BaseType::List(item) => Some(item),
        BaseType::Named(_) => None,
    }
}

/// Lists that are bounded by what was written, not by what is stored: names in a policy, shares of a key. Whatever grows
/// with use is a connection.
const BOUNDED_LISTS: &[&str] = &[
    "AccessExplanation.missing",
    "Caller.policies",
    "Certificate.keyUsage",
    "Certificate.names",
    "CertificatePayload.warnings",
    "CertificateRole.allowedCommonNames",
    "CertificateRole.allowedDomains",
    "CertificateRole.allowedEntityIds",
    "CertificateRole.allowedIpRanges",
    "CertificateRole.allowedUris",
    "CertificateRole.certTypes",
    "CertificateRole.keyTypes",
    "EngineDrift.missingLeaseIds",
    "EngineDrift.unknownNames",
    "Enrollment.names",
    "HealEngineDriftPayload.problems",
    "InitializePayload.shares",
    "IssueCertificatePayload.warnings",
    "IssueCredentialsPayload.warnings",
    "LeasePayload.warnings",
    "LoginPayload.policies",
    "LoginPayload.warnings",
    "Policy.entityBindings",
    "Query.certificateAuthorities",
    "Query.enginePlugins",
    "Query.errorCodes",
    "RekeyPayload.shares",
    "Role.boundCidrList",
    "Role.policies",
    "Role.tokenBoundCidrList",
    "Role.tokenPolicies",
    "SecretId.boundCidrList",
    "Token.boundCidrList",
    "Token.policies",
];

#[test]
fn lists_have_no_nulls_and_no_list_is_unbounded() {
    let ours = Document::parse(&sdl());
    let mut lists = Vec::new();
    for (name, kind) in &ours.0 {
        for field in fields(kind) {
            let (place, kind) = (format!("{name}.{}", field.node.name.node), &field.node.ty.node);
            let Some(item) = list_item(kind) else { continue };
            assert!(!kind.nullable && !item.nullable, "{place} is {kind}, not [T!]!");
            if !name.ends_with("Connection") {
                lists.push(place);
            }
        }
        for field in inputs(kind) {
            let place = format!("{name}.{}", field.node.name.node);
            if let Some(item) = list_item(&field.node.ty.node) {
                assert!(!item.nullable, "{place} takes nulls in its list");
            }
        }
    }
    lists.sort();
    assert_eq!(lists, BOUNDED_LISTS, "a list that can grow is a connection");
}

#[test]
fn connections_are_paged_and_mutations_take_one_input() {
    let ours = Document::parse(&sdl());
    let mut connections = 0;
    for (name, kind) in &ours.0 {
        for field in fields(kind) {
            let arguments: Vec<_> =
                field.node.arguments.iter().map(|arg| arg.node.name.node.as_str()).collect();
            let place = format!("{name}.{}", field.node.name.node);
            if field.node.ty.node.to_string().ends_with("Connection!") {
                connections += 1;
                for argument in ["first", "after", "last", "before"] {
                    assert!(arguments.contains(&argument), "{place}: {arguments:?}");
                }
                assert!(
                    guard::is_connection(&field.node.name.node),
                    "{place} costs as much as one entry when it is asked for without first and last"
                );
            }
            if name == "Mutation" {
                assert!(arguments.is_empty() || arguments == ["input"], "{place}: {arguments:?}");
                assert!(field.node.ty.node.to_string().ends_with("Payload!"), "{place}");
            }
        }
    }
    assert!(connections >= 12);
}

#[test]
fn what_clients_rely_on_is_there() {
    let ours = Document::parse(&sdl());
    let promised = Document::parse(&std::fs::read_to_string(file("tests/fixtures/sketch.graphql")).unwrap());
    let mut broken = Vec::new();
    for (name, promise) in &promised.0 {
        let Some(kind) = ours.0.get(name) else {
            broken.push(format!("{name} is missing"));
            continue;
        };
        if std::mem::discriminant(&kind.kind) != std::mem::discriminant(&promise.kind)
            || words(kind) != words(promise)
        {
            broken.push(format!("{name} is of another kind or has other words: {:?}", words(kind)));
        }
        for promise in fields(promise) {
            let place = format!("{name}.{}", promise.node.name.node);
            match fields(kind).iter().find(|field| field.node.name == promise.node.name) {
                None => broken.push(format!("{place} is missing")),
                Some(field) if field.node.ty != promise.node.ty => {
                    broken.push(format!("{place} is {}, not {}", field.node.ty.node, promise.node.ty.node));
                }
                Some(field) => {
                    compare_inputs(&place, &field.node.arguments, &promise.node.arguments, &mut broken)
                }
            }
        }
        compare_inputs(name, inputs(kind), inputs(promise), &mut broken);
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

fn compare_inputs(
    place: &str,
    ours: &[Positioned<InputValueDefinition>],
    promised: &[Positioned<InputValueDefinition>],
    broken: &mut Vec<String>,
) {
    for promise in promised {
        let name = &promise.node.name.node;
        let Some(input) = ours.iter().find(|input| &input.node.name.node == name) else {
            broken.push(format!("{place}({name}) is missing"));
            continue;
        };
        let same_default = input.node.default_value.as_ref().map(|default| &default.node)
            == promise.node.default_value.as_ref().map(|default| &default.node);
        if input.node.ty.node != promise.node.ty.node || !same_default {
            broken.push(format!("{place}({name}) is {}, not {}", input.node.ty.node, promise.node.ty.node));
        }
    }
    for input in ours {
        let required = !input.node.ty.node.nullable && input.node.default_value.is_none();
        if required && !promised.iter().any(|promise| promise.node.name.node == input.node.name.node) {
            broken.push(format!("{place}({}) is required, and clients do not know it", input.node.name.node));
        }
    }
}

#[tokio::test]
async fn a_schema_that_is_never_shown_gives_nothing_away() {
    for (introspection, shown) in [(Introspection::Always, true), (Introspection::Never, false)] {
        let schema = schema(SchemaOptions { introspection });
        let types = schema.execute("{ __schema { queryType { name } } }").await;
        assert_eq!(serde_json::to_string(&types).unwrap().contains("queryType"), shown);
        let misspelt = schema.execute("{ sealStatu { sealed } }").await;
        assert_eq!(serde_json::to_string(&misspelt).unwrap().contains("sealStatus"), shown);
    }
}

#[tokio::test]
async fn bad_scalars_have_a_code_and_no_resolver_runs_without_a_context() {
    let schema = schema(SchemaOptions::default());
    let bad = r#"{ auditEvents(filter: { from: "yesterday" }) { nodes { id } } }"#;
    for request in [
        Request::new(bad),
        Request::new("query ($n: BigInt) { verifyAudit(fromSequence: $n) { valid } }")
            .variables(Variables::from_json(serde_json::json!({ "n": "12x" }))),
    ] {
        let text = serde_json::to_string(&schema.execute(request).await).unwrap();
        assert!(text.contains("BAD_USER_INPUT"), "{text}");
    }
    let text = serde_json::to_string(&schema.execute("{ __typename me { displayName } }").await).unwrap();
    assert!(text.contains("INTERNAL") && !text.contains("OpContext"), "{text}");
}

#[test]
fn every_field_with_a_price_of_its_own_exists() {
    let sdl = sdl();
    for pair in guard::SURCHARGES.windows(2) {
        assert!(pair[0].0 < pair[1].0, "they are looked up in order");
    }
    for (field, _) in guard::SURCHARGES.iter().filter(|(field, _)| !field.starts_with("__")) {
        let is_there =
            |line: &str| line.trim().strip_prefix(field).is_some_and(|rest| rest.starts_with(['(', ':']));
        assert!(sdl.lines().any(is_there), "{field}");
    }
}
