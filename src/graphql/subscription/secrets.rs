//! Changes of secrets.

use super::{Stream, dressed};
use crate::graphql::result::{Result, op};
use crate::graphql::scalars::Path;
use crate::graphql::types::changes::SecretChange;
use crate::service::subscriptions;
use async_graphql::{Context, Subscription};

#[derive(Default)]
pub struct SecretSubscription;

#[Subscription]
impl SecretSubscription {
    /// Changes of secrets that the caller may list or read at that moment.
    async fn secret_changed(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only this path and those below it, by whole segments.")] prefix: Option<Path>,
        #[graphql(
            desc = "Everything since the event with this cursor, and then what comes; without it, from now on."
        )]
        after: Option<String>,
    ) -> Result<Stream<SecretChange>> {
        let prefix = prefix.map(|prefix| prefix.at("prefix")).transpose()?;
        Ok(dressed(subscriptions::secrets(op(ctx)?, prefix, after.as_deref()).await?))
    }
}
