//! Certificates.

use crate::graphql::ids::uuid_at;
use crate::graphql::pages::{Page, either_way};
use crate::graphql::result::{AtArgument, Failure, Result, op};
use crate::graphql::scalars::{DateTime, Path};
use crate::graphql::types::certificate_authorities::{CertificateAuthority, IntermediateCaRequest};
use crate::graphql::types::certificate_roles::CertificateRole;
use crate::graphql::types::certificates::{Certificate, CertificateType};
use crate::graphql::types::enrollments::{Enrollment, EnrollmentState};
use crate::service::certificates::{self, ListFilter};
use async_graphql::{Context, ID, InputObject, Object};

#[derive(Default)]
pub struct CertificateQuery;

#[Object]
impl CertificateQuery {
    /// A certificate by its serial number. Null if there is none, or the caller may not know of it.
    async fn certificate(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "In hex; colons and upper case are taken too.")] serial_number: String,
    ) -> Result<Option<Certificate>> {
        Ok(certificates::by_serial(op(ctx)?, &serial_number).await?.map(Into::into))
    }

    /// Certificates, oldest first: all of them to who administers `certificates`, else those that the caller has asked for.
    async fn certificates(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which of them; all if left out.")] filter: Option<CertificateFilter>,
        #[graphql(desc = "How many to return from the start, 1 to 100.", default = 50)] first: Option<i32>,
        #[graphql(desc = "Continue after this cursor.")] after: Option<String>,
        #[graphql(desc = "How many to return from the end, 1 to 100, instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "Stop before this cursor.")] before: Option<String>,
    ) -> Result<Page<Certificate>> {
        let filter = filter.map(ListFilter::try_from).transpose()?.unwrap_or_default();
        Ok(certificates::list(op(ctx)?, &filter, &either_way(ctx, first, after, last, before))
            .await
            .at_filter()?
            .into())
    }

    /// The authorities whose keys are kept here, oldest first. Their certificates are no secret.
    async fn authorities(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many to return from the start, 1 to 100.", default = 50)] first: Option<i32>,
        #[graphql(desc = "Continue after this cursor.")] after: Option<String>,
        #[graphql(desc = "How many to return from the end, 1 to 100, instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "Stop before this cursor.")] before: Option<String>,
    ) -> Result<Page<CertificateAuthority>> {
        let page = either_way(ctx, first, after, last, before);
        Ok(certificates::authorities(op(ctx)?, &page).await?.into())
    }

    /// The authorities whose keys are kept here, oldest first; at most 1000. Their certificates are no secret.
    #[graphql(deprecation = "Use `authorities`, which has pages.")]
    async fn certificate_authorities(&self, ctx: &Context<'_>) -> Result<Vec<CertificateAuthority>> {
        Ok(certificates::all_authorities(op(ctx)?).await?.into_iter().map(Into::into).collect())
    }

    /// The authorities that `requestIntermediateCa` has made a key for and that wait for their certificates, oldest first. Needs
    /// administration of `certificates`.
    async fn intermediate_ca_requests(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many to return from the start, 1 to 100.", default = 50)] first: Option<i32>,
        #[graphql(desc = "Continue after this cursor.")] after: Option<String>,
        #[graphql(desc = "How many to return from the end, 1 to 100, instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "Stop before this cursor.")] before: Option<String>,
    ) -> Result<Page<IntermediateCaRequest>> {
        let page = either_way(ctx, first, after, last, before);
        Ok(certificates::authority_requests(op(ctx)?, &page).await?.into())
    }

    /// The certificate role at a path. Null if there is none, or the caller may not know of it.
    async fn certificate_role(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The path that it is at.")] path: Path,
    ) -> Result<Option<CertificateRole>> {
        Ok(certificates::find_role(op(ctx)?, &path.at("path")?).await?.map(Into::into))
    }

    /// Certificate roles by path. Needs administration of `certificates`.
    async fn certificate_roles(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many to return from the start, 1 to 100.", default = 50)] first: Option<i32>,
        #[graphql(desc = "Continue after this cursor.")] after: Option<String>,
        #[graphql(desc = "How many to return from the end, 1 to 100, instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "Stop before this cursor.")] before: Option<String>,
    ) -> Result<Page<CertificateRole>> {
        Ok(certificates::list_roles(op(ctx)?, &either_way(ctx, first, after, last, before)).await?.into())
    }

    /// A request for a certificate that waits for approval. Null if there is none, or the caller may not know of it.
    async fn enrollment(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its own id, a UUID.")] enrollment_id: ID,
    ) -> Result<Option<Enrollment>> {
        let id = uuid_at(&enrollment_id, "enrollmentId")?;
        Ok(certificates::enrollment(op(ctx)?, id).await?.map(Into::into))
    }

    /// Requests for certificates, oldest first: all of them to who administers `certificates`, else the caller's own.
    async fn enrollments(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only in this state.")] state: Option<EnrollmentState>,
        #[graphql(desc = "How many to return from the start, 1 to 100.", default = 50)] first: Option<i32>,
        #[graphql(desc = "Continue after this cursor.")] after: Option<String>,
        #[graphql(desc = "How many to return from the end, 1 to 100, instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "Stop before this cursor.")] before: Option<String>,
    ) -> Result<Page<Enrollment>> {
        let page = either_way(ctx, first, after, last, before);
        Ok(certificates::enrollments(op(ctx)?, state.map(Into::into), &page).await?.into())
    }
}

/// Which certificates. What is given must all hold.
#[derive(InputObject)]
struct CertificateFilter {
    /// Only of this kind.
    cert_type: Option<CertificateType>,
    /// Only those that are bound to the entity of this name.
    entity_id: Option<String>,
    /// Only those that the authority of this serial number has signed.
    issuer_serial_number: Option<String>,
    /// Only those that were revoked, or only those that were not.
    revoked: Option<bool>,
    /// Only those that end before this time.
    expires_before: Option<DateTime>,
}

impl TryFrom<CertificateFilter> for ListFilter {
    type Error = Failure;

    fn try_from(filter: CertificateFilter) -> Result<Self> {
        Ok(Self {
            cert_type: filter.cert_type.map(Into::into),
            entity_id: filter.entity_id,
            issuer_serial_number: filter.issuer_serial_number,
            revoked: filter.revoked,
            expires_before: filter.expires_before.map(|time| time.at("filter.expiresBefore")).transpose()?,
        })
    }
}
