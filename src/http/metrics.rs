//! `GET /metrics`: for Prometheus, in the OpenMetrics text format. Open to whoever reaches the listener, so it names no engine, path
//! or caller.

mod families;

use super::meters::DoorMeters;
use super::respond;
use super::router::Visit;
use crate::error::{Error, ErrorCode, Result};
use crate::service::metrics::{Counted, HEALTH, KindOfEngine, Measured, counted, measure};
use axum::body::Body;
use families::{Families, Unit};
use http::{Response, StatusCode};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);
const FORMAT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) async fn metrics(visit: &Visit) -> Response<Body> {
    let _place = match visit.gate.enter() {
        Ok(place) => place,
        Err(error) => return respond::error(&error, &visit.id),
    };
    let measured = tokio::time::timeout(PATIENCE, measure(&visit.app))
        .await
        .unwrap_or_else(|_| Err(Error::new(ErrorCode::Unavailable, "the store does not answer in time")));
    let text = measured.and_then(|measured| render(&visit.meters, &counted(&visit.app), &measured));
    match text {
        Ok(text) => respond::answer(StatusCode::OK, FORMAT, &visit.id, text.into_bytes()),
        Err(error) => respond::error(&error, &visit.id),
    }
}

fn render(doors: &DoorMeters, counted: &Counted<'_>, measured: &Measured) -> Result<String> {
    let mut families = Families::default();
    families.gauge(
        "build_info",
        "The version of this program",
        [([("version", env!("CARGO_PKG_VERSION"))], 1)],
    );
    families.gauge("sealed", "Whether this node has no keys in memory", [([], i64::from(measured.sealed))]);
    requests(&mut families, doors, measured);
    ledger(&mut families, counted, measured);
    store(&mut families, counted);
    caches(&mut families, doors, counted);
    engines(&mut families, measured);
    families.text()
}

fn requests(families: &mut Families, doors: &DoorMeters, measured: &Measured) {
    let (mut outcomes, mut durations) = (Vec::new(), Vec::new());
    for counted in doors.counted() {
        let operation = ("operation", counted.operation);
        outcomes.extend(counted.outcomes.iter().map(|(code, count)| ([operation, ("code", code)], *count)));
        durations.push(([operation], counted.duration));
    }
    families.counter("requests", "GraphQL requests by root field and outcome", outcomes);
    families.histogram(
        "request_duration_seconds",
        "How long GraphQL requests took",
        Unit::Microseconds,
        durations,
    );
    families.gauge(
        "requests_in_flight",
        "GraphQL requests that are being answered",
        [([], doors.in_flight.get())],
    );
    families.gauge("subscriptions", "Subscriptions that are open", [([], doors.subscriptions.get())]);
    let limited = [([], measured.rate_limited)];
    families.counter(
        "rate_limited",
        "Requests that were turned away since their caller sent too many",
        limited,
    );
}

fn ledger(families: &mut Families, counted: &Counted<'_>, measured: &Measured) {
    let ledger = counted.ledger;
    families.counter("ledger_batches", "Transactions of this node's ledger", [([], ledger.batches.get())]);
    families.histogram(
        "ledger_batch_size",
        "Requests in a transaction",
        Unit::One,
        [([], &ledger.batch_size)],
    );
    let wait = [([], &ledger.wait)];
    families.histogram(
        "ledger_wait_seconds",
        "How long requests waited for their batch to begin",
        Unit::Microseconds,
        wait,
    );
    let commit = [([], &ledger.commit)];
    families.histogram(
        "ledger_commit_seconds",
        "How long a batch took with its commit",
        Unit::Microseconds,
        commit,
    );
    families.counter("audit_events", "Audit events that this node has recorded", [([], ledger.events.get())]);
    families.gauge(
        "audit_head_sequence",
        "The number of the latest audit event of all nodes",
        [([], measured.audit_sequence)],
    );
}

fn store(families: &mut Families, counted: &Counted<'_>) {
    let connections = counted.connections;
    let pools = [("write", connections.writers), ("read", connections.readers)];
    let size = pools.map(|(pool, (size, _))| ([("pool", pool)], i64::from(size)));
    families.gauge("store_connections", "Connections of this node to its store", size);
    let idle = pools.map(|(pool, (_, idle))| ([("pool", pool)], i64::try_from(idle).unwrap_or(i64::MAX)));
    families.gauge("store_connections_idle", "Those of them that nobody uses", idle);
    let reads = [([], counted.reads)];
    families.histogram(
        "store_read_wait_seconds",
        "How long reads waited for a connection",
        Unit::Microseconds,
        reads,
    );
}

fn caches(families: &mut Families, doors: &DoorMeters, counted: &Counted<'_>) {
    let caches = [
        ("documents", &*doors.documents),
        ("certificate_roles", &counted.caches.certificate_roles),
        ("engine_roles", &counted.caches.engine_roles),
        ("policies", &counted.caches.policies),
        ("secrets", &counted.caches.secrets),
        ("tokens", &counted.caches.tokens),
    ];
    let hits = caches.map(|(name, lookups)| ([("cache", name)], lookups.hits.get()));
    families.counter("cache_hits", "Questions that a cache knew the answer to", hits);
    let misses = caches.map(|(name, lookups)| ([("cache", name)], lookups.misses.get()));
    families.counter("cache_misses", "Questions that the store had to answer", misses);
}

fn engines(families: &mut Families, measured: &Measured) {
    let kinds = || measured.engines.iter().map(|(kind, of_kind)| (("kind", kind.as_str()), of_kind));
    let by_health = kinds().flat_map(|(kind, of_kind)| {
        HEALTH.iter().zip(of_kind.by_health).map(move |((_, word), count)| ([kind, ("health", word)], count))
    });
    families.gauge("engines", "Engines by kind and by how this node sees them", by_health);
    type Value = fn(&KindOfEngine) -> i64;
    let gauges: [(&str, &str, Value); 3] = [
        ("leases_live", "Leases that are not revoked, by kind of engine", |kind| kind.live_leases),
        ("leases_overdue", "Leases whose credentials have outlived them, counted to 10000", |kind| {
            kind.overdue_leases
        }),
        (
            "leases_most_overdue_seconds",
            "How long the credentials of a lease have outlived it, at most",
            |kind| kind.most_overdue_seconds,
        ),
    ];
    for (name, help, value) in gauges {
        families.gauge(name, help, kinds().map(|(kind, of_kind)| ([kind], value(of_kind))));
    }
    let states = measured.leases.iter().map(|(state, count)| ([("state", *state)], *count));
    families.gauge("leases", "Leases that are not revoked, by state", states);
    let expiring =
        measured.certificates_expiring.iter().map(|(kind, count)| ([("type", kind.as_str())], *count));
    families.gauge("certificates_expiring", "Certificates near their end that are not revoked", expiring);
}

#[cfg(test)]
mod tests;
