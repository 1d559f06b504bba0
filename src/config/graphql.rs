//! The section `graphql`, and what of `listener` is about requests.

use super::source::Source;
use super::{documents, seconds, whole};
use crate::error::{Error, Result};
use crate::graphql::guard::QueryLimits;
use crate::http::origins::Origins;
use crate::http::places::PlaceLimits;
use crate::http::transport::{Introspection, TransportOptions};

/// Origins that can be allowed.
const MAX_ORIGINS: usize = 64;

pub(super) fn graphql(source: &Source) -> Result<TransportOptions> {
    let limits = QueryLimits::default();
    let default = TransportOptions::default();
    let introspection = match source.text("graphql.introspection")?.unwrap_or("authenticated") {
        "always" => Introspection::Always,
        "authenticated" => Introspection::Authenticated,
        "never" => Introspection::Never,
        _ => {
            let message = "write \"always\", \"authenticated\" or \"never\"";
            return Err(Error::bad_input("graphql.introspection", message));
        }
    };
    Ok(TransportOptions {
        limits: QueryLimits {
            max_bytes: whole(source, "graphql.max_bytes", limits.max_bytes, 1, 16 << 20)?,
            max_tokens: whole(source, "graphql.max_tokens", limits.max_tokens, 1, 1_000_000)?,
            // async-graphql's own recursion ends at 32
            max_depth: whole(source, "graphql.max_depth", limits.max_depth, 1, 30)?,
            max_aliases: whole(source, "graphql.max_aliases", limits.max_aliases, 0, 100_000)?,
            max_root_fields: whole(source, "graphql.max_root_fields", limits.max_root_fields, 1, 10_000)?,
            max_root_mutations: whole(
                source,
                "graphql.max_root_mutations",
                limits.max_root_mutations,
                1,
                1000,
            )?,
            max_directives: whole(source, "graphql.max_directives", limits.max_directives, 0, 100_000)?,
            max_complexity: whole(source, "graphql.max_complexity", limits.max_complexity, 1, 10_000_000)?,
            max_operations: whole(source, "graphql.max_operations", limits.max_operations, 1, 1000)?,
            variables: documents::variables(source)?,
        },
        introspection,
        max_body_bytes: whole(source, "listener.max_body_bytes", default.max_body_bytes, 1024, 64 << 20)?,
        request_timeout: seconds(
            source,
            "listener.request_timeout",
            default.request_timeout.as_secs(),
            1,
            3600,
        )?,
        max_concurrent_requests: whole(
            source,
            "listener.max_concurrent_requests",
            default.max_concurrent_requests,
            1,
            1 << 20,
        )?,
        max_bodies_bytes: whole(
            source,
            "listener.max_bodies_bytes",
            default.max_bodies_bytes,
            1 << 20,
            1 << 40,
        )?,
        max_documents: whole(source, "graphql.cached_documents", default.max_documents, 1, 1_000_000)?,
        allowed_origins: allowed_origins(source)?,
        places: places(source)?,
        ..default
    })
}

fn places(source: &Source) -> Result<PlaceLimits> {
    let default = PlaceLimits::default();
    let most = |key, default: usize| whole(source, key, default, 0, 1 << 20);
    Ok(PlaceLimits {
        sockets_per_caller: most("graphql.max_sockets_per_caller", default.sockets_per_caller)?,
        subscriptions_per_socket: most(
            "graphql.max_subscriptions_per_socket",
            default.subscriptions_per_socket,
        )?,
        subscriptions_per_caller: most(
            "graphql.max_subscriptions_per_caller",
            default.subscriptions_per_caller,
        )?,
        subscriptions: most("graphql.max_subscriptions", default.subscriptions)?,
    })
}

fn allowed_origins(source: &Source) -> Result<Origins> {
    const KEY: &str = "listener.allowed_origins";
    let texts = source.list(KEY)?;
    if texts.len() > MAX_ORIGINS {
        return Err(Error::bad_input(KEY, format!("write at most {MAX_ORIGINS} origins")));
    }
    Origins::parse(texts).map_err(|message| Error::bad_input(KEY, message))
}
