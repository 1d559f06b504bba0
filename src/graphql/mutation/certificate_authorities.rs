//! Making and changing authorities.

use super::certificates::CertificatePayload;
use crate::graphql::ids::uuid_at;
use crate::graphql::result::{AtArgument, Result, op};
use crate::graphql::types::certificate_authorities::CertificateAuthority;
use crate::graphql::types::certificates::KeyType;
use crate::model::certificates::Subject;
use crate::service::certificates::{self, AuthorityInput, AuthorityUpdate, ImportInput};
use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use zeroize::Zeroizing;

#[derive(Default)]
pub struct AuthorityMutation;

#[Object]
impl AuthorityMutation {
    /// Makes a root authority. Its key never leaves the server. The first authority is the default. Needs administration of
    /// `certificates`.
    async fn create_root_ca(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it is to be.")] input: CreateRootCaInput,
    ) -> Result<CertificatePayload> {
        let wanted = input.authority();
        Ok(CertificatePayload::of(certificates::create_root(op(ctx)?, &wanted).await.at_input()?))
    }

    /// Makes an authority below another one. Its key never leaves the server. Needs administration of `certificates`.
    async fn create_intermediate_ca(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it is to be.")] input: CreateIntermediateCaInput,
    ) -> Result<CertificatePayload> {
        let wanted = input.authority();
        Ok(CertificatePayload::of(certificates::create_intermediate(op(ctx)?, &wanted).await.at_input()?))
    }

    /// Makes a key for an authority that one outside this installation is to sign, and the CSR for it. It waits for its certificate for 30
    /// days. Needs administration of `certificates`.
    async fn request_intermediate_ca(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it is to be; what its certificate says is up to who signs it.")]
        input: RequestIntermediateCaInput,
    ) -> Result<RequestIntermediateCaPayload> {
        let wanted = authority(input.subject, AuthorityBounds::default());
        let (id, csr_pem) = certificates::request_intermediate(op(ctx)?, &wanted).await.at_input()?;
        Ok(RequestIntermediateCaPayload { request_id: id.into(), csr_pem })
    }

    /// Completes `requestIntermediateCa` with the certificate that the outside authority has signed. Needs administration of
    /// `certificates`.
    async fn complete_intermediate_ca(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which request, and its certificate.")] input: CompleteIntermediateCaInput,
    ) -> Result<CertificatePayload> {
        let id = uuid_at(&input.request_id, "input.requestId")?;
        let default = input.make_default.unwrap_or(false);
        let chain = input.chain_pem.as_deref();
        let pem = &input.certificate_pem;
        let view = certificates::complete_intermediate(op(ctx)?, id, pem, chain, default).await.at_input()?;
        Ok(CertificatePayload::of(view))
    }

    /// Gives up `requestIntermediateCa`: the key is removed, and a certificate for it is of no use any more. Needs administration of
    /// `certificates`.
    async fn cancel_intermediate_ca_request(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which request.")] input: CancelIntermediateCaRequestInput,
    ) -> Result<CancelIntermediateCaRequestPayload> {
        let id = uuid_at(&input.request_id, "input.requestId")?;
        certificates::cancel_authority_request(op(ctx)?, id).await.at_input()?;
        Ok(CancelIntermediateCaRequestPayload { request_id: id.into() })
    }

    /// Takes over an authority with its private key, which never leaves the server again. Needs administration of `certificates`.
    async fn import_ca(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The pair, and the chain above it.")] input: ImportCaInput,
    ) -> Result<CertificatePayload> {
        let wanted = ImportInput {
            certificate_pem: input.certificate_pem,
            private_key_pem: Zeroizing::new(input.private_key_pem),
            chain_pem: input.chain_pem,
            make_default: input.make_default.unwrap_or(false),
        };
        Ok(CertificatePayload::of(certificates::import(op(ctx)?, &wanted).await.at_input()?))
    }

    /// Makes an authority the default, or has it sign nothing new. Needs administration of `certificates`.
    async fn update_certificate_authority(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which, and what to change.")] input: UpdateCertificateAuthorityInput,
    ) -> Result<CertificateAuthorityPayload> {
        let asked = AuthorityUpdate {
            serial_number: input.serial_number,
            is_default: input.is_default,
            enabled: input.enabled,
        };
        let view = certificates::update(op(ctx)?, &asked).await.at_input()?;
        Ok(CertificateAuthorityPayload { authority: view.into() })
    }
}

/// Whose an authority's certificate is.
#[derive(InputObject)]
struct AuthoritySubject {
    /// Its common name, 1 to 64 characters.
    common_name: String,
    /// The organisation in its subject.
    organization: Option<String>,
    /// The organisational unit in its subject.
    organizational_unit: Option<String>,
    /// The kind of its key; `EC_P256` if left out.
    key_type: Option<KeyType>,
}

/// What may be below an authority.
#[derive(InputObject, Default)]
struct AuthorityBounds {
    /// How many authorities may follow below it, fewer than below the one above. If left out, as many as that one leaves, or any number.
    max_path_length: Option<i32>,
    /// Domains that names below it must be of, within those that the authority above permits; any of those if left out.
    permitted_dns_domains: Option<Vec<String>>,
    /// Domains that no name below it may be of.
    excluded_dns_domains: Option<Vec<String>>,
    /// Addresses that names below it must be of, in CIDR notation, within those that the authority above permits; any of those if left
    /// out.
    permitted_ip_ranges: Option<Vec<String>>,
    /// Addresses that no name below it may be of.
    excluded_ip_ranges: Option<Vec<String>>,
}

fn authority(subject: AuthoritySubject, bounds: AuthorityBounds) -> AuthorityInput {
    AuthorityInput {
        subject: Subject {
            common_name: subject.common_name,
            organization: subject.organization,
            organizational_unit: subject.organizational_unit,
        },
        key_type: subject.key_type.unwrap_or(KeyType::EcP256).into(),
        ttl_seconds: None,
        max_path_length: bounds.max_path_length.map(Into::into),
        permitted_dns: bounds.permitted_dns_domains.unwrap_or_default(),
        excluded_dns: bounds.excluded_dns_domains.unwrap_or_default(),
        permitted_ips: bounds.permitted_ip_ranges.unwrap_or_default(),
        excluded_ips: bounds.excluded_ip_ranges.unwrap_or_default(),
        issuer_serial: None,
        make_default: false,
    }
}

/// A root authority.
#[derive(InputObject)]
struct CreateRootCaInput {
    #[graphql(flatten)]
    subject: AuthoritySubject,
    /// How long it is valid, in seconds; 3650 days if left out, and at most.
    ttl_seconds: Option<i32>,
    #[graphql(flatten)]
    bounds: AuthorityBounds,
    /// Whether it becomes the default authority.
    #[graphql(default_with = "Some(false)")]
    make_default: Option<bool>,
}

impl CreateRootCaInput {
    fn authority(self) -> AuthorityInput {
        AuthorityInput {
            ttl_seconds: self.ttl_seconds.map(Into::into),
            make_default: self.make_default.unwrap_or(false),
            ..authority(self.subject, self.bounds)
        }
    }
}

/// An authority below another one.
#[derive(InputObject)]
struct CreateIntermediateCaInput {
    /// The authority above it; the default if left out.
    issuer_serial_number: Option<String>,
    #[graphql(flatten)]
    subject: AuthoritySubject,
    /// How long it is valid, in seconds; 1825 days if left out, or as long as the authority above.
    ttl_seconds: Option<i32>,
    #[graphql(flatten)]
    bounds: AuthorityBounds,
    /// Whether it becomes the default authority.
    #[graphql(default_with = "Some(false)")]
    make_default: Option<bool>,
}

impl CreateIntermediateCaInput {
    fn authority(self) -> AuthorityInput {
        AuthorityInput {
            issuer_serial: self.issuer_serial_number,
            ttl_seconds: self.ttl_seconds.map(Into::into),
            make_default: self.make_default.unwrap_or(false),
            ..authority(self.subject, self.bounds)
        }
    }
}

/// An authority that one outside this installation is to sign.
#[derive(InputObject)]
struct RequestIntermediateCaInput {
    #[graphql(flatten)]
    subject: AuthoritySubject,
}

/// The certificate that an outside authority has signed.
#[derive(InputObject)]
struct CompleteIntermediateCaInput {
    /// What `requestIntermediateCa` has answered, a UUID.
    request_id: ID,
    /// The certificate, PEM.
    certificate_pem: String,
    /// The certificates above it, PEM, nearest first.
    chain_pem: Option<String>,
    /// Whether it becomes the default authority.
    #[graphql(default_with = "Some(false)")]
    make_default: Option<bool>,
}

/// A request of an authority that is given up.
#[derive(InputObject)]
struct CancelIntermediateCaRequestInput {
    /// What `requestIntermediateCa` has answered, a UUID.
    request_id: ID,
}

/// An authority with its key.
#[derive(InputObject)]
struct ImportCaInput {
    /// The certificate, PEM.
    certificate_pem: String,
    /// Its private key, PEM, unencrypted.
    #[graphql(secret)]
    private_key_pem: String,
    /// The certificates above it, PEM, nearest first.
    chain_pem: Option<String>,
    /// Whether it becomes the default authority.
    #[graphql(default_with = "Some(false)")]
    make_default: Option<bool>,
}

/// What to change about an authority.
#[derive(InputObject)]
struct UpdateCertificateAuthorityInput {
    /// The serial number of its certificate.
    serial_number: String,
    /// `true` makes it the default in place of the one that is.
    is_default: Option<bool>,
    /// `false` has it sign nothing new; it goes on answering for what it has signed.
    enabled: Option<bool>,
}

/// A request of an authority that waits for an outside signature.
#[derive(SimpleObject)]
struct RequestIntermediateCaPayload {
    /// Names it when it is completed: a UUID.
    request_id: ID,
    /// The CSR to have signed, PEM.
    csr_pem: String,
}

/// A request of an authority that was given up.
#[derive(SimpleObject)]
struct CancelIntermediateCaRequestPayload {
    /// Which it was: a UUID.
    request_id: ID,
}

/// An authority that was changed.
#[derive(SimpleObject)]
struct CertificateAuthorityPayload {
    /// The authority as it is now.
    authority: CertificateAuthority,
}
