//! The feed: the audit log as it grows, for whoever follows it. Every change of state has its event there, with a number that has no
//! gaps, so following is a cursor over the log: nothing is missed and nothing comes twice, whatever happens to a connection.
//!
//! The newest events are kept in memory while somebody follows. Who is further behind reads the store in steps, so a slow follower costs
//! no memory. The ledger tells of this node's events; what other nodes (or another process on one SQLite file) have added is looked for
//! at short intervals, since notifications can be late or lost.
//!
//! An event is given out only after this node's caches know of everything that was committed before it: what is decided about
//! the event then rests on no older state than the event itself.

use super::App;
use super::context::settle;
use crate::error::{Error, Result};
use crate::model::audit::AuditEvent;
use crate::storage::audit as store;
use crate::storage::audit::Filter;
use parking_lot::RwLock;
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::{Semaphore, watch};

/// The most events that are kept in memory, and the most memory for them, roughly.
const MOST_EVENTS: usize = 4096;
const MOST_BYTES: usize = 8 << 20;
/// Events that one step takes at most: what a follower holds who does not go on.
const STEP: usize = 64;
/// How many it looks at for them: in the ring, and in the store.
const RING_STRIDE: usize = 1024;
const STORE_STRIDE: i64 = 10_000;
/// How many followers read the store at a time: whoever is far behind waits for his turn, and other requests do not wait for him.
const READERS: usize = 4;

/// What a node knows of the end of the log.
pub struct Feed {
    ring: RwLock<Ring>,
    /// The number up to which events may be given out.
    head: watch::Sender<i64>,
    followers: AtomicUsize,
    turns: Semaphore,
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            ring: RwLock::default(),
            head: watch::Sender::default(),
            followers: AtomicUsize::new(0),
            turns: Semaphore::new(READERS),
        }
    }
}

/// The newest events, without a gap.
#[derive(Default)]
struct Ring {
    events: VecDeque<(usize, Arc<AuditEvent>)>,
    bytes: usize,
}

impl Ring {
    fn append(&mut self, events: Vec<AuditEvent>) {
        let next = self.events.back().map(|(_, last)| last.sequence_number + 1);
        // another node's events are in between: whoever needs them reads the store
        if next != events.first().map(|event| event.sequence_number) {
            *self = Self::default();
        }
        for event in events {
            let bytes = memory(&event);
            self.bytes += bytes;
            self.events.push_back((bytes, Arc::new(event)));
        }
        while self.events.len() > MOST_EVENTS || self.bytes > MOST_BYTES {
            let Some((bytes, _)) = self.events.pop_front() else { return };
            self.bytes -= bytes;
        }
    }

    /// The next events after number `seen` that meet the filter, and the number up to which was looked; `None` if the ring does not
    /// have what comes next.
    fn after(&self, seen: i64, filter: &Filter) -> Option<(Vec<Arc<AuditEvent>>, i64)> {
        let first = self.events.front()?.1.sequence_number;
        let skip = usize::try_from(seen + 1 - first).ok()?;
        let mut looked = None;
        let mut found = Vec::new();
        for (_, event) in self.events.iter().skip(skip).take(RING_STRIDE) {
            if found.len() == STEP {
                break;
            }
            looked = Some(event.sequence_number);
            if filter.matches(event) {
                found.push(Arc::clone(event));
            }
        }
        looked.map(|looked| (found, looked))
    }
}

/// About how much memory an event takes.
fn memory(event: &AuditEvent) -> usize {
    fn of_value(value: &Value) -> usize {
        size_of::<Value>()
            + match value {
                Value::String(text) => text.len(),
                Value::Array(items) => items.iter().map(of_value).sum(),
                Value::Object(fields) => {
                    fields.iter().map(|(key, value)| 64 + key.len() + of_value(value)).sum()
                }
                _ => 0,
            }
    }
    let texts =
        [&event.actor_id, &event.secret_path, &event.denial_reason, &event.correlation_id, &event.hostname];
    let texts: usize = texts.into_iter().flatten().map(String::len).sum();
    size_of::<AuditEvent>() + 512 + texts + of_value(&event.event_data)
}

impl Feed {
    /// A batch was committed, and the caches know of it and of all before it.
    pub(super) fn push(&self, events: Vec<AuditEvent>) {
        let Some(last) = events.last().map(|event| event.sequence_number) else { return };
        if self.is_followed() {
            self.ring.write().append(events);
        }
        self.reached(last);
    }

    fn reached(&self, sequence: i64) {
        self.head.send_if_modified(|head| {
            let further = sequence > *head;
            *head = sequence.max(*head);
            further
        });
    }

    fn is_followed(&self) -> bool {
        self.followers.load(Ordering::Acquire) > 0
    }

    /// Has what other nodes do looked for, until the value is dropped.
    pub(super) fn attend(self: &Arc<Self>) -> Attention {
        self.followers.fetch_add(1, Ordering::AcqRel);
        Attention(Arc::clone(self))
    }

    /// Follows the events after number `seen` that meet the filter.
    pub(super) fn reader(self: &Arc<Self>, filter: Filter, seen: i64) -> Reader {
        Reader { attention: self.attend(), head: self.head.subscribe(), filter, seen }
    }
}

/// Keeps a node attentive to what is added to the log.
pub(super) struct Attention(Arc<Feed>);

/// One who follows.
pub(super) struct Reader {
    attention: Attention,
    head: watch::Receiver<i64>,
    filter: Filter,
    /// Everything up to this number was looked at.
    seen: i64,
}

impl Reader {
    /// The next few events that meet the filter; maybe none, although there are more further on.
    ///
    /// # Errors
    /// `UNAVAILABLE` if the store does not answer.
    pub async fn step(&mut self, app: &App) -> Result<Vec<Arc<AuditEvent>>> {
        let head = *self.head.borrow_and_update();
        if self.seen >= head {
            return Ok(Vec::new());
        }
        let at_hand = self.attention.0.ring.read().after(self.seen, &self.filter);
        if let Some((events, seen)) = at_hand {
            self.seen = seen;
            return Ok(events);
        }
        let end = head.min(self.seen + STORE_STRIDE);
        let rows = {
            let _turn = self.attention.0.turns.acquire().await.map_err(Error::internal)?;
            let mut tx = app.read().await?;
            store::list(&mut tx, &self.filter, Some(end + 1), Some(self.seen), STEP as i64, true).await?
        };
        self.seen = match rows.last() {
            Some(last) if rows.len() == STEP => last.sequence_number,
            _ => end,
        };
        Ok(rows.into_iter().map(Arc::new).collect())
    }

    /// Whether there is more to look at.
    pub fn is_behind(&self) -> bool {
        *self.head.borrow() > self.seen
    }

    /// Waits until there is more to look at.
    pub async fn moved(&mut self) {
        let seen = self.seen;
        // the sender is in the feed, which this holds
        let _ = self.head.wait_for(|head| *head > seen).await;
    }
}

impl Drop for Attention {
    fn drop(&mut self) {
        if self.0.followers.fetch_sub(1, Ordering::AcqRel) == 1 {
            *self.0.ring.write() = Ring::default();
        }
    }
}

/// Looks at the end of the log in the store, and lets events up to there be given out; its number.
///
/// # Errors
/// `UNAVAILABLE`, `SEALED`.
pub(super) async fn look(app: &App) -> Result<i64> {
    let head = {
        let mut tx = app.read().await?;
        store::head(&mut tx).await?
    };
    if head.generation > app.caches.generation() {
        // a batch without anything in it takes over what other nodes have changed
        settle!(app.ledger.record(app.undecided(), Vec::new()))?;
    }
    app.feed.reached(head.sequence_number);
    Ok(head.sequence_number)
}

/// The same for the task that does so now and then: only while somebody follows.
pub async fn look_for_others(app: &App) {
    if !app.feed.is_followed() {
        return;
    }
    if let Err(error) = look(app).await {
        // whoever waits for the store says so; this is tried again in a moment
        tracing::debug!(context = error.log_context(), "the end of the log could not be looked at");
    }
}

#[cfg(test)]
mod tests;
