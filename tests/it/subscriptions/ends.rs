//! The end of a token ends what was opened with it, at once.

use super::client::{Event, Events, Heard, Socket};
use crate::support::{Server, Store, text};
use serde_json::json;
use std::time::{Duration, Instant};

const SECRETS: &str = "subscription($after: String) { secretChanged(after: $after) { path } }";
/// How long a node may take to notice: on a busy machine.
const AT_ONCE: Duration = Duration::from_secs(15);
/// How long the tokens are good for that run out.
const TTL: Duration = Duration::from_secs(6);
const REVOKE: &str = "mutation($token: String) { revokeToken(input: {token: $token}) { revoked } }";

both_stores!(a_revoked_token, an_expired_token, a_disabled_role);

async fn a_revoked_token(store: Store) {
    let server = Server::dev(store).await;
    server
        .create_policy(
            "lister",
            json!({"version": 1, "allowed_secrets": ["*"], "allowed_operations": ["list"]}),
        )
        .await;
    let token = server.token_with(&["lister"], json!({})).await;
    let mut idle = Socket::ready(&server, Some(&token)).await;
    let mut socket = Socket::ready(&server, Some(&token)).await;
    socket.subscribe("a", SECRETS, json!({})).await;
    socket.subscribe("s", "subscription { sealStatusChanged { sealed } }", json!({})).await;
    socket.data("s").await;
    let mut events = Events::open(&server, Some(&token), SECRETS, json!({})).await;
    let mut other = Socket::ready(&server, Some(&server.root)).await;
    let begun = Instant::now();
    server.as_root(REVOKE, json!({"token": token})).await.ok();
    // what happens afterwards is not told any more
    server.put(&server.root, "n.a", json!({"k": 1})).await.ok();
    let heard = socket.hear().await;
    assert!(matches!(heard, Heard::Closed(4403)), "{heard:?}");
    eprintln!("closed {:?} after the revocation began", begun.elapsed());
    assert_eq!(idle.closed().await, 4403);
    match events.event().await {
        Event::Next(result) => {
            assert_eq!(result["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "{result}")
        }
        other => panic!("{other:?}"),
    }
    assert_eq!((events.event().await, events.event().await), (Event::Complete, Event::End));
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
    other.is_silent().await;
    let mut again = Socket::open(&server).await;
    again.init(Some(&token)).await;
    assert_eq!(again.closed().await, 4403);
    // of several, since on a busy machine one may take as long as if a silent client were left
    let mut ended_soon = false;
    for _ in 0..4 {
        ended_soon = ended_soon || ends_with_its_farewell(&server).await;
    }
    assert!(ended_soon, "the connection does not end when the client has taken leave");
}

/// Whether a connection ends once the client has taken leave, and not only when a silent client would be left: that is after two
/// seconds, so no longer time can be given here.
async fn ends_with_its_farewell(server: &Server) -> bool {
    let token = server.token_with(&["lister"], json!({})).await;
    let mut idle = Socket::ready(server, Some(&token)).await;
    server.as_root(REVOKE, json!({"token": token})).await.ok();
    assert_eq!(idle.closed().await, 4403);
    match idle.hear_within(Duration::from_millis(1500)).await {
        Some(Heard::Gone) => true,
        None => false,
        other => panic!("{other:?}"),
    }
}

async fn an_expired_token(store: Store) {
    let server = Server::dev(store).await;
    let begun = Instant::now();
    let token = server.token_with(&["root"], json!({"ttlSeconds": TTL.as_secs()})).await;
    let mut socket = Socket::ready(&server, Some(&token)).await;
    socket.subscribe("a", SECRETS, json!({})).await;
    let mut events = Events::open(&server, Some(&token), SECRETS, json!({})).await;
    let heard = socket.hear().await;
    assert!(matches!(heard, Heard::Closed(4403)), "{heard:?}");
    match events.event().await {
        Event::Next(result) => {
            assert_eq!(result["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "{result}")
        }
        other => panic!("{other:?}"),
    }
    let took = begun.elapsed();
    eprintln!("closed after {took:?} of {TTL:?}");
    assert!(took > TTL - Duration::from_secs(1) && took < TTL + AT_ONCE, "{took:?}");

    // one that is renewed in time lives on
    let token = server.token_with(&["root"], json!({"ttlSeconds": TTL.as_secs()})).await;
    let mut socket = Socket::ready(&server, Some(&token)).await;
    let renew = "mutation($token: String) { renewToken(input: {token: $token, incrementSeconds: 600}) { expiresAt } }";
    server.graphql(Some(&token), renew, json!({"token": token})).await.ok();
    assert!(socket.hear_within(TTL + Duration::from_secs(1)).await.is_none());
}

async fn a_disabled_role(store: Store) {
    let server = Server::dev(store).await;
    let role_id = server.create_role("app", json!({"policies": ["root"]})).await;
    let (secret_id, _) = server.generate_secret_id("app", json!({})).await;
    let login = server.login(&role_id, &secret_id).await.ok();
    let mut socket = Socket::ready(&server, Some(text(&login, "/loginWithAppRole/token"))).await;
    socket.subscribe("a", SECRETS, json!({})).await;
    let disable = "mutation { updateRole(input: {name: \"app\", policies: [\"root\"], enabled: false}) { role { enabled } } }";
    let begun = Instant::now();
    server.as_root(disable, json!({})).await.ok();
    assert_eq!(socket.closed().await, 4403);
    assert!(begun.elapsed() < AT_ONCE, "{:?}", begun.elapsed());
}

/// A use of a token with limited uses is counted for each operation, not for each event and not for the socket.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn uses_are_counted_by_operations() {
    let server = Server::dev(Store::Sqlite).await;
    let token = server.token_with(&["root"], json!({"numUses": 2})).await;
    // from here on, however long it takes until it is open
    let from = server.as_root("{ auditCheckpoint { cursor } }", json!({})).await.ok();
    let mut socket = Socket::ready(&server, Some(&token)).await;
    socket.subscribe("a", SECRETS, json!({"after": from["auditCheckpoint"]["cursor"]})).await;
    for number in 0..5 {
        server.put(&server.root, &format!("n.{number}"), json!({"k": 1})).await.ok();
        socket.data("a").await;
    }
    socket.subscribe("b", "{ me { usesLeft } }", json!({})).await;
    let message = socket.said().await;
    assert_eq!(message["payload"]["data"]["me"]["usesLeft"], 0, "{message}");
    assert_eq!(socket.said().await["type"], "complete");
    socket.subscribe("c", "{ me { usesLeft } }", json!({})).await;
    let message = socket.said().await;
    assert_eq!(message["payload"]["errors"][0]["extensions"]["code"], "UNAUTHENTICATED", "{message}");
}
