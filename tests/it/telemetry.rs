//! Spans: a collector gets those of a request in the trace of its caller, with nothing secret in them, and nobody waits for it.

use crate::subscriptions::client::Socket;
use crate::support::{Options, Server, Store, plugins};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use parking_lot::Mutex;
use prost::Message;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

const SOON: Duration = Duration::from_secs(30);
/// In the value of a secret, in its path, and in the name of an operation.
const CANARY: &str = "canary-4f1d";

/// A collector of OTLP over HTTP that keeps what it is sent.
#[derive(Clone)]
struct Collector {
    port: u16,
    bodies: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Collector {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let collector = Self { port: listener.local_addr().unwrap().port(), bodies: Arc::default() };
        let taking = collector.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let taking = taking.clone();
                tokio::spawn(async move { taking.serve(stream).await });
            }
        });
        collector
    }

    /// Takes requests until the connection is closed.
    async fn serve(&self, stream: TcpStream) -> Option<()> {
        let mut stream = BufReader::new(stream);
        loop {
            let (mut line, mut length) = (String::new(), 0);
            stream.read_line(&mut line).await.ok().filter(|read| *read > 0)?;
            assert!(line.starts_with("POST /v1/traces "), "{line}");
            loop {
                line.clear();
                stream.read_line(&mut line).await.ok()?;
                let header = line.trim_end().to_ascii_lowercase();
                if header.is_empty() {
                    break;
                }
                if let Some(value) = header.strip_prefix("content-length: ") {
                    length = value.parse().unwrap();
                }
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await.ok()?;
            self.bodies.lock().push(body);
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.ok()?;
        }
    }

    fn spans(&self) -> Vec<Span> {
        let bodies = self.bodies.lock();
        let requests = bodies.iter().map(|body| ExportTraceServiceRequest::decode(body.as_slice()).unwrap());
        requests
            .flat_map(|request| request.resource_spans)
            .flat_map(|resource| resource.scope_spans)
            .flat_map(|scope| scope.spans)
            .collect()
    }

    /// The spans of a trace as soon as there is one of this name among them.
    async fn until(&self, trace: &[u8], name: &str) -> Vec<Span> {
        let since = Instant::now();
        loop {
            let mut spans = self.spans();
            spans.retain(|span| span.trace_id == trace);
            if spans.iter().any(|span| span.name == name) {
                return spans;
            }
            assert!(since.elapsed() < SOON, "no span {name} came: {:?}", self.spans());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn config(&self) -> String {
        format!("[telemetry]\notlp_endpoint = \"http://127.0.0.1:{}\"\n", self.port)
    }
}

fn attribute<'a>(span: &'a Span, key: &str) -> Option<&'a str> {
    use opentelemetry_proto::tonic::common::v1::any_value::Value::StringValue;
    let found = span.attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        StringValue(text) => Some(text),
        _ => None,
    }
}

async fn start(store: Store, config: String) -> Server {
    let options = Options { shares: (1, 1), config, ..Options::server() };
    let mut server = Server::start(store, options).await;
    server.initialize().await;
    server.unseal().await;
    server
}

/// A request in a trace of the caller's; the id that it was answered with.
async fn traced(server: &Server, trace: u128, sampled: bool, query: &str, token: &str) -> String {
    let parent = format!("00-{trace:032x}-00f067aa0ba902b7-0{}", u8::from(sampled));
    let request = server.http.post(format!("{}/graphql", server.address())).bearer_auth(token);
    let request = request.header("traceparent", parent).json(&json!({ "query": query }));
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    answer.headers()["x-request-id"].to_str().unwrap().to_owned()
}

both_stores!(a_request_is_traced);

async fn a_request_is_traced(store: Store) {
    let collector = Collector::start().await;
    let server = start(store, format!("{}{}", collector.config(), plugins::section("hostile"))).await;
    let path = format!("p.{CANARY}");
    server.put(&server.root, &path, json!({ "k": CANARY })).await.ok();
    let enable = json!({"input": {"name": CANARY, "kind": "hostile", "config": {"label": CANARY}}});
    let engine = "mutation($input: EnableEngineInput!) { enableEngine(input: $input) { engine { id } } }";
    server.as_root(engine, enable).await.ok();
    let role = json!({"path": "p.dynamic", "engine": CANARY, "config": {"do": "nothing", "with": CANARY}});
    let put = "mutation($input: EngineRoleInput!) { putEngineRole(input: $input) { secret { path } } }";
    server.as_root(put, json!({ "input": role })).await.ok();

    let root = server.root.clone();
    let read = format!("query Op_{} {{ secret(path: \"{path}\") {{ data }} }}", CANARY.replace('-', "_"));
    traced(&server, 0xA, false, &read, &root).await;
    let id = traced(&server, 0xB, true, &read, &root).await;
    traced(
        &server,
        0xC,
        true,
        "mutation { issueCredentials(input: {path: \"p.dynamic\"}) { credentials } }",
        &root,
    )
    .await;
    traced(&server, 0xD, true, &read, "shub_wrong").await;

    let spans = collector.until(&0xB_u128.to_be_bytes(), "secret").await;
    let request = spans.iter().find(|span| span.name == "secret").unwrap();
    assert_eq!(request.parent_span_id, 0x00f0_67aa_0ba9_02b7_u64.to_be_bytes());
    assert_eq!(attribute(request, "request_id"), Some(id.as_str()));
    assert_eq!((attribute(request, "operation"), attribute(request, "code")), (Some("secret"), Some("OK")));
    let wait = spans.iter().find(|span| span.name == "ledger.wait").unwrap();
    assert_eq!(wait.parent_span_id, request.span_id);
    assert!(
        wait.start_time_unix_nano >= request.start_time_unix_nano
            && wait.end_time_unix_nano <= request.end_time_unix_nano
    );

    let spans = collector.until(&0xC_u128.to_be_bytes(), "issueCredentials").await;
    let call = spans.iter().find(|span| span.name == "engine.call").unwrap();
    assert_eq!((attribute(call, "operation"), attribute(call, "kind")), (Some("issue"), Some("hostile")));
    let spans = collector.until(&0xD_u128.to_be_bytes(), "secret").await;
    assert!(spans.iter().any(|span| attribute(span, "code") == Some("UNAUTHENTICATED")));

    let all = collector.spans();
    let batch = all.iter().find(|span| {
        span.name == "ledger.batch" && span.links.iter().any(|link| link.span_id == wait.span_id)
    });
    let batch = batch.expect("the batch that the request was in is linked with it");
    // what only records is one statement on PostgreSQL
    let steps =
        if store == Store::Postgres { &["store.commit"][..] } else { &["store.begin", "store.commit"] };
    for step in steps {
        assert!(all.iter().any(|span| span.name == *step && span.parent_span_id == batch.span_id), "{step}");
    }
    assert!(all.iter().all(|span| span.trace_id != 0xA_u128.to_be_bytes()), "its caller has not sampled it");
    for body in collector.bodies.lock().iter() {
        for secret in [CANARY, &CANARY.replace('-', "_"), "p.dynamic", &root[5..], "shub_"] {
            let found = body.windows(secret.len()).any(|window| window == secret.as_bytes());
            assert!(!found, "{secret} is in what was sent: {}", String::from_utf8_lossy(body));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_spans_are_sent_at_the_end() {
    let collector = Collector::start().await;
    let mut server = start(Store::Sqlite, collector.config()).await;
    let root = server.root.clone();
    traced(&server, 0xE, true, "{ me { displayName } }", &root).await;
    let mut socket = Socket::ready(&server, Some(&root)).await;
    socket.subscribe("1", "{ me { displayName } }", json!({})).await;
    assert!(!socket.data("1").await["me"].is_null());
    assert_eq!(socket.said().await["type"], "complete");
    socket.subscribe("2", "subscription { sealStatusChanged { sealed } }", json!({})).await;
    assert!(!socket.data("2").await["sealStatusChanged"].is_null());
    assert!(server.stop().await.success());
    let spans = collector.spans();
    assert!(spans.iter().any(|span| span.trace_id == 0xE_u128.to_be_bytes() && span.name == "me"));
    // over a socket each operation is a trace of its own, a subscription up to its beginning
    for name in ["me", "sealStatusChanged"] {
        let own = |span: &&Span| span.name == name && span.parent_span_id.is_empty();
        let span = spans.iter().find(own).expect(name);
        assert_eq!(attribute(span, "code"), Some("OK"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_sampled_at_a_ratio_of_nought() {
    let collector = Collector::start().await;
    let mut server = start(Store::Sqlite, format!("{}sample_ratio = 0.0\n", collector.config())).await;
    let root = server.root.clone();
    for _ in 0..20 {
        server.as_root("{ me { displayName } }", json!({})).await.ok();
    }
    // whoever calls within a sampled trace is
    traced(&server, 0xF, true, "{ me { displayName } }", &root).await;
    assert!(server.stop().await.success());
    let spans = collector.spans();
    assert!(spans.iter().any(|span| span.name == "me"));
    assert!(spans.iter().all(|span| span.trace_id == 0xF_u128.to_be_bytes()), "{spans:?}");
}

/// More requests than there are places for spans.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_away_holds_up_nothing() {
    let gone = Collector { port: crate::support::server::free_port(), bodies: Arc::default() };
    let mut server = start(Store::Sqlite, gone.config()).await;
    let mut callers = Vec::new();
    for _ in 0..16 {
        let (http, address, root) = (server.http.clone(), server.address(), server.root.clone());
        callers.push(tokio::spawn(async move {
            for _ in 0..150 {
                let answer = http.post(format!("{address}/graphql")).bearer_auth(&root);
                let answer =
                    answer.json(&json!({"query": "{ roles { nodes { id } } }"})).send().await.unwrap();
                let body: Value = answer.json().await.unwrap();
                assert_eq!(body["errors"], Value::Null, "{body}");
            }
        }));
    }
    for caller in callers {
        caller.await.unwrap();
    }
    let since = Instant::now();
    while !server.log().contains("the collector of spans does not take them") {
        assert!(since.elapsed() < SOON, "{}", server.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(server.stop().await.success());
    assert_eq!(
        server.log().matches("the collector of spans does not take them").count(),
        1,
        "it is said once"
    );
}
