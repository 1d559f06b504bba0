//! The load of benches/leases.sh: issues leases over HTTP, renews and revokes each of them, at one number of concurrent callers,
//! and prints a row of rates and latencies for each. `ADDRESS TOKEN PATH CALLERS LEASES`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a bench ends by panicking"
)]

use futures_util::StreamExt;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const ISSUE: &str =
    "mutation($input: IssueCredentialsInput!) { issueCredentials(input: $input) { lease { leaseId } } }";
const RENEW: &str = "mutation($input: RenewLeaseInput!) { renewLease(input: $input) { lease { state } } }";
const REVOKE: &str = "mutation($input: RevokeLeaseInput!) { revokeLease(input: $input) { lease { state } } }";

#[derive(Clone)]
struct Server {
    http: reqwest::Client,
    address: String,
    token: String,
}

impl Server {
    async fn ask(&self, query: &str, input: Value) -> (Value, Duration) {
        let started = Instant::now();
        let request = self.http.post(&self.address).bearer_auth(&self.token);
        let body = json!({ "query": query, "variables": { "input": input } });
        let answer: Value = request.json(&body).send().await.unwrap().json().await.unwrap();
        assert!(answer["errors"].is_null(), "{answer}");
        (answer["data"].clone(), started.elapsed())
    }
}

/// Sends all of them, so many at a time.
async fn all(
    server: &Server,
    query: &'static str,
    inputs: Vec<Value>,
    callers: usize,
) -> (Vec<Value>, String) {
    let count = inputs.len();
    let started = Instant::now();
    let calls = inputs.into_iter().map(|input| {
        let server = server.clone();
        async move { server.ask(query, input).await }
    });
    let done: Vec<_> = futures_util::stream::iter(calls).buffer_unordered(callers).collect().await;
    let took = started.elapsed();
    let (answers, mut times): (Vec<_>, Vec<_>) = done.into_iter().unzip();
    times.sort_unstable();
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize].as_secs_f64() * 1000.0;
    let rate = count as f64 / took.as_secs_f64();
    (answers, format!("{rate:.0} | {:.1} | {:.1}", at(0.5), at(0.99)))
}

#[tokio::main]
async fn main() {
    // cargo adds --bench
    let given: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [address, token, path, callers, leases] = given.as_slice() else {
        println!("run benches/leases.sh");
        return;
    };
    let server =
        Server { http: reqwest::Client::new(), address: format!("{address}/graphql"), token: token.clone() };
    let callers: usize = callers.parse().unwrap();
    let leases: usize = leases.parse().unwrap();
    let issue = vec![json!({ "path": path }); leases];
    let (answers, issued) = all(&server, ISSUE, issue, callers).await;
    let ids: Vec<_> =
        answers.iter().map(|answer| answer["issueCredentials"]["lease"]["leaseId"].clone()).collect();
    let inputs = |more: Value| {
        let of = |id: &Value| {
            let mut input = more.clone();
            input["leaseId"] = id.clone();
            input
        };
        ids.iter().map(of).collect::<Vec<_>>()
    };
    let (_, renewed) = all(&server, RENEW, inputs(json!({ "incrementSeconds": 900 })), callers).await;
    let (answers, revoked) = all(&server, REVOKE, inputs(json!({})), callers).await;
    let gone = answers.iter().filter(|answer| answer["revokeLease"]["lease"]["state"] == "REVOKED").count();
    assert_eq!(gone, leases, "every lease is revoked");
    for (work, row) in [("issue", issued), ("renew", renewed), ("revoke", revoked)] {
        println!("| {work} | {callers} | {row} |");
    }
}
