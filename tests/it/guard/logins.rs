//! How often logins and tokens from one address may be wrong.

use super::{ask, behind_a_proxy, lister};
use crate::support::calls::LOGIN;
use crate::support::sql::Sql;
use crate::support::{Server, Store};
use serde_json::{Value, json};

const LIMITS: &str = "[rate_limits]\nfailed_logins = 4\nfailed_logins_window = \"1h\"";
const HERE: &str = "192.0.2.1";
const THERE: &str = "192.0.2.2";

both_stores!(logins_fail_so_often_from_one_address, tokens_are_guessed_so_often_from_one_address);

async fn login(server: &Server, from: &str, role_id: &str, secret_id: &str) -> (String, Value) {
    let input = json!({"input": {"roleId": role_id, "secretId": secret_id}});
    let answer = ask(server, None, from, LOGIN, input).await;
    (answer.code().to_owned(), answer.body)
}

/// A login that fails, with another RoleID each time, so that no RoleID is locked out.
async fn failing(server: &Server, from: &str, number: u32) -> String {
    let role_id = format!("00000000-0000-4000-8000-{number:012}");
    login(server, from, &role_id, "a-wrong-secret-id").await.0
}

async fn events(server: &Server, reason: &str) -> i64 {
    let mut sql = Sql::open(&server.database.url).await;
    sql.number(&format!(
        "SELECT count(*) FROM audit_logs WHERE event_type = 'auth.failed' AND denial_reason = '{reason}'"
    ))
    .await
}

async fn logins_fail_so_often_from_one_address(store: Store) {
    let server = behind_a_proxy(store, LIMITS).await;
    server.create_policy("lister", lister()).await;
    let role_id = server.create_role("app", json!({"policies": ["lister"]})).await;
    let (good, _) = server.generate_secret_id("app", json!({})).await;
    let (once, _) = server.generate_secret_id("app", json!({"numUses": 1})).await;
    for number in 0..2 {
        assert_eq!(failing(&server, HERE, number).await, "UNAUTHENTICATED");
    }
    // a success clears nothing
    assert_eq!(login(&server, HERE, &role_id, &good).await.0, "");
    for number in 2..4 {
        assert_eq!(failing(&server, HERE, number).await, "UNAUTHENTICATED");
    }
    for attempt in 0..3 {
        let (code, body) = login(&server, HERE, &role_id, &once).await;
        assert_eq!(code, "RATE_LIMITED", "attempt {attempt}: {body}");
        let wait = body.pointer("/errors/0/extensions/retryAfterSeconds").and_then(Value::as_u64).unwrap();
        assert!((3500..=3601).contains(&wait), "{wait}");
    }
    // the SecretID of one use was not looked at, and elsewhere nobody hears of it
    assert_eq!(login(&server, THERE, &role_id, &once).await.0, "");
    assert_eq!(events(&server, "too many failed logins from this address").await, 1);
    // tokens go on working there
    let answer = ask(&server, Some(&server.root), HERE, "{ me { displayName } }", json!({})).await;
    assert!(answer.body["errors"].is_null(), "{}", answer.body);
    server.audit_is_whole().await;
}

async fn tokens_are_guessed_so_often_from_one_address(store: Store) {
    let server = behind_a_proxy(store, LIMITS).await;
    server.create_policy("lister", lister()).await;
    let role_id = server.create_role("app", json!({"policies": ["lister"]})).await;
    let (secret_id, _) = server.generate_secret_id("app", json!({})).await;
    let me = async |token: &str, from: &str| {
        // as many operations as there are, a request is one guess
        ask(&server, Some(token), from, "{ a: me { displayName } b: me { displayName } }", json!({})).await
    };
    for number in 0..4 {
        assert_eq!(me(&format!("shub_guess{number}"), HERE).await.code(), "UNAUTHENTICATED");
    }
    for _ in 0..3 {
        let answer = me("shub_another", HERE).await;
        assert_eq!(answer.code(), "RATE_LIMITED", "{}", answer.body);
    }
    assert_eq!(events(&server, "unknown or revoked token").await, 4);
    assert_eq!(events(&server, "too many unknown tokens from this address").await, 1);
    assert_eq!(me("shub_another", THERE).await.code(), "UNAUTHENTICATED");
    // who shows none at all is counted likewise: each refusal is an event
    let bare = async || ask(&server, None, HERE, "{ me { displayName } }", json!({})).await.code().to_owned();
    for _ in 0..4 {
        assert_eq!(bare().await, "UNAUTHENTICATED");
    }
    assert_eq!((bare().await.as_str(), bare().await.as_str()), ("RATE_LIMITED", "RATE_LIMITED"));
    assert_eq!(events(&server, "no token").await, 4);
    assert_eq!(events(&server, "too many requests without a token from this address").await, 1);
    // whoever has a good token, or logs in for one, is not kept out by his neighbours
    assert_eq!(me(&server.root, HERE).await.code(), "");
    assert_eq!(login(&server, HERE, &role_id, &secret_id).await.0, "");
    server.audit_is_whole().await;
}
