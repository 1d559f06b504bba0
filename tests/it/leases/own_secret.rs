//! The secret of an engine's own account: replaced by one at a time, under load, and given up where the target never takes it.

use super::*;
use crate::nodes::two_nodes_with;
use std::sync::atomic::{AtomicBool, Ordering};

const ACCOUNT: &str = "its_own";

impl Postgres {
    /// Gives the engine's account a password, and its configuration with it.
    async fn own(&self, password: &str) -> Value {
        self.run(&format!("ALTER ROLE {ACCOUNT} PASSWORD '{password}'")).await;
        let mut config = self.config();
        config["username"] = json!(ACCOUNT);
        config["password"] = json!(password);
        json!({ "name": "main", "kind": "postgresql", "config": config })
    }
}

impl Server {
    async fn rotate_root(&self) -> Reply {
        let input = json!({ "name": "main" });
        self.mutate(&self.root, "rotateEngineRoot", "RotateEngineRootInput", input, "engine { name }").await
    }

    async fn update_engine(&self, input: Value) -> Reply {
        self.mutate(&self.root, "updateEngine", "EnableEngineInput", input, "engine { name }").await
    }
}

/// A target with an account of an engine's own, and that engine with a role at [`PG`].
async fn enabled_on(server: &Server) -> Postgres {
    let target = Postgres::start().await;
    target.run(&format!("CREATE ROLE {ACCOUNT} LOGIN SUPERUSER")).await;
    server.enable_with(target.own("as-it-was-enabled").await).await.ok();
    server.put_role(PG, "main", json!({})).await.ok();
    target
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_are_issued_while_it_is_replaced() {
    let server = Server::dev(Store::Sqlite).await;
    let target = enabled_on(&server).await;
    let over = AtomicBool::new(false);
    let using = (0..12).map(|_| async {
        let mut issued = 0;
        while !over.load(Ordering::Relaxed) {
            let lease = server.issue(PG).await;
            server.revoke_as(&server.root, lease_id(&lease)).await.ok();
            issued += 1;
        }
        issued
    });
    let replacing = async {
        for round in 0..8 {
            if round % 2 == 0 {
                server.rotate_root().await.ok();
            } else {
                // another account of the target, so that none of the two ends under it
                let account = format!("account_{round}");
                target.run(&format!("CREATE ROLE {account} LOGIN SUPERUSER PASSWORD '{PASSWORD}'")).await;
                let mut config = target.config();
                config["username"] = json!(account);
                let input = json!({ "name": "main", "kind": "postgresql", "config": config });
                server.update_engine(input).await.ok();
            }
        }
        over.store(true, Ordering::Relaxed);
    };
    let (issued, ()) = tokio::join!(futures_util::future::join_all(using), replacing);
    assert!(issued.iter().all(|issued| *issued > 0), "{issued:?}");
    until(Duration::from_secs(30), "every account is gone", async || target.users().await.is_empty()).await;
    server.audit_is_whole().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_replace_it_one_after_the_other() {
    let (one, two) = two_nodes_with(plugins()).await;
    let target = enabled_on(&one).await;
    let rotate = async |server: &Server| {
        let (mut done, mut conflicts, begun) = (0, 0, Instant::now());
        while done < 4 {
            assert!(begun.elapsed() < Duration::from_secs(60), "somebody is at it for ever");
            let reply = server.rotate_root().await;
            if reply.is_ok() {
                done += 1;
            } else {
                reply.refused("CONFLICT");
                conflicts += 1;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        conflicts
    };
    let (first, second) = tokio::join!(rotate(&one), rotate(&two));
    assert!(first + second > 0, "they never met");
    for server in [&one, &two] {
        assert_eq!(server.engine("main").await["rootRotationPending"], false);
        let lease = server.issue(PG).await;
        assert!(target.works(&lease["credentials"]).await);
        server.revoke_as(&server.root, lease_id(&lease)).await.ok();
    }
    one.audit_is_whole().await;
}

/// As after the target came back from a backup: it has a password that the store has never known.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_the_target_cannot_take_is_given_up_by_another_configuration() {
    let server = Server::dev(Store::Sqlite).await;
    let target = enabled_on(&server).await;
    let working = target.own("from a backup").await;
    let failed = server.rotate_root().await;
    assert!(failed.message().contains("neither the old password"), "{}", failed.body);
    assert_eq!(server.engine("main").await["rootRotationPending"], true);
    // what does not work is no way out
    let mut wrong = working.clone();
    wrong["config"]["password"] = json!("not this one");
    let update = async |input: &Value| {
        // the task may be at it in this very moment; it is not for long
        for _ in 0..100 {
            let reply = server.update_engine(input.clone()).await;
            if reply.code() != Some("CONFLICT") {
                return reply;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("somebody is at it for ever");
    };
    update(&wrong).await.refused("BAD_USER_INPUT");
    assert_eq!(server.engine("main").await["rootRotationPending"], true);
    update(&working).await.ok();
    assert_eq!(server.engine("main").await["rootRotationPending"], false);
    server.issue(PG).await;
    server.rotate_root().await.ok();
    server.issue(PG).await;
    assert!(target.login(ACCOUNT, "from a backup", "postgres").await.is_err());
    let query =
        "{ auditEvents(filter: { eventTypes: [\"engine.updated\"] }, first: 9) { nodes { eventData } } }";
    let found = server.as_root(query, json!({})).await;
    assert!(found.body.contains("root_rotation_given_up"), "{}", found.body);
    server.audit_is_whole().await;
}
