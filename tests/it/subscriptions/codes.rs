//! What a socket is closed with, and what is turned away before it is one.

use super::client::{Heard, SOON, Socket, handshake};
use crate::support::{Options, Server, Store};
use futures_util::future::join_all;
use serde_json::json;
use std::time::{Duration, Instant};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::{Error, Message};

const SEAL: &str = "subscription { sealStatusChanged { sealed } }";
const SPEAKS: (&str, &str) = ("sec-websocket-protocol", "graphql-transport-ws");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_misstep_has_its_code() {
    let server = Server::dev(Store::Sqlite).await;
    let server = &server;

    let mut early = Socket::open(server).await;
    early.subscribe("1", SEAL, json!({})).await;
    assert_eq!(early.closed().await, 4401);

    let mut twice = Socket::ready(server, Some(&server.root)).await;
    twice.init(Some(&server.root)).await;
    assert_eq!(twice.closed().await, 4429);

    let mut same = Socket::ready(server, None).await;
    same.subscribe("1", SEAL, json!({})).await;
    same.data("1").await;
    same.subscribe("1", SEAL, json!({})).await;
    assert_eq!(same.closed().await, 4409);

    for text in ["nonsense", "{}", r#"{"type":"start","id":"1"}"#, r#"{"type":"subscribe","id":"1"}"#] {
        let mut wrong = Socket::ready(server, None).await;
        wrong.send(Message::text(text)).await;
        assert_eq!(wrong.closed().await, 4400, "{text}");
    }
    let mut binary = Socket::ready(server, None).await;
    binary.send(Message::binary(b"{}".to_vec())).await;
    assert_eq!(binary.closed().await, 4400);

    for token in ["shub_unknown", "no token at all"] {
        let mut stranger = Socket::open(server).await;
        stranger.init(Some(token)).await;
        assert_eq!(stranger.closed().await, 4403, "{token}");
    }
    for headers in [&[][..], &[("sec-websocket-protocol", "graphql-ws")][..]] {
        // a client that insists on its own subprotocol ends the handshake itself
        if let Ok(mut other) = Socket::open_with(server, headers).await {
            assert_eq!(other.closed().await, 4406, "{headers:?}");
        }
    }
    let mut big = Socket::ready(server, None).await;
    big.send(Message::text("x".repeat(64 * 1024 + 1))).await;
    assert_eq!(big.closed().await, 1009);

    let begun = Instant::now();
    let mut silent = Socket::open(server).await;
    assert_eq!(silent.closed().await, 4408);
    assert!(begun.elapsed() >= Duration::from_secs(9), "{:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operations_of_all_kinds_run_and_ids_are_free_again() {
    let server = Server::dev(Store::Sqlite).await;
    // the token of the handshake is as good as that of the init
    let header = format!("Bearer {}", server.root);
    let mut socket = Socket::open_with(&server, &[SPEAKS, ("authorization", &header)]).await.unwrap();
    socket.init(None).await;
    assert_eq!(socket.said().await, json!({"type": "connection_ack"}));
    socket.say(json!({"type": "ping", "payload": {"n": 1}})).await;
    assert_eq!(socket.said().await, json!({"type": "pong", "payload": {"n": 1}}));
    let put =
        "mutation($data: JSON!) { putSecret(input: {path: \"w.s\", data: $data}) { secret { version } } }";
    for version in 1..=3 {
        socket.subscribe("1", put, json!({"data": {"k": version}})).await;
        assert_eq!(socket.data("1").await["putSecret"]["secret"]["version"], version);
        assert_eq!(socket.said().await, json!({"id": "1", "type": "complete"}));
    }
    // several side by side, one of which fails on the way
    socket.subscribe("a", "{ secret(path: \"w.s\") { data } }", json!({})).await;
    socket
        .subscribe("b", "{ secret(path: \"w.s\") { data(version: 99) } me { displayName } }", json!({}))
        .await;
    let (mut value, mut failed, mut complete) = (false, false, 0);
    while complete < 2 {
        let message = socket.said().await;
        match (message["type"].as_str(), message["id"].as_str()) {
            (Some("complete"), _) => complete += 1,
            (Some("next"), Some("a")) => value = message["payload"]["data"]["secret"]["data"]["k"] == 3,
            (Some("next"), Some("b")) => {
                failed = message["payload"]["errors"][0]["extensions"]["code"] == "NOT_FOUND"
                    && message["payload"]["data"]["me"]["displayName"].is_string();
            }
            _ => panic!("{message}"),
        }
    }
    assert!(value && failed);
    // what is not executed is an error, with the id
    for (query, code) in [
        ("{ nothing }", "BAD_USER_INPUT"),
        ("{ me {", "BAD_USER_INPUT"),
        ("subscription { sealStatusChanged { sealed } secretChanged { path } }", "BAD_USER_INPUT"),
        ("subscription { nothing }", "BAD_USER_INPUT"),
        ("subscription { secretChanged(after: 7) { path } }", "BAD_USER_INPUT"),
        ("subscription { secretChanged(after: \"%\") { path } }", "BAD_USER_INPUT"),
    ] {
        socket.subscribe("1", query, json!({})).await;
        let message = socket.said().await;
        assert_eq!(
            (message["type"].as_str(), message["id"].as_str()),
            (Some("error"), Some("1")),
            "{query}: {message}"
        );
        assert_eq!(message["payload"][0]["extensions"]["code"], code, "{query}: {message}");
    }
}

/// What is wrong with one operation is told to that, and those beside it go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operation_that_cannot_run_leaves_the_socket_alone() {
    let server = Server::dev(Store::Sqlite).await;
    let mut socket = Socket::ready(&server, None).await;
    socket.subscribe("seal", SEAL, json!({})).await;
    assert_eq!(socket.data("seal").await["sealStatusChanged"]["sealed"], false);
    let many: serde_json::Map<_, _> = (0..101).map(|n| (format!("v{n}"), json!(n))).collect();
    let login = "mutation { loginWithAppRole(input: {roleId: \"00000000-0000-0000-0000-000000000000\", secretId: \"none\"}) { token } }";
    for (payload, code) in [
        (json!({"query": SEAL, "variables": many}), "BAD_USER_INPUT"),
        (json!({"query": SEAL, "documentId": "x"}), "BAD_USER_INPUT"),
        (
            json!({"query": SEAL, "extensions": {"persistedQuery": {"version": 2, "sha256Hash": "x"}}}),
            "BAD_USER_INPUT",
        ),
        // nobody has logged in, so no token has ended
        (json!({"query": "{ me { displayName } }"}), "UNAUTHENTICATED"),
        (json!({"query": login}), "UNAUTHENTICATED"),
        (json!({"query": "subscription { secretChanged { path } }"}), "UNAUTHENTICATED"),
    ] {
        socket.say(json!({"id": "1", "type": "subscribe", "payload": payload})).await;
        let message = socket.said().await;
        let errors = match message["type"].as_str() {
            Some("error") => &message["payload"],
            _ => {
                assert_eq!(socket.said().await, json!({"id": "1", "type": "complete"}));
                &message["payload"]["errors"]
            }
        };
        assert_eq!(errors[0]["extensions"]["code"], code, "{payload}: {message}");
    }
    assert_eq!(server.door("POST", "/v1/sys/seal", Some(&server.root), None).await.0, 200);
    assert_eq!(socket.data("seal").await["sealStatusChanged"]["sealed"], true);
}

/// The status that a handshake is refused with.
async fn refusal(server: &Server, headers: &[(&'static str, &str)]) -> u16 {
    match connect_async(handshake(server, headers)).await {
        Err(Error::Http(answer)) => answer.status().as_u16(),
        Err(other) => panic!("{other}"),
        Ok(_) => 101,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_other_sites_are_turned_away() {
    let allowed = ("SECRETHUB_LISTENER__ALLOWED_ORIGINS".to_owned(), "https://console.example".to_owned());
    let options = Options { environment: vec![allowed], ..Options::server() };
    let mut server = Server::start(Store::Sqlite, options).await;
    server.initialize().await;
    server.unseal().await;
    let own = format!("http://127.0.0.1:{}", server.port);
    for (origin, status) in [
        (own.as_str(), 101),
        ("https://console.example", 101),
        ("https://evil.example", 403),
        ("http://127.0.0.1:1", 403),
        ("null", 403),
    ] {
        assert_eq!(refusal(&server, &[SPEAKS, ("origin", origin)]).await, status, "{origin}");
    }
    let (get, post) = (reqwest::Method::GET, reqwest::Method::POST);
    let ask = "/graphql?query=%7B__typename%7D";
    let evil = ("origin", "https://evil.example");
    for (method, path, header, status) in [
        (&get, ask, None, 200),
        (&get, ask, Some(evil), 403),
        (&get, ask, Some(("sec-fetch-site", "cross-site")), 403),
        (&post, "/graphql", Some(evil), 403),
        (&post, "/v1/sys/seal", Some(evil), 403),
        // a link to a page of ours is no request of another page
        (&get, "/", Some(("sec-fetch-site", "cross-site")), 200),
        (&get, ask, Some(("origin", "https://console.example")), 200),
    ] {
        let mut request = server.http.request(method.clone(), format!("{}{path}", server.address()));
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{method} {path} {header:?}");
        let allowed =
            answer.headers().get("access-control-allow-origin").and_then(|value| value.to_str().ok());
        assert_eq!(
            allowed,
            header.map(|(_, value)| value).filter(|value| *value == "https://console.example")
        );
    }
    for (origin, status) in [("https://console.example", 204), ("https://evil.example", 403)] {
        let preflight = server
            .http
            .request(reqwest::Method::OPTIONS, format!("{}/graphql", server.address()))
            .header("origin", origin)
            .header("access-control-request-method", "POST");
        assert_eq!(preflight.send().await.unwrap().status().as_u16(), status, "{origin}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sockets_and_subscriptions_are_counted() {
    let config = "[graphql]\nmax_sockets_per_caller = 3\nmax_subscriptions_per_socket = 4\nmax_subscriptions_per_caller = 6\n";
    let mut server =
        Server::start(Store::Sqlite, Options { config: config.to_owned(), ..Options::server() }).await;
    server.initialize().await;
    server.unseal().await;
    let server = &server;
    let mut sockets = join_all((0..3).map(|_| Socket::ready(server, Some(&server.root)))).await;
    let mut fourth = Socket::open(server).await;
    fourth.init(Some(&server.root)).await;
    assert_eq!(fourth.closed().await, 1013);
    let mut other = Socket::ready(server, None).await;

    for number in 0..5 {
        sockets[0].subscribe(&number.to_string(), SEAL, json!({})).await;
    }
    let mut refused = Vec::new();
    for _ in 0..5 {
        let message = sockets[0].said().await;
        if message["type"] == "error" {
            assert_eq!(message["payload"][0]["extensions"]["code"], "RATE_LIMITED", "{message}");
            refused.push(message["id"].clone());
        }
    }
    assert_eq!(refused, [json!("4")]);
    for number in 0..3 {
        sockets[1].subscribe(&number.to_string(), SEAL, json!({})).await;
    }
    let mut errors = 0;
    for _ in 0..3 {
        errors += usize::from(sockets[1].said().await["type"] == "error");
    }
    assert_eq!(errors, 1, "six of one caller over all sockets");
    other.subscribe("1", SEAL, json!({})).await;
    other.data("1").await;
    // places are given back, of operations and of sockets, though not at the same moment
    sockets[0].say(json!({"type": "complete", "id": "0"})).await;
    let since = Instant::now();
    while !takes_another(&mut sockets[1]).await {
        assert!(since.elapsed() < SOON, "the place of an operation is not given back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(sockets.pop());
    let since = Instant::now();
    while !lets_in(server).await {
        assert!(since.elapsed() < SOON, "the place of a socket is not given back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Whether one more subscription has a place.
async fn takes_another(socket: &mut Socket) -> bool {
    socket.subscribe("again", SEAL, json!({})).await;
    let message = socket.said().await;
    assert_eq!(message["id"], "again", "{message}");
    if message["type"] == "next" {
        return true;
    }
    assert_eq!(message["payload"][0]["extensions"]["code"], "RATE_LIMITED", "{message}");
    false
}

/// Whether one more socket of root's has a place.
async fn lets_in(server: &Server) -> bool {
    let mut socket = Socket::open(server).await;
    socket.init(Some(&server.root)).await;
    match socket.hear().await {
        Heard::Said(message) => message["type"] == "connection_ack",
        Heard::Closed(1013) => false,
        other => panic!("{other:?}"),
    }
}

/// Whatever the log's level, nothing of what is said over a socket is in it, neither as text nor as bytes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_is_said_is_logged() {
    let server = Server::start(Store::Sqlite, Options { log_level: "trace", ..Options::default() }).await;
    // the root token itself is announced at start
    let token = server.token_with(&["root"], json!({})).await;
    let mut socket = Socket::ready(&server, Some(&token)).await;
    let put = "mutation($data: JSON!) { putSecret(input: {path: \"w.s\", data: $data}) { secret { data } } }";
    socket.subscribe("1", put, json!({"data": {"k": "value-that-nobody-logs"}})).await;
    assert_eq!(socket.data("1").await["putSecret"]["secret"]["data"]["k"], "value-that-nobody-logs");
    socket.said().await;
    socket.subscribe("2", "{ secret(path: \"w.s\") { data(version: 99) } }", json!({})).await;
    socket.said().await;
    let log = server.log();
    assert!(log.contains("request refused"), "what is logged below the usual level is there");
    for said in [token.as_str(), "value-that-nobody-logs"] {
        assert!(!log.contains(said), "{said} is in the log");
        let bytes = data_encoding::HEXLOWER.encode(said.as_bytes());
        assert!(!log.contains(&bytes), "{said} is in the log as bytes");
    }
}
