//! How much work a caller may ask for.

use super::{Answer, ask, behind_a_proxy, lister};
use crate::support::sql::Sql;
use crate::support::{Server, Store};
use serde_json::{Value, json};
use std::time::Duration;

/// Costs 201 and the unit of its text.
const LIST: &str = "{ secrets(first: 100) { nodes { path } } }";
/// Costs 42, and needs no token.
const STATUS: &str = "{ a: sealStatus { sealed version threshold shares progress clusterName initialized }
  b: sealStatus { sealed version threshold shares progress clusterName initialized }
  c: sealStatus { sealed version threshold shares progress clusterName initialized }
  d: sealStatus { sealed version threshold shares progress clusterName initialized }
  e: sealStatus { sealed version threshold shares progress clusterName initialized } }";
const HERE: &str = "192.0.2.1";

#[tokio::test]
async fn a_caller_over_its_share_waits_and_others_do_not() {
    let limits = "[rate_limits]\ncost_per_second = 100\nburst = 700";
    let server = behind_a_proxy(Store::Sqlite, limits).await;
    server.create_policy("lister", lister()).await;
    let greedy = server.token_with(&["lister"], json!({})).await;
    let modest = server.token_with(&["lister"], json!({})).await;

    let (mut done, mut refused) = (0, None);
    while done < 50 && refused.is_none() {
        let answer = ask(&server, Some(&greedy), HERE, LIST, json!({})).await;
        match answer.status {
            200 => done += 1,
            _ => refused = Some(answer),
        }
    }
    let refused = refused.expect("a budget has an end");
    assert!(done >= 3, "{done} were let in");
    assert_eq!((refused.status, refused.code()), (429, "RATE_LIMITED"));
    let wait = refused.retry_after.unwrap();
    assert_eq!(refused.body["errors"][0]["extensions"]["retryAfterSeconds"], json!(wait));
    assert!((1..=4).contains(&wait), "{wait}");
    assert!(refused.body.get("data").is_none());

    // neither another token from the same address, nor the same address without one
    assert_eq!(ask(&server, Some(&modest), HERE, LIST, json!({})).await.status, 200);
    assert_eq!(ask(&server, None, HERE, STATUS, json!({})).await.status, 200);
    // nobody uses up the budget of a token from where it is not good
    tokio::time::sleep(Duration::from_secs(wait)).await;
    assert_eq!(ask(&server, Some(&greedy), HERE, LIST, json!({})).await.status, 200, "who waited is let in");

    let mut sql = Sql::open(&server.database.url).await;
    let listed = sql.number("SELECT count(*) FROM audit_logs WHERE event_type = 'secret.listed'").await;
    assert_eq!(listed, done + 2, "what is refused is neither done nor recorded");
    let log = std::fs::read_to_string(server.log_path()).unwrap();
    let lines: Vec<_> =
        log.lines().filter(|line| line.contains("asks for more than the rate limits")).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains("token with accessor"), "{}", lines[0]);
    assert!(!log.contains(&greedy), "the log names no token");
    let metrics = server.http.get(format!("{}/metrics", server.address())).send().await.unwrap();
    assert!(metrics.text().await.unwrap().contains("secrethub_rate_limited_total 1"));
}

/// Uses up the budget of an address.
async fn exhaust(server: &Server, from: &str) {
    for _ in 0..50 {
        if ask(server, None, from, STATUS, json!({})).await.status == 429 {
            return;
        }
    }
    panic!("{from} may ask for ever");
}

async fn status(server: &Server, token: Option<&str>, from: &str) -> u16 {
    ask(server, token, from, STATUS, json!({})).await.status
}

#[tokio::test]
async fn strangers_are_told_apart_by_their_addresses() {
    let limits = "[rate_limits]\nanonymous_cost_per_second = 1\nanonymous_burst = 400";
    let server = behind_a_proxy(Store::Sqlite, limits).await;
    exhaust(&server, HERE).await;
    assert_eq!(status(&server, None, "192.0.2.2").await, 200);
    // what the client wrote itself stands left of what the proxy wrote
    assert_eq!(status(&server, None, &format!("192.0.2.9, {HERE}")).await, 429);
    // no new budget by inventing tokens; a good one has its own
    assert_eq!(status(&server, Some("shub_invented"), HERE).await, 429);
    assert_eq!(status(&server, Some(&server.root), HERE).await, 200);

    exhaust(&server, "2001:db8::1").await;
    assert_eq!(status(&server, None, "2001:db8::ffff:2").await, 429, "a /64 is one client");
    assert_eq!(status(&server, None, "2001:db8:0:1::1").await, 200);

    // the doors beside GraphQL count, too, but for those that tell how the server is
    let door = async |method: &str, path: &str, body: Option<Value>| {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = server
            .http
            .request(method, format!("{}{path}", server.address()))
            .header("X-Forwarded-For", HERE);
        if let Some(body) = body {
            request = request.json(&body);
        }
        Answer::of(request).await
    };
    let unseal = door("POST", "/v1/sys/unseal", Some(json!({"share": "x"}))).await;
    assert_eq!((unseal.status, unseal.code()), (429, "RATE_LIMITED"));
    assert!(unseal.retry_after.unwrap() >= 1);
    assert_eq!(door("POST", "/v1/sys/init", Some(json!({}))).await.status, 429);
    assert_eq!(door("GET", "/v1/audit/export", None).await.status, 429);
    // this costs less than what may be left
    let mut lists = 0;
    while lists < 20 && door("GET", "/v1/pki/default/crl", None).await.status != 429 {
        lists += 1;
    }
    assert!(lists < 20, "an address may ask for lists for ever");
    assert_eq!(door("GET", "/v1/sys/health", None).await.status, 200);
    assert_eq!(door("GET", "/livez", None).await.status, 200);
}

#[tokio::test]
async fn a_token_that_is_not_good_from_there_keeps_its_budget() {
    let limits = "[rate_limits]\ncost_per_second = 1\nburst = 300\nfailed_logins = 0";
    let server = behind_a_proxy(Store::Sqlite, limits).await;
    server.create_policy("lister", lister()).await;
    let bound = server.token_with(&["lister"], json!({"boundCidrList": ["192.0.2.0/24"]})).await;
    for _ in 0..20 {
        assert_eq!(ask(&server, Some(&bound), "198.51.100.7", STATUS, json!({})).await.status, 200);
    }
    assert_eq!(status(&server, Some(&bound), HERE).await, 200);
    let mut mine = 1;
    while mine < 50 && status(&server, Some(&bound), HERE).await == 200 {
        mine += 1;
    }
    assert!((5..=10).contains(&mine), "{mine} of its own");
}
