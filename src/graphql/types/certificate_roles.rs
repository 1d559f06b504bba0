//! Certificate roles as clients see them.

use super::certificates::{CertificateType, KeyType};
use crate::graphql::ids::NodeId;
use crate::graphql::scalars::{DateTime, Json, Path, int};
use crate::service::certificates::CertificateRoleView;
use async_graphql::{ID, Object};

pub struct CertificateRole(CertificateRoleView);

impl From<CertificateRoleView> for CertificateRole {
    fn from(view: CertificateRoleView) -> Self {
        Self(view)
    }
}

/// What may be issued at a path, to whoever has `issue` there. Seen by who has `issue` or `list` there, and by who administers
/// `certificates`.
#[Object]
impl CertificateRole {
    /// The id among all nodes: `certificate_role:` and a UUID.
    pub async fn id(&self) -> ID {
        NodeId::CertificateRole(self.0.id).to_string().into()
    }

    /// Where policies allow its use.
    async fn path(&self) -> Path {
        (&self.0.path).into()
    }

    /// The authority that signs; null for the default at the time.
    async fn issuer_serial_number(&self) -> Option<&str> {
        self.0.issuer_serial_number.as_deref()
    }

    /// The kinds of certificates.
    async fn cert_types(&self) -> Vec<CertificateType> {
        self.0.rules.cert_types.iter().map(|kind| (*kind).into()).collect()
    }

    /// The kinds of keys.
    async fn key_types(&self) -> Vec<KeyType> {
        self.0.rules.key_types.iter().map(|kind| (*kind).into()).collect()
    }

    /// The domains that names may be of.
    async fn allowed_domains(&self) -> &[String] {
        &self.0.rules.allowed_domains
    }

    /// Whether those domains themselves may be names.
    async fn allow_bare_domains(&self) -> bool {
        self.0.rules.allow_bare_domains
    }

    /// Whether names below them may be.
    async fn allow_subdomains(&self) -> bool {
        self.0.rules.allow_subdomains
    }

    /// Whether names may begin with `*.`.
    async fn allow_wildcards(&self) -> bool {
        self.0.rules.allow_wildcards
    }

    /// The addresses that may be names, in CIDR notation.
    async fn allowed_ip_ranges(&self) -> Vec<String> {
        self.0.rules.allowed_ip_ranges.iter().map(ToString::to_string).collect()
    }

    /// The URIs that may be names; `*` stands for any characters.
    async fn allowed_uris(&self) -> &[String] {
        &self.0.rules.allowed_uris
    }

    /// Common names beside allowed DNS names and the entity's id; `*` stands for any characters.
    async fn allowed_common_names(&self) -> &[String] {
        &self.0.rules.allowed_common_names
    }

    /// The entities that may be bound; `*` stands for any characters. Empty: the caller's own only.
    async fn allowed_entity_ids(&self) -> &[String] {
        &self.0.rules.allowed_entity_ids
    }

    /// Whether names are taken from the CSR if the request gives none.
    async fn use_csr_names(&self) -> bool {
        self.0.rules.use_csr_names
    }

    /// The organisation in every subject.
    async fn organization(&self) -> Option<&str> {
        self.0.rules.organization.as_deref()
    }

    /// The organisational unit in every subject.
    async fn organizational_unit(&self) -> Option<&str> {
        self.0.rules.organizational_unit.as_deref()
    }

    /// The lifetime if none is asked for, in seconds.
    async fn ttl_seconds(&self) -> i32 {
        int(self.0.ttl_seconds)
    }

    /// The longest lifetime, in seconds.
    async fn max_ttl_seconds(&self) -> i32 {
        int(self.0.max_ttl_seconds)
    }

    /// Whether its certificates can be renewed by their holders.
    async fn renewable(&self) -> bool {
        self.0.renewable
    }

    /// Whether each request waits for approval.
    async fn requires_approval(&self) -> bool {
        self.0.requires_approval
    }

    /// Whether it issues at the moment.
    async fn enabled(&self) -> bool {
        self.0.enabled
    }

    /// What it is for, for people.
    async fn description(&self) -> Option<&str> {
        self.0.description.as_deref()
    }

    /// Labels of the client's own.
    async fn metadata(&self) -> Json {
        Json(self.0.metadata.clone())
    }

    /// When it was made.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// When it was last changed.
    async fn updated_at(&self) -> DateTime {
        self.0.updated_at.into()
    }
}
