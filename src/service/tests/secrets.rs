//! What callers with few rights see of secrets, and how much work one request can ask for.

use super::super::audit;
use super::super::paging::PageRequest;
use super::super::policies::{self, Explain, PolicyInput, Subject};
use super::super::secrets::{self, ListSecrets, PutSecret, RotationInput, UpdateSettings};
use super::{Node, administers, code};
use crate::error::ErrorCode;
use crate::model::paths::SecretPath;
use crate::model::policies::Operation;
use crate::storage::db::exec;
use crate::storage::testing::shown;
use crate::storage::tokens as token_store;
use serde_json::json;
use uuid::Uuid;

fn path(text: &str) -> SecretPath {
    SecretPath::parse(text).unwrap()
}

fn put(text: &str) -> PutSecret {
    PutSecret {
        path: path(text),
        data: json!({ "k": "v" }),
        expected_version: None,
        description: Some("the till".to_owned()),
        metadata: Some(json!({ "team": "shop" })),
    }
}

fn settings(text: &str) -> UpdateSettings {
    UpdateSettings { path: path(text), description: None, metadata: None, max_versions: None, rotation: None }
}

#[tokio::test]
async fn who_only_writes_learns_nothing_by_it() {
    let node = Node::start().await;
    let may = |operations: &[&str]| json!({ "version": 1, "allowed_secrets": ["a.*"], "allowed_operations": operations });
    node.policy("writer", may(&["write", "delete"]), &[]).await;
    node.policy("lister", may(&["list", "write"]), &[]).await;
    shown(secrets::put(&node.root, put("a.b")).await);
    let rotation = RotationInput { enabled: true, schedule: Some("0 3 * * 1".to_owned()) };
    let with = UpdateSettings { rotation: Some(rotation), ..settings("a.b") };
    shown(secrets::update_settings(&node.root, with).await);

    let writer = node.caller(&["writer"]).await;
    let bare = PutSecret { description: None, metadata: None, ..put("a.b") };
    let kept = UpdateSettings { max_versions: Some(5), ..settings("a.b") };
    for view in [
        shown(secrets::put(&writer, bare).await),
        shown(secrets::update_settings(&writer, kept).await),
        shown(secrets::delete(&writer, &path("a.b"), Some(vec![1])).await),
        shown(secrets::restore(&writer, &path("a.b"), Some(vec![1])).await),
        shown(secrets::rollback(&writer, &path("a.b"), 1, None).await),
    ] {
        assert!(view.description.is_none() && view.rotation.is_none() && view.created_by.is_none());
        assert_eq!(view.metadata, json!({}));
    }
    let lister = node.caller(&["lister"]).await;
    let seen = shown(secrets::rollback(&lister, &path("a.b"), 1, None).await);
    assert_eq!(seen.description.as_deref(), Some("the till"));
    assert!(seen.rotation.is_some() && seen.created_by.is_some());
    assert_eq!(code(secrets::update_settings(&lister, settings("a.b")).await), ErrorCode::BadUserInput);
}

#[tokio::test]
async fn versions_are_named_once_and_not_too_many() {
    let node = Node::start().await;
    for _ in 0..3 {
        shown(secrets::put(&node.root, put("a")).await);
    }
    shown(secrets::delete(&node.root, &path("a"), Some(vec![2, 1, 2, 1])).await);
    let many = Some(vec![1; 101]);
    assert_eq!(code(secrets::delete(&node.root, &path("a"), many).await), ErrorCode::BadUserInput);
    assert_eq!(code(secrets::delete(&node.root, &path("a"), Some(vec![1, 4])).await), ErrorCode::NotFound);
    shown(secrets::destroy(&node.root, &path("a"), Some(vec![2]), false).await);
    assert_eq!(code(secrets::restore(&node.root, &path("a"), Some(vec![1, 2])).await), ErrorCode::Conflict);
    shown(secrets::restore(&node.root, &path("a"), Some(vec![1])).await);
}

#[tokio::test]
async fn an_unknown_id_is_recorded_like_a_hidden_one() {
    let node = Node::start().await;
    node.policy("audit", administers(&["audit"]), &[]).await;
    let hidden = shown(secrets::put(&node.root, put("a.b")).await).id;
    let caller = node.caller(&["audit"]).await;
    let before = (node.events("secret.listed").await, node.events("secret.access_denied").await);
    assert!(shown(secrets::by_id(&caller, Uuid::nil()).await).is_none());
    assert!(shown(secrets::by_id(&caller, hidden).await).is_none());
    let after = (node.events("secret.listed").await, node.events("secret.access_denied").await);
    assert_eq!(after, (before.0 + 1, before.1 + 1));
}

#[tokio::test]
async fn a_long_search_stops_and_goes_on() {
    let node = Node::start().await;
    let mut tx = shown(node.app.db.begin().await);
    shown(exec!(
        &mut tx,
        sqlx::query(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 45000) \
             INSERT INTO secrets (id, secret_path, secret_type, version, metadata, description, max_versions, \
             rotation_enabled, created_at, updated_at) SELECT randomblob(16), printf('m-s%05d', i) || \
             CASE WHEN i = 30000 THEN '.x' ELSE '.y' END, 'static', 0, '{}', NULL, 10, 0, \
             '2026-01-01T00:00:00.000000Z', '2026-01-01T00:00:00.000000Z' FROM n"
        )
    ));
    shown(tx.commit().await);
    let x = json!({ "version": 1, "allowed_secrets": ["*.x"], "allowed_operations": ["list"] });
    node.policy("x", x, &[]).await;
    let few = node.caller(&["x"]).await;
    let nothing = ListSecrets { search: Some("30000.X".to_owned()), ..ListSecrets::default() };
    for (ctx, query) in [(&few, ListSecrets::default()), (&node.root, nothing)] {
        for backward in [false, true] {
            let (mut pages, mut found, mut cursor) = (0, Vec::new(), None);
            loop {
                let request = match backward {
                    false => PageRequest { first: Some(10), after: cursor, ..Default::default() },
                    true => PageRequest { last: Some(10), before: cursor, ..Default::default() },
                };
                let page = shown(secrets::list(ctx, query.clone(), request).await);
                pages += 1;
                found.extend(page.edges.iter().map(|(_, view)| view.path.to_string()));
                let more = if backward { page.has_previous_page } else { page.has_next_page };
                cursor = if backward { page.start_cursor } else { page.end_cursor };
                if !more {
                    break;
                }
                assert!(cursor.is_some(), "a page that is cut says where to go on");
            }
            assert_eq!((pages, &found[..]), (3, &["m-s30000.x".to_owned()][..]), "backward: {backward}");
        }
    }
}

#[tokio::test]
async fn a_checkpoint_is_not_for_a_token_that_another_node_revoked() {
    let node = Node::start().await;
    let caller = node.caller(&[]).await;
    shown(audit::checkpoint(&caller).await);
    let accessor = caller.access().await.unwrap_or_else(|_| panic!("it is live")).caller.accessor;
    // as another node does it: this one's cache does not know
    let mut tx = shown(node.app.db.begin().await);
    shown(token_store::revoke_tree(&mut tx, accessor, chrono::DateTime::UNIX_EPOCH, "test").await);
    shown(tx.commit().await);
    assert_eq!(code(audit::checkpoint(&caller).await), ErrorCode::Unauthenticated);
}

#[tokio::test]
async fn an_explanation_names_a_deny_policy_but_not_its_ranges() {
    let node = Node::start().await;
    let document = json!({
        "version": 1, "allowed_secrets": ["a.inner.*"], "allowed_operations": ["read"],
        "conditions": { "ip_ranges": ["127.0.0.0/8"] },
    });
    let deny = PolicyInput { name: "guard".into(), document, deny_policy: true, ..PolicyInput::default() };
    shown(policies::create(&node.root, deny).await);
    node.policy("policies", administers(&["policies"]), &[]).await;
    let question = |subject| Explain {
        path: Some(path("a.inner.x")),
        operation: Some(Operation::Read),
        area: None,
        subject,
        source_ip: None,
        at: None,
        ttl_seconds: None,
    };
    let held_back = node.caller(&["guard"]).await;
    let why = shown(policies::explain(&held_back, question(Subject::Myself)).await);
    assert_eq!(why.reason, "the deny policy 'guard' forbids this");
    assert!(!why.missing.concat().contains("a.inner"));
    let reader = node.caller(&["guard", "policies"]).await;
    let why = shown(policies::explain(&reader, question(Subject::Myself)).await);
    assert!(why.reason.contains("a.inner.*"), "{}", why.reason);

    let before = node.events("admin.access_denied").await;
    let unknown = question(Subject::Role("no\0such".to_owned()));
    assert_eq!(code(policies::explain(&reader, unknown).await), ErrorCode::NotFound);
    assert_eq!(node.events("admin.access_denied").await, before + 1);
}
