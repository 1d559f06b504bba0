//! The types that clients see, one file per noun.

pub mod audit;
pub mod certificate_authorities;
pub mod certificate_roles;
pub mod certificates;
pub mod changes;
pub mod codes;
pub mod engines;
pub mod enrollments;
pub mod leases;
pub mod policies;
pub mod roles;
pub mod seal;
pub mod secrets;
pub mod tokens;

use async_graphql::{ID, Interface};

/// Anything with an id of its own, to be fetched again with `node(id:)`.
#[derive(Interface)]
#[graphql(field(
    name = "id",
    ty = "ID",
    desc = "The id among all nodes: readable, typed and stable, such as `secret:0190163d-8694-739b-aea5-966c26f8ad91`."
))]
pub enum Node {
    Secret(secrets::Secret),
    Policy(policies::Policy),
    Role(roles::Role),
    Engine(engines::Engine),
    Lease(leases::Lease),
    Certificate(certificates::Certificate),
    CertificateAuthority(certificate_authorities::CertificateAuthority),
    CertificateRole(certificate_roles::CertificateRole),
    Enrollment(enrollments::Enrollment),
    IntermediateCaRequest(certificate_authorities::IntermediateCaRequest),
    EngineRole(engines::EngineRole),
    Token(tokens::Token),
    AuditEvent(audit::AuditEvent),
}
