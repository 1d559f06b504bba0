//! Making and changing authorities, and the roles by which they issue.

use super::certificates::CertificatePayload;
use crate::error::Error;
use crate::graphql::ids::uuid_at;
use crate::graphql::result::{AtArgument, Failure, Result, op};
use crate::graphql::scalars::{Json, Path};
use crate::graphql::types::certificates::{CertificateAuthority, CertificateRole, CertificateType, KeyType};
use crate::model::certificates::{RoleRules, Subject};
use crate::service::certificates::{self, AuthorityInput, AuthorityUpdate, ImportInput};
use async_graphql::{Context, ID, InputObject, Object, SimpleObject};
use ipnet::IpNet;
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

    /// Makes a key for an authority that one outside this installation is to sign, and the CSR for it. Needs administration of
    /// `certificates`.
    async fn request_intermediate_ca(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What it is to be; what its certificate says is up to who signs it.")]
        input: RequestIntermediateCaInput,
    ) -> Result<RequestIntermediateCaPayload> {
        let wanted = input.authority();
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

    /// Sets what may be issued at a path, all of it. Needs administration of `certificates`.
    async fn put_certificate_role(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The path, and what is issued there.")] input: CertificateRoleInput,
    ) -> Result<CertificateRolePayload> {
        let role = certificates::put_role(op(ctx)?, &input.role()?).await.at_input()?;
        Ok(CertificateRolePayload { role: role.into() })
    }

    /// Removes a certificate role. What it issued stays valid, but cannot be renewed. Needs administration of `certificates`.
    async fn delete_certificate_role(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which role.")] input: DeleteCertificateRoleInput,
    ) -> Result<DeleteCertificateRolePayload> {
        let path = input.path.at("input.path")?;
        certificates::delete_role(op(ctx)?, &path).await.at_input()?;
        Ok(DeleteCertificateRolePayload { path: (&path).into() })
    }
}

/// A root authority.
#[derive(InputObject)]
struct CreateRootCaInput {
    /// Its common name, 1 to 64 characters.
    common_name: String,
    /// The kind of its key; `EC_P256` if left out.
    key_type: Option<KeyType>,
    /// How long it is valid, in seconds; 3650 days if left out, and at most.
    ttl_seconds: Option<i32>,
    /// The organisation in its subject.
    organization: Option<String>,
    /// The organisational unit in its subject.
    organizational_unit: Option<String>,
    /// How many authorities may follow below it; any number if left out.
    max_path_length: Option<i32>,
    /// Domains that names below it must be of; any if left out.
    permitted_dns_domains: Option<Vec<String>>,
    /// Domains that no name below it may be of.
    excluded_dns_domains: Option<Vec<String>>,
    /// Addresses that names below it must be of, in CIDR notation; any if left out.
    permitted_ip_ranges: Option<Vec<String>>,
    /// Addresses that no name below it may be of.
    excluded_ip_ranges: Option<Vec<String>>,
    /// Whether it becomes the default authority.
    #[graphql(default_with = "Some(false)")]
    make_default: Option<bool>,
}

impl CreateRootCaInput {
    fn authority(self) -> AuthorityInput {
        AuthorityInput {
            subject: Subject {
                common_name: self.common_name,
                organization: self.organization,
                organizational_unit: self.organizational_unit,
            },
            key_type: self.key_type.unwrap_or(KeyType::EcP256).into(),
            ttl_seconds: self.ttl_seconds.map(Into::into),
            max_path_length: self.max_path_length.map(Into::into),
            permitted_dns: self.permitted_dns_domains.unwrap_or_default(),
            excluded_dns: self.excluded_dns_domains.unwrap_or_default(),
            permitted_ips: self.permitted_ip_ranges.unwrap_or_default(),
            excluded_ips: self.excluded_ip_ranges.unwrap_or_default(),
            issuer_serial: None,
            make_default: self.make_default.unwrap_or(false),
        }
    }
}

/// An authority below another one.
#[derive(InputObject)]
struct CreateIntermediateCaInput {
    /// The authority above it; the default if left out.
    issuer_serial_number: Option<String>,
    /// Its common name, 1 to 64 characters.
    common_name: String,
    /// The kind of its key; `EC_P256` if left out.
    key_type: Option<KeyType>,
    /// How long it is valid, in seconds; 1825 days if left out, or as long as the authority above.
    ttl_seconds: Option<i32>,
    /// The organisation in its subject.
    organization: Option<String>,
    /// The organisational unit in its subject.
    organizational_unit: Option<String>,
    /// How many authorities may follow below it; fewer than below the authority above.
    max_path_length: Option<i32>,
    /// Domains that names below it must be of; any if left out.
    permitted_dns_domains: Option<Vec<String>>,
    /// Domains that no name below it may be of.
    excluded_dns_domains: Option<Vec<String>>,
    /// Addresses that names below it must be of, in CIDR notation; any if left out.
    permitted_ip_ranges: Option<Vec<String>>,
    /// Addresses that no name below it may be of.
    excluded_ip_ranges: Option<Vec<String>>,
    /// Whether it becomes the default authority.
    #[graphql(default_with = "Some(false)")]
    make_default: Option<bool>,
}

impl CreateIntermediateCaInput {
    fn authority(self) -> AuthorityInput {
        AuthorityInput {
            subject: Subject {
                common_name: self.common_name,
                organization: self.organization,
                organizational_unit: self.organizational_unit,
            },
            key_type: self.key_type.unwrap_or(KeyType::EcP256).into(),
            ttl_seconds: self.ttl_seconds.map(Into::into),
            max_path_length: self.max_path_length.map(Into::into),
            permitted_dns: self.permitted_dns_domains.unwrap_or_default(),
            excluded_dns: self.excluded_dns_domains.unwrap_or_default(),
            permitted_ips: self.permitted_ip_ranges.unwrap_or_default(),
            excluded_ips: self.excluded_ip_ranges.unwrap_or_default(),
            issuer_serial: self.issuer_serial_number,
            make_default: self.make_default.unwrap_or(false),
        }
    }
}

/// An authority that one outside this installation is to sign.
#[derive(InputObject)]
struct RequestIntermediateCaInput {
    /// Its common name, 1 to 64 characters.
    common_name: String,
    /// The kind of its key; `EC_P256` if left out.
    key_type: Option<KeyType>,
    /// The organisation in its subject.
    organization: Option<String>,
    /// The organisational unit in its subject.
    organizational_unit: Option<String>,
}

impl RequestIntermediateCaInput {
    fn authority(self) -> AuthorityInput {
        AuthorityInput {
            subject: Subject {
                common_name: self.common_name,
                organization: self.organization,
                organizational_unit: self.organizational_unit,
            },
            key_type: self.key_type.unwrap_or(KeyType::EcP256).into(),
            ttl_seconds: None,
            max_path_length: None,
            permitted_dns: Vec::new(),
            excluded_dns: Vec::new(),
            permitted_ips: Vec::new(),
            excluded_ips: Vec::new(),
            issuer_serial: None,
            make_default: false,
        }
    }
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

/// What may be issued at a path. Whatever is left out is not allowed.
#[derive(InputObject)]
struct CertificateRoleInput {
    /// Where policies allow its use.
    path: Path,
    /// The authority that signs; the default at the time if left out.
    issuer_serial_number: Option<String>,
    /// The kinds of certificates: servers', agents' and applications'.
    cert_types: Vec<CertificateType>,
    /// The kinds of keys; `EC_P256`, `EC_P384` and `ED25519` if left out.
    key_types: Option<Vec<KeyType>>,
    /// The domains that names may be of, in lower case.
    allowed_domains: Option<Vec<String>>,
    /// Whether those domains themselves may be names.
    #[graphql(default_with = "Some(false)")]
    allow_bare_domains: Option<bool>,
    /// Whether names below them may be.
    #[graphql(default_with = "Some(false)")]
    allow_subdomains: Option<bool>,
    /// Whether names may begin with `*.`.
    #[graphql(default_with = "Some(false)")]
    allow_wildcards: Option<bool>,
    /// The addresses that may be names, in CIDR notation.
    allowed_ip_ranges: Option<Vec<String>>,
    /// The URIs that may be names; `*` stands for any characters.
    allowed_uris: Option<Vec<String>>,
    /// Common names beside allowed DNS names and the entity's id; `*` stands for any characters.
    allowed_common_names: Option<Vec<String>>,
    /// The entities that may be bound; `*` stands for any characters. The caller's own only if left out.
    allowed_entity_ids: Option<Vec<String>>,
    /// Whether names are taken from the CSR if the request gives none.
    #[graphql(default_with = "Some(true)")]
    use_csr_names: Option<bool>,
    /// The organisation in every subject.
    organization: Option<String>,
    /// The organisational unit in every subject.
    organizational_unit: Option<String>,
    /// The lifetime if none is asked for, in seconds; 30 days if left out.
    ttl_seconds: Option<i32>,
    /// The longest lifetime, in seconds; 30 days, or `ttlSeconds` if that is more.
    max_ttl_seconds: Option<i32>,
    /// Whether its certificates can be renewed by their holders.
    #[graphql(default_with = "Some(true)")]
    renewable: Option<bool>,
    /// Whether each request waits for approval by who administers `certificates`.
    #[graphql(default_with = "Some(false)")]
    requires_approval: Option<bool>,
    /// Whether it issues at the moment.
    #[graphql(default_with = "Some(true)")]
    enabled: Option<bool>,
    /// What it is for, for people.
    description: Option<String>,
    /// Labels of the client's own: a JSON object, up to 16 KiB.
    metadata: Option<Json>,
}

impl CertificateRoleInput {
    fn role(self) -> Result<certificates::CertificateRole> {
        let keys = self.key_types.unwrap_or_else(|| vec![KeyType::EcP256, KeyType::EcP384, KeyType::Ed25519]);
        let ranges = self.allowed_ip_ranges.unwrap_or_default();
        if self.cert_types.len() > 10 || keys.len() > 10 {
            return Err(Error::bad_input("input.certTypes", "name each kind once").into());
        }
        Ok(certificates::CertificateRole {
            path: self.path.at("input.path")?,
            issuer_serial: self.issuer_serial_number,
            rules: RoleRules {
                cert_types: self.cert_types.into_iter().map(Into::into).collect(),
                key_types: keys.into_iter().map(Into::into).collect(),
                allowed_domains: self.allowed_domains.unwrap_or_default(),
                allow_bare_domains: self.allow_bare_domains.unwrap_or(false),
                allow_subdomains: self.allow_subdomains.unwrap_or(false),
                allow_wildcards: self.allow_wildcards.unwrap_or(false),
                allowed_ip_ranges: parse_ranges(&ranges)?,
                allowed_uris: self.allowed_uris.unwrap_or_default(),
                allowed_common_names: self.allowed_common_names.unwrap_or_default(),
                allowed_entity_ids: self.allowed_entity_ids.unwrap_or_default(),
                use_csr_names: self.use_csr_names.unwrap_or(true),
                organization: self.organization,
                organizational_unit: self.organizational_unit,
            },
            ttl_seconds: self.ttl_seconds.map(Into::into),
            max_ttl_seconds: self.max_ttl_seconds.map(Into::into),
            renewable: self.renewable.unwrap_or(true),
            requires_approval: self.requires_approval.unwrap_or(false),
            enabled: self.enabled.unwrap_or(true),
            description: self.description,
            metadata: self.metadata.map(|json| json.0),
        })
    }
}

fn parse_ranges(texts: &[String]) -> Result<Vec<IpNet>> {
    let parse = |(index, text): (usize, &String)| {
        text.parse::<IpNet>().map(|range| range.trunc()).map_err(|_| {
            let field = format!("input.allowedIpRanges[{index}]");
            Failure(Error::bad_input(field, "write a range such as 10.0.0.0/8"))
        })
    };
    texts.iter().enumerate().map(parse).collect()
}

/// Which certificate role to remove.
#[derive(InputObject)]
struct DeleteCertificateRoleInput {
    /// The path of the role.
    path: Path,
}

/// A request of an authority that waits for an outside signature.
#[derive(SimpleObject)]
struct RequestIntermediateCaPayload {
    /// Names it when it is completed: a UUID.
    request_id: ID,
    /// The CSR to have signed, PEM.
    csr_pem: String,
}

/// An authority that was changed.
#[derive(SimpleObject)]
struct CertificateAuthorityPayload {
    /// The authority as it is now.
    authority: CertificateAuthority,
}

/// A certificate role that was stored.
#[derive(SimpleObject)]
struct CertificateRolePayload {
    /// The role as it is now.
    role: CertificateRole,
}

/// A certificate role that was removed.
#[derive(SimpleObject)]
struct DeleteCertificateRolePayload {
    /// The path that the role was at.
    path: Path,
}
