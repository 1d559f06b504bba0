//! The one evaluator. It neither allocates nor formats: [`super::explain`] listens to it and finds the words.

use super::compiled::Scope;
use super::conditions::{Checks, Circumstances};
use super::{Area, CompiledPolicy, Operation};
use crate::model::paths::SecretPath;
use std::borrow::Cow;
use std::sync::Arc;

/// What someone wants to do.
#[derive(Debug, Clone, Copy)]
pub enum Action<'a> {
    Secret { operation: Operation, path: &'a SecretPath },
    Administer(Area),
}

impl Action<'_> {
    /// What it does with a secret, if it is that.
    pub(super) fn operation(&self) -> Option<Operation> {
        match self {
            Self::Secret { operation, .. } => Some(*operation),
            Self::Administer(_) => None,
        }
    }
}

/// Whether someone may, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub allowed: bool,
    /// The policy that allowed or denied it; `None` if it is denied since none allows it.
    pub decided_by: Option<Arc<str>>,
    /// A short fixed text from [`evaluate`], a full sentence from [`super::explain`].
    pub reason: Cow<'static, str>,
    /// What would be needed, if it is denied. Only [`super::explain`] fills this.
    pub missing: Vec<String>,
    /// If it is allowed, cap on the lifetime of what is issued, in seconds; `None` is no cap by policy.
    pub max_ttl_seconds: Option<i64>,
}

/// What one policy has to say about an action.
#[derive(Debug, Clone, Copy)]
pub(super) enum Finding<'p> {
    OutOfScope,
    /// In scope, but its conditions do not hold.
    Unmet(Scope<'p>, Checks),
    /// In scope, and its conditions hold (or, in a deny policy, are in doubt).
    Applies(Scope<'p>, Checks),
}

/// Decides whether the holder of these policies may do this. [`super`] has the rules.
#[must_use]
pub fn evaluate(
    policies: &[Arc<CompiledPolicy>],
    action: &Action,
    circumstances: &Circumstances,
) -> Decision {
    judge(policies, action, circumstances, |_, _| {})
}

/// Decides, and tells `listen` what each policy had to say. A deny policy that applies ends it; once a policy without
/// a cap allows, others that allow are not asked, since none can do better.
pub(super) fn judge<'p>(
    policies: &'p [Arc<CompiledPolicy>],
    action: &Action,
    circumstances: &Circumstances,
    mut listen: impl FnMut(&'p CompiledPolicy, Finding<'p>),
) -> Decision {
    let mut best: Option<&CompiledPolicy> = None;
    let mut unmet = false;
    for policy in policies {
        let settled = best.is_some_and(|best| best.cap.is_none());
        if settled && !policy.deny {
            continue;
        }
        let finding = find(policy, action, circumstances);
        listen(policy, finding);
        match finding {
            Finding::OutOfScope => {}
            Finding::Unmet(..) => unmet |= !policy.deny,
            Finding::Applies(..) if policy.deny => {
                return Decision {
                    allowed: false,
                    decided_by: Some(Arc::clone(&policy.name)),
                    reason: Cow::Borrowed("a deny policy forbids this"),
                    missing: Vec::new(),
                    max_ttl_seconds: None,
                };
            }
            Finding::Applies(..) => {
                if best.is_none_or(|best| is_higher(policy.cap, best.cap)) {
                    best = Some(policy);
                }
            }
        }
    }
    let reason = match best {
        Some(_) => "a policy allows this",
        None if unmet => "the conditions of the policies that allow this do not hold",
        None => "no policy allows this",
    };
    Decision {
        allowed: best.is_some(),
        decided_by: best.map(|policy| Arc::clone(&policy.name)),
        reason: Cow::Borrowed(reason),
        missing: Vec::new(),
        max_ttl_seconds: best.and_then(|policy| policy.cap),
    }
}

fn find<'p>(policy: &'p CompiledPolicy, action: &Action, circumstances: &Circumstances) -> Finding<'p> {
    let Some(scope) = policy.scope(action) else { return Finding::OutOfScope };
    let checks = policy.conditions.check(action.operation(), circumstances);
    if checks.hold(policy.deny) { Finding::Applies(scope, checks) } else { Finding::Unmet(scope, checks) }
}

/// Whether one cap leaves more than another.
fn is_higher(cap: Option<i64>, than: Option<i64>) -> bool {
    match (cap, than) {
        (_, None) => false,
        (None, Some(_)) => true,
        (Some(cap), Some(than)) => cap > than,
    }
}

/// Whether the operation may be allowed on some path, `prefix` itself or one below it (`None`: any path at all).
/// A list can be left unread if not; what it finds is still to be [`evaluate`]d path by path.
#[must_use]
pub fn may_allow_below(
    policies: &[Arc<CompiledPolicy>],
    operation: Operation,
    prefix: Option<&SecretPath>,
) -> bool {
    policies.iter().any(|policy| {
        !policy.deny
            && policy.covers_operation(operation)
            && prefix.is_none_or(|prefix| policy.may_match_below(prefix))
    })
}

#[cfg(test)]
#[path = "evaluate_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "evaluate_properties.rs"]
mod properties;
