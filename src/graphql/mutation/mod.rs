//! What can be changed, one file per noun. Each mutation takes one `input` and returns one payload.

mod certificate_authorities;
mod certificate_roles;
mod certificates;
mod engines;
mod leases;
mod policies;
mod roles;
mod seal;
mod secrets;
mod tokens;

use async_graphql::MergedObject;

/// What can be changed. Everything but the logins, `initialize` and the unsealing needs a token. A change is answered
/// only after it and its audit event are on disk.
#[derive(MergedObject, Default)]
#[graphql(name = "Mutation")]
pub struct MutationRoot(
    seal::SealMutation,
    tokens::TokenMutation,
    secrets::SecretMutation,
    policies::PolicyMutation,
    roles::RoleMutation,
    engines::EngineMutation,
    leases::LeaseMutation,
    certificate_authorities::AuthorityMutation,
    certificate_roles::CertificateRoleMutation,
    certificates::CertificateMutation,
);
