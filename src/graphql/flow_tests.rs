//! The schema over a running node: what is put in comes out, and failures carry code and field.

use super::*;
use crate::crypto::memory::Key32;
use crate::model::clock::SystemClock;
use crate::service::context::{OpContext, Origin};
use crate::service::{App, HostIdentity, Limits, Settings};
use crate::storage::db::StoreUrl;
use async_graphql::parser::parse_query;
use async_graphql::{Request, Variables};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Instant;

struct Node {
    app: Arc<App>,
    schema: ApiSchema,
    token: Option<String>,
    _directory: tempfile::TempDir,
}

impl Node {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = format!("sqlite://{}", directory.path().join("store.db").display());
        let settings = Settings {
            store: StoreUrl::parse(&store).unwrap(),
            max_connections: 4,
            cluster_name: "test".to_owned(),
            static_seal: Some(Key32::generate()),
            host: HostIdentity::default(),
            limits: Limits::default(),
            cache_bytes: 1 << 20,
            partitions_ahead: 1,
            engines: crate::engine::EngineSettings::default(),
            pki: crate::service::certificates::PkiSettings::default(),
            rates: crate::service::rate::RateSettings::default(),
        };
        let app = App::start(settings, Arc::new(SystemClock)).await.unwrap();
        let mut node =
            Self { app, schema: schema(SchemaOptions::default()), token: None, _directory: directory };
        let made =
            node.data("mutation { initialize(input: { shares: 1, threshold: 1 }) { rootToken } }").await;
        node.token = made["initialize"]["rootToken"].as_str().map(str::to_owned);
        node
    }

    async fn run(&self, token: Option<&str>, query: &str, variables: Value) -> Value {
        let origin = Origin {
            source_ip: Some([127, 0, 0, 1].into()),
            request_id: "r-1".to_owned(),
            correlation_id: None,
            certificate: None,
            started: Instant::now(),
        };
        let request = Request::new(query).variables(Variables::from_json(variables)).data(OpContext::new(
            Arc::clone(&self.app),
            token,
            origin,
        ));
        let mut response = self.schema.execute(request).await;
        nulls::complete(&parse_query(query).unwrap(), None, &mut response);
        serde_json::to_value(response).unwrap()
    }

    async fn data_with(&self, query: &str, variables: Value) -> Value {
        let answer = self.run(self.token.as_deref(), query, variables).await;
        assert_eq!(answer.get("errors"), None, "{query}: {answer}");
        answer["data"].clone()
    }

    async fn data(&self, query: &str) -> Value {
        self.data_with(query, json!({})).await
    }

    /// Code and field of the one error.
    async fn refusal(&self, token: Option<&str>, query: &str) -> (String, Value) {
        let answer = self.run(token, query, json!({})).await;
        let extensions = &answer["errors"][0]["extensions"];
        let code = extensions["code"].as_str().unwrap_or_else(|| panic!("{query}: {answer}"));
        (code.to_owned(), extensions["field"].clone())
    }

    async fn events(&self, event_type: &str) -> usize {
        let query =
            "query ($t: [String!]) { auditEvents(filter: { eventTypes: $t }, first: 100) { nodes { id } } }";
        let data = self.data_with(query, json!({ "t": [event_type] })).await;
        data["auditEvents"]["nodes"].as_array().unwrap().len()
    }
}

const PUT: &str = "mutation ($input: PutSecretInput!) { putSecret(input: $input) { secret { id version } } }";

#[tokio::test]
async fn a_secret_goes_in_and_comes_out() {
    let node = Node::start().await;
    let value = json!({ "password": "hunter2", "port": 5432, "nested": { "list": [1, null, "x"] } });
    let put = node
        .data_with(PUT, json!({ "input": { "path": "prod.db", "data": value, "expectedVersion": 0 } }))
        .await;
    assert_eq!(put["putSecret"]["secret"]["version"], 1);

    let got = node
        .data(r#"{ secret(path: "prod.db") { id type version data metadata rotation { enabled } } }"#)
        .await;
    assert_eq!(got["secret"]["data"], value);
    assert_eq!(got["secret"]["type"], "STATIC");
    assert_eq!(got["secret"]["id"], put["putSecret"]["secret"]["id"]);

    let node_query = "query ($id: ID!) { node(id: $id) { id ... on Secret { path data(version: 1) } } }";
    let by_id = node.data_with(node_query, json!({ "id": got["secret"]["id"] })).await;
    assert_eq!(by_id["node"]["path"], "prod.db");
    assert_eq!(by_id["node"]["data"], value);
    let unknown = node.data(r#"{ node(id: "secret:00000000-0000-0000-0000-000000000007") { id } }"#).await;
    assert_eq!(unknown["node"], Value::Null);

    let listed = node
        .data(r#"{ secrets(prefix: "prod", last: 10) { nodes { path } pageInfo { hasNextPage } } }"#)
        .await;
    assert_eq!(listed["secrets"]["nodes"], json!([{ "path": "prod.db" }]));
    let chain = node.data("{ verifyAudit { valid checked } }").await;
    assert_eq!(chain["verifyAudit"]["valid"], true);
}

#[tokio::test]
async fn a_value_is_recorded_as_read_once_and_only_if_it_is_in_the_answer() {
    let node = Node::start().await;
    node.data_with(PUT, json!({ "input": { "path": "a.b", "data": { "k": "v" } } })).await;
    for (query, reads) in [
        (r#"{ secret(path: "a.b") { version } }"#, 0),
        (r#"{ secret(path: "a.b") { version data @skip(if: true) } }"#, 0),
        (r#"{ secret(path: "a.b") { version data } }"#, 1),
        (r#"{ secret(path: "a.b") { ...F } } fragment F on Secret { data }"#, 1),
        (r#"{ secret(path: "a.b") { data(version: 1) } }"#, 1),
        (r#"{ secret(path: "a.b") { data @include(if: true) } }"#, 1),
    ] {
        let before = node.events("secret.accessed").await;
        node.data(query).await;
        assert_eq!(node.events("secret.accessed").await - before, reads, "{query}");
    }
}

#[tokio::test]
async fn failures_carry_code_and_field() {
    let node = Node::start().await;
    let root = node.token.as_deref();
    for (token, query, code, field) in [
        (None, "{ me { displayName } }", "UNAUTHENTICATED", Value::Null),
        (root, r#"{ node(id: "secret:7") { id } }"#, "BAD_USER_INPUT", json!("id")),
        (root, r#"{ secret(path: "A b") { id } }"#, "BAD_USER_INPUT", json!("path")),
        (root, "{ secrets(first: 1000) { nodes { id } } }", "BAD_USER_INPUT", json!("first")),
        (root, "{ secrets(first: 1, last: 1) { nodes { id } } }", "BAD_USER_INPUT", json!("first")),
        (
            root,
            r#"{ auditEvents(filter: { sourceIp: "x" }) { nodes { id } } }"#,
            "BAD_USER_INPUT",
            json!("filter.sourceIp"),
        ),
        (root, r#"{ auditEvents(after: "x") { nodes { id } } }"#, "BAD_USER_INPUT", json!("after")),
        (
            root,
            r#"mutation { putSecret(input: { path: "A", data: {} }) { secret { id } } }"#,
            "BAD_USER_INPUT",
            json!("input.path"),
        ),
        (
            root,
            r#"{ verifyAudit(fromSequence: "seven") { valid } }"#,
            "BAD_USER_INPUT",
            json!("fromSequence"),
        ),
        (
            root,
            r#"{ auditEvents(filter: { from: "today" }) { nodes { id } } }"#,
            "BAD_USER_INPUT",
            json!("filter.from"),
        ),
        (
            root,
            r#"mutation { putSecret(input: { path: "a", data: [] }) { secret { id } } }"#,
            "BAD_USER_INPUT",
            json!("input.data"),
        ),
        (
            root,
            r#"mutation { rollbackSecret(input: { path: "a", toVersion: 0 }) { secret { id } } }"#,
            "BAD_USER_INPUT",
            json!("input.toVersion"),
        ),
        (
            root,
            r#"mutation { deleteSecret(input: { path: "no.such" }) { secret { id } } }"#,
            "NOT_FOUND",
            Value::Null,
        ),
        (
            root,
            r#"mutation { createPolicy(input: { name: "p", document: { version: 2 } }) { policy { id } } }"#,
            "BAD_USER_INPUT",
            json!("input.document.version"),
        ),
        (
            root,
            r#"mutation { loginWithAppRole(input: { roleId: "x", secretId: "y" }) { token } }"#,
            "BAD_USER_INPUT",
            json!("input.roleId"),
        ),
        (
            root,
            r#"mutation { loginWithAppRole(input: { roleId: "6b8bfa3d-33c5-4b26-8f7a-5c36c9f2a1de", secretId: "y" }) { token } }"#,
            "UNAUTHENTICATED",
            Value::Null,
        ),
    ] {
        assert_eq!(node.refusal(token, query).await, (code.to_owned(), field), "{query}");
    }
}

#[tokio::test]
async fn a_role_logs_in_with_what_its_policy_allows() {
    let node = Node::start().await;
    node.data_with(PUT, json!({ "input": { "path": "shop.key", "data": { "k": "v" } } })).await;
    let document = json!({ "version": 1, "allowed_secrets": ["shop.*"], "allowed_operations": ["list"] });
    let policy = "mutation ($d: JSON!) { createPolicy(input: { name: \"shop\", document: $d }) { policy { id document } } }";
    node.data_with(policy, json!({ "d": document })).await;
    let role = node.data(r#"mutation { createRole(input: { name: "shop", policies: ["shop"] }) { role { roleId enabled } } }"#).await;
    let made = node
        .data(
            r#"mutation { generateSecretId(input: { roleName: "shop", numUses: 1 }) { secretId numUses } }"#,
        )
        .await;
    let login = "mutation ($r: ID!, $s: String!) { loginWithAppRole(input: { roleId: $r, secretId: $s }) { token policies accessor } }";
    let variables =
        json!({ "r": role["createRole"]["role"]["roleId"], "s": made["generateSecretId"]["secretId"] });
    let login = node.data_with(login, variables).await;
    let token = login["loginWithAppRole"]["token"].as_str();

    let me = node.run(token, "{ me { policies entity } sealStatus { sealed } }", json!({})).await;
    assert_eq!(me["data"]["me"], json!({ "policies": ["shop"], "entity": "role:shop" }));
    let seen = node
        .run(
            token,
            r#"{ secret(path: "shop.key") { version data } hidden: secret(path: "prod.db") { id } }"#,
            json!({}),
        )
        .await;
    assert_eq!(seen["data"], json!({ "secret": { "version": 1, "data": null }, "hidden": null }));
    assert_eq!(seen["errors"][0]["extensions"]["code"], "FORBIDDEN");
    let why = node
        .run(
            token,
            r#"{ explainAccess(input: { path: "shop.key", operation: READ }) { allowed missing } }"#,
            json!({}),
        )
        .await;
    assert_eq!(why["data"]["explainAccess"]["allowed"], false);
    assert_eq!(node.refusal(token, "{ policies { nodes { name } } }").await.0, "FORBIDDEN");

    let renewed = node.run(token, "mutation { renewToken(input: {}) { token accessor } }", json!({})).await;
    assert_eq!(renewed["data"]["renewToken"]["token"], Value::Null);
    let ended = node.run(token, "mutation { revokeToken(input: {}) { revoked } }", json!({})).await;
    assert_eq!(ended["data"]["revokeToken"]["revoked"], 1);
    assert_eq!(node.refusal(token, "{ me { displayName } }").await.0, "UNAUTHENTICATED");
}

#[tokio::test]
async fn a_request_is_rejected_once_on_the_record() {
    let node = Node::start().await;
    let before = node.events("auth.failed").await;
    let many = "{ a: me { displayName } b: me { displayName } secret(path: \"a.b\") { id } }";
    for (number, token) in [None, Some("shub_unknown")].into_iter().enumerate() {
        let answer = node.run(token, many, json!({})).await;
        let errors = answer["errors"].as_array().unwrap();
        assert!(!errors.is_empty(), "{answer}");
        for error in errors {
            assert_eq!(error["extensions"]["code"], "UNAUTHENTICATED", "{answer}");
        }
        assert_eq!(node.events("auth.failed").await, before + number + 1);
    }
    let one_by_one =
        "mutation { a: revokeToken(input: {}) { revoked } b: revokeToken(input: {}) { revoked } }";
    assert_eq!(node.refusal(None, one_by_one).await.0, "UNAUTHENTICATED");
    assert_eq!(node.events("auth.failed").await, before + 3);
}
