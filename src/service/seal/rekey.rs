//! Re-keying: other shares for the same keys. A quorum of the old shares allows it, and it takes effect only when every
//! new share was shown back, so no one is left with shares that were never written down.

use super::super::context::{Access, OpContext, settle};
use super::super::ledger::{Attempt, Change};
use super::super::to_the_end;
use super::{read_config, share_counts, shares_of};
use crate::crypto::keyring::RootKey;
use crate::crypto::memory::Key32;
use crate::crypto::shares::{SetId, Share, ShareCollector, ShareText, split};
use crate::error::{Error, Result};
use crate::model::audit::EventType;
use crate::model::policies::Area;
use crate::storage::seal as store;
use crate::storage::seal::SealConfigRow;
use std::collections::BTreeSet;
use zeroize::Zeroizing;

/// A re-key under way, in this node's memory only: a restart forgets it and the old shares stay in force.
pub(super) struct Rekey {
    shares: u8,
    threshold: u8,
    old: ShareCollector,
    fresh: Option<Fresh>,
}

/// The new shares, once the old ones have allowed them.
struct Fresh {
    key: Key32,
    set_id: SetId,
    collector: ShareCollector,
    shown: BTreeSet<u8>,
}

/// How far a re-key is.
pub struct RekeyStatus {
    pub started: bool,
    /// How many shares there will be, and how many will unseal.
    pub shares: i64,
    pub threshold: i64,
    /// Old shares given, of those required.
    pub progress: i64,
    pub required: i64,
    /// New shares shown back, of all.
    pub confirmed: i64,
    pub complete: bool,
    /// Only in the answer to the share that completes the quorum: shown once.
    pub new_shares: Option<Vec<ShareText>>,
}

impl RekeyStatus {
    fn none() -> Self {
        Self {
            started: false,
            shares: 0,
            threshold: 0,
            progress: 0,
            required: 0,
            confirmed: 0,
            complete: false,
            new_shares: None,
        }
    }

    fn of(rekey: &Rekey) -> Self {
        let progress = rekey.old.progress();
        Self {
            started: true,
            shares: i64::from(rekey.shares),
            threshold: i64::from(rekey.threshold),
            progress: i64::from(progress.have),
            required: i64::from(progress.need),
            confirmed: rekey.fresh.as_ref().map_or(0, |fresh| fresh.shown.len() as i64),
            complete: false,
            new_shares: None,
        }
    }
}

async fn allowed(ctx: &OpContext, operation: &str) -> Result<Access, Attempt> {
    let access = ctx.access().await?;
    access.administer(Area::Seal, operation).await?;
    Ok(access)
}

async fn shamir_config(access: &Access) -> Result<SealConfigRow> {
    let config = read_config(access.app()).await?.ok_or_else(Error::not_initialized)?;
    if config.seal_type == "shamir" {
        return Ok(config);
    }
    Err(Error::conflict("a static seal has no shares to change: configure another key instead"))
}

/// Begins a re-key. Needs the area `seal`.
///
/// # Errors
/// `BAD_USER_INPUT` at `shares` or `threshold`, `CONFLICT` if one is under way or the seal has no shares.
pub async fn start_rekey(ctx: &OpContext, shares: i64, threshold: i64) -> Result<RekeyStatus> {
    settle!(start_once(ctx, shares, threshold))
}

async fn start_once(ctx: &OpContext, shares: i64, threshold: i64) -> Result<RekeyStatus, Attempt> {
    let access = allowed(ctx, "start_rekey").await?;
    let mut desk = access.app().seal.desk.lock().await;
    if desk.rekey.is_some() {
        return Err(Error::conflict("a re-key is under way: go on with it, or cancel it first").into());
    }
    let (new_threshold, new_shares) = share_counts(threshold, shares)?;
    // the dealer checks the two numbers against each other; this trial is thrown away
    split(&Key32::generate(), new_threshold, new_shares)?;
    let (set_id, old_threshold) = shares_of(&shamir_config(&access).await?)?;
    let mut event = access.event(EventType::SystemRekeyStarted);
    event.event_data = serde_json::json!({ "shares": shares, "threshold": threshold });
    access.record(vec![event]).await?;
    let rekey = Rekey {
        shares: new_shares,
        threshold: new_threshold,
        old: ShareCollector::new(set_id, old_threshold),
        fresh: None,
    };
    Ok(RekeyStatus::of(desk.rekey.insert(rekey)))
}

/// Takes one of the shares now in force. The one that completes the quorum is answered with the new shares.
///
/// # Errors
/// `BAD_USER_INPUT` at `share`, `CONFLICT` if no re-key is under way or the quorum was reached before.
pub async fn submit_rekey_share(ctx: &OpContext, share: &str) -> Result<RekeyStatus> {
    let (ctx, share) = (ctx.clone(), Zeroizing::new(share.to_owned()));
    to_the_end(async move { settle!(submit_once(&ctx, &share)) }).await
}

async fn submit_once(ctx: &OpContext, share: &str) -> Result<RekeyStatus, Attempt> {
    let access = allowed(ctx, "submit_rekey_share").await?;
    let mut desk = access.app().seal.desk.lock().await;
    let Some(rekey) = desk.rekey.as_mut() else {
        return Err(Error::conflict("no re-key is under way: start one first").into());
    };
    if rekey.fresh.is_some() {
        return Err(Error::conflict("the quorum is complete: show the new shares back").into());
    }
    let progress = rekey.old.add(Share::parse(share).map_err(Error::from)?).map_err(Error::from)?;
    if !progress.complete() {
        return Ok(RekeyStatus::of(rekey));
    }
    let config = shamir_config(&access).await?;
    let proven =
        rekey.old.recover().is_some_and(|key| RootKey::unwrap(&key, &config.wrapped_root_key).is_ok());
    if !proven {
        rekey.old.reset();
        return Err(
            Error::bad_input("share", "these shares do not make the key: enter the quorum again").into()
        );
    }
    let key = Key32::generate();
    let (set_id, texts) = split(&key, rekey.threshold, rekey.shares)?;
    let collector = ShareCollector::new(set_id, rekey.threshold);
    rekey.fresh = Some(Fresh { key, set_id, collector, shown: BTreeSet::new() });
    let mut status = RekeyStatus::of(rekey);
    status.new_shares = Some(texts);
    Ok(status)
}

/// Takes one of the new shares back. With the last of them the new shares take effect, and the old ones are worthless.
///
/// # Errors
/// `BAD_USER_INPUT` at `share`, `CONFLICT` if there are no new shares to confirm.
pub async fn confirm_rekey(ctx: &OpContext, share: &str) -> Result<RekeyStatus> {
    let (ctx, share) = (ctx.clone(), Zeroizing::new(share.to_owned()));
    to_the_end(async move { settle!(confirm_once(&ctx, &share)) }).await
}

async fn confirm_once(ctx: &OpContext, share: &str) -> Result<RekeyStatus, Attempt> {
    let access = allowed(ctx, "confirm_rekey").await?;
    let mut desk = access.app().seal.desk.lock().await;
    let Some(rekey) = desk.rekey.as_mut() else {
        return Err(Error::conflict("no re-key is under way: start one first").into());
    };
    let Some(fresh) = rekey.fresh.as_mut() else {
        return Err(
            Error::conflict("there are no new shares yet: give a quorum of the old ones first").into()
        );
    };
    let share = Share::parse(share).map_err(Error::from)?;
    let index = share.index();
    if share.set_id() != fresh.set_id {
        return Err(Error::bad_input(
            "share",
            "this is not one of the new shares: show back those that were just handed out",
        )
        .into());
    }
    if fresh.shown.contains(&index) {
        return Err(Error::bad_input("share", "this share was shown back already: show the next one").into());
    }
    fresh.collector.add(share).map_err(Error::from)?;
    fresh.shown.insert(index);
    if fresh.shown.len() < usize::from(rekey.shares) {
        return Ok(RekeyStatus::of(rekey));
    }
    let rebuilt = fresh.collector.recover().is_some_and(|key| key.expose() == fresh.key.expose());
    if !rebuilt {
        desk.rekey = None;
        return Err(Error::internal("new shares did not rebuild their key").into());
    }
    let mut status = RekeyStatus::of(rekey);
    put_in_force(&access, rekey).await?;
    status.complete = true;
    desk.rekey = None;
    Ok(status)
}

async fn put_in_force(access: &Access, rekey: &Rekey) -> Result<(), Attempt> {
    let Some(fresh) = &rekey.fresh else { return Err(Error::internal("no new shares").into()) };
    let before = shamir_config(access).await?.set_id;
    let (shares, threshold) = (i64::from(rekey.shares), i64::from(rekey.threshold));
    let wrapped = access.keys.barrier.keyring().root().wrap(&fresh.key);
    let set_id = fresh.set_id.as_bytes().to_vec();
    let now = access.now;
    let mut event = access.event(EventType::SystemRekeyed);
    event.event_data = serde_json::json!({ "shares": shares, "threshold": threshold });
    access
        .change(move |tx| {
            Box::pin(async move {
                let config = store::config(tx).await?.ok_or_else(Error::not_initialized)?;
                if config.set_id != before {
                    return Err(Error::conflict(
                        "the shares were changed on another node meanwhile: start again",
                    ));
                }
                store::replace_shares(tx, &set_id, shares, threshold, &wrapped, now).await?;
                Ok(Change::new((), event, Vec::new()))
            })
        })
        .await?;
    let config = shamir_config(access).await?;
    super::note_config(access.app(), &config);
    Ok(())
}

/// Gives a re-key up; the shares in force stay.
///
/// # Errors
/// `FORBIDDEN`.
pub async fn cancel_rekey(ctx: &OpContext) -> Result<RekeyStatus> {
    let access = settle!(allowed(ctx, "cancel_rekey"))?;
    access.app().seal.desk.lock().await.rekey = None;
    Ok(RekeyStatus::none())
}

/// How far the re-key is that this node has under way.
///
/// # Errors
/// `FORBIDDEN`.
pub async fn rekey_status(ctx: &OpContext) -> Result<RekeyStatus> {
    settle!(status_once(ctx))
}

async fn status_once(ctx: &OpContext) -> Result<RekeyStatus, Attempt> {
    let access = ctx.access().await?;
    access.administer_read(Area::Seal, "rekey_status", None).await?;
    let desk = access.app().seal.desk.lock().await;
    Ok(desk.rekey.as_ref().map_or_else(RekeyStatus::none, RekeyStatus::of))
}
