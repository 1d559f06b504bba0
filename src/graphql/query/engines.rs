//! Plugins, and the engines made from them.

use crate::graphql::pages::{Page, either_way};
use crate::graphql::result::{Result, op};
use crate::graphql::types::engines::{Engine, EnginePlugin};
use crate::service::engines;
use async_graphql::{Context, Object};

#[derive(Default)]
pub struct EngineQuery;

#[Object]
impl EngineQuery {
    /// The plugins that the registry of this node knows, in the order of its configuration. Needs administration of `engines`.
    async fn engine_plugins(&self, ctx: &Context<'_>) -> Result<Vec<EnginePlugin>> {
        Ok(engines::plugins(op(ctx)?).await?.into_iter().map(Into::into).collect())
    }

    /// An engine by its name. Null if there is none. Needs administration of `engines`.
    async fn engine(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The name of the engine.")] name: String,
    ) -> Result<Option<Engine>> {
        Ok(engines::find(op(ctx)?, &name).await?.map(Into::into))
    }

    /// All engines, by name. Needs administration of `engines`.
    async fn engines(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many to return from the start, 1 to 100.", default = 50)] first: Option<i32>,
        #[graphql(desc = "Continue after this cursor.")] after: Option<String>,
        #[graphql(desc = "How many to return from the end, 1 to 100, instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "Stop before this cursor.")] before: Option<String>,
    ) -> Result<Page<Engine>> {
        Ok(engines::list(op(ctx)?, either_way(ctx, first, after, last, before)).await?.into())
    }
}
