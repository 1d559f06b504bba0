//! Who may call what: every field and mutation of the schema against every kind of caller.
//!
//! The rows are in `rows.rs`, in an order in which each can succeed. The schema is asked for its fields: one without a row fails.

mod rows;

use crate::certificates::outside::{Outside, csr};
use crate::subscriptions::client::{Event, Events};
use crate::support::plugins::{postgresql_config, postgresql_section};
use crate::support::postgres::PostgresServer;
use crate::support::sql::Sql;
use crate::support::{Options, Reply, Server, Store, text};
use rows::{Right, Row, Want};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The tokens of the callers, and what stands for `{name}` in the rows' queries.
struct Scene {
    server: Server,
    /// Where the engine makes its accounts; it goes with the scene.
    _target: PostgresServer,
    by_right: BTreeMap<String, String>,
    without: String,
    lister: String,
    expired: String,
    revoked: String,
    names: BTreeMap<String, String>,
    /// An authority that is not of this installation.
    outside: Outside,
}

/// A PEM document within a text of a query.
fn inline(pem: &str) -> String {
    pem.replace('\n', "\\n")
}

impl Right {
    fn name(self) -> String {
        match self {
            Self::Nobody | Self::AnyToken => "any".to_owned(),
            Self::Area(area) => format!("area-{area}"),
            Self::Operation(operation) => format!("may-{operation}"),
            Self::Both(operation, area) => format!("may-{operation}-{area}"),
            Self::Areas(one, other) => format!("area-{one}-{other}"),
        }
    }

    /// The least policy that grants it.
    fn document(self) -> Value {
        let secrets = |operation: &str| json!({"version": 1, "allowed_secrets": ["m.*"], "allowed_operations": [operation]});
        match self {
            Self::Nobody | Self::AnyToken => {
                json!({"version": 1, "allowed_secrets": ["unrelated.*"], "allowed_operations": ["read"]})
            }
            Self::Area(area) => json!({"version": 1, "administers": [area]}),
            Self::Areas(one, other) => json!({"version": 1, "administers": [one, other]}),
            Self::Operation(operation) => secrets(operation),
            Self::Both(operation, area) => {
                let mut document = secrets(operation);
                document["administers"] = json!([area]);
                document
            }
        }
    }
}

async fn node_id(server: &Server, query: &str, pointer: &str) -> String {
    text(&server.as_root(query, json!({})).await.ok(), pointer).to_owned()
}

/// An engine, a role and a lease of root's; what stands for them in the rows.
async fn set_engine(server: &Server, target: &PostgresServer) -> Vec<(&'static str, String)> {
    Sql::open(&target.url()).await.run("CREATE ROLE m_account LOGIN").await;
    let config = postgresql_config(&target.url(), "secrethub", "m-password");
    let port = config["port"].to_string();
    let enable = "mutation($input: EnableEngineInput!) { enableEngine(input: $input) { engine { id } } }";
    let input = json!({"name": "m-engine", "kind": "postgresql", "config": config});
    let engine = server.as_root(enable, json!({ "input": input })).await.ok();
    let role = "mutation { putEngineRole(input: {path: \"m.dynamic\", engine: \"m-engine\", config: {groups: [\"pg_monitor\"]}}) {
        secret { engineRole { id } } } }";
    let role = server.as_root(role, json!({})).await.ok();
    let issue = "mutation { issueCredentials(input: {path: \"m.dynamic\"}) { lease { id leaseId } } }";
    let lease = server.as_root(issue, json!({})).await.ok();
    vec![
        ("port", port),
        ("engine_node", text(&engine, "/enableEngine/engine/id").to_owned()),
        ("engine_role_node", text(&role, "/putEngineRole/secret/engineRole/id").to_owned()),
        ("lease_node", text(&lease, "/issueCredentials/lease/id").to_owned()),
        ("root_lease", text(&lease, "/issueCredentials/lease/leaseId").to_owned()),
    ]
}

impl Scene {
    async fn set(store: Store) -> Self {
        let target = tokio::task::spawn_blocking(PostgresServer::start).await.unwrap();
        let options = Options { shares: (1, 1), config: postgresql_section(), ..Options::server() };
        let mut server = Server::start(store, options).await;
        server.initialize().await;
        server.unseal().await;
        let root = server.root.clone();
        server.put(&root, "m.secret", json!({"k": "one"})).await.ok();
        server.put(&root, "m.secret", json!({"k": "two"})).await.ok();
        let mut by_right = BTreeMap::new();
        for right in rows::all().iter().map(|row| row.right) {
            let name = right.name();
            if by_right.contains_key(&name) {
                continue;
            }
            server.create_policy(&name, right.document()).await;
            by_right.insert(name.clone(), server.token_with(&[&name], json!({})).await);
        }
        let none = json!({"version": 1, "allowed_secrets": ["unrelated.*"], "allowed_operations": ["read", "write", "list", "delete"]});
        server.create_policy("none", none).await;
        let list = json!({"version": 1, "allowed_secrets": ["m.*"], "allowed_operations": ["list"]});
        server.create_policy("lister", list).await;
        let role_id = server.create_role("m-role", json!({"policies": ["none"]})).await;
        let (secret_id, _) = server.generate_secret_id("m-role", json!({})).await;
        let made = server
            .as_root("mutation { createToken(input: {policies: [\"none\"]}) { accessor } }", json!({}))
            .await
            .ok();
        let victim = text(&made, "/createToken/accessor").to_owned();
        let revoked = server.token_with(&["root"], json!({})).await;
        let revoke = "mutation($token: String) { revokeToken(input: {token: $token}) { revoked } }";
        server.as_root(revoke, json!({"token": revoked})).await.ok();
        let mut names = set_engine(&server, &target).await;
        let outside = Outside::new();
        names.extend([
            ("csr", inline(&csr("/CN=m.example", &[]))),
            ("outside", inline(&outside.certificate)),
            ("outside_key", inline(&outside.key)),
            ("role_id", role_id),
            ("secret_id", secret_id),
            ("share", server.shares[0].clone()),
            ("secret_node", node_id(&server, "{ secret(path: \"m.secret\") { id } }", "/secret/id").await),
            ("policy_node", node_id(&server, "{ policy(name: \"none\") { id } }", "/policy/id").await),
            ("role_node", node_id(&server, "{ role(name: \"m-role\") { id } }", "/role/id").await),
            (
                "token_node",
                node_id(&server, &format!("{{ token(accessor: \"{victim}\") {{ id }} }}"), "/token/id").await,
            ),
            (
                "event_node",
                node_id(&server, "{ auditEvents(first: 1) { nodes { id } } }", "/auditEvents/nodes/0/id")
                    .await,
            ),
            ("victim", victim),
        ]);
        let scene = Self {
            by_right,
            without: server.token_with(&["none"], json!({})).await,
            lister: server.token_with(&["lister"], json!({})).await,
            expired: server.token_with(&["root"], json!({"ttlSeconds": 1})).await,
            revoked,
            names: names.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            server,
            outside,
            _target: target,
        };
        tokio::time::sleep(Duration::from_millis(1200)).await;
        scene
    }

    fn query(&self, row: &Row) -> String {
        self.names
            .iter()
            .fold(row.query.to_owned(), |query, (name, value)| query.replace(&format!("<{name}>"), value))
    }

    async fn ask(&self, row: &Row, token: Option<&str>, want: Want) -> Reply {
        let query = self.query(row);
        if query.starts_with("subscription") {
            // silence is waited for where it is wanted only
            let patience = Duration::from_secs(if want == Want::Null { 2 } else { 18 });
            return first_event(&self.server, token, &query, patience).await;
        }
        self.server.graphql(token, &query, json!({})).await
    }

    /// Remembers what later rows need of this row's answer.
    fn learn(&mut self, reply: &Reply) {
        for (pointer, name) in [
            ("/submitRekeyShare/shares/0", "new_share"),
            ("/generateSecretId/accessor", "accessor"),
            ("/issueCredentials/lease/leaseId", "lease"),
            ("/createRootCa/certificate/serialNumber", "ca"),
            ("/requestIntermediateCa/requestId", "request"),
            ("/issueCertificate/certificate/serialNumber", "serial"),
            ("/issueCertificate/certificate/id", "certificate_node"),
            ("/signCertificate/enrollment/enrollmentId", "enrollment"),
            ("/signCertificate/enrollment/id", "enrollment_node"),
            ("/putCertificateRole/role/id", "certificate_role_node"),
            ("/authorities/nodes/0/id", "authority_node"),
        ] {
            if let Some(value) = reply.data.pointer(pointer).and_then(Value::as_str) {
                self.names.insert(name.to_owned(), value.to_owned());
            }
        }
        if let Some(csr) = reply.data.pointer("/requestIntermediateCa/csrPem").and_then(Value::as_str) {
            self.names.insert("below".to_owned(), inline(&self.outside.sign_authority(csr)));
        }
    }
}

/// The first that a subscription tells; if nothing, a reply in which it is null.
async fn first_event(server: &Server, token: Option<&str>, query: &str, patience: Duration) -> Reply {
    let mut events = Events::open(server, token, query, json!({})).await;
    let mut result = match tokio::time::timeout(patience, events.event()).await {
        Ok(Event::Next(result)) => result,
        Ok(other) => panic!("{query}: {other:?}"),
        Err(_) => json!({"data": {"silence": null}}),
    };
    let body = result.to_string();
    let errors = result["errors"].as_array().cloned().unwrap_or_default();
    Reply { status: 200, data: result["data"].take(), errors, body }
}

/// What is wrong with a reply, if anything.
fn problem(reply: &Reply, want: Want) -> Option<String> {
    let value = reply.data.as_object().and_then(|fields| fields.values().next()).unwrap_or(&Value::Null);
    let as_wanted = match want {
        Want::Ok => reply.is_ok() && !value.is_null(),
        Want::Null => reply.is_ok() && value.is_null(),
        Want::Empty => reply.is_ok() && value["nodes"] == json!([]),
        Want::Code(code) => reply.code() == Some(code),
    };
    (!as_wanted).then(|| format!("wanted {want:?}, got {} {}", reply.status, reply.body))
}

both_stores!(every_field_and_caller);

async fn every_field_and_caller(store: Store) {
    let mut scene = Scene::set(store).await;
    let rows = rows::all();
    let mut wrong = Vec::new();
    for row in &rows {
        let refused = if row.right == Right::Nobody { row.open } else { Want::Code("UNAUTHENTICATED") };
        let without = match row.right {
            Right::Nobody => row.open,
            Right::AnyToken => Want::Ok,
            _ => row.without,
        };
        let mut callers = vec![
            ("anonymous", None, refused),
            ("an unknown token", Some("shub_nobody-has-this-token".to_owned()), refused),
            ("an expired token", Some(scene.expired.clone()), refused),
            ("a revoked token", Some(scene.revoked.clone()), refused),
        ];
        // what any token may do is done once, by the token below
        if !matches!(row.right, Right::AnyToken | Right::Nobody) {
            callers.push(("a token without the right", Some(scene.without.clone()), without));
        }
        if let Some(want) = row.lister {
            callers.push(("a token that may list only", Some(scene.lister.clone()), want));
        }
        if let Right::Areas(one, other) = row.right {
            for area in [one, other] {
                callers.push((
                    "a token with one of two areas",
                    Some(scene.by_right[&Right::Area(area).name()].clone()),
                    without,
                ));
            }
        }
        if row.right != Right::Nobody {
            callers.push((
                "a token with the right",
                Some(scene.by_right[&row.right.name()].clone()),
                row.granted,
            ));
        }
        for (caller, token, want) in callers {
            let reply = scene.ask(row, token.as_deref(), want).await;
            scene.learn(&reply);
            if let Some(problem) = problem(&reply, want) {
                wrong.push(format!("{} by {caller}: {problem}", row.field));
            }
        }
    }
    // the last row sealed the server
    for row in &rows {
        let want = if row.right == Right::Nobody { row.sealed } else { Want::Code("SEALED") };
        let root = scene.server.root.clone();
        let reply = scene.ask(row, Some(&root), want).await;
        if let Some(problem) = problem(&reply, want) {
            wrong.push(format!("{} on a sealed server: {problem}", row.field));
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.join("\n"));
}

const FIELDS: &str = "{ __schema { queryType { name } mutationType { name } subscriptionType { name } types {
  kind name fields(includeDeprecated: true) { name args { name } } } } }";

/// The fields that ask the service for something: those of the roots, and those of objects that take arguments.
async fn fields_of_the_schema(server: &Server) -> BTreeSet<String> {
    let schema = server.as_root(FIELDS, json!({})).await.ok()["__schema"].take();
    let roots: Vec<&str> = ["queryType", "mutationType", "subscriptionType"]
        .iter()
        .filter_map(|root| schema[root]["name"].as_str())
        .collect();
    let mut fields = BTreeSet::new();
    for kind in schema["types"].as_array().unwrap() {
        let name = text(kind, "/name");
        if kind["kind"] != json!("OBJECT") || name.starts_with("__") {
            continue;
        }
        for field in kind["fields"].as_array().unwrap() {
            let takes_arguments = field["args"].as_array().is_some_and(|arguments| !arguments.is_empty());
            if roots.contains(&name) || takes_arguments {
                fields.insert(format!("{name}.{}", text(field, "/name")));
            }
        }
    }
    fields
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_field_has_a_row() {
    let server = Server::dev(Store::Sqlite).await;
    let fields = fields_of_the_schema(&server).await;
    let rows: BTreeSet<String> = rows::all().iter().map(|row| row.field.to_owned()).collect();
    let missing: Vec<_> = fields.difference(&rows).collect();
    let stale: Vec<_> = rows.difference(&fields).collect();
    assert!(missing.is_empty(), "fields without a row in tests/it/matrix/rows.rs: {missing:?}");
    assert!(stale.is_empty(), "rows of fields that are not there: {stale:?}");
}
