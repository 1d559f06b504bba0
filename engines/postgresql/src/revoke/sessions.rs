//! Ending the sessions of accounts that cannot log in any more.

use super::Batch;
use crate::failure::Failure;
use crate::statements::identifiers;
use secrethub_engine::{EngineError, Result};
use std::collections::HashSet;
use std::time::{Duration, Instant};
use tokio_postgres::types::Type;

/// How long sessions may take to end. One that does not is in a place where PostgreSQL does not look for signals.
const PATIENCE: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(3);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

impl Batch<'_> {
    /// Terminates the sessions of all that are standing, until there are none.
    ///
    /// # Errors
    /// If the target does not answer. Accounts whose sessions cannot be ended have failed.
    pub(super) async fn end_sessions(&mut self) -> Result<()> {
        let busy = self.with_sessions().await?;
        if busy.is_empty() {
            return Ok(());
        }
        let foreign = self.without_rights(&busy).await?;
        // whoever has the rights of an account may end its sessions; the membership goes with the account
        self.each(&foreign, |names| format!("GRANT {} TO CURRENT_USER", identifiers(names.iter().copied())))
            .await;
        let busy: Vec<String> = busy.into_iter().filter(|name| self.standing.contains(name)).collect();
        if let Err(failure) = self.terminate(&busy).await {
            if !failure.is_answer() {
                return Err(failure.error);
            }
            for name in &busy {
                if let Err(failure) = self.terminate(std::slice::from_ref(name)).await {
                    self.fail(name, failure);
                }
            }
        }
        Ok(())
    }

    /// Those that have sessions.
    async fn with_sessions(&self) -> Result<Vec<String>> {
        let query = "SELECT DISTINCT usename::text FROM pg_stat_activity WHERE usename = ANY($1)";
        let rows = self.engine.ask(query, &[(&self.standing, Type::TEXT_ARRAY)]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// Those of these whose rights the engine's account does not have.
    async fn without_rights(&self, names: &[String]) -> Result<Vec<String>> {
        let query =
            "SELECT rolname::text FROM pg_roles WHERE rolname = ANY($1) AND NOT pg_has_role(oid, 'USAGE')";
        let rows = self.engine.ask(query, &[(&names, Type::TEXT_ARRAY)]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    async fn terminate(&self, names: &[String]) -> Result<(), Failure> {
        let until = Instant::now() + PATIENCE;
        let mut pause = FIRST_PAUSE;
        loop {
            let query = "SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = ANY($1)";
            let rows = self.engine.ask(query, &[(&names, Type::TEXT_ARRAY)]).await?;
            let sessions: HashSet<i32> = rows.iter().map(|row| row.get(0)).collect();
            if sessions.is_empty() {
                return Ok(());
            }
            if Instant::now() > until {
                let message = format!("{} of its sessions on the target do not end", sessions.len());
                return Err(EngineError::retry(message).into());
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}
