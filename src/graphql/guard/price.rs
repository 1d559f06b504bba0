//! What an operation costs its caller's budget: about the work it makes, in units of one field.

use super::OperationMeasure;
use async_graphql::parser::types::OperationType;

/// A mutation is a transaction with its record.
const MUTATION: u64 = 10;
/// Bytes of a text that are scanned, parsed and measured for one unit.
const BYTES_PER_UNIT: usize = 256;

/// Fields that take far more work than their number says: what is checked against secrets, signed, made by an engine at its target,
/// read through as a whole, or answered with the whole schema. In the order of their names.
pub(crate) const SURCHARGES: [(&str, u64); 30] = [
    ("__schema", 500),
    ("__type", 20),
    ("approveEnrollment", 20),
    ("bindSecretAccount", 50),
    ("createIntermediateCa", 200),
    ("createRootCa", 200),
    ("disableEngine", 50),
    ("enableEngine", 100),
    ("healEngineDrift", 200),
    ("importCa", 50),
    ("initialize", 50),
    ("issueCertificate", 50),
    ("issueCredentials", 50),
    ("loginWithAppRole", 15),
    ("loginWithCertificate", 15),
    ("putEngineRole", 100),
    ("renewCertificate", 20),
    ("renewLease", 20),
    ("requestIntermediateCa", 200),
    ("revokeLease", 20),
    ("revokeLeases", 50),
    ("rotateEncryptionKey", 100),
    ("rotateEngineRoot", 100),
    ("rotateSecret", 50),
    ("signCertificate", 20),
    ("startRekey", 50),
    ("submitRekeyShare", 50),
    ("unseal", 50),
    ("updateEngine", 100),
    ("verifyAudit", 1_000),
];

/// The surcharge of a field of this name.
pub(super) fn surcharge(field: &str) -> u64 {
    SURCHARGES.binary_search_by_key(&field, |(name, _)| name).map_or(0, |at| SURCHARGES[at].1)
}

/// What executing an operation costs.
#[must_use]
pub fn price(operation: &OperationMeasure) -> u64 {
    let cost = &operation.cost;
    let mutations = match operation.operation_type {
        OperationType::Mutation => cost.root_fields.saturating_mul(MUTATION),
        OperationType::Query | OperationType::Subscription => 0,
    };
    cost.complexity.max(1).saturating_add(mutations).saturating_add(cost.surcharge)
}

/// What looking at a request costs, before it is known what it asks: a text that is refused is not free.
#[must_use]
pub fn of_text(bytes: usize) -> u64 {
    1 + (bytes / BYTES_PER_UNIT) as u64
}
