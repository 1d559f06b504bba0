//! What is counted and measured for a monitoring system. No names of anything that a policy protects.

use super::App;
use super::cache::CacheCounters;
use super::ledger::LedgerCounters;
use super::{rate, seal};
use crate::engine::HealthStatus;
use crate::error::Result;
use crate::model::leases::LeaseState;
use crate::model::meter::Histogram;
use crate::storage::audit as audit_store;
use crate::storage::certificates as certificate_store;
use crate::storage::db::Connections;
use crate::storage::engines as engine_store;
use crate::storage::leases as lease_store;
use chrono::Duration;
use std::collections::BTreeMap;

/// Engines that are looked at.
const MOST_ENGINES: i64 = 1000;
/// Overdue leases, and those that are on their way, are counted up to this.
const MOST_LEASES: i64 = 10_000;

/// Engines of one kind.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KindOfEngine {
    /// By how they are doing, in the order of [`HEALTH`].
    pub by_health: [i64; HEALTH.len()],
    pub live_leases: i64,
    /// Credentials that have outlived their lease.
    pub overdue_leases: i64,
    /// By how much the oldest of them has, in seconds.
    pub most_overdue_seconds: i64,
}

/// How engines are doing, and in which word.
pub const HEALTH: [(HealthStatus, &str); 4] = [
    (HealthStatus::Idle, "idle"),
    (HealthStatus::Healthy, "healthy"),
    (HealthStatus::Degraded, "degraded"),
    (HealthStatus::Down, "down"),
];

impl KindOfEngine {
    fn add(&mut self, status: HealthStatus) {
        if let Some(place) = HEALTH.iter().position(|(known, _)| *known == status) {
            self.by_health[place] += 1;
        }
    }

    #[must_use]
    pub fn engines(&self) -> i64 {
        self.by_health.iter().sum()
    }
}

/// What the store says.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    pub sealed: bool,
    /// Requests that the rate limits refused.
    pub rate_limited: u64,
    /// The number of the latest audit event of all nodes.
    pub audit_sequence: i64,
    pub engines: BTreeMap<String, KindOfEngine>,
    /// Leases that are not revoked, by state.
    pub leases: Vec<(&'static str, i64)>,
    /// Certificates near their end, by kind.
    pub certificates_expiring: BTreeMap<String, i64>,
}

/// What this node has counted since it started.
pub struct Counted<'a> {
    pub ledger: &'a LedgerCounters,
    pub caches: &'a CacheCounters,
    pub connections: Connections,
    /// How long reads waited for a connection.
    pub reads: &'a Histogram,
}

#[must_use]
pub fn counted(app: &App) -> Counted<'_> {
    Counted {
        ledger: &app.ledger.counters,
        caches: &app.caches.counted,
        connections: app.db.connections(),
        reads: &app.reads,
    }
}

/// # Errors
/// `UNAVAILABLE`.
pub async fn measure(app: &App) -> Result<Measured> {
    let now = app.clock.now();
    let mut tx = app.read().await?;
    let mut engines: BTreeMap<String, KindOfEngine> = BTreeMap::new();
    for row in engine_store::counts(&mut tx, MOST_ENGINES).await? {
        let kind = engines.entry(row.engine_type).or_default();
        kind.add(app.engines.health(row.id).status);
        kind.live_leases += row.live_leases;
    }
    for (engine_type, overdue, oldest) in lease_store::overdue(&mut tx, now, MOST_LEASES).await? {
        let kind = engines.entry(engine_type).or_default();
        kind.overdue_leases = overdue;
        kind.most_overdue_seconds = (now - oldest).num_seconds();
    }
    let [issuing, revoking] = lease_store::on_their_way(&mut tx, MOST_LEASES).await?;
    let live: i64 = engines.values().map(|kind| kind.live_leases).sum();
    let soon = now + Duration::seconds(app.pki.settings.expiring_within);
    Ok(Measured {
        sealed: seal::require_unsealed(app).is_err(),
        rate_limited: rate::refused(app),
        audit_sequence: audit_store::head(&mut tx).await?.sequence_number,
        leases: vec![
            (LeaseState::Issuing.as_str(), issuing),
            (LeaseState::Active.as_str(), (live - issuing - revoking).max(0)),
            (LeaseState::Revoking.as_str(), revoking),
        ],
        engines,
        certificates_expiring: certificate_store::count_expiring(&mut tx, now, soon)
            .await?
            .into_iter()
            .collect(),
    })
}
