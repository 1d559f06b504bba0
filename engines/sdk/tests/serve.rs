//! The inside of a plugin, spoken to over its socket.

#![allow(clippy::unwrap_used, reason = "tests")]

mod memory;

use memory::{Config, InMemory, Memory, PASSWORD};
use secrethub_engine::conformance::{Client, Fixture, installation};
use secrethub_engine::wire::{self, FromEngine, Operation, Outcome, ToEngine};
use secrethub_engine::{Engine, ErrorKind, Lease, serve};
use serde_json::{Value, json};
use std::os::fd::IntoRawFd;
use std::time::{Duration, Instant};
use tokio::io::{AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;
use uuid::Uuid;

const LONG: Duration = Duration::from_secs(30);

fn issue(group: &str) -> Operation {
    issue_after(group, 0)
}

fn issue_after(group: &str, wait_ms: u64) -> Operation {
    let lease = Lease { id: Uuid::new_v4(), expires_at: Default::default() };
    Operation::Issue { role: json!({ "group": group, "wait_ms": wait_ms }), lease }
}

async fn connected() -> Client {
    let fixture = InMemory::start().await;
    Client::connect::<Memory>(fixture.config(), installation()).await.unwrap()
}

/// A stream to an engine that has greeted, and how serving it ends.
async fn raw() -> (DuplexStream, JoinHandle<std::io::Result<()>>) {
    let (mut ours, theirs) = tokio::io::duplex(1 << 20);
    let (from, to) = tokio::io::split(theirs);
    let served = tokio::spawn(async move { serve::serve::<Memory>(from, to, "1.2.3").await });
    let greeting = wire::read(&mut ours).await.unwrap();
    let Some(FromEngine::Hello(hello)) = greeting else { panic!("an engine begins with its greeting") };
    assert_eq!((hello.kind.as_str(), hello.version.as_str()), (Memory::KIND, "1.2.3"));
    assert_eq!(hello.protocol, wire::PROTOCOL);
    assert_eq!(hello.config_schema["properties"]["password"]["writeOnly"], json!(true));
    (ours, served)
}

async fn say(stream: &mut DuplexStream, id: u64, operation: Operation) {
    let call = ToEngine::Call { id, deadline_ms: 30_000, operation };
    wire::write(stream, &call).await.unwrap();
}

async fn hear(stream: &mut DuplexStream) -> (u64, Outcome) {
    match wire::read(stream).await.unwrap() {
        Some(FromEngine::Answer { id, outcome }) => (id, outcome),
        _ => panic!("an answer"),
    }
}

fn error(outcome: Outcome) -> secrethub_engine::EngineError {
    match outcome {
        Outcome::Error(error) => error,
        Outcome::Ok(value) => panic!("an error, not {value}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_and_a_silent_target_end_one_call_only() {
    let client = connected().await;
    let panicked = client.call(issue("panic"), LONG).await.unwrap_err();
    assert_eq!(panicked.kind, ErrorKind::Retry);
    assert!(panicked.message.starts_with("the engine panicked"), "{panicked}");
    assert!(!panicked.message.contains("hunter2"), "{panicked}");
    let start = Instant::now();
    let late = client.call(issue("hang"), Duration::from_millis(100)).await.unwrap_err();
    assert_eq!((late.kind, late.message.as_str()), (ErrorKind::Retry, "the target did not answer in time"));
    assert!(start.elapsed() < Duration::from_secs(2), "it is answered at the deadline");
    client.call(Operation::Check, LONG).await.unwrap();
    client.call(issue("staff"), LONG).await.unwrap();
}

/// What blocks its thread may still be at work, so nothing says that it has ended; other calls go on.
#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn a_call_that_blocks_its_thread_is_not_answered() {
    let client = connected().await;
    let blocked = client.call(issue("block"), Duration::from_millis(100));
    assert!(tokio::time::timeout(Duration::from_secs(1), blocked).await.is_err());
    client.call(issue("staff"), LONG).await.unwrap();
}

/// As in a plugin's process: over a descriptor, with the hook that keeps the panic's message to itself.
#[test]
fn the_exported_function_says_where_it_panicked() {
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
    let fd = theirs.into_raw_fd();
    let plugin = std::thread::spawn(move || serve::run::<Memory>(fd, "1.0.0"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        ours.set_nonblocking(true).unwrap();
        let mut stream = tokio::net::UnixStream::from_std(ours).unwrap();
        assert!(matches!(wire::read(&mut stream).await.unwrap(), Some(FromEngine::Hello(_))));
        let config = serde_json::to_value(Config {
            target: "run".to_owned(),
            password: PASSWORD.into(),
            flaw: String::new(),
        });
        let connect = Operation::Connect { config: config.unwrap(), installation: installation() };
        for (id, operation) in [connect, issue("panic"), issue("staff")].into_iter().enumerate() {
            let call = ToEngine::Call { id: id as u64, deadline_ms: 30_000, operation };
            wire::write(&mut stream, &call).await.unwrap();
            let answer = wire::read(&mut stream).await.unwrap();
            let Some(FromEngine::Answer { outcome, .. }) = answer else { panic!("an answer") };
            match outcome {
                Outcome::Error(error) => {
                    assert_eq!(id, 1, "{error}");
                    assert!(error.message.contains("memory/mod.rs:"), "the place is named: {error}");
                    assert!(!error.message.contains("hunter2"), "the message is not: {error}");
                }
                Outcome::Ok(_) => assert_ne!(id, 1),
            }
        }
    });
    drop(runtime);
    assert_eq!(plugin.join().unwrap(), 0, "it ends in order when the socket closes");
}

#[tokio::test]
async fn a_cancel_that_follows_at_once_ends_its_call() {
    let (mut stream, _served) = raw().await;
    let config = InMemory::start().await.config();
    say(&mut stream, 1, Operation::Connect { config, installation: installation() }).await;
    assert!(matches!(hear(&mut stream).await, (1, Outcome::Ok(Value::Null))));
    for id in 2..50 {
        say(&mut stream, id, issue("hang")).await;
        wire::write(&mut stream, &ToEngine::Cancel { id }).await.unwrap();
        let (answered, outcome) = hear(&mut stream).await;
        assert_eq!((answered, error(outcome).message.as_str()), (id, "the call was cancelled"));
    }
    // nobody has this one
    wire::write(&mut stream, &ToEngine::Cancel { id: 99 }).await.unwrap();
    say(&mut stream, 100, Operation::Check).await;
    assert!(matches!(hear(&mut stream).await, (100, Outcome::Ok(Value::Null))));
}

#[tokio::test]
async fn connect_comes_first_and_once() {
    let client = Client::start::<Memory>().await;
    let early = client.call(Operation::Check, LONG).await.unwrap_err();
    assert_eq!(early.message, "the engine is not connected");
    let config = InMemory::start().await.config();
    let connect = || Operation::Connect { config: config.clone(), installation: installation() };
    let mut bad = config.clone();
    bad["target"] = json!(5);
    let refused = client.call(Operation::Connect { config: bad, installation: installation() }, LONG).await;
    assert_eq!(refused.unwrap_err().field.as_deref(), Some("target"));
    client.call(connect(), LONG).await.unwrap();
    let second = client.call(connect(), LONG).await.unwrap_err();
    assert_eq!(
        (second.kind, second.message.as_str()),
        (ErrorKind::Refused, "the engine is connected already")
    );
}

#[tokio::test]
async fn what_does_not_fit_is_named_and_not_repeated() {
    let client = connected().await;
    for (role, field) in [
        (json!({ "group": "staff", "hunter": "hunter2" }), "hunter"),
        (json!({ "group": ["hunter2"] }), "group"),
        (json!({ "group": "staff", "wait_ms": "hunter2" }), "wait_ms"),
        (json!({}), "group"),
        (json!("hunter2"), ""),
    ] {
        let error = client.call(Operation::CheckRole { role }, LONG).await.unwrap_err();
        assert_eq!((error.kind, error.field.as_deref()), (ErrorKind::BadInput, Some(field)));
        assert!(!error.to_string().contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn two_hundred_calls_at_once_are_each_answered_once() {
    let (mut stream, _served) = raw().await;
    let config = InMemory::start().await.config();
    say(&mut stream, 0, Operation::Connect { config, installation: installation() }).await;
    hear(&mut stream).await;
    let start = Instant::now();
    for id in 1..=200 {
        // others end while a frame is half written
        let frame = wire::encode(&ToEngine::Call {
            id,
            deadline_ms: 30_000,
            operation: issue_after("staff", id % 7 * 30),
        });
        let frame = frame.unwrap();
        let (one, other) = frame.split_at(frame.len() / 2);
        stream.write_all(one).await.unwrap();
        tokio::time::sleep(Duration::from_millis(id % 3)).await;
        stream.write_all(other).await.unwrap();
    }
    let mut answered: Vec<u64> = Vec::new();
    for _ in 0..200 {
        let (id, outcome) = hear(&mut stream).await;
        assert!(matches!(outcome, Outcome::Ok(_)));
        answered.push(id);
    }
    answered.sort_unstable();
    assert_eq!(answered, (1..=200).collect::<Vec<_>>());
    assert!(start.elapsed() < Duration::from_secs(10), "they run at once");
}

#[tokio::test]
async fn an_answer_that_is_too_long_is_an_error() {
    let client = connected().await;
    let error = client.call(issue("long"), LONG).await.unwrap_err();
    assert_eq!(error.message, "the engine's answer is too long for one frame");
    client.call(Operation::Check, LONG).await.unwrap();
}

#[tokio::test]
async fn what_is_not_the_protocol_ends_it() {
    for bytes in [
        &[0xff, 0xff, 0xff, 0xff][..],         // a frame of 4 GiB
        &[0, 0, 0, 4, b'n', b'u', b'l', b'l'], // not a message
        &[0, 0, 0, 9, b'{', b'}'],             // ends within a frame
        &[0, 0],                               // ends within a length
    ] {
        let (mut stream, served) = raw().await;
        stream.write_all(bytes).await.unwrap();
        stream.shutdown().await.unwrap();
        assert!(served.await.unwrap().is_err(), "{bytes:?}");
    }
    let (stream, served) = raw().await;
    drop(stream);
    served.await.unwrap().unwrap();
    assert!(wire::encode(&"x".repeat(wire::MAX_FRAME)).is_err());
}
