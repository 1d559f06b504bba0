//! The chain: each event's hash is over the one before it, and each batch ends with a signature.

use crate::crypto::audit as chain;
use crate::crypto::audit::AuditSigner;
use crate::error::Result;
use crate::model::audit::AuditEvent;
use crate::storage::audit::Head;
use crate::storage::errors::corrupt;
use chrono::{DateTime, Utc};

/// Numbers, chains and signs the events that follow a head; the head after them.
///
/// # Errors
/// `INTERNAL` if the head is damaged.
pub fn link(
    from: &Head,
    signer: &AuditSigner,
    events: &mut [AuditEvent],
    now: DateTime<Utc>,
    buffer: &mut Vec<u8>,
) -> Result<Head> {
    let mut to = Head { updated_at: Some(now), ..from.clone() };
    let count = events.len();
    let mut previous: [u8; 32] =
        from.current_hash.as_slice().try_into().map_err(|_| corrupt("audit_head", "current_hash", "1"))?;
    for (index, event) in events.iter_mut().enumerate() {
        to.sequence_number += 1;
        event.sequence_number = to.sequence_number;
        event.timestamp = now;
        event.previous_hash = previous;
        event.batch_end = index + 1 == count;
        event.current_hash = chain::hash(event, buffer);
        previous = event.current_hash;
        if event.batch_end {
            let signature = signer.sign(&previous).to_vec();
            to.signature = Some(signature.clone());
            event.signature = Some(signature);
        }
    }
    to.current_hash = previous.to_vec();
    Ok(to)
}
