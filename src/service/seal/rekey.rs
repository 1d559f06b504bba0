//! Re-keying: other shares for the same keys. A quorum of the old shares allows it, and it takes effect only when every
//! new share was shown back, so no one is left with shares that were never written down.
//!
//! Each step is recorded before this node's memory changes and before anything is answered: so each is decided on facts
//! that hold, and one whose record fails is as if it had not been asked for.

use super::super::context::{Access, OpContext, settle};
use super::super::ledger::{Attempt, Change};
use super::super::to_the_end;
use super::initialize::share_counts;
use super::rekey_state::{Fresh, Rekey, RekeyStatus};
use super::{publish, read_config, shares_of};
use crate::crypto::keyring::RootKey;
use crate::crypto::memory::Key32;
use crate::crypto::shares::{Share, ShareCollector, split};
use crate::error::{Error, ErrorCode, Result};
use crate::model::audit::{AuditEvent, EventType};
use crate::model::policies::Area;
use crate::storage::seal as store;
use crate::storage::seal::SealConfigRow;
use serde_json::json;
use std::collections::BTreeSet;
use zeroize::Zeroizing;

// operations, for the audit log
const START: &str = "start_rekey";
const SUBMIT: &str = "submit_rekey_share";
const HAND_OUT: &str = "hand_out_new_shares";
const CONFIRM: &str = "confirm_rekey";
const CANCEL: &str = "cancel_rekey";

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

fn changed_meanwhile() -> Error {
    Error::conflict("the shares were changed on another node meanwhile: start again with those now in force")
}

/// What one step did, in counts; never a share.
fn progress(access: &Access, operation: &str, rekey: &Rekey, given: usize, confirmed: usize) -> AuditEvent {
    let mut event = access.event(EventType::SystemRekeyProgress);
    event.event_data = json!({
        "operation": operation,
        "given": given,
        "required": rekey.required(),
        "confirmed": confirmed,
        "shares": rekey.shares,
        "threshold": rekey.threshold,
    });
    event
}

async fn refused(access: &Access, error: Error) -> Attempt {
    access.refuse(&access.event(EventType::SystemRekeyProgress), error).await
}

fn is_conflict(attempt: &Attempt) -> bool {
    matches!(attempt, Attempt::Failed(error) if error.code() == ErrorCode::Conflict)
}

/// Begins a re-key. Needs the area `seal`.
///
/// # Errors
/// `BAD_USER_INPUT` at `shares` or `threshold`, `CONFLICT` if one is under way or the seal has no shares.
pub async fn start_rekey(ctx: &OpContext, shares: i64, threshold: i64) -> Result<RekeyStatus> {
    let ctx = ctx.clone();
    to_the_end(async move { settle!(start_once(&ctx, shares, threshold)) }).await
}

async fn start_once(ctx: &OpContext, shares: i64, threshold: i64) -> Result<RekeyStatus, Attempt> {
    let access = allowed(ctx, START).await?;
    let mut turn = access.app().seal.turn().await?;
    if turn.desk.rekey.is_some() {
        let error = Error::conflict("a re-key is under way: go on with it, or cancel it first");
        return Err(refused(&access, error).await);
    }
    let (new_threshold, new_shares) = share_counts(threshold, shares)?;
    // the dealer checks the two numbers against each other; this trial is thrown away
    split(&Key32::generate(), new_threshold, new_shares)?;
    let (set_id, old_threshold) = shares_of(&shamir_config(&access).await?)?;
    let mut event = access.event(EventType::SystemRekeyStarted);
    event.event_data = json!({ "shares": shares, "threshold": threshold });
    access.record(vec![event]).await?;
    let rekey = Rekey {
        shares: new_shares,
        threshold: new_threshold,
        old: ShareCollector::new(set_id, old_threshold),
        given: BTreeSet::new(),
        fresh: None,
    };
    Ok(RekeyStatus::of(turn.desk.rekey.insert(rekey)))
}

/// Takes one of the shares now in force. The one that completes the quorum is answered with the new shares; if that
/// fails, giving any of them again repeats it.
///
/// # Errors
/// `BAD_USER_INPUT` at `share`, `CONFLICT` if no re-key is under way, the quorum was reached before, or the shares were
/// changed on another node since the start.
pub async fn submit_rekey_share(ctx: &OpContext, share: &str) -> Result<RekeyStatus> {
    let (ctx, share) = (ctx.clone(), Zeroizing::new(share.to_owned()));
    to_the_end(async move { settle!(submit_once(&ctx, &share)) }).await
}

async fn submit_once(ctx: &OpContext, share: &str) -> Result<RekeyStatus, Attempt> {
    let access = allowed(ctx, SUBMIT).await?;
    let mut turn = access.app().seal.turn().await?;
    let checked = turn.desk.under_way().and_then(|rekey| {
        let share = Share::parse(share)?;
        let counts = rekey.expects_old(&share)?;
        Ok((rekey, share, counts))
    });
    let (rekey, share, counts) = match checked {
        Ok(checked) => checked,
        Err(error) => return Err(refused(&access, error).await),
    };
    if counts {
        access.record(vec![progress(&access, SUBMIT, rekey, rekey.given.len() + 1, 0)]).await?;
        let index = share.index();
        rekey.old.add(share).map_err(Error::from)?;
        rekey.given.insert(index);
    }
    if !rekey.quorate() {
        return Ok(RekeyStatus::of(rekey));
    }
    let dealt = hand_out(&access, rekey).await;
    if dealt.as_ref().is_err_and(is_conflict) {
        turn.desk.rekey = None;
    }
    dealt
}

/// Makes the new shares if the quorum proves right.
async fn hand_out(access: &Access, rekey: &mut Rekey) -> Result<RekeyStatus, Attempt> {
    let config = shamir_config(access).await?;
    if config.set_id != rekey.old.set_id().as_bytes() {
        return Err(refused(access, changed_meanwhile()).await);
    }
    let proven =
        rekey.old.recover().is_some_and(|key| RootKey::unwrap(&key, &config.wrapped_root_key).is_ok());
    if !proven {
        rekey.forget_quorum();
        let error = Error::bad_input("share", "these shares do not make the key: enter the quorum again");
        return Err(refused(access, error).await);
    }
    let key = Key32::generate();
    let (set_id, texts) = split(&key, rekey.threshold, rekey.shares)?;
    access.record(vec![progress(access, HAND_OUT, rekey, rekey.given.len(), 0)]).await?;
    let collector = ShareCollector::new(set_id, rekey.threshold);
    rekey.fresh = Some(Fresh { key, set_id, collector, shown: BTreeSet::new() });
    // they have done their part
    rekey.old.reset();
    let mut status = RekeyStatus::of(rekey);
    status.new_shares = Some(texts);
    Ok(status)
}

/// Takes one of the new shares back. With the last of them the new shares take effect, and the old ones are worthless; if
/// that fails, showing any of them again repeats it.
///
/// # Errors
/// `BAD_USER_INPUT` at `share`, `CONFLICT` if there are no new shares to confirm, or the shares were changed on another
/// node since the start.
pub async fn confirm_rekey(ctx: &OpContext, share: &str) -> Result<RekeyStatus> {
    let (ctx, share) = (ctx.clone(), Zeroizing::new(share.to_owned()));
    to_the_end(async move { settle!(confirm_once(&ctx, &share)) }).await
}

async fn confirm_once(ctx: &OpContext, share: &str) -> Result<RekeyStatus, Attempt> {
    let access = allowed(ctx, CONFIRM).await?;
    let mut turn = access.app().seal.turn().await?;
    let checked = turn.desk.under_way().and_then(|rekey| {
        let share = Share::parse(share)?;
        let (fresh, counts) = rekey.expects_new(&share)?;
        let confirmed = fresh.shown.len() + 1;
        Ok((rekey, share, counts.then_some(confirmed)))
    });
    let (rekey, share, counts) = match checked {
        Ok(checked) => checked,
        Err(error) => return Err(refused(&access, error).await),
    };
    if let Some(confirmed) = counts {
        access.record(vec![progress(&access, CONFIRM, rekey, rekey.given.len(), confirmed)]).await?;
        let index = share.index();
        let (fresh, _) = rekey.expects_new(&share)?;
        fresh.collector.add(share).map_err(Error::from)?;
        fresh.shown.insert(index);
    }
    let Some(fresh) = &rekey.fresh else { return Err(Error::internal("no new shares").into()) };
    if fresh.shown.len() < usize::from(rekey.shares) {
        return Ok(RekeyStatus::of(rekey));
    }
    let rebuilt = fresh.collector.recover().is_some_and(|key| key.expose() == fresh.key.expose());
    if !rebuilt {
        turn.desk.rekey = None;
        return Err(Error::internal("new shares did not rebuild their key").into());
    }
    let mut status = RekeyStatus::of(rekey);
    let done = put_in_force(&access, rekey, fresh).await;
    if done.is_ok() || done.as_ref().is_err_and(is_conflict) {
        // in force, or overtaken by another node: either way this one is over
        turn.desk.rekey = None;
    }
    done?;
    status.complete = true;
    publish(access.app(), |seal| {
        seal.shares = Some(status.shares);
        seal.threshold = Some(status.threshold);
    });
    Ok(status)
}

async fn put_in_force(access: &Access, rekey: &Rekey, fresh: &Fresh) -> Result<(), Attempt> {
    let before = rekey.old.set_id();
    let (shares, threshold) = (i64::from(rekey.shares), i64::from(rekey.threshold));
    let wrapped = access.keys.barrier.keyring().root().wrap(&fresh.key);
    let set_id = fresh.set_id;
    let now = access.now;
    let mut event = access.event(EventType::SystemRekeyed);
    event.event_data = json!({ "shares": shares, "threshold": threshold });
    let again = progress(access, CONFIRM, rekey, rekey.given.len(), fresh.shown.len());
    access
        .change(&event.clone(), move |tx| {
            Box::pin(async move {
                let config = store::config(tx).await?.ok_or_else(Error::not_initialized)?;
                if config.set_id == set_id.as_bytes() {
                    // an earlier attempt was committed, and recorded, though its answer was lost
                    return Ok(Change::new((), again, Vec::new()));
                }
                if config.set_id != before.as_bytes() {
                    return Err(changed_meanwhile());
                }
                store::replace_shares(tx, set_id.as_bytes(), shares, threshold, &wrapped, now).await?;
                Ok(Change::new((), event, Vec::new()))
            })
        })
        .await
}

/// Gives a re-key up; the shares in force stay.
///
/// # Errors
/// `FORBIDDEN`.
pub async fn cancel_rekey(ctx: &OpContext) -> Result<RekeyStatus> {
    let ctx = ctx.clone();
    to_the_end(async move { settle!(cancel_once(&ctx)) }).await
}

async fn cancel_once(ctx: &OpContext) -> Result<RekeyStatus, Attempt> {
    let access = allowed(ctx, CANCEL).await?;
    let mut turn = access.app().seal.turn().await?;
    let mut event = access.event(EventType::SystemRekeyProgress);
    event.event_data = json!({ "operation": CANCEL, "under_way": turn.desk.rekey.is_some() });
    access.record(vec![event]).await?;
    turn.desk.rekey = None;
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
    let turn = access.app().seal.turn().await?;
    Ok(turn.desk.rekey.as_ref().map_or_else(RekeyStatus::none, RekeyStatus::of))
}
