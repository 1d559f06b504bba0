//! Making an account.

use crate::config::TlsMode;
use crate::engine::{EXCLUSIVELY, PostgresEngine};
use crate::failure::{Failure, Result as StepResult, repeat};
use crate::link::Link;
use crate::role::Role;
use crate::statements::{Statement, Subject};
use crate::verifier::Verifier;
use secrethub_engine::{EngineError, Issued, Lease, Live, Result, Revocation, SecretString};
use serde_json::{Value, json};
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

impl PostgresEngine {
    /// Makes the account of a lease with this password. One that an earlier try has left behind is removed first.
    pub(crate) async fn create(&self, role: &Role, lease: &Lease, password: &SecretString) -> Result<Issued> {
        role.validate()?;
        let name = self.names.name(&self.installation, lease.id);
        let subject = Subject { name: &name, lease_id: lease.id, expires_at: lease.expires_at };
        let verifier = Verifier::of(password).await?;
        let mut created = self.make(role, &subject, &verifier).await;
        if created.as_ref().is_err_and(|failure| failure.is(&SqlState::DUPLICATE_OBJECT))
            && self.exists(&name).await?
        {
            self.end_one(&Revocation { lease_id: lease.id, handle: None, role: Some(role.clone()) }).await?;
            created = self.make(role, &subject, &verifier).await;
        }
        created.map_err(|failure| verifier.hide(failure.error).without(&[password.expose()]))?;
        Ok(Issued { credentials: self.credentials(role, &name, password), handle: handle(role, &name) })
    }

    /// Makes the account of a live lease again, if it is gone.
    pub(crate) async fn create_again(&self, live: &Live<Role>) -> Result<()> {
        let name = self.name_of(live.lease.id, Some(&live.handle));
        if self.exists(&name).await? {
            return Ok(());
        }
        live.role.validate()?;
        let Some(password) = live.credentials["password"].as_str().map(SecretString::from) else {
            return Err(EngineError::refused("the credentials have no password"));
        };
        let subject = Subject { name: &name, lease_id: live.lease.id, expires_at: live.lease.expires_at };
        let verifier = Verifier::of(&password).await?;
        let made = self.make(&live.role, &subject, &verifier).await;
        made.map_err(|failure| verifier.hide(failure.error).without(&[password.expose()]))
    }

    /// # Errors
    /// With [`SqlState::DUPLICATE_OBJECT`] if the account is there.
    async fn make(&self, role: &Role, subject: &Subject<'_>, verifier: &Verifier) -> StepResult<()> {
        if role.creation_statements.is_empty() {
            let text = format!("{}; {}", subject.lock(), subject.create(role, verifier.expose()));
            return self.make_by_own_statements(&text).await;
        }
        let statements = subject.creation(&role.creation_statements, verifier.expose())?;
        let (database, statements, last) = (self.database(role), &statements, subject.complete(role));
        let _turn = self.exclusive.lock().await;
        let (database, last) = (database.as_str(), last.as_str());
        repeat(|| {
            Box::pin(async move {
                let mut session = self.pool.session(database).await?;
                let link = session.link()?;
                let done = in_transaction(link, subject, statements, last).await;
                link.finish(done).await
            })
        })
        .await
    }

    async fn make_by_own_statements(&self, text: &str) -> StepResult<()> {
        let config = self.config();
        let database = config.database.as_str();
        repeat(|| {
            Box::pin(async move {
                let mut session = self.pool.session(database).await?;
                let link = session.link()?;
                let done = link.begin(text).await;
                link.finish(done).await
            })
        })
        .await
    }

    pub(crate) async fn exists(&self, name: &str) -> Result<bool> {
        let rows = self.ask("SELECT 1 FROM pg_roles WHERE rolname = $1", &[(&name, Type::TEXT)]).await?;
        Ok(!rows.is_empty())
    }

    /// What the caller is given.
    fn credentials(&self, role: &Role, name: &str, password: &SecretString) -> Value {
        let (config, database) = (self.config(), self.database(role));
        let host = if config.host.contains(':') { format!("[{}]", config.host) } else { config.host.clone() };
        let url = format!(
            "postgresql://{name}:{}@{host}:{}/{}{}",
            password.expose(),
            config.port,
            percent_encoded(&database),
            // clients that are told nothing go on in the clear if somebody in between says that there is no TLS
            if config.tls == TlsMode::Disable { "" } else { "?sslmode=require" },
        );
        json!({
            "username": name,
            "password": password.expose(),
            "host": config.host,
            "port": config.port,
            "database": database,
            "url": url,
        })
    }
}

/// Takes the creation statements of a role in a transaction that it leaves open, and sees to it that there is an account
/// as the role describes it.
pub(crate) async fn in_transaction(
    link: &mut Link,
    subject: &Subject<'_>,
    statements: &[Statement],
    last: &str,
) -> StepResult<()> {
    let first = format!("{}; {EXCLUSIVELY}; SET LOCAL search_path TO DEFAULT", subject.lock());
    link.begin(&first).await?;
    if is_there(link, subject.name).await? {
        return Err(Failure::exists("the account of this lease is there already"));
    }
    link.run_foreign(statements).await?;
    if !is_there(link, subject.name).await? {
        let message = "did not make the role {{name}}";
        return Err(EngineError::bad_input("creation_statements", message).into());
    }
    link.run(last).await
}

async fn is_there(link: &mut Link, name: &str) -> StepResult<bool> {
    let query = "SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = $1";
    Ok(!link.ask(query, &[(&name, Type::TEXT)]).await?.is_empty())
}

/// What renewing and revoking are helped by.
fn handle(role: &Role, name: &str) -> Value {
    let mut handle = json!({ "username": name });
    if let Some(owner) = role.owner() {
        handle["owner"] = owner.into();
    }
    if let Some(database) = &role.database {
        handle["database"] = database.as_str().into();
    }
    if !role.revocation_statements.is_empty() {
        handle["revocation_statements"] = role.revocation_statements.as_slice().into();
    }
    handle
}

/// As URLs have it. User names and passwords need nothing of the kind: what they are made of is safe.
fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut url, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            url.push(char::from(byte));
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
        url
    })
}
