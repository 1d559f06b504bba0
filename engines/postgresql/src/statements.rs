//! The texts that are sent. DDL takes no parameters: every name and literal is quoted here.

use crate::role::Role;
use chrono::{DateTime, Utc};
use postgres_protocol::escape::{escape_identifier, escape_literal};
use secrethub_engine::{Result, template};
use uuid::Uuid;

/// A name as SQL has it.
pub(crate) fn identifier(name: &str) -> String {
    escape_identifier(name)
}

/// Names as SQL has them, with commas.
pub(crate) fn identifiers<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(identifier).collect::<Vec<_>>().join(", ")
}

/// A text as SQL has it.
pub(crate) fn literal(text: &str) -> String {
    // it puts a space before the E of a text with backslashes
    escape_literal(text).trim_start().to_owned()
}

/// The number of the lock that is held while the account of a lease is made.
pub(crate) fn lock_number(lease_id: Uuid) -> i64 {
    let (high, low) = lease_id.as_u64_pair();
    (high ^ low).cast_signed()
}

/// The account that statements are about.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) name: &'a str,
    pub(crate) lease_id: Uuid,
    pub(crate) expires_at: DateTime<Utc>,
}

/// A statement of a role, ready to be sent, and its place there.
pub(crate) struct Statement {
    pub(crate) field: String,
    pub(crate) text: String,
}

impl Subject<'_> {
    /// Comes first in a transaction that makes the account. The commit is sent when everything before it is answered: so a
    /// call that is broken off either never makes the account, or shows that it is about to by this lock.
    pub(crate) fn lock(&self) -> String {
        format!("SELECT pg_advisory_xact_lock({})", lock_number(self.lease_id))
    }

    /// The engine's own way to make an account that is a member of the role's groups.
    pub(crate) fn create(&self, role: &Role, verifier: &str) -> String {
        let name = identifier(self.name);
        let limit = role.connection_limit.map_or(-1, i64::from);
        let groups = identifiers(role.groups.iter().map(String::as_str));
        let mut text = format!(
            "CREATE ROLE {name} LOGIN PASSWORD {} VALID UNTIL {} CONNECTION LIMIT {limit} IN ROLE {groups};",
            literal(verifier),
            self.expiration(),
        );
        text.push_str(&self.set_owner(role));
        text
    }

    /// What the role asks for beside its own creation statements.
    pub(crate) fn complete(&self, role: &Role) -> String {
        let mut text = self.extend();
        let name = identifier(self.name);
        if let Some(limit) = role.connection_limit {
            text.push_str(&format!("ALTER ROLE {name} CONNECTION LIMIT {limit};"));
        }
        if !role.groups.is_empty() {
            let groups = identifiers(role.groups.iter().map(String::as_str));
            text.push_str(&format!("GRANT {groups} TO {name};"));
        }
        text.push_str(&self.set_owner(role));
        text
    }

    /// Sessions act as the owner, so that what they make belongs to it.
    fn set_owner(&self, role: &Role) -> String {
        role.owner().map_or_else(String::new, |owner| {
            format!("ALTER ROLE {} SET role = {};", identifier(self.name), literal(owner))
        })
    }

    /// Moves the end.
    pub(crate) fn extend(&self) -> String {
        format!("ALTER ROLE {} VALID UNTIL {};", identifier(self.name), self.expiration())
    }

    fn expiration(&self) -> String {
        literal(&self.expires_at.format("%Y-%m-%d %H:%M:%S%.6f+00").to_string())
    }

    pub(crate) fn creation(&self, texts: &[String], verifier: &str) -> Result<Vec<Statement>> {
        let (password, expiration) = (literal(verifier), self.expiration());
        self.render("creation_statements", texts, &[("password", &password), ("expiration", &expiration)])
    }

    pub(crate) fn renewal(&self, texts: &[String]) -> Result<Vec<Statement>> {
        self.render("renewal_statements", texts, &[("expiration", &self.expiration())])
    }

    pub(crate) fn revocation(&self, texts: &[String]) -> Result<Vec<Statement>> {
        self.render("revocation_statements", texts, &[])
    }

    fn render(&self, field: &str, texts: &[String], more: &[(&str, &str)]) -> Result<Vec<Statement>> {
        let (name, name_literal) = (identifier(self.name), literal(self.name));
        let mut values = vec![("name", name.as_str()), ("name_literal", name_literal.as_str())];
        values.extend(more);
        let render = |(index, text): (usize, &String)| {
            let field = format!("{field}[{index}]");
            let text = template::render(&field, &unquoted(text), &values)?;
            Ok(Statement { field, text })
        };
        texts.iter().enumerate().map(render).collect()
    }
}

/// Quotes around a placeholder go: what is put there brings its own.
fn unquoted(text: &str) -> String {
    let mut text = text
        .replace("\"{{name}}\"", "{{name}}")
        .replace("'{{name}}'", "{{name_literal}}")
        .replace("'{{name_literal}}'", "{{name_literal}}");
    for key in ["{{password}}", "{{expiration}}"] {
        text = text.replace(&format!("'{key}'"), key);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject() -> Subject<'static> {
        let expires_at = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        Subject { name: "a\"b", lease_id: Uuid::nil(), expires_at }
    }

    #[test]
    fn names_and_texts_are_quoted() {
        let role = Role {
            groups: vec!["Read Only".to_owned(), "x'y".to_owned()],
            owner: Some("x'y".to_owned()),
            connection_limit: Some(3),
            ..serde_json::from_str("{}").unwrap()
        };
        assert_eq!(
            subject().create(&role, "SCRAM$1"),
            "CREATE ROLE \"a\"\"b\" LOGIN PASSWORD 'SCRAM$1' VALID UNTIL '2027-01-15 08:00:00.000000+00' \
             CONNECTION LIMIT 3 IN ROLE \"Read Only\", \"x'y\";ALTER ROLE \"a\"\"b\" SET role = 'x''y';"
        );
    }

    #[test]
    fn quotes_around_placeholders_are_part_of_them() {
        let texts = [
            "CREATE ROLE {{name}} PASSWORD {{password}} VALID UNTIL {{ expiration }}".to_owned(),
            "CREATE ROLE \"{{name}}\" PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'".to_owned(),
            "SELECT '{{name}}', {{name_literal}}".to_owned(),
        ];
        let rendered = subject().creation(&texts, "v").unwrap();
        assert_eq!(rendered[0].text, rendered[1].text);
        assert_eq!(rendered[2].text, "SELECT 'a\"b', 'a\"b'");
        assert_eq!(rendered[1].field, "creation_statements[1]");
        assert!(rendered[0].text.ends_with("PASSWORD 'v' VALID UNTIL '2027-01-15 08:00:00.000000+00'"));
        let error = subject().revocation(&["DROP {{password}}".to_owned()]).err().unwrap();
        assert_eq!(error.field.as_deref(), Some("revocation_statements[0]"));
    }
}
