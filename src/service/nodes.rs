//! The processes that work on one store. What one of them has taken (a lease to issue or to revoke, a password to rotate) is
//! left alone by the others until its claim ends, unless its process is proven to be over: then they take it at once.
//!
//! Proof is what the kernel says: the process ran on this very kernel, in this PID namespace, and is not there any more. Silence
//! is none: a node that lost the store, or whose machine does not answer, may still be asking a target for an account.

use super::App;
use super::context::{OpContext, settle};
use super::engines::SETTLING;
use super::ledger::{Attempt, Change};
use crate::error::Result;
use crate::storage::db::{Db, Tx};
use crate::storage::nodes::{self as store, NodeRow};
use crate::storage::{account_rotations, leases, root_rotations};
use chrono::{DateTime, Duration, Utc};
use parking_lot::Mutex;
use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};
use uuid::Uuid;

/// How often a node says that it is still there.
const SAY: Duration = Duration::hours(1);
/// Who has not said so for this long is forgotten; what it had taken ends by itself long before.
const FORGET: Duration = Duration::days(7);
/// Nodes that are looked at.
const MOST: i64 = 1000;

/// This process.
pub(crate) struct Node {
    pub id: Uuid,
    place: String,
    pid: i64,
    began_ticks: i64,
    said: Mutex<Option<DateTime<Utc>>>,
}

impl Node {
    pub fn new() -> Self {
        let pid = i64::from(std::process::id());
        let began = began_ticks(pid);
        Self {
            id: Uuid::new_v4(),
            // without its beginning, a PID may be anybody's
            place: began.and_then(|_| place()).unwrap_or_default(),
            pid,
            began_ticks: began.unwrap_or_default(),
            said: Mutex::new(None),
        }
    }

    /// Says in the store that this process is there, before it takes anything.
    ///
    /// # Errors
    /// As any statement.
    pub async fn announce(&self, db: &Db, now: DateTime<Utc>) -> Result<()> {
        let mut tx = db.begin().await?;
        store::put(&mut tx, &self.row(now)).await?;
        tx.commit().await?;
        *self.said.lock() = Some(now);
        Ok(())
    }

    fn row(&self, now: DateTime<Utc>) -> NodeRow {
        NodeRow {
            id: self.id,
            place: self.place.clone(),
            pid: self.pid,
            began_ticks: self.began_ticks,
            seen_at: now,
        }
    }

    fn is_silent(&self, now: DateTime<Utc>) -> bool {
        self.said.lock().is_none_or(|said| now - said >= SAY)
    }

    /// Whether it is certain that the process of another node has ended.
    fn proves_over(&self, other: &NodeRow) -> bool {
        if self.place.is_empty() || other.place != self.place {
            return false;
        }
        let Some(pid) = i32::try_from(other.pid).ok().and_then(Pid::from_raw) else { return false };
        match test_kill_process(pid) {
            Err(Errno::SRCH) => true,
            // there is a process of this number: another one, if it began at another time
            _ => began_ticks(other.pid).is_some_and(|ticks| ticks != other.began_ticks),
        }
    }
}

/// Kernel and PID namespace of this process.
fn place() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), namespace.to_str()?))
}

/// The 22nd field of proc_pid_stat(5), counted after the name, which may hold anything.
fn began_ticks(pid: i64) -> Option<i64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.split(' ').nth(19)?.parse().ok()
}

/// Says that this node is there, and makes due at once what nodes had taken that are over. `within`: when their last claims end.
///
/// # Errors
/// `SEALED`, `UNAVAILABLE`.
pub(super) async fn take_over(ctx: &OpContext, others: Vec<NodeRow>, within: Duration) -> Result<()> {
    let app = ctx.app();
    let now = app.clock.now();
    // one process at a time works on a SQLite file
    let is_over = |other: &NodeRow| !app.db.is_postgres() || app.node.proves_over(other);
    let over: Vec<Uuid> = others.iter().filter(|other| is_over(other)).map(|other| other.id).collect();
    if over.is_empty() && !app.node.is_silent(now) {
        return Ok(());
    }
    let taken = settle!(record(app, &over, now, within))?;
    *app.node.said.lock() = Some(now);
    if taken > 0 {
        tracing::info!(taken, nodes = over.len(), "took over what ended processes had begun");
    }
    Ok(())
}

async fn record(app: &App, over: &[Uuid], now: DateTime<Utc>, within: Duration) -> Result<u64, Attempt> {
    let (row, over) = (app.node.row(now), over.to_vec());
    app.ledger
        .change(app.undecided(), None, move |tx| {
            Box::pin(async move {
                let mut taken = 0;
                for id in over {
                    taken += account_rotations::expedite(tx, id, now).await?;
                    taken += root_rotations::expedite(tx, id, now + SETTLING).await?;
                    taken += leases::expedite(tx, id, now, now + within).await?;
                    store::remove(tx, id).await?;
                }
                store::forget(tx, now - FORGET).await?;
                store::put(tx, &row).await?;
                Ok(Change { value: taken, events: Vec::new(), effects: Vec::new() })
            })
        })
        .await
}

/// The other nodes of the store.
pub(super) async fn others(app: &App, tx: &mut Tx) -> Result<Vec<NodeRow>> {
    store::others(tx, app.node.id, MOST).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(place: &str, pid: i64, began_ticks: i64) -> NodeRow {
        NodeRow {
            id: Uuid::new_v4(),
            place: place.to_owned(),
            pid,
            began_ticks,
            seen_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn only_the_kernel_proves_that_a_process_is_over() {
        let node = Node::new();
        assert!(!node.place.is_empty() && node.began_ticks > 0);
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i64::from(child.id());
        let running = of(&node.place, pid, began_ticks(pid).unwrap());
        assert!(!node.proves_over(&running));
        assert!(
            node.proves_over(&NodeRow { began_ticks: running.began_ticks + 1, ..running.clone() }),
            "its number was given to another"
        );
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(node.proves_over(&running));
        assert!(!node.proves_over(&NodeRow { place: "another kernel".to_owned(), ..running.clone() }));
        let unknown = Node { place: String::new(), ..Node::new() };
        assert!(!unknown.proves_over(&NodeRow { place: String::new(), ..running }));
        assert!(!node.proves_over(&of(&node.place, 0, 1)), "no process has this number");
    }
}
