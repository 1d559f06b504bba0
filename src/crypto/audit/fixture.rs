//! Events for the tests of this floor and those above.

use chrono::DateTime;
use serde_json::json;
use uuid::Uuid;

use super::{AuditSigner, GENESIS, hash};
use crate::model::audit::AuditEvent;

/// An event in which every field is set, each to something else.
pub(in crate::crypto) fn full() -> AuditEvent {
    let text = |name: &str| Some(name.to_owned());
    AuditEvent {
        event_id: Uuid::from_u128(0x0192_f0c1_0000_7000_8000_0000_0000_0001),
        sequence_number: 1,
        timestamp: DateTime::from_timestamp_micros(1_764_000_000_123_456).unwrap(),
        event_type: "secret.accessed".to_owned(),
        actor_type: text("app"),
        actor_id: text("role:billing"),
        token_accessor: text("acc-1"),
        role_name: text("billing"),
        agent_id: text("agent-1"),
        app_id: text("app-1"),
        admin_id: text("admin-1"),
        agent_cert_fingerprint: text("aa"),
        app_cert_fingerprint: text("bb"),
        admin_cert_fingerprint: text("cc"),
        secret_id: Some(Uuid::from_u128(2)),
        secret_path: text("prod.db.password"),
        secret_version: Some(7),
        secret_type: text("static"),
        lease_id: Some(Uuid::from_u128(3)),
        access_granted: Some(true),
        policy_matched: text("billing-read"),
        denial_reason: text("none"),
        source_ip: Some("2001:db8::1".parse().unwrap()),
        hostname: text("node-1"),
        k8s_namespace: text("prod"),
        k8s_pod: text("billing-0"),
        event_data: json!({"b": [1, -2, null, true], "a": {"é": "x\"\\\n\u{1}", "A": 18_446_744_073_709_551_615_u64}}),
        response_time_ms: Some(12),
        correlation_id: text("req-1"),
        batch_end: true,
        previous_hash: [5; 32],
        current_hash: [6; 32],
        signature: Some(vec![9; 64]),
    }
}

/// An event in which everything that can be null is.
pub(crate) fn bare() -> AuditEvent {
    AuditEvent {
        event_type: "auth.failed".to_owned(),
        actor_type: None,
        actor_id: None,
        token_accessor: None,
        role_name: None,
        agent_id: None,
        app_id: None,
        admin_id: None,
        agent_cert_fingerprint: None,
        app_cert_fingerprint: None,
        admin_cert_fingerprint: None,
        secret_id: None,
        secret_path: None,
        secret_version: None,
        secret_type: None,
        lease_id: None,
        access_granted: None,
        policy_matched: None,
        denial_reason: None,
        source_ip: None,
        hostname: None,
        k8s_namespace: None,
        k8s_pod: None,
        event_data: json!({}),
        response_time_ms: None,
        correlation_id: None,
        batch_end: false,
        signature: None,
        ..full()
    }
}

/// Numbers, chains and signs events from `first` on; every `batch`-th ends a batch, and the last does.
pub(in crate::crypto) fn rechain(events: &mut [AuditEvent], signer: &AuditSigner, batch: usize) {
    let (mut previous, mut buf, count) = (GENESIS, Vec::new(), events.len());
    for (index, event) in events.iter_mut().enumerate() {
        event.sequence_number = i64::try_from(index).unwrap() + 1;
        event.batch_end = (index + 1) % batch == 0 || index + 1 == count;
        event.previous_hash = previous;
        event.current_hash = hash(event, &mut buf);
        event.signature = event.batch_end.then(|| signer.sign(&event.current_hash).to_vec());
        previous = event.current_hash;
    }
}

/// A valid log of `count` events in batches of three.
pub(in crate::crypto) fn log(signer: &AuditSigner, count: usize) -> Vec<AuditEvent> {
    let mut events: Vec<_> = (0..count).map(|index| if index % 2 == 0 { full() } else { bare() }).collect();
    rechain(&mut events, signer, 3);
    events
}
