//! Floor 4: the rules. Every operation authorises itself, records itself, and answers only when that is durable.

mod access;
pub mod audit;
mod book;
mod cache;
pub mod certificates;
pub mod connections;
pub mod context;
mod effect;
pub mod engines;
pub mod feed;
mod input;
pub mod leases;
pub mod ledger;
pub mod metrics;
mod nodes;
pub mod paging;
pub mod partitions;
pub mod policies;
pub mod purge;
pub mod rate;
pub mod roles;
pub mod seal;
pub mod secrets;
pub mod subscriptions;
pub mod tokens;
mod turns;

#[cfg(test)]
mod tests;

use crate::crypto::memory::Key32;
use crate::engine::{EngineSettings, Engines};
use crate::error::Result;
use crate::model::clock::Clock;
use crate::model::meter::{DURATIONS, Histogram};
use crate::model::trace::SPANS;
use crate::storage::db::{Db, StoreUrl, Tx};
use crate::storage::glance::Glance;
use crate::storage::migrations;
use book::PolicyBook;
use cache::Caches;
use certificates::{Pki, PkiSettings};
use feed::Feed;
use ledger::{Ledger, Worker};
use parking_lot::Mutex;
use rate::{RateSettings, Rates};
use seal::{KeySlot, SealState};
use secrethub_engine::Installation;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tracing::Instrument;

/// Where this process runs, for the audit log.
#[derive(Debug, Clone, Default)]
pub struct HostIdentity {
    pub hostname: Option<String>,
    pub k8s_namespace: Option<String>,
    pub k8s_pod: Option<String>,
}

/// The numbers that bound what clients may ask for.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Largest value of a secret, in bytes of its JSON text.
    pub max_secret_bytes: usize,
    /// Lifetime of a token that asks for none, in seconds.
    pub default_token_ttl: i64,
    /// Longest lifetime of a token over all renewals, in seconds.
    pub max_token_ttl: i64,
    /// Failed logins with one RoleID from one address before it is locked out.
    pub lockout_failures: i64,
    /// The first lockout, in seconds; each further failure doubles it, up to a day.
    pub lockout_seconds: i64,
    /// How long one batch of the ledger may take before its requests are answered `UNAVAILABLE`, in seconds.
    pub store_timeout_seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_secret_bytes: 1 << 20,
            default_token_ttl: 8 * 3600,
            max_token_ttl: 32 * 24 * 3600,
            lockout_failures: 5,
            lockout_seconds: 15 * 60,
            store_timeout_seconds: 30,
        }
    }
}

/// What an [`App`] is started with.
pub struct Settings {
    pub store: StoreUrl,
    pub max_connections: u32,
    pub cluster_name: String,
    /// The key of the static seal: the server then unseals itself at start.
    pub static_seal: Option<Key32>,
    pub host: HostIdentity,
    pub limits: Limits,
    /// Bound on the cached ciphertexts, in bytes.
    pub cache_bytes: u64,
    /// Months of audit partitions made ahead of time (PostgreSQL).
    pub partitions_ahead: u32,
    /// Which plugins there are, and how their processes are kept.
    pub engines: EngineSettings,
    pub pki: PkiSettings,
    pub rates: RateSettings,
}

/// A running node. Shared by everything above.
pub struct App {
    pub(crate) db: Db,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) keys: Arc<KeySlot>,
    pub(crate) caches: Arc<Caches>,
    pub(crate) feed: Arc<Feed>,
    pub(crate) ledger: Ledger,
    /// How long reads waited for a connection of the store.
    pub(crate) reads: Histogram,
    pub(crate) seal: SealState,
    pub(crate) host: HostIdentity,
    pub(crate) limits: Limits,
    pub(crate) partitions_ahead: u32,
    pub(crate) engines: Engines,
    pub(crate) pki: Pki,
    pub(crate) rates: Rates,
    pub(crate) revokers: leases::Revokers,
    reaping: leases::Reaping,
    holds: engines::Holds,
    installation: OnceLock<Installation>,
    node: nodes::Node,
    leases_due: Notify,
    rewrap_due: Notify,
    authorities_changed: Notify,
    ledger_task: Mutex<Option<tokio::task::JoinHandle<()>>>,
}

impl App {
    /// Connects, migrates, starts the ledger, and unseals itself if the seal is static.
    ///
    /// # Errors
    /// `UNAVAILABLE` if the store cannot be opened or belongs to a newer version.
    pub async fn start(settings: Settings, clock: Arc<dyn Clock>) -> Result<Arc<Self>> {
        let db = Db::connect(&settings.store, settings.max_connections).await?;
        migrations::migrate(&db).await?;
        let ahead = settings.partitions_ahead;
        if let Err(error) = crate::storage::partitions::ensure_months(&db, clock.now(), ahead).await {
            // the task that makes them tries again, and there is a partition for what has none of its own
            tracing::warn!(context = error.log_context(), "the coming audit partitions could not be made");
        }
        let node = nodes::Node::new();
        node.announce(&db, clock.now()).await?;
        let keys = Arc::new(KeySlot::default());
        let caches = Arc::new(Caches::new(settings.cache_bytes));
        let feed = Arc::new(Feed::default());
        let (ledger, task) = Ledger::start(Worker {
            db: db.clone(),
            keys: Arc::clone(&keys),
            caches: Arc::clone(&caches),
            feed: Arc::clone(&feed),
            clock: Arc::clone(&clock),
            timeout: Duration::from_secs(settings.limits.store_timeout_seconds),
        });
        let app = Arc::new(Self {
            seal: SealState::new(settings.cluster_name, settings.static_seal),
            engines: Engines::new(settings.engines, Arc::clone(&clock)),
            pki: Pki::new(settings.pki),
            rates: Rates::new(settings.rates),
            revokers: leases::Revokers::default(),
            reaping: leases::Reaping::default(),
            holds: engines::Holds::default(),
            installation: OnceLock::new(),
            node,
            leases_due: Notify::new(),
            db,
            clock,
            keys,
            caches,
            feed,
            ledger,
            reads: Histogram::new(DURATIONS),
            host: settings.host,
            limits: settings.limits,
            partitions_ahead: settings.partitions_ahead,
            rewrap_due: Notify::new(),
            authorities_changed: Notify::new(),
            ledger_task: Mutex::new(Some(task)),
        });
        seal::load(&app).await?;
        Ok(app)
    }

    /// Whether the store answers.
    ///
    /// # Errors
    /// `UNAVAILABLE`.
    pub async fn ready(&self) -> Result<()> {
        if !self.ledger.is_running() {
            return Err(crate::error::Error::unavailable("the ledger has stopped"));
        }
        let mut tx = self.read().await?;
        crate::storage::audit::head(&mut tx).await.map(drop)
    }

    /// Told when there may be something to rewrap.
    #[must_use]
    pub fn rewrap_due(&self) -> &Notify {
        &self.rewrap_due
    }

    /// Told when authorities of certificates were made, changed or revoked.
    #[must_use]
    pub fn authorities_changed(&self) -> &Notify {
        &self.authorities_changed
    }

    /// Told when there are leases to revoke.
    #[must_use]
    pub fn leases_due(&self) -> &Notify {
        &self.leases_due
    }

    /// Told when a revocation list is out of date.
    #[must_use]
    pub fn lists_due(&self) -> &Notify {
        &self.pki.lists_due
    }

    /// What is known of the plugins is found out, and logged; nothing waits for it.
    pub async fn describe_plugins(&self) {
        self.engines.describe().await;
    }

    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Forgets the keys and closes the store. Call it when nothing is in flight any more.
    pub async fn shutdown(&self) {
        self.engines.stop_all().await;
        self.keys.clear();
        let task = self.ledger_task.lock().take();
        if let Some(task) = task {
            task.abort();
            // an aborted task reports its abortion, which is what was asked for
            let _ = task.await;
        }
        self.db.close().await;
    }

    /// For what is decided on no token and no policy: the server's own tasks, logins.
    pub(crate) fn undecided(&self) -> ledger::Decided {
        ledger::Decided { generation: self.caches.generation(), token: None }
    }

    pub(crate) async fn read(&self) -> Result<Tx> {
        self.waited(self.db.read()).await
    }

    /// As [`App::read`], for one statement.
    pub(crate) async fn glance(&self) -> Result<Glance> {
        self.waited(self.db.glance()).await
    }

    async fn waited<T>(&self, connection: impl Future<Output = Result<T>>) -> Result<T> {
        let started = Instant::now();
        let got = connection.instrument(tracing::info_span!(target: SPANS, "store.begin")).await;
        self.reads.observe_duration(started.elapsed());
        got
    }

    /// The compiled policies as of `generation` of the caches.
    pub(crate) async fn policies(&self, generation: i64) -> Result<Arc<PolicyBook>> {
        if let Some(book) = self.caches.policies() {
            return Ok(book);
        }
        let before = self.caches.former_policies();
        let mut tx = self.read().await?;
        let rows = crate::storage::policies::all(&mut tx).await?;
        let book = Arc::new(PolicyBook::build(rows, before.as_deref())?);
        self.caches.put_policies(generation, &book);
        Ok(book)
    }
}

/// Runs to its end even if the caller goes away meanwhile: for operations that change the store and this node's memory, and
/// must not be left between the two.
async fn to_the_end<T: Send + 'static>(work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    tokio::spawn(work.in_current_span())
        .await
        .unwrap_or_else(|failure| Err(crate::error::Error::internal(failure)))
}
