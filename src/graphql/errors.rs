//! How errors leave by GraphQL. Whatever a resolver or async-graphql itself produced is turned into one of our codes here,
//! at the transport, or it becomes `INTERNAL`: no text that we did not write reaches a client.

mod field;

use crate::error::{Error, ErrorCode};
use async_graphql::{ErrorExtensionValues, Pos, ServerError, Value};

/// When to come back, in seconds.
const RETRY_AFTER: &str = "retryAfterSeconds";

/// Turns an error into what the client sees. Logs it once, with its private context.
///
/// - An [`Error`] of ours (a resolver's `?` keeps it as the source) keeps its code, sentence and field.
/// - An error with a known `extensions.code` (an input type's own check) keeps its text.
/// - An error without a path comes from parsing or validation: it is the client's mistake. So is a value that cannot be
///   coerced. The field is named where async-graphql's text tells it.
/// - Everything else is a fault of ours, and only the request id goes out.
pub fn sanitize(error: &mut ServerError, request_id: &str) {
    let source = error.source.take();
    if let Some(ours) = source.as_ref().and_then(|source| source.downcast_ref::<Error>()) {
        log(ours, request_id);
        error.message = ours.message().to_owned();
        error.extensions = Some(extensions(ours, request_id));
    } else if let Some(code) = known_code(error) {
        error.message = without_values(&error.message).to_owned();
        let said =
            |name: &str| error.extensions.as_ref().and_then(|extensions| extensions.get(name)).cloned();
        let mut kept = extensions(&Error::new(code, ""), request_id);
        if let Some(field @ Value::String(_)) = said("field") {
            kept.set("field", field);
        }
        if let Some(seconds @ Value::Number(_)) = said(RETRY_AFTER) {
            kept.set(RETRY_AFTER, seconds);
        }
        error.extensions = Some(kept);
    } else if source.is_none() && is_mistake(error) {
        let mut refusal = Error::new(ErrorCode::BadUserInput, "");
        if let Some(field) = field::of(&error.message) {
            refusal = refusal.at_field(field);
        }
        error.message = without_values(&error.message).to_owned();
        error.extensions = Some(extensions(&refusal, request_id));
    } else {
        let fault = Error::internal(error.message.clone());
        log(&fault, request_id);
        error.message = fault.message().to_owned();
        error.extensions = Some(extensions(&fault, request_id));
    }
}

/// An error of ours as GraphQL sees it, for a request that never reached a resolver.
#[must_use]
pub fn server_error(error: &Error, request_id: &str) -> ServerError {
    let mut out = ServerError::new(error.message(), None);
    out.locations = error.places().iter().map(|&(line, column)| Pos { line, column }).collect();
    out.extensions = Some(extensions(error, request_id));
    out
}

/// Writes a failure to the log: faults with their context, refusals only where someone looks for them.
pub fn log(error: &Error, request_id: &str) {
    let code = error.code().as_str();
    match error.code() {
        ErrorCode::Internal => {
            tracing::error!(request_id, code, context = error.log_context(), "request failed");
        }
        ErrorCode::Unavailable | ErrorCode::EngineUnavailable => {
            tracing::warn!(request_id, code, context = error.log_context(), "request failed");
        }
        _ => tracing::debug!(request_id, code, context = error.log_context(), "request refused"),
    }
}

fn extensions(error: &Error, request_id: &str) -> ErrorExtensionValues {
    let mut values = ErrorExtensionValues::default();
    values.set("code", error.code().as_str());
    values.set("requestId", request_id);
    if let Some(field) = error.field() {
        values.set("field", field);
    }
    if let Some(seconds) = error.retry_after_seconds() {
        values.set(RETRY_AFTER, seconds);
    }
    values
}

/// The code that [`sanitize`] gives an error, for those who count it before it is answered.
#[must_use]
pub fn code_of(error: &ServerError) -> ErrorCode {
    let ours = error.source.as_ref().and_then(|source| source.downcast_ref::<Error>()).map(Error::code);
    ours.or_else(|| known_code(error)).unwrap_or(match &error.source {
        None if is_mistake(error) => ErrorCode::BadUserInput,
        _ => ErrorCode::Internal,
    })
}

/// The code of an error of ours, if it has one.
fn known_code(error: &ServerError) -> Option<ErrorCode> {
    match error.extensions.as_ref()?.get("code")? {
        Value::String(code) => ErrorCode::ALL.into_iter().find(|known| known.as_str() == code),
        _ => None,
    }
}

/// Whether an error of async-graphql's own is about what the client sent.
fn is_mistake(error: &ServerError) -> bool {
    error.path.is_empty() || is_argument_error(&error.message)
}

/// async-graphql coerces arguments while it executes, so these come with a path although no resolver ran. Its texts start
/// in one of these ways (`InputValueError` and `ContextBase::param_value`).
fn is_argument_error(message: &str) -> bool {
    ["Failed to parse \"", "Expected input type \"", "Variable ", "Invalid value for "]
        .iter()
        .any(|start| message.starts_with(start))
}

/// Cuts off the value that async-graphql repeats in such a text: it may be a secret.
fn without_values(message: &str) -> &str {
    const WORD: &str = "\" does not contain the value";
    if message.starts_with("Invalid ") {
        return message.find(WORD).map_or(message, |at| &message[..at + WORD.len()]);
    }
    if !message.starts_with("Expected input type \"") && !message.starts_with("Failed to parse \"") {
        return message;
    }
    message.split_once(", found ").map_or(message, |(before, _)| before)
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_graphql::PathSegment;

    fn sanitized(mut error: ServerError) -> (String, serde_json::Value) {
        let counted = code_of(&error);
        sanitize(&mut error, "r-1");
        let json = serde_json::to_value(&error.extensions).unwrap();
        assert_eq!(json["code"], counted.as_str(), "it is counted as something else than it is answered");
        (error.message, json)
    }

    fn in_a_resolver(mut error: ServerError) -> ServerError {
        error.path.push(PathSegment::Field("secret".into()));
        error
    }

    fn through_a_resolver(error: Error) -> ServerError {
        let converted: async_graphql::Error = error.into();
        in_a_resolver(converted.into_server_error(async_graphql::Pos::default()))
    }

    #[test]
    fn our_errors_keep_code_sentence_and_field_and_lose_their_context() {
        let ours = Error::bad_input("input.path", "no path").with_context("postgres says: s3cret");
        let (message, extensions) = sanitized(through_a_resolver(ours));
        assert_eq!(message, "no path");
        assert_eq!(
            extensions,
            serde_json::json!({"code": "BAD_USER_INPUT", "field": "input.path", "requestId": "r-1"})
        );
        let limited = Error::new(ErrorCode::RateLimited, "locked").with_retry_after(30);
        assert_eq!(sanitized(through_a_resolver(limited)).1["retryAfterSeconds"], 30);
    }

    #[test]
    fn what_is_made_for_the_client_stays_as_it_is() {
        for error in [
            Error::new(ErrorCode::RateLimited, "wait").with_retry_after(7),
            Error::bad_input("variables", "too many"),
            Error::sealed(),
        ] {
            let made = server_error(&error, "r-1");
            let before = serde_json::to_value(&made).unwrap();
            let (message, extensions) = sanitized(made);
            assert_eq!(serde_json::json!({ "message": message, "extensions": extensions }), before);
        }
    }

    #[test]
    fn foreign_errors_of_resolvers_become_internal() {
        let io: async_graphql::Error = std::io::Error::other("/var/lib/secret.db is gone").into();
        for error in [
            in_a_resolver(io.into_server_error(async_graphql::Pos::default())),
            in_a_resolver(ServerError::new("duplicate key value violates unique constraint", None)),
        ] {
            let (message, extensions) = sanitized(error);
            assert_eq!(message, Error::internal("").message());
            assert_eq!(extensions["code"], "INTERNAL");
            assert_eq!(extensions["requestId"], "r-1");
        }
    }

    #[test]
    fn mistakes_of_the_client_are_bad_input_without_the_value() {
        let (message, extensions) =
            sanitized(ServerError::new("Unknown field \"x\" on type \"Query\".", None));
        assert_eq!(message, "Unknown field \"x\" on type \"Query\".");
        assert_eq!(extensions["code"], "BAD_USER_INPUT");
        let coerced = ServerError::new("Expected input type \"String\", found \"s3cret\".", None);
        let (message, extensions) = sanitized(in_a_resolver(coerced));
        assert_eq!(message, "Expected input type \"String\"");
        assert_eq!(extensions["code"], "BAD_USER_INPUT");
        let word = "Invalid value for argument \"type\", enumeration type \"T\" does not contain the value";
        let (message, extensions) = sanitized(ServerError::new(format!("{word} \"s3cret\""), None));
        assert_eq!(message, word);
        assert_eq!(extensions["field"], "type");
    }
}
