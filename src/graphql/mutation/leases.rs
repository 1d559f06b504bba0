//! Issuing credentials, and what becomes of their leases.

use crate::error::Error;
use crate::graphql::ids::uuid_at;
use crate::graphql::result::{AtArgument, Result, op};
use crate::graphql::scalars::{Json, Path, int};
use crate::graphql::types::leases::Lease;
use crate::service::leases::{self, IssueCredentials, RevokeSelection};
use async_graphql::{Context, ID, InputObject, Object, SimpleObject};

#[derive(Default)]
pub struct LeaseMutation;

#[Object]
impl LeaseMutation {
    /// Has the engine of a path make credentials, on a lease that begins now. They are shown this once. Needs `issue` on the path.
    async fn issue_credentials(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "What is asked for, and for how long.")] input: IssueCredentialsInput,
    ) -> Result<IssueCredentialsPayload> {
        let input = IssueCredentials {
            path: input.path.at("input.path")?,
            ttl_seconds: input.ttl_seconds.map(Into::into),
            idempotency_key: input.idempotency_key,
        };
        let issued = leases::issue(op(ctx)?, input).await.at_input()?;
        Ok(IssueCredentialsPayload {
            lease: issued.lease.into(),
            credentials: Json(issued.credentials),
            warnings: issued.warnings,
        })
    }

    /// Lets a lease live longer, counted from now, as far as its role, its engine, the caller's policies and token let it.
    /// Needs `renew` on its path.
    async fn renew_lease(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which lease, and for how long.")] input: RenewLeaseInput,
    ) -> Result<LeasePayload> {
        let id = uuid_at(&input.lease_id, "input.leaseId")?;
        let increment = input.increment_seconds.map(Into::into);
        let renewed = leases::renew(op(ctx)?, id, increment).await.at_input()?;
        Ok(LeasePayload { lease: renewed.lease.into(), warnings: renewed.warnings })
    }

    /// Ends a lease. The caller's own needs no right; another's needs `revoke` on its path, or administration of `leases`.
    /// If the target does not revoke, the lease is still `REVOKING` in the answer, and the target is asked again until it has.
    async fn revoke_lease(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which lease.")] input: RevokeLeaseInput,
    ) -> Result<LeasePayload> {
        let id = uuid_at(&input.lease_id, "input.leaseId")?;
        let lease = leases::revoke(op(ctx)?, id, input.wait.unwrap_or(true)).await.at_input()?;
        Ok(LeasePayload { lease: lease.into(), warnings: Vec::new() })
    }

    /// Ends many leases. That they end is durable when this answers; the targets are asked in the background until they have
    /// revoked. Needs administration of `leases`; with `force` of `engines` as well.
    async fn revoke_leases(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Which leases: exactly one of the selections.")] input: RevokeLeasesInput,
    ) -> Result<RevokeLeasesPayload> {
        let force = input.force.unwrap_or(false);
        let count = leases::revoke_many(op(ctx)?, input.selection()?, force).await.at_input()?;
        Ok(RevokeLeasesPayload { count: int(i64::try_from(count).unwrap_or(i64::MAX)) })
    }
}

/// What credentials are asked for.
#[derive(InputObject)]
struct IssueCredentialsInput {
    /// The path of a secret of type `DYNAMIC_ROLE`.
    path: Path,
    /// How long they should live, in seconds; the role's default if left out. It may be cut: `warnings` says by what.
    ttl_seconds: Option<i32>,
    /// For repeating a request whose answer was lost: with the same key, the same token gets the same lease and credentials
    /// as long as the lease lives; another token gets its own. 1 to 128 printable characters.
    idempotency_key: Option<String>,
}

/// A lease and its credentials.
#[derive(SimpleObject)]
struct IssueCredentialsPayload {
    /// The lease that the credentials end with.
    lease: Lease,
    /// The credentials, shown this once: a JSON object whose form is the engine's.
    credentials: Json,
    /// What was granted otherwise than asked for, such as a shorter life, and by what.
    warnings: Vec<String>,
}

/// Which lease to renew.
#[derive(InputObject)]
struct RenewLeaseInput {
    /// The lease's own id, a UUID.
    lease_id: ID,
    /// How long it should live from now, in seconds; as long as was granted last if left out.
    increment_seconds: Option<i32>,
}

/// A lease after a change.
#[derive(SimpleObject)]
struct LeasePayload {
    /// The lease as it now is.
    lease: Lease,
    /// What was granted otherwise than asked for, such as a shorter life, and by what.
    warnings: Vec<String>,
}

/// Which lease to end.
#[derive(InputObject)]
struct RevokeLeaseInput {
    /// The lease's own id, a UUID.
    lease_id: ID,
    /// Whether to answer only when the target has been asked.
    #[graphql(default_with = "Some(true)")]
    wait: Option<bool>,
}

/// Which leases to end: exactly one of the first four.
#[derive(InputObject)]
struct RevokeLeasesInput {
    /// Those of this path and of the paths below it, by whole segments.
    path_prefix: Option<Path>,
    /// Those of the engine of this name.
    engine: Option<String>,
    /// Those of the token with this accessor, a UUID.
    token_accessor: Option<ID>,
    /// Those of whoever logged in as the role of this name.
    role_name: Option<String>,
    /// Do not ask the targets: the leases are given up, and the credentials may live on. For targets that are gone for good.
    /// Needs administration of both `leases` and `engines`.
    force: Option<bool>,
}

impl RevokeLeasesInput {
    fn selection(self) -> Result<RevokeSelection> {
        let Self { path_prefix, engine, token_accessor, role_name, .. } = self;
        match (path_prefix, engine, token_accessor, role_name) {
            (Some(path), None, None, None) => Ok(RevokeSelection::Path(path.at("input.pathPrefix")?)),
            (None, Some(name), None, None) => Ok(RevokeSelection::Engine(name)),
            (None, None, Some(id), None) => Ok(RevokeSelection::Token(uuid_at(&id, "input.tokenAccessor")?)),
            (None, None, None, Some(name)) => Ok(RevokeSelection::Role(name)),
            _ => Err(Error::bad_input(
                "input",
                "give exactly one of 'pathPrefix', 'engine', 'tokenAccessor' and 'roleName'",
            )
            .into()),
        }
    }
}

/// What came of ending many leases.
#[derive(SimpleObject)]
struct RevokeLeasesPayload {
    /// How many leases end by it.
    count: i32,
}
