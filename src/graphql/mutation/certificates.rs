//! Getting, renewing and ending certificates, and logging in with them.

use crate::graphql::ids::uuid_at;
use crate::graphql::result::{AtArgument, Result, op};
use crate::graphql::scalars::Path;
use crate::graphql::types::certificates::{Certificate, CertificateType, KeyType, RevocationReason};
use crate::graphql::types::enrollments::Enrollment;
use crate::graphql::types::tokens::LoginPayload;
use crate::service::certificates::{self, CertificateWish, Issued};
use async_graphql::{Context, ID, InputObject, Object, SimpleObject};

#[derive(Default)]
pub struct CertificateMutation;

#[Object]
impl CertificateMutation {
    /// Trades the TLS client certificate of this connection for a token that is good on connections with this certificate only and
    /// ends with it. Its policies are those bound to the certificate's fingerprint and to its entity. No token needed.
    async fn login_with_certificate(&self, ctx: &Context<'_>) -> Result<LoginPayload> {
        Ok(certificates::login(op(ctx)?).await?.into())
    }

    /// Signs a CSR (PKCS#10). With a role, needs `issue` on its path; without one, administration of `certificates`. If the role asks
    /// for approval, the answer has an `enrollment` in place of the certificate.
    async fn sign_certificate(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The CSR, and what it is to become.")] input: SignCertificateInput,
    ) -> Result<CertificatePayload> {
        let max_path_length = input.max_path_length.map(Into::into);
        let wish = CertificateWish { max_path_length, ..input.wish.wish()? };
        let issued = certificates::sign(op(ctx)?, &wish, &input.csr_pem).await.at_input()?;
        Ok(match issued {
            Issued::Certificate(view, warnings) => CertificatePayload::with(*view, warnings),
            Issued::Waiting(view, warnings) => {
                CertificatePayload { certificate: None, enrollment: Some((*view).into()), warnings }
            }
        })
    }

    /// Makes a key and its certificate. The key is shown in this answer only. Rights as for `signCertificate`.
    async fn issue_certificate(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it is to be.")] input: IssueCertificateInput,
    ) -> Result<IssueCertificatePayload> {
        let key_type = input.key_type.unwrap_or(KeyType::EcP256).into();
        let issued = certificates::issue(op(ctx)?, &input.wish.wish()?, key_type).await.at_input()?;
        Ok(IssueCertificatePayload {
            certificate: issued.certificate.into(),
            private_key_pem: issued.private_key_pem.to_string(),
            warnings: issued.warnings,
        })
    }

    /// Issues a certificate like the one of this connection, for the key of a CSR: the connection proves possession of the old key, the
    /// CSR that of the new. The token must be of that certificate (`loginWithCertificate`), and needs `renew` on the path of its role.
    async fn renew_certificate(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The new key, and for how long.")] input: RenewCertificateInput,
    ) -> Result<CertificatePayload> {
        let ttl = input.ttl_seconds.map(i64::from);
        let (view, warnings) = certificates::renew(op(ctx)?, &input.csr_pem, ttl).await.at_input()?;
        Ok(CertificatePayload::with(view, warnings))
    }

    /// Revokes a certificate: connections and logins with it are refused from now on, and tokens that were got with it end at once, with
    /// their leases. One's own needs no right, another's administration of `certificates`. With an authority, all that it issued falls.
    async fn revoke_certificate(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which, and why.")] input: RevokeCertificateInput,
    ) -> Result<CertificatePayload> {
        let reason = input.reason.unwrap_or(RevocationReason::Unspecified).into();
        let issuer = input.issuer_serial_number.as_deref();
        let view = certificates::revoke(op(ctx)?, &input.serial_number, issuer, reason).await.at_input()?;
        Ok(CertificatePayload::of(view))
    }

    /// Issues the certificate of a request that waits. Needs administration of `certificates`.
    async fn approve_enrollment(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which request.")] input: ApproveEnrollmentInput,
    ) -> Result<EnrollmentPayload> {
        let id = uuid_at(&input.enrollment_id, "input.enrollmentId")?;
        let (enrollment, _) = certificates::approve(op(ctx)?, id).await.at_input()?;
        Ok(EnrollmentPayload { enrollment: enrollment.into() })
    }

    /// Turns a request that waits down. Needs administration of `certificates`.
    async fn deny_enrollment(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which request, and why.")] input: DenyEnrollmentInput,
    ) -> Result<EnrollmentPayload> {
        let id = uuid_at(&input.enrollment_id, "input.enrollmentId")?;
        let enrollment = certificates::deny(op(ctx)?, id, input.reason.as_deref()).await.at_input()?;
        Ok(EnrollmentPayload { enrollment: enrollment.into() })
    }
}

/// What a certificate is to be.
#[derive(InputObject)]
struct WishFields {
    /// The authority that signs; the role's, or the default if left out.
    issuer_serial_number: Option<String>,
    /// What the certificate is for.
    cert_type: CertificateType,
    /// The path of the role to issue by; without one the caller has to administer `certificates`.
    role: Option<Path>,
    /// The common name, in place of the CSR's if there is one; that, or else the entity's, if left out.
    common_name: Option<String>,
    /// Names such as `DNS:web.example`, `IP:10.0.0.1` and `URI:spiffe://prod/web`, at most 100, in place of the CSR's if there is one.
    names: Option<Vec<String>>,
    /// The agent, application or administrator that it is bound to; by a role, the caller's own if left out.
    entity_id: Option<String>,
    /// How long it is valid, in seconds; the role's default, or 90 days (an authority 1825) without a role. The caller's policies may
    /// cut it: `warnings` says so.
    ttl_seconds: Option<i32>,
}

impl WishFields {
    fn wish(self) -> Result<CertificateWish> {
        Ok(CertificateWish {
            role: self.role.map(|path| path.at("input.role")).transpose()?,
            issuer_serial: self.issuer_serial_number,
            cert_type: self.cert_type.into(),
            common_name: self.common_name,
            names: self.names,
            entity_id: self.entity_id,
            ttl_seconds: self.ttl_seconds.map(Into::into),
            max_path_length: None,
        })
    }
}

/// A CSR, and what it is to become.
#[derive(InputObject)]
struct SignCertificateInput {
    /// The CSR, PEM, up to 64 KiB. Its signature is checked; of its extensions nothing counts but the alternative names.
    csr_pem: String,
    #[graphql(flatten)]
    wish: WishFields,
    /// Of an intermediate authority: how many authorities may follow below it.
    max_path_length: Option<i32>,
}

/// A certificate to issue with a new key.
#[derive(InputObject)]
struct IssueCertificateInput {
    #[graphql(flatten)]
    wish: WishFields,
    /// The kind of key to make; `EC_P256` if left out.
    key_type: Option<KeyType>,
}

/// The new key for a certificate that is there.
#[derive(InputObject)]
struct RenewCertificateInput {
    /// A CSR of the new key, PEM. Names in it do not count: those of the old certificate stay.
    csr_pem: String,
    /// How long it is valid, in seconds; the role's default if left out. The caller's policies may cut it: `warnings` says so.
    ttl_seconds: Option<i32>,
}

/// Which certificate to revoke, and why.
#[derive(InputObject)]
struct RevokeCertificateInput {
    /// Its serial number.
    serial_number: String,
    /// Its authority's, where several have issued the same number.
    issuer_serial_number: Option<String>,
    /// Why; `UNSPECIFIED` if left out.
    reason: Option<RevocationReason>,
}

/// Which request to approve.
#[derive(InputObject)]
struct ApproveEnrollmentInput {
    /// Its own id, a UUID.
    enrollment_id: ID,
}

/// Which request to turn down.
#[derive(InputObject)]
struct DenyEnrollmentInput {
    /// Its own id, a UUID.
    enrollment_id: ID,
    /// Why, for who asked: up to 500 characters.
    reason: Option<String>,
}

/// A certificate, or the request that waits for one.
#[derive(SimpleObject)]
pub(super) struct CertificatePayload {
    /// The certificate; null while it waits for approval.
    certificate: Option<Certificate>,
    /// The request that waits for approval; null if none is needed.
    enrollment: Option<Enrollment>,
    /// What is granted otherwise than asked for, such as a shorter life.
    warnings: Vec<String>,
}

impl CertificatePayload {
    pub(super) fn of(view: certificates::CertificateView) -> Self {
        Self::with(view, Vec::new())
    }

    fn with(view: certificates::CertificateView, warnings: Vec<String>) -> Self {
        Self { certificate: Some(view.into()), enrollment: None, warnings }
    }
}

/// A certificate with its key.
#[derive(SimpleObject)]
struct IssueCertificatePayload {
    /// The certificate.
    certificate: Certificate,
    /// The private key (PKCS#8, PEM). It is not kept and cannot be shown again.
    private_key_pem: String,
    /// What is granted otherwise than asked for, such as a shorter life.
    warnings: Vec<String>,
}

/// A request that was decided on.
#[derive(SimpleObject)]
struct EnrollmentPayload {
    /// The request, with its certificate if it was approved.
    enrollment: Enrollment,
}
