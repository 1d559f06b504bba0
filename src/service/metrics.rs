//! What is counted and measured for a monitoring system. No names of anything that a policy protects.

use super::App;
use super::{rate, seal};
use crate::engine::HealthStatus;
use crate::error::Result;
use crate::storage::certificates as certificate_store;
use crate::storage::engines as engine_store;
use crate::storage::leases as lease_store;
use chrono::Duration;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

/// Engines that are looked at.
const MOST_ENGINES: i64 = 1000;
/// Overdue leases are counted up to this.
const MOST_OVERDUE: i64 = 10_000;

/// Engines of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KindOfEngine {
    pub engines: i64,
    /// Those that do not answer.
    pub down: i64,
    pub live_leases: i64,
    /// Credentials that have outlived their lease.
    pub overdue_leases: i64,
    /// By how much the oldest of them has, in seconds.
    pub most_overdue_seconds: i64,
}

/// A node at one moment.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    pub sealed: bool,
    pub ledger_batches: u64,
    pub ledger_events: u64,
    /// Requests that the rate limits refused.
    pub rate_limited: u64,
    pub engines: BTreeMap<String, KindOfEngine>,
    /// Certificates near their end, by kind.
    pub certificates_expiring: BTreeMap<String, i64>,
}

/// # Errors
/// `UNAVAILABLE`.
pub async fn measure(app: &App) -> Result<Measured> {
    let mut measured = Measured {
        sealed: seal::require_unsealed(app).is_err(),
        ledger_batches: app.ledger.counters.batches.load(Ordering::Relaxed),
        ledger_events: app.ledger.counters.events.load(Ordering::Relaxed),
        rate_limited: rate::refused(app),
        engines: BTreeMap::new(),
        certificates_expiring: BTreeMap::new(),
    };
    let now = app.clock.now();
    let mut tx = app.read().await?;
    for row in engine_store::counts(&mut tx, MOST_ENGINES).await? {
        let kind = measured.engines.entry(row.engine_type).or_default();
        kind.engines += 1;
        kind.down += i64::from(app.engines.health(row.id).status == HealthStatus::Down);
        kind.live_leases += row.live_leases;
    }
    for (engine_type, overdue, oldest) in lease_store::overdue(&mut tx, now, MOST_OVERDUE).await? {
        let kind = measured.engines.entry(engine_type).or_default();
        kind.overdue_leases = overdue;
        kind.most_overdue_seconds = (now - oldest).num_seconds();
    }
    let soon = now + Duration::seconds(app.pki.settings.expiring_within);
    measured.certificates_expiring =
        certificate_store::count_expiring(&mut tx, now, soon).await?.into_iter().collect();
    Ok(measured)
}
