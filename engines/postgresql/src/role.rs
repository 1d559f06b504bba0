//! What is issued.

use crate::config::name;
use crate::statements::Subject;
use schemars::JsonSchema;
use secrethub_engine::{EngineError, Result};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The most groups of a role.
const MAX_GROUPS: usize = 32;
/// The most statements of one kind.
const MAX_STATEMENTS: usize = 32;
/// The longest statement, in bytes.
const MAX_STATEMENT: usize = 16 << 10;

/// Accounts of one sort. `groups`, `creation_statements` or both say what they may do.
///
/// Statements may have `{{name}}`, the account as a quoted identifier, and `{{name_literal}}`, the same as a quoted text.
/// Quotes around a placeholder are taken as part of it: `"{{name}}"` and `'{{name}}'` do as well. One text may hold several
/// statements; all of one kind are run in one transaction, which they must not end, in the role's database.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// Roles that hold the privileges, usually NOLOGIN; accounts become members. At most 32.
    #[serde(default)]
    pub groups: Vec<String>,
    /// The group that objects made by an account belong to, and stay with when it goes. Without it: the first of `groups`; if
    /// there are none, the account itself, and then the engine's own account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The database that credentials are for and statements are run in. Without it: the one of the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// The most sessions of one account at a time, 1 to 10000. Without it: as many as the server takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub connection_limit: Option<u32>,
    /// Instead of the engine's own CREATE ROLE. They must create `{{name}}` with `{{password}}`, which is the quoted SCRAM
    /// verifier, so that no password reaches the server or its log; `{{expiration}}` is the end of the lease as a quoted
    /// time. The engine then adds the end, the memberships and the connection limit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub creation_statements: Vec<String>,
    /// Run after the engine has moved VALID UNTIL. They may have `{{expiration}}`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub renewal_statements: Vec<String>,
    /// Run when the account cannot log in and its sessions are gone, before the engine hands its objects over and drops it.
    /// They are only run for an account that exists, but may be run again after a failure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revocation_statements: Vec<String>,
}

impl Role {
    /// Whether it can be right, as far as it can be told without the target.
    ///
    /// # Errors
    /// [`EngineError::bad_input`] naming the field.
    pub(crate) fn validate(&self) -> Result<()> {
        if self.groups.is_empty() && self.creation_statements.is_empty() {
            return Err(EngineError::bad_input("groups", "give groups or creation_statements"));
        }
        self.validate_groups()?;
        if let Some(database) = &self.database {
            name("database", database)?;
        }
        if self.connection_limit.is_some_and(|limit| !(1..=10_000).contains(&limit)) {
            return Err(EngineError::bad_input("connection_limit", "is 1 to 10000"));
        }
        self.validate_statements()
    }

    fn validate_groups(&self) -> Result<()> {
        if self.groups.len() > MAX_GROUPS {
            return Err(EngineError::bad_input("groups", format!("has more than {MAX_GROUPS} groups")));
        }
        for (index, group) in self.groups.iter().enumerate() {
            name(&format!("groups[{index}]"), group)?;
        }
        if let Some(owner) = &self.owner {
            name("owner", owner)?;
            // the creation statements may make the account a member of others
            if self.creation_statements.is_empty() && !self.groups.contains(owner) {
                return Err(EngineError::bad_input("owner", "is not one of the groups"));
            }
        }
        Ok(())
    }

    fn validate_statements(&self) -> Result<()> {
        let kinds = [
            ("creation_statements", &self.creation_statements),
            ("renewal_statements", &self.renewal_statements),
            ("revocation_statements", &self.revocation_statements),
        ];
        for (field, texts) in kinds {
            if texts.len() > MAX_STATEMENTS {
                return Err(EngineError::bad_input(
                    field,
                    format!("has more than {MAX_STATEMENTS} statements"),
                ));
            }
            for (index, text) in texts.iter().enumerate() {
                let problem = match text {
                    text if text.trim().is_empty() => "is empty",
                    text if text.len() > MAX_STATEMENT => "is longer than 16 KiB",
                    text if text.contains('\0') => "has a character that SQL cannot have",
                    _ => continue,
                };
                return Err(EngineError::bad_input(format!("{field}[{index}]"), problem));
            }
        }
        self.render_all()
    }

    /// Every statement, with values as they come.
    fn render_all(&self) -> Result<()> {
        let subject =
            Subject { name: "name", lease_id: Uuid::nil(), expires_at: chrono::DateTime::UNIX_EPOCH };
        subject.creation(&self.creation_statements, "verifier")?;
        subject.renewal(&self.renewal_statements)?;
        subject.revocation(&self.revocation_statements)?;
        for needed in ["name", "password"] {
            let has = |text: &String| text.replace(' ', "").contains(&format!("{{{{{needed}}}}}"));
            if !self.creation_statements.is_empty() && !self.creation_statements.iter().any(has) {
                let message = format!("must contain {{{{{needed}}}}}");
                return Err(EngineError::bad_input("creation_statements", message));
            }
        }
        Ok(())
    }

    /// The group that objects belong to.
    pub(crate) fn owner(&self) -> Option<&str> {
        self.owner.as_deref().or(self.groups.first().map(String::as_str))
    }
}
