//! What may be issued, and where.

use crate::error::Error;
use crate::graphql::result::{AtArgument, Failure, Result, op};
use crate::graphql::scalars::{Json, Path};
use crate::graphql::types::certificate_roles::CertificateRole;
use crate::graphql::types::certificates::{CertificateType, KeyType};
use crate::model::certificates::RoleRules;
use crate::service::certificates;
use async_graphql::{Context, InputObject, Object, SimpleObject};
use ipnet::IpNet;

#[derive(Default)]
pub struct CertificateRoleMutation;

#[Object]
impl CertificateRoleMutation {
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
