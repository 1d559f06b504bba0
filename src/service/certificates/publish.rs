//! What relying parties fetch: certificates of authorities, and revocation lists (RFC 5280, section 5).
//!
//! A list is made by a task, off the path of requests. It reads only what was revoked since the last one: the entries so far stay
//! in memory for a while. Of nodes that make one at the same time, the first to store its own wins.

use super::super::App;
use super::super::context::{OpContext, settle};
use super::super::ledger::{Attempt, Change};
use super::issuers::{self, Signer};
use crate::crypto::x509::crl as list;
use crate::crypto::x509::crl::RevokedEntry;
use crate::crypto::x509::facts;
use crate::error::{Error, Result};
use crate::failpoint::failpoint;
use crate::model::audit::EventType;
use crate::model::certificates::RevocationReason;
use crate::storage::certificate_authorities as store;
use crate::storage::certificate_authorities::{CrlRow, CrlState};
use crate::storage::certificates as certificate_store;
use crate::storage::errors::corrupt;
use bytes::Bytes;
use chrono::{DateTime, Duration, Utc};
use data_encoding::HEXLOWER;
use parking_lot::Mutex;
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;
use uuid::Uuid;

/// Revocations read in one step.
const STEP: i64 = 5000;
/// Entries of a list that has not changed for this long are read again when it does.
const REMEMBERED: Duration = Duration::hours(1);
/// Authorities seen to in one pass.
const MOST: i64 = 100;
/// After a list was made, the next is not before this many times as long as it took to sign and store: revocations never take all of
/// the node. Reading is not counted, since the next list reads only what is new.
const REST: i32 = 20;

/// The entries of one authority's list so far.
struct Entries {
    /// The number of the last revocation among them.
    covers: i64,
    /// With the end of each certificate: what has ended leaves the list.
    revoked: Vec<(DateTime<Utc>, RevokedEntry)>,
    used: DateTime<Utc>,
    not_before: DateTime<Utc>,
}

/// What this node remembers of lists.
#[derive(Default)]
pub struct Lists {
    entries: Mutex<HashMap<Uuid, Entries>>,
    published: Mutex<HashMap<Uuid, PublishedCrl>>,
}

/// A certificate revocation list.
#[derive(Debug, Clone)]
pub struct PublishedCrl {
    pub der: Bytes,
    pub number: i64,
    pub this_update: DateTime<Utc>,
    pub next_update: DateTime<Utc>,
}

/// The certificate of an authority and of those above it (DER), nearest first. `issuer` is its serial number, or `default`.
///
/// # Errors
/// `SEALED`, `NOT_INITIALIZED`, `UNAVAILABLE`.
pub async fn ca_chain(app: &App, issuer: &str) -> Result<Option<Vec<Vec<u8>>>> {
    app.keys.get()?;
    let mut tx = app.read().await?;
    let Some(id) = issuers::find(&mut tx, issuer).await? else { return Ok(None) };
    let (row, authority) = (certificate_store::by_id(&mut tx, id).await?, store::by_id(&mut tx, id).await?);
    let (Some(row), Some(authority)) = (row, authority) else { return Ok(None) };
    let mut chain = facts::from_pem(&row.certificate_pem)?;
    if !authority.chain_pem.is_empty() {
        chain.extend(facts::from_pem(&authority.chain_pem)?);
    }
    Ok(Some(chain))
}

/// The latest list of an authority.
///
/// # Errors
/// As [`ca_chain`]; `UNAVAILABLE` in the moment before its first list is there.
pub async fn crl(app: &App, issuer: &str) -> Result<Option<PublishedCrl>> {
    app.keys.get()?;
    let mut tx = app.read().await?;
    let Some(id) = issuers::find(&mut tx, issuer).await? else { return Ok(None) };
    let state = store::crl_state(&mut tx, id).await?;
    let number = state.map_or(0, |state| state.crl_number);
    if let Some(known) = app.pki.lists.published.lock().get(&id).filter(|known| known.number == number) {
        return Ok(Some(known.clone()));
    }
    let Some(stored) = store::crl(&mut tx, id).await? else {
        return Err(Error::unavailable("the first list of this authority is being made").with_retry_after(1));
    };
    let published = PublishedCrl {
        der: Bytes::from(stored.der),
        number: stored.number,
        this_update: stored.this_update,
        next_update: stored.next_update,
    };
    app.pki.lists.published.lock().insert(id, published.clone());
    Ok(Some(published))
}

/// Makes the lists that are out of date or near their end. How many.
///
/// # Errors
/// `SEALED`, `UNAVAILABLE`.
pub async fn rebuild(ctx: &OpContext) -> Result<usize> {
    let app = ctx.app();
    app.keys.get()?;
    let now = app.clock().now();
    app.pki.lists.entries.lock().retain(|_, entries| now - entries.used < REMEMBERED);
    let renew_before = now + Duration::seconds(app.pki.settings.crl_validity / 2);
    let due = store::crl_due(&mut app.read().await?, renew_before, MOST).await?;
    let mut made = 0;
    for state in due {
        let rests = |entries: &Entries| now < entries.not_before && state.crl_number > 0;
        if app.pki.lists.entries.lock().get(&state.id).is_some_and(rests) {
            continue;
        }
        // one authority whose record is damaged does not stop the others
        match rebuild_one(ctx, &state, now).await {
            Ok(done) => made += usize::from(done),
            Err(error) => tracing::warn!(
                authority = %state.id, code = error.code().as_str(), context = error.log_context(),
                "a revocation list could not be made"
            ),
        }
    }
    Ok(made)
}

async fn rebuild_one(ctx: &OpContext, state: &CrlState, now: DateTime<Utc>) -> Result<bool> {
    let app = ctx.app();
    let signer = issuers::signer(app, state.id).await?;
    let mut entries = app.pki.lists.entries.lock().remove(&state.id).unwrap_or(Entries {
        covers: 0,
        revoked: Vec::new(),
        used: now,
        not_before: now,
    });
    read_on(app, state.id, &mut entries).await?;
    failpoint!("list_read");
    let started = std::time::Instant::now();
    // an entry is still on the first list that is made after the end of its certificate (RFC 5280, 3.3)
    let until = now - Duration::seconds(app.pki.settings.crl_validity);
    entries.revoked.retain(|(end, _)| *end > until);
    let this_update = super::profile::whole_second(now)?;
    let next_update = this_update + Duration::seconds(app.pki.settings.crl_validity);
    let number = state.crl_number + 1;
    let (entries, der) = sign(signer, entries, number, this_update, next_update).await?;
    let covers = entries.covers;
    let stored = CrlRow { der, number, covers, this_update, next_update };
    failpoint!("list_signed");
    let done = keep(ctx, state, stored, entries.revoked.len()).await?;
    failpoint!("list_kept");
    let took = Duration::from_std(started.elapsed()).unwrap_or(Duration::seconds(1));
    let rest = took.checked_mul(REST).unwrap_or(Duration::minutes(5)).min(Duration::minutes(5));
    app.pki.lists.entries.lock().insert(state.id, Entries { used: now, not_before: now + rest, ..entries });
    Ok(done)
}

/// Adds what was revoked since.
async fn read_on(app: &App, id: Uuid, entries: &mut Entries) -> Result<()> {
    loop {
        let rows = certificate_store::revoked_since(&mut app.read().await?, id, entries.covers, STEP).await?;
        let Some(last) = rows.last().map(|row| row.revocation_number) else { return Ok(()) };
        for row in rows {
            let damaged = |column| corrupt("certificates", column, &row.serial_number);
            let serial =
                HEXLOWER.decode(row.serial_number.as_bytes()).map_err(|_| damaged("serial_number"))?;
            let reason = row.revocation_reason.as_deref().and_then(RevocationReason::parse);
            let reason = reason.unwrap_or(RevocationReason::Unspecified);
            entries
                .revoked
                .push((row.valid_until, RevokedEntry { serial, revoked_at: row.revoked_at, reason }));
        }
        entries.covers = last;
    }
}

async fn sign(
    signer: Arc<Signer>,
    entries: Entries,
    number: i64,
    this_update: DateTime<Utc>,
    next_update: DateTime<Utc>,
) -> Result<(Entries, Vec<u8>)> {
    let number = u64::try_from(number).map_err(Error::internal)?;
    tokio::task::spawn_blocking(move || {
        let revoked: Vec<_> = entries.revoked.iter().map(|(_, entry)| entry.clone()).collect();
        let der = list::make(&signer.issuer, number, this_update, next_update, &revoked)?;
        Ok((entries, der))
    })
    .await
    .map_err(Error::internal)?
}

/// Stores a list, if no other node was quicker.
async fn keep(ctx: &OpContext, state: &CrlState, stored: CrlRow, revoked: usize) -> Result<bool> {
    let mut event = ctx.event(EventType::CertificateCrlPublished, None);
    event.event_data = json!({
        "authority": state.id.to_string(), "number": stored.number, "revoked": revoked,
        "next_update": stored.next_update.to_rfc3339(),
    });
    let (id, before) = (state.id, state.crl_number);
    let stored = Arc::new(stored);
    settle!(async {
        let (event, stored) = (event.clone(), Arc::clone(&stored));
        ctx.app()
            .ledger
            .change(ctx.app().undecided(), None, move |tx| {
                Box::pin(async move {
                    let done = store::store_crl(tx, id, before, &stored).await?;
                    let events = if done { vec![event] } else { Vec::new() };
                    Ok(Change { value: done, events, effects: Vec::new() })
                })
            })
            .await as Result<bool, Attempt>
    })
}
