//! All policies, compiled: what a node decides with. Rebuilt when a policy changes, not per request.

use crate::error::{Error, Result};
use crate::model::policies::{CompiledPolicy, Document};
use crate::storage::policies::PolicyRow;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

/// The name of the one built-in policy.
pub const ROOT: &str = "root";

static ROOT_POLICY: LazyLock<Arc<CompiledPolicy>> = LazyLock::new(|| Arc::new(CompiledPolicy::root()));

struct Entry {
    /// What it was compiled from.
    row: PolicyRow,
    policy: Arc<CompiledPolicy>,
}

/// Policies by name, and the names that are bound to an entity.
pub struct PolicyBook {
    entries: HashMap<String, Entry>,
    bound: HashMap<String, Vec<String>>,
}

impl PolicyBook {
    /// Compiles what the store holds; what `before` has compiled from the same state of a row is taken over.
    ///
    /// # Errors
    /// A stored document that does not parse: nothing is decided on half of the policies.
    pub fn build(rows: Vec<PolicyRow>, before: Option<&PolicyBook>) -> Result<Self> {
        let mut book = Self { entries: HashMap::with_capacity(rows.len()), bound: HashMap::new() };
        for row in rows {
            for entity in &row.entity_bindings.0 {
                book.bound.entry(entity.clone()).or_default().push(row.name.clone());
            }
            let known = before
                .and_then(|book| book.entries.get(&row.name))
                // all of it: two changes within one tick of the clock have the same time
                .filter(|entry| entry.row == row);
            let policy = match known {
                Some(entry) => Arc::clone(&entry.policy),
                None => Arc::new(compile(&row)?),
            };
            book.entries.insert(row.name.clone(), Entry { row, policy });
        }
        Ok(book)
    }

    /// The policies of a token: those it names, and those bound to any of its entities. A name without a policy gives
    /// nothing. Sorted by name, each once.
    #[must_use]
    pub fn of(&self, names: &[String], entities: &[String]) -> Arc<[Arc<CompiledPolicy>]> {
        let mut wanted: Vec<&str> = names.iter().map(String::as_str).collect();
        for entity in entities {
            wanted.extend(self.bound.get(entity).into_iter().flatten().map(String::as_str));
        }
        wanted.sort_unstable();
        wanted.dedup();
        wanted.into_iter().filter_map(|name| self.get(name)).collect()
    }

    #[must_use]
    pub fn get(&self, name: &str) -> Option<Arc<CompiledPolicy>> {
        if name == ROOT {
            return Some(Arc::clone(&ROOT_POLICY));
        }
        self.entries.get(name).map(|entry| Arc::clone(&entry.policy))
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

fn compile(row: &PolicyRow) -> Result<CompiledPolicy> {
    let document = Document::parse(&row.policy_document)
        .map_err(|_| crate::storage::errors::corrupt("policies", "policy_document", &row.name))?;
    Ok(CompiledPolicy::compile(&row.name, &document, row.deny_policy, row.max_ttl_seconds))
}

/// Names that a token or role may carry: each a possible policy name, at most 64, none twice.
///
/// # Errors
/// `BAD_USER_INPUT` naming the field.
pub fn check_names(field: &'static str, names: &[String]) -> Result<()> {
    if names.len() > 64 {
        return Err(Error::bad_input(field, "at most 64 policies can be named"));
    }
    for (index, name) in names.iter().enumerate() {
        if name != ROOT {
            crate::model::policies::validate_policy_name(name)
                .map_err(|problem| Error::bad_input(format!("{field}[{index}]"), problem))?;
        }
        if names[..index].contains(name) {
            return Err(Error::bad_input(
                format!("{field}[{index}]"),
                "a policy is named twice: name it once",
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::policies::Area;
    use crate::storage::types::TextArray;
    use chrono::DateTime;
    use serde_json::{Value, json};
    use sqlx::types::Json;

    fn row(document: Value, deny_policy: bool) -> PolicyRow {
        PolicyRow {
            id: uuid::Uuid::nil(),
            name: "p".to_owned(),
            description: None,
            policy_document: Json(document),
            entity_bindings: TextArray::default(),
            max_ttl_seconds: None,
            deny_policy,
            created_at: DateTime::UNIX_EPOCH,
            updated_at: DateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn only_the_same_row_is_taken_over() {
        let audit = json!({ "version": 1, "administers": ["audit"] });
        let seal = json!({ "version": 1, "administers": ["seal"] });
        let first = PolicyBook::build(vec![row(audit.clone(), false)], None).unwrap();
        let same = PolicyBook::build(vec![row(audit.clone(), false)], Some(&first)).unwrap();
        assert!(Arc::ptr_eq(&first.get("p").unwrap(), &same.get("p").unwrap()));
        let other = PolicyBook::build(vec![row(seal, false)], Some(&first)).unwrap();
        assert!(other.get("p").unwrap().covers_area(Area::Seal));
        let deny = PolicyBook::build(vec![row(audit, true)], Some(&first)).unwrap();
        assert!(deny.get("p").unwrap().is_deny());
    }
}
