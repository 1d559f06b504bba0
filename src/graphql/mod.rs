//! The GraphQL schema: the words that clients see, one file per noun, over the operations of the service.
//!
//! Resolvers translate and nothing else: they hand the input to the service, which authorises, acts and audits, and
//! dress its answer. Who asks stands in the request's data as an `OpContext`, put there by the transport.

pub mod definitions;
pub mod documents;
pub mod errors;
pub mod guard;
pub mod ids;
mod literals;
pub mod nulls;
pub mod operations;
pub mod order;
pub mod pages;
pub mod persisted;
mod presence;
pub mod result;
mod roots;
pub mod scalars;
mod validation;
mod variable_types;
pub mod variables;

mod mutation;
mod query;
mod subscription;
mod types;

#[cfg(test)]
mod deprecation_tests;
#[cfg(test)]
mod flow_tests;
#[cfg(test)]
mod introspection_tests;
#[cfg(test)]
mod schema_tests;

use async_graphql::{SDLExportOptions, Schema, SchemaBuilder};
pub use mutation::MutationRoot;
pub use query::QueryRoot;
pub use subscription::SubscriptionRoot;

/// The schema that the transport executes.
pub type ApiSchema = Schema<QueryRoot, MutationRoot, SubscriptionRoot>;

/// A net under the guard, which measures every document before the schema sees it: these are above its limits, and
/// only catch what would reach the schema around it. Deepest nesting of fields; the introspection of GraphiQL needs 13.
const MAX_DEPTH: usize = 32;
/// Deepest nesting of selection sets with all fragments expanded; bounds the stack.
const MAX_RECURSIVE_DEPTH: usize = 32;
/// Most fields in one operation, with all fragments expanded.
const MAX_COMPLEXITY: usize = 20_000;
/// Most directives on one field.
const MAX_DIRECTIVES: usize = 64;

/// Who may ask the server for its schema. The transport refuses the others, since the schema does not know its callers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Introspection {
    Always,
    /// Whoever shows a valid token.
    #[default]
    Authenticated,
    Never,
}

/// What of the schema is configured.
#[derive(Debug, Clone, Copy, Default)]
pub struct SchemaOptions {
    pub introspection: Introspection,
}

/// Builds the schema, once per process: it is cheap to clone.
#[must_use]
pub fn schema(options: SchemaOptions) -> ApiSchema {
    builder(options).finish()
}

fn builder(options: SchemaOptions) -> SchemaBuilder<QueryRoot, MutationRoot, SubscriptionRoot> {
    let mut builder =
        Schema::build(QueryRoot::default(), MutationRoot::default(), SubscriptionRoot::default())
            .limit_depth(MAX_DEPTH)
            .limit_recursive_depth(MAX_RECURSIVE_DEPTH)
            .limit_complexity(MAX_COMPLEXITY)
            .limit_directives(MAX_DIRECTIVES);
    if options.introspection == Introspection::Never {
        builder = builder.disable_introspection();
    }
    if options.introspection != Introspection::Always {
        // "did you mean ..." would spell the schema out word by word.
        builder = builder.disable_suggestions();
    }
    builder
}

/// The schema as text, in an order that does not depend on that of the source.
#[must_use]
pub fn sdl() -> String {
    let options = SDLExportOptions::new()
        .sorted_fields()
        .sorted_arguments()
        .sorted_enum_items()
        .include_specified_by()
        .use_space_ident();
    let text = schema(SchemaOptions::default()).sdl_with_options(options);
    let mut sdl = String::with_capacity(text.len());
    for line in text.trim().lines() {
        sdl.push_str(line.trim_end());
        sdl.push('\n');
    }
    sdl
}
