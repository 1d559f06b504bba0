//! Roles.

use crate::graphql::pages::{Page, either_way};
use crate::graphql::result::{Result, op};
use crate::graphql::types::roles::Role;
use crate::service::roles;
use async_graphql::{Context, Object};

#[derive(Default)]
pub struct RoleQuery;

#[Object]
impl RoleQuery {
    /// A role by its name. Null if there is none. Needs administration of `roles`.
    async fn role(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The name of the role.")] name: String,
    ) -> Result<Option<Role>> {
        Ok(roles::find(op(ctx)?, &name).await?.map(Into::into))
    }

    /// All roles, by name. Needs administration of `roles`.
    async fn roles(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many to return from the start, 1 to 100.", default = 50)] first: Option<i32>,
        #[graphql(desc = "Continue after this cursor.")] after: Option<String>,
        #[graphql(desc = "How many to return from the end, 1 to 100, instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "Stop before this cursor.")] before: Option<String>,
    ) -> Result<Page<Role>> {
        Ok(roles::list(op(ctx)?, either_way(ctx, first, after, last, before)).await?.into())
    }
}
