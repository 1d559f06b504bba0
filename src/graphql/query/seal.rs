//! The state of the seal.

use crate::graphql::result::{Result, op};
use crate::graphql::types::seal::{RekeyStatus, SealStatus};
use crate::service::seal;
use async_graphql::{Context, Object};

#[derive(Default)]
pub struct SealQuery;

#[Object]
impl SealQuery {
    /// Whether the server is initialised and unsealed. No token needed.
    async fn seal_status(&self, ctx: &Context<'_>) -> Result<SealStatus> {
        Ok(seal::status(op(ctx)?.app()).await.into())
    }

    /// How far the making of new key shares has come. Needs administration of `seal`.
    async fn rekey_status(&self, ctx: &Context<'_>) -> Result<RekeyStatus> {
        Ok((&seal::rekey_status(op(ctx)?).await?).into())
    }
}
