//! Floor 5: work that starts itself. Each task takes no input, may run on every node and at any time, does its work in
//! small changes, and says what it did. A node that is sealed skips what needs the keys.

mod housekeeping;

use crate::error::ErrorCode;
use crate::service::context::OpContext;
use crate::service::{App, audit, certificates, engines, feed, leases, partitions, seal};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

/// How often a node looks whether another node has initialised the store or changed its shares.
const DISCOVER: Duration = Duration::from_secs(5);
/// How often data that is still sealed with an older key is looked for.
const REWRAP: Duration = Duration::from_secs(15);
/// How often expired tokens, SecretIDs and login failures are removed.
const PURGE: Duration = Duration::from_secs(60);
/// How often the head of the audit log is kept as a checkpoint.
const CHECKPOINT: Duration = Duration::from_secs(15 * 60);
/// How often the next months' audit partitions are seen to.
const PARTITIONS: Duration = Duration::from_secs(6 * 3600);

/// How often leases that are due are looked for.
const REAP: Duration = Duration::from_secs(1);
/// How often passwords that are due for rotation are looked for.
const ACCOUNTS: Duration = Duration::from_secs(5);
/// How often what targets have is compared with the leases.
const DRIFT: Duration = Duration::from_secs(15 * 60);
/// How often that is done for engines that can make anew what a target has lost.
const RESTORE: Duration = Duration::from_secs(60);

/// How often revocation lists that are out of date are looked for.
const LISTS: Duration = Duration::from_secs(1);
/// How often certificates near and long after their end are seen to.
const TIDY: Duration = Duration::from_secs(60);

/// How often it is looked what other nodes have added to the log, while somebody follows it.
const FEED: Duration = Duration::from_millis(250);

/// Starts all tasks; they end when the set is dropped or shut down.
#[must_use]
pub fn start(app: &Arc<App>) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    tasks.spawn(every(DISCOVER, None, "discover", Arc::clone(app), |ctx| async move {
        let found = seal::discover(ctx.app()).await?;
        Ok(found.then(|| "the store was initialised by another node".to_owned()))
    }));
    tasks.spawn(every(REWRAP, Some(|app| app.rewrap_due()), "rewrap", Arc::clone(app), |ctx| async move {
        let done = seal::rewrap(&ctx).await?;
        Ok((done.records > 0 || done.damaged > 0).then(|| format!("{done:?}")))
    }));
    tasks.spawn(every(PURGE, None, "purge", Arc::clone(app), |ctx| async move {
        let done = housekeeping::purge(&ctx).await?;
        Ok((done > 0).then(|| format!("{done} rows")))
    }));
    tasks.spawn(every(CHECKPOINT, None, "checkpoint", Arc::clone(app), |ctx| async move {
        audit::keep_checkpoint(&ctx).await.map(|kept| kept.map(|sequence| format!("at {sequence}")))
    }));
    tasks.spawn(every(PARTITIONS, None, "partitions", Arc::clone(app), |ctx| async move {
        let made = partitions::ensure(ctx.app()).await?;
        Ok((!made.is_empty()).then(|| made.join(", ")))
    }));
    tasks.spawn(every(FEED, None, "feed", Arc::clone(app), |ctx| async move {
        feed::look_for_others(ctx.app()).await;
        Ok(None)
    }));
    of_engines(&mut tasks, app);
    of_certificates(&mut tasks, app);
    tasks
}

fn of_certificates(tasks: &mut JoinSet<()>, app: &Arc<App>) {
    tasks.spawn(every(LISTS, Some(|app| app.lists_due()), "lists", Arc::clone(app), |ctx| async move {
        let made = certificates::publish::rebuild(&ctx).await?;
        Ok((made > 0).then(|| format!("{made} revocation lists")))
    }));
    tasks.spawn(every(TIDY, None, "tidy", Arc::clone(app), |ctx| async move {
        let done = certificates::tidy(&ctx).await?;
        Ok((done != certificates::Tidied::default()).then(|| format!("{done:?}")))
    }));
}

fn of_engines(tasks: &mut JoinSet<()>, app: &Arc<App>) {
    tasks.spawn(every(REAP, Some(|app| app.leases_due()), "reap", Arc::clone(app), |ctx| async move {
        let done = leases::reap(&ctx).await?;
        Ok((done.revoked > 0 || done.failed > 0).then(|| format!("{done:?}")))
    }));
    tasks.spawn(every(ACCOUNTS, None, "rotate", Arc::clone(app), |ctx| async move {
        let done = engines::rotate_due(&ctx).await?;
        Ok((done > 0).then(|| format!("{done} passwords")))
    }));
    tasks.spawn(every(DRIFT, None, "drift", Arc::clone(app), |ctx| async move {
        let done = engines::check_drift(&ctx, true).await?;
        Ok((done.differ > 0).then(|| format!("{done:?}")))
    }));
    tasks.spawn(every(RESTORE, None, "restore", Arc::clone(app), |ctx| async move {
        let done = engines::check_drift(&ctx, false).await?;
        Ok((done.differ > 0).then(|| format!("{done:?}")))
    }));
    let app = Arc::clone(app);
    tasks.spawn(async move { app.describe_plugins().await });
}

/// What wakes a task before its time.
type Nudge = fn(&App) -> &Notify;

/// Runs a task on a timer, and when it is nudged, one run at a time. A failure is logged once, here, and tried again at the next tick.
async fn every<F, R>(period: Duration, nudge: Option<Nudge>, name: &'static str, app: Arc<App>, task: F)
where
    F: Fn(OpContext) -> R,
    R: Future<Output = crate::error::Result<Option<String>>>,
{
    let mut ticks = interval_at(Instant::now() + period, period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        match nudge {
            Some(nudge) => tokio::select! {
                _ = ticks.tick() => {}
                () = nudge(&app).notified() => {}
            },
            None => {
                ticks.tick().await;
            }
        }
        match task(OpContext::system(Arc::clone(&app), name)).await {
            Ok(Some(done)) => tracing::info!(task = name, done, "task"),
            Ok(None) => {}
            Err(error) if matches!(error.code(), ErrorCode::Sealed | ErrorCode::NotInitialized) => {}
            Err(error) => {
                tracing::warn!(
                    task = name,
                    code = error.code().as_str(),
                    context = error.log_context(),
                    "task failed"
                );
            }
        }
    }
}
