//! A new password for the engine's own account.

use crate::accounts::is_login_refusal;
use crate::config::Config;
use crate::engine::PostgresEngine;
use crate::failure::{Result as StepResult, repeat};
use crate::link::{Access, Link};
use crate::statements::literal;
use crate::verifier::Verifier;
use secrethub_engine::{EngineError, Result};

/// A new password is set within seconds or not at all: the server takes one whose engine has long given up for lost.
const SOON: &str = "SET lock_timeout = '5s'; SET statement_timeout = '10s'";

impl PostgresEngine {
    /// Lets the engine's account have the password of the proposal, whichever of the two is in force, and logs in with it
    /// from now on.
    pub(crate) async fn adopt(&self, proposal: Config) -> Result<()> {
        proposal.validate()?;
        let current = self.config();
        if (&proposal.username, &proposal.host, proposal.port)
            != (&current.username, &current.host, current.port)
        {
            return Err(EngineError::bad_input("username", "a rotation changes nothing but the password"));
        }
        let verifier = Verifier::of(&proposal.password).await?;
        let access = Access::new(&proposal)?;
        // done even if the new one works: a server that trusts everybody takes any password
        let text = format!("ALTER ROLE SESSION_USER PASSWORD {}", literal(verifier.expose()));
        let _changing = self.pool.changing.lock().await;
        let altered = repeat(|| {
            let (access, text, database) = (&access, &text, &proposal.database);
            Box::pin(async move {
                let mut link = self.log_in_anyhow(access, database).await?;
                link.run(SOON).await?;
                link.run(text).await
            })
        });
        altered.await.map_err(|failure| verifier.hide(failure.error))?;
        self.pool.change(access);
        self.set_config(proposal);
        let proven = self.pool.access().open(&self.config().database).await;
        proven.map_err(|failure| {
            let said = failure.error.message;
            EngineError {
                message: format!("the new password is set but does not let in: {said}"),
                ..failure.error
            }
        })?;
        Ok(())
    }

    /// With the new password, if an earlier try came that far; otherwise with the old one. Another try may come that far in between.
    async fn log_in_anyhow(&self, new: &Access, database: &str) -> StepResult<Link> {
        let old = self.pool.access();
        for access in [new, &*old, new] {
            match access.open(database).await {
                Err(failure) if is_login_refusal(&failure) => {}
                opened => return opened,
            }
        }
        let message = "the target takes neither the old password of the engine's account nor the new one: set one there, and \
                       update the engine with it";
        Err(EngineError::refused(message).into())
    }
}
