//! What can be asked, one file per noun.

pub(super) mod audit;
mod certificates;
mod engines;
mod errors;
pub(super) mod leases;
mod node;
mod policies;
mod roles;
mod seal;
pub(super) mod secrets;
mod tokens;

use async_graphql::MergedObject;

/// What can be asked. Everything but `sealStatus` and `errorCodes` needs a token, and an unsealed server.
#[derive(MergedObject, Default)]
#[graphql(name = "Query")]
pub struct QueryRoot(
    node::NodeQuery,
    errors::ErrorQuery,
    seal::SealQuery,
    tokens::TokenQuery,
    secrets::SecretQuery,
    policies::PolicyQuery,
    roles::RoleQuery,
    engines::EngineQuery,
    leases::LeaseQuery,
    certificates::CertificateQuery,
    audit::AuditQuery,
);
