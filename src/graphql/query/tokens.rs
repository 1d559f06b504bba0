//! Tokens and who is asking.

use crate::graphql::ids::uuid_at;
use crate::graphql::pages::{Page, either_way};
use crate::graphql::result::{Result, op};
use crate::graphql::types::tokens::{Caller, Token};
use crate::service::tokens;
use async_graphql::{Context, ID, Object};

#[derive(Default)]
pub struct TokenQuery;

#[Object]
impl TokenQuery {
    /// Who is asking: works for any token.
    async fn me(&self, ctx: &Context<'_>) -> Result<Caller> {
        Ok(tokens::me(op(ctx)?).await?.into())
    }

    /// What is known about a token. Null if there is none alive with this accessor. Needs administration of `tokens`.
    async fn token(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The accessor of the token: a UUID.")] accessor: ID,
    ) -> Result<Option<Token>> {
        let accessor = uuid_at(&accessor, "accessor")?;
        Ok(tokens::by_accessor(op(ctx)?, accessor).await?.map(Into::into))
    }

    /// All tokens that are alive. Needs administration of `tokens`.
    async fn tokens(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many to return from the start, 1 to 100.", default = 50)] first: Option<i32>,
        #[graphql(desc = "Continue after this cursor.")] after: Option<String>,
        #[graphql(desc = "How many to return from the end, 1 to 100, instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "Stop before this cursor.")] before: Option<String>,
    ) -> Result<Page<Token>> {
        Ok(tokens::list(op(ctx)?, either_way(ctx, first, after, last, before)).await?.into())
    }
}
