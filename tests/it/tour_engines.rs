//! The README's tours of the engines, run as they stand, against targets that the test starts: each after the part that makes a
//! client, in a session of its own.

mod targets;

use crate::support::{Server, Store};
use crate::tour::{Step, repository, steps, walk};
use targets::{Moto, Postgres, Redis};

both_stores!(postgresql, redis, aws);

async fn postgresql(store: Store) {
    let target = Postgres::start();
    take(store, "tour: postgresql", &target.variables()).await;
}

async fn redis(store: Store) {
    let target = Redis::start();
    take(store, "tour: redis", &target.variables()).await;
}

async fn aws(store: Store) {
    let target = Moto::start();
    take(store, "tour: aws", &target.variables()).await;
}

/// The function `gql` of the first tour, the client, and then the tour.
async fn take(store: Store, mark: &str, variables: &[(&str, String)]) {
    let readme = repository().join("README.md");
    let text = std::fs::read_to_string(&readme).unwrap();
    let mut all: Vec<Step> = steps(&text, "tour").into_iter().take(1).collect();
    for mark in ["tour: client", mark] {
        let part = steps(&text, mark);
        assert!(!part.is_empty(), "README.md has no part {mark}");
        all.extend(part);
    }
    walk(&Server::dev(store).await, &readme, &all, variables);
}
