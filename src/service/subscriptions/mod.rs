//! Subscriptions: what changes, told as it changes, to who may know of it.
//!
//! Each follows the log from a number on, which clients hold as a cursor. Opening one is authorised and recorded as the query of
//! the same things is. Each event is judged when it is given out, by the token and the policies of that moment; the giving out itself is
//! not recorded, since who follows the log would then be told of being told.

mod audit;
mod leases;
mod seal;
mod secrets;

pub use audit::{AuditEdge, audit};
pub use leases::{LeaseChange, LeaseChangeKind, leases};
pub use seal::seal;
pub use secrets::{SecretChange, SecretChangeKind, secrets};

use super::App;
use super::context::{Access, OpContext};
use super::feed::{self, Reader};
use super::paging::Cursor;
use crate::error::{Error, Result};
use crate::model::audit::AuditEvent;
use crate::storage::audit::Filter;
use futures_util::stream::{self, BoxStream, StreamExt};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What a subscription gives, until it ends with an error.
pub type Changes<T> = BoxStream<'static, Result<T>>;

/// Who waits for the next event looks at least this often whether the token is still good.
const LOOK_AGAIN: Duration = Duration::from_secs(30);
/// Events that come together are taken together: a follower wakes no more often than this.
const GATHER: Duration = Duration::from_millis(10);

/// What a subscription makes of events.
trait Judge: Send + 'static {
    type Change: Send + 'static;

    /// Whether the caller may follow at all by now.
    fn standing(&self, _: &Access) -> Result<()> {
        Ok(())
    }

    /// What the caller is told of an event, if anything.
    fn judge(
        &self,
        access: &Access,
        event: &Arc<AuditEvent>,
    ) -> impl Future<Output = Result<Option<Self::Change>>> + Send;
}

/// The number after which a subscription begins: that of the cursor, or of the newest event.
async fn beginning(app: &App, after: Option<i64>) -> Result<i64> {
    let newest = feed::look(app).await?;
    match after {
        None => Ok(newest),
        Some(after) if (0..=newest).contains(&after) => Ok(after),
        Some(_) => {
            let message =
                "this cursor is of no event of this log: take one from an earlier event, or leave it out";
            Err(Error::bad_input("after", message))
        }
    }
}

fn number(after: Option<&str>) -> Result<Option<i64>> {
    after.map(|cursor| Cursor::number("after", cursor)).transpose()
}

fn cursor(event: &AuditEvent) -> String {
    Cursor::text(event.sequence_number.to_string())
}

struct Following<J> {
    ctx: OpContext,
    reader: Reader,
    judge: J,
    /// Read and not yet judged.
    waiting: std::vec::IntoIter<Arc<AuditEvent>>,
    woken: Instant,
}

/// The changes after number `seen`.
fn follow<J: Judge>(ctx: &OpContext, filter: Filter, seen: i64, judge: J) -> Changes<J::Change> {
    let following = Following {
        ctx: ctx.clone(),
        reader: ctx.app().feed.reader(filter, seen),
        judge,
        waiting: Vec::new().into_iter(),
        woken: Instant::now(),
    };
    stream::unfold(Some(following), |following| async move {
        let mut following = following?;
        match following.next().await {
            Ok(change) => Some((Ok(change), Some(following))),
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed()
}

impl<J: Judge> Following<J> {
    async fn next(&mut self) -> Result<J::Change> {
        loop {
            let access = self.ctx.again().await?;
            self.judge.standing(&access)?;
            if let Some(event) = self.waiting.next() {
                self.ctx.begin_event();
                if let Some(change) = self.judge.judge(&access, &event).await? {
                    return Ok(change);
                }
                continue;
            }
            self.waiting = self.reader.step(self.ctx.app()).await?.into_iter();
            if self.waiting.len() == 0 && !self.reader.is_behind() {
                self.wait(access.time_left()).await;
            }
        }
    }

    async fn wait(&mut self, time_left: Option<Duration>) {
        let wait = time_left.map_or(LOOK_AGAIN, |left| left.min(LOOK_AGAIN));
        tokio::select! {
            () = self.reader.moved() => tokio::time::sleep_until(self.woken + GATHER).await,
            () = tokio::time::sleep(wait) => {}
        }
        self.woken = Instant::now();
    }
}
