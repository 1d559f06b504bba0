//! Key shares that are wrong, repeated, mistyped or of another server: named, never unsealing, the progress right.

use crate::support::{Options, Server, Store};
use secrethub::crypto::shares::Share;
use serde_json::{Value, json};

/// The two ways to give a share.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Door {
    GraphQl,
    Sys,
}

/// What came of a share: an error's message, or the progress and whether the server is still sealed.
#[derive(Debug, PartialEq, Eq)]
enum Given {
    Refused(String),
    Taken { progress: i64, sealed: bool },
}

impl Door {
    async fn give(self, server: &Server, share: &str) -> Given {
        match self {
            Self::GraphQl => {
                let reply = server.give_share(share).await;
                if let Some(code) = reply.code() {
                    assert_eq!(
                        (code, reply.field()),
                        ("BAD_USER_INPUT", Some("input.share")),
                        "{}",
                        reply.body
                    );
                    return Given::Refused(reply.message().to_owned());
                }
                Self::taken(&reply.ok()["unseal"]["status"])
            }
            Self::Sys => {
                let (status, body) =
                    server.door("POST", "/v1/sys/unseal", None, Some(json!({"share": share}))).await;
                if status == 200 {
                    return Self::taken(&body);
                }
                assert_eq!(status, 400, "{body}");
                let error = body.get("error").unwrap_or(&body);
                assert_eq!(error["code"], json!("BAD_USER_INPUT"), "{body}");
                Given::Refused(error["message"].as_str().unwrap_or_default().to_owned())
            }
        }
    }

    fn taken(status: &Value) -> Given {
        Given::Taken {
            progress: status["progress"].as_i64().unwrap_or_else(|| panic!("{status}")),
            sealed: status["sealed"].as_bool().unwrap(),
        }
    }
}

/// The share with one character of its body changed to another.
fn mistyped(share: &str, at: usize) -> String {
    let mut characters: Vec<char> = share.chars().collect();
    let at = "shubk1-".len() + at;
    characters[at] = if characters[at] == 'a' { 'b' } else { 'a' };
    characters.into_iter().collect()
}

/// A share of this set with a right checksum and a wrong content, as only a forger would make it.
fn forged(share: &str) -> String {
    use data_encoding::BASE32_NOPAD_NOCASE;
    use sha2::{Digest, Sha256};
    let mut raw = BASE32_NOPAD_NOCASE.decode(share.strip_prefix("shubk1-").unwrap().as_bytes()).unwrap();
    raw[20] ^= 1;
    let sum = Sha256::new().chain_update(b"secrethub-share-v1").chain_update(&raw[..42]).finalize();
    raw[42..46].copy_from_slice(&sum[..4]);
    let text = format!("shubk1-{}", BASE32_NOPAD_NOCASE.encode(&raw).to_lowercase());
    assert!(Share::parse(&text).is_ok(), "the forged share reads well");
    text
}

async fn refused(server: &Server, door: Door, share: &str, names: &str) {
    match door.give(server, share).await {
        Given::Refused(message) => {
            assert!(message.contains(names), "{door:?}: {names:?} is not in {message:?}");
            assert!(share.is_empty() || !message.contains(share), "the share is in the message");
        }
        taken @ Given::Taken { .. } => panic!("{door:?}: {names}: {taken:?}"),
    }
}

/// What anyone may see of the seal, by both doors alike.
async fn progress(server: &Server) -> i64 {
    let asked = server.graphql(None, "{ sealStatus { sealed progress } }", json!({})).await.ok();
    let (status, body) = server.door("GET", "/v1/sys/seal-status", None, None).await;
    assert_eq!((status, &body["progress"]), (200, &asked["sealStatus"]["progress"]));
    assert_eq!(asked["sealStatus"]["sealed"], json!(true));
    asked["sealStatus"]["progress"].as_i64().unwrap()
}

async fn sealed_server(store: Store) -> Server {
    let mut server = Server::start(store, Options { shares: (5, 3), ..Options::server() }).await;
    server.initialize().await;
    server
}

both_stores!(over_graphql, over_sys, init_over_sys);

async fn over_graphql(store: Store) {
    bad_shares(store, Door::GraphQl).await;
}

async fn over_sys(store: Store) {
    bad_shares(store, Door::Sys).await;
}

async fn bad_shares(store: Store, door: Door) {
    let other = sealed_server(store).await;
    let server = sealed_server(store).await;
    let shares = server.shares.clone();
    assert_eq!(progress(&server).await, 0);

    refused(&server, door, "", "not a key share").await;
    refused(&server, door, "correct horse battery staple", "not a key share").await;
    refused(&server, door, &shares[0][..shares[0].len() - 1], "not a key share").await;
    for at in [0, 17, 20, 40, 70] {
        refused(&server, door, &mistyped(&shares[0], at), "mistyped").await;
    }
    refused(&server, door, &other.shares[0], "another set").await;
    assert_eq!(progress(&server).await, 0);

    assert_eq!(door.give(&server, &shares[4]).await, Given::Taken { progress: 1, sealed: true });
    refused(&server, door, &shares[4], "already").await;
    refused(&server, door, &shares[4].to_uppercase(), "already").await;
    refused(&server, door, &other.shares[1], "another set").await;
    refused(&server, door, &mistyped(&shares[1], 30), "mistyped").await;
    assert_eq!(progress(&server).await, 1);
    assert_eq!(door.give(&server, &shares[1]).await, Given::Taken { progress: 2, sealed: true });

    // one short of the threshold: nothing but the seal answers
    server.as_root("{ me { displayName } }", json!({})).await.refused("SEALED");
    let (health, _) = server.door("GET", "/v1/sys/health", None, None).await;
    assert_eq!(health, 503);

    // a quorum with one forged share rebuilds a wrong key: refused, and the count begins anew
    match door.give(&server, &forged(&shares[0])).await {
        Given::Refused(_) => {}
        taken @ Given::Taken { .. } => panic!("a forged share: {taken:?}"),
    }
    assert_eq!(progress(&server).await, 0, "after a quorum that did not fit");
    for (share, expected) in shares[2..5].iter().zip([(1, true), (2, true), (0, false)]) {
        let given = door.give(&server, share).await;
        match given {
            Given::Taken { progress, sealed } if sealed => assert_eq!((progress, sealed), expected),
            Given::Taken { sealed, .. } => assert_eq!(sealed, expected.1),
            Given::Refused(message) => panic!("{message}"),
        }
    }
    server.as_root("{ me { displayName } }", json!({})).await.ok();
}

/// Initialising, unsealing, sealing and their states over `/v1/sys` alone.
async fn init_over_sys(store: Store) {
    let server = Server::start(store, Options::server()).await;
    let health = async || server.door("GET", "/v1/sys/health", None, None).await.0;
    assert_eq!(health().await, 501);
    server.graphql(None, "{ me { displayName } }", json!({})).await.refused("NOT_INITIALIZED");
    for bad in [
        json!({"shares": 2, "threshold": 3}),
        json!({"shares": 0, "threshold": 0}),
        json!({"shares": 256, "threshold": 2}),
    ] {
        let (status, body) = server.door("POST", "/v1/sys/init", None, Some(bad.clone())).await;
        assert_eq!(status, 400, "{bad}: {body}");
    }
    let (status, made) =
        server.door("POST", "/v1/sys/init", None, Some(json!({"shares": 3, "threshold": 2}))).await;
    assert_eq!(status, 200, "{made}");
    assert_eq!(health().await, 503);
    let (again, _) =
        server.door("POST", "/v1/sys/init", None, Some(json!({"shares": 3, "threshold": 2}))).await;
    assert_eq!(again, 409);
    let shares: Vec<&str> = made["shares"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    let root = made.get("rootToken").or(made.get("root_token")).and_then(Value::as_str).unwrap();
    for share in &shares[1..] {
        let (status, body) = server.door("POST", "/v1/sys/unseal", None, Some(json!({"share": share}))).await;
        assert_eq!(status, 200, "{body}");
    }
    assert_eq!(health().await, 200);
    server.graphql(Some(root), "{ me { displayName } }", json!({})).await.ok();
    let (refused, _) = server.door("POST", "/v1/sys/seal", None, None).await;
    assert_eq!(refused, 401);
    assert_eq!(server.door("POST", "/v1/sys/seal", Some(root), None).await.0, 200);
    assert_eq!(health().await, 503);
    server.graphql(Some(root), "{ me { displayName } }", json!({})).await.refused("SEALED");
}
