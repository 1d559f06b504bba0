//! `/metrics` after work of every kind, and that dashboard and alerts ask for what is there.

use crate::pages::filled;
use crate::subscriptions::client::Socket;
use crate::support::{Server, Store};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

both_stores!(work_is_counted);

fn shown(server: &Server) -> impl Future<Output = String> {
    let request = server.http.get(format!("{}/metrics", server.address()));
    async move {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
        assert!(
            answer.headers()["content-type"].to_str().unwrap().starts_with("application/openmetrics-text")
        );
        answer.text().await.unwrap()
    }
}

/// The value of the sample that is written so.
#[track_caller]
fn sample(text: &str, name: &str) -> f64 {
    let line = text.lines().find(|line| line.rsplit_once(' ').is_some_and(|(found, _)| found == name));
    let line = line.unwrap_or_else(|| panic!("{name} is not in\n{text}"));
    line.rsplit_once(' ').unwrap().1.parse().unwrap()
}

async fn work_is_counted(store: Store) {
    let server = filled(store).await;
    let token = server.token_with(&["p-0"], json!({})).await;
    let before = shown(&server).await;
    for _ in 0..3 {
        server.read(&server.root, "s.n0").await.ok();
    }
    server
        .graphql(Some(&token), "query ByMyName { tokens { nodes { id } } }", json!({}))
        .await
        .refused("FORBIDDEN");
    server.graphql(None, "{ me { displayName } }", json!({})).await.refused("UNAUTHENTICATED");
    for mistake in ["{ a-b }", "{ nonsense }", "{ ...F }", "{ secret { data } }"] {
        server.graphql(None, mistake, json!({})).await.refused("BAD_USER_INPUT");
    }
    let mut socket = Socket::ready(&server, Some(&server.root)).await;
    socket.subscribe("1", "subscription { sealStatusChanged { sealed } }", json!({})).await;
    socket.data("1").await;
    let two = "{ me { displayName } sealStatus { sealed } }";
    server.as_root(two, json!({})).await.ok();
    let after = shown(&server).await;
    let grown = |name: &str| {
        let known = before.lines().any(|line| line.starts_with(&format!("{name} ")));
        sample(&after, name) - if known { sample(&before, name) } else { 0.0 }
    };
    for (labels, times) in [
        ("operation=\"secret\",code=\"OK\"", 3.0),
        ("operation=\"tokens\",code=\"FORBIDDEN\"", 1.0),
        ("operation=\"me\",code=\"UNAUTHENTICATED\"", 1.0),
        ("operation=\"(other)\",code=\"BAD_USER_INPUT\"", 3.0),
        ("operation=\"secret\",code=\"BAD_USER_INPUT\"", 1.0),
        ("operation=\"(several)\",code=\"OK\"", 1.0),
        ("operation=\"sealStatusChanged\",code=\"OK\"", 1.0),
    ] {
        assert_eq!(grown(&format!("secrethub_requests_total{{{labels}}}")), times, "{labels}");
    }
    assert!(!after.contains("code=\"INTERNAL\""), "a mistake of a client is counted as a fault:\n{after}");
    assert!(!after.contains("ByMyName"), "what a client writes is no label");
    assert_eq!(grown("secrethub_request_duration_seconds_count{operation=\"secret\"}"), 4.0);
    assert!(grown("secrethub_request_duration_seconds_sum{operation=\"secret\"}") > 0.0);
    // three reads and a refusal are recorded; others may be too
    assert!(grown("secrethub_audit_events_total") >= 4.0);
    assert!(grown("secrethub_ledger_wait_seconds_count") >= 4.0);
    assert!(grown("secrethub_ledger_commit_seconds_count") >= 1.0);
    assert!(grown("secrethub_ledger_batch_size_sum") >= 4.0);
    assert!(grown("secrethub_audit_head_sequence") >= 4.0);
    assert!(grown("secrethub_cache_hits_total{cache=\"secrets\"}") >= 2.0);
    assert!(grown("secrethub_cache_hits_total{cache=\"documents\"}") >= 2.0);
    assert!(grown("secrethub_cache_misses_total{cache=\"documents\"}") >= 1.0);
    for (name, value) in [
        ("secrethub_sealed", 0.0),
        ("secrethub_requests_in_flight", 0.0),
        ("secrethub_leases{state=\"active\"}", 5.0),
        ("secrethub_leases{state=\"revoking\"}", 0.0),
        ("secrethub_leases_live{kind=\"hostile\"}", 5.0),
        ("secrethub_leases_overdue{kind=\"hostile\"}", 0.0),
    ] {
        assert_eq!(sample(&after, name), value, "{name}");
    }
    let engines: f64 = ["idle", "healthy", "degraded", "down"]
        .iter()
        .map(|health| sample(&after, &format!("secrethub_engines{{kind=\"hostile\",health=\"{health}\"}}")))
        .sum();
    assert_eq!(engines, 5.0);
    assert!(sample(&after, "secrethub_store_connections{pool=\"read\"}") >= 1.0);
    let names = names(&after);
    for file in ["deploy/grafana/secrethub.json", "deploy/prometheus/alerts.yaml", "README.md"] {
        asks_for_what_is_there(file, &names);
    }
    every_metric_is_documented(&after);
}

/// Every name that a sample can have, by the families of the text.
fn names(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for line in text.lines() {
        let Some((name, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) else {
            continue;
        };
        let endings: &[&str] = match kind {
            "counter" => &["_total"],
            "histogram" => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        names.extend(endings.iter().map(|ending| format!("{name}{ending}")));
    }
    assert!(names.len() > 25, "{names:?}");
    names
}

fn read(file: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

fn asks_for_what_is_there(file: &str, names: &BTreeSet<String>) {
    let text = read(file);
    let mut seen = 0;
    for (at, _) in text.match_indices("secrethub_") {
        let name: String =
            text[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        // crates and files of engines have such names too
        if name == "secrethub_engine" || name.starts_with("secrethub_engine_") {
            continue;
        }
        seen += 1;
        let family =
            names.iter().any(|known| known.strip_prefix(&name).is_some_and(|end| end.starts_with('_')));
        assert!(
            names.contains(&name) || file == "README.md" && family,
            "{file} names {name}, which is not there"
        );
    }
    assert!(seen > 0, "{file} names no metric");
}

fn every_metric_is_documented(text: &str) {
    let readme = read("README.md");
    let families = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' '));
    let missing: Vec<_> = families.filter(|(name, _)| !readme.contains(&format!("`{name}"))).collect();
    assert!(missing.is_empty(), "the table of metrics in README.md lacks {missing:?}");
}

/// Each panel has a title and queries, and no two lie on each other.
#[test]
fn the_dashboard_is_whole() {
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/secrethub.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    let mut covered = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        assert!(!panel["title"].as_str().unwrap().is_empty());
        let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
        for x in place("x")..place("x") + place("w") {
            for y in place("y")..place("y") + place("h") {
                assert!(x < 24 && covered.insert((x, y)), "{} lies on another panel", panel["title"]);
            }
        }
        if panel["type"] != "row" {
            let targets = panel["targets"].as_array().unwrap();
            assert!(!targets.is_empty());
            for target in targets {
                let query = target["expr"].as_str().unwrap();
                assert!(query.contains("secrethub_"), "{query}");
                assert_eq!(query.matches('(').count(), query.matches(')').count(), "{query}");
            }
        }
    }
    assert!(panels.len() > 15);
    assert!(dashboard["schemaVersion"].as_u64().unwrap() >= 39, "as Grafana 11 has it");
}
