//! Policies, and why they allow or deny.

use crate::error::Error;
use crate::graphql::ids::uuid_at;
use crate::graphql::pages::{Page, either_way};
use crate::graphql::result::{AtArgument, Result, op};
use crate::graphql::scalars::{DateTime, Path};
use crate::graphql::types::codes::{AdministrationArea, SecretOperation};
use crate::graphql::types::policies::{AccessExplanation, Policy};
use crate::service::policies::{self, Explain, Subject};
use async_graphql::{Context, ID, InputObject, Object, OneofObject};
use std::net::IpAddr;

#[derive(Default)]
pub struct PolicyQuery;

#[Object]
impl PolicyQuery {
    /// A policy by its name. Null if there is none, and for the built-in `root`, which has no document. Needs administration of `policies`.
    async fn policy(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The name of the policy.")] name: String,
    ) -> Result<Option<Policy>> {
        Ok(policies::find(op(ctx)?, &name).await?.map(Into::into))
    }

    /// All policies, by name. Needs administration of `policies`.
    async fn policies(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many to return from the start, 1 to 100.", default = 50)] first: Option<i32>,
        #[graphql(desc = "Continue after this cursor.")] after: Option<String>,
        #[graphql(desc = "How many to return from the end, 1 to 100, instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "Stop before this cursor.")] before: Option<String>,
    ) -> Result<Page<Policy>> {
        Ok(policies::list(op(ctx)?, either_way(ctx, first, after, last, before)).await?.into())
    }

    /// Why an access would be allowed or not, by the same evaluation that enforces it; nothing is accessed.
    /// Any caller may ask about themselves; about others needs administration of `policies`.
    async fn explain_access(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The access in question.")] input: ExplainAccessInput,
    ) -> Result<AccessExplanation> {
        Ok(policies::explain(op(ctx)?, input.try_into()?).await.at_input()?.into())
    }
}

/// An access to be explained: `operation` on the secret at `path`, or administration of `area`.
#[derive(InputObject)]
struct ExplainAccessInput {
    /// The path of the secret; it need not exist. Goes with `operation`.
    path: Option<Path>,
    /// What would be done with the secret. Goes with `path`.
    operation: Option<SecretOperation>,
    /// What would be administered, instead of `path` and `operation`.
    area: Option<AdministrationArea>,
    /// Who would ask; the caller if left out.
    #[graphql(name = "as")]
    subject: Option<ExplainAccessSubject>,
    /// The address that the request would come from: IPv4 or IPv6. The caller's own if left out and `as` is too.
    source_ip: Option<String>,
    /// When the request would come; now if left out.
    at: Option<DateTime>,
    /// The lifetime that would be asked for, in seconds.
    ttl_seconds: Option<i32>,
}

/// Who would ask: one of these.
#[derive(OneofObject)]
enum ExplainAccessSubject {
    /// The holder of the token with this accessor, a UUID.
    TokenAccessor(ID),
    /// Whoever logs in as the role of this name.
    RoleName(String),
    /// A holder of exactly these policies.
    Policies(Vec<String>),
}

impl TryFrom<ExplainAccessInput> for Explain {
    type Error = crate::graphql::result::Failure;

    fn try_from(input: ExplainAccessInput) -> Result<Self> {
        Ok(Self {
            path: input.path.map(|path| path.at("input.path")).transpose()?,
            operation: input.operation.map(Into::into),
            area: input.area.map(Into::into),
            subject: match input.subject {
                None => Subject::Myself,
                Some(ExplainAccessSubject::TokenAccessor(accessor)) => {
                    Subject::TokenAccessor(uuid_at(&accessor, "input.as.tokenAccessor")?)
                }
                Some(ExplainAccessSubject::RoleName(name)) => Subject::Role(name),
                Some(ExplainAccessSubject::Policies(names)) => Subject::Policies(names),
            },
            source_ip: input.source_ip.map(|text| address_at(&text, "input.sourceIp")).transpose()?,
            at: input.at.map(|time| time.at("input.at")).transpose()?,
            ttl_seconds: input.ttl_seconds.map(i64::from),
        })
    }
}

/// An address that stands in an input field.
///
/// # Errors
/// `BAD_USER_INPUT` at `field`.
pub(super) fn address_at(text: &str, field: &'static str) -> Result<IpAddr> {
    text.parse().map_err(|_| Error::bad_input(field, "this is no IPv4 or IPv6 address").into())
}
