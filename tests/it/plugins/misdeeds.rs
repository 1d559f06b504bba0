//! Whatever an engine does, its own call fails, the next one works, and no other engine notices.

use super::*;
use secrethub::engine::HealthStatus;
use secrethub_engine::{ErrorKind, Revocation};

/// One deed; another target is asked all the while.
async fn misdeed(deed: &str) {
    let engines = engines();
    let (bad, other) = (plain(), plain());
    let (first, bystander) = (pid(&engines, &bad).await, pid(&engines, &other).await);
    let misbehaving = async {
        let outcome = ask(&engines, &bad, role(deed, ""), PATIENCE).await;
        // at once: it is counted before its caller hears of it (how long the next start then waits is the breaker's test)
        assert_eq!(engines.health(bad.id).status, HealthStatus::Degraded, "{deed}");
        outcome
    };
    let together = tokio::join!(
        ask(&engines, &bad, role("sleep", "30000"), PATIENCE),
        misbehaving,
        ask(&engines, &other, role("sleep", "500"), PATIENCE),
    );
    assert!(is_unavailable(&together.0), "{deed}: calls of the same process fail: {:?}", together.0);
    assert!(is_unavailable(&together.1), "{deed}: {:?}", together.1);
    assert!(together.2.is_ok(), "{deed}: {:?}", together.2);
    gone(first).await;
    let health = engines.health(bad.id);
    assert_eq!(health.status, HealthStatus::Degraded, "{deed}: {health:?}");
    assert_ne!(pid_again(&engines, &bad).await, first, "{deed}");
    assert_eq!(engines.health(bad.id).status, HealthStatus::Healthy);
    assert_eq!(pid(&engines, &other).await, bystander, "{deed}: others go on in their process");
}

macro_rules! misdeeds {
    ($($name:ident: $deed:literal,)+) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            misdeed($deed).await;
        }
    )+};
}

misdeeds! {
    exiting: "exit",
    aborting: "abort",
    crashing: "crash",
    answering_garbage: "garbage",
    answering_a_gigabyte: "gigabyte",
    answering_what_was_not_asked: "wrong-id",
    greeting_again: "hello-again",
    closing_the_socket: "close",
    taking_all_memory: "memory",
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_fails_its_call_only() {
    let engines = engines();
    let target = plain();
    let first = pid(&engines, &target).await;
    let outcome = ask(&engines, &target, role("panic", ""), PATIENCE).await;
    let Err(CallError::Engine(error)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(error.kind, ErrorKind::Retry);
    assert!(error.message.contains("panicked at") && !error.message.contains("on purpose"), "{error}");
    assert_eq!(pid(&engines, &target).await, first);
}

/// One of the plugin's two threads is held for good. A call that the target keeps waiting is answered all the same, so this is no
/// slow target.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_that_hangs_fails_at_its_deadline_and_then_ends_its_process() {
    let engines = engines();
    let target = plain();
    let first = pid(&engines, &target).await;
    let slow = ask(&engines, &target, role("sleep", "60000"), Duration::from_millis(200)).await;
    // the plugin says that it is late, or it is not heard in time
    let told = matches!(&slow, Err(CallError::Engine(error)) if error.kind == ErrorKind::Retry);
    assert!(told || is_unavailable(&slow), "{slow:?}");
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(pid(&engines, &target).await, first, "a slow target is no reason to end a process");

    let started = std::time::Instant::now();
    let (other, hung) =
        tokio::join!(ask(&engines, &target, role("sleep", "60000"), Duration::from_secs(60)), async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let outcome = ask(&engines, &target, role("hang", ""), Duration::from_millis(500)).await;
            // and not only when its process is ended, five seconds later
            assert!(started.elapsed() < Duration::from_secs(5), "the deadline is kept");
            outcome
        });
    assert!(is_unavailable(&hung), "{hung:?}");
    assert!(is_unavailable(&other), "what else is under way may be tried again: {other:?}");
    assert!(started.elapsed() > Duration::from_secs(5), "it had its grace");
    // the other call would have gone on for a minute
    assert!(started.elapsed() < Duration::from_secs(45), "{:?}", started.elapsed());
    gone(first).await;
    assert_ne!(pid_again(&engines, &target).await, first);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_engine_says_is_bounded() {
    let engines = engines();
    let outcome = ask(&engines, &plain(), role("refuse", ""), PATIENCE).await;
    let Err(CallError::Engine(error)) = outcome else { panic!("{outcome:?}") };
    assert_eq!(error.kind, ErrorKind::Refused);
    assert!(error.message.len() <= 500 && !error.message.contains(char::is_control));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_never_starts_well_is_tried_less_and_less() {
    let engines = engines();
    let target = target(1, json!({ "exit": true }));
    let mut starts = 0;
    while engines.health(target.id).status != HealthStatus::Down {
        match ask(&engines, &target, role("nothing", ""), PATIENCE).await {
            Err(CallError::Unavailable { retry_after: None, .. }) => starts += 1,
            // turned away without a start
            Err(CallError::Unavailable { retry_after: Some(wait), .. }) => tokio::time::sleep(wait).await,
            other => panic!("{other:?}"),
        }
        assert!(starts <= 5, "the breaker opens");
    }
    assert_eq!(starts, 5);
    let wait = engines.is_open(target.id).unwrap();
    assert!(wait > Duration::from_secs(1), "{wait:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_is_down_is_asked_now_and_then() {
    let engines = engines();
    let target = plain();
    for _ in 0..5 {
        let outcome = ask(&engines, &target, role("retry", ""), PATIENCE).await;
        assert!(matches!(outcome, Err(CallError::Engine(_))), "{outcome:?}");
    }
    let health = engines.health(target.id);
    assert_eq!(
        (health.status, health.last_error.as_deref()),
        (HealthStatus::Down, Some("the target is down"))
    );
    let wait = engines.is_open(target.id).unwrap();
    let outcome = ask(&engines, &target, role("nothing", ""), PATIENCE).await;
    assert!(matches!(outcome, Err(CallError::Unavailable { retry_after: Some(_), .. })), "{outcome:?}");
    tokio::time::sleep(wait + Duration::from_millis(5)).await;
    let both = tokio::join!(
        ask(&engines, &target, role("sleep", "300"), PATIENCE),
        ask(&engines, &target, role("nothing", ""), PATIENCE),
    );
    assert!(both.0.is_ok() && is_unavailable(&both.1), "one finds out: {both:?}");
    assert_eq!(engines.is_open(target.id), None);
    assert_eq!(engines.health(target.id).status, HealthStatus::Healthy);
}

/// The answer to many revocations is one for each; a target that is down is in all of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn revocations_that_all_fail_for_want_of_a_target_count_too() {
    let engines = engines();
    let target = plain();
    let revoke = |deeds: &[&str]| Operation::Revoke {
        revocations: deeds
            .iter()
            .map(|deed| Revocation {
                lease_id: Uuid::new_v4(),
                handle: None,
                role: Some(json!({ "do": deed })),
            })
            .collect(),
    };
    for _ in 0..6 {
        ask(&engines, &target, revoke(&["retry", "nothing"]), PATIENCE).await.unwrap();
    }
    assert_eq!(engines.health(target.id).status, HealthStatus::Healthy, "one of two is an answer");
    for _ in 0..5 {
        // after a failed issue, as in an outage: it must not be taken for a sign of life
        let issue = ask(&engines, &target, role("retry", ""), PATIENCE).await;
        let revoked = ask(&engines, &target, revoke(&["retry", "retry"]), PATIENCE).await;
        if engines.is_open(target.id).is_some() {
            break;
        }
        assert!(issue.is_err() && revoked.is_ok());
        assert_eq!(engines.health(target.id).status, HealthStatus::Degraded);
    }
    let health = engines.health(target.id);
    assert_eq!(
        (health.status, health.last_error.as_deref()),
        (HealthStatus::Down, Some("the target is down"))
    );
}
