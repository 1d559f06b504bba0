//! Unsealing and sealing this node.

use super::super::cache::Effect;
use super::super::context::{OpContext, settle};
use super::super::ledger::{Attempt, Change};
use super::super::{App, to_the_end};
use super::keys::read_keys;
use super::{SealStatus, note_config, publish, read_config, shares_of, status, warn_refused};
use crate::crypto::keyring::RootKey;
use crate::crypto::shares::{SetId, Share, ShareCollector};
use crate::error::{Error, Result};
use crate::model::audit::EventType;
use crate::model::policies::Area;
use crate::storage::seal::SealConfigRow;
use chrono::{DateTime, TimeDelta, Utc};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::task::AbortOnDropHandle;
use zeroize::Zeroizing;

/// Shares given so far are forgotten when no further one came for so long.
const FORGET_AFTER: TimeDelta = TimeDelta::minutes(15);
/// How often it is looked whether that time is up.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// The shares given so far towards unsealing this node.
pub(super) struct Unsealing {
    collector: ShareCollector,
    /// When the last of them was given.
    last: DateTime<Utc>,
    /// Wipes them when their time is up even if nobody asks; ends with them.
    _wiping: AbortOnDropHandle<()>,
}

impl Unsealing {
    fn new(app: &Arc<App>, set_id: SetId, threshold: u8, now: DateTime<Utc>) -> Self {
        let app = Arc::downgrade(app);
        let wiping = tokio::spawn(async move {
            loop {
                tokio::time::sleep(LOOK_EVERY).await;
                let Some(app) = app.upgrade() else { return };
                forget_stale(&app);
            }
        });
        let collector = ShareCollector::new(set_id, threshold);
        Self { collector, last: now, _wiping: AbortOnDropHandle::new(wiping) }
    }

    fn stale(&self, now: DateTime<Utc>) -> bool {
        now.signed_duration_since(self.last) >= FORGET_AFTER
    }
}

/// Forgets the shares given so far if the last of them was given too long ago.
pub(super) fn forget_stale(app: &App) {
    let mut slot = app.seal.unsealing.lock();
    if slot.as_ref().is_some_and(|unsealing| unsealing.stale(app.clock.now())) {
        *slot = None;
        publish(app, |status| status.progress = 0);
    }
}

fn forget(app: &App) {
    *app.seal.unsealing.lock() = None;
    publish(app, |status| status.progress = 0);
}

/// Takes one share towards unsealing this node. Shares given so far are forgotten 15 minutes after the last of them.
///
/// # Errors
/// `BAD_USER_INPUT` at `share` saying what is wrong with it; the progress then stays as it was. `RATE_LIMITED` if too
/// many are at it.
pub async fn unseal(ctx: &OpContext, share: &str) -> Result<SealStatus> {
    let (working, share) = (ctx.clone(), Zeroizing::new(share.to_owned()));
    let outcome = to_the_end(async move { unseal_now(&working, &share).await }).await;
    if let Err(error) = &outcome {
        warn_refused(ctx, "a key share was refused", error);
    }
    outcome
}

async fn unseal_now(ctx: &OpContext, share: &str) -> Result<SealStatus> {
    let app = ctx.app();
    if app.keys.get().is_ok() {
        return Ok(app.seal.status.borrow().clone());
    }
    // what is no share at all does not wait for its turn
    let share = match Share::parse(share) {
        Ok(share) => share,
        Err(_) if !status(app).await.initialized => return Err(Error::not_initialized()),
        Err(error) => return Err(error.into()),
    };
    let _turn = app.seal.turn().await?;
    if app.keys.get().is_ok() {
        return Ok(app.seal.status.borrow().clone());
    }
    let config = read_config(app).await?.ok_or_else(Error::not_initialized)?;
    note_config(app, &config);
    if config.seal_type == "static" {
        return Err(Error::bad_input(
            "share",
            "this server has a static seal: start it with its key and it unseals itself",
        ));
    }
    let Some(quorum) = take(app, &config, share)? else {
        return Ok(app.seal.status.borrow().clone());
    };
    let root = quorum
        .recover()
        .and_then(|key| RootKey::unwrap(&key, &config.wrapped_root_key).ok())
        .ok_or_else(|| {
            Error::bad_input(
                "share",
                "these shares do not make the key: enter all of them again, beginning with the first",
            )
        })?;
    open(ctx, root, &config).await?;
    Ok(app.seal.status.borrow().clone())
}

/// Adds a share to those given so far; all of them, if they are now enough.
fn take(app: &Arc<App>, config: &SealConfigRow, share: Share) -> Result<Option<ShareCollector>> {
    let (set_id, threshold) = shares_of(config)?;
    let now = app.clock.now();
    let mut slot = app.seal.unsealing.lock();
    // the shares may also have been changed by a re-key on another node
    if slot.as_ref().is_some_and(|held| held.stale(now) || held.collector.set_id() != set_id) {
        *slot = None;
        publish(app, |status| status.progress = 0);
    }
    let unsealing = slot.get_or_insert_with(|| Unsealing::new(app, set_id, threshold, now));
    let progress = unsealing.collector.add(share)?;
    unsealing.last = now;
    if !progress.complete() {
        publish(app, |status| status.progress = i64::from(progress.have));
        return Ok(None);
    }
    let quorum = slot.take().map(|unsealing| unsealing.collector);
    publish(app, |status| status.progress = 0);
    Ok(quorum)
}

/// Forgets the shares given so far.
pub async fn reset_unseal(ctx: &OpContext) -> SealStatus {
    forget(ctx.app());
    status(ctx.app()).await
}

/// Drops the keys from this node's memory, and ends the engines' processes. Needs the area `seal`.
///
/// # Errors
/// `FORBIDDEN`, `SEALED`, `UNAVAILABLE`, `RATE_LIMITED` if too many are at it.
pub async fn seal(ctx: &OpContext) -> Result<SealStatus> {
    let ctx = ctx.clone();
    to_the_end(async move {
        settle!(seal_once(&ctx))?;
        // they hold configurations in the clear
        ctx.app().engines.stop_all().await;
        Ok(ctx.app().seal.status.borrow().clone())
    })
    .await
}

async fn seal_once(ctx: &OpContext) -> Result<(), Attempt> {
    let access = ctx.access().await?;
    let decision = access.administer(Area::Seal, "seal").await?;
    // only who may seal takes a turn
    let mut turn = access.app().seal.turn().await?;
    let event = access.granted(EventType::SystemSealed, &decision);
    access
        .change(&event.clone(), move |_| {
            Box::pin(async move { Ok(Change::new((), event, vec![Effect::Sealed])) })
        })
        .await?;
    turn.desk.rekey = None;
    forget(access.app());
    publish(access.app(), |status| status.sealed = true);
    Ok(())
}

/// Readies the keys and records the unsealing; if it cannot be recorded, the node stays sealed.
pub(super) async fn open(ctx: &OpContext, root: RootKey, config: &SealConfigRow) -> Result<()> {
    let app = ctx.app();
    let keys = read_keys(app, root, config).await?;
    app.keys.set(keys);
    let recorded = settle!(async {
        let event = ctx.event(EventType::SystemUnsealed, None);
        app.ledger.record(app.undecided(), vec![event]).await
    });
    if let Err(error) = recorded {
        app.keys.clear();
        return Err(error);
    }
    publish(app, |status| status.sealed = false);
    Ok(())
}
