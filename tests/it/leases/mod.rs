//! Engines and leases on real targets: what is issued works, and is gone when its lease is, whatever happens in between.

mod crash;
mod drift;
mod ending;
mod following;
mod limits;
mod many;
mod midway;
mod nodes;
mod objects;
mod outage;
mod own_secret;
mod refusals;
mod renewing;

use crate::support::postgres::{PASSWORD, PostgresServer};
use crate::support::redis::{self, RedisServer};
use crate::support::server::program;
use crate::support::{Options, Reply, Server, Store, text};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Executor};
use std::time::{Duration, Instant};

/// The group that the tests' roles make members of.
const GROUP: &str = "app_readonly";
/// Where the tests' roles are.
const PG: &str = "prod.db.main";
const REDIS: &str = "prod.cache.main";

const LEASE: &str = "leaseId state issuedAt expiresAt maxExpiresAt ttlSeconds renewedCount overdueSeconds \
                     lastRevocationError revocationReason revokedAt handle renewable";

/// A PostgreSQL server that engines make accounts on.
struct Postgres {
    server: PostgresServer,
}

impl Postgres {
    async fn start() -> Self {
        let server = tokio::task::spawn_blocking(PostgresServer::start_as_target).await.unwrap();
        let target = Self { server };
        target.run(&format!("CREATE ROLE {GROUP} NOLOGIN")).await;
        target
    }

    fn options(&self, user: &str, password: &str, database: &str) -> PgConnectOptions {
        let options = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(self.server.port());
        options.username(user).password(password).database(database)
    }

    /// A session, if it gets in.
    async fn login(&self, user: &str, password: &str, database: &str) -> sqlx::Result<PgConnection> {
        self.options(user, password, database).connect().await
    }

    async fn admin(&self) -> PgConnection {
        self.login("secrethub", PASSWORD, "postgres").await.expect("the target answers")
    }

    /// Statements of the target's own administrator.
    async fn run(&self, sql: &str) {
        let mut session = self.admin().await;
        session.execute(sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))).await.unwrap();
    }

    async fn texts(&self, sql: &str) -> Vec<String> {
        let mut session = self.admin().await;
        sqlx::query_scalar(AssertSqlSafe(sql.to_owned())).fetch_all(&mut session).await.unwrap()
    }

    /// Names of the accounts that engines made.
    async fn users(&self) -> Vec<String> {
        self.texts("SELECT rolname::text FROM pg_roles WHERE rolname LIKE '%sh%' AND rolname <> 'secrethub' ORDER BY 1").await
    }

    /// Whether credentials get in.
    async fn works(&self, credentials: &Value) -> bool {
        let (user, password) = (text(credentials, "/username"), text(credentials, "/password"));
        self.login(user, password, "postgres").await.is_ok()
    }

    fn config(&self) -> Value {
        json!({
            "host": "127.0.0.1", "port": self.server.port(), "username": "secrethub", "password": PASSWORD,
            "tls": "disable", "connect_timeout_seconds": 15, "statement_timeout_seconds": 30
        })
    }

    /// For a target that is to fail for want of an answer.
    fn impatient_config(&self) -> Value {
        let mut config = self.config();
        config["connect_timeout_seconds"] = json!(2);
        config["statement_timeout_seconds"] = json!(5);
        config
    }
}

fn redis_config(server: &RedisServer) -> Value {
    json!({ "nodes": [{ "host": "127.0.0.1", "port": server.port() }], "password": redis::PASSWORD })
}

/// The configuration of a server in server mode that may load the plugins beside the program.
fn plugins() -> String {
    let listed = ["postgresql", "redis"].map(|kind| {
        let file = program().with_file_name(format!("libsecrethub_engine_{kind}.so"));
        let bytes = std::fs::read(&file).expect("the plugins are built: run 'cargo build --workspace' first");
        let hash = data_encoding::HEXLOWER.encode(&Sha256::digest(bytes));
        format!("[[engines.plugins]]\nfile = {:?}\nsha256 = \"{hash}\"\n", file.display().to_string())
    });
    format!("[engines]\nsandbox = \"required\"\n\n{}", listed.concat())
}

/// A server in server mode with the plugins, initialised and unsealed.
async fn server_with_plugins(store: Store) -> Server {
    let mut server = Server::start(store, Options { config: plugins(), ..Options::server() }).await;
    server.initialize().await;
    server.unseal().await;
    server
}

/// A server in dev mode and a PostgreSQL target, with an engine `main` and a role at [`PG`].
async fn dev_with_postgres() -> (Server, Postgres) {
    dev_with(Postgres::config).await
}

async fn dev_with_impatient_postgres() -> (Server, Postgres) {
    dev_with(Postgres::impatient_config).await
}

async fn dev_with(config: fn(&Postgres) -> Value) -> (Server, Postgres) {
    let (server, target) = tokio::join!(Server::dev(Store::Sqlite), Postgres::start());
    server.enable("main", "postgresql", config(&target)).await;
    server.put_role(PG, "main", json!({})).await.ok();
    (server, target)
}

/// What an engine's role may be given beside its path, engine and configuration.
fn group_role() -> Value {
    json!({ "groups": [GROUP] })
}

fn redis_role() -> Value {
    json!({ "rules": ["~app:*", "+@read", "+ping"] })
}

impl Server {
    async fn enable(&self, name: &str, kind: &str, config: Value) {
        let input = json!({ "name": name, "kind": kind, "config": config });
        self.enable_with(input).await.ok();
    }

    async fn enable_with(&self, input: Value) -> Reply {
        let query =
            "mutation($input: EnableEngineInput!) { enableEngine(input: $input) { engine { name config } } }";
        self.as_root(query, json!({ "input": input })).await
    }

    /// A role of the group, with these fields of `EngineRoleInput`.
    async fn put_role(&self, path: &str, engine: &str, fields: Value) -> Reply {
        let mut input = json!({ "path": path, "engine": engine, "config": group_role() });
        for (key, value) in fields.as_object().unwrap() {
            input[key] = value.clone();
        }
        let query = "mutation($input: EngineRoleInput!) { putEngineRole(input: $input) { secret { path } } }";
        self.as_root(query, json!({ "input": input })).await
    }

    /// Sends a mutation of the form `name(input: $input) { fields }`.
    async fn mutate(&self, token: &str, name: &str, kind: &str, input: Value, fields: &str) -> Reply {
        self.try_mutate(token, name, kind, input, fields).await.expect("the server answers")
    }

    /// The same; `None` if the server ended meanwhile.
    async fn try_mutate(
        &self,
        token: &str,
        name: &str,
        kind: &str,
        input: Value,
        fields: &str,
    ) -> Option<Reply> {
        let query = format!("mutation($input: {kind}!) {{ {name}(input: $input) {{ {fields} }} }}");
        self.try_graphql(Some(token), &query, json!({ "input": input })).await
    }

    async fn try_issue(&self, token: &str, input: Value) -> Option<Reply> {
        let fields = format!("lease {{ {LEASE} }} credentials warnings");
        self.try_mutate(token, "issueCredentials", "IssueCredentialsInput", input, &fields).await
    }

    async fn issue_as(&self, token: &str, input: Value) -> Reply {
        self.try_issue(token, input).await.expect("the server answers")
    }

    /// Issues as root; lease, credentials and warnings.
    async fn issue(&self, path: &str) -> Value {
        self.issue_for(path, json!({})).await
    }

    async fn issue_for(&self, path: &str, mut input: Value) -> Value {
        input["path"] = json!(path);
        self.issue_as(&self.root, input).await.ok()["issueCredentials"].take()
    }

    async fn renew_as(&self, token: &str, lease: &str, seconds: Option<i64>) -> Reply {
        let input = json!({ "leaseId": lease, "incrementSeconds": seconds });
        self.mutate(token, "renewLease", "RenewLeaseInput", input, &format!("lease {{ {LEASE} }} warnings"))
            .await
    }

    async fn revoke_as(&self, token: &str, lease: &str) -> Reply {
        let input = json!({ "leaseId": lease });
        self.mutate(token, "revokeLease", "RevokeLeaseInput", input, &format!("lease {{ {LEASE} }}")).await
    }

    /// How many leases `revokeLeases` ends.
    async fn revoke_leases(&self, input: Value) -> i64 {
        let reply = self.mutate(&self.root, "revokeLeases", "RevokeLeasesInput", input, "count").await;
        reply.ok()["revokeLeases"]["count"].as_i64().unwrap()
    }

    async fn lease(&self, id: &str) -> Value {
        let query = format!("query($id: ID!) {{ lease(leaseId: $id) {{ {LEASE} }} }}");
        self.as_root(&query, json!({ "id": id })).await.ok()["lease"].take()
    }

    async fn engine(&self, name: &str) -> Value {
        let query = "query($name: String!) { engine(name: $name) { enabled activeLeases rootRotationPending \
                     rootRotatedAt health { status lastError } \
                     drift { unknownOnTarget missingOnTarget unknownNames missingLeaseIds } } }";
        self.as_root(query, json!({ "name": name })).await.ok()["engine"].take()
    }

    /// The handles' names of all leases that are not revoked, and how many such leases there are.
    async fn live(&self) -> (Vec<String>, usize) {
        let query = "{ leases(filter: { states: [ISSUING, ACTIVE, REVOKING] }, first: 100) { nodes { leaseId handle } } }";
        let reply = self.as_root(query, json!({})).await.ok();
        let nodes = reply["leases"]["nodes"].as_array().unwrap();
        (nodes.iter().map(|node| text(node, "/leaseId").to_owned()).collect(), nodes.len())
    }

    /// Waits until a lease is revoked.
    async fn revoked(&self, id: &str, most: Duration) -> Value {
        let mut lease = Value::Null;
        until(most, &format!("lease {id} is revoked"), async || {
            lease = self.lease(id).await;
            lease["state"] == "REVOKED"
        })
        .await;
        lease
    }
}

/// Waits for something to be so.
async fn until(most: Duration, what: &str, mut holds: impl AsyncFnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < most, "not within {most:?}: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    begun.elapsed()
}

fn lease_id(issued: &Value) -> &str {
    text(issued, "/lease/leaseId")
}
