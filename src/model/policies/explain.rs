//! The words for a decision: which policy and rule decided, and what would be needed.

use super::compiled::Scope;
use super::conditions::{Check, Checks, Circumstances};
use super::evaluate::{Finding, judge};
use super::{Action, CompiledPolicy, Decision, Operation};
use crate::model::duration;
use std::borrow::Cow;
use std::sync::Arc;

/// Most entries in [`Decision::missing`].
const MAX_MISSING: usize = 32;

/// Decides as [`super::evaluate`] does, by the same code, and says why: `reason` is a full sentence, and `missing`
/// is what would be needed. It shows what policies say, so it is for those who may read them.
#[must_use]
pub fn explain(policies: &[Arc<CompiledPolicy>], action: &Action, circumstances: &Circumstances) -> Decision {
    let mut findings = Vec::with_capacity(policies.len());
    let mut decision =
        judge(policies, action, circumstances, |policy, finding| findings.push((policy, finding)));
    let decisive = findings.iter().find_map(|(policy, finding)| match finding {
        Finding::Applies(scope, checks) if decision.decided_by.as_ref() == Some(&policy.name) => {
            (policy.deny != decision.allowed).then_some((*policy, *scope, *checks))
        }
        _ => None,
    });
    let (reason, mut missing) = match decisive {
        Some((policy, scope, _)) if decision.allowed => (allowed(policy, scope, action), Vec::new()),
        Some((policy, scope, checks)) => denied(policy, scope, checks, action),
        None => refused(policies, &findings, action, circumstances),
    };
    missing.truncate(MAX_MISSING);
    decision.reason = Cow::Owned(reason);
    decision.missing = missing;
    decision
}

/// `policy 'app-read' allows read on prod.app.*`, with the verb for the policy's kind.
fn rule(policy: &CompiledPolicy, scope: Scope<'_>, action: &Action) -> String {
    let name = &policy.name;
    let verb = if policy.deny { "denies" } else { "allows" };
    match (scope, action) {
        (Scope::Pattern(pattern), Action::Secret { operation, .. }) => {
            format!("policy '{name}' {verb} {operation} on {pattern}")
        }
        (_, Action::Secret { operation, .. }) => format!("policy '{name}' {verb} {operation} on every path"),
        (_, Action::Administer(area)) => format!("policy '{name}' {verb} administering {area}"),
    }
}

fn allowed(policy: &CompiledPolicy, scope: Scope<'_>, action: &Action) -> String {
    let rule = rule(policy, scope, action);
    match (policy.cap, action.operation()) {
        (Some(cap), Some(Operation::Issue | Operation::Renew)) => {
            format!("{rule} for at most {}", duration::format(cap))
        }
        _ => rule,
    }
}

fn denied(
    policy: &CompiledPolicy,
    scope: Scope<'_>,
    checks: Checks,
    action: &Action,
) -> (String, Vec<String>) {
    let mut reason = rule(policy, scope, action);
    let mut unknown = Vec::new();
    if checks.address == Check::Unknown {
        unknown.push("the source address");
    }
    if checks.ttl == Check::Unknown {
        unknown.push("the requested ttl");
    }
    if !unknown.is_empty() {
        let unknown = unknown.join(" and ");
        reason.push_str(&format!(", and applies since {unknown} is not known, which a condition asks for"));
    }
    let missing = format!(
        "deny_policy: that policy '{}' does not match; it wins over every policy that allows",
        policy.name
    );
    (reason, vec![missing])
}

/// Denied since no policy allows it: those that would but for their conditions, or else what none covers.
fn refused(
    policies: &[Arc<CompiledPolicy>],
    findings: &[(&CompiledPolicy, Finding<'_>)],
    action: &Action,
    circumstances: &Circumstances,
) -> (String, Vec<String>) {
    let mut reasons = Vec::new();
    let mut missing = Vec::new();
    for (policy, finding) in findings {
        if let Finding::Unmet(scope, checks) = finding
            && !policy.deny
        {
            let (only, needed) = unmet(policy, *checks, circumstances);
            reasons.push(format!("{} but only {}", rule(policy, *scope, action), only.join(" and ")));
            missing.extend(needed);
        }
    }
    if let Some(first) = reasons.first() {
        let more = match reasons.len() - 1 {
            0 => String::new(),
            1 => ", and the conditions of one more policy do not hold either".to_owned(),
            more => format!(", and the conditions of {more} more policies do not hold either"),
        };
        return (format!("{first}{more}"), missing);
    }
    if policies.is_empty() {
        missing.push("policies: at least one, since the caller holds none".to_owned());
    }
    match action {
        Action::Administer(area) => {
            missing.push(format!("administers: {area}"));
            (format!("no policy allows administering {area}"), missing)
        }
        Action::Secret { operation, path } => {
            missing.push(format!("allowed_operations: {operation} on a pattern that matches {path}"));
            let near = policies.iter().filter(|policy| !policy.deny).find_map(|policy| {
                policy.path_scope(path).map(|scope| match scope {
                    Scope::Pattern(pattern) => {
                        format!(
                            "; policy '{}' matches it by {pattern}, for {}",
                            policy.name,
                            operations(policy)
                        )
                    }
                    _ => String::new(),
                })
            });
            (format!("no policy allows {operation} on {path}{}", near.unwrap_or_default()), missing)
        }
    }
}

fn operations(policy: &CompiledPolicy) -> String {
    let words: Vec<&str> = Operation::ALL
        .iter()
        .filter(|word| policy.covers_operation(**word))
        .map(|word| word.as_str())
        .collect();
    format!("{} only", words.join(", "))
}

/// What the conditions that do not hold say, and what each of them needs.
fn unmet(
    policy: &CompiledPolicy,
    checks: Checks,
    circumstances: &Circumstances,
) -> (Vec<String>, Vec<String>) {
    let conditions = &policy.conditions;
    let name = &policy.name;
    let (mut only, mut needed) = (Vec::new(), Vec::new());
    if !checks.time.holds(false) {
        let key = if conditions.time_of_day.is_some() { "time_of_day" } else { "days_of_week" };
        let time = conditions.describe_time();
        let now = conditions.describe_now(circumstances.now);
        needed.push(format!("conditions.{key} of policy '{name}': {time}, where it is {now} at that moment"));
        only.push(time);
    }
    if !checks.address.holds(false) {
        let ranges = conditions.describe_ranges();
        let unknown = if checks.address == Check::Unknown { ", and none is known" } else { "" };
        needed
            .push(format!("conditions.ip_ranges of policy '{name}': a source address in {ranges}{unknown}"));
        only.push(format!("from {ranges}"));
    }
    if !checks.ttl.holds(false) {
        let most = conditions.describe_ttl();
        let unknown = if checks.ttl == Check::Unknown { ", and none is given" } else { "" };
        needed.push(format!("conditions.max_ttl of policy '{name}': a ttl of at most {most}{unknown}"));
        only.push(format!("for at most {most}"));
    }
    (only, needed)
}
