//! The life of engines' processes: on demand, idle, replaced, stopped, and never longer than the server's.

use super::*;
use crate::support::plugins::section;
use crate::support::{Options, Server, Store};
use secrethub::engine::HealthStatus;
use secrethub_engine::ErrorKind;
use std::process::Command;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_process_ends_and_the_next_call_starts_another() {
    let pins = vec![pin(&hostile())];
    let engines = start(EngineSettings { idle: Duration::from_millis(400), ..settings(pins) });
    let target = plain();
    let first = pid(&engines, &target).await;
    // longer than idle, and not idle
    ask(&engines, &target, role("sleep", "1000"), PATIENCE).await.unwrap();
    assert_eq!(pid(&engines, &target).await, first);
    gone(first).await;
    assert_eq!(engines.health(target.id).status, HealthStatus::Idle);
    assert_ne!(pid(&engines, &target).await, first);
}

/// Killed from outside while nothing was asked of it: the next call finds another process, whether the end was noticed before it or by it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_process_that_is_killed_costs_no_call() {
    let engines = engines();
    let target = plain();
    let mut last = pid(&engines, &target).await;
    for pause in [0, 0, 0, 0, 5, 50, 600] {
        assert!(Command::new("kill").args(["-9", &last.to_string()]).status().unwrap().success());
        while is_running(last) {
            std::thread::yield_now();
        }
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let answer = ask(&engines, &target, role("nothing", ""), PATIENCE).await;
        let answer = answer.unwrap_or_else(|error| panic!("after {pause} ms: {error:?}"));
        let next = answer["pid"].as_u64().unwrap();
        assert_ne!(next, last, "after {pause} ms");
        last = next;
        assert_eq!(engines.health(target.id).status, HealthStatus::Healthy);
    }
}

/// Whether it may still read what is sent to it: one that waits to be reaped, and has no other thread, may not.
fn is_running(pid: u64) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    threads > 1 || is_alive(pid)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_version_replaces_the_process_and_lets_calls_finish() {
    let engines = engines();
    let first = target(1, json!({ "label": "first" }));
    let config = json!({ "label": "second" });
    let second = Target { version: 2, config: Arc::new(move || Ok(config.clone())), ..first.clone() };
    let former = pid(&engines, &first).await;
    let (long, answer) = tokio::join!(ask(&engines, &first, role("sleep", "1500"), PATIENCE), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        ask(&engines, &second, role("nothing", ""), PATIENCE).await.unwrap()
    });
    assert!(long.is_ok(), "{long:?}");
    assert_eq!(answer["label"], "second");
    assert_ne!(answer["pid"], former);
    gone(former).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_configuration_is_the_callers_to_correct() {
    let engines = engines();
    let wrong = target(1, json!({ "password": "wrong" }));
    for _ in 0..8 {
        let outcome = ask(&engines, &wrong, role("nothing", ""), PATIENCE).await;
        let Err(CallError::Engine(error)) = outcome else { panic!("{outcome:?}") };
        assert_eq!((error.kind, error.field.as_deref()), (ErrorKind::BadInput, Some("password")));
    }
    assert_eq!(engines.is_open(wrong.id), None, "it is no crash");
    let unknown = target(1, json!({ "lable": "x" }));
    let outcome = ask(&engines, &unknown, role("nothing", ""), PATIENCE).await;
    assert!(matches!(outcome, Err(CallError::Engine(error)) if error.field.as_deref() == Some("lable")));
    let right = Target { version: 2, config: Arc::new(|| Ok(json!({}))), ..wrong };
    assert!(pid(&engines, &right).await > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_is_tried_out_in_a_process_of_its_own() {
    let engines = engines();
    let target = plain();
    let first = pid(&engines, &target).await;
    let probe = |config: Value, operations| {
        let tried = Target { config: Arc::new(move || Ok(config.clone())), ..target.clone() };
        let engines = engines.clone();
        async move { engines.probe(&tried, &installation(), operations, PATIENCE).await }
    };
    probe(json!({}), vec![Operation::Check, role("nothing", "")]).await.unwrap();
    let refused = probe(json!({ "password": "wrong" }), vec![Operation::Check]).await;
    assert!(matches!(refused, Err(CallError::Engine(error)) if error.kind == ErrorKind::BadInput));
    let failed = probe(json!({}), vec![Operation::Check, role("exit", "")]).await;
    assert!(is_unavailable(&failed), "{failed:?}");
    assert_eq!(pid(&engines, &target).await, first);
    assert_eq!(engines.health(target.id).status, HealthStatus::Healthy);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopping_ends_processes_at_once_and_the_next_call_starts_others() {
    let engines = engines();
    let (one, other) = (plain(), plain());
    let (first, second) = (pid(&engines, &one).await, pid(&engines, &other).await);
    engines.stop(one.id).await;
    assert!(!is_alive(first) && is_alive(second));
    let (long, ()) = tokio::join!(ask(&engines, &other, role("sleep", "20000"), PATIENCE), async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        engines.stop_all().await;
        assert!(!is_alive(second));
    });
    assert!(is_unavailable(&long), "{long:?}");
    assert_ne!(pid(&engines, &one).await, first);
    let last = pid(&engines, &other).await;
    drop(engines);
    gone(last).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_that_goes_away_harms_nobody() {
    let engines = engines();
    let target = plain();
    // even while the process starts
    for milliseconds in [1, 20, 200] {
        let call = ask(&engines, &target, role("sleep", "20000"), PATIENCE);
        assert!(tokio::time::timeout(Duration::from_millis(milliseconds), call).await.is_err());
    }
    let first = pid(&engines, &target).await;
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(pid(&engines, &target).await, first, "the cancelled calls were answered");
}

/// Both threads of its runtime hang when the server is killed: nothing of it sees the socket close.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_hangs_ends_with_its_server() {
    let options = Options { shares: (1, 1), config: section("hostile"), ..Options::server() };
    let mut server = Server::start(Store::Sqlite, options).await;
    server.initialize().await;
    server.unseal().await;
    let enable =
        "mutation { enableEngine(input: {name: \"h\", kind: \"hostile\", config: {}}) { engine { id } } }";
    server.as_root(enable, json!({})).await.ok();
    let put = "mutation($input: EngineRoleInput!) { putEngineRole(input: $input) { secret { path } } }";
    for deed in ["nothing", "hang"] {
        let role =
            json!({"path": format!("s.{deed}"), "engine": "h", "config": {"do": deed}, "rehearse": false});
        server.as_root(put, json!({ "input": role })).await.ok();
    }
    let issue = |deed: &str| {
        format!("mutation {{ issueCredentials(input: {{path: \"s.{deed}\"}}) {{ credentials }} }}")
    };
    let issued = server.as_root(&issue("nothing"), json!({})).await.ok();
    let engine = issued["issueCredentials"]["credentials"]["pid"].as_u64().unwrap();
    let hanging = issue("hang");
    let hang = || server.as_root(&hanging, json!({}));
    let answered =
        tokio::time::timeout(Duration::from_secs(1), async { tokio::join!(hang(), hang(), hang()) });
    assert!(answered.await.is_err(), "it hangs");
    assert!(is_alive(engine));
    server.kill9();
    gone(engine).await;
}
