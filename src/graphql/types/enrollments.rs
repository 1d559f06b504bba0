//! Requests for certificates that wait for approval, as clients see them.

use super::certificates::{Certificate, CertificateType};
use crate::graphql::ids::NodeId;
use crate::graphql::result::{Result, op};
use crate::graphql::scalars::{DateTime, Path};
use crate::model::certificates as model;
use crate::service::certificates::{self, EnrollmentView};
use async_graphql::{Context, Enum, ID, Object};

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

pub struct Enrollment(EnrollmentView);

impl From<EnrollmentView> for Enrollment {
    fn from(view: EnrollmentView) -> Self {
        Self(view)
    }
}

/// A request for a certificate that waits, or waited, for approval. Seen by who made it and by who administers `certificates`.
#[Object]
impl Enrollment {
    /// The id among all nodes: `enrollment:` and a UUID.
    pub async fn id(&self) -> ID {
        NodeId::Enrollment(self.0.id).to_string().into()
    }

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
