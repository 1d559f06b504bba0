//! `GET /metrics`: for Prometheus, in the OpenMetrics text format. Open to whoever reaches the listener, so it names no engine, path
//! or caller.

use super::respond;
use super::router::Visit;
use crate::error::{Error, ErrorCode, Result};
use crate::service::metrics::{KindOfEngine, Measured, measure};
use axum::body::Body;
use http::{Response, StatusCode};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;
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
    let text = measured.and_then(|measured| render(&measured));
    match text {
        Ok(text) => respond::answer(StatusCode::OK, FORMAT, &visit.id, text.into_bytes()),
        Err(error) => respond::error(&error, &visit.id),
    }
}

fn render(measured: &Measured) -> Result<String> {
    let mut registry = Registry::with_prefix("secrethub");
    registry.register(
        "sealed",
        "Whether this node has no keys in memory",
        ConstGauge::new(i64::from(measured.sealed)),
    );
    registry.register(
        "ledger_batches",
        "Transactions of the ledger of this node",
        ConstCounter::new(measured.ledger_batches),
    );
    registry.register(
        "audit_events",
        "Audit events that this node has recorded",
        ConstCounter::new(measured.ledger_events),
    );
    registry.register(
        "rate_limited_requests",
        "Requests that were refused because their caller asked for too much",
        ConstCounter::new(measured.rate_limited),
    );
    type Value = fn(&KindOfEngine) -> i64;
    let gauges: [(&str, &str, Value); 5] = [
        ("engines", "Engines of a kind", |kind| kind.engines),
        ("engines_down", "Engines of a kind that do not answer this node", |kind| kind.down),
        ("leases_live", "Leases that are not revoked", |kind| kind.live_leases),
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
        let family = Family::<Vec<(String, String)>, Gauge>::default();
        for (kind, of_kind) in &measured.engines {
            family.get_or_create(&vec![("kind".to_owned(), kind.clone())]).set(value(of_kind));
        }
        registry.register(name, help, family);
    }
    let expiring = Family::<Vec<(String, String)>, Gauge>::default();
    for (kind, count) in &measured.certificates_expiring {
        expiring.get_or_create(&vec![("type".to_owned(), kind.clone())]).set(*count);
    }
    registry.register("certificates_expiring", "Certificates near their end that are not revoked", expiring);
    let mut text = String::with_capacity(2048);
    encode(&mut text, &registry).map_err(Error::internal)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn the_text_is_what_prometheus_reads() {
        let kind = KindOfEngine { engines: 2, live_leases: 7, overdue_leases: 1, ..KindOfEngine::default() };
        let measured = Measured {
            ledger_events: 5,
            engines: BTreeMap::from([("redis".to_owned(), kind)]),
            certificates_expiring: BTreeMap::from([("server".to_owned(), 3)]),
            ..Measured::default()
        };
        let text = render(&measured).unwrap();
        for line in [
            "# TYPE secrethub_sealed gauge",
            "secrethub_sealed 0",
            "secrethub_audit_events_total 5",
            "secrethub_rate_limited_requests_total 0",
            "secrethub_leases_live{kind=\"redis\"} 7",
            "secrethub_leases_overdue{kind=\"redis\"} 1",
            "secrethub_certificates_expiring{type=\"server\"} 3",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
