//! Rotation of the data key, online: new records are sealed with the new key at once, stored ones are rewrapped in the
//! background. Old keys stay in the keyring, since a record may be in flight or in a backup.

use super::super::cache::Effect;
use super::super::certificates::IssuerCache;
use super::super::context::{OpContext, settle};
use super::super::ledger::{Attempt, Change};
use super::super::{App, secrets, to_the_end};
use super::keys::{Keys, unwrap_row};
use super::reseal::reseal_others;
use super::store;
use crate::crypto::audit::AuditSigner;
use crate::crypto::keyring::DataKey;
use crate::error::{Error, Result};
use crate::model::audit::EventType;
use crate::model::policies::Area;
use crate::storage::seal::KeyringRow;
use crate::storage::secrets as secret_store;
use crate::storage::secrets::VersionRow;
use chrono::{DateTime, Utc};

/// Records rewrapped in one change.
const REWRAP_BATCH: i64 = 64;

/// The key that is now the active one.
#[derive(Debug, Clone)]
pub struct RotatedKey {
    pub key_version: i64,
    pub rotated_at: DateTime<Utc>,
}

/// Makes a new data key and seals with it from now on. Needs the area `seal`.
///
/// # Errors
/// `FORBIDDEN`, `UNAVAILABLE`.
pub async fn rotate_encryption_key(ctx: &OpContext) -> Result<RotatedKey> {
    let ctx = ctx.clone();
    to_the_end(async move {
        let rotated = settle!(rotate_once(&ctx))?;
        if let Err(error) = refresh_keyring(ctx.app()).await {
            // it is done: this node reads the key when it meets a record sealed with it, or when it rewraps
            tracing::warn!(
                code = error.code().as_str(),
                context = error.log_context(),
                "the new data key is not in use on this node yet"
            );
        }
        ctx.app().rewrap_due().notify_one();
        Ok(rotated)
    })
    .await
}

async fn rotate_once(ctx: &OpContext) -> Result<RotatedKey, Attempt> {
    let access = ctx.access().await?;
    let decision = access.administer(Area::Seal, "rotate_encryption_key").await?;
    let mut event = access.granted(EventType::SystemKeyRotated, &decision);
    let keyring = access.keys.barrier.keyring().clone();
    let now = access.now;
    access
        .change(&event.clone(), move |tx| {
            Box::pin(async move {
                let newest = store::keyring(tx).await?.last().map_or(0, |row| row.version);
                let version = u32::try_from(newest + 1)
                    .map_err(|_| Error::internal("data key versions are used up"))?;
                let wrapped_key = keyring.root().wrap_data_key(&DataKey::generate(version));
                store::insert_key(tx, &KeyringRow { version: newest + 1, wrapped_key, created_at: now })
                    .await?;
                event.event_data = serde_json::json!({ "key_version": newest + 1 });
                let rotated = RotatedKey { key_version: newest + 1, rotated_at: now };
                Ok(Change::new(rotated, event, vec![Effect::Keyring]))
            })
        })
        .await
}

/// Takes data keys that were added, here or on another node, into this node's memory. Never call it within a change:
/// sealing waits for the ledger while it holds the desk.
///
/// # Errors
/// `SEALED`, `UNAVAILABLE`, internal if a stored key does not unwrap.
pub async fn refresh_keyring(app: &App) -> Result<()> {
    let keys = app.keys.get()?;
    let rows = {
        let mut tx = app.read().await?;
        store::keyring(&mut tx).await?
    };
    if rows.iter().all(|row| holds(&keys, row)) {
        return Ok(());
    }
    // no place is needed: whoever comes here was authorised, and nothing of the store is waited for under this lock
    let _desk = app.seal.desk.lock().await;
    let keys = app.keys.get()?;
    let keyring = keys.barrier.keyring();
    let mut barrier = keys.barrier.clone();
    let mut added = false;
    for row in rows.iter().filter(|row| !holds(&keys, row)) {
        barrier = barrier.with_data_key(unwrap_row(keyring.root(), row)?)?;
        added = true;
    }
    if !added {
        return Ok(());
    }
    let signer = AuditSigner::from_secret(&keys.signer.to_secret())?;
    let (audit_public_key, issuers) = (keys.audit_public_key, IssuerCache::default());
    app.keys.set(Keys { barrier, signer, audit_public_key, issuers });
    Ok(())
}

fn holds(keys: &Keys, row: &KeyringRow) -> bool {
    u32::try_from(row.version).is_ok_and(|version| keys.barrier.keyring().get(version).is_some())
}

/// What a pass of the rewrapping task did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rewrapped {
    pub records: u64,
    /// Records that do not open; they stay as they are and are named in the log.
    pub damaged: u64,
}

/// Seals again with the active data key whatever is sealed with an older one, in small changes between which other
/// requests run. Safe to run on several nodes, and to be stopped anywhere.
///
/// # Errors
/// `SEALED`, `UNAVAILABLE`.
pub async fn rewrap(ctx: &OpContext) -> Result<Rewrapped> {
    let app = ctx.app();
    let mut done = Rewrapped::default();
    let mut after = None;
    refresh_keyring(app).await?;
    loop {
        let keys = app.keys.get()?;
        let active = i64::from(keys.barrier.keyring().active().version());
        let rows = {
            let mut tx = app.read().await?;
            secret_store::sealed_under_older_key(&mut tx, active, after, REWRAP_BATCH).await?
        };
        let Some(last) = rows.last() else { break };
        after = Some((last.key_version, last.secret_id, last.version));
        let (fresh, damaged) = reseal(&keys, rows)?;
        done.damaged += damaged;
        done.records += settle!(replace(app, fresh.clone(), active))?;
    }
    let others = reseal_others(ctx).await?;
    done.records += others.records;
    done.damaged += others.damaged;
    if done.records > 0 {
        let mut event = ctx.event(EventType::SystemRewrapped, None);
        event.event_data = serde_json::json!({ "records": done.records, "damaged": done.damaged });
        settle!(app.ledger.record(app.undecided(), vec![event.clone()]))?;
    }
    Ok(done)
}

type Resealed = (VersionRow, Vec<u8>);

fn reseal(keys: &Keys, rows: Vec<VersionRow>) -> Result<(Vec<Resealed>, u64)> {
    let mut fresh = Vec::with_capacity(rows.len());
    let mut damaged = 0;
    for row in rows {
        let Some(sealed) = &row.encrypted_data else { continue };
        let id = row.secret_id.to_string();
        let name = secrets::record_name(&id, row.version);
        match keys.barrier.open(&name, sealed) {
            Ok(plain) => {
                let sealed = keys.barrier.seal(&name, &plain)?;
                fresh.push((row, sealed));
            }
            Err(error) => {
                damaged += 1;
                tracing::error!(secret_id = %row.secret_id, version = row.version, %error, "a stored version does not open");
            }
        }
    }
    Ok((fresh, damaged))
}

async fn replace(app: &App, fresh: Vec<Resealed>, key_version: i64) -> Result<u64, Attempt> {
    app.ledger
        .change(app.undecided(), None, move |tx| {
            Box::pin(async move {
                let mut replaced = 0;
                for (row, sealed) in &fresh {
                    let old = row.encrypted_data.as_deref().unwrap_or_default();
                    let swapped = secret_store::replace_sealed(
                        tx,
                        row.secret_id,
                        row.version,
                        old,
                        sealed,
                        key_version,
                    )
                    .await?;
                    replaced += u64::from(swapped);
                }
                Ok(Change { value: replaced, events: Vec::new(), effects: Vec::new() })
            })
        })
        .await
}
