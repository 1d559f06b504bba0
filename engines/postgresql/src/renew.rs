//! Moving the end of an account.

use crate::engine::{EXCLUSIVELY, PostgresEngine};
use crate::failure::{Result as StepResult, repeat};
use crate::link::Link;
use crate::role::Role;
use crate::statements::{Statement, Subject};
use secrethub_engine::{EngineError, Lease, Result};
use serde_json::Value;
use tokio_postgres::types::Type;

impl PostgresEngine {
    /// Lets the account of a lease live until the lease ends.
    pub(crate) async fn extend(&self, role: &Role, lease: &Lease, handle: &Value) -> Result<()> {
        let name = self.name_of(lease.id, Some(handle));
        let subject = Subject { name: &name, lease_id: lease.id, expires_at: lease.expires_at };
        let statements = subject.renewal(&role.renewal_statements)?;
        self.may_log_in(&name).await?;
        let extended = if statements.is_empty() {
            self.run(&self.config().database, &subject.extend()).await
        } else {
            let _turn = self.exclusive.lock().await;
            self.run_foreign(&self.database(role), &subject.extend(), &statements).await
        };
        extended.map_err(|failure| failure.refusal().error)
    }

    /// One that is being revoked is not brought back by a later end.
    async fn may_log_in(&self, name: &str) -> Result<()> {
        let query = "SELECT rolcanlogin FROM pg_roles WHERE rolname = $1";
        let rows = self.ask(query, &[(&name, Type::TEXT)]).await?;
        match rows.first().map(|row| row.get::<_, bool>(0)) {
            Some(true) => Ok(()),
            Some(false) => Err(EngineError::refused("the account is being revoked: get new credentials")),
            None => Err(EngineError::refused("the account is gone from the target: get new credentials")),
        }
    }

    /// Runs statements of a role in one transaction, after `first`. The caller holds `exclusive`.
    pub(crate) async fn run_foreign(
        &self,
        database: &str,
        first: &str,
        statements: &[Statement],
    ) -> StepResult<()> {
        repeat(|| {
            Box::pin(async move {
                let mut session = self.pool.session(database).await?;
                let link = session.link()?;
                let done = in_transaction(link, first, statements).await;
                link.finish(done).await
            })
        })
        .await
    }
}

async fn in_transaction(link: &mut Link, first: &str, statements: &[Statement]) -> StepResult<()> {
    link.begin(&format!("{EXCLUSIVELY}; {first} SET LOCAL search_path TO DEFAULT")).await?;
    link.run_foreign(statements).await
}
