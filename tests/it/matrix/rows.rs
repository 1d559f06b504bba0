//! The matrix: one row or more for every field, in an order in which each can succeed.

mod certificates;
mod engines;

/// What a caller needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// Not even a token.
    Nobody,
    AnyToken,
    /// Administration of an area.
    Area(&'static str),
    /// An operation on secrets under `m.`.
    Operation(&'static str),
    /// An operation and an area.
    Both(&'static str, &'static str),
    /// Two areas; either alone is not enough.
    Areas(&'static str, &'static str),
}

/// What must come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    Ok,
    /// No error and no value: as if it did not exist.
    Null,
    /// A connection with nothing in it.
    Empty,
    Code(&'static str),
}

pub struct Row {
    pub field: &'static str,
    /// `<name>` stands for what the scene knows under that name.
    pub query: &'static str,
    pub right: Right,
    /// What a token without the right gets.
    pub without: Want,
    /// What a token gets that may list the secret and no more.
    pub lister: Option<Want>,
    /// What a token with the right gets.
    pub granted: Want,
    /// For what needs no token: what everybody gets.
    pub open: Want,
    /// For what needs no token: what everybody gets while the server is sealed.
    pub sealed: Want,
}

const FORBIDDEN: Want = Want::Code("FORBIDDEN");
const NOT_FOUND: Want = Want::Code("NOT_FOUND");

fn open(field: &'static str, query: &'static str, open: Want, sealed: Want) -> Row {
    Row { field, query, right: Right::Nobody, without: open, lister: None, granted: Want::Ok, open, sealed }
}

fn any(field: &'static str, query: &'static str) -> Row {
    row(field, query, Right::AnyToken, Want::Ok)
}

fn area(area: &'static str, field: &'static str, query: &'static str) -> Row {
    row(field, query, Right::Area(area), FORBIDDEN)
}

fn row(field: &'static str, query: &'static str, right: Right, without: Want) -> Row {
    Row { field, query, right, without, lister: None, granted: Want::Ok, open: Want::Ok, sealed: Want::Ok }
}

/// A change to a secret: who may not know of it is told that it is not there, who may list it that this is not allowed.
fn change(operation: &'static str, field: &'static str, query: &'static str) -> Row {
    Row { lister: Some(FORBIDDEN), ..row(field, query, Right::Operation(operation), NOT_FOUND) }
}

#[allow(clippy::too_many_lines, reason = "it is one table")]
fn queries() -> Vec<Row> {
    use Right::Operation;
    vec![
        open("Query.errorCodes", "{ errorCodes }", Want::Ok, Want::Ok),
        open("Query.sealStatus", "{ sealStatus { sealed } }", Want::Ok, Want::Ok),
        any("Query.me", "{ me { displayName } }"),
        any("Query.auditCheckpoint", "{ auditCheckpoint { hash } }"),
        any(
            "Query.explainAccess",
            "{ explainAccess(input: {path: \"m.secret\", operation: READ}) { allowed } }",
        ),
        area(
            "policies",
            "Query.explainAccess",
            "{ explainAccess(input: {path: \"m.secret\", operation: READ, as: {policies: [\"none\"]}}) { allowed } }",
        ),
        area(
            "policies",
            "Query.explainAccess",
            "{ explainAccess(input: {path: \"m.secret\", operation: READ, as: {roleName: \"m-role\"}}) { allowed } }",
        ),
        Row {
            lister: Some(Want::Ok),
            ..row("Query.secret", "{ secret(path: \"m.secret\") { path } }", Operation("read"), Want::Null)
        },
        Row {
            lister: Some(FORBIDDEN),
            ..row("Secret.data", "{ secret(path: \"m.secret\") { data } }", Operation("read"), Want::Null)
        },
        Row {
            lister: Some(FORBIDDEN),
            ..row(
                "Secret.data",
                "{ secret(path: \"m.secret\") { data(version: 1) } }",
                Operation("read"),
                Want::Null,
            )
        },
        Row {
            lister: Some(Want::Ok),
            ..row(
                "Secret.versions",
                "{ secret(path: \"m.secret\") { versions { nodes { version } } } }",
                Operation("read"),
                Want::Null,
            )
        },
        Row {
            lister: Some(Want::Ok),
            ..row(
                "Query.secrets",
                "{ secrets(prefix: \"m\") { nodes { path } } }",
                Operation("list"),
                Want::Empty,
            )
        },
        Row {
            lister: Some(Want::Ok),
            ..row("Query.node", "{ node(id: \"<secret_node>\") { id } }", Operation("read"), Want::Null)
        },
        Row {
            lister: Some(FORBIDDEN),
            ..row(
                "Query.node",
                "{ node(id: \"<secret_node>\") { ... on Secret { data } } }",
                Operation("read"),
                Want::Null,
            )
        },
        area("policies", "Query.node", "{ node(id: \"<policy_node>\") { id } }"),
        area("roles", "Query.node", "{ node(id: \"<role_node>\") { id } }"),
        area("tokens", "Query.node", "{ node(id: \"<token_node>\") { id } }"),
        area("audit", "Query.node", "{ node(id: \"<event_node>\") { id } }"),
        area("policies", "Query.policy", "{ policy(name: \"none\") { name } }"),
        area("policies", "Query.policies", "{ policies { nodes { name } } }"),
        area("roles", "Query.role", "{ role(name: \"m-role\") { name } }"),
        area("roles", "Query.roles", "{ roles { nodes { name } } }"),
        area("roles", "Role.secretIds", "{ role(name: \"m-role\") { secretIds { nodes { accessor } } } }"),
        area("tokens", "Query.token", "{ token(accessor: \"<victim>\") { accessor } }"),
        area("tokens", "Query.tokens", "{ tokens { nodes { accessor } } }"),
        open(
            "Subscription.sealStatusChanged",
            "subscription { sealStatusChanged { sealed } }",
            Want::Ok,
            Want::Ok,
        ),
        // from the beginning of the log on; who may know of no secret is told nothing
        Row {
            lister: Some(Want::Ok),
            ..row(
                "Subscription.secretChanged",
                "subscription { secretChanged(after: \"MA\", prefix: \"m\") { path } }",
                Right::Operation("list"),
                Want::Null,
            )
        },
        row(
            "Subscription.leaseChanged",
            "subscription { leaseChanged(after: \"MA\") { kind } }",
            Right::Area("leases"),
            Want::Null,
        ),
        area(
            "audit",
            "Subscription.auditEventAdded",
            "subscription { auditEventAdded(after: \"MA\") { node { eventType } } }",
        ),
        area("audit", "Query.auditEvents", "{ auditEvents { nodes { eventType } } }"),
        area("audit", "Query.verifyAudit", "{ verifyAudit { valid } }"),
        area("seal", "Query.rekeyStatus", "{ rekeyStatus { started } }"),
    ]
}

fn secrets() -> Vec<Row> {
    vec![
        change(
            "write",
            "Mutation.putSecret",
            "mutation { putSecret(input: {path: \"m.secret\", data: {k: \"three\"}}) { secret { version } } }",
        ),
        Row {
            lister: None,
            ..change(
                "write",
                "Mutation.putSecret",
                "mutation { putSecret(input: {path: \"m.new\", data: {k: \"v\"}, expectedVersion: 0}) { secret { version } } }",
            )
        },
        change(
            "write",
            "Mutation.patchSecret",
            "mutation { patchSecret(input: {path: \"m.secret\", data: {more: 1}}) { secret { version } } }",
        ),
        change(
            "write",
            "Mutation.rollbackSecret",
            "mutation { rollbackSecret(input: {path: \"m.secret\", toVersion: 1}) { secret { version } } }",
        ),
        change(
            "write",
            "Mutation.updateSecretSettings",
            "mutation { updateSecretSettings(input: {path: \"m.secret\", description: \"x\"}) { secret { version } } }",
        ),
        change(
            "delete",
            "Mutation.deleteSecret",
            "mutation { deleteSecret(input: {path: \"m.secret\", versions: [2]}) { secret { version } } }",
        ),
        change(
            "write",
            "Mutation.restoreSecret",
            "mutation { restoreSecret(input: {path: \"m.secret\", versions: [2]}) { secret { version } } }",
        ),
        Row {
            right: Right::Both("delete", "secrets"),
            ..change(
                "delete",
                "Mutation.destroySecretVersions",
                "mutation { destroySecretVersions(input: {path: \"m.secret\", versions: [2]}) { secret { version } } }",
            )
        },
    ]
}

fn administration() -> Vec<Row> {
    vec![
        area(
            "policies",
            "Mutation.createPolicy",
            "mutation { createPolicy(input: {name: \"m-new\", document: {version: 1, allowed_secrets: [\"x.*\"], allowed_operations: [\"read\"]}}) { policy { name } } }",
        ),
        area(
            "policies",
            "Mutation.updatePolicy",
            "mutation { updatePolicy(input: {name: \"m-new\", document: {version: 1, allowed_secrets: [\"y.*\"], allowed_operations: [\"read\"]}}) { policy { name } } }",
        ),
        area(
            "policies",
            "Mutation.deletePolicy",
            "mutation { deletePolicy(input: {name: \"m-new\"}) { name } }",
        ),
        area(
            "roles",
            "Mutation.createRole",
            "mutation { createRole(input: {name: \"m-new\", policies: [\"area-roles\"]}) { role { name } } }",
        ),
        area(
            "roles",
            "Mutation.updateRole",
            "mutation { updateRole(input: {name: \"m-new\", description: \"x\"}) { role { name } } }",
        ),
        area(
            "roles",
            "Mutation.generateSecretId",
            "mutation { generateSecretId(input: {roleName: \"m-new\"}) { accessor } }",
        ),
        area(
            "roles",
            "Mutation.destroySecretId",
            "mutation { destroySecretId(input: {roleName: \"m-new\", accessor: \"<accessor>\"}) { accessor } }",
        ),
        area("roles", "Mutation.deleteRole", "mutation { deleteRole(input: {name: \"m-new\"}) { name } }"),
        open(
            "Mutation.loginWithAppRole",
            "mutation { loginWithAppRole(input: {roleId: \"<role_id>\", secretId: \"<secret_id>\"}) { accessor } }",
            Want::Ok,
            Want::Code("SEALED"),
        ),
        area(
            "tokens",
            "Mutation.createToken",
            "mutation { createToken(input: {policies: [\"area-tokens\"]}) { accessor } }",
        ),
        area(
            "tokens",
            "Mutation.renewToken",
            "mutation { renewToken(input: {accessor: \"<victim>\"}) { accessor } }",
        ),
        area(
            "tokens",
            "Mutation.revokeToken",
            "mutation { revokeToken(input: {accessor: \"<victim>\"}) { revoked } }",
        ),
        any("Mutation.renewToken", "mutation { renewToken(input: {}) { accessor } }"),
        any("Mutation.revokeToken", "mutation { revokeToken(input: {}) { revoked } }"),
    ]
}

fn seal() -> Vec<Row> {
    let again = Want::Code("CONFLICT");
    let no_share = Want::Code("BAD_USER_INPUT");
    vec![
        open(
            "Mutation.initialize",
            "mutation { initialize(input: {shares: 3, threshold: 2}) { shares } }",
            again,
            again,
        ),
        open(
            "Mutation.unseal",
            "mutation { unseal(input: {share: \"none\"}) { status { sealed } } }",
            // unsealed already: nothing to do
            Want::Ok,
            no_share,
        ),
        open("Mutation.resetUnseal", "mutation { resetUnseal { status { sealed } } }", Want::Ok, Want::Ok),
        area(
            "seal",
            "Mutation.startRekey",
            "mutation { startRekey(input: {shares: 1, threshold: 1}) { status { started } } }",
        ),
        area("seal", "Mutation.cancelRekey", "mutation { cancelRekey { status { started } } }"),
        area(
            "seal",
            "Mutation.startRekey",
            "mutation { startRekey(input: {shares: 1, threshold: 1}) { status { started } } }",
        ),
        area(
            "seal",
            "Mutation.submitRekeyShare",
            "mutation { submitRekeyShare(input: {share: \"<share>\"}) { shares } }",
        ),
        area(
            "seal",
            "Mutation.confirmRekey",
            "mutation { confirmRekey(input: {share: \"<new_share>\"}) { status { complete } } }",
        ),
        area("seal", "Mutation.rotateEncryptionKey", "mutation { rotateEncryptionKey { keyVersion } }"),
        area("seal", "Mutation.seal", "mutation { seal { status { sealed } } }"),
    ]
}

/// All rows; the last one seals the server.
pub fn all() -> Vec<Row> {
    [
        queries(),
        secrets(),
        engines::queries(),
        engines::changes(),
        certificates::all(),
        administration(),
        seal(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
