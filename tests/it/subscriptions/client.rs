//! Clients of subscriptions, as plain as can be: a socket that sends and hears texts, and a reader of server-sent events.

use crate::support::Server;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::Message;
use tokio_tungstenite::tungstenite::{Error, http};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// How long anything may take that is to happen soon.
pub const SOON: Duration = Duration::from_secs(20);

/// What a socket hears.
#[derive(Debug)]
pub enum Heard {
    Said(Value),
    /// Closed, with this code.
    Closed(u16),
    /// The connection ended without a word.
    Gone,
}

pub struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// A request for a socket, with these headers beside.
pub fn handshake(server: &Server, headers: &[(&'static str, &str)]) -> http::Request<()> {
    let mut request = format!("ws://127.0.0.1:{}/graphql", server.port).into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    request
}

impl Socket {
    /// A socket that speaks our subprotocol, before anything is said.
    pub async fn open(server: &Server) -> Self {
        Self::open_with(server, &[("sec-websocket-protocol", "graphql-transport-ws")]).await.unwrap()
    }

    pub async fn open_with(server: &Server, headers: &[(&'static str, &str)]) -> Result<Self, Error> {
        connect_async(handshake(server, headers)).await.map(|(stream, _)| Self(stream))
    }

    /// One that was acknowledged, with this token.
    pub async fn ready(server: &Server, token: Option<&str>) -> Self {
        let mut socket = Self::open(server).await;
        socket.init(token).await;
        assert_eq!(socket.said().await["type"], "connection_ack");
        socket
    }

    pub async fn init(&mut self, token: Option<&str>) {
        let payload = token.map(|token| json!({"Authorization": format!("Bearer {token}")}));
        self.say(json!({"type": "connection_init", "payload": payload})).await;
    }

    pub async fn say(&mut self, message: Value) {
        self.send(Message::text(message.to_string())).await;
    }

    pub async fn send(&mut self, message: Message) {
        self.0.send(message).await.unwrap();
    }

    pub async fn subscribe(&mut self, id: &str, query: &str, variables: Value) {
        let payload = json!({"query": query, "variables": variables});
        self.say(json!({"type": "subscribe", "id": id, "payload": payload})).await;
    }

    /// What comes next, within this time.
    pub async fn hear_within(&mut self, time: Duration) -> Option<Heard> {
        let next = async {
            loop {
                match self.0.next().await {
                    Some(Ok(Message::Text(text))) => {
                        return Heard::Said(serde_json::from_str(&text).unwrap());
                    }
                    Some(Ok(Message::Close(frame))) => {
                        return Heard::Closed(frame.map_or(1005, |frame| frame.code.into()));
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return Heard::Gone,
                }
            }
        };
        tokio::time::timeout(time, next).await.ok()
    }

    pub async fn hear(&mut self) -> Heard {
        self.hear_within(SOON).await.expect("something is heard")
    }

    /// The next message.
    #[track_caller]
    pub fn said(&mut self) -> impl Future<Output = Value> {
        let at = std::panic::Location::caller();
        async move {
            match self.hear().await {
                Heard::Said(message) => message,
                other => panic!("{at}: {other:?}"),
            }
        }
    }

    /// The data of the next message, which must be a result of this operation without errors.
    #[track_caller]
    pub fn data(&mut self, id: &str) -> impl Future<Output = Value> {
        let at = std::panic::Location::caller();
        async move {
            let mut message = match self.hear().await {
                Heard::Said(message) => message,
                other => panic!("{at}: {other:?}"),
            };
            let is_result = message["type"] == "next" && message["id"] == id;
            assert!(is_result && message["payload"]["errors"].is_null(), "{at}: {message}");
            message["payload"]["data"].take()
        }
    }

    /// The code that the socket is closed with; whatever else is said before is passed over.
    pub async fn closed(&mut self) -> u16 {
        loop {
            match self.hear().await {
                Heard::Closed(code) => return code,
                Heard::Gone => panic!("the socket ended without a code"),
                Heard::Said(_) => {}
            }
        }
    }

    /// That nothing is said for a moment.
    pub async fn is_silent(&mut self) {
        let heard = self.hear_within(Duration::from_millis(700)).await;
        assert!(heard.is_none(), "{heard:?}");
    }
}

/// A stream of server-sent events.
pub struct Events {
    answer: reqwest::Response,
    text: String,
}

/// What comes over it.
#[derive(Debug, PartialEq)]
pub enum Event {
    Next(Value),
    Complete,
    End,
}

impl Events {
    pub async fn open(server: &Server, token: Option<&str>, query: &str, variables: Value) -> Self {
        let mut request = server
            .http
            .post(format!("{}/graphql", server.address()))
            .timeout(Duration::from_secs(600))
            .header("accept", "text/event-stream")
            .json(&json!({"query": query, "variables": variables}));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream; charset=utf-8");
        Self { answer, text: String::new() }
    }

    pub async fn event(&mut self) -> Event {
        tokio::time::timeout(SOON, self.read()).await.expect("an event comes")
    }

    async fn read(&mut self) -> Event {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                if event == ":" {
                    continue;
                }
                if event.starts_with("event: complete") {
                    return Event::Complete;
                }
                let data = event.strip_prefix("event: next\ndata: ").unwrap_or_else(|| panic!("{event}"));
                return Event::Next(serde_json::from_str(data).unwrap());
            }
            match self.answer.chunk().await {
                Ok(Some(chunk)) => self.text.push_str(std::str::from_utf8(&chunk).unwrap()),
                Ok(None) | Err(_) => return Event::End,
            }
        }
    }

    /// The data of the next event, which must be a result without errors.
    pub async fn data(&mut self) -> Value {
        match self.event().await {
            Event::Next(mut result) if result["errors"].is_null() => result["data"].take(),
            other => panic!("{other:?}"),
        }
    }
}
