//! The seal over a running node, with a second node on the same store where it takes two.

use super::*;
use crate::crypto::barrier::RecordName;
use crate::error::ErrorCode;
use crate::model::clock::{Clock, ManualClock};
use crate::model::paths::SecretPath;
use crate::service::context::Origin;
use crate::service::secrets::{self, PatchSecret, PutSecret};
use crate::service::{HostIdentity, Limits, Settings};
use crate::storage::db::{StoreUrl, exec, on};
use chrono::{DateTime, TimeDelta};
use serde_json::{Value, json};
use std::time::Instant;

struct Store {
    directory: tempfile::TempDir,
    clock: Arc<ManualClock>,
}

impl Store {
    fn new() -> Self {
        let clock = ManualClock::at(DateTime::from_timestamp(1_780_000_000, 0).unwrap());
        Self { directory: tempfile::tempdir().unwrap(), clock: Arc::new(clock) }
    }

    /// A node on this store, sealed.
    async fn node(&self, static_seal: Option<Key32>) -> Arc<App> {
        let settings = Settings {
            store: StoreUrl::Sqlite(self.directory.path().join("store.db")),
            max_connections: 4,
            cluster_name: "test".to_owned(),
            static_seal,
            host: HostIdentity::default(),
            limits: Limits::default(),
            cache_bytes: 1 << 20,
            partitions_ahead: 1,
            engines: crate::engine::EngineSettings::default(),
            pki: crate::service::certificates::PkiSettings::default(),
            rates: crate::service::rate::RateSettings::default(),
        };
        App::start(settings, Arc::clone(&self.clock) as Arc<dyn Clock>).await.unwrap()
    }

    /// Everything that was written, as it lies on the disk.
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for name in ["store.db", "store.db-wal"] {
            bytes.extend(std::fs::read(self.directory.path().join(name)).unwrap_or_default());
        }
        bytes
    }
}

fn context(app: &Arc<App>, token: Option<&str>) -> OpContext {
    let origin = Origin {
        source_ip: Some([127, 0, 0, 1].into()),
        request_id: "r-1".to_owned(),
        correlation_id: None,
        certificate: None,
        started: Instant::now(),
    };
    OpContext::new(Arc::clone(app), token, origin)
}

/// A node that was initialised to 3 shares of which 2 unseal, and unsealed.
struct Node {
    app: Arc<App>,
    ctx: OpContext,
    shares: Vec<String>,
    token: String,
}

impl Node {
    async fn start(store: &Store) -> Self {
        let app = store.node(None).await;
        let made = initialize(&context(&app, None), 3, 2).await.unwrap();
        let node = Self {
            ctx: context(&app, Some(&made.root_token)),
            app,
            shares: made.shares.iter().map(|share| share.expose().to_owned()).collect(),
            token: made.root_token.to_string(),
        };
        node.unseal().await;
        node
    }

    /// Another node of the same cluster, unsealed.
    async fn another(&self, store: &Store) -> Self {
        let app = store.node(None).await;
        let ctx = context(&app, Some(&self.token));
        let node = Self { app, ctx, shares: self.shares.clone(), token: self.token.clone() };
        node.unseal().await;
        node
    }

    async fn unseal(&self) {
        for share in &self.shares[..2] {
            unseal(&self.ctx, share).await.unwrap();
        }
        require_unsealed(&self.app).unwrap();
    }

    /// Starts a re-key to 3 of 3 and gives the quorum; the new shares.
    async fn quorum(&self) -> Vec<String> {
        start_rekey(&self.ctx, 3, 3).await.unwrap();
        submit_rekey_share(&self.ctx, &self.shares[0]).await.unwrap();
        let last = submit_rekey_share(&self.ctx, &self.shares[1]).await.unwrap();
        last.new_shares.unwrap().iter().map(|share| share.expose().to_owned()).collect()
    }

    async fn rekey(&self) -> Vec<String> {
        let new = self.quorum().await;
        for share in &new[..2] {
            assert!(!confirm_rekey(&self.ctx, share).await.unwrap().complete);
        }
        assert!(confirm_rekey(&self.ctx, &new[2]).await.unwrap().complete);
        new
    }

    async fn sql(&self, statement: &'static str) {
        let mut tx = self.app.db.begin().await.unwrap();
        exec!(&mut tx, sqlx::query(statement)).unwrap();
        tx.commit().await.unwrap();
    }

    /// Type and data of the events of re-keys, in order.
    async fn rekey_events(&self) -> Vec<(String, Value)> {
        let mut tx = self.app.read().await.unwrap();
        let rows: Vec<(String, String)> = on!(&mut tx, c => sqlx::query_as(
            "SELECT event_type, CAST(event_data AS TEXT) FROM audit_logs ORDER BY sequence_number"
        ).fetch_all(c))
        .unwrap();
        rows.into_iter()
            .filter(|(name, data)| name.contains("rekey") || data.contains("rekey"))
            .map(|(name, data)| (name, serde_json::from_str(&data).unwrap()))
            .collect()
    }
}

fn code<T>(outcome: Result<T>) -> ErrorCode {
    outcome.err().unwrap().code()
}

#[tokio::test]
async fn a_last_confirmation_that_failed_can_be_repeated() {
    let store = Store::new();
    let node = Node::start(&store).await;
    let new = node.quorum().await;
    for share in &new[..2] {
        confirm_rekey(&node.ctx, share).await.unwrap();
    }
    assert_eq!(code(confirm_rekey(&node.ctx, &new[0]).await), ErrorCode::BadUserInput);
    node.sql("CREATE TRIGGER fails BEFORE UPDATE ON seal_config BEGIN SELECT RAISE(ABORT, 'no'); END").await;
    assert_eq!(code(confirm_rekey(&node.ctx, &new[2]).await), ErrorCode::Internal);
    assert_eq!(rekey_status(&node.ctx).await.unwrap().confirmed, 3);
    node.sql("DROP TRIGGER fails").await;
    let done = confirm_rekey(&node.ctx, &new[2]).await.unwrap();
    assert!(done.complete);
    assert!(!rekey_status(&node.ctx).await.unwrap().started);
    assert_eq!(status(&node.app).await.threshold, Some(3));

    seal(&node.ctx).await.unwrap();
    assert_eq!(code(unseal(&node.ctx, &node.shares[0]).await), ErrorCode::BadUserInput);
    for share in &new {
        unseal(&node.ctx, share).await.unwrap();
    }
    require_unsealed(&node.app).unwrap();
}

#[tokio::test]
async fn a_quorum_that_failed_to_bring_new_shares_can_be_repeated() {
    let store = Store::new();
    let node = Node::start(&store).await;
    start_rekey(&node.ctx, 3, 3).await.unwrap();
    submit_rekey_share(&node.ctx, &node.shares[0]).await.unwrap();
    assert_eq!(code(submit_rekey_share(&node.ctx, &node.shares[0]).await), ErrorCode::BadUserInput);
    node.sql(
        "CREATE TRIGGER fails BEFORE INSERT ON audit_logs WHEN NEW.event_data LIKE '%hand_out%' \
         BEGIN SELECT RAISE(ABORT, 'no'); END",
    )
    .await;
    assert_eq!(code(submit_rekey_share(&node.ctx, &node.shares[1]).await), ErrorCode::Internal);
    assert_eq!(rekey_status(&node.ctx).await.unwrap().progress, 2);
    node.sql("DROP TRIGGER fails").await;
    let last = submit_rekey_share(&node.ctx, &node.shares[1]).await.unwrap();
    assert_eq!(last.new_shares.unwrap().len(), 3);
}

#[tokio::test]
async fn a_quorum_from_before_another_re_key_is_refused() {
    let store = Store::new();
    let first = Node::start(&store).await;
    let second = first.another(&store).await;
    let third = first.another(&store).await;
    // one has its new shares already, another is about to get them, and then a third is done
    let late = second.quorum().await;
    for share in &late[..2] {
        confirm_rekey(&second.ctx, share).await.unwrap();
    }
    start_rekey(&third.ctx, 2, 2).await.unwrap();
    submit_rekey_share(&third.ctx, &third.shares[0]).await.unwrap();
    let new = first.rekey().await;

    assert_eq!(code(confirm_rekey(&second.ctx, &late[2]).await), ErrorCode::Conflict);
    assert_eq!(code(submit_rekey_share(&third.ctx, &third.shares[1]).await), ErrorCode::Conflict);
    for node in [&second, &third] {
        assert!(!rekey_status(&node.ctx).await.unwrap().started, "what cannot end is over");
    }
    seal(&second.ctx).await.unwrap();
    for share in late.iter().chain(&first.shares) {
        assert_eq!(code(unseal(&second.ctx, share).await), ErrorCode::BadUserInput);
    }
    for share in &new {
        unseal(&second.ctx, share).await.unwrap();
    }
    require_unsealed(&second.app).unwrap();
}

#[tokio::test]
async fn other_nodes_show_what_a_re_key_changed() {
    let store = Store::new();
    let first = Node::start(&store).await;
    let second = first.another(&store).await;
    first.rekey().await;
    assert_eq!(status(&first.app).await.threshold, Some(3));
    assert!(!discover(&second.app).await.unwrap());
    assert_eq!(status(&second.app).await.threshold, Some(3));
}

#[tokio::test]
async fn each_step_of_a_re_key_is_recorded_without_shares() {
    let store = Store::new();
    let node = Node::start(&store).await;
    assert_eq!(code(submit_rekey_share(&node.ctx, &node.shares[0]).await), ErrorCode::Conflict);
    start_rekey(&node.ctx, 2, 2).await.unwrap();
    cancel_rekey(&node.ctx).await.unwrap();
    let new = node.rekey().await;

    let step = |operation: &str, given: u8, confirmed: u8| {
        let data = json!({
            "operation": operation, "given": given, "required": 2, "confirmed": confirmed, "shares": 3, "threshold": 3,
        });
        ("system.rekey_progress".to_owned(), data)
    };
    let named = |name: &str, data: Value| (name.to_owned(), data);
    assert_eq!(
        node.rekey_events().await,
        [
            named("admin.access_denied", json!({ "attempted": "system.rekey_progress" })),
            named("system.rekey_started", json!({ "shares": 2, "threshold": 2 })),
            named("system.rekey_progress", json!({ "operation": "cancel_rekey", "under_way": true })),
            named("system.rekey_started", json!({ "shares": 3, "threshold": 3 })),
            step("submit_rekey_share", 1, 0),
            step("submit_rekey_share", 2, 0),
            step("hand_out_new_shares", 2, 0),
            step("confirm_rekey", 2, 1),
            step("confirm_rekey", 2, 2),
            step("confirm_rekey", 2, 3),
            named("system.rekeyed", json!({ "shares": 3, "threshold": 3 })),
        ]
    );
    let written = store.bytes();
    assert!(written.len() > 4096);
    for share in node.shares.iter().chain(&new) {
        let found = written.windows(share.len()).any(|window| window.eq_ignore_ascii_case(share.as_bytes()));
        assert!(!found, "a share was written to the store");
    }
}

#[tokio::test]
async fn shares_given_are_forgotten_after_a_quarter_of_an_hour() {
    let store = Store::new();
    let node = Node::start(&store).await;
    let [first, second, third] = [&node.shares[0], &node.shares[1], &node.shares[2]];
    seal(&node.ctx).await.unwrap();
    assert_eq!(unseal(&node.ctx, first).await.unwrap().progress, 1);
    store.clock.advance(TimeDelta::minutes(14));
    assert_eq!(status(&node.app).await.progress, 1);
    store.clock.advance(TimeDelta::minutes(1));
    assert_eq!(status(&node.app).await.progress, 0, "whoever looks sees it");
    assert!(node.app.seal.unsealing.lock().is_none());

    assert_eq!(unseal(&node.ctx, first).await.unwrap().progress, 1);
    store.clock.advance(TimeDelta::minutes(15));
    assert_eq!(unseal(&node.ctx, second).await.unwrap().progress, 1, "it begins anew");
    store.clock.advance(TimeDelta::minutes(14));
    assert!(!unseal(&node.ctx, third).await.unwrap().sealed);
}

#[tokio::test]
async fn a_second_initialisation_and_a_stranger_take_no_turn() {
    let store = Store::new();
    let node = Node::start(&store).await;
    let stranger = context(&node.app, None);
    let turn = node.app.seal.turn().await.unwrap();
    // each of these would wait for ever if it took a turn
    assert_eq!(code(initialize(&stranger, 0, 999).await), ErrorCode::Conflict);
    assert_eq!(code(seal(&stranger).await), ErrorCode::Unauthenticated);
    assert!(!unseal(&stranger, &node.shares[0]).await.unwrap().sealed);
    reset_unseal(&stranger).await;
    drop(turn);
    let places = node.app.seal.places.try_acquire_many(u32::try_from(PLACES).unwrap()).unwrap();
    let refused = seal(&node.ctx).await.err().unwrap();
    assert_eq!((refused.code(), refused.retry_after_seconds()), (ErrorCode::RateLimited, Some(1)));
    drop(places);
    assert!(seal(&node.ctx).await.unwrap().sealed);
}

#[tokio::test]
async fn initialising_answers_even_if_the_unsealing_after_it_fails() {
    let store = Store::new();
    let key = Key32::generate();
    let app = store.node(Some(key.duplicate())).await;
    let mut tx = app.db.begin().await.unwrap();
    let trigger = "CREATE TRIGGER fails BEFORE INSERT ON audit_logs WHEN NEW.event_type = 'system.unsealed' \
                   BEGIN SELECT RAISE(ABORT, 'no'); END";
    exec!(&mut tx, sqlx::query(trigger)).unwrap();
    tx.commit().await.unwrap();
    let made = initialize(&context(&app, None), 1, 1).await.unwrap();
    assert!(status(&app).await.sealed);
    let mut tx = app.db.begin().await.unwrap();
    exec!(&mut tx, sqlx::query("DROP TRIGGER fails")).unwrap();
    tx.commit().await.unwrap();
    app.shutdown().await;

    let again = store.node(Some(key)).await;
    assert!(!status(&again).await.sealed);
    seal(&context(&again, Some(&made.root_token))).await.unwrap();
}

#[tokio::test]
async fn a_patch_and_a_rollback_follow_a_rotation_on_another_node() {
    let store = Store::new();
    let first = Node::start(&store).await;
    let second = first.another(&store).await;
    let path = SecretPath::parse("a.b").unwrap();
    let put = |ctx: &OpContext, data: Value| {
        let input =
            PutSecret { path: path.clone(), data, expected_version: None, description: None, metadata: None };
        let ctx = ctx.clone();
        async move { secrets::put(&ctx, input).await.unwrap() }
    };
    rotate_encryption_key(&first.ctx).await.unwrap();
    put(&first.ctx, json!({ "k": 1 })).await;
    let patch = PatchSecret { path: path.clone(), data: json!({ "l": 2 }), expected_version: None };
    assert_eq!(secrets::patch(&second.ctx, patch).await.unwrap().version, 2);

    rotate_encryption_key(&first.ctx).await.unwrap();
    put(&first.ctx, json!({ "k": 3 })).await;
    assert_eq!(secrets::rollback(&second.ctx, &path, 3, None).await.unwrap().version, 4);
    let read = secrets::read(&first.ctx, &path, None).await.unwrap().unwrap();
    assert_eq!(read.data, json!({ "k": 3 }));
}

#[tokio::test]
async fn a_keyring_with_nothing_new_is_left_alone() {
    let store = Store::new();
    let first = Node::start(&store).await;
    let second = first.another(&store).await;
    let before = second.app.keys.get().unwrap();
    refresh_keyring(&second.app).await.unwrap();
    assert!(Arc::ptr_eq(&before, &second.app.keys.get().unwrap()));
    rotate_encryption_key(&first.ctx).await.unwrap();
    refresh_keyring(&second.app).await.unwrap();
    assert_eq!(second.app.keys.get().unwrap().barrier.keyring().active().version(), 2);
}

#[tokio::test]
async fn a_record_of_a_key_that_another_node_made_opens() {
    let store = Store::new();
    let first = Node::start(&store).await;
    let second = first.another(&store).await;
    rotate_encryption_key(&first.ctx).await.unwrap();
    let name = RecordName { table: "t", column: "c", id: "1", version: 1 };
    let sealed = first.app.keys.get().unwrap().barrier.seal(&name, b"text").unwrap();
    let opened = open_record(&second.app, &name, &sealed).await.unwrap();
    assert_eq!(opened.as_slice(), b"text");
    let known = second.app.keys.get().unwrap();
    open_record(&second.app, &name, &sealed).await.unwrap();
    assert!(Arc::ptr_eq(&known, &second.app.keys.get().unwrap()), "a known key asks for no other");
    let elsewhere = RecordName { version: 2, ..name };
    assert_eq!(open_record(&second.app, &elsewhere, &sealed).await.unwrap_err().code(), ErrorCode::Internal);
}
