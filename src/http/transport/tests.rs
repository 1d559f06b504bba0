use super::*;
use async_graphql::{EmptySubscription, Object, Schema};
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use http_body_util::BodyExt;
use std::convert::Infallible;

struct Query;
/// Counts what was done.
#[derive(Default)]
struct Mutation(std::sync::atomic::AtomicUsize);

#[derive(Clone)]
struct Caller(Option<String>);

#[Object]
impl Query {
    async fn hello(&self, name: Option<String>) -> String {
        name.unwrap_or_default()
    }
    async fn caller(&self, ctx: &async_graphql::Context<'_>) -> async_graphql::Result<Option<String>> {
        Ok(ctx.data::<Caller>()?.0.clone())
    }
    async fn broken(&self) -> async_graphql::Result<Option<String>> {
        Err(std::io::Error::other("/secret/path").into())
    }
    async fn denied(&self) -> crate::error::Result<Option<String>> {
        Err(Error::forbidden("no"))
    }
    async fn slow(&self) -> bool {
        tokio::time::sleep(Duration::from_secs(60)).await;
        true
    }
}

#[Object]
impl Mutation {
    async fn change(&self) -> bool {
        true
    }
    async fn add(&self, n: i32) -> usize {
        let n = usize::try_from(n).unwrap_or_default();
        self.0.fetch_add(n, std::sync::atomic::Ordering::Relaxed) + n
    }
}

struct TestApi(Schema<Query, Mutation, EmptySubscription>);

impl Api for TestApi {
    type Context = Caller;
    fn context(&self, call: Call<'_>) -> Caller {
        Caller(call.bearer.map(ToOwned::to_owned))
    }
    async fn authenticate(&self, context: &Caller) -> Result<()> {
        if context.0.as_deref() == Some("good") { Ok(()) } else { Err(Error::unauthenticated()) }
    }
    async fn charge(&self, context: &Caller, cost: u64, _: u64) -> Result<()> {
        let limited = context.0.as_deref() == Some("limited") && cost > 2;
        if limited { Err(Error::new(ErrorCode::RateLimited, "wait").with_retry_after(7)) } else { Ok(()) }
    }
    async fn execute(&self, request: async_graphql::Request) -> async_graphql::Response {
        self.0.execute(request).await
    }
    fn subscribe(&self, request: async_graphql::Request) -> BoxStream<'static, async_graphql::Response> {
        self.0.execute_stream(request).boxed()
    }
    fn next(&self, socket: &Caller, _: String) -> Caller {
        socket.clone()
    }
    async fn admit(&self, socket: &Caller) -> Result<()> {
        self.authenticate(socket).await
    }
    async fn is_known(&self, caller: &Caller) -> bool {
        self.authenticate(caller).await.is_ok()
    }
    async fn has_ended(&self, _: &Caller) -> bool {
        false
    }
    fn ended(&self, _: &Caller) -> BoxFuture<'static, ()> {
        Box::pin(futures_util::future::pending())
    }
}

fn door(options: TransportOptions) -> GraphqlDoor<TestApi> {
    let gate = Arc::new(Gate::new(options.max_concurrent_requests, options.max_bodies_bytes));
    GraphqlDoor::new(TestApi(Schema::new(Query, Mutation::default(), EmptySubscription)), options, gate)
}

struct Got {
    status: u16,
    headers: http::HeaderMap,
    json: serde_json::Value,
}

impl Got {
    fn code(&self) -> &str {
        self.json["errors"][0]["extensions"]["code"].as_str().unwrap_or_default()
    }
}

async fn send(door: &GraphqlDoor<TestApi>, request: Request<Body>) -> Got {
    let response = door.handle(request, CallOrigin::default()).await;
    let (head, body) = response.into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    let json = serde_json::from_slice(&bytes).unwrap();
    Got { status: head.status.as_u16(), headers: head.headers, json }
}

const GRAPHQL: &str = "application/graphql-response+json";

fn post(accept: &str, body: &str) -> Request<Body> {
    Request::post("/graphql")
        .header("content-type", "application/json")
        .header("accept", accept)
        .body(Body::from(body.to_owned()))
        .unwrap()
}

fn get(query: &str) -> Request<Body> {
    Request::get(format!("/graphql?{query}")).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn a_query_is_answered_with_the_headers_of_every_answer() {
    let door = door(TransportOptions::default());
    let got = send(&door, post("*/*", r#"{"query":"{ hello(name: \"x\") }"}"#)).await;
    assert_eq!((got.status, &got.json), (200, &serde_json::json!({"data": {"hello": "x"}})));
    assert_eq!(got.headers["content-type"], "application/json; charset=utf-8");
    assert_eq!(got.headers["cache-control"], "no-store");
    assert!(!got.headers["x-request-id"].is_empty());
    let got = send(&door, post(GRAPHQL, r#"{"query":"{ hello }"}"#)).await;
    assert_eq!(got.headers["content-type"], "application/graphql-response+json; charset=utf-8");
    let by_get = "query=query+A(%24n%3AString)%7Bhello(name%3A%24n)%7D+query+B%7Bhello%7D&operationName=A&variables=%7B%22n%22%3A%22y%22%7D";
    assert_eq!(send(&door, get(by_get)).await.json, serde_json::json!({"data": {"hello": "y"}}));
}

#[tokio::test]
async fn the_statuses_of_refused_requests() {
    let door = door(TransportOptions { max_body_bytes: 10_000, ..TransportOptions::default() });
    let with = |method: &str, content_type: &str, accept: &str, body: String| {
        Request::builder()
            .method(method)
            .uri("/graphql")
            .header("content-type", content_type)
            .header("accept", accept)
            .body(Body::from(body))
            .unwrap()
    };
    let ok = || r#"{"query":"{ hello }"}"#.to_owned();
    let json = "application/json";
    // method, content type, accept, body, status
    for (method, content_type, accept, body, status) in [
        ("PUT", json, "*/*", ok(), 405),
        ("DELETE", json, "*/*", ok(), 405),
        ("OPTIONS", json, "*/*", String::new(), 405),
        ("POST", json, "text/html", ok(), 406),
        ("POST", "text/plain", "*/*", ok(), 415),
        ("POST", "application/json; charset=latin1", "*/*", ok(), 415),
        ("POST", "multipart/form-data; boundary=x", "*/*", ok(), 415),
        ("POST", json, "*/*", "x".repeat(10_001), 413),
        ("POST", json, "*/*", String::new(), 400),
        ("POST", json, "*/*", "{ \"not a JSON".to_owned(), 400),
        ("POST", json, "*/*", format!("[{}]", ok()), 400),
        ("POST", json, "*/*", r#"{"query":{"a":1}}"#.to_owned(), 400),
        // from here on it depends on the form of the answer
        ("POST", json, json, r#"{"query":"{"}"#.to_owned(), 200),
        ("POST", json, GRAPHQL, r#"{"query":"{"}"#.to_owned(), 400),
        ("POST", json, json, r#"{"query":"{ nosuch }"}"#.to_owned(), 200),
        ("POST", json, GRAPHQL, r#"{"query":"{ nosuch }"}"#.to_owned(), 400),
        ("POST", json, GRAPHQL, r#"{"query":"{ hello }","operationName":"Nosuch"}"#.to_owned(), 400),
        ("POST", json, GRAPHQL, r#"{"query":"query($a:ID!){hello}","variables":{"a":null}}"#.to_owned(), 400),
        ("POST", json, json, r#"{"query":"query($a:ID!){hello}","variables":{"a":null}}"#.to_owned(), 200),
    ] {
        let what = format!("{method} {content_type} {accept} {}", body.chars().take(60).collect::<String>());
        let got = send(&door, with(method, content_type, accept, body)).await;
        assert_eq!(got.status, status, "{what}: {}", got.json);
        assert_eq!(got.code(), "BAD_USER_INPUT", "{what}: {}", got.json);
        assert!(got.json.get("data").is_none(), "{what}");
        if status == 405 {
            assert_eq!(got.headers["allow"], "GET, POST");
        }
    }
}

#[tokio::test]
async fn mutations_go_by_post_only() {
    let door = door(TransportOptions::default());
    for accept in ["application/json", GRAPHQL] {
        let mut request = get("query=mutation%7Bchange%7D");
        request.headers_mut().insert("accept", accept.parse().unwrap());
        let got = send(&door, request).await;
        assert_eq!((got.status, got.headers["allow"].to_str().unwrap()), (405, "POST"));
        assert_eq!(
            send(&door, post(accept, r#"{"query":"mutation{change}"}"#)).await.json["data"]["change"],
            true
        );
    }
}

#[tokio::test]
async fn nothing_runs_with_variables_that_are_missing_or_wrong() {
    let door = door(TransportOptions::default());
    let ask = async |variables: serde_json::Value| {
        let query = "mutation($a: Int!, $b: Int! = 2) { a: add(n: $a) b: add(n: $b) }";
        let body = serde_json::json!({ "query": query, "variables": variables }).to_string();
        send(&door, post(GRAPHQL, &body)).await
    };
    for variables in [
        serde_json::json!({}),
        serde_json::json!({ "a": null }),
        serde_json::json!({ "a": 1, "b": null }),
        serde_json::json!({ "a": 1, "b": 1_u64 << 40 }),
        serde_json::json!({ "a": 1, "b": "x" }),
    ] {
        let got = ask(variables.clone()).await;
        assert_eq!((got.status, got.code()), (400, "BAD_USER_INPUT"), "{variables}");
        assert_eq!(got.json["errors"][0]["extensions"]["field"], "n", "{variables}: {}", got.json);
        assert!(got.json.get("data").is_none(), "{variables}");
    }
    assert_eq!(ask(serde_json::json!({ "a": 1 })).await.json["data"], serde_json::json!({ "a": 1, "b": 3 }));
}

#[tokio::test]
async fn conditions_heed_defaults_and_leave_objects_that_are_there() {
    let door = door(TransportOptions::default());
    for (query, data) in [
        ("query($h: Boolean = true) { hello @skip(if: $h) caller }", serde_json::json!({ "caller": null })),
        ("query($h: Boolean = true) { hello @include(if: $h) }", serde_json::json!({ "hello": "" })),
        ("{ hello @skip(if: true) }", serde_json::json!({})),
    ] {
        let got = send(&door, post(GRAPHQL, &serde_json::json!({ "query": query }).to_string())).await;
        assert_eq!((got.status, &got.json), (200, &serde_json::json!({ "data": data })), "{query}");
    }
    let missing = r#"{"query":"query($h: Boolean!) { hello @include(if: $h) }"}"#;
    let got = send(&door, post(GRAPHQL, missing)).await;
    assert_eq!((got.status, got.code(), got.json.get("data")), (400, "BAD_USER_INPUT", None));
}

#[tokio::test]
async fn a_malformed_token_is_not_anonymous() {
    let door = door(TransportOptions::default());
    for (header, expected) in
        [(None, serde_json::Value::Null), (Some("Basic x"), "".into()), (Some("Bearer t"), "t".into())]
    {
        let mut request = post("*/*", r#"{"query":"{caller}"}"#);
        if let Some(header) = header {
            request.headers_mut().insert("authorization", header.parse().unwrap());
        }
        assert_eq!(send(&door, request).await.json["data"]["caller"], expected);
    }
}

#[tokio::test]
async fn errors_of_resolvers_leave_with_a_code_or_as_internal() {
    let door = door(TransportOptions::default());
    let got = send(&door, post(GRAPHQL, r#"{"query":"{ broken hello }"}"#)).await;
    assert_eq!((got.status, got.code()), (200, "INTERNAL"));
    assert!(!got.json.to_string().contains("secret"), "{}", got.json);
    assert_eq!(
        got.json["errors"][0]["extensions"]["requestId"],
        got.headers["x-request-id"].to_str().unwrap()
    );
    let got = send(&door, post(GRAPHQL, r#"{"query":"{ denied }"}"#)).await;
    assert_eq!((got.status, got.code()), (200, "FORBIDDEN"));
    assert_eq!(got.json["data"]["denied"], serde_json::Value::Null);
}

#[tokio::test]
async fn introspection_is_a_setting() {
    let body = r#"{"query":"{ __schema { queryType { name } } }"}"#;
    for (setting, token, code) in [
        (Introspection::Always, None, ""),
        (Introspection::Authenticated, None, "UNAUTHENTICATED"),
        (Introspection::Authenticated, Some("Bearer bad"), "UNAUTHENTICATED"),
        (Introspection::Authenticated, Some("Bearer good"), ""),
        (Introspection::Never, Some("Bearer good"), "FORBIDDEN"),
    ] {
        let door = door(TransportOptions { introspection: setting, ..TransportOptions::default() });
        let mut request = post(GRAPHQL, body);
        if let Some(token) = token {
            request.headers_mut().insert("authorization", token.parse().unwrap());
        }
        let got = send(&door, request).await;
        assert_eq!(got.code(), code, "{setting:?} {token:?}");
        // the name of a type is no introspection of the schema
        assert_eq!(
            send(&door, post("*/*", r#"{"query":"{__typename}"}"#)).await.json["data"]["__typename"],
            "Query"
        );
    }
}

#[tokio::test]
async fn slow_requests_end_and_too_many_are_turned_away() {
    let door = door(TransportOptions {
        max_concurrent_requests: 1,
        request_timeout: Duration::from_millis(300),
        ..TransportOptions::default()
    });
    let slow = send(&door, post("*/*", r#"{"query":"{slow}"}"#));
    let second = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        send(&door, post("*/*", r#"{"query":"{hello}"}"#)).await
    };
    let (slow, second) = futures_util::future::join(slow, second).await;
    assert_eq!((slow.status, slow.code()), (503, "UNAVAILABLE"));
    assert_eq!((second.status, second.code()), (503, "UNAVAILABLE"));
    assert_eq!(second.headers["retry-after"], "1");
    assert_eq!(send(&door, post("*/*", r#"{"query":"{hello}"}"#)).await.status, 200);
}

#[tokio::test]
async fn a_slow_body_holds_no_place() {
    let door = door(TransportOptions {
        max_concurrent_requests: 1,
        request_timeout: Duration::from_millis(500),
        ..TransportOptions::default()
    });
    let never = futures_util::stream::pending::<std::result::Result<Bytes, std::io::Error>>();
    let mut stuck = post("*/*", "");
    *stuck.body_mut() = Body::from_stream(never);
    let other = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        send(&door, post("*/*", r#"{"query":"{hello}"}"#)).await
    };
    let (stuck, other) = futures_util::future::join(send(&door, stuck), other).await;
    assert_eq!((other.status, other.code()), (200, ""), "{}", other.json);
    assert_eq!((stuck.status, stuck.code()), (503, "UNAVAILABLE"));
}

#[tokio::test]
async fn without_a_token_bodies_are_small() {
    let door = door(TransportOptions::default());
    let body = format!(r#"{{"query":"{{hello}}","variables":{{"x":"{}"}}}}"#, "x".repeat(70_000));
    for (token, status) in [(None, 413), (Some("Basic x"), 413), (Some("Bearer t"), 200)] {
        let mut request = post("*/*", &body);
        if let Some(token) = token {
            request.headers_mut().insert("authorization", token.parse().unwrap());
        }
        assert_eq!(send(&door, request).await.status, status, "{token:?}");
    }
}

#[tokio::test]
async fn a_large_body_is_read_only_of_a_caller_who_is_known() {
    let door = door(TransportOptions::default());
    let body = |size: usize| {
        format!(r#"{{"query":"{{ hello(name: \"x\") }}", "variables": {{"a": "{}"}}}}"#, "x".repeat(size))
    };
    let by = |token: &str, accept: &str, body: Body| {
        Request::post("/graphql")
            .header("content-type", "application/json")
            .header("accept", accept)
            .header("authorization", format!("Bearer {token}"))
            .body(body)
            .unwrap()
    };
    let chunked = |text: String| {
        let chunks = text
            .into_bytes()
            .chunks(1000)
            .map(|chunk| Ok::<_, Infallible>(chunk.to_vec()))
            .collect::<Vec<_>>();
        Body::from_stream(futures_util::stream::iter(chunks))
    };
    for (token, size, code) in
        [("good", 100_000, ""), ("good", 1000, ""), ("bad", 1000, ""), ("bad", 100_000, "UNAUTHENTICATED")]
    {
        for sent in [Body::from(body(size)), chunked(body(size))] {
            assert_eq!(send(&door, by(token, "*/*", sent)).await.code(), code, "{token} {size}");
        }
    }
    assert_eq!(send(&door, by("bad", GRAPHQL, Body::from(body(100_000)))).await.status, 401);
}

fn with_token(token: &str, query: &str) -> Request<Body> {
    let mut request = post("application/json", &serde_json::json!({ "query": query }).to_string());
    request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

#[tokio::test]
async fn who_asks_too_much_is_told_how_long_to_wait() {
    let door = door(TransportOptions::default());
    let got = send(&door, with_token("limited", "{ a: hello b: hello c: hello }")).await;
    assert_eq!((got.status, got.code()), (429, "RATE_LIMITED"));
    assert_eq!(got.headers["retry-after"], "7");
    assert_eq!(got.json["errors"][0]["extensions"]["retryAfterSeconds"], 7);
    assert!(got.json.get("data").is_none());
    // a text that is refused has its price, too
    let long = format!("{{ hello #{}", "x".repeat(1000));
    assert_eq!(send(&door, with_token("limited", &long)).await.status, 429);
    assert_eq!(send(&door, with_token("limited", "{ hello }")).await.status, 200);
    assert_eq!(send(&door, with_token("other", "{ a: hello b: hello c: hello }")).await.status, 200);
}

#[tokio::test]
async fn a_hash_stands_for_a_query_that_was_seen() {
    let door = door(TransportOptions::default());
    let query = "query H($n: String) { hello(name: $n) }";
    let hash = data_encoding::HEXLOWER.encode(&crate::crypto::primitives::sha256(query.as_bytes()));
    let extensions = serde_json::json!({"persistedQuery": {"version": 1, "sha256Hash": hash}});
    let by_hash = || {
        let body = serde_json::json!({"variables": {"n": "x"}, "extensions": extensions});
        post("application/json", &body.to_string())
    };
    let missed = send(&door, by_hash()).await;
    assert_eq!((missed.status, missed.code()), (200, "PERSISTED_QUERY_NOT_FOUND"));
    assert_eq!(missed.json["errors"][0]["message"], "PersistedQueryNotFound");
    let both = serde_json::json!({"query": query, "variables": {"n": "x"}, "extensions": extensions});
    assert_eq!(send(&door, post("application/json", &both.to_string())).await.json["data"]["hello"], "x");
    assert_eq!(send(&door, by_hash()).await.json["data"]["hello"], "x");
    let by_get = format!(
        "extensions=%7B%22persistedQuery%22%3A%7B%22version%22%3A1%2C%22sha256Hash%22%3A%22{hash}%22%7D%7D"
    );
    assert_eq!(send(&door, get(&by_get)).await.json["data"]["hello"], "");
    assert_eq!(send(&door, get(&format!("documentId=sha256:{hash}"))).await.json["data"]["hello"], "");
}
