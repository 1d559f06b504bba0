//! Calls over HTTP: GraphQL, the `/v1` doors, and the mutations that most tests make.

use super::server::Server;
use super::text;
use serde_json::{Value, json};

/// An answer of `/graphql`.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub data: Value,
    pub errors: Vec<Value>,
    /// The whole answer as it came.
    pub body: String,
}

impl Reply {
    fn read(status: u16, body: String) -> Self {
        let mut document: Value = serde_json::from_str(&body).unwrap_or(Value::Null);
        let errors = document["errors"].as_array().cloned().unwrap_or_default();
        Self { status, data: document["data"].take(), errors, body }
    }

    /// `extensions.code` of the first error.
    pub fn code(&self) -> Option<&str> {
        self.errors.first()?.pointer("/extensions/code")?.as_str()
    }

    /// `extensions.field` of the first error.
    pub fn field(&self) -> Option<&str> {
        self.errors.first()?.pointer("/extensions/field")?.as_str()
    }

    pub fn message(&self) -> &str {
        self.errors.first().and_then(|error| error["message"].as_str()).unwrap_or_default()
    }

    pub fn is_ok(&self) -> bool {
        self.errors.is_empty() && self.data.is_object()
    }

    /// The data of an answer that must have no errors.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert!(self.is_ok(), "status {}: {}", self.status, self.body);
        self.data
    }

    #[track_caller]
    pub fn refused(&self, code: &str) {
        assert_eq!(self.code(), Some(code), "status {}: {}", self.status, self.body);
    }
}

pub const PUT: &str =
    "mutation($input: PutSecretInput!) { putSecret(input: $input) { secret { path version } } }";
pub const READ: &str = "query($path: SecretPath!, $version: Int) {
  secret(path: $path) { path version data(version: $version) } }";
pub const LOGIN: &str = "mutation($input: LoginWithAppRoleInput!) {
  loginWithAppRole(input: $input) { token accessor expiresAt policies } }";
const VERIFY: &str = "{ verifyAudit { valid checked firstBadSequence problem } }";

impl Server {
    /// Sends a GraphQL request; panics only when there is no answer at all.
    pub async fn graphql(&self, token: Option<&str>, query: &str, variables: Value) -> Reply {
        self.try_graphql(token, query, variables).await.expect("the server answers")
    }

    /// The same; `None` when the connection broke, as it does when the server is killed.
    pub async fn try_graphql(&self, token: Option<&str>, query: &str, variables: Value) -> Option<Reply> {
        graphql_at(&self.http, &self.address(), token, query, variables).await
    }

    /// A `/v1` door: status and JSON body (null if it is none).
    pub async fn door(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<Value>,
    ) -> (u16, Value) {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self.http.request(method, format!("{}{path}", self.address()));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("the server answers");
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap_or_default();
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    /// As the root token.
    pub async fn as_root(&self, query: &str, variables: Value) -> Reply {
        self.graphql(Some(&self.root), query, variables).await
    }

    pub async fn put(&self, token: &str, path: &str, data: Value) -> Reply {
        self.graphql(Some(token), PUT, json!({"input": {"path": path, "data": data}})).await
    }

    pub async fn put_expecting(&self, token: &str, path: &str, data: Value, version: i64) -> Reply {
        let input = json!({"path": path, "data": data, "expectedVersion": version});
        self.graphql(Some(token), PUT, json!({"input": input})).await
    }

    pub async fn read(&self, token: &str, path: &str) -> Reply {
        self.graphql(Some(token), READ, json!({"path": path})).await
    }

    pub async fn read_version(&self, token: &str, path: &str, version: i64) -> Reply {
        self.graphql(Some(token), READ, json!({"path": path, "version": version})).await
    }

    /// Makes a policy, as root.
    pub async fn create_policy(&self, name: &str, document: Value) {
        self.as_root(
            "mutation($input: PolicyInput!) { createPolicy(input: $input) { policy { name } } }",
            json!({"input": {"name": name, "document": document}}),
        )
        .await
        .ok();
    }

    /// Makes a role with these fields beside its name, as root; its role id.
    pub async fn create_role(&self, name: &str, fields: Value) -> String {
        let mut input = fields;
        input["name"] = json!(name);
        let made = self
            .as_root(
                "mutation($input: RoleInput!) { createRole(input: $input) { role { roleId } } }",
                json!({"input": input}),
            )
            .await
            .ok();
        text(&made, "/createRole/role/roleId").to_owned()
    }

    /// A new SecretID of a role, as root: the SecretID and its accessor.
    pub async fn generate_secret_id(&self, role: &str, fields: Value) -> (String, String) {
        let mut input = fields;
        input["roleName"] = json!(role);
        let made = self
            .as_root(
                "mutation($input: GenerateSecretIdInput!) { generateSecretId(input: $input) { secretId accessor } }",
                json!({"input": input}),
            )
            .await
            .ok();
        let made = &made["generateSecretId"];
        (text(made, "/secretId").to_owned(), text(made, "/accessor").to_owned())
    }

    pub async fn login(&self, role_id: &str, secret_id: &str) -> Reply {
        self.graphql(None, LOGIN, json!({"input": {"roleId": role_id, "secretId": secret_id}})).await
    }

    /// A token of the policies named, as root; with these fields of `CreateTokenInput` beside.
    pub async fn token_with(&self, policies: &[&str], fields: Value) -> String {
        let mut input = fields;
        input["policies"] = json!(policies);
        let made = self
            .as_root(
                "mutation($input: CreateTokenInput!) { createToken(input: $input) { token } }",
                json!({"input": input}),
            )
            .await
            .ok();
        text(&made, "/createToken/token").to_owned()
    }

    /// `verifyAudit` over everything.
    pub async fn verify_audit(&self) -> Value {
        self.as_root(VERIFY, json!({})).await.ok()["verifyAudit"].take()
    }

    /// Fails unless the audit log verifies and its sequence has no gap, by the server's word and by counting rows.
    pub async fn audit_is_whole(&self) {
        let verified = self.verify_audit().await;
        assert_eq!(verified["valid"], json!(true), "{verified}");
        let mut sql = super::sql::Sql::open(&self.database.url).await;
        // in one statement: a server at work adds events between two
        let numbers = "SELECT CAST(count(*) AS TEXT), CAST(count(DISTINCT sequence_number) AS TEXT), \
            CAST(min(sequence_number) AS TEXT), CAST(max(sequence_number) AS TEXT) FROM audit_logs";
        let row = sql.rows(numbers).await.remove(0);
        let numbers: Vec<i64> =
            row.iter().map(|number| number.as_deref().unwrap().parse().unwrap()).collect();
        let rows = numbers[0];
        assert_eq!(numbers, [rows, rows, 1, rows], "the sequence has a gap or a repetition");
    }
}

/// A GraphQL request to any address; `None` when no whole answer came.
pub async fn graphql_at(
    http: &reqwest::Client,
    address: &str,
    token: Option<&str>,
    query: &str,
    variables: Value,
) -> Option<Reply> {
    let mut request =
        http.post(format!("{address}/graphql")).json(&json!({"query": query, "variables": variables}));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.ok()?;
    let status = answer.status().as_u16();
    Some(Reply::read(status, answer.text().await.ok()?))
}
