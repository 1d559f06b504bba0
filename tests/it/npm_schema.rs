//! The schema as its users' tools see it: `@graphql-eslint` for its form, `@graphql-inspector` for what a change breaks.

use std::path::{Path, PathBuf};
use std::process::Command;

const SCHEMA: &str = "schema.graphql";
/// The schema of the latest release.
const RELEASED: &str = "tests/fixtures/released.graphql";

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(file(name)).unwrap()
}

/// Runs a script of `tests/node`; whether it found nothing, and what it said.
fn node(script: &str, arguments: &[&Path]) -> (bool, String) {
    let ended = Command::new("node").arg(file("tests/node").join(script)).args(arguments).output().unwrap();
    let said = String::from_utf8(ended.stdout).unwrap();
    let errors = String::from_utf8_lossy(&ended.stderr);
    assert!(matches!(ended.status.code(), Some(0 | 1)) && errors.is_empty(), "{script}: {errors}");
    (ended.status.success(), said)
}

/// What a script says of texts instead of files.
fn node_on(script: &str, texts: &[&str]) -> (bool, String) {
    let folder = tempfile::tempdir().unwrap();
    let files: Vec<_> = (0..texts.len()).map(|n| folder.path().join(format!("{n}.graphql"))).collect();
    for (file, text) in files.iter().zip(texts) {
        std::fs::write(file, text).unwrap();
    }
    node(script, &files.iter().map(PathBuf::as_path).collect::<Vec<_>>())
}

/// The text with one passage replaced, which must be there.
#[track_caller]
fn altered(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from:?} is not in the schema");
    text.replacen(from, to, 1)
}

#[test]
fn the_schema_is_as_the_linters_want_it() {
    let (good, said) = node("lint.mjs", &[&file(SCHEMA)]);
    assert!(good, "{said}");
}

#[test]
fn the_linter_finds_what_is_wrong() {
    let schema = read(SCHEMA);
    for (rule, from, to) in [
        ("naming-convention", "type SealStatus {", "type SealStatus {\n  Bad_name: Int\n"),
        ("naming-convention", "type Query {", "type Query {\n  getSecrets: Int\n"),
        ("require-deprecation-reason", "  sealed: Boolean!", "  sealed: Boolean! @deprecated"),
        ("no-typename-prefix", "type SealStatus {", "type SealStatus {\n  sealStatusOld: Int\n"),
        ("no-unreachable-types", "type SealStatus {", "type Orphan { x: Int }\ntype SealStatus {"),
        (
            "strict-id-in-types",
            "type SealStatus {",
            "type Thing { x: Int }\ntype SealStatus {\n  thing: Thing\n",
        ),
        ("relay-page-info", "  hasNextPage: Boolean!", "  hasNextPage: Boolean"),
        ("relay-arguments", "    last: Int,\n", "    final: Int,\n"),
        ("relay-edge-types", "  node: Secret!\n", "  node: [Secret!]!\n"),
        ("relay-connection-types", "  edges: [SecretEdge!]!\n", "  edges: SecretEdge\n"),
    ] {
        let (good, said) = node_on("lint.mjs", &[&altered(&schema, from, to)]);
        assert!(!good && said.contains(rule), "{rule} is not found: {said}");
    }
    // an exception that is not needed any more is one that hides the next mistake
    let (good, said) = node_on("lint.mjs", &[&schema.replace("leaseId: ID!", "uuid: ID!")]);
    assert!(!good && said.contains("accepted but not found"), "{said}");
}

#[test]
fn nothing_that_was_released_is_broken() {
    let (good, said) = node("breaking.mjs", &[&file(RELEASED), &file(SCHEMA)]);
    assert!(good, "what clients of the latest release use is gone: deprecate it instead\n{said}");
}

#[test]
fn a_breaking_change_is_found() {
    let released = read(RELEASED);
    let field = "  renewedCount: Int!\n";
    let argument = "    path: SecretPath!\n  ): Secret\n";
    for (what, from, to) in [
        ("a field is gone", field, "  renewals: Int!\n"),
        ("a field may be null", field, "  renewedCount: Int\n"),
        ("a field has another type", "  maxVersions: Int!\n", "  maxVersions: BigInt!\n"),
        ("an argument has another name", argument, "    name: SecretPath!\n  ): Secret\n"),
        ("an argument is needed", argument, "    path: SecretPath!\n    why: String!\n  ): Secret\n"),
        ("a value is gone", "  DYNAMIC_ROLE\n", "  DYNAMIC\n"),
        ("an interface is gone", "type Secret implements Node {", "type Secret {"),
    ] {
        let (good, said) = node_on("breaking.mjs", &[&released, &altered(&released, from, to)]);
        assert!(!good && said.contains("BREAKING"), "{what}: {said}");
    }
    for (what, from, to) in [
        ("a new field", "type Secret implements Node {", "type Secret implements Node {\n  new: Int\n"),
        (
            "a field that is deprecated",
            field,
            "  renewedCount: Int! @deprecated(reason: \"Use `renewals`.\")\n",
        ),
        (
            "an argument that need not be given",
            argument,
            "    path: SecretPath!\n    why: String\n  ): Secret\n",
        ),
        ("a sentence", "Whether it would be allowed.", "Whether it is allowed."),
    ] {
        let (good, said) = node_on("breaking.mjs", &[&released, &altered(&released, from, to)]);
        assert!(good, "{what}: {said}");
    }
}
