//! Secrets by path, and lists of them.

use crate::graphql::pages::{Page, either_way};
use crate::graphql::result::{Result, op};
use crate::graphql::scalars::Path;
use crate::graphql::types::secrets::{Secret, SecretType};
use crate::service::secrets::{self, ListSecrets};
use async_graphql::parser::types::{Field, Selection, SelectionSet};
use async_graphql::{Context, Object};

#[derive(Default)]
pub struct SecretQuery;

#[Object]
impl SecretQuery {
    /// A secret by its path. Null if there is none, or the caller may neither list nor read it.
    async fn secret(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The whole path.")] path: Path,
    ) -> Result<Option<Secret>> {
        let path = path.at("path")?;
        if asks_for_value(ctx) {
            return Ok(secrets::open(op(ctx)?, &path).await?.map(Into::into));
        }
        Ok(secrets::find(op(ctx)?, &path).await?.map(Into::into))
    }

    /// The secrets that the caller may list, by path. Administration of `secrets` lists all of them.
    #[allow(clippy::too_many_arguments, reason = "the arguments are the schema's")]
    async fn secrets(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only this path and those below it, by whole segments.")] prefix: Option<Path>,
        #[graphql(desc = "Only secrets of this type.", name = "type")] secret_type: Option<SecretType>,
        #[graphql(
            desc = "Only secrets with this text in their path or description, small or capital letters alike; up to 200 bytes."
        )]
        search: Option<String>,
        #[graphql(desc = "How many to return from the start, 1 to 100.", default = 50)] first: Option<i32>,
        #[graphql(desc = "Continue after this cursor.")] after: Option<String>,
        #[graphql(desc = "How many to return from the end, 1 to 100, instead of `first`.")] last: Option<i32>,
        #[graphql(desc = "Stop before this cursor.")] before: Option<String>,
    ) -> Result<Page<Secret>> {
        let filter = ListSecrets {
            prefix: prefix.map(|prefix| prefix.at("prefix")).transpose()?,
            secret_type: secret_type.map(|kind| kind.stored().to_owned()),
            search,
        };
        Ok(secrets::list(op(ctx)?, filter, either_way(ctx, first, after, last, before)).await?.into())
    }
}

/// Whether the current value is certainly part of the answer. Then secret and value are read in one step, with one audit
/// event; the value must not be read, and recorded as read, for an answer that leaves it out. So a directive (`@skip`)
/// leaves the question to the field itself, and so does a version.
pub fn asks_for_value(ctx: &Context<'_>) -> bool {
    fn in_set(ctx: &Context<'_>, set: &SelectionSet) -> bool {
        set.items.iter().any(|selection| match &selection.node {
            Selection::Field(field) => is_value(&field.node),
            Selection::InlineFragment(fragment) => {
                fragment.node.directives.is_empty() && in_set(ctx, &fragment.node.selection_set.node)
            }
            Selection::FragmentSpread(spread) => {
                let fragment = ctx.query_env.fragments.get(&spread.node.fragment_name.node);
                spread.node.directives.is_empty()
                    && fragment.is_some_and(|fragment| {
                        fragment.node.directives.is_empty() && in_set(ctx, &fragment.node.selection_set.node)
                    })
            }
        })
    }
    in_set(ctx, &ctx.item.node.selection_set.node)
}

fn is_value(field: &Field) -> bool {
    field.name.node == "data" && field.arguments.is_empty() && field.directives.is_empty()
}
