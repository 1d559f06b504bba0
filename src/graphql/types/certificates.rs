//! Certificates, their authorities and roles as clients see them.

use crate::graphql::ids::NodeId;
use crate::graphql::result::{Result, op};
use crate::graphql::scalars::{DateTime, Json, Path, int};
use crate::model::certificates as model;
use crate::service::certificates::{
    self, AuthorityView, CertificateRoleView, CertificateView, EnrollmentView,
};
use async_graphql::{Context, Enum, ID, Object};

/// What a certificate is for.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "model::CertType")]
pub enum CertificateType {
    /// An authority that no other one answers for.
    RootCa,
    /// An authority that another one answers for.
    IntermediateCa,
    /// Proves to servers that an agent is who it is; logs in as an agent.
    AgentClient,
    /// The same for an application.
    AppClient,
    /// The same for an administrator.
    AdminClient,
    /// Proves to clients that a server is who it is.
    Server,
}

/// Algorithm and size of a key.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "model::KeyType")]
pub enum KeyType {
    /// ECDSA on NIST P-256.
    EcP256,
    /// ECDSA on NIST P-384.
    EcP384,
    /// Ed25519 (RFC 8032).
    #[graphql(name = "ED25519")]
    Ed25519,
    /// RSA with 2048 bits.
    #[graphql(name = "RSA_2048")]
    Rsa2048,
    /// RSA with 3072 bits.
    #[graphql(name = "RSA_3072")]
    Rsa3072,
    /// RSA with 4096 bits.
    #[graphql(name = "RSA_4096")]
    Rsa4096,
}

/// Why a certificate is revoked (RFC 5280, 5.3.1).
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "model::RevocationReason")]
pub enum RevocationReason {
    /// No reason is given.
    Unspecified,
    /// Others know the private key.
    KeyCompromise,
    /// Others know the private key of the authority.
    CaCompromise,
    /// The holder belongs elsewhere now.
    AffiliationChanged,
    /// Another certificate takes its place.
    Superseded,
    /// It is no longer needed.
    CessationOfOperation,
    /// The holder may no longer do what it was for.
    PrivilegeWithdrawn,
}

/// How far a request for a certificate that waits for approval has come.
#[derive(Enum, Clone, Copy, PartialEq, Eq)]
#[graphql(remote = "model::EnrollmentState")]
pub enum EnrollmentState {
    /// Nobody has decided yet.
    Pending,
    /// The certificate is issued.
    Approved,
    /// It was turned down.
    Denied,
    /// Nobody decided within seven days.
    Expired,
}

pub struct Certificate(CertificateView);

impl From<CertificateView> for Certificate {
    fn from(view: CertificateView) -> Self {
        Self(view)
    }
}

/// A certificate that was issued here, or an authority that was imported. Seen by who asked for it, by its holder, and by who
/// administers `certificates`; those of authorities by everybody who has a token. Never with a private key.
#[Object]
impl Certificate {
    /// The id among all nodes: `certificate:` and a UUID.
    pub async fn id(&self) -> ID {
        NodeId::Certificate(self.0.id).to_string().into()
    }

    /// Unique with its authority: hex, lower case.
    async fn serial_number(&self) -> &str {
        &self.0.serial_number
    }

    /// SHA-256 of the certificate: hex, lower case. Policies are bound to it as `cert:FINGERPRINT`.
    async fn fingerprint(&self) -> &str {
        &self.0.fingerprint
    }

    /// The certificate itself, PEM.
    async fn certificate_pem(&self) -> &str {
        &self.0.certificate_pem
    }

    /// The certificates above it, PEM, nearest first; empty for a root.
    async fn chain_pem(&self, ctx: &Context<'_>) -> Result<String> {
        Ok(certificates::chain_above(op(ctx)?, &self.0).await?)
    }

    /// Whom it is about (RFC 4514), such as `CN=web,O=Example`.
    async fn subject(&self) -> &str {
        &self.0.subject
    }

    /// Who has signed it (RFC 4514).
    async fn issuer(&self) -> &str {
        &self.0.issuer
    }

    /// The certificate of the authority that has signed it; null for a root, and if that authority is not of this installation.
    async fn issuer_certificate(&self, ctx: &Context<'_>) -> Result<Option<Certificate>> {
        Ok(certificates::issuer_of(op(ctx)?, self.0.issuer_id).await?.map(Into::into))
    }

    /// The common name of its subject.
    async fn common_name(&self) -> &str {
        &self.0.common_name
    }

    /// The organisation of its subject.
    async fn organization(&self) -> Option<&str> {
        self.0.organization.as_deref()
    }

    /// The organisational unit of its subject.
    async fn organizational_unit(&self) -> Option<&str> {
        self.0.organizational_unit.as_deref()
    }

    /// Its alternative names, such as `DNS:web.example` and `IP:10.0.0.1`.
    async fn names(&self) -> &[String] {
        &self.0.names
    }

    /// The kind of its key, such as `ec_p256`.
    async fn key_type(&self) -> &str {
        &self.0.key_type
    }

    /// From when it is valid.
    async fn valid_from(&self) -> DateTime {
        self.0.valid_from.into()
    }

    /// Until when it is valid.
    async fn valid_until(&self) -> DateTime {
        self.0.valid_until.into()
    }

    /// What it is for.
    async fn cert_type(&self) -> CertificateType {
        self.0.cert_type.into()
    }

    /// What its key may be used for, such as `digital_signature` and `server_auth`.
    async fn key_usage(&self) -> &[String] {
        &self.0.key_usage
    }

    /// Whether it was revoked.
    async fn revoked(&self) -> bool {
        self.0.revoked_at.is_some()
    }

    /// When it was revoked; null if it was not.
    async fn revoked_at(&self) -> Option<DateTime> {
        self.0.revoked_at.map(Into::into)
    }

    /// Why it was revoked, in the words of RFC 5280, such as `key_compromise`; null if it was not.
    async fn revocation_reason(&self) -> Option<&str> {
        self.0.revocation_reason.as_deref()
    }

    /// The agent, application or administrator that it is bound to, by name.
    async fn entity_id(&self) -> Option<&str> {
        self.0.entity_id.as_deref()
    }

    /// What that is: `agent`, `app` or `admin`.
    async fn entity_type(&self) -> Option<&str> {
        self.0.entity_type.as_deref()
    }

    /// The path of the role that it was issued by; null if by none.
    async fn role(&self) -> Option<Path> {
        self.0.role_path.as_ref().map(Into::into)
    }

    /// The authority that this is the certificate of; null if it is no authority's.
    async fn authority(&self, ctx: &Context<'_>) -> Result<Option<CertificateAuthority>> {
        Ok(certificates::authority_of(op(ctx)?, &self.0).await?.map(Into::into))
    }

    /// When it was issued or imported.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }
}

pub struct CertificateAuthority(AuthorityView);

impl From<AuthorityView> for CertificateAuthority {
    fn from(view: AuthorityView) -> Self {
        Self(view)
    }
}

/// An authority whose key is kept here. What it publishes is at `/v1/pki/SERIAL/ca.pem`, `/crl` and `/ocsp`.
#[Object]
impl CertificateAuthority {
    /// Its certificate.
    async fn certificate(&self) -> Certificate {
        self.0.certificate.clone().into()
    }

    /// Whether it signs what names no authority.
    async fn is_default(&self) -> bool {
        self.0.is_default
    }

    /// Whether it signs new certificates. Revocation lists and OCSP answers for those that it has signed go on in any case.
    async fn enabled(&self) -> bool {
        self.0.enabled
    }

    /// The certificates above it, PEM, nearest first; empty for a root.
    async fn chain_pem(&self) -> &str {
        &self.0.chain_pem
    }

    /// How many of its certificates were ever revoked.
    async fn revocations(&self) -> i32 {
        int(self.0.revocations)
    }

    /// The number of its latest revocation list; null in the moment before the first.
    async fn crl_number(&self) -> Option<i32> {
        self.0.crl_number.map(int)
    }

    /// When that list was made.
    async fn crl_this_update(&self) -> Option<DateTime> {
        self.0.crl_this_update.map(Into::into)
    }

    /// Until when that list is good.
    async fn crl_next_update(&self) -> Option<DateTime> {
        self.0.crl_next_update.map(Into::into)
    }
}

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

pub struct Enrollment(EnrollmentView);

impl From<EnrollmentView> for Enrollment {
    fn from(view: EnrollmentView) -> Self {
        Self(view)
    }
}

/// A request for a certificate that waits, or waited, for approval. Seen by who made it and by who administers `certificates`.
#[Object]
impl Enrollment {
    /// Names it when it is decided on: a UUID.
    async fn enrollment_id(&self) -> ID {
        self.0.id.into()
    }

    /// How far it has come.
    async fn state(&self) -> EnrollmentState {
        self.0.state.into()
    }

    /// The path of the role.
    async fn role(&self) -> Path {
        (&self.0.role_path).into()
    }

    /// What the certificate is to be for.
    async fn cert_type(&self) -> CertificateType {
        self.0.cert_type.into()
    }

    /// The common name that it is to have.
    async fn common_name(&self) -> &str {
        &self.0.common_name
    }

    /// The alternative names that it is to have.
    async fn names(&self) -> &[String] {
        &self.0.names
    }

    /// The entity that it is to be bound to.
    async fn entity_id(&self) -> Option<&str> {
        self.0.entity_id.as_deref()
    }

    /// The CSR that was sent, PEM.
    async fn csr_pem(&self) -> &str {
        &self.0.csr_pem
    }

    /// Who asks: an entity such as `role:billing`, or the accessor of a token.
    async fn requested_by(&self) -> &str {
        &self.0.requested_by
    }

    /// When it was asked for.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// Until when it waits.
    async fn expires_at(&self) -> DateTime {
        self.0.expires_at.into()
    }

    /// When it was decided on.
    async fn decided_at(&self) -> Option<DateTime> {
        self.0.decided_at.map(Into::into)
    }

    /// Who decided.
    async fn decided_by(&self) -> Option<&str> {
        self.0.decided_by.as_deref()
    }

    /// Why it was denied.
    async fn reason(&self) -> Option<&str> {
        self.0.reason.as_deref()
    }

    /// The certificate, once it is approved.
    async fn certificate(&self, ctx: &Context<'_>) -> Result<Option<Certificate>> {
        match self.0.certificate_id {
            Some(id) => Ok(certificates::by_id(op(ctx)?, id).await?.map(Into::into)),
            None => Ok(None),
        }
    }
}
