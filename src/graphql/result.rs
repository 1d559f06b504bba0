//! How a resolver fails: with the product's own error and nothing else.
//!
//! async-graphql turns anything that can be displayed into an answer for the client. [`Failure`] cannot be displayed
//! and comes from [`Error`] alone, so that no bare `?` in a resolver carries a driver's text out of the house.

use crate::error::Error;
use crate::service::context::OpContext;
use async_graphql::{Context, ErrorExtensionValues};
use std::sync::Arc;

/// The failure of a resolver. Without `Display` on purpose, see the module's documentation.
pub struct Failure(pub Error);

/// What resolvers return.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

/// Public sentence and extensions for the client. The error itself stays with it as its `source`, where the transport
/// finds the context and logs it once.
impl From<Failure> for async_graphql::Error {
    fn from(Failure(error): Failure) -> Self {
        let mut extensions = ErrorExtensionValues::default();
        extensions.set("code", error.code().as_str());
        if let Some(field) = error.field() {
            extensions.set("field", field);
        }
        if let Some(seconds) = error.retry_after_seconds() {
            extensions.set("retryAfterSeconds", seconds);
        }
        Self {
            message: error.message().to_owned(),
            source: Some(Arc::new(error)),
            extensions: Some(extensions),
        }
    }
}

/// Who asks: the transport puts it into every request.
pub fn op<'a>(ctx: &Context<'a>) -> Result<&'a OpContext> {
    ctx.data_opt::<OpContext>()
        .ok_or_else(|| Failure(Error::internal("the transport put no OpContext into the request")))
}

/// Names the field of an error as the client wrote it: the service says `ttlSeconds`, the client `input.ttlSeconds`.
pub trait AtArgument<T> {
    /// The field is part of the argument `input`.
    fn at_input(self) -> Result<T>;
    /// The field is part of the argument `filter`, unless it is one of the paging arguments beside it.
    fn at_filter(self) -> Result<T>;
}

impl<T> AtArgument<T> for std::result::Result<T, Error> {
    fn at_input(self) -> Result<T> {
        self.map_err(|error| Failure(within("input", error)))
    }

    fn at_filter(self) -> Result<T> {
        self.map_err(|error| {
            let paging = matches!(error.field(), Some("first" | "after" | "last" | "before"));
            Failure(if paging { error } else { within("filter", error) })
        })
    }
}

fn within(argument: &str, error: Error) -> Error {
    let Some(field) = error.field() else { return error };
    if field.strip_prefix(argument).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')) {
        return error;
    }
    let field = format!("{argument}.{field}");
    error.at_field(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field_of(result: Result<()>) -> Option<String> {
        result.err().and_then(|failure| failure.0.field().map(str::to_owned))
    }

    #[test]
    fn an_error_keeps_code_field_and_source_and_loses_its_context() {
        let error =
            Error::bad_input("path", "a path is empty").with_retry_after(3).with_context("driver text");
        let answer = async_graphql::Error::from(Failure(error));
        let json = serde_json::to_value(&answer).unwrap();
        assert_eq!(
            json,
            serde_json::json!({ "message": "a path is empty",
                "extensions": { "code": "BAD_USER_INPUT", "field": "path", "retryAfterSeconds": 3 } })
        );
        let source = answer.source.unwrap().downcast::<Error>().unwrap();
        assert_eq!(source.log_context().as_deref(), Some("driver text"));
    }

    #[test]
    fn fields_are_named_as_the_client_wrote_them() {
        for (service, client) in [
            ("path", "input.path"),
            ("ttlSeconds", "input.ttlSeconds"),
            ("document.conditions.ip_ranges", "input.document.conditions.ip_ranges"),
            ("boundCidrList[1]", "input.boundCidrList[1]"),
            ("input.share", "input.share"),
            ("first", "input.first"),
        ] {
            assert_eq!(field_of(Err(Error::bad_input(service, "no")).at_input()).as_deref(), Some(client));
        }
        assert_eq!(field_of(Err(Error::bad_input("after", "no")).at_filter()).as_deref(), Some("after"));
        assert_eq!(
            field_of(Err(Error::bad_input("eventTypes", "no")).at_filter()).as_deref(),
            Some("filter.eventTypes")
        );
        assert_eq!(field_of(Err(Error::sealed()).at_input()), None);
    }
}
