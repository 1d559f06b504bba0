//! What is sealed beside the versions of secrets, sealed again after a rotation of the data key: configurations of engines and of
//! their roles, private keys of authorities and of those that wait for an outside signature. Credentials of leases and
//! passwords on their way are not: they are gone before long, and old data keys stay in the keyring.

use super::super::context::{OpContext, settle};
use super::super::ledger::{Attempt, Change};
use super::super::{App, certificates, engines};
use super::{Keys, Rewrapped};
use crate::error::Result;
use crate::storage::db::Tx;
use crate::storage::{
    certificates as certificate_store, engine_roles as role_store, engines as engine_store,
    pending_authorities as pending_store,
};
use uuid::Uuid;

/// Records of one table looked at in one step.
const STEP: i64 = 64;

#[derive(Debug, Clone, Copy)]
enum Table {
    Engines,
    EngineRoles,
    Certificates,
    PendingAuthorities,
}

#[derive(Clone)]
struct Sealed {
    table: Table,
    id: Uuid,
    /// Of its name; 0 if that has none.
    version: i64,
    old: Vec<u8>,
    fresh: Vec<u8>,
}

/// How many were sealed again, and how many do not open; those stay as they are.
///
/// # Errors
/// `SEALED`, `UNAVAILABLE`.
pub async fn reseal_others(ctx: &OpContext) -> Result<Rewrapped> {
    let app = ctx.app();
    let mut records = 0;
    loop {
        let keys = app.keys.get()?;
        let active = i64::from(keys.barrier.keyring().active().version());
        let found = older(app, active).await?;
        let count = found.len() as u64;
        let fresh: Vec<_> = found.into_iter().filter_map(|sealed| reseal(&keys, sealed)).collect();
        let damaged = count - fresh.len() as u64;
        let replaced = if fresh.is_empty() { 0 } else { settle!(replace(app, fresh.clone(), active))? };
        records += replaced;
        // what does not open is found again each time
        if replaced == 0 {
            return Ok(Rewrapped { records, damaged });
        }
    }
}

async fn older(app: &App, active: i64) -> Result<Vec<Sealed>> {
    let tx = &mut app.read().await?;
    let sealed = |table, id, version, old| Sealed { table, id, version, old, fresh: Vec::new() };
    let mut found = Vec::new();
    for row in engine_store::sealed_under_older_key(tx, active, STEP).await? {
        found.push(sealed(Table::Engines, row.id, row.config_version, row.config_encrypted));
    }
    for id in role_store::sealed_under_older_key(tx, active, STEP).await? {
        if let Some((old, version)) = role_store::sealed_config(tx, id).await? {
            found.push(sealed(Table::EngineRoles, id, version, old));
        }
    }
    for row in certificate_store::sealed_under_older_key(tx, active, STEP).await? {
        if let Some(old) = row.private_key_encrypted {
            found.push(sealed(Table::Certificates, row.id, 0, old));
        }
    }
    for row in pending_store::sealed_under_older_key(tx, active, STEP).await? {
        found.push(sealed(Table::PendingAuthorities, row.id, 0, row.private_key_encrypted));
    }
    Ok(found)
}

fn reseal(keys: &Keys, mut sealed: Sealed) -> Option<Sealed> {
    let id = sealed.id.to_string();
    let name = match sealed.table {
        Table::Engines => engines::config_record(&id, sealed.version),
        Table::EngineRoles => engines::role_record(&id, sealed.version),
        Table::Certificates | Table::PendingAuthorities => certificates::key_record(&id),
    };
    match keys.barrier.open(&name, &sealed.old) {
        Ok(plain) => {
            sealed.fresh = keys.barrier.seal(&name, &plain).ok()?;
            Some(sealed)
        }
        Err(error) => {
            tracing::error!(%id, table = ?sealed.table, %error, "a stored record does not open");
            None
        }
    }
}

async fn replace(app: &App, fresh: Vec<Sealed>, key_version: i64) -> Result<u64, Attempt> {
    app.ledger
        .change(app.undecided(), None, move |tx| {
            Box::pin(async move {
                let mut replaced = 0;
                for one in &fresh {
                    replaced += u64::from(replace_one(tx, one, key_version).await?);
                }
                Ok(Change { value: replaced, events: Vec::new(), effects: Vec::new() })
            })
        })
        .await
}

async fn replace_one(tx: &mut Tx, one: &Sealed, key_version: i64) -> Result<bool> {
    let Sealed { table, id, old, fresh, .. } = one;
    match table {
        Table::Engines => engine_store::replace_sealed(tx, *id, old, fresh, key_version).await,
        Table::EngineRoles => role_store::replace_sealed(tx, *id, old, fresh, key_version).await,
        Table::Certificates => certificate_store::replace_sealed(tx, *id, old, fresh, key_version).await,
        Table::PendingAuthorities => pending_store::replace_sealed(tx, *id, old, fresh, key_version).await,
    }
}
