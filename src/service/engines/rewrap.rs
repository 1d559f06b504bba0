//! Configurations of engines and roles, sealed again after a rotation of the data key. Credentials of leases and passwords on their
//! way are not: they are gone before long, and old data keys stay in the keyring.

use super::super::App;
use super::super::context::{OpContext, settle};
use super::super::ledger::{Attempt, Change};
use super::super::seal::Keys;
use super::{config_record, roles::role_record, store};
use crate::crypto::barrier::RecordName;
use crate::error::Result;
use crate::storage::engine_roles as role_store;
use uuid::Uuid;

/// Records looked at in one step.
const STEP: i64 = 64;

#[derive(Clone, Copy)]
enum Table {
    Engines,
    Roles,
}

struct Sealed {
    table: Table,
    id: Uuid,
    version: i64,
    old: Vec<u8>,
    fresh: Vec<u8>,
}

/// How many were sealed again, and how many do not open; those stay as they are.
///
/// # Errors
/// `SEALED`, `UNAVAILABLE`.
pub async fn rewrap(ctx: &OpContext) -> Result<(u64, u64)> {
    let app = ctx.app();
    let (mut records, mut damaged) = (0, 0);
    loop {
        let keys = app.keys.get()?;
        let active = i64::from(keys.barrier.keyring().active().version());
        let found = older(app, active).await?;
        let count = found.len();
        let fresh: Vec<_> = found.into_iter().filter_map(|sealed| reseal(&keys, sealed)).collect();
        let bad = (count - fresh.len()) as u64;
        let replaced = if fresh.is_empty() { 0 } else { settle!(replace(app, &fresh, active))? };
        records += replaced;
        // what does not open is found again each time
        if replaced == 0 {
            damaged += bad;
            return Ok((records, damaged));
        }
    }
}

async fn older(app: &App, active: i64) -> Result<Vec<Sealed>> {
    let mut tx = app.read().await?;
    let mut found: Vec<_> = store::sealed_under_older_key(&mut tx, active, STEP)
        .await?
        .into_iter()
        .map(|row| Sealed {
            table: Table::Engines,
            id: row.id,
            version: row.config_version,
            old: row.config_encrypted,
            fresh: Vec::new(),
        })
        .collect();
    for id in role_store::sealed_under_older_key(&mut tx, active, STEP).await? {
        if let Some((old, version)) = role_store::sealed_config(&mut tx, id).await? {
            found.push(Sealed { table: Table::Roles, id, version, old, fresh: Vec::new() });
        }
    }
    Ok(found)
}

fn reseal(keys: &Keys, mut sealed: Sealed) -> Option<Sealed> {
    let id = sealed.id.to_string();
    let name: RecordName<'_> = match sealed.table {
        Table::Engines => config_record(&id, sealed.version),
        Table::Roles => role_record(&id, sealed.version),
    };
    match keys.barrier.open(&name, &sealed.old) {
        Ok(plain) => {
            sealed.fresh = keys.barrier.seal(&name, &plain).ok()?;
            Some(sealed)
        }
        Err(error) => {
            tracing::error!(%id, %error, "a stored configuration does not open");
            None
        }
    }
}

async fn replace(app: &App, fresh: &[Sealed], key_version: i64) -> Result<u64, Attempt> {
    let fresh: Vec<_> =
        fresh.iter().map(|one| (one.table, one.id, one.old.clone(), one.fresh.clone())).collect();
    app.ledger
        .change(app.undecided(), None, move |tx| {
            Box::pin(async move {
                let mut replaced = 0;
                for (table, id, old, sealed) in &fresh {
                    let done = match table {
                        Table::Engines => store::replace_sealed(tx, *id, old, sealed, key_version).await?,
                        Table::Roles => role_store::replace_sealed(tx, *id, old, sealed, key_version).await?,
                    };
                    replaced += u64::from(done);
                }
                Ok(Change { value: replaced, events: Vec::new(), effects: Vec::new() })
            })
        })
        .await
}
