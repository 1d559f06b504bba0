//! Private keys of authorities, sealed again after a rotation of the data key.

use super::super::context::{OpContext, settle};
use super::super::ledger::{Attempt, Change};
use super::super::seal::Keys;
use super::key_record;
use crate::error::Result;
use crate::storage::certificates as store;
use crate::storage::certificates::CertificateRow;

/// Records looked at in one step.
const STEP: i64 = 64;

/// How many were sealed again, and how many do not open; those stay as they are.
///
/// # Errors
/// `SEALED`, `UNAVAILABLE`.
pub async fn rewrap(ctx: &OpContext) -> Result<(u64, u64)> {
    let app = ctx.app();
    let mut records = 0;
    loop {
        let keys = app.keys.get()?;
        let active = i64::from(keys.barrier.keyring().active().version());
        let found = store::sealed_under_older_key(&mut app.read().await?, active, STEP).await?;
        let count = found.len() as u64;
        let fresh: Vec<_> = found.into_iter().filter_map(|one| reseal(&keys, one)).collect();
        let bad = count - fresh.len() as u64;
        let replaced = if fresh.is_empty() { 0 } else { settle!(replace(ctx, &fresh, active))? };
        records += replaced;
        // what does not open is found again each time
        if replaced == 0 {
            return Ok((records, bad));
        }
    }
}

/// The old text and the new one.
fn reseal(keys: &Keys, one: CertificateRow) -> Option<(CertificateRow, Vec<u8>)> {
    let id = one.id.to_string();
    let name = key_record(&id);
    let sealed = one.private_key_encrypted.as_deref()?;
    match keys.barrier.open(&name, sealed) {
        Ok(plain) => {
            let fresh = keys.barrier.seal(&name, &plain).ok()?;
            Some((one, fresh))
        }
        Err(error) => {
            tracing::error!(%id, %error, "a stored private key does not open");
            None
        }
    }
}

async fn replace(
    ctx: &OpContext,
    fresh: &[(CertificateRow, Vec<u8>)],
    key_version: i64,
) -> Result<u64, Attempt> {
    let fresh = fresh.to_vec();
    ctx.app()
        .ledger
        .change(ctx.app().undecided(), None, move |tx| {
            Box::pin(async move {
                let mut replaced = 0;
                for (old, sealed) in &fresh {
                    let before = old.private_key_encrypted.as_deref().unwrap_or_default();
                    let done = store::replace_sealed(tx, old.id, before, sealed, key_version).await?;
                    replaced += u64::from(done);
                }
                Ok(Change { value: replaced, events: Vec::new(), effects: Vec::new() })
            })
        })
        .await
}
