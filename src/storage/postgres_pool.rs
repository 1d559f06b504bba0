//! PostgreSQL's pools: one for what writes, one for what reads.

use crate::error::{Error, ErrorCode, Result};
use crate::storage::db::{ACQUIRE_TIMEOUT, Connections};
use arc_swap::ArcSwap;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How long to wait before trying again to connect to a database that is starting.
const STARTING_STEP: Duration = Duration::from_millis(250);
/// For so long an idle connection to PostgreSQL counts as good.
const FRESH: Duration = Duration::from_secs(1);
/// The ledger uses one at a time; start-up and partitions, the other.
const LEDGER_CONNECTIONS: u32 = 2;

/// PostgreSQL's pools, which can be replaced as a whole: see [`Db::renew`](super::db::Db::renew).
pub struct PgPools {
    options: PgConnectOptions,
    max_connections: u32,
    current: ArcSwap<PgPair>,
}

struct PgPair {
    /// The ledger's own, so that no number of slow reads keeps it waiting.
    writer: PgPool,
    readers: PgPool,
}

impl PgPools {
    fn pair(options: &PgConnectOptions, max_connections: u32) -> PgPair {
        let pool = |connections| {
            PgPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(ACQUIRE_TIMEOUT)
                // a look at a connection is a round trip: one that was good a moment ago is taken as it is
                .test_before_acquire(false)
                .before_acquire(|connection, seen| {
                    Box::pin(async move {
                        if seen.idle_for > FRESH {
                            connection.ping().await?;
                        }
                        Ok(true)
                    })
                })
                .connect_lazy_with(options.clone())
        };
        PgPair { writer: pool(LEDGER_CONNECTIONS), readers: pool(max_connections.max(2)) }
    }

    pub(super) async fn open(options: PgConnectOptions, max_connections: u32) -> Result<Self> {
        first_connection(&options).await?;
        let pair = Self::pair(&options, max_connections);
        // fails at start, not at the first request
        drop(pair.writer.acquire().await?);
        Ok(Self { options, max_connections, current: ArcSwap::from_pointee(pair) })
    }

    /// The pool for what writes.
    #[must_use]
    pub fn writer(&self) -> PgPool {
        self.current.load().writer.clone()
    }

    pub(super) fn readers(&self) -> PgPool {
        self.current.load().readers.clone()
    }

    /// See [`Db::renew`](super::db::Db::renew).
    pub(super) fn renew(&self) {
        let fresh = Self::pair(&self.options, self.max_connections);
        let old = self.current.swap(Arc::new(fresh));
        tokio::spawn(async move {
            let closing = async { tokio::join!(old.readers.close(), old.writer.close()) };
            // what hangs is dropped when its last user lets go
            let _ = tokio::time::timeout(ACQUIRE_TIMEOUT, closing).await;
        });
    }

    pub(super) fn connections(&self) -> Connections {
        let pair = self.current.load();
        Connections {
            writers: (pair.writer.size(), pair.writer.num_idle()),
            readers: (pair.readers.size(), pair.readers.num_idle()),
        }
    }

    pub(super) async fn close(&self) {
        let pair = self.current.load_full();
        pair.readers.close().await;
        pair.writer.close().await;
    }
}

/// One connection outside the pools, which would say only that it took too long: here the reason is seen. A database that is
/// only just starting is waited for.
async fn first_connection(options: &PgConnectOptions) -> Result<()> {
    let deadline = Instant::now() + ACQUIRE_TIMEOUT;
    let failed = |error: sqlx::Error| {
        let place = format!("{}:{}", options.get_host(), options.get_port());
        let message = format!(
            "PostgreSQL at {place} cannot be used: check that it runs, and user, password and database of the URL"
        );
        Error::new(ErrorCode::Unavailable, message).with_context(error)
    };
    loop {
        match tokio::time::timeout_at(deadline, options.connect()).await {
            // not a failure of ours any more if it cannot say goodbye
            Ok(Ok(connection)) => {
                drop(connection.close().await);
                return Ok(());
            }
            Ok(Err(error)) if !is_starting(&error) || Instant::now() + STARTING_STEP >= deadline => {
                return Err(failed(error));
            }
            Ok(Err(_)) => tokio::time::sleep(STARTING_STEP).await,
            Err(_) => {
                let silence = std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer within 5 seconds");
                return Err(failed(sqlx::Error::Io(silence)));
            }
        }
    }
}

/// Refused connections, and a server that says that it is starting or has no connection left.
fn is_starting(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        sqlx::Error::Database(database) => matches!(&*database.code().unwrap_or_default(), "57P03" | "53300"),
        _ => false,
    }
}
