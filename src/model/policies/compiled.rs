//! A policy ready to be evaluated.

use super::conditions::Conditions;
use super::{Action, Area, Document, Operation, Pattern};
use crate::model::paths::SecretPath;
use std::sync::Arc;

/// The name of the built-in policy.
pub const ROOT: &str = "root";

/// A policy ready to be evaluated: made once when the policy changes, then shared by all requests.
#[derive(Debug, Clone)]
pub struct CompiledPolicy {
    pub(super) name: Arc<str>,
    pub(super) deny: bool,
    pub(super) conditions: Conditions,
    /// Cap on what is issued, in seconds: the smaller of the policy's own and its condition's.
    pub(super) cap: Option<i64>,
    secrets: Secrets,
    /// A set of [`Operation::bit`].
    operations: u16,
    /// A set of [`Area::bit`].
    areas: u16,
}

#[derive(Debug, Clone)]
enum Secrets {
    /// Every path there is; only `root` has this.
    All,
    Matching(Box<[Pattern]>),
}

/// The part of a policy's scope that an action falls into.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scope<'p> {
    Everything,
    Pattern(&'p Pattern),
    Area,
}

impl CompiledPolicy {
    /// Compiles a policy. `deny` makes it forbid what its document describes. `max_ttl_seconds` caps what is issued
    /// by its leave, `None` being no cap.
    #[must_use]
    pub fn compile(name: &str, document: &Document, deny: bool, max_ttl_seconds: Option<i64>) -> Self {
        let cap = [max_ttl_seconds, document.conditions.max_ttl_seconds()].into_iter().flatten().min();
        Self {
            name: name.into(),
            deny,
            conditions: document.conditions.clone(),
            cap,
            secrets: Secrets::Matching(document.allowed_secrets.clone().into_boxed_slice()),
            operations: document.allowed_operations.iter().fold(0, |set, word| set | word.bit()),
            areas: document.administers.iter().fold(0, |set, word| set | word.bit()),
        }
    }

    /// The built-in policy: every operation on every path, every area, no conditions, no cap.
    #[must_use]
    pub fn root() -> Self {
        Self {
            name: ROOT.into(),
            deny: false,
            conditions: Conditions::default(),
            cap: None,
            secrets: Secrets::All,
            operations: Operation::ALL.iter().fold(0, |set, word| set | word.bit()),
            areas: Area::ALL.iter().fold(0, |set, word| set | word.bit()),
        }
    }

    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Whether it forbids what it describes.
    #[must_use]
    pub fn is_deny(&self) -> bool {
        self.deny
    }

    /// Whether the operation is in its scope, on some path.
    #[must_use]
    pub fn covers_operation(&self, operation: Operation) -> bool {
        self.operations & operation.bit() != 0
    }

    /// Whether the area is in its scope.
    #[must_use]
    pub fn covers_area(&self, area: Area) -> bool {
        self.areas & area.bit() != 0
    }

    /// Whether its scope holds at any time and from anywhere.
    #[must_use]
    pub fn applies_always(&self) -> bool {
        self.conditions.hold_always()
    }

    /// Whether some path, `prefix` itself or one below it, may be in its scope.
    #[must_use]
    pub fn may_match_below(&self, prefix: &SecretPath) -> bool {
        match &self.secrets {
            Secrets::All => true,
            Secrets::Matching(patterns) => patterns.iter().any(|pattern| pattern.may_match_below(prefix)),
        }
    }

    /// The patterns of its scope, or `None` for every path.
    #[must_use]
    pub fn patterns(&self) -> Option<&[Pattern]> {
        match &self.secrets {
            Secrets::All => None,
            Secrets::Matching(patterns) => Some(patterns),
        }
    }

    /// The part of its scope that the path falls into, whatever the operation.
    pub(super) fn path_scope(&self, path: &SecretPath) -> Option<Scope<'_>> {
        match &self.secrets {
            Secrets::All => Some(Scope::Everything),
            Secrets::Matching(patterns) => {
                patterns.iter().find(|pattern| pattern.matches(path)).map(Scope::Pattern)
            }
        }
    }

    /// The part of its scope that the action falls into.
    pub(super) fn scope(&self, action: &Action<'_>) -> Option<Scope<'_>> {
        match action {
            Action::Administer(area) => self.covers_area(*area).then_some(Scope::Area),
            Action::Secret { operation, path } => {
                if self.covers_operation(*operation) {
                    self.path_scope(path)
                } else {
                    None
                }
            }
        }
    }
}
