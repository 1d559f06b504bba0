//! Certificates as clients see them.

use super::certificate_authorities::CertificateAuthority;
use crate::graphql::ids::NodeId;
use crate::graphql::result::{Result, op};
use crate::graphql::scalars::{DateTime, Path};
use crate::model::certificates as model;
use crate::service::certificates::{self, CertificateView};
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
