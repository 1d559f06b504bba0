use super::*;
use crate::graphql::operations::Operation;
use crate::model::meter::{DURATIONS, Histogram};
use crate::service::metrics::Counted;
use async_graphql::parser::parse_query;
use std::collections::BTreeMap;
use std::time::Instant;

fn shown(measured: &Measured) -> String {
    let doors = DoorMeters::new(Default::default(), Default::default());
    let watch = doors.watch(Instant::now());
    watch.asks_for(Operation::of(&parse_query("query Mine { me { displayName } }").unwrap(), None));
    watch.answered(Some(ErrorCode::Sealed));
    doors.documents.misses.add(3);
    let (ledger, caches, reads) = (Default::default(), Default::default(), Histogram::new(DURATIONS));
    reads.observe(1500);
    let counted =
        Counted { ledger: &ledger, caches: &caches, connections: Default::default(), reads: &reads };
    render(&doors, &counted, measured).unwrap()
}

#[test]
fn the_text_is_what_prometheus_reads() {
    let kind = KindOfEngine {
        by_health: [0, 2, 0, 1],
        live_leases: 7,
        overdue_leases: 1,
        ..KindOfEngine::default()
    };
    let measured = Measured {
        audit_sequence: 5,
        engines: BTreeMap::from([("redis".to_owned(), kind)]),
        leases: vec![("active", 6), ("revoking", 1)],
        certificates_expiring: BTreeMap::from([("server".to_owned(), 3)]),
        ..Measured::default()
    };
    let text = shown(&measured);
    for line in [
        "# TYPE secrethub_sealed gauge",
        "secrethub_sealed 0",
        "# TYPE secrethub_requests counter",
        "secrethub_requests_total{operation=\"me\",code=\"SEALED\"} 1",
        "secrethub_request_duration_seconds_count{operation=\"me\"} 1",
        "secrethub_requests_in_flight 0",
        "secrethub_store_read_wait_seconds_sum 0.0015",
        "secrethub_store_read_wait_seconds_bucket{le=\"0.001\"} 0",
        "secrethub_store_read_wait_seconds_bucket{le=\"0.0025\"} 1",
        "secrethub_store_read_wait_seconds_bucket{le=\"+Inf\"} 1",
        "secrethub_cache_misses_total{cache=\"documents\"} 3",
        "secrethub_audit_head_sequence 5",
        "secrethub_engines{kind=\"redis\",health=\"down\"} 1",
        "secrethub_leases{state=\"revoking\"} 1",
        "secrethub_leases_live{kind=\"redis\"} 7",
        "secrethub_leases_overdue{kind=\"redis\"} 1",
        "secrethub_certificates_expiring{type=\"server\"} 3",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
    assert!(!text.contains("Mine"), "the client's own name of an operation is not shown");
}
