//! Private keys of authorities, and of those that wait for an outside signature, sealed again after a rotation of the data key.

use super::super::App;
use super::super::context::{OpContext, settle};
use super::super::ledger::{Attempt, Change};
use super::super::seal::Keys;
use super::key_record;
use crate::error::Result;
use crate::storage::certificates as store;
use crate::storage::pending_authorities as pending_store;
use uuid::Uuid;

/// Records looked at in one step.
const STEP: i64 = 64;

#[derive(Clone)]
struct Sealed {
    pending: bool,
    id: Uuid,
    old: Vec<u8>,
    fresh: Vec<u8>,
}

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
        let found = older(app, active).await?;
        let count = found.len() as u64;
        let fresh: Vec<_> = found.into_iter().filter_map(|one| reseal(&keys, one)).collect();
        let bad = count - fresh.len() as u64;
        let replaced = if fresh.is_empty() { 0 } else { settle!(replace(app, &fresh, active))? };
        records += replaced;
        // what does not open is found again each time
        if replaced == 0 {
            return Ok((records, bad));
        }
    }
}

async fn older(app: &App, active: i64) -> Result<Vec<Sealed>> {
    let mut tx = app.read().await?;
    let sealed = |pending, id, old| Sealed { pending, id, old, fresh: Vec::new() };
    let mut found: Vec<_> = store::sealed_under_older_key(&mut tx, active, STEP)
        .await?
        .into_iter()
        .filter_map(|row| Some(sealed(false, row.id, row.private_key_encrypted?)))
        .collect();
    let pending = pending_store::sealed_under_older_key(&mut tx, active, STEP).await?;
    found.extend(pending.into_iter().map(|row| sealed(true, row.id, row.private_key_encrypted)));
    Ok(found)
}

fn reseal(keys: &Keys, mut sealed: Sealed) -> Option<Sealed> {
    let id = sealed.id.to_string();
    let name = key_record(&id);
    match keys.barrier.open(&name, &sealed.old) {
        Ok(plain) => {
            sealed.fresh = keys.barrier.seal(&name, &plain).ok()?;
            Some(sealed)
        }
        Err(error) => {
            tracing::error!(%id, %error, "a stored private key does not open");
            None
        }
    }
}

async fn replace(app: &App, fresh: &[Sealed], key_version: i64) -> Result<u64, Attempt> {
    let fresh = fresh.to_vec();
    app.ledger
        .change(app.undecided(), None, move |tx| {
            Box::pin(async move {
                let mut replaced = 0;
                for one in &fresh {
                    let (id, old, sealed) = (one.id, &one.old, &one.fresh);
                    let done = if one.pending {
                        pending_store::replace_sealed(tx, id, old, sealed, key_version).await?
                    } else {
                        store::replace_sealed(tx, id, old, sealed, key_version).await?
                    };
                    replaced += u64::from(done);
                }
                Ok(Change { value: replaced, events: Vec::new(), effects: Vec::new() })
            })
        })
        .await
}
