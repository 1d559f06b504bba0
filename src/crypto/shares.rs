//! The unseal key, split so that any `threshold` of its shares rebuild it and fewer tell nothing (Shamir, GF(256)).
//!
//! A share is text: `shubk1-` and, in lower-case base32 without padding, 46 bytes:
//!
//! | bytes | content |
//! |---|---|
//! | 8 | set id, random, the same for all shares of one split |
//! | 1 | index, 1 to 255 |
//! | 1 | threshold |
//! | 32 | the share itself: the polynomials' values at the index |
//! | 4 | checksum: the start of SHA-256 over `secrethub-share-v1` and the 42 bytes before |
//!
//! The checksum is against slips of the pen, not against forgers: whether the rebuilt key is the right one is known
//! only when it unwraps the root key.

use std::fmt;

use data_encoding::{BASE32_NOPAD_NOCASE, DecodeKind, HEXLOWER};
use sharks::Sharks;
use zeroize::{Zeroize, Zeroizing};

use super::memory::Key32;
use super::random;
use crate::error::{Error, Result};

const PREFIX: &str = "shubk1-";
const CHECKED: usize = 8 + 1 + 1 + 32;
const RAW: usize = CHECKED + 4;
/// Base32 characters of a share after its prefix.
const ENCODED: usize = (RAW * 8).div_ceil(5);

/// Names one split. Not secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SetId([u8; 8]);

impl SetId {
    #[must_use]
    pub fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl fmt::Display for SetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

/// What is wrong with a share that was handed in. None of it changes what was collected before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    #[error(
        "this is not a key share: a share is 'shubk1-' and 74 letters and digits, check that it was copied whole"
    )]
    NotAShare,
    #[error("the checksum of this share does not match: it was mistyped or damaged, enter it again")]
    Mistyped,
    #[error("this share has index zero, which no share has: use one that this server handed out")]
    ZeroIndex,
    #[error("this share belongs to another set: use the shares that were handed out last for this server")]
    ForeignSet,
    #[error("this share was already entered: enter a different one")]
    Repeated,
    #[error("these are too few shares: enter as many different ones as the threshold says")]
    TooFew,
}

impl From<ShareError> for Error {
    fn from(error: ShareError) -> Self {
        Self::bad_input("share", error.to_string())
    }
}

/// A share as text, to be shown once. Wiped on drop, without `Debug` and `Display`.
pub struct ShareText(Zeroizing<String>);

impl ShareText {
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// One share, parsed.
pub struct Share {
    set_id: SetId,
    index: u8,
    threshold: u8,
    // boxed, so that moving the share leaves no copy behind
    y: Box<Zeroizing<[u8; 32]>>,
}

impl Share {
    /// Reads a share; upper case and white space around it do not matter.
    pub fn parse(text: &str) -> Result<Self, ShareError> {
        let text = text.trim().as_bytes();
        let (prefix, encoded) = text.split_at_checked(PREFIX.len()).ok_or(ShareError::NotAShare)?;
        if !prefix.eq_ignore_ascii_case(PREFIX.as_bytes()) || encoded.len() != ENCODED {
            return Err(ShareError::NotAShare);
        }
        let mut raw = Zeroizing::new([0; RAW]);
        BASE32_NOPAD_NOCASE.decode_mut(encoded, raw.as_mut_slice()).map_err(|partial| {
            // The last character has two bits to spare; any of them set is a slip in that character.
            match partial.error.kind {
                DecodeKind::Trailing => ShareError::Mistyped,
                _ => ShareError::NotAShare,
            }
        })?;
        let (checked, sum) = raw.split_at(CHECKED);
        if checksum(checked) != sum {
            return Err(ShareError::Mistyped);
        }
        let mut set_id = [0; 8];
        set_id.copy_from_slice(&checked[..8]);
        let mut share =
            Self { set_id: SetId(set_id), index: checked[8], threshold: checked[9], y: Box::default() };
        share.y.copy_from_slice(&checked[10..]);
        match (share.index, share.threshold) {
            (0, _) => Err(ShareError::ZeroIndex),
            (_, 0) => Err(ShareError::NotAShare),
            _ => Ok(share),
        }
    }

    /// The text that [`Share::parse`] reads.
    #[must_use]
    pub fn to_text(&self) -> ShareText {
        let mut raw = Zeroizing::new([0; RAW]);
        raw[..8].copy_from_slice(&self.set_id.0);
        raw[8] = self.index;
        raw[9] = self.threshold;
        raw[10..CHECKED].copy_from_slice(self.y.as_slice());
        let sum = checksum(&raw[..CHECKED]);
        raw[CHECKED..].copy_from_slice(&sum);
        let mut text = Zeroizing::new(String::with_capacity(PREFIX.len() + ENCODED));
        text.push_str(PREFIX);
        BASE32_NOPAD_NOCASE.encode_append(raw.as_slice(), &mut text);
        text.make_ascii_lowercase();
        ShareText(text)
    }

    #[must_use]
    pub fn set_id(&self) -> SetId {
        self.set_id
    }

    /// 1 to 255.
    #[must_use]
    pub fn index(&self) -> u8 {
        self.index
    }

    /// How many shares of this set rebuild the key.
    #[must_use]
    pub fn threshold(&self) -> u8 {
        self.threshold
    }
}

fn checksum(checked: &[u8]) -> [u8; 4] {
    let mut input = Zeroizing::new(Vec::with_capacity(64));
    input.extend_from_slice(b"secrethub-share-v1");
    input.extend_from_slice(checked);
    let [a, b, c, d, ..] = super::primitives::sha256(&input);
    [a, b, c, d]
}

/// Splits `key` into `shares` texts of which any `threshold` rebuild it.
///
/// # Errors
/// Bad input unless 1 ≤ `threshold` ≤ `shares`, naming the field `threshold` or `shares`.
pub fn split(key: &Key32, threshold: u8, shares: u8) -> Result<(SetId, Vec<ShareText>)> {
    if shares == 0 {
        return Err(Error::bad_input("shares", "at least one share is needed: give a number from 1 to 255"));
    }
    if threshold == 0 || threshold > shares {
        let message = "the threshold must be at least 1 and at most the number of shares";
        return Err(Error::bad_input("threshold", message));
    }
    let set_id = SetId(random::bytes());
    let mut rng = random::rng();
    let dealer = Sharks(threshold).dealer_rng(key.expose(), &mut rng);
    let texts = dealer.take(usize::from(shares)).map(|mut dealt| {
        let mut share = Share { set_id, index: dealt.x.0, threshold, y: Box::default() };
        for (target, source) in share.y.iter_mut().zip(&mut dealt.y) {
            *target = source.0;
            source.0.zeroize();
        }
        share.to_text()
    });
    Ok((set_id, texts.collect()))
}

/// Rebuilds the key from shares of one set, without a server. A wrong share that has a right checksum gives a wrong
/// key: only unwrapping something with it tells.
pub fn combine(shares: impl IntoIterator<Item = Share>) -> Result<Key32, ShareError> {
    let mut shares = shares.into_iter();
    let first = shares.next().ok_or(ShareError::TooFew)?;
    let mut collector = ShareCollector::new(first.set_id, first.threshold);
    collector.add(first)?;
    for share in shares {
        collector.add(share)?;
    }
    collector.recover().ok_or(ShareError::TooFew)
}

/// How many shares there are, and how many it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub have: u8,
    pub need: u8,
}

impl Progress {
    #[must_use]
    pub fn complete(self) -> bool {
        self.have >= self.need
    }
}

/// Takes shares of one set until there are enough. The shares are wiped with it.
pub struct ShareCollector {
    set_id: SetId,
    threshold: u8,
    shares: Vec<Share>,
}

impl ShareCollector {
    #[must_use]
    pub fn new(set_id: SetId, threshold: u8) -> Self {
        Self { set_id, threshold, shares: Vec::new() }
    }

    #[must_use]
    pub fn set_id(&self) -> SetId {
        self.set_id
    }

    /// Takes one share more. What exceeds the threshold is checked but not kept.
    ///
    /// # Errors
    /// [`ShareError::ForeignSet`] and [`ShareError::Repeated`]; the progress stays as it was.
    pub fn add(&mut self, share: Share) -> Result<Progress, ShareError> {
        if share.set_id != self.set_id || share.threshold != self.threshold {
            return Err(ShareError::ForeignSet);
        }
        if self.shares.iter().any(|known| known.index == share.index) {
            return Err(ShareError::Repeated);
        }
        if !self.progress().complete() {
            self.shares.push(share);
        }
        Ok(self.progress())
    }

    #[must_use]
    pub fn progress(&self) -> Progress {
        // At most `threshold` shares are kept, all with different indexes.
        Progress { have: u8::try_from(self.shares.len()).unwrap_or(u8::MAX), need: self.threshold }
    }

    /// The rebuilt key once there are enough shares. Whether it is the right one only unwrapping with it tells.
    #[must_use]
    pub fn recover(&self) -> Option<Key32> {
        if self.threshold == 0 || !self.progress().complete() {
            return None;
        }
        interpolate(&self.shares)
    }

    /// Forgets all shares.
    pub fn reset(&mut self) {
        self.shares.clear();
    }
}

/// Interpolates whatever it is given; the callers see to number, set and repetition.
fn interpolate(shares: &[Share]) -> Option<Key32> {
    let mut points = Vec::with_capacity(shares.len());
    for share in shares {
        let mut raw = Zeroizing::new([share.index; 33]);
        raw[1..].copy_from_slice(share.y.as_slice());
        points.push(sharks::Share::try_from(raw.as_slice()).ok()?);
    }
    let secret = Sharks(1).recover(&points).ok().map(Zeroizing::new);
    for value in points.iter_mut().flat_map(|point| &mut point.y) {
        value.0.zeroize();
    }
    let secret: &[u8; 32] = secret.as_deref()?.as_slice().try_into().ok()?;
    Some(Key32::with(|key| *key = *secret))
}

#[cfg(test)]
#[path = "shares_tests.rs"]
mod tests;
