use super::*;
use crate::model::policies::{Document, explain};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};

fn path(text: &str) -> SecretPath {
    SecretPath::parse(text).unwrap()
}

fn policy(name: &str, document: &Value, deny: bool, max_ttl_seconds: Option<i64>) -> Arc<CompiledPolicy> {
    Arc::new(CompiledPolicy::compile(name, &Document::parse(document).unwrap(), deny, max_ttl_seconds))
}

fn secrets(patterns: &[&str], operations: &[&str], conditions: &Value) -> Value {
    json!({ "version": 1, "allowed_secrets": patterns, "allowed_operations": operations, "conditions": conditions })
}

fn circumstances(ttl_seconds: Option<i64>) -> Circumstances {
    let now = DateTime::parse_from_rfc3339("2026-01-08T18:05:00Z").unwrap().with_timezone(&Utc); // a Thursday
    Circumstances { now, source_ip: Some("10.1.2.3".parse().unwrap()), ttl_seconds }
}

fn run(
    policies: &[Arc<CompiledPolicy>],
    operation: Operation,
    at: &str,
    circumstances: &Circumstances,
) -> Decision {
    let path = path(at);
    let action = Action::Secret { operation, path: &path };
    let decision = evaluate(policies, &action, circumstances);
    let explained = explain(policies, &action, circumstances);
    assert_eq!(
        (decision.allowed, &decision.decided_by, decision.max_ttl_seconds),
        (explained.allowed, &explained.decided_by, explained.max_ttl_seconds)
    );
    assert_eq!(explained.allowed, explained.missing.is_empty(), "{explained:?}");
    explained
}

#[test]
fn default_deny_and_what_would_be_needed() {
    let here = circumstances(None);
    let decision = run(&[], Operation::Write, "prod.app.x", &here);
    assert!(!decision.allowed && decision.decided_by.is_none());
    assert_eq!(decision.reason, "no policy allows write on prod.app.x");
    assert_eq!(decision.missing[0], "policies: at least one, since the caller holds none");
    let read = policy("app-read", &secrets(&["prod.app.*"], &["read", "list"], &json!({})), false, None);
    let decision = run(&[read], Operation::Write, "prod.app.x", &here);
    assert_eq!(
        decision.reason,
        "no policy allows write on prod.app.x; policy 'app-read' matches it by prod.app.*, for read, list only"
    );
    assert_eq!(decision.missing, ["allowed_operations: write on a pattern that matches prod.app.x"]);
}

#[test]
fn conditions_are_named() {
    let conditions = json!({ "time_of_day": "08:00-18:00", "time_zone": "Europe/Berlin", "days_of_week": ["mon", "fri"],
                             "ip_ranges": ["192.0.2.0/24"] });
    let read = policy("app-read", &secrets(&["prod.app.*"], &["read"], &conditions), false, None);
    let decision = run(&[read], Operation::Read, "prod.app.x", &circumstances(None));
    assert_eq!(
        decision.reason,
        "policy 'app-read' allows read on prod.app.* but only 08:00-18:00 Europe/Berlin on mon,fri and from 192.0.2.0/24"
    );
    assert_eq!(
        decision.missing,
        [
            "conditions.time_of_day of policy 'app-read': 08:00-18:00 Europe/Berlin on mon,fri, where it is thu 19:05 at that moment",
            "conditions.ip_ranges of policy 'app-read': a source address in 192.0.2.0/24",
        ]
    );
}

#[test]
fn deny_wins_over_everything() {
    let here = circumstances(None);
    let deny = policy("no-prod", &secrets(&["prod.*"], &["read"], &json!({})), true, None);
    let root = Arc::new(CompiledPolicy::root());
    for policies in [[Arc::clone(&root), Arc::clone(&deny)], [deny, root]] {
        let decision = run(&policies, Operation::Read, "prod.x", &here);
        assert!(!decision.allowed);
        assert_eq!(decision.decided_by.as_deref(), Some("no-prod"));
        assert_eq!(decision.reason, "policy 'no-prod' denies read on prod.*");
        assert!(run(&policies, Operation::Write, "prod.x", &here).allowed);
        assert!(run(&policies, Operation::Read, "test.x", &here).allowed);
    }
}

#[test]
fn doubt_never_gives_access() {
    let ranges = json!({ "ip_ranges": ["10.0.0.0/8"] });
    let unknown = Circumstances { source_ip: None, ..circumstances(None) };
    let allow = policy("allow", &secrets(&["*"], &["read"], &ranges), false, None);
    assert!(run(&[Arc::clone(&allow)], Operation::Read, "a", &circumstances(None)).allowed);
    let decision = run(&[allow], Operation::Read, "a", &unknown);
    assert!(!decision.allowed && decision.missing[0].ends_with("and none is known"), "{decision:?}");

    let deny =
        policy("deny", &secrets(&["*"], &["read"], &json!({ "ip_ranges": ["192.0.2.0/24"] })), true, None);
    let policies = [Arc::new(CompiledPolicy::root()), deny];
    assert!(run(&policies, Operation::Read, "a", &circumstances(None)).allowed);
    let decision = run(&policies, Operation::Read, "a", &unknown);
    assert!(!decision.allowed && decision.reason.contains("the source address is not known"), "{decision:?}");

    // A deny policy whose other condition surely fails does not match, whatever is unknown.
    let night = json!({ "ip_ranges": ["192.0.2.0/24"], "time_of_day": "00:00-06:00" });
    let deny = policy("deny", &secrets(&["*"], &["read"], &night), true, None);
    assert!(run(&[Arc::new(CompiledPolicy::root()), deny], Operation::Read, "a", &unknown).allowed);
}

#[test]
fn the_most_generous_grant_decides_the_cap() {
    let issue = |name, most: Option<&str>, cap| {
        let conditions = most.map_or(json!({}), |most| json!({ "max_ttl": most }));
        policy(name, &secrets(&["db.*"], &["issue", "read"], &conditions), false, cap)
    };
    let (short, long, both) = (
        issue("short", Some("1h"), None),
        issue("long", None, Some(7200)),
        issue("both", Some("4h"), Some(1800)),
    );
    let run = |policies: &[&Arc<CompiledPolicy>], ttl| {
        let policies: Vec<_> = policies.iter().map(|policy| Arc::clone(policy)).collect();
        let decision = run(&policies, Operation::Issue, "db.x", &circumstances(ttl));
        (decision.decided_by.as_deref().map(str::to_owned), decision.max_ttl_seconds)
    };
    let by = |name: &str, cap| (Some(name.to_owned()), cap);
    assert_eq!(run(&[&short], Some(3600)), by("short", Some(3600)));
    assert_eq!(run(&[&short], Some(3601)), (None, None));
    assert_eq!(run(&[&short], None), (None, None));
    assert_eq!(run(&[&long], Some(99_999)), by("long", Some(7200)));
    assert_eq!(run(&[&both], Some(14_400)), by("both", Some(1800)));
    assert_eq!(run(&[&both], Some(14_401)), (None, None));
    assert_eq!(run(&[&short, &long, &both], Some(60)), by("long", Some(7200)));
    assert_eq!(run(&[&both, &short], Some(3600)), by("short", Some(3600)));
    assert_eq!(run(&[&both, &short], Some(7200)), by("both", Some(1800)));
    let root = Arc::new(CompiledPolicy::root());
    assert_eq!(run(&[&short, &root, &long], Some(60)), by("root", None));
}

#[test]
fn areas_are_apart_from_secrets_and_can_be_denied() {
    let here = circumstances(None);
    let admin = policy("admins", &json!({ "version": 1, "administers": ["policies"] }), false, None);
    let deny = policy("no-seal", &json!({ "version": 1, "administers": ["seal"] }), true, None);
    let root = Arc::new(CompiledPolicy::root());
    assert!(evaluate(&[Arc::clone(&admin)], &Action::Administer(Area::Policies), &here).allowed);
    let refused = explain(&[Arc::clone(&admin)], &Action::Administer(Area::Seal), &here);
    assert_eq!((refused.allowed, refused.missing), (false, vec!["administers: seal".to_owned()]));
    assert!(!run(&[admin], Operation::Read, "policies", &here).allowed);
    for area in Area::ALL {
        assert!(evaluate(&[Arc::clone(&root)], &Action::Administer(*area), &here).allowed);
        let denied = explain(&[Arc::clone(&root), Arc::clone(&deny)], &Action::Administer(*area), &here);
        assert_eq!(denied.allowed, *area != Area::Seal, "{denied:?}");
    }
    // A name gives no power.
    let named = policy("admin-root", &secrets(&["a"], &["read"], &json!({})), false, None);
    assert!(!evaluate(&[named], &Action::Administer(Area::Policies), &here).allowed);
}

#[test]
fn lists_can_be_left_unread() {
    let list = policy("list", &secrets(&["prod.db.*"], &["list"], &json!({})), false, None);
    let policies = [list, policy("deny", &secrets(&["*"], &["list", "read"], &json!({})), true, None)];
    assert!(may_allow_below(&policies, Operation::List, None));
    assert!(may_allow_below(&policies, Operation::List, Some(&path("prod"))));
    assert!(!may_allow_below(&policies, Operation::List, Some(&path("test"))));
    assert!(!may_allow_below(&policies, Operation::Read, None));
    assert!(may_allow_below(&[Arc::new(CompiledPolicy::root())], Operation::Read, Some(&path("any"))));
}
