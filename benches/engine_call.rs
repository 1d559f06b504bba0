//! What a call to an engine's process costs beyond the engine's own work: `check` of an engine that does nothing, there and back.
//!
//! The plugin is not built by `cargo bench`: run `cargo build --release -p secrethub-engine-hostile` before.
#![allow(clippy::unwrap_used, reason = "a bench ends by panicking")]

use criterion::{Criterion, criterion_group, criterion_main};
use futures_util::future::join_all;
use secrethub::engine::{EngineSettings, Engines, Lane, PluginPin, Target};
use secrethub::model::clock::SystemClock;
use secrethub_engine::Installation;
use secrethub_engine::wire::Operation;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use uuid::Uuid;

fn engines() -> Engines {
    let program = Path::new(env!("CARGO_BIN_EXE_secrethub"));
    let file = program.with_file_name("libsecrethub_engine_hostile.so");
    assert!(file.exists(), "build the package secrethub-engine-hostile in the same profile first");
    let plugins = vec![PluginPin { file, sha256: None, read: vec![], write: vec![] }];
    let settings = EngineSettings { host_program: program.into(), plugins, ..EngineSettings::default() };
    Engines::new(settings, Arc::new(SystemClock))
}

fn target() -> Target {
    let config = Arc::new(|| Ok(serde_json::json!({})));
    Target { id: Uuid::now_v7(), name: "bench".to_owned(), kind: "hostile".to_owned(), version: 1, config }
}

async fn check(engines: &Engines, target: &Target, installation: &Installation) {
    let deadline = Duration::from_secs(10);
    engines.call(target, installation, Operation::Check, deadline, Lane::Caller).await.unwrap();
}

fn calls(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let installation = Installation::from_bytes([1; 5]);
    let _entered = runtime.enter();
    let engines = engines();
    let target = target();
    runtime.block_on(check(&engines, &target, &installation));
    for callers in [1, 16] {
        criterion.bench_function(&format!("engine check, {callers} at a time"), |bencher| {
            bencher.iter(|| {
                let all = (0..callers).map(|_| check(&engines, &target, &installation));
                runtime.block_on(join_all(all));
            });
        });
    }
    criterion.bench_function("engine start", |bencher| {
        bencher.iter_custom(|times| {
            let mut took = Duration::ZERO;
            for _ in 0..times {
                runtime.block_on(engines.stop(target.id));
                let started = Instant::now();
                runtime.block_on(check(&engines, &target, &installation));
                took += started.elapsed();
            }
            took
        });
    });
    runtime.block_on(engines.stop_all());
}

criterion_group!(benches, calls);
criterion_main!(benches);
