//! Lists in pages: whichever way one is walked the same entries come, and a page says truly whether there is more.

use crate::certificates::outside::csr;
use crate::support::{Options, Server, Store, plugins};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Entries of each list, at least.
const ENTRIES: usize = 5;
const PAGE: &str = "first: $first, after: $after, last: $last, before: $before";

/// Every connection of the schema: its place, and the query that asks for it. `PAGE` stands for the paging arguments.
const LISTS: [(&str, &str); 15] = [
    ("Query.auditEvents", "list: auditEvents(filter: {eventTypes: [\"policy.created\"]}, PAGE)"),
    ("Query.authorities", "list: authorities(PAGE)"),
    ("Query.certificateRoles", "list: certificateRoles(PAGE)"),
    ("Query.certificates", "list: certificates(PAGE)"),
    ("Query.engines", "list: engines(PAGE)"),
    ("Query.enrollments", "list: enrollments(PAGE)"),
    ("Query.intermediateCaRequests", "list: intermediateCaRequests(PAGE)"),
    ("Query.leases", "list: leases(PAGE)"),
    ("Query.leases", "list: leases(orderBy: EXPIRES_AT, PAGE)"),
    ("Query.policies", "list: policies(PAGE)"),
    ("Query.roles", "list: roles(PAGE)"),
    ("Query.secrets", "list: secrets(PAGE)"),
    ("Query.tokens", "list: tokens(PAGE)"),
    ("Role.secretIds", "role(name: \"r-0\") { list: secretIds(PAGE)"),
    ("Secret.versions", "secret(path: \"s.n0\") { list: versions(PAGE)"),
];

both_stores!(both_ways_show_the_same);

async fn both_ways_show_the_same(store: Store) {
    let server = filled(store).await;
    assert_eq!(
        connections_of_the_schema(&server).await,
        LISTS.iter().map(|(place, _)| (*place).to_owned()).collect()
    );
    for (place, field) in LISTS {
        let list = List { server: &server, place, field };
        let all = list.page(json!({"first": 100})).await;
        assert!(all.cursors.len() >= ENTRIES, "{place} has {} entries", all.cursors.len());
        assert_eq!((all.previous, all.next), (false, false), "{place}");
        list.walk(&all.cursors).await;
        list.within(&all.cursors).await;
        list.refusals(&all.cursors[0]).await;
    }
}

struct List<'a> {
    server: &'a Server,
    place: &'static str,
    field: &'static str,
}

struct Page {
    cursors: Vec<String>,
    previous: bool,
    next: bool,
}

impl List<'_> {
    fn query(&self) -> String {
        let nested = if self.place.starts_with("Query.") { "" } else { "}" };
        format!(
            "query($first: Int, $after: String, $last: Int, $before: String) {{ {} {{
               edges {{ cursor node {{ __typename }} }} nodes {{ __typename }}
               pageInfo {{ hasNextPage hasPreviousPage startCursor endCursor }} }} {nested} }}",
            self.field.replace("PAGE", PAGE)
        )
    }

    async fn page(&self, arguments: Value) -> Page {
        let place = self.place;
        let data = self.server.as_root(&self.query(), arguments.clone()).await.ok();
        let list =
            data.pointer("/list").or_else(|| data.as_object().unwrap().values().next()?.get("list")).unwrap();
        let edges = list["edges"].as_array().unwrap();
        assert_eq!(edges.len(), list["nodes"].as_array().unwrap().len(), "{place} {arguments}");
        let info = &list["pageInfo"];
        let end = |edge: Option<&Value>| edge.map_or(Value::Null, |edge| edge["cursor"].clone());
        assert_eq!(info["startCursor"], end(edges.first()), "{place} {arguments}");
        assert_eq!(info["endCursor"], end(edges.last()), "{place} {arguments}");
        Page {
            cursors: edges.iter().map(|edge| edge["cursor"].as_str().unwrap().to_owned()).collect(),
            previous: info["hasPreviousPage"].as_bool().unwrap(),
            next: info["hasNextPage"].as_bool().unwrap(),
        }
    }

    /// Page by page from either end, by pages of different sizes.
    async fn walk(&self, all: &[String]) {
        let place = self.place;
        assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), all.len(), "{place} repeats a cursor");
        for size in [1, 2, ENTRIES, 100] {
            let (mut seen, mut after) = (0, None);
            while seen < all.len() {
                let page = self.page(json!({"first": size, "after": after})).await;
                let end = (seen + size).min(all.len());
                assert_eq!(page.cursors, all[seen..end], "{place} forward by {size}");
                assert_eq!(
                    (page.previous, page.next),
                    (seen > 0, end < all.len()),
                    "{place} forward by {size}"
                );
                (seen, after) = (end, page.cursors.last().cloned());
            }
            let (mut left, mut before) = (all.len(), None);
            while left > 0 {
                let page = self.page(json!({"last": size, "before": before})).await;
                let start = left.saturating_sub(size);
                assert_eq!(page.cursors, all[start..left], "{place} backward by {size}");
                assert_eq!(
                    (page.previous, page.next),
                    (start > 0, left < all.len()),
                    "{place} backward by {size}"
                );
                (left, before) = (start, page.cursors.first().cloned());
            }
        }
    }

    /// Between two cursors, and beyond the ends.
    async fn within(&self, all: &[String]) {
        let place = self.place;
        let (start, end) = (&all[0], &all[all.len() - 1]);
        let inner = &all[1..all.len() - 1];
        for (argument, expected) in [("first", &inner[..2]), ("last", &inner[inner.len() - 2..])] {
            let page = self.page(json!({argument: 2, "after": start, "before": end})).await;
            assert_eq!(page.cursors, expected, "{place}: {argument} 2 between the ends");
        }
        let page = self.page(json!({"first": 2, "after": end})).await;
        assert_eq!((page.cursors.len(), page.next), (0, false), "{place} after its end");
        let page = self.page(json!({"last": 2, "before": start})).await;
        assert_eq!((page.cursors.len(), page.previous), (0, false), "{place} before its start");
        // neither number: a page from the start, as long as a page is
        let page = self.page(json!({"before": end})).await;
        assert_eq!(page.cursors, all[..all.len() - 1], "{place} before its last");
    }

    async fn refusals(&self, cursor: &str) {
        for (arguments, field) in [
            (json!({"first": 1, "last": 1}), "first"),
            (json!({"first": 0}), "first"),
            (json!({"first": 101}), "first"),
            (json!({"last": 0}), "last"),
            (json!({"last": -1}), "last"),
            (json!({"last": 101, "before": cursor}), "last"),
            (json!({"after": "no cursor"}), "after"),
            (json!({"last": 1, "before": "AA"}), "before"),
        ] {
            let reply = self.server.as_root(&self.query(), arguments.clone()).await;
            reply.refused("BAD_USER_INPUT");
            assert_eq!(reply.field(), Some(field), "{} {arguments}: {}", self.place, reply.body);
        }
    }
}

async fn connections_of_the_schema(server: &Server) -> BTreeSet<String> {
    let query = "{ __schema { types { name fields { name type { kind ofType { name } } } } } }";
    let data = server.as_root(query, json!({})).await.ok();
    let mut places = BTreeSet::new();
    for kind in data["__schema"]["types"].as_array().unwrap() {
        for field in kind["fields"].as_array().into_iter().flatten() {
            if field["type"]["ofType"]["name"].as_str().is_some_and(|name| name.ends_with("Connection")) {
                places.insert(format!(
                    "{}.{}",
                    kind["name"].as_str().unwrap(),
                    field["name"].as_str().unwrap()
                ));
            }
        }
    }
    places
}

/// A server with some of everything that is listed.
pub async fn filled(store: Store) -> Server {
    let options = Options { shares: (1, 1), config: plugins::section("hostile"), ..Options::server() };
    let mut server = Server::start(store, options).await;
    server.initialize().await;
    server.unseal().await;
    let root = server.root.clone();
    let run = async |query: &str, variables: Value| server.as_root(query, variables).await.ok();
    let nothing = json!({"version": 1, "allowed_secrets": ["unrelated.*"], "allowed_operations": ["read"]});
    let request = csr("/CN=p.example", &[]);
    for n in 0..ENTRIES {
        server.put(&root, "s.n0", json!({"n": n})).await.ok();
        server.put(&root, &format!("s.n{}", n + 1), json!({"n": n})).await.ok();
        server.create_policy(&format!("p-{n}"), nothing.clone()).await;
        server.create_role(&format!("r-{n}"), json!({"policies": ["p-0"]})).await;
        server.generate_secret_id("r-0", json!({})).await;
        server.token_with(&["p-0"], json!({})).await;
        run(
            "mutation($input: CreateRootCaInput!) { createRootCa(input: $input) { certificate { id } } }",
            json!({"input": {"commonName": format!("Root {n}"), "makeDefault": n == 0}}),
        )
        .await;
        run(
            "mutation($input: RequestIntermediateCaInput!) { requestIntermediateCa(input: $input) { requestId } }",
            json!({"input": {"commonName": format!("Waits {n}")}}),
        )
        .await;
        let rules = json!({"path": format!("pki.p{n}"), "certTypes": ["SERVER"], "requiresApproval": true,
            "allowedDomains": ["p.example"], "allowBareDomains": true});
        run(
            "mutation($input: CertificateRoleInput!) { putCertificateRole(input: $input) { role { path } } }",
            json!({ "input": rules }),
        )
        .await;
        run(
            "mutation($input: SignCertificateInput!) { signCertificate(input: $input) { enrollment { state } } }",
            json!({"input": {"certType": "SERVER", "csrPem": request, "role": format!("pki.p{n}")}}),
        )
        .await;
        run(
            "mutation($input: EnableEngineInput!) { enableEngine(input: $input) { engine { id } } }",
            json!({"input": {"name": format!("e-{n}"), "kind": "hostile", "config": {"label": "plain"}}}),
        )
        .await;
    }
    let role = json!({"path": "s.dynamic", "engine": "e-0", "config": {"do": "nothing", "with": ""}, "rehearse": false});
    run(
        "mutation($input: EngineRoleInput!) { putEngineRole(input: $input) { secret { path } } }",
        json!({ "input": role }),
    )
    .await;
    for _ in 0..ENTRIES {
        run("mutation { issueCredentials(input: {path: \"s.dynamic\"}) { lease { id } } }", json!({})).await;
    }
    server
}
