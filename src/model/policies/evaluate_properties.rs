//! The evaluator against an oracle that is slow and plain, and what must hold for any policies.

use super::*;
use crate::model::policies::{Document, explain};
use chrono::{DateTime, Timelike};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::net::IpAddr;

fn path(text: &str) -> SecretPath {
    SecretPath::parse(text).unwrap()
}

/// A policy as the oracle sees it: its JSON.
#[derive(Debug, Clone)]
struct Plain {
    document: Value,
    deny: bool,
    cap: Option<i64>,
}

impl Plain {
    fn compiled(&self, name: &str) -> Arc<CompiledPolicy> {
        let document = Document::parse(&self.document).unwrap();
        Arc::new(CompiledPolicy::compile(name, &document, self.deny, self.cap))
    }

    fn list<'a>(&'a self, key: &str) -> Vec<&'a str> {
        let list = self.document.get(key).and_then(Value::as_array);
        list.map(|list| list.iter().map(|entry| entry.as_str().unwrap()).collect()).unwrap_or_default()
    }

    /// `None` for not in scope or conditions surely fail, `Some(sure)` otherwise.
    fn applies(&self, action: &Action, circumstances: &Circumstances) -> Option<bool> {
        let (in_scope, issues) = match action {
            Action::Administer(area) => (self.list("administers").contains(&area.as_str()), false),
            Action::Secret { operation, path } => {
                let matches = |pattern: &&str| match pattern.strip_suffix('*') {
                    Some(head) => path.as_str().starts_with(head),
                    None => path.as_str() == *pattern,
                };
                let word = operation.as_str();
                let on_path = self.list("allowed_secrets").iter().any(matches);
                (
                    on_path && self.list("allowed_operations").contains(&word),
                    word == "issue" || word == "renew",
                )
            }
        };
        if !in_scope {
            return None;
        }
        let (mut fails, mut unsure) = (false, false);
        let conditions = &self.document["conditions"];
        if let Some(window) = conditions["time_of_day"].as_str() {
            let hour = |range: std::ops::Range<usize>| window[range].parse::<u32>().unwrap();
            let (start, end) = (hour(0..2), hour(6..8));
            // Walk the window hour by hour, as a watch would.
            let hours: Vec<u32> =
                (0..24).map(|step| (start + step) % 24).take_while(|hour| *hour != end % 24).collect();
            fails |= !hours.contains(&circumstances.now.hour());
        }
        if let Some(ranges) = conditions["ip_ranges"].as_array() {
            match circumstances.source_ip {
                None => unsure = true,
                Some(address) => {
                    let text = match address {
                        IpAddr::V4(v4) => v4.to_string(),
                        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(v6.to_string(), |v4| v4.to_string()),
                    };
                    // The ranges are all like 10.0.0.0/8.
                    fails |= !ranges
                        .iter()
                        .any(|range| text.split('.').next() == range.as_str().unwrap().split('.').next());
                }
            }
        }
        if let (Some(most), true) = (conditions["max_ttl"].as_str(), issues) {
            match circumstances.ttl_seconds {
                None => unsure = true,
                Some(ttl) => fails |= ttl > most.trim_end_matches('h').parse::<i64>().unwrap() * 3600,
            }
        }
        if fails { None } else { Some(!unsure) }
    }

    fn cap(&self) -> i64 {
        let condition = self.document["conditions"]["max_ttl"].as_str();
        let condition = condition.map(|most| most.trim_end_matches('h').parse::<i64>().unwrap() * 3600);
        self.cap.unwrap_or(i64::MAX).min(condition.unwrap_or(i64::MAX))
    }
}

/// Allowed or not, and with which cap.
fn oracle(policies: &[Plain], action: &Action, circumstances: &Circumstances) -> (bool, Option<i64>) {
    if policies.iter().any(|policy| policy.deny && policy.applies(action, circumstances).is_some()) {
        return (false, None);
    }
    let granting =
        policies.iter().filter(|policy| !policy.deny && policy.applies(action, circumstances) == Some(true));
    match granting.map(Plain::cap).max() {
        None => (false, None),
        Some(cap) => (true, (cap != i64::MAX).then_some(cap)),
    }
}

fn some_of(words: &[&'static str]) -> impl Strategy<Value = Vec<&'static str>> + use<> {
    prop::sample::subsequence(words.to_vec(), 1..=words.len())
}

fn any_plain(deny: impl Strategy<Value = bool>) -> impl Strategy<Value = Plain> {
    let hours = (0u32..24, 1u32..24)
        .prop_map(|(start, length)| format!("{start:02}:00-{:02}:00", (start + length) % 24));
    let conditions = (
        prop::option::weighted(0.3, hours),
        prop::option::weighted(0.3, some_of(&["10.0.0.0/8", "11.0.0.0/8"])),
        prop::option::weighted(0.3, 1i64..5),
    );
    let parts = (
        some_of(&["*", "a.*", "a.b", "a.b.*", "b.*", "b"]),
        some_of(&["read", "issue", "renew", "list"]),
        some_of(&["seal", "audit", "roles"]),
        conditions,
        deny,
        prop::option::of(1i64..20_000),
    );
    parts.prop_map(|(patterns, operations, areas, (window, ranges, ttl), deny, cap)| {
        let mut document = json!({ "version": 1, "allowed_secrets": patterns, "allowed_operations": operations,
                                   "administers": areas, "conditions": {} });
        if let Some(window) = window {
            document["conditions"]["time_of_day"] = json!(window);
        }
        if let Some(ranges) = ranges {
            document["conditions"]["ip_ranges"] = json!(ranges);
        }
        if let Some(ttl) = ttl {
            document["conditions"]["max_ttl"] = json!(format!("{ttl}h"));
        }
        Plain { document, deny, cap }
    })
}

fn any_policies() -> impl Strategy<Value = Vec<Plain>> {
    prop::collection::vec(any_plain(prop::bool::weighted(0.15)), 0..6)
}

#[derive(Debug, Clone)]
enum Wish {
    Secret(Operation, SecretPath),
    Administer(Area),
}

impl Wish {
    fn action(&self) -> Action<'_> {
        match self {
            Self::Secret(operation, path) => Action::Secret { operation: *operation, path },
            Self::Administer(area) => Action::Administer(*area),
        }
    }
}

fn any_wish() -> impl Strategy<Value = Wish> {
    let operation = prop::sample::select(Operation::ALL);
    let at = prop::sample::select(vec!["a", "b", "a.b", "a.b.c", "b.c", "c"]).prop_map(path);
    prop_oneof![
        4 => (operation, at).prop_map(|(operation, path)| Wish::Secret(operation, path)),
        1 => prop::sample::select(Area::ALL).prop_map(Wish::Administer),
    ]
}

fn any_circumstances() -> impl Strategy<Value = Circumstances> {
    let addresses = ["10.1.1.1", "11.1.1.1", "12.1.1.1", "::ffff:10.1.1.1", "2001:db8::1"];
    let address = prop::sample::select(addresses.to_vec()).prop_map(|text| text.parse::<IpAddr>().unwrap());
    (0i64..4_000_000_000, prop::option::weighted(0.8, address), prop::option::weighted(0.8, 1i64..20_000))
        .prop_map(|(seconds, source_ip, ttl_seconds)| Circumstances {
            now: DateTime::from_timestamp(seconds, 0).unwrap(),
            source_ip,
            ttl_seconds,
        })
}

fn compile(policies: &[Plain]) -> Vec<Arc<CompiledPolicy>> {
    policies.iter().enumerate().map(|(n, plain)| plain.compiled(&format!("p{n}"))).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn agrees_with_the_oracle(policies in any_policies(), wish in any_wish(), here in any_circumstances()) {
        let compiled = compile(&policies);
        let decision = evaluate(&compiled, &wish.action(), &here);
        prop_assert_eq!((decision.allowed, decision.max_ttl_seconds), oracle(&policies, &wish.action(), &here));
        let explained = explain(&compiled, &wish.action(), &here);
        prop_assert_eq!((explained.allowed, &explained.decided_by), (decision.allowed, &decision.decided_by));
        prop_assert_eq!(explained.max_ttl_seconds, decision.max_ttl_seconds);
        prop_assert_eq!(explained.missing.is_empty(), explained.allowed);
        prop_assert!(decision.missing.is_empty() && !decision.reason.is_empty() && !explained.reason.is_empty());
    }

    #[test]
    fn one_more_deny_never_grants(policies in any_policies(), deny in any_plain(Just(true)), at in 0usize..6,
                                  wish in any_wish(), here in any_circumstances()) {
        let before = evaluate(&compile(&policies), &wish.action(), &here);
        let mut more = policies;
        more.insert(at.min(more.len()), deny);
        let after = evaluate(&compile(&more), &wish.action(), &here);
        prop_assert!(before.allowed || !after.allowed);
    }

    #[test]
    fn one_more_allow_never_takes_away(policies in any_policies(), allow in any_plain(Just(false)), at in 0usize..6,
                                       wish in any_wish(), here in any_circumstances()) {
        let before = evaluate(&compile(&policies), &wish.action(), &here);
        let mut more = policies;
        more.insert(at.min(more.len()), allow);
        let after = evaluate(&compile(&more), &wish.action(), &here);
        prop_assert!(after.allowed || !before.allowed);
        if before.allowed {
            let cap = |decision: &Decision| decision.max_ttl_seconds.unwrap_or(i64::MAX);
            prop_assert!(cap(&after) >= cap(&before));
        }
    }

    #[test]
    fn order_does_not_matter(policies in any_policies(), turn in 0usize..6, wish in any_wish(), here in any_circumstances()) {
        let compiled = compile(&policies);
        let mut turned = compiled.clone();
        turned.reverse();
        if !turned.is_empty() {
            let by = turn % turned.len();
            turned.rotate_left(by);
        }
        let (one, other) = (evaluate(&compiled, &wish.action(), &here), evaluate(&turned, &wish.action(), &here));
        prop_assert_eq!((one.allowed, one.max_ttl_seconds), (other.allowed, other.max_ttl_seconds));
    }

    #[test]
    fn pruning_never_hides_what_is_allowed(policies in any_policies(), wish in any_wish(), here in any_circumstances(),
                                           prefix in prop::sample::select(vec!["a", "b", "a.b", "c"]).prop_map(path)) {
        if let Wish::Secret(operation, path) = &wish && path.is_within(&prefix) {
            let compiled = compile(&policies);
            if evaluate(&compiled, &wish.action(), &here).allowed {
                prop_assert!(may_allow_below(&compiled, *operation, Some(&prefix)));
            }
        }
    }
}
