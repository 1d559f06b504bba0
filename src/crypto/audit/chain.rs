//! The check of a log, event by event, without a server.

use std::collections::BTreeMap;

use super::{GENESIS, hash, verify_signature};
use crate::model::audit::AuditEvent;

/// An event that is known by its place and hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Anchor {
    /// 0 stands for the beginning, before the first event.
    pub sequence: i64,
    pub hash: [u8; 32],
}

impl Anchor {
    /// Where every complete log begins.
    pub const BEGINNING: Self = Self { sequence: 0, hash: GENESIS };

    /// What `event` itself says came before it. With this a part of a log can be checked in itself, but nothing shows
    /// that it continues the log before it.
    #[must_use]
    pub fn before(event: &AuditEvent) -> Self {
        Self { sequence: event.sequence_number.saturating_sub(1), hash: event.previous_hash }
    }
}

/// The end of a batch as the auditor noted it earlier, outside the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    pub sequence: i64,
    pub hash: [u8; 32],
    /// The signature of that event.
    pub signature: Vec<u8>,
}

/// What is wrong with a log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    #[error("its content was edited: its hash is not the hash of what it says")]
    Edited,
    #[error("it is missing: event {found} stands in its place, so it was removed or moved")]
    Gap { found: i64 },
    #[error("it is out of order or repeated: event {expected} was to come")]
    Reordered { expected: i64 },
    #[error("its previous hash is not the hash of the event before it: one of the two was replaced")]
    WrongPreviousHash,
    #[error("it ends a batch but carries no signature")]
    SignatureMissing,
    #[error("its signature is not one of this public key over its hash")]
    SignatureBad,
    #[error("it carries a signature but does not end a batch")]
    SignatureUnexpected,
    #[error("it is the last of the log but does not end a batch: what followed was cut off")]
    UnsignedEnd,
    #[error("it is missing: the log was cut off before event {checkpoint}, which the checkpoint names")]
    Truncated { checkpoint: i64 },
    #[error("its hash is not the one that the checkpoint names: the log was rewritten")]
    CheckpointMismatch,
    #[error("the checkpoint for it is not signed by this public key")]
    CheckpointSignatureBad,
    #[error(
        "the checkpoint for it was not compared: it lies before this log, or was not handed in before reading"
    )]
    CheckpointNotCovered,
}

/// A problem and the event that it is about.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {sequence}: {problem}")]
pub struct Fault {
    pub sequence: i64,
    #[source]
    pub problem: Problem,
}

/// What was checked when nothing was wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Number of events.
    pub checked: u64,
    /// The last event, or where the log was to begin if it has none.
    pub last: Anchor,
}

/// Checks a log in the order of its events. After the first fault it has no more to say.
pub struct ChainVerifier {
    public_key: [u8; 32],
    last: Anchor,
    checked: u64,
    last_signed: bool,
    checkpoints: BTreeMap<i64, [u8; 32]>,
    buf: Vec<u8>,
}

impl ChainVerifier {
    /// `start` is the event before the first that will be pushed; without it the log must begin with event 1.
    #[must_use]
    pub fn new(public_key: [u8; 32], start: Option<Anchor>) -> Self {
        let last = start.unwrap_or(Anchor::BEGINNING);
        Self {
            public_key,
            last,
            checked: 0,
            last_signed: true,
            checkpoints: BTreeMap::new(),
            buf: Vec::with_capacity(1024),
        }
    }

    /// Compares the log with a checkpoint when it comes to that event; hand it in before. [`ChainVerifier::finish`]
    /// alone can compare only with the last event, since hashes are not kept.
    pub fn expect(&mut self, checkpoint: &Checkpoint) -> Result<(), Fault> {
        let Checkpoint { sequence, hash, signature } = checkpoint;
        if !verify_signature(&self.public_key, hash, signature) {
            return Err(Fault { sequence: *sequence, problem: Problem::CheckpointSignatureBad });
        }
        let noted = match self.checkpoints.get(sequence) {
            Some(noted) => *noted,
            None if *sequence < self.last.sequence => {
                return Err(Fault { sequence: *sequence, problem: Problem::CheckpointNotCovered });
            }
            None if *sequence == self.last.sequence => self.last.hash,
            None => *self.checkpoints.entry(*sequence).or_insert(*hash),
        };
        if noted == *hash {
            Ok(())
        } else {
            Err(Fault { sequence: *sequence, problem: Problem::CheckpointMismatch })
        }
    }

    /// Checks the next event: number, previous hash, content, signature, and a checkpoint for it.
    pub fn push(&mut self, event: &AuditEvent) -> Result<(), Fault> {
        let found = event.sequence_number;
        let fault = |problem| Err(Fault { sequence: found, problem });
        let expected = self.last.sequence.saturating_add(1);
        if found > expected {
            return Err(Fault { sequence: expected, problem: Problem::Gap { found } });
        }
        if found < expected {
            return fault(Problem::Reordered { expected });
        }
        if event.previous_hash != self.last.hash {
            return fault(Problem::WrongPreviousHash);
        }
        if hash(event, &mut self.buf) != event.current_hash {
            return fault(Problem::Edited);
        }
        match (&event.signature, event.batch_end) {
            (None, true) => return fault(Problem::SignatureMissing),
            (Some(_), false) => return fault(Problem::SignatureUnexpected),
            (Some(signature), true)
                if !verify_signature(&self.public_key, &event.current_hash, signature) =>
            {
                return fault(Problem::SignatureBad);
            }
            _ => {}
        }
        if self.checkpoints.get(&found).is_some_and(|noted| *noted != event.current_hash) {
            return fault(Problem::CheckpointMismatch);
        }
        self.last = Anchor { sequence: found, hash: event.current_hash };
        self.last_signed = event.batch_end;
        self.checked += 1;
        Ok(())
    }

    /// Checks the end of the log: that it ends a batch, and that it reaches every checkpoint.
    pub fn finish(mut self, checkpoint: Option<&Checkpoint>) -> Result<Summary, Fault> {
        if let Some(checkpoint) = checkpoint {
            self.expect(checkpoint)?;
        }
        if let Some((&sequence, _)) = self.checkpoints.last_key_value()
            && sequence > self.last.sequence
        {
            let missing = self.last.sequence.saturating_add(1);
            return Err(Fault { sequence: missing, problem: Problem::Truncated { checkpoint: sequence } });
        }
        if !self.last_signed {
            return Err(Fault { sequence: self.last.sequence, problem: Problem::UnsignedEnd });
        }
        Ok(Summary { checked: self.checked, last: self.last })
    }
}
