//! What a server takes on and what it refuses before it looks at it: rate limits, failed logins, persisted documents.

mod documents;
mod logins;
mod work;

use crate::support::{Options, Server, Store};
use serde_json::{Value, json};

/// An answer with what a client needs to wait by.
pub struct Answer {
    pub status: u16,
    pub retry_after: Option<u64>,
    pub body: Value,
}

impl Answer {
    pub async fn of(request: reqwest::RequestBuilder) -> Self {
        let answer = request.send().await.expect("the server answers");
        let retry_after =
            answer.headers().get("retry-after").map(|value| value.to_str().unwrap().parse().unwrap());
        let status = answer.status().as_u16();
        let body = serde_json::from_str(&answer.text().await.unwrap()).unwrap_or(Value::Null);
        Self { status, retry_after, body }
    }

    pub fn code(&self) -> &str {
        let error =
            self.body.pointer("/errors/0/extensions/code").or_else(|| self.body.pointer("/error/code"));
        error.and_then(Value::as_str).unwrap_or_default()
    }
}

/// A request that a trusted proxy forwards for this address.
pub async fn ask(server: &Server, token: Option<&str>, from: &str, query: &str, variables: Value) -> Answer {
    let mut request = server
        .http
        .post(format!("{}/graphql", server.address()))
        .header("X-Forwarded-For", from)
        .json(&json!({"query": query, "variables": variables}));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    Answer::of(request).await
}

/// An unsealed server behind a proxy, with more lines of configuration.
pub async fn behind_a_proxy(store: Store, config: &str) -> Server {
    let environment = vec![("SECRETHUB_LISTENER__TRUSTED_PROXIES".to_owned(), "127.0.0.1".to_owned())];
    let options = Options { environment, config: config.to_owned(), ..Options::server() };
    let mut server = Server::start(store, options).await;
    server.initialize().await;
    server.unseal().await;
    server
}

/// The document of a policy that allows hardly anything.
pub fn lister() -> Value {
    json!({"version": 1, "allowed_secrets": ["x.*"], "allowed_operations": ["list"]})
}
