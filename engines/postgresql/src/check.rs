//! Whether issuing would work.

use crate::create::in_transaction;
use crate::engine::PostgresEngine;
use crate::failure::{Failure, Result as StepResult, repeat};
use crate::role::Role;
use crate::statements::{Statement, Subject};
use crate::verifier::Verifier;
use chrono::DateTime;
use secrethub_engine::{EngineError, Result, Revocation};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;
use uuid::Uuid;

/// The oldest version that has all that is asked of it.
const OLDEST: i32 = 120_000;

impl PostgresEngine {
    /// Whether the target answers and the engine's account may manage others.
    pub(crate) async fn check_account(&self) -> Result<()> {
        let query = "SELECT rolsuper OR rolcreaterole, pg_is_in_recovery(), \
             current_setting('server_version_num')::int4 FROM pg_roles WHERE rolname = current_user";
        let rows = self.ask(query, &[]).await.map_err(at_setting)?;
        let (may_create, standby, version) = match rows.first() {
            Some(row) => (row.get::<_, bool>(0), row.get::<_, bool>(1), row.get::<_, i32>(2)),
            None => return Err(EngineError::retry("the target does not say who is logged in")),
        };
        if version < OLDEST {
            return Err(EngineError::refused("the target is older than PostgreSQL 12"));
        }
        if standby {
            let message = "the target is a standby: give the address of the primary";
            return Err(EngineError::refused(message).at("host"));
        }
        if !may_create {
            let message = "the engine's account may not create roles: ALTER ROLE … CREATEROLE";
            return Err(EngineError::refused(message).at("username"));
        }
        Ok(())
    }

    /// Whether an account of this role can be made, renewed and ended: all of it is done once and taken back.
    pub(crate) async fn check_role_on_target(&self, role: &Role) -> Result<()> {
        role.validate()?;
        self.groups_exist(role).await?;
        // a lease that is never issued
        let name = self.names.name(&self.installation, Uuid::nil());
        let subject = Subject { name: &name, lease_id: Uuid::nil(), expires_at: DateTime::UNIX_EPOCH };
        let verifier = Verifier::of(&self.config().password_policy.generate()).await?;
        let turn = self.exclusive.lock().await;
        let tried = self.rehearse(role, &subject, &verifier).await;
        let left_behind = self.exists(&name).await?;
        drop(turn);
        if left_behind {
            self.end_one(&Revocation { lease_id: Uuid::nil(), handle: None, role: None }).await?;
        }
        tried.map_err(|failure| match role.database {
            Some(_) if failure.is(&SqlState::INVALID_CATALOG_NAME) => {
                EngineError::bad_input("database", "is not on the target")
            }
            _ => verifier.hide(failure.error),
        })?;
        if left_behind {
            let message = "a statement ends the transaction that all of them are run in";
            return Err(EngineError::bad_input("creation_statements", message));
        }
        Ok(())
    }

    async fn groups_exist(&self, role: &Role) -> Result<()> {
        let groups: Vec<&str> = role.groups.iter().map(String::as_str).chain(role.owner.as_deref()).collect();
        let query = "SELECT rolname::text FROM pg_roles WHERE rolname = ANY($1)";
        let rows = self.ask(query, &[(&groups, Type::TEXT_ARRAY)]).await?;
        let there: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
        let missing = |name: &str| !there.iter().any(|other| other == name);
        let message = "there is no such role on the target: CREATE ROLE … NOLOGIN";
        if let Some(index) = role.groups.iter().position(|group| missing(group)) {
            return Err(EngineError::bad_input(format!("groups[{index}]"), message));
        }
        match &role.owner {
            Some(owner) if missing(owner) => Err(EngineError::bad_input("owner", message)),
            _ => Ok(()),
        }
    }

    async fn rehearse(&self, role: &Role, subject: &Subject<'_>, verifier: &Verifier) -> StepResult<()> {
        let own = role.creation_statements.is_empty();
        let statements = if own {
            let field = "groups".to_owned();
            vec![Statement { field, text: subject.create(role, verifier.expose()) }]
        } else {
            subject.creation(&role.creation_statements, verifier.expose())?
        };
        let (database, statements, last) = (self.database(role), &statements, subject.complete(role));
        let more =
            [subject.renewal(&role.renewal_statements)?, subject.revocation(&role.revocation_statements)?];
        let (database, last, more) = (database.as_str(), last.as_str(), &more);
        repeat(|| {
            Box::pin(async move {
                let mut session = self.pool.session(database).await?;
                let link = session.link()?;
                let mut done = in_transaction(link, subject, statements, last).await;
                for statements in more {
                    if done.is_ok() {
                        done = link.run_foreign_afresh(statements).await;
                    }
                }
                match done {
                    Ok(()) => link.give_up().await,
                    failed => link.finish(failed).await,
                }
            })
        })
        .await
    }
}

/// Names the setting of the engine that the target does not take.
fn at_setting(failure: Failure) -> EngineError {
    let field = match failure.code.as_ref().map(SqlState::code) {
        Some("28000" | "28P01") => "password",
        Some("3D000") => "database",
        _ => return failure.error,
    };
    failure.error.at(field)
}
