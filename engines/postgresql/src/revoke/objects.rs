//! Accounts that own something, were granted something, or have revocation statements of their own.

use super::{Batch, Plan};
use crate::engine::EXCLUSIVELY;
use crate::failure::{Failure, Result as StepResult, repeat};
use crate::link::Link;
use crate::members;
use crate::statements::{Statement, Subject, identifier};
use chrono::DateTime;
use secrethub_engine::{ErrorKind, Result};
use std::collections::HashSet;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

/// How long handing over waits for a lock. Whoever issues by statements of a role's own waits with it, and it will be tried
/// again.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '2s'";

/// Everything that depends on these accounts, by database; what belongs to none is found from any.
const DEPENDENCIES: &str = "SELECT DISTINCT r.rolname::text, COALESCE(d.datname, current_database())::text \
     FROM pg_shdepend s JOIN pg_roles r ON r.oid = s.refobjid LEFT JOIN pg_database d ON d.oid = s.dbid \
     WHERE s.refclassid = 'pg_authid'::regclass AND r.rolname = ANY($1)";

/// Whose an account's objects are by what the target knows: the role that its sessions act as, then a group of its.
const OWNERS: &str = "SELECT owner FROM ( \
       SELECT 0 AS place, substr(setting, 6) AS owner FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole, \
              unnest(s.setconfig) AS setting \
       WHERE s.setdatabase = 0 AND r.rolname = $1 AND starts_with(setting, 'role=') \
       UNION ALL \
       SELECT 1, g.rolname::text FROM pg_auth_members m JOIN pg_roles r ON r.oid = m.member \
              JOIN pg_roles g ON g.oid = m.roleid \
       WHERE r.rolname = $1) AS known ORDER BY place, owner";

const EXISTING: &str = "SELECT rolname::text FROM pg_roles WHERE rolname = ANY($1)";

impl Batch<'_> {
    /// Those that something depends on.
    pub(super) async fn entangled(&self) -> Result<HashSet<String>> {
        if self.standing.is_empty() {
            return Ok(HashSet::new());
        }
        let rows = self.engine.ask(DEPENDENCIES, &[(&self.standing, Type::TEXT_ARRAY)]).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    /// The last steps for one account.
    pub(super) async fn end_with_objects(&self, name: &str, plan: &Plan) -> StepResult<()> {
        let engine = self.engine;
        let _turn = engine.exclusive.lock().await;
        let subject = Subject { name, lease_id: plan.lease_id, expires_at: DateTime::UNIX_EPOCH };
        let statements = subject.revocation(&plan.statements)?;
        if !statements.is_empty() {
            match engine.run_foreign(&plan.database, "", &statements).await {
                // what they were about is gone with its database
                Err(failure) if failure.is(&SqlState::INVALID_CATALOG_NAME) => {}
                Err(failure) if failure.is_answer() => return Err(blamed(failure, &statements)),
                done => done?,
            }
        }
        let databases: Vec<String> = {
            let names = [name];
            let rows = engine.ask(DEPENDENCIES, &[(&names.as_slice(), Type::TEXT_ARRAY)]).await?;
            rows.iter().map(|row| row.get(1)).collect()
        };
        if !databases.is_empty() {
            let owner = self.owner(name, plan).await?;
            for database in &databases {
                self.hand_over(database, name, owner.as_deref()).await?;
            }
        }
        engine.run(&engine.config().database, &format!("DROP ROLE IF EXISTS {}", identifier(name))).await
    }

    /// The first that exists of those who may get what the account owns; `None`: the engine's own account.
    async fn owner(&self, name: &str, plan: &Plan) -> StepResult<Option<String>> {
        let mut owners = plan.owners.clone();
        let rows = self.engine.ask(OWNERS, &[(&name, Type::TEXT)]).await?;
        owners.extend(rows.iter().map(|row| row.get::<_, String>(0)));
        let rows = self.engine.ask(EXISTING, &[(&owners, Type::TEXT_ARRAY)]).await?;
        let existing: HashSet<String> = rows.iter().map(|row| row.get(0)).collect();
        Ok(owners.into_iter().find(|owner| existing.contains(owner) && owner != name))
    }

    /// Gives what the account owns in a database to its owner, and takes the account's privileges there.
    async fn hand_over(&self, database: &str, name: &str, owner: Option<&str>) -> StepResult<()> {
        repeat(|| {
            Box::pin(async move {
                let mut session = self.engine.pool.session(database).await?;
                let link = session.link()?;
                let done = reassign(link, name, owner).await;
                link.finish(done).await
            })
        })
        .await
    }
}

/// What the target refuses of the role's own statements is the role's to put right, whatever the target calls it.
fn blamed(mut failure: Failure, statements: &[Statement]) -> Failure {
    let theirs = |field: &String| statements.iter().any(|statement| statement.field == *field);
    if failure.error.kind == ErrorKind::Refused && failure.error.field.as_ref().is_some_and(theirs) {
        failure.error.kind = ErrorKind::BadInput;
    }
    failure
}

async fn reassign(link: &mut Link, name: &str, owner: Option<&str>) -> StepResult<()> {
    link.begin(&format!("{LOCK_TIMEOUT}; {EXCLUSIVELY}")).await?;
    // that membership goes with the account
    members::take(link, name).await?;
    let give_back = match owner {
        Some(owner) => members::take(link, owner).await?,
        None => String::new(),
    };
    let name = identifier(name);
    let owner = owner.map_or_else(|| "CURRENT_USER".to_owned(), identifier);
    link.run(&format!("REASSIGN OWNED BY {name} TO {owner}; DROP OWNED BY {name}; {give_back}")).await
}
