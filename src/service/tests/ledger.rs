//! What a change that refuses leaves behind, whatever else is in its batch.

use super::Node;
use crate::error::{Error, ErrorCode, Result};
use crate::model::audit::EventType;
use crate::service::ledger::{Attempt, Change};
use crate::storage::audit as audit_store;
use crate::storage::db::StoreUrl;
use crate::storage::roles::{self, LoginFailures};
use crate::storage::secrets::{self, SecretRow, VersionRow};
use crate::storage::testing::{PostgresDatabase, at, shown};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use uuid::Uuid;

/// What a change does.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Writes,
    RefusesAtOnce,
    RefusesAfterWriting,
}

/// Makes a change until it is not stale, and counts how often it was.
async fn change(node: &Node, number: usize, kind: Kind, stale: &AtomicUsize) -> Result<()> {
    loop {
        let app = &node.app;
        let event = node.root.event(EventType::RoleUpdated, None);
        let mut refusal = node.root.event(EventType::RoleDeleted, None);
        refusal.access_granted = Some(false);
        let attempt = app.ledger.change(app.undecided(), Some(refusal), move |tx| {
            Box::pin(async move {
                let row = LoginFailures {
                    subject: format!("subject {number}"),
                    failures: 1,
                    last_failed_at: at(1),
                    locked_until: None,
                };
                if kind != Kind::RefusesAtOnce {
                    roles::put_failures(tx, &row).await?;
                }
                if kind == Kind::Writes {
                    return Ok(Change::new((), event, Vec::new()));
                }
                Err(Error::conflict("refused"))
            })
        });
        match attempt.await {
            Err(Attempt::Stale) => stale.fetch_add(1, Ordering::Relaxed),
            Err(Attempt::Failed(error)) => return Err(error),
            Ok(()) => return Ok(()),
        };
    }
}

/// Many changes at once, of which some refuse as told; how often one had to be made again.
async fn storm(node: Arc<Node>, refuses: Kind) -> usize {
    const CHANGES: usize = 120;
    let stale = Arc::new(AtomicUsize::new(0));
    let kind = move |number: usize| if number.is_multiple_of(3) { refuses } else { Kind::Writes };
    let before = shown(audit_store::head(&mut shown(node.app.read().await)).await).sequence_number;
    let tasks: Vec<_> = (0..CHANGES)
        .map(|number| {
            let (node, stale) = (Arc::clone(&node), Arc::clone(&stale));
            tokio::spawn(async move { change(&node, number, kind(number), &stale).await })
        })
        .collect();
    for (number, task) in tasks.into_iter().enumerate() {
        let outcome = task.await.unwrap();
        if kind(number) == Kind::Writes {
            shown(outcome);
        } else {
            assert_eq!(outcome.unwrap_err().code(), ErrorCode::Conflict);
        }
    }
    let mut tx = shown(node.app.read().await);
    for number in 0..CHANGES {
        let row = shown(roles::failures(&mut tx, &format!("subject {number}")).await);
        assert_eq!(row.is_some(), kind(number) == Kind::Writes, "{number}");
    }
    let events = shown(audit_store::range(&mut tx, before + 1, i64::MAX, 1000).await);
    let count =
        |event_type: EventType| events.iter().filter(|event| event.event_type == event_type.as_str()).count();
    assert_eq!((count(EventType::RoleUpdated), count(EventType::RoleDeleted)), (80, 40), "each once");
    assert_eq!(events.len(), CHANGES);
    stale.load(Ordering::Relaxed)
}

/// Many changes that put off what they write; those of odd numbers all make a secret at the same path, which only one can.
async fn contest(node: Arc<Node>) {
    const CHANGES: u128 = 60;
    let before = shown(audit_store::head(&mut shown(node.app.read().await)).await).sequence_number;
    let tasks: Vec<_> = (0..CHANGES)
        .map(|number| {
            let node = Arc::clone(&node);
            tokio::spawn(async move { make_secret(&node, number).await.is_ok() })
        })
        .collect();
    let mut won = Vec::new();
    for (number, task) in tasks.into_iter().enumerate() {
        let made = task.await.unwrap();
        assert!(made || number % 2 == 1, "{number} stands in nobody's way");
        if made && number % 2 == 1 {
            won.push(Uuid::from_u128(number as u128 + 1));
        }
    }
    let mut tx = shown(node.app.read().await);
    let same = shown(secrets::find(&mut tx, "contest.same").await).map(|row| row.id);
    assert_eq!(won, same.into_iter().collect::<Vec<_>>(), "one, and it is in the store");
    for number in (0..CHANGES).step_by(2) {
        let row = shown(secrets::find(&mut tx, &format!("contest.{number}")).await).unwrap();
        assert!(shown(secrets::version(&mut tx, row.id, 1).await).is_some());
    }
    let events = shown(audit_store::range(&mut tx, before + 1, i64::MAX, 1000).await);
    let granted = events.iter().filter(|event| event.access_granted == Some(true)).count();
    assert_eq!((granted, events.len() as u128), (31, CHANGES), "each once");
}

/// Until it is not stale, as every caller does.
async fn make_secret(node: &Node, number: u128) -> Result<()> {
    loop {
        let app = &node.app;
        let mut event = node.root.event(EventType::SecretCreated, None);
        event.access_granted = Some(true);
        let mut refusal = node.root.event(EventType::SecretCreated, None);
        refusal.access_granted = Some(false);
        let attempt = app.ledger.change(app.undecided(), Some(refusal), move |tx| {
            Box::pin(async move {
                let name = if number % 2 == 1 { "same".to_owned() } else { number.to_string() };
                let id = Uuid::from_u128(number + 1);
                let row = SecretRow::fresh(id, &format!("contest.{name}"), "static", "me", at(1));
                let version = VersionRow {
                    secret_id: id,
                    version: 1,
                    encrypted_data: Some(vec![1]),
                    key_version: 1,
                    created_at: at(1),
                    created_by: None,
                    deleted_at: None,
                    destroyed: false,
                };
                secrets::write(tx, SecretRow { version: 1, ..row }, version).await?;
                Ok(Change::new((), event, Vec::new()))
            })
        });
        match attempt.await {
            Err(Attempt::Stale) => {}
            Err(Attempt::Failed(error)) => return Err(error),
            Ok(()) => return Ok(()),
        }
    }
}

async fn on(store: StoreUrl, directory: tempfile::TempDir) {
    let node = Arc::new(Node::start_on(store, directory).await);
    contest(Arc::clone(&node)).await;
    // until nothing careful is left of it
    for _ in 0..64 {
        shown(change(&node, 0, Kind::Writes, &AtomicUsize::new(0)).await);
    }
    let clear = node.app.ledger.change(node.app.undecided(), None, |tx| {
        Box::pin(async move {
            roles::purge_failures(tx, at(2), 1000).await?;
            Ok(Change { value: (), events: Vec::new(), effects: Vec::new() })
        })
    });
    assert!(clear.await.is_ok());
    assert_eq!(storm(Arc::clone(&node), Kind::RefusesAtOnce).await, 0, "nothing was to be undone");
    let clear = node.app.ledger.change(node.app.undecided(), None, |tx| {
        Box::pin(async move {
            roles::purge_failures(tx, at(2), 1000).await?;
            Ok(Change { value: (), events: Vec::new(), effects: Vec::new() })
        })
    });
    assert!(clear.await.is_ok());
    assert!(storm(Arc::clone(&node), Kind::RefusesAfterWriting).await > 0, "a batch was undone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_leave_nothing_on_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    on(StoreUrl::Sqlite(directory.path().join("store.db")), directory).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_leave_nothing_on_postgres() {
    let database = PostgresDatabase::create().await;
    on(database.url.clone(), tempfile::tempdir().unwrap()).await;
    database.drop().await;
}
