//! Leases without a target: the engine's plugin is not there, so what is issued fails after its lease began.

mod ends;
mod unbinding;

use super::super::leases::{self, IssueCredentials, LeaseView, ListFilter};
use super::*;
use crate::crypto::barrier::RecordName;
use crate::model::leases::LeaseState;
use crate::model::paths::SecretPath;
use crate::storage::engine_roles::{self, EngineRoleRow};
use crate::storage::engines::{self, EngineRow};
use crate::storage::leases as lease_store;
use crate::storage::leases::LeaseRow;
use crate::storage::secrets::{self as secret_store, SecretRow};
use chrono::Duration;
use sqlx::types::Json;
use uuid::Uuid;

const PATH: &str = "db.role";

fn path() -> SecretPath {
    SecretPath::parse(PATH).unwrap()
}

/// What an engine, its role at [`PATH`] and the leases of a test rest on.
struct Scene {
    node: Node,
    engine: EngineRow,
    secret_id: Uuid,
}

impl Scene {
    async fn set() -> Self {
        Self::with(|_, _| ()).await
    }

    async fn with(change: impl FnOnce(&mut EngineRow, &mut EngineRoleRow)) -> Self {
        let node = Node::start().await;
        let now = node.app.clock.now();
        let (engine_id, secret_id) = (Uuid::new_v4(), Uuid::new_v4());
        let keys = shown(node.app.keys.get());
        let seal = |table, column, id: Uuid, version| {
            let id = id.to_string();
            let record = RecordName { table, column, id: &id, version };
            keys.barrier.seal(&record, b"{}").unwrap()
        };
        let mut engine = EngineRow {
            id: engine_id,
            name: "main".to_owned(),
            engine_type: "postgresql".to_owned(),
            description: None,
            config_encrypted: seal("engines", "config_encrypted", engine_id, 1),
            config_version: 1,
            key_version: 1,
            pending_encrypted: None,
            config_shown: Json(json!({})),
            enabled: true,
            max_ttl_seconds: None,
            max_leases: None,
            live_leases: 0,
            root_rotated_at: None,
            drift: None,
            metadata: Json(json!({})),
            created_at: now,
            updated_at: now,
        };
        let mut role = EngineRoleRow {
            id: Uuid::new_v4(),
            secret_id,
            engine_id,
            key_version: 1,
            default_ttl_seconds: 300,
            max_ttl_seconds: 600,
            max_leases: None,
            max_renewals: None,
            live_leases: 0,
            created_at: now,
            updated_at: now,
        };
        change(&mut engine, &mut role);
        let secret =
            SecretRow { version: 1, ..SecretRow::fresh(secret_id, PATH, "dynamic_role", "test", now) };
        let mut tx = shown(node.app.db.begin().await);
        shown(engines::insert(&mut tx, &engine).await);
        shown(secret_store::insert(&mut tx, &secret).await);
        let config = seal("secrets", "encrypted_data", secret_id, 1);
        shown(engine_roles::set_sealed_config(&mut tx, secret_id, &config, 1).await);
        shown(engine_roles::insert(&mut tx, &role).await);
        shown(tx.commit().await);
        Self { node, engine, secret_id }
    }

    /// A token of one policy, named after what it may do at [`PATH`].
    async fn may(&self, operations: &[&str]) -> OpContext {
        let name = operations.join("-");
        let document = json!({ "version": 1, "allowed_secrets": ["db.*"], "allowed_operations": operations });
        self.node.policy(&name, document, &[]).await;
        self.node.caller(&[&name]).await
    }

    async fn actor(&self, ctx: &OpContext) -> (String, Uuid) {
        let caller = shown(ctx.access().await.map_err(|_| Error::internal("no access"))).caller;
        (caller.actor_id.clone(), caller.accessor)
    }

    /// A live lease of this caller's, whose credentials are `{"password": "p"}`.
    async fn lease(&self, ctx: &OpContext, change: impl FnOnce(&mut LeaseRow)) -> Uuid {
        let now = self.node.app.clock.now();
        let (actor_id, token_accessor) = self.actor(ctx).await;
        let lease_id = Uuid::now_v7();
        let id = lease_id.to_string();
        let record = RecordName { table: "leases", column: "credentials", id: &id, version: 0 };
        let keys = shown(self.node.app.keys.get());
        let mut row = LeaseRow {
            lease_id,
            secret_id: self.secret_id,
            secret_path: PATH.to_owned(),
            engine_id: self.engine.id,
            engine_type: self.engine.engine_type.clone(),
            agent_id: None,
            app_id: None,
            actor_id,
            token_accessor,
            role_name: None,
            state: "active".to_owned(),
            issued_at: now,
            expires_at: now + Duration::seconds(300),
            max_expires_at: now + Duration::seconds(600),
            ttl_seconds: 300,
            renewed_count: 0,
            last_renewed_at: None,
            max_renewals: None,
            due_at: Some(now + Duration::seconds(300)),
            revoked: false,
            revoked_at: None,
            revocation_reason: None,
            revocation_attempts: 0,
            last_revocation_error: None,
            credentials: Some(keys.barrier.seal(&record, br#"{"password":"p"}"#).unwrap()),
            engine_metadata: Json(json!({ "user": "u" })),
            idempotency_key: None,
            source_ip: None,
            correlation_id: None,
            claimed_by: None,
        };
        change(&mut row);
        let mut tx = shown(self.node.app.db.begin().await);
        assert_eq!(shown(lease_store::begin(&mut tx, row, self.engine.config_version).await), None);
        shown(tx.commit().await);
        lease_id
    }

    async fn now_is(&self, id: Uuid) -> LeaseView {
        shown(leases::find(&self.node.root, id).await).expect("the lease is there")
    }

    async fn counted(&self) -> (i64, i64) {
        let mut tx = shown(self.node.app.read().await);
        let engine = shown(engines::by_id(&mut tx, self.engine.id).await).unwrap();
        let role = shown(engine_roles::by_secret(&mut tx, self.secret_id).await).unwrap();
        (engine.live_leases, role.live_leases)
    }

    async fn all(&self, ctx: &OpContext) -> Vec<LeaseView> {
        let page = paging::PageRequest { first: Some(100), ..Default::default() };
        let page = shown(leases::list(ctx, ListFilter::default(), page).await);
        page.edges.into_iter().map(|(_, lease)| lease).collect()
    }
}

fn asking(ttl_seconds: Option<i64>, key: Option<&str>) -> IssueCredentials {
    IssueCredentials { path: path(), ttl_seconds, idempotency_key: key.map(str::to_owned) }
}

async fn issue(ctx: &OpContext, input: IssueCredentials) -> Result<()> {
    leases::issue(ctx, input).await.map(drop)
}

#[tokio::test]
async fn an_issue_that_fails_leaves_a_lease_that_is_revoked() {
    let scene = Scene::set().await;
    let caller = scene.may(&["issue"]).await;
    assert_eq!(code(issue(&caller, asking(None, None)).await), ErrorCode::EngineUnavailable);
    let all = scene.all(&caller).await;
    let [lease] = all.as_slice() else { panic!("one lease, not {}", all.len()) };
    assert_eq!((lease.state, lease.ttl_seconds), (LeaseState::Revoking, 300));
    assert_eq!(scene.counted().await, (1, 1), "it counts until it is revoked");
    for (event_type, count) in [("lease.issuing", 1), ("lease.issue_failed", 1), ("secret.dynamic_issued", 0)]
    {
        assert_eq!(scene.node.events(event_type).await, count, "{event_type}");
    }
}

#[tokio::test]
async fn each_cap_cuts_the_lifetime() {
    let granted = async |scene: &Scene, ctx: &OpContext, wanted| {
        assert_eq!(code(issue(ctx, asking(wanted, None)).await), ErrorCode::EngineUnavailable);
        let lease = scene.all(ctx).await.pop().unwrap();
        (lease.ttl_seconds, (lease.max_expires_at - lease.issued_at).num_seconds())
    };
    let scene = Scene::set().await;
    let caller = scene.may(&["issue"]).await;
    assert_eq!(granted(&scene, &caller, None).await, (300, 600), "the role's default");
    assert_eq!(granted(&scene, &caller, Some(10)).await, (10, 600));
    assert_eq!(granted(&scene, &caller, Some(9999)).await, (600, 600), "the role's longest");
    let input = CreateToken { policies: names(&["issue"]), ttl_seconds: Some(60), ..CreateToken::default() };
    let short = scene.node.with(&shown(tokens::create(&scene.node.root, input).await).token);
    let (seconds, renewable) = granted(&scene, &short, None).await;
    assert!((55..=60).contains(&seconds), "the token's end, not {seconds}");
    assert_eq!(renewable, 600, "a token can be renewed, and the lease with it");

    let input = PolicyInput {
        name: "short".to_owned(),
        document: json!({ "version": 1, "allowed_secrets": ["db.*"], "allowed_operations": ["issue"] }),
        max_ttl_seconds: Some(90),
        ..PolicyInput::default()
    };
    shown(policies::create(&scene.node.root, input).await);
    let caller = scene.node.caller(&["short"]).await;
    assert_eq!(granted(&scene, &caller, None).await.0, 90, "the policy's longest");

    let scene = Scene::with(|engine, _| engine.max_ttl_seconds = Some(120)).await;
    let caller = scene.may(&["issue"]).await;
    assert_eq!(granted(&scene, &caller, None).await, (120, 120), "the engine's longest");
}

#[tokio::test]
async fn what_cannot_be_issued_begins_no_lease() {
    let scene = Scene::set().await;
    let caller = scene.may(&["issue"]).await;
    let elsewhere = IssueCredentials { path: SecretPath::parse("db.none").unwrap(), ..asking(None, None) };
    assert_eq!(code(issue(&caller, elsewhere).await), ErrorCode::NotFound);
    assert_eq!(code(issue(&scene.may(&["read"]).await, asking(None, None)).await), ErrorCode::Forbidden);
    let stranger = scene.node.caller(&["nothing"]).await;
    assert_eq!(code(issue(&stranger, asking(None, None)).await), ErrorCode::NotFound);
    for ttl in [0, -1, 366 * 24 * 3600 + 1] {
        let refused = issue(&caller, asking(Some(ttl), None)).await.unwrap_err();
        assert_eq!(refused.field(), Some("ttlSeconds"), "{ttl}");
    }
    for key in ["", "two words", "é", &"k".repeat(129)] {
        let refused = issue(&caller, asking(None, Some(key))).await.unwrap_err();
        assert_eq!(refused.field(), Some("idempotencyKey"), "{key}");
    }
    assert!(scene.all(&scene.node.root).await.is_empty());

    let off = Scene::with(|engine, _| engine.enabled = false).await;
    assert_eq!(code(issue(&off.node.root, asking(None, None)).await), ErrorCode::Conflict);
    for full in [
        Scene::with(|engine, _| engine.max_leases = Some(1)).await,
        Scene::with(|_, role| role.max_leases = Some(1)).await,
    ] {
        full.lease(&full.node.root, |_| ()).await;
        assert_eq!(code(issue(&full.node.root, asking(None, None)).await), ErrorCode::Conflict);
        assert_eq!(full.counted().await, (1, 1), "what is refused does not count");
    }
}

#[tokio::test]
async fn the_same_key_gives_the_same_lease_as_long_as_it_lives() {
    let scene = Scene::set().await;
    let caller = scene.may(&["issue"]).await;
    let keyed = |key: &'static str, state: &'static str| {
        move |row: &mut LeaseRow| {
            row.idempotency_key = Some(format!("{}:{key}", row.token_accessor.simple()));
            row.state = state.to_owned();
        }
    };
    let id = scene.lease(&caller, keyed("live", "active")).await;
    let again = shown(leases::issue(&caller, asking(Some(5), Some("live"))).await);
    assert_eq!((again.lease.id, &again.credentials), (id, &json!({ "password": "p" })));
    assert_eq!(scene.node.events("secret.dynamic_issued").await, 1, "credentials left once more");
    scene.lease(&caller, keyed("going", "issuing")).await;
    let refused = issue(&caller, asking(None, Some("going"))).await.unwrap_err();
    assert_eq!((refused.code(), refused.retry_after_seconds()), (ErrorCode::Conflict, Some(1)));
    scene.lease(&caller, keyed("ended", "revoking")).await;
    assert_eq!(code(issue(&caller, asking(None, Some("ended"))).await), ErrorCode::Conflict);
    let elsewhere = |row: &mut LeaseRow| {
        keyed("elsewhere", "active")(row);
        row.secret_path = "db.other".to_owned();
    };
    scene.lease(&caller, elsewhere).await;
    assert_eq!(code(issue(&caller, asking(None, Some("elsewhere"))).await), ErrorCode::Conflict);
    // another caller's key is another key
    let other = scene.node.caller(&["issue"]).await;
    assert_eq!(code(issue(&other, asking(None, Some("live"))).await), ErrorCode::EngineUnavailable);
}
