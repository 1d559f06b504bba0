//! What sealing, opening and hashing cost. Run with `cargo bench --bench barrier`.

use std::hint::black_box;

use chrono::DateTime;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use secrethub::crypto::audit::{self, AuditSigner, verify_signature};
use secrethub::crypto::barrier::{Barrier, RecordName};
use secrethub::crypto::export::read_jsonl;
use secrethub::crypto::keyring::{DataKey, Keyring, RootKey};
use secrethub::model::audit::AuditEvent;
use uuid::Uuid;

const NAME: RecordName<'static> = RecordName {
    table: "secret_versions",
    column: "data",
    id: "0192f0c1-0000-7000-8000-000000000001",
    version: 3,
};

fn barrier(criterion: &mut Criterion) {
    let Ok(keyring) = Keyring::new(RootKey::generate(), vec![DataKey::generate(1)], 1) else {
        panic!("one data key makes a keyring");
    };
    let barrier = Barrier::new(keyring);
    for size in [64, 1024, 64 * 1024] {
        let mut group = criterion.benchmark_group(format!("barrier/{size}"));
        group.throughput(Throughput::Bytes(size as u64));
        let plaintext = vec![7; size];
        group.bench_function("seal", |b| b.iter(|| barrier.seal(black_box(&NAME), black_box(&plaintext))));
        let Ok(envelope) = barrier.seal(&NAME, &plaintext) else { panic!("a short record is sealed") };
        group.bench_function("open", |b| {
            b.iter(|| barrier.open(black_box(&NAME), black_box(&envelope)).is_ok())
        });
        group.finish();
    }
}

/// As an audited read writes it.
fn event() -> AuditEvent {
    let zeros = "0".repeat(64);
    let text = format!(
        r#"{{"event_id":"{}","sequence_number":1,"timestamp":"{}","event_type":"secret.accessed","actor_type":"app",
        "actor_id":"role:billing","token_accessor":"0192f0c1-0000-7000-8000-000000000001","role_name":"billing",
        "secret_id":"{0}","secret_path":"prod.db.postgres.billing-db.password","secret_version":3,
        "secret_type":"static","access_granted":true,"policy_matched":"billing-read","source_ip":"10.1.2.3",
        "event_data":{{"operation":"read","version":3}},"response_time_ms":1,"correlation_id":"req-0192f0c1",
        "batch_end":false,"previous_hash":"{zeros}","current_hash":"{zeros}","signature":null}}"#,
        Uuid::from_u128(7),
        DateTime::UNIX_EPOCH.format("%Y-%m-%dT%H:%M:%S%.6fZ"),
    )
    .replace('\n', "");
    match read_jsonl(text.as_bytes()).next() {
        Some(Ok(event)) => event,
        other => panic!("the event is well formed: {other:?}"),
    }
}

fn audit(criterion: &mut Criterion) {
    let (event, mut buf) = (event(), Vec::new());
    criterion.bench_function("audit/hash", |b| b.iter(|| audit::hash(black_box(&event), &mut buf)));
    let (signer, hash) = (AuditSigner::generate(), [7; 32]);
    criterion.bench_function("audit/sign", |b| b.iter(|| signer.sign(black_box(&hash))));
    let (public, signature) = (signer.public_key(), signer.sign(&hash));
    criterion.bench_function("audit/verify", |b| {
        b.iter(|| verify_signature(black_box(&public), black_box(&hash), &signature));
    });
}

criterion_group!(benches, barrier, audit);
criterion_main!(benches);
