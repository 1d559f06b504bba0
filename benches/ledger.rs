//! The ledger under 1, 32 and 256 concurrent callers: audited reads and audited writes per second, on SQLite, and on
//! PostgreSQL too if SECRETHUB_BENCH_POSTGRES_URL names an empty database.
#![allow(clippy::expect_used, reason = "a benchmark that cannot run should stop")]

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use secrethub::model::clock::SystemClock;
use secrethub::model::paths::SecretPath;
use secrethub::service::context::{OpContext, Origin};
use secrethub::service::secrets::{self, PutSecret};
use secrethub::service::{App, HostIdentity, Limits, Settings, seal};
use secrethub::storage::db::StoreUrl;
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

const CALLERS: [usize; 3] = [1, 32, 256];

fn context(app: &Arc<App>, token: Option<&str>) -> OpContext {
    let origin = Origin {
        source_ip: None,
        request_id: "bench".to_owned(),
        correlation_id: None,
        certificate: None,
        started: Instant::now(),
    };
    OpContext::new(Arc::clone(app), token, origin)
}

/// An unsealed node with one secret, and its root token.
async fn node(store: StoreUrl) -> secrethub::error::Result<(Arc<App>, String)> {
    let settings = Settings {
        store,
        max_connections: 8,
        cluster_name: "bench".to_owned(),
        static_seal: None,
        host: HostIdentity::default(),
        limits: Limits::default(),
        cache_bytes: 16 << 20,
        partitions_ahead: 1,
        engines: secrethub::engine::EngineSettings::default(),
        pki: secrethub::service::certificates::PkiSettings::default(),
        rates: secrethub::service::rate::RateSettings::default(),
    };
    let app = App::start(settings, Arc::new(SystemClock)).await?;
    let made = seal::initialize(&context(&app, None), 1, 1).await?;
    seal::unseal(&context(&app, None), made.shares[0].expose()).await?;
    let token = made.root_token.to_string();
    put(&app, &token, "bench.secret").await?;
    Ok((app, token))
}

async fn put(app: &Arc<App>, token: &str, path: &str) -> secrethub::error::Result<()> {
    let input = PutSecret {
        path: SecretPath::parse(path).expect("a valid path"),
        data: json!({ "value": "0123456789abcdef" }),
        expected_version: None,
        description: None,
        metadata: None,
    };
    secrets::put(&context(app, Some(token)), input).await.map(drop)
}

async fn read(app: &Arc<App>, token: &str) -> secrethub::error::Result<()> {
    let path = SecretPath::parse("bench.secret").expect("a valid path");
    secrets::open(&context(app, Some(token)), &path).await.map(drop)
}

/// `callers` tasks, each doing one operation after another until `total` are done.
async fn load(app: &Arc<App>, token: &str, callers: usize, total: u64, writes: bool) {
    let mut tasks = JoinSet::new();
    let each = total.div_ceil(callers as u64);
    for caller in 0..callers {
        let (app, token) = (Arc::clone(app), token.to_owned());
        tasks.spawn(async move {
            for _ in 0..each {
                if writes {
                    put(&app, &token, &format!("bench.write.c{caller}")).await.expect("a write");
                } else {
                    read(&app, &token).await.expect("a read");
                }
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.expect("a caller");
    }
}

fn on(c: &mut Criterion, runtime: &Runtime, name: &str, store: StoreUrl) {
    let (app, token) = runtime.block_on(node(store)).expect("a node");
    let mut group = c.benchmark_group(format!("ledger/{name}"));
    group.throughput(Throughput::Elements(1)).sample_size(10);
    for (work, writes) in [("read", false), ("write", true)] {
        for callers in CALLERS {
            group.bench_function(BenchmarkId::new(work, callers), |b| {
                b.iter_custom(|total| {
                    runtime.block_on(async {
                        let rounds = total.max(callers as u64);
                        let start = Instant::now();
                        load(&app, &token, callers, rounds, writes).await;
                        // scaled to the number asked for: fewer operations than callers cannot be run side by side
                        start.elapsed().mul_f64(total as f64 / rounds.next_multiple_of(callers as u64) as f64)
                    })
                });
            });
        }
    }
    group.finish();
    runtime.block_on(app.shutdown());
}

fn ledger(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    on(c, &runtime, "sqlite", StoreUrl::Sqlite(folder.path().join("bench.db")));
    if let Ok(url) = std::env::var("SECRETHUB_BENCH_POSTGRES_URL") {
        on(c, &runtime, "postgresql", StoreUrl::parse(&url).expect("a PostgreSQL URL"));
    }
}

criterion_group!(benches, ledger);
criterion_main!(benches);
