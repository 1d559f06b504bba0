//! Several nodes on one PostgreSQL: what happens on one is told on the other, judged by what both know.

use super::client::{Heard, SOON, Socket};
use super::resuming::newest;
use crate::nodes::two_nodes;
use crate::support::writers::Writers;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const AUDIT: &str =
    "subscription($after: String) { auditEventAdded(after: $after) { cursor node { sequenceNumber } } }";
/// How often the node is changed on which the log is read.
const TURNS: usize = 16;
const SECRETS: &str = "subscription($after: String) { secretChanged(after: $after) { path version } }";

fn rights(path: &str) -> Value {
    json!({"version": 1, "allowed_secrets": [path], "allowed_operations": ["list"]})
}

/// Both nodes write; the log is read on one, and on the other from where it broke off, in turns.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_log_from_either_node() {
    let (one, two) = two_nodes().await;
    let (mut cursor, mut seen) = newest(&one).await;
    let writers = [Writers::start(&one, 4, 1), Writers::start(&two, 4, 2)];
    let mut read = async |turn: usize, most: usize| {
        let node = if turn.is_multiple_of(2) { &one } else { &two };
        let mut socket = Socket::ready(node, Some(&node.root)).await;
        socket.subscribe("log", AUDIT, json!({"after": cursor})).await;
        for _ in 0..most {
            let data = socket.data("log").await;
            let edge = &data["auditEventAdded"];
            let number: i64 = edge["node"]["sequenceNumber"].as_str().unwrap().parse().unwrap();
            assert_eq!(number, seen + 1);
            (cursor, seen) = (edge["cursor"].as_str().unwrap().to_owned(), number);
        }
        seen
    };
    for turn in 1..=TURNS {
        read(turn, 100).await;
    }
    let mut written = 0;
    for writers in writers {
        written += writers.finish_unrefused().await.len();
    }
    let (_, last) = newest(&two).await;
    let left = last - read(0, 0).await;
    read(1, usize::try_from(left).unwrap()).await;
    eprintln!("{written} writes, {last} events, {TURNS} turns");
}

/// The other node's change, and how long it takes to be told; a policy taken away there counts here from that event on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_and_tokens_of_the_other_node_count() {
    let (one, two) = two_nodes().await;
    one.create_policy("lister", rights("n.*")).await;
    let token = one.token_with(&["lister"], json!({})).await;
    let (cursor, _) = newest(&one).await;
    let mut socket = Socket::ready(&two, Some(&token)).await;
    socket.subscribe("a", SECRETS, json!({"after": cursor})).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    for version in 1..=5 {
        let begun = Instant::now();
        one.put(&one.root, "n.a", json!({"k": version})).await.ok();
        assert_eq!(socket.data("a").await["secretChanged"]["version"], version);
        eprintln!("told by the other node after {:?}", begun.elapsed());
        assert!(begun.elapsed() < SOON);
    }
    let update = "mutation($input: PolicyInput!) { updatePolicy(input: $input) { policy { name } } }";
    // each time the policy changes just before the secret does: the event is never judged by the policy of before
    for round in 0..10 {
        one.as_root(update, json!({"input": {"name": "lister", "document": rights("z.*")}})).await.ok();
        one.put(&one.root, "n.hidden", json!({"k": round})).await.ok();
        one.as_root(update, json!({"input": {"name": "lister", "document": rights("n.*")}})).await.ok();
        one.put(&one.root, "n.shown", json!({"k": round})).await.ok();
        loop {
            // by the time that an event is judged the policy may allow it again: that is what "as of now" means
            let data = socket.data("a").await;
            if data["secretChanged"]["path"] == "n.shown" {
                break;
            }
        }
    }
    one.as_root(update, json!({"input": {"name": "lister", "document": rights("z.*")}})).await.ok();
    one.put(&one.root, "n.hidden", json!({"k": "last"})).await.ok();
    socket.is_silent().await;
    let begun = Instant::now();
    let revoke = "mutation($token: String) { revokeToken(input: {token: $token}) { revoked } }";
    one.as_root(revoke, json!({"token": token})).await.ok();
    let heard = socket.hear().await;
    assert!(matches!(heard, Heard::Closed(4403)), "{heard:?}");
    eprintln!("closed by the other node after {:?}", begun.elapsed());
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
}

/// A node that has long been the only one that works relies on where it left the log: what another one does must reach those who only
/// listen on it, all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_only_listens_on_a_node_is_told_of_what_another_one_does() {
    let (one, two) = two_nodes().await;
    one.create_policy("lister", rights("n.*")).await;
    let token = one.token_with(&["lister"], json!({})).await;
    let revoked = one.token_with(&["lister"], json!({})).await;
    one.put(&one.root, "n.a", json!({"k": 0})).await.ok();
    for _ in 0..150 {
        one.read(&one.root, "n.a").await.ok();
    }
    let (mut listening, mut leaving) =
        (Socket::ready(&one, Some(&token)).await, Socket::ready(&one, Some(&revoked)).await);
    listening.subscribe("a", SECRETS, json!({})).await;
    leaving.subscribe("a", SECRETS, json!({})).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let begun = Instant::now();
    let revoke = "mutation($token: String) { revokeToken(input: {token: $token}) { revoked } }";
    two.as_root(revoke, json!({"token": revoked})).await.ok();
    let heard = leaving.hear().await;
    assert!(matches!(heard, Heard::Closed(4403)), "{heard:?}");
    assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
    // what is told is judged by what the other node has changed before it
    let update = "mutation($input: PolicyInput!) { updatePolicy(input: $input) { policy { name } } }";
    two.as_root(update, json!({"input": {"name": "lister", "document": rights("z.*")}})).await.ok();
    two.put(&two.root, "n.a", json!({"k": 1})).await.ok();
    listening.is_silent().await;
}
