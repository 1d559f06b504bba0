//! How long a decision takes: 1, 10 and 100 policies of 20 patterns each.

use chrono::DateTime;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use secrethub::model::paths::SecretPath;
use secrethub::model::policies::{Action, Circumstances, CompiledPolicy, Document, Operation, evaluate};
use serde_json::json;
use std::hint::black_box;
use std::sync::Arc;

const PATTERNS: usize = 20;

/// Policy `n` is about application `n`: patterns of every shape.
fn policy(n: usize) -> Result<Arc<CompiledPolicy>, Box<dyn std::error::Error>> {
    let patterns: Vec<String> = (0..PATTERNS)
        .map(|k| match k % 4 {
            0 => format!("prod.app{n}.part{k}.*"),
            1 => format!("prod.app{n}.*.part{k}"),
            2 => format!("prod.app{n}-*.part{k}.*"),
            _ => format!("prod.app{n}.part{k}.password"),
        })
        .collect();
    let document = Document::parse(&json!({
        "version": 1,
        "allowed_secrets": patterns,
        "allowed_operations": ["read", "list"],
        "conditions": { "time_of_day": "00:00-24:00", "time_zone": "Europe/Berlin", "ip_ranges": ["10.0.0.0/8"] },
    }))?;
    Ok(Arc::new(CompiledPolicy::compile(&format!("app{n}"), &document, false, Some(3600))))
}

fn decisions(c: &mut Criterion) -> Result<(), Box<dyn std::error::Error>> {
    let circumstances = Circumstances {
        now: DateTime::from_timestamp(1_780_000_000, 0).unwrap_or_default(),
        source_ip: Some("10.1.2.3".parse()?),
        ttl_seconds: None,
    };
    let mut group = c.benchmark_group("policy");
    for count in [1, 10, 100] {
        let policies = (0..count).map(policy).collect::<Result<Vec<_>, _>>()?;
        // The last pattern of the last policy, and one that nothing matches.
        let last = SecretPath::parse(&format!("prod.app{}.part19.password", count - 1))?;
        let none = SecretPath::parse("prod.app0.elsewhere.password")?;
        for (name, path, allowed) in [("allowed", &last, true), ("refused", &none, false)] {
            let action = Action::Secret { operation: Operation::Read, path };
            if evaluate(&policies, &action, &circumstances).allowed != allowed {
                return Err("the bench does not measure what it says".into());
            }
            group.bench_function(BenchmarkId::new(name, count), |b| {
                b.iter(|| {
                    evaluate(black_box(&policies), black_box(&action), black_box(&circumstances)).allowed
                });
            });
        }
    }
    group.finish();
    Ok(())
}

fn bench(c: &mut Criterion) {
    if let Err(error) = decisions(c) {
        panic!("{error}");
    }
}

criterion_group!(benches, bench);
criterion_main!(benches);
