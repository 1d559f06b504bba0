//! The two databases behind one type: [`Db`] holds the pools, [`Tx`] is a transaction on either.
//!
//! SQLite: WAL, `synchronous = FULL`, foreign keys on; one connection writes (the ledger's), others read.
//! PostgreSQL: one pool, with a statement timeout. Loadable SQLite extensions are not compiled in.

use crate::error::{Error, Result};
use crate::storage::batch::Batch;
use crate::storage::postgres_pool::PgPools;
use crate::storage::sqlite_pool::sqlite_pool;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqliteSynchronous};
use sqlx::{Postgres, Sqlite, Transaction};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// How long to wait for a connection of the pool.
pub(super) const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long SQLite waits for another process's lock on the file.
pub(super) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Which database, and where.
#[derive(Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// `sqlite:PATH` or a bare path.
    Sqlite(PathBuf),
    /// `postgres://...`; holds a password, hence no `Debug`.
    Postgres(String),
}

impl StoreUrl {
    /// Reads `sqlite:PATH`, `sqlite://PATH`, `postgres://...`, `postgresql://...` or a bare file path.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` for another scheme or an empty path. The text itself is not repeated: it can hold a password.
    pub fn parse(text: &str) -> Result<Self> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            PgConnectOptions::from_str(text).map_err(|_| {
                Error::bad_input(
                    "storage.url",
                    "not a PostgreSQL URL: write postgres://USER:PASSWORD@HOST:PORT/DATABASE",
                )
            })?;
            return Ok(Self::Postgres(text.to_owned()));
        }
        let path = text.strip_prefix("sqlite://").or_else(|| text.strip_prefix("sqlite:")).unwrap_or(text);
        if path.is_empty() || path.contains("://") {
            return Err(Error::bad_input(
                "storage.url",
                "write sqlite:PATH or postgres://USER:PASSWORD@HOST:PORT/DATABASE",
            ));
        }
        Ok(Self::Sqlite(PathBuf::from(path)))
    }
}

/// The open store.
#[derive(Clone)]
pub enum Db {
    Sqlite { writer: SqlitePool, readers: SqlitePool },
    Postgres(Arc<PgPools>),
}

/// How many connections there are for writing and for reading, and how many of them nobody uses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Connections {
    pub writers: (u32, usize),
    pub readers: (u32, usize),
}

/// A transaction on either database. Dropped without [`Tx::commit`], it is rolled back.
pub struct Tx {
    pub(crate) connection: Connected,
    pub(super) touched: bool,
    /// Of a transaction of many changes.
    pub(super) batch: Option<Box<Batch>>,
}

pub(crate) enum Connected {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

/// Runs one sqlx expression on whichever database the transaction is of: the expression is expanded into both arms, and each is
/// checked against its own driver. `on!(tx, conn => sqlx::query("…").bind(x).fetch_one(conn))` is a `Result<_, Error>`. For
/// what reads; a statement that changes something and returns rows is one of [`change!`].
macro_rules! on {
    ($tx:expr, $conn:ident => $body:expr) => {{
        let tx: &mut $crate::storage::db::Tx = $tx;
        let settled = if tx.owes() { tx.settle().await } else { Ok(()) };
        match settled {
            Err(error) => Err(error),
            Ok(()) => {
                let done = match &mut tx.connection {
                    $crate::storage::db::Connected::Sqlite(tx) => {
                        let $conn = &mut **tx;
                        $body.await
                    }
                    $crate::storage::db::Connected::Postgres(tx) => {
                        let $conn = &mut **tx;
                        $body.await
                    }
                };
                tx.noted(done)
            }
        }
    }};
}
/// As [`on!`], for a statement that changes something.
macro_rules! change {
    ($tx:expr, $conn:ident => $body:expr) => {{
        let tx: &mut $crate::storage::db::Tx = $tx;
        let done = $crate::storage::db::on!(tx, $conn => $body);
        tx.touch();
        done
    }};
}
/// Executes one statement on whichever database the transaction is of; the number of rows it changed.
/// `exec!(tx, sqlx::query("…").bind(x))` is a `Result<u64, Error>`.
macro_rules! exec {
    ($tx:expr, $query:expr) => {{
        let tx: &mut $crate::storage::db::Tx = $tx;
        let done = $crate::storage::db::exec_known!(tx, $query);
        if !matches!(done, Ok(0)) {
            tx.forget_ahead();
        }
        done
    }};
}
/// As [`exec!`], for a statement after which all that was read ahead is so still, or whose caller says what is not.
macro_rules! exec_known {
    ($tx:expr, $query:expr) => {{
        let tx: &mut $crate::storage::db::Tx = $tx;
        let done = $crate::storage::db::on!(tx, c => async {
            $query.execute(c).await.map(|done| done.rows_affected())
        });
        if !matches!(done, Ok(0)) {
            tx.note_touched();
        }
        done
    }};
}
pub(crate) use {change, exec, exec_known, on};

impl Db {
    /// Opens the store; creates the SQLite file (mode 0600 by the process's umask) if it is not there.
    ///
    /// # Errors
    /// `UNAVAILABLE` if the database cannot be reached or opened.
    pub async fn connect(url: &StoreUrl, max_connections: u32) -> Result<Self> {
        match url {
            StoreUrl::Sqlite(path) => {
                let options = SqliteConnectOptions::new()
                    .filename(path)
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    .synchronous(SqliteSynchronous::Full)
                    .foreign_keys(true)
                    .busy_timeout(BUSY_TIMEOUT)
                    .pragma("cache_size", "-8192")
                    // rows on their way from the driver's thread: more than a page, or it stops in the middle of each
                    .row_buffer_size(256)
                    .statement_cache_capacity(256);
                let writer = sqlite_pool(1, options.clone()).await?;
                // each keeps pages of its own of what the operating system keeps once
                let reading = options.pragma("query_only", "on").pragma("cache_size", "-4096");
                let readers = sqlite_pool(max_connections.clamp(1, 4), reading).await?;
                Ok(Self::Sqlite { writer, readers })
            }
            StoreUrl::Postgres(url) => {
                let options = PgConnectOptions::from_str(url)?
                    .application_name("secrethub")
                    .statement_cache_capacity(256)
                    .options([("statement_timeout", "20s"), ("idle_in_transaction_session_timeout", "60s")]);
                Ok(Self::Postgres(Arc::new(PgPools::open(options, max_connections).await?)))
            }
        }
    }

    /// A transaction that may write. On SQLite there is one at a time, so only the ledger and start-up call this.
    ///
    /// # Errors
    /// `UNAVAILABLE` if no connection can be had.
    pub async fn begin(&self) -> Result<Tx> {
        Ok(Tx::new(match self {
            Self::Sqlite { writer, .. } => Connected::Sqlite(writer.begin_with("BEGIN IMMEDIATE").await?),
            Self::Postgres(pools) => Connected::Postgres(pools.writer().begin().await?),
        }))
    }

    /// A transaction for reading: one snapshot on both databases, no writer's lock.
    ///
    /// # Errors
    /// `UNAVAILABLE` if no connection can be had.
    pub async fn read(&self) -> Result<Tx> {
        Ok(Tx::new(match self {
            Self::Sqlite { readers, .. } => Connected::Sqlite(readers.begin().await?),
            Self::Postgres(pools) => Connected::Postgres(
                pools.readers().begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?,
            ),
        }))
    }

    /// Leaves the connections behind and makes new ones from now on: for when they hang, as they do for many minutes if the
    /// network swallows everything without a word.
    pub fn renew(&self) {
        if let Self::Postgres(pools) = self {
            pools.renew();
        }
    }

    /// The connections of both pools at the moment.
    #[must_use]
    pub fn connections(&self) -> Connections {
        match self {
            Self::Sqlite { writer, readers } => Connections {
                writers: (writer.size(), writer.num_idle()),
                readers: (readers.size(), readers.num_idle()),
            },
            Self::Postgres(pools) => pools.connections(),
        }
    }

    #[must_use]
    pub fn is_postgres(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }

    /// Closes every connection; SQLite's write-ahead log is folded into the file by the last of them.
    pub async fn close(&self) {
        match self {
            Self::Sqlite { writer, readers } => {
                readers.close().await;
                writer.close().await;
            }
            Self::Postgres(pools) => pools.close().await,
        }
    }
}

impl Tx {
    fn new(connection: Connected) -> Self {
        Self { connection, touched: false, batch: None }
    }

    /// # Errors
    /// `UNAVAILABLE` if the database does not confirm; the transaction may or may not have happened.
    pub async fn commit(mut self) -> Result<()> {
        self.settle().await?;
        match self.connection {
            Connected::Sqlite(tx) => tx.commit().await?,
            Connected::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }

    /// # Errors
    /// As any statement.
    pub async fn rollback(self) -> Result<()> {
        match self.connection {
            Connected::Sqlite(tx) => tx.rollback().await?,
            Connected::Postgres(tx) => tx.rollback().await?,
        }
        Ok(())
    }

    /// Whether a statement of the present change has changed something, or failed. What follows a failed one fails too on
    /// PostgreSQL.
    #[must_use]
    pub fn was_touched(&self) -> bool {
        self.touched
    }

    /// Something was changed, or may have been.
    pub(crate) fn touch(&mut self) {
        self.note_touched();
        self.forget_ahead();
    }

    /// The same where what was read ahead is so still.
    pub(crate) fn note_touched(&mut self) {
        self.touched = true;
    }

    pub(crate) fn noted<T>(&mut self, done: std::result::Result<T, sqlx::Error>) -> Result<T> {
        self.touched |= done.is_err();
        done.map_err(Error::from)
    }

    /// Sets the savepoint that the next change is undone to, and gives up the one before it: there is one at a time.
    ///
    /// # Errors
    /// As any statement.
    pub async fn savepoint(&mut self, first: bool) -> Result<()> {
        // both in one round trip
        self.run(if first { "SAVEPOINT change" } else { "RELEASE SAVEPOINT change; SAVEPOINT change" }).await
    }

    /// Undoes what was done since the savepoint, which stays.
    ///
    /// # Errors
    /// As any statement.
    pub async fn rollback_to_savepoint(&mut self) -> Result<()> {
        self.run("ROLLBACK TO SAVEPOINT change").await
    }

    async fn run(&mut self, text: &'static str) -> Result<()> {
        exec!(self, sqlx::raw_sql(text)).map(drop)
    }

    #[must_use]
    pub fn is_postgres(&self) -> bool {
        matches!(self.connection, Connected::Postgres(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::types::{Inet, TextArray};

    #[tokio::test]
    async fn one_text_runs_on_sqlite() -> Result<()> {
        let folder = tempfile::tempdir().map_err(Error::internal)?;
        let db = Db::connect(&StoreUrl::Sqlite(folder.path().join("t.db")), 2).await?;
        let mut tx = db.begin().await?;
        exec!(&mut tx, sqlx::query("CREATE TABLE t (a BIGINT, b TEXT, c TEXT)"))?;
        exec!(
            &mut tx,
            sqlx::query("INSERT INTO t VALUES ($1, $2, $3)")
                .bind(1_i64)
                .bind(Some(Inet("::1".parse().unwrap())))
                .bind(TextArray(vec!["x".into()]))
        )?;
        let row: Option<(i64, Option<Inet>, TextArray)> = on!(&mut tx, c => sqlx::query_as("SELECT a, b, c FROM t WHERE a = $1").bind(1_i64).fetch_optional(c))?;
        assert_eq!(row.unwrap().2.0, ["x"]);
        tx.commit().await
    }
}
