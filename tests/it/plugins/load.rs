//! Many calls at a time.

use super::*;
use futures_util::future::join_all;
use std::time::Instant;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_calls_at_a_time_share_one_process() {
    let engines = engines();
    let target = plain();
    let calls = (0..100).map(|_| pid(&engines, &target));
    let pids = join_all(calls).await;
    assert!(pids.iter().all(|pid| *pid == pids[0]), "one process: {pids:?}");
    let answer = ask(&engines, &target, role("nothing", ""), PATIENCE).await.unwrap();
    assert_eq!(answer["calls"], 101);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_in_the_background_starves_no_caller() {
    let engines = engines();
    let target = plain();
    let first = pid(&engines, &target).await;
    let installation = installation();
    let started = Instant::now();
    let storm =
        join_all((0..32).map(|_| {
            engines.call(&target, &installation, role("sleep", "3000"), PATIENCE, Lane::Background)
        }));
    let caller = async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let asked = Instant::now();
        assert_eq!(pid(&engines, &target).await, first);
        asked.elapsed()
    };
    let (stormed, waited) = tokio::join!(storm, caller);
    assert!(stormed.iter().all(Result::is_ok));
    // one that had to wait for a round would wait for nearly three seconds
    assert!(waited < Duration::from_millis(2500), "{waited:?}");
    // 32 in rounds of 16
    assert!(started.elapsed() >= Duration::from_millis(6000), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_wait_for_a_place_no_longer_than_their_deadline() {
    let engines = engines();
    let target = plain();
    pid(&engines, &target).await;
    let full = join_all((0..64).map(|_| ask(&engines, &target, role("sleep", "4000"), PATIENCE)));
    let impatient = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let asked = Instant::now();
        let outcome = ask(&engines, &target, role("nothing", ""), Duration::from_millis(300)).await;
        assert!(is_unavailable(&outcome), "{outcome:?}");
        assert!(asked.elapsed() < Duration::from_millis(3000), "{:?}", asked.elapsed());
    };
    let (full, ()) = tokio::join!(full, impatient);
    assert!(full.iter().all(Result::is_ok), "the others are not harmed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_too_long_for_a_frame_is_refused_and_harms_nothing() {
    let engines = engines();
    let target = plain();
    let first = pid(&engines, &target).await;
    let outcome = ask(&engines, &target, role("nothing", &"x".repeat(17 << 20)), PATIENCE).await;
    assert!(matches!(outcome, Err(CallError::Engine(_))), "{outcome:?}");
    assert_eq!(pid(&engines, &target).await, first);
}
