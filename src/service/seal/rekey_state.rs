//! A re-key under way: what was given, what was handed out, what was shown back.

use super::Desk;
use crate::crypto::memory::Key32;
use crate::crypto::shares::{SetId, Share, ShareCollector, ShareError, ShareText};
use crate::error::{Error, Result};
use std::collections::BTreeSet;

/// A re-key under way, in this node's memory only: a restart forgets it and the old shares stay in force.
///
/// Nothing is added to it before that is on the record, so that an attempt that fails can be repeated: hence the sets of
/// indexes besides the collectors.
pub(super) struct Rekey {
    pub shares: u8,
    pub threshold: u8,
    /// Of the set that was in force at the start.
    pub old: ShareCollector,
    pub given: BTreeSet<u8>,
    pub fresh: Option<Fresh>,
}

/// The new shares, once the old ones have allowed them.
pub(super) struct Fresh {
    pub key: Key32,
    pub set_id: SetId,
    pub collector: ShareCollector,
    pub shown: BTreeSet<u8>,
}

impl Desk {
    /// # Errors
    /// `CONFLICT` if no re-key is under way.
    pub fn under_way(&mut self) -> Result<&mut Rekey> {
        self.rekey.as_mut().ok_or_else(|| Error::conflict("no re-key is under way: start one first"))
    }
}

impl Rekey {
    pub fn required(&self) -> u8 {
        self.old.progress().need
    }

    pub fn quorate(&self) -> bool {
        self.given.len() >= usize::from(self.required())
    }

    /// Whether the share counts towards the quorum. If the quorum is complete and yet no new shares were handed out, the
    /// last attempt failed, and any old share, also one given before, is taken as the wish to try again.
    ///
    /// # Errors
    /// `CONFLICT` if there are new shares, `BAD_USER_INPUT` at `share`.
    pub fn expects_old(&self, share: &Share) -> Result<bool> {
        if self.fresh.is_some() {
            return Err(Error::conflict("the quorum is complete: show the new shares back"));
        }
        if share.set_id() != self.old.set_id() || share.threshold() != self.required() {
            return Err(ShareError::ForeignSet.into());
        }
        if !self.quorate() && self.given.contains(&share.index()) {
            return Err(ShareError::Repeated.into());
        }
        Ok(!self.quorate())
    }

    /// The new shares, and whether this one was not yet shown back. If all were and yet are not in force, the last attempt
    /// failed, and any of them is taken as the wish to try again.
    ///
    /// # Errors
    /// `CONFLICT` if there are no new shares yet, `BAD_USER_INPUT` at `share`.
    pub fn expects_new(&mut self, share: &Share) -> Result<(&mut Fresh, bool)> {
        let Some(fresh) = self.fresh.as_mut() else {
            return Err(Error::conflict("there are no new shares yet: give a quorum of the old ones first"));
        };
        if share.set_id() != fresh.set_id
            || share.threshold() != self.threshold
            || share.index() > self.shares
        {
            return Err(Error::bad_input(
                "share",
                "this is not one of the new shares: show back those that were just handed out",
            ));
        }
        let all = fresh.shown.len() >= usize::from(self.shares);
        if !all && fresh.shown.contains(&share.index()) {
            return Err(Error::bad_input("share", "this share was shown back already: show the next one"));
        }
        Ok((fresh, !all))
    }

    /// The quorum proved wrong: it begins anew.
    pub fn forget_quorum(&mut self) {
        self.old.reset();
        self.given.clear();
    }
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
    pub(super) fn none() -> Self {
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

    pub(super) fn of(rekey: &Rekey) -> Self {
        Self {
            started: true,
            shares: i64::from(rekey.shares),
            threshold: i64::from(rekey.threshold),
            progress: rekey.given.len() as i64,
            required: i64::from(rekey.required()),
            confirmed: rekey.fresh.as_ref().map_or(0, |fresh| fresh.shown.len() as i64),
            complete: false,
            new_shares: None,
        }
    }
}
