//! The rows of engines and leases. `<lease>` is the one that the row of `issueCredentials` begins, `<root_lease>` one of root's.

use super::{FORBIDDEN, NOT_FOUND, Right, Row, Want, area, change, row};

pub fn queries() -> Vec<Row> {
    use Right::{Area, Operation};
    let lease = "{ lease(leaseId: \"<root_lease>\") { state } }";
    let node = "{ node(id: \"<lease_node>\") { id } }";
    vec![
        area("engines", "Query.enginePlugins", "{ enginePlugins { kind } }"),
        area("engines", "Query.engine", "{ engine(name: \"m-engine\") { name config } }"),
        area("engines", "Query.engines", "{ engines { nodes { name } } }"),
        area("engines", "Query.node", "{ node(id: \"<engine_node>\") { id } }"),
        area(
            "engines",
            "Query.node",
            "{ node(id: \"<engine_role_node>\") { id ... on EngineRole { config } } }",
        ),
        // what may be listed may not be seen in use
        Row { lister: Some(Want::Null), ..row("Query.lease", lease, Operation("revoke"), Want::Null) },
        row("Query.lease", lease, Area("leases"), Want::Null),
        row("Query.leases", "{ leases { nodes { state } } }", Area("leases"), Want::Empty),
        Row { lister: Some(Want::Null), ..row("Query.node", node, Operation("revoke"), Want::Null) },
        row("Query.node", node, Area("leases"), Want::Null),
    ]
}

/// In the order of an engine's life.
pub fn changes() -> Vec<Row> {
    let mut rows = engine_and_role();
    rows.extend(leases());
    rows.extend(accounts());
    rows.extend(ends());
    rows
}

fn engine_and_role() -> Vec<Row> {
    vec![
        area(
            "engines",
            "Mutation.enableEngine",
            "mutation { enableEngine(input: {name: \"m-new\", kind: \"postgresql\", config: {host: \"127.0.0.1\", port: <port>, username: \"secrethub\", password: \"p\", tls: \"disable\"}}) { engine { name } } }",
        ),
        area(
            "engines",
            "Mutation.updateEngine",
            "mutation { updateEngine(input: {name: \"m-new\", kind: \"postgresql\", config: {host: \"127.0.0.1\", port: <port>, username: \"secrethub\", password: \"q\", tls: \"disable\"}}) { engine { name } } }",
        ),
        area(
            "engines",
            "Mutation.putEngineRole",
            "mutation { putEngineRole(input: {path: \"m.role\", engine: \"m-new\", config: {groups: [\"pg_monitor\"]}, rehearse: true}) { secret { path } } }",
        ),
    ]
}

fn leases() -> Vec<Row> {
    use Right::{Area, Operation};
    let renew = "mutation { renewLease(input: {leaseId: \"<root_lease>\"}) { lease { state } } }";
    let revoke = "mutation { revokeLease(input: {leaseId: \"<root_lease>\"}) { lease { state } } }";
    vec![
        change(
            "issue",
            "Mutation.issueCredentials",
            "mutation { issueCredentials(input: {path: \"m.role\"}) { lease { leaseId } } }",
        ),
        Row { lister: Some(NOT_FOUND), ..row("Mutation.renewLease", renew, Operation("renew"), NOT_FOUND) },
        Row {
            lister: Some(NOT_FOUND),
            ..row("Mutation.revokeLease", revoke, Operation("revoke"), NOT_FOUND)
        },
        row(
            "Mutation.revokeLease",
            "mutation { revokeLease(input: {leaseId: \"<lease>\"}) { lease { state } } }",
            Area("leases"),
            NOT_FOUND,
        ),
        area(
            "leases",
            "Mutation.revokeLeases",
            "mutation { revokeLeases(input: {pathPrefix: \"m\"}) { count } }",
        ),
        row(
            "Mutation.revokeLeases",
            "mutation { revokeLeases(input: {engine: \"m-new\", force: true}) { count } }",
            Right::Areas("leases", "engines"),
            FORBIDDEN,
        ),
    ]
}

fn accounts() -> Vec<Row> {
    vec![
        Row {
            lister: Some(FORBIDDEN),
            ..row(
                "Mutation.bindSecretAccount",
                "mutation { bindSecretAccount(input: {path: \"m.account\", engine: \"m-new\", account: \"m_account\"}) { secret { version } } }",
                Right::Both("write", "engines"),
                FORBIDDEN,
            )
        },
        change(
            "rotate",
            "Mutation.rotateSecret",
            "mutation { rotateSecret(input: {path: \"m.account\"}) { secret { version } } }",
        ),
        area(
            "engines",
            "Mutation.unbindSecretAccount",
            "mutation { unbindSecretAccount(input: {path: \"m.account\"}) { path } }",
        ),
        area(
            "engines",
            "Mutation.rotateEngineRoot",
            "mutation { rotateEngineRoot(input: {name: \"m-new\"}) { engine { name } } }",
        ),
        area(
            "engines",
            "Mutation.healEngineDrift",
            "mutation { healEngineDrift(input: {name: \"m-new\"}) { removed } }",
        ),
    ]
}

fn ends() -> Vec<Row> {
    vec![
        area(
            "engines",
            "Mutation.deleteEngineRole",
            "mutation { deleteEngineRole(input: {path: \"m.role\", revokeLeases: true}) { path } }",
        ),
        area(
            "engines",
            "Mutation.disableEngine",
            "mutation { disableEngine(input: {name: \"m-new\", revokeLeases: true}) { name } }",
        ),
    ]
}
