//! One connection.

use crate::config::Config;
use crate::failure::{Failure, Result};
use crate::statements::Statement;
use crate::tls;
use std::time::{Duration, Instant};
use tokio::task::JoinHandle;
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Client, NoTls, Row, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

/// What the target may take beyond its own limit before the engine no longer believes that it lives.
const GRACE: Duration = Duration::from_secs(2);

/// How connections are made: a configuration, read.
pub(crate) struct Access {
    settings: tokio_postgres::Config,
    tls: Option<MakeRustlsConnect>,
    connect_timeout: Duration,
    statement_timeout: Duration,
    /// What every connection begins with, and goes back to after somebody else's statements.
    setup: String,
}

impl Access {
    /// # Errors
    /// [`secrethub_engine::EngineError::bad_input`] if there are no certificates to trust.
    pub(crate) fn new(config: &Config) -> secrethub_engine::Result<Self> {
        let tls = tls::connector(config)?;
        let mut settings = tokio_postgres::Config::new();
        let mode = if tls.is_some() {
            tokio_postgres::config::SslMode::Require
        } else {
            tokio_postgres::config::SslMode::Disable
        };
        let statement_timeout = Duration::from_secs(config.statement_timeout_seconds.into());
        settings
            .host(&config.host)
            .port(config.port)
            .user(&config.username)
            .password(config.password.expose())
            .application_name("secrethub")
            .ssl_mode(mode)
            // a target that vanished without a word is noticed within seconds, whether it is waited for or not
            .tcp_user_timeout(Duration::from_secs(20))
            .keepalives_idle(Duration::from_secs(20))
            .keepalives_interval(Duration::from_secs(5))
            .keepalives_retries(3);
        let millis = statement_timeout.as_millis();
        // objects that others made must not stand in for PostgreSQL's own: only its own are found without a schema
        let setup = format!(
            "RESET SESSION AUTHORIZATION; RESET ALL; SET search_path = pg_catalog, pg_temp; \
             SET standard_conforming_strings = on; SET statement_timeout = {millis}; \
             SET lock_timeout = {}; SET idle_in_transaction_session_timeout = {}; SET client_min_messages = error",
            millis / 2,
            millis * 2,
        );
        let connect_timeout = Duration::from_secs(config.connect_timeout_seconds.into());
        Ok(Self { settings, tls, connect_timeout, statement_timeout, setup })
    }

    /// How long to wait for a place among the connections.
    pub(crate) fn patience(&self) -> Duration {
        self.statement_timeout
    }

    /// Logs in to a database with the engine's own account.
    pub(crate) async fn open(&self, database: &str) -> Result<Link> {
        let mut settings = self.settings.clone();
        settings.dbname(database);
        self.log_in(settings).await
    }

    /// Logs in with other credentials.
    pub(crate) async fn open_as(&self, database: &str, username: &str, password: &str) -> Result<Link> {
        let mut settings = self.settings.clone();
        settings.dbname(database).user(username).password(password);
        self.log_in(settings).await
    }

    async fn log_in(&self, settings: tokio_postgres::Config) -> Result<Link> {
        let logging_in = async {
            let connected = match &self.tls {
                Some(tls) => connect(&settings, tls.clone()).await,
                None => connect(&settings, NoTls).await,
            };
            let (client, task) = connected.map_err(|error| Failure::connecting(&error))?;
            let mut link = Link {
                client,
                task,
                database: settings.get_dbname().unwrap_or_default().to_owned(),
                since: Instant::now(),
                limit: self.statement_timeout + GRACE,
                setup: self.setup.clone(),
                busy: false,
                in_transaction: false,
                foreign: false,
            };
            link.reset().await?;
            Ok(link)
        };
        tokio::time::timeout(self.connect_timeout, logging_in)
            .await
            .unwrap_or_else(|_| Err(Failure::timeout()))
    }
}

async fn connect<T>(
    settings: &tokio_postgres::Config,
    tls: T,
) -> std::result::Result<(Client, JoinHandle<()>), tokio_postgres::Error>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + 'static,
{
    let (client, connection) = settings.connect(tls).await?;
    let task = tokio::spawn(async move {
        // what ends it is told to the call that waits, and to the next one by `is_closed`
        let _ = connection.await;
    });
    Ok((client, task))
}

/// A connection. It is used by one call at a time and knows whether that left it clean.
pub(crate) struct Link {
    client: Client,
    task: JoinHandle<()>,
    pub(crate) database: String,
    /// When it was last given back.
    pub(crate) since: Instant,
    limit: Duration,
    setup: String,
    /// Something was sent that is not answered.
    busy: bool,
    in_transaction: bool,
    /// Somebody else's statements were run, which may have changed settings.
    foreign: bool,
}

impl Link {
    /// Sends statements as one text: one round trip and, outside of [`Link::begin`], one transaction.
    pub(crate) async fn run(&mut self, statements: &str) -> Result<()> {
        self.busy = true;
        let answer = tokio::time::timeout(self.limit, self.client.batch_execute(statements)).await;
        self.answered(answer)
    }

    /// Sends one statement with parameters.
    pub(crate) async fn ask(
        &mut self,
        statement: &str,
        parameters: &[(&(dyn ToSql + Sync), Type)],
    ) -> Result<Vec<Row>> {
        self.busy = true;
        let answer = tokio::time::timeout(self.limit, self.client.query_typed(statement, parameters)).await;
        self.answered(answer)
    }

    fn answered<T>(
        &mut self,
        answer: std::result::Result<
            std::result::Result<T, tokio_postgres::Error>,
            tokio::time::error::Elapsed,
        >,
    ) -> Result<T> {
        let result = match answer {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(error)) => Err(Failure::executing(&error)),
            Err(_) => return Err(Failure::timeout()),
        };
        self.busy = result.as_ref().is_err_and(|failure| !failure.is_answer());
        result
    }

    /// Starts a transaction with these statements.
    pub(crate) async fn begin(&mut self, statements: &str) -> Result<()> {
        self.in_transaction = true;
        self.run(&format!("BEGIN; {statements}")).await
    }

    /// Runs statements that the engine has not written, within a transaction.
    pub(crate) async fn run_foreign(&mut self, statements: &[Statement]) -> Result<()> {
        self.foreign = true;
        for Statement { field, text } in statements {
            self.run(text).await.map_err(|failure| failure.at(field))?;
        }
        Ok(())
    }

    /// The same, after others of a role's in the same transaction: as if on a new connection.
    pub(crate) async fn run_foreign_afresh(&mut self, statements: &[Statement]) -> Result<()> {
        let first = format!("{}; SET LOCAL search_path TO DEFAULT", self.setup);
        self.run(&first).await?;
        self.run_foreign(statements).await
    }

    /// Ends the transaction: commits what is done, takes back what is not. A connection on which that does not work, or that
    /// cannot be brought back to where it began, is not used again.
    pub(crate) async fn finish<T>(&mut self, done: Result<T>) -> Result<T> {
        let done = match done {
            Ok(value) => self.end("COMMIT").await.map(|()| value),
            Err(failure) => {
                if !self.busy {
                    // if it fails, so does the connection, and the server takes everything back
                    let _ = self.end("ROLLBACK").await;
                }
                Err(failure)
            }
        };
        if self.foreign && !self.busy && !self.in_transaction {
            // as above
            let _ = self.reset().await;
        }
        done
    }

    /// Takes everything back.
    pub(crate) async fn give_up(&mut self) -> Result<()> {
        self.end("ROLLBACK").await?;
        if self.foreign { self.reset().await } else { Ok(()) }
    }

    async fn end(&mut self, how: &str) -> Result<()> {
        self.run(how).await?;
        self.in_transaction = false;
        Ok(())
    }

    /// Undoes what somebody else's statements may have set.
    async fn reset(&mut self) -> Result<()> {
        let setup = self.setup.clone();
        self.run(&setup).await?;
        self.foreign = false;
        Ok(())
    }

    /// Whether the next call can have it.
    pub(crate) fn is_clean(&self) -> bool {
        !self.busy && !self.in_transaction && !self.foreign && !self.client.is_closed()
    }

    /// Whether the other end may be dead: it is closed, or left something unanswered.
    pub(crate) fn is_suspect(&self) -> bool {
        self.busy || self.client.is_closed()
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // without this the connection would wait for its answer; otherwise it says goodbye and ends by itself
        if self.busy || self.in_transaction {
            self.task.abort();
        }
    }
}
