//! The server ended with SIGKILL at each step of issue, renew, revoke and both rotations. After restart and unseal no account on the
//! target is without a live lease, and every stored password works.

use super::*;
use secrethub_engine::Installation;

/// Where the accounts of a test are made.
enum Target {
    Postgres(Postgres),
    Redis(RedisServer),
}

impl Target {
    async fn users(&self) -> Vec<String> {
        match self {
            Self::Postgres(target) => target.users().await,
            Self::Redis(server) => server.users(),
        }
    }

    async fn works(&self, credentials: &Value) -> bool {
        match self {
            Self::Postgres(target) => target.works(credentials).await,
            Self::Redis(server) => {
                let (user, password) = (text(credentials, "/username"), text(credentials, "/password"));
                server.command(user, password, &["PING"]) == "PONG"
            }
        }
    }

    /// An engine `main` for it, and a role; where that is.
    async fn enable(&self, server: &Server) -> &'static str {
        match self {
            Self::Postgres(target) => {
                server.enable("main", "postgresql", target.config()).await;
                server.put_role(PG, "main", json!({})).await.ok();
                PG
            }
            Self::Redis(redis) => {
                server.enable("main", "redis", redis_config(redis)).await;
                server.put_role(REDIS, "main", json!({ "config": redis_role() })).await.ok();
                REDIS
            }
        }
    }
}

/// The lease in the name of an account: `shub_MARK_LEASE`.
fn lease_of(name: &str) -> String {
    let mark = name.split('_').nth(1).unwrap();
    let mark: Installation = serde_json::from_value(json!(mark)).unwrap();
    mark.lease_of(name).unwrap_or_else(|| panic!("{name} is of no lease")).to_string()
}

impl Server {
    async fn launch_with(&mut self, point: Option<&str>) {
        let variable = point.map(|point| ("SECRETHUB_FAILPOINT".to_owned(), point.to_owned()));
        self.options.environment = variable.into_iter().collect();
        self.launch().await;
        self.unseal().await;
    }

    /// What every account on the target must have.
    async fn no_account_without_a_live_lease(&self, target: &Target) {
        // in this order: what ends between the two reads is not there for the second, and nothing new is issued
        let (live, _) = self.live().await;
        for user in target.users().await {
            assert!(live.contains(&lease_of(&user)), "{user} has no live lease");
        }
    }

    async fn nothing_is_left(&self, target: &Target, most: Duration) {
        until(most, "no lease and no account is left", async || {
            self.live().await.1 == 0 && target.users().await.is_empty()
        })
        .await;
    }
}

/// Ends the server at a step; what is known of the lease by then.
async fn die_at(server: &mut Server, point: &str, path: &str) -> Option<Value> {
    server.stop().await;
    server.launch_with(Some(point)).await;
    let root = server.root.clone();
    if point.starts_with("issue") {
        let input = json!({ "path": path, "idempotencyKey": point });
        assert!(server.try_issue(&root, input).await.is_none(), "{point} was not reached");
        server.ended().await;
        return None;
    }
    let mut seconds = 600;
    if point.starts_with("renew") {
        // the time of a lease counts from before the engine's process is started: not for the one that is to be renewed
        let first = server.issue(path).await;
        server.revoke_as(&root, lease_id(&first)).await.ok();
        seconds = 10;
    }
    let issued = server.issue_for(path, json!({ "ttlSeconds": seconds })).await;
    let input = json!({ "leaseId": lease_id(&issued) });
    let died = if point.starts_with("renew") {
        let input = json!({ "leaseId": lease_id(&issued), "incrementSeconds": 600 });
        server.try_mutate(&root, "renewLease", "RenewLeaseInput", input, "lease { state }").await
    } else {
        server.try_mutate(&root, "revokeLease", "RevokeLeaseInput", input, "lease { state }").await
    };
    assert!(died.is_none(), "{point} was not reached");
    server.ended().await;
    Some(issued)
}

/// How long what broke off may take to be seen to: a pass after the restart, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(45);

async fn ends_well(store: Store, target: Target, points: &[&str]) {
    let mut server = server_with_plugins(store).await;
    let path = target.enable(&server).await;
    for point in points {
        let issued = die_at(&mut server, point, path).await;
        server.launch_with(None).await;
        server.no_account_without_a_live_lease(&target).await;
        match *point {
            "issue.active" => {
                let again = json!({ "path": path, "idempotencyKey": point });
                let again = server.issue_as(&server.root, again).await.ok()["issueCredentials"].take();
                assert!(target.works(&again["credentials"]).await, "{point}: what was issued is not lost");
                server.revoke_as(&server.root, lease_id(&again)).await.ok();
            }
            "renew.begun" | "renew.renewed" => {
                let issued = issued.unwrap();
                // the store knows nothing of the renewal, whatever the target says
                let ended = server.revoked(lease_id(&issued), PATIENCE).await;
                assert_eq!(ended["renewedCount"], 0, "{point}");
                assert!(!target.works(&issued["credentials"]).await, "{point}");
            }
            _ => {}
        }
        server.nothing_is_left(&target, PATIENCE).await;
        if let Some(issued) = server.lease_of_key_ended(point).await {
            assert_eq!(issued["state"], "REVOKED", "{point}: {issued}");
        }
        server.audit_is_whole().await;
    }
    let working = server.issue(path).await;
    assert!(target.works(&working["credentials"]).await, "the engine works on");
}

impl Server {
    /// The last lease, whatever became of it.
    async fn lease_of_key_ended(&self, point: &str) -> Option<Value> {
        let query = format!("{{ leases(first: 100) {{ nodes {{ {LEASE} }} }} }}");
        let leases = self.as_root(&query, json!({})).await.ok();
        let last = leases["leases"]["nodes"].as_array().unwrap().last().cloned();
        assert!(last.is_some(), "{point} left no lease");
        last
    }
}

const STEPS: &[&str] = &[
    "issue.begun",
    "issue.issued",
    "issue.active",
    "renew.begun",
    "renew.renewed",
    "revoke.claimed",
    "revoke.revoked",
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_of_a_lease_on_postgresql() {
    ends_well(Store::Sqlite, Target::Postgres(Postgres::start().await), STEPS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_of_a_lease_on_redis() {
    let points = ["issue.issued", "revoke.claimed", "revoke.revoked"];
    ends_well(Store::Sqlite, Target::Redis(RedisServer::start()), &points).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn steps_of_a_lease_with_the_store_on_postgresql() {
    ends_well(Store::Postgres, Target::Postgres(Postgres::start().await), STEPS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rotation_of_the_engines_own_account() {
    the_engines_own_account_is_rotated(Store::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rotation_of_the_engines_own_account_with_the_store_on_postgresql() {
    the_engines_own_account_is_rotated(Store::Postgres).await;
}

async fn the_engines_own_account_is_rotated(store: Store) {
    let target = Postgres::start().await;
    let mut server = server_with_plugins(store).await;
    for point in ["root.proposed", "root.rotated"] {
        let (engine, path) = (point.replace('.', "-"), format!("prod.db.{}", point.replace('.', "_")));
        target.run(&format!("CREATE ROLE \"{engine}\" LOGIN SUPERUSER PASSWORD '{PASSWORD}'")).await;
        let mut config = target.config();
        config["username"] = json!(engine);
        server.enable(&engine, "postgresql", config).await;
        server.put_role(&path, &engine, json!({})).await.ok();
        server.stop().await;
        server.launch_with(Some(point)).await;
        let root = server.root.clone();
        let input = json!({ "name": engine });
        let died = server
            .try_mutate(&root, "rotateEngineRoot", "RotateEngineRootInput", input, "engine { name }")
            .await;
        assert!(died.is_none(), "{point} was not reached");
        server.ended().await;
        server.launch_with(None).await;
        let launched = Instant::now();
        until(Duration::from_secs(20), "the rotation is finished", async || {
            let engine = server.engine(&engine).await;
            engine["rootRotationPending"] == false && engine["rootRotatedAt"].is_string()
        })
        .await;
        let first = target.login(&engine, PASSWORD, "postgres").await;
        assert!(first.is_err(), "{point}: the former password still works");
        let issued = server.issue(&path).await;
        assert!(target.works(&issued["credentials"]).await, "{point}");
        let revoked = server.revoke_as(&server.root, lease_id(&issued)).await.ok();
        assert_eq!(revoked["revokeLease"]["lease"]["state"], "REVOKED", "{point}");
        // what the process that died had sent could still come: nothing takes the place of its secret for half a minute
        let again = json!({ "name": engine });
        let fields = "engine { name }";
        let reply = server.mutate(&root, "rotateEngineRoot", "RotateEngineRootInput", again, fields).await;
        if launched.elapsed() < Duration::from_secs(25) {
            reply.refused("CONFLICT");
        }
        server.audit_is_whole().await;
    }
}

const BOUND: &str = "prod.db.billing";

impl Server {
    async fn bind(&self, account: &str, fields: Value) -> Option<Reply> {
        let mut input = json!({ "path": BOUND, "engine": "main", "account": account });
        for (key, value) in fields.as_object().unwrap() {
            input[key] = value.clone();
        }
        let fields = "secret { path version }";
        self.try_mutate(&self.root, "bindSecretAccount", "BindSecretAccountInput", input, fields).await
    }

    async fn rotate(&self) -> Option<Reply> {
        let (input, fields) = (json!({ "path": BOUND }), "secret { version }");
        self.try_mutate(&self.root, "rotateSecret", "RotateSecretInput", input, fields).await
    }
}

/// Whether what the secret says gets in.
async fn stored_password_works(server: &Server, target: &Postgres) -> bool {
    let reply = server.read(&server.root, BOUND).await;
    let data = &reply.data["secret"]["data"];
    let (Some(user), Some(password)) = (data["username"].as_str(), data["password"].as_str()) else {
        return false;
    };
    target.login(user, password, "postgres").await.is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rotation_of_an_account() {
    an_account_is_rotated(Store::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rotation_of_an_account_with_the_store_on_postgresql() {
    an_account_is_rotated(Store::Postgres).await;
}

async fn an_account_is_rotated(store: Store) {
    let target = Postgres::start().await;
    target.run("CREATE ROLE billing LOGIN PASSWORD 'billing-password-at-first'").await;
    let mut server = server_with_plugins(store).await;
    server.enable("main", "postgresql", target.config()).await;
    for (round, point) in ["account.pending", "account.rotated", "account.pending"].iter().enumerate() {
        server.stop().await;
        server.launch_with(Some(point)).await;
        // the first rotation of all is that of binding, the others are asked for
        let died = if round == 0 { server.bind("billing", json!({})).await } else { server.rotate().await };
        assert!(died.is_none(), "{point} was not reached");
        server.ended().await;
        server.launch_with(None).await;
        until(Duration::from_secs(20), "the stored password works", async || {
            stored_password_works(&server, &target).await && !pending(&server).await
        })
        .await;
        let first = target.login("billing", "billing-password-at-first", "postgres").await;
        assert!(first.is_err(), "{point}: the former password still works");
        server.audit_is_whole().await;
    }
    let version = server.read(&server.root, BOUND).await.ok()["secret"]["version"].as_i64().unwrap();
    let rotated = server.rotate().await.unwrap().ok();
    assert_eq!(rotated["rotateSecret"]["secret"]["version"], version + 1);
    assert!(stored_password_works(&server, &target).await);
}

async fn pending(server: &Server) -> bool {
    let query = "query($path: SecretPath!) { secret(path: $path) { account { rotationPending } } }";
    let reply = server.as_root(query, json!({ "path": BOUND })).await.ok();
    reply["secret"]["account"]["rotationPending"] == true
}
