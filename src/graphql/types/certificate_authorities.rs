//! Authorities of certificates as clients see them.

use super::certificates::{Certificate, KeyType};
use crate::graphql::ids::NodeId;
use crate::graphql::scalars::{DateTime, int};
use crate::service::certificates::{AuthorityRequestView, AuthorityView};
use async_graphql::{ID, Object};

pub struct CertificateAuthority(AuthorityView);

impl From<AuthorityView> for CertificateAuthority {
    fn from(view: AuthorityView) -> Self {
        Self(view)
    }
}

/// An authority whose key is kept here. What it publishes is at `/v1/pki/SERIAL/ca.pem`, `/crl` and `/ocsp`.
#[Object]
impl CertificateAuthority {
    /// The id among all nodes: `certificate_authority:` and a UUID.
    pub async fn id(&self) -> ID {
        NodeId::CertificateAuthority(self.0.certificate.id).to_string().into()
    }

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

pub struct IntermediateCaRequest(AuthorityRequestView);

impl From<AuthorityRequestView> for IntermediateCaRequest {
    fn from(view: AuthorityRequestView) -> Self {
        Self(view)
    }
}

/// An authority that one outside this installation is yet to sign. Seen by who administers `certificates`.
#[Object]
impl IntermediateCaRequest {
    /// The id among all nodes: `intermediate_ca_request:` and a UUID.
    pub async fn id(&self) -> ID {
        NodeId::IntermediateCaRequest(self.0.id).to_string().into()
    }

    /// Names it when it is completed or cancelled: a UUID.
    async fn request_id(&self) -> ID {
        self.0.id.into()
    }

    /// The common name that was asked for.
    async fn common_name(&self) -> &str {
        &self.0.subject.common_name
    }

    /// The organisation that was asked for.
    async fn organization(&self) -> Option<&str> {
        self.0.subject.organization.as_deref()
    }

    /// The organisational unit that was asked for.
    async fn organizational_unit(&self) -> Option<&str> {
        self.0.subject.organizational_unit.as_deref()
    }

    /// The kind of its key.
    async fn key_type(&self) -> KeyType {
        self.0.key_type.into()
    }

    /// The CSR to have signed, PEM.
    async fn csr_pem(&self) -> &str {
        &self.0.csr_pem
    }

    /// Who asked: an entity such as `role:billing`, or the accessor of a token.
    async fn requested_by(&self) -> &str {
        &self.0.requested_by
    }

    /// When it was asked for.
    async fn created_at(&self) -> DateTime {
        self.0.created_at.into()
    }

    /// Until when it waits; then its key is removed.
    async fn expires_at(&self) -> DateTime {
        self.0.expires_at.into()
    }
}
