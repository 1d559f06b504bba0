//! Malformed input, field by field: `BAD_USER_INPUT` naming the field, and nothing changed.

use crate::support::{Server, Store};
use serde_json::{Value, json};

struct Row {
    what: &'static str,
    query: &'static str,
    variables: Value,
    /// What `extensions.field` must be, or begin with (a policy's document is named down to the key).
    field: &'static str,
}

const PUT: &str = "mutation($input: PutSecretInput!) { putSecret(input: $input) { secret { version } } }";
const POLICY: &str = "mutation($input: PolicyInput!) { createPolicy(input: $input) { policy { name } } }";
const UPDATE_POLICY: &str =
    "mutation($input: PolicyInput!) { updatePolicy(input: $input) { policy { name } } }";
const ROLE: &str = "mutation($input: RoleInput!) { createRole(input: $input) { role { name } } }";
const TOKEN: &str = "mutation($input: CreateTokenInput!) { createToken(input: $input) { accessor } }";
const SECRET_ID: &str =
    "mutation($input: GenerateSecretIdInput!) { generateSecretId(input: $input) { accessor } }";
const EVERYTHING: &str = "{
  secrets(first: 100) { nodes { path version updatedAt metadata description } }
  policies(first: 100) { nodes { name document updatedAt } }
  roles(first: 100) { nodes { name policies ttlSeconds } } }";

fn row(what: &'static str, query: &'static str, variables: Value, field: &'static str) -> Row {
    Row { what, query, variables, field }
}

fn paths() -> Vec<Row> {
    let long = "a".repeat(501);
    let bad = ["", ".", "a.", ".a", "a..b", "Prod.db", "a b", "a/b", "a.*", "ä.b", "a\u{0}b", "a\nb", &long];
    let mut rows: Vec<Row> = bad
        .iter()
        .map(|path| row("path", PUT, json!({"input": {"path": path, "data": {"k": "v"}}}), "input.path"))
        .collect();
    rows.push(row("path that is a number", PUT, json!({"input": {"path": 7, "data": {}}}), "input.path"));
    rows.push(row(
        "path of a query",
        "query($p: SecretPath!) { secret(path: $p) { id } }",
        json!({"p": "A..b"}),
        "path",
    ));
    rows.push(row(
        "prefix",
        "query($p: SecretPath) { secrets(prefix: $p) { nodes { id } } }",
        json!({"p": "A..b"}),
        "prefix",
    ));
    rows
}

fn documents() -> Vec<Row> {
    let good = || json!({"version": 1, "allowed_secrets": ["a.*"], "allowed_operations": ["read"]});
    let with = |key: &str, value: Value| {
        let mut document = good();
        document[key] = value;
        document
    };
    let when = |key: &str, value: Value| with("conditions", json!({ key: value }));
    [
        ("unknown key", with("allowed_secret", json!(["a.*"]))),
        ("unknown condition", when("moon_phase", json!("full"))),
        ("unknown operation", with("allowed_operations", json!(["peek"]))),
        ("unknown area", with("administers", json!(["everything"]))),
        ("unknown version", with("version", json!(2))),
        ("missing version", json!({"allowed_secrets": ["a.*"], "allowed_operations": ["read"]})),
        ("bad pattern", with("allowed_secrets", json!(["a..b"]))),
        ("patterns of the wrong kind", with("allowed_secrets", json!("a.*"))),
        ("bad network", when("ip_ranges", json!(["10.0.0.0/33"]))),
        ("bad time of day", when("time_of_day", json!("8-25"))),
        ("bad time zone", when("time_zone", json!("Europe/Atlantis"))),
        ("bad day", when("days_of_week", json!(["someday"]))),
        ("bad duration", when("max_ttl", json!("four hours"))),
        ("text for a document", json!("allow all")),
        ("list for a document", json!([])),
        ("null for a document", Value::Null),
    ]
    .into_iter()
    .flat_map(|(what, document)| {
        [
            row(what, POLICY, json!({"input": {"name": "new", "document": document}}), "input.document"),
            row(
                what,
                UPDATE_POLICY,
                json!({"input": {"name": "kept", "document": document}}),
                "input.document",
            ),
        ]
    })
    .collect()
}

fn limits() -> Vec<Row> {
    let year = 365 * 24 * 3600_i64;
    vec![
        row(
            "ttl over the role's maximum",
            ROLE,
            json!({"input": {"name": "r", "policies": ["kept"], "ttlSeconds": 7200, "maxTtlSeconds": 3600}}),
            "input.ttlSeconds",
        ),
        row(
            "negative ttl",
            ROLE,
            json!({"input": {"name": "r", "policies": ["kept"], "ttlSeconds": -1}}),
            "input.ttlSeconds",
        ),
        row(
            "role's maximum over the server's",
            ROLE,
            json!({"input": {"name": "r", "policies": ["kept"], "maxTtlSeconds": 10 * year}}),
            "input.maxTtlSeconds",
        ),
        row(
            "token's ttl over the maximum",
            TOKEN,
            json!({"input": {"policies": ["kept"], "ttlSeconds": 10 * year}}),
            "input.ttlSeconds",
        ),
        row(
            "token's ttl over its own maximum",
            TOKEN,
            json!({"input": {"policies": ["kept"], "ttlSeconds": 7200, "maxTtlSeconds": 3600}}),
            "input.ttlSeconds",
        ),
        row("negative uses", TOKEN, json!({"input": {"policies": ["kept"], "numUses": -1}}), "input.numUses"),
        row(
            "role's network",
            ROLE,
            json!({"input": {"name": "r", "policies": ["kept"], "boundCidrList": ["10.0.0.0/99"]}}),
            "input.boundCidrList",
        ),
        row(
            "token's network",
            TOKEN,
            json!({"input": {"policies": ["kept"], "boundCidrList": ["localhost"]}}),
            "input.boundCidrList",
        ),
        row(
            "SecretID's network",
            SECRET_ID,
            json!({"input": {"roleName": "kept", "boundCidrList": ["1.2.3"]}}),
            "input.boundCidrList",
        ),
        row(
            "SecretID's ttl",
            SECRET_ID,
            json!({"input": {"roleName": "kept", "ttlSeconds": -5}}),
            "input.ttlSeconds",
        ),
        row("page of none", "{ secrets(first: 0) { nodes { id } } }", json!({}), "first"),
        row("page too large", "{ secrets(first: 101) { nodes { id } } }", json!({}), "first"),
        row("cursor", "{ secrets(after: \"nonsense\") { nodes { id } } }", json!({}), "after"),
        row(
            "negative version",
            PUT,
            json!({"input": {"path": "a.kept", "data": {}, "expectedVersion": -1}}),
            "input.expectedVersion",
        ),
    ]
}

fn values_and_ids() -> Vec<Row> {
    let huge = "x".repeat(2 * 1024 * 1024);
    let data = |data: Value| json!({"input": {"path": "a.kept", "data": data}});
    vec![
        row("list for a value", PUT, data(json!([1, 2])), "input.data"),
        row("text for a value", PUT, data(json!("text")), "input.data"),
        row("number for a value", PUT, data(json!(7)), "input.data"),
        row("null for a value", PUT, data(Value::Null), "input.data"),
        row("2 MiB value", PUT, data(json!({"k": huge})), "input.data"),
        row(
            "list for metadata",
            PUT,
            json!({"input": {"path": "a.kept", "data": {}, "metadata": []}}),
            "input.metadata",
        ),
        row(
            "patch that is no object",
            "mutation($input: PatchSecretInput!) { patchSecret(input: $input) { secret { version } } }",
            data(json!([1])),
            "input.data",
        ),
        row(
            "token's accessor",
            "mutation($input: RevokeTokenInput!) { revokeToken(input: $input) { __typename } }",
            json!({"input": {"accessor": "not-a-uuid"}}),
            "input.accessor",
        ),
        row(
            "SecretID's accessor",
            "mutation($input: DestroySecretIdInput!) { destroySecretId(input: $input) { __typename } }",
            json!({"input": {"roleName": "kept", "accessor": "not-a-uuid"}}),
            "input.accessor",
        ),
        row("node id", "{ node(id: \"not-an-id\") { id } }", json!({}), "id"),
        row(
            "sequence number",
            "{ verifyAudit(fromSequence: \"seven\") { valid } }",
            json!({}),
            "fromSequence",
        ),
        row(
            "policy name",
            POLICY,
            json!({"input": {"name": "", "document": {"version": 1, "allowed_secrets": ["a.*"], "allowed_operations": ["read"]}}}),
            "input.name",
        ),
    ]
}

both_stores!(malformed_input);

async fn malformed_input(store: Store) {
    let server = Server::dev(store).await;
    let root = server.root.clone();
    server.put(&root, "a.kept", json!({"k": "v"})).await.ok();
    let document = json!({"version": 1, "allowed_secrets": ["a.*"], "allowed_operations": ["read"]});
    server.create_policy("kept", document).await;
    server.create_role("kept", json!({"policies": ["kept"]})).await;
    let before = server.as_root(EVERYTHING, json!({})).await.ok();
    let mut wrong = Vec::new();
    for row in [paths(), documents(), limits(), values_and_ids()].into_iter().flatten() {
        let reply = server.as_root(row.query, row.variables.clone()).await;
        let field = reply.field().unwrap_or_default();
        // what GraphQL itself refuses, such as null for a non-null field, is named in the message
        let named = field.starts_with(row.field) || reply.message().contains(&format!("\"{}\"", row.field));
        if reply.code() != Some("BAD_USER_INPUT") || !named {
            let input: String = row.variables.to_string().chars().take(160).collect();
            let body: String = reply.body.chars().take(400).collect();
            wrong.push(format!("{} ({input}): wanted {}, got {} {body}", row.what, row.field, reply.status));
        }
    }
    assert!(wrong.is_empty(), "{} rows are wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!(server.as_root(EVERYTHING, json!({})).await.ok(), before, "nothing changed");
    assert_eq!(server.read(&root, "a.kept").await.ok()["secret"]["data"], json!({"k": "v"}));
}
