//! Accounts that are there: listing them, logging in, setting a password.

use crate::config;
use crate::engine::PostgresEngine;
use crate::failure::Failure;
use crate::statements::{identifier, literal};
use crate::verifier::Verifier;
use secrethub_engine::{Account, EngineError, Result, SecretString};
use serde_json::Value;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

impl PostgresEngine {
    /// Every account of this installation.
    pub(crate) async fn accounts(&self) -> Result<Vec<Account>> {
        let prefix = self.names.prefix(&self.installation);
        let query = "SELECT rolname::text FROM pg_roles WHERE starts_with(rolname::text, $1) ORDER BY 1";
        let rows = self.ask(query, &[(&prefix, Type::TEXT)]).await?;
        let account = |name: String| {
            let lease_id = self.names.lease_of(&self.installation, &name)?;
            Some(Account { name, lease_id })
        };
        Ok(rows.iter().filter_map(|row| account(row.get(0))).collect())
    }

    /// Logs in with credentials that were issued.
    pub(crate) async fn log_in_with(&self, credentials: &Value) -> Result<()> {
        let field = |name: &str| {
            let missing = || EngineError::bad_input(name, "is missing from the credentials");
            credentials[name].as_str().ok_or_else(missing)
        };
        let (username, password, database) = (field("username")?, field("password")?, field("database")?);
        match self.pool.access().open_as(database, username, password).await {
            Ok(_) => Ok(()),
            Err(failure) if is_login_refusal(&failure) => Err(EngineError::refused(
                "the target does not let these credentials in: check that the role's statements create the account with LOGIN, \
                 and the target's pg_hba.conf",
            )),
            Err(failure) => Err(failure.error.without(&[password])),
        }
    }

    /// Gives an account that the engine does not manage a new password.
    pub(crate) async fn set_password(&self, account: &str, password: &SecretString) -> Result<()> {
        config::name("account", account)?;
        if self.config().is_own(&self.installation, account) {
            let message = "is the engine's own or one of a lease: name an account that is neither";
            return Err(EngineError::bad_input("account", message));
        }
        let query = "SELECT rolcanlogin FROM pg_roles WHERE rolname = $1";
        let rows = self.ask(query, &[(&account, Type::TEXT)]).await?;
        match rows.first().map(|row| row.get::<_, bool>(0)) {
            None => {
                return Err(EngineError::bad_input("account", "is not on the target: create it there first"));
            }
            Some(false) => {
                return Err(EngineError::bad_input(
                    "account",
                    "may not log in: it has no use for a password",
                ));
            }
            Some(true) => {}
        }
        let verifier = Verifier::of(password).await?;
        let text = format!("ALTER ROLE {} PASSWORD {}", identifier(account), literal(verifier.expose()));
        let changed = self.run(&self.config().database, &text).await;
        changed.map_err(|failure| verifier.hide(failure.error).without(&[password.expose()]))
    }
}

/// Whether it is name or password that the target did not take.
pub(crate) fn is_login_refusal(failure: &Failure) -> bool {
    failure.is(&SqlState::INVALID_PASSWORD) || failure.is(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION)
}
