//! Answers: JSON bytes with the headers that every answer of ours carries.

use super::ids::REQUEST_ID;
use crate::error::Error;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use serde::Serialize;

/// JSON of most answers fits, so the buffer rarely grows.
const TYPICAL_ANSWER: usize = 1024;
pub const JSON: &str = "application/json; charset=utf-8";

/// An answer with the common headers. Nothing this server says may be cached or taken for another type.
#[must_use]
pub fn answer(
    status: StatusCode,
    content_type: &'static str,
    request_id: &str,
    body: impl Into<Bytes>,
) -> Response<Body> {
    let mut response = Response::new(Body::from(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.insert(HeaderName::from_static(REQUEST_ID), id);
    }
    response
}

/// A JSON answer.
pub fn json<T: Serialize>(
    status: StatusCode,
    content_type: &'static str,
    request_id: &str,
    value: &T,
) -> Response<Body> {
    match serialized(value, request_id) {
        Some(bytes) => answer(status, content_type, request_id, bytes),
        None => answer(StatusCode::INTERNAL_SERVER_ERROR, content_type, request_id, b"{}".to_vec()),
    }
}

/// The JSON of a value of ours; `{}` if it has none, which is logged.
pub fn to_json<T: Serialize>(value: &T, request_id: &str) -> Vec<u8> {
    serialized(value, request_id).unwrap_or_else(|| b"{}".to_vec())
}

fn serialized<T: Serialize>(value: &T, request_id: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(TYPICAL_ANSWER);
    match serde_json::to_writer(&mut bytes, value) {
        Ok(()) => Some(bytes),
        Err(error) => {
            crate::graphql::errors::log(&Error::internal(error), request_id);
            None
        }
    }
}

/// An error of the `/v1` doors: `{"error":{"code","message","field","requestId"}}`, with the status of its code.
#[must_use]
pub fn error(error: &Error, request_id: &str) -> Response<Body> {
    let status =
        StatusCode::from_u16(error.code().http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    error_with_status(status, error, request_id)
}

/// The same with a status that the code alone does not give (405, 413, 415).
#[must_use]
pub fn error_with_status(status: StatusCode, error: &Error, request_id: &str) -> Response<Body> {
    crate::graphql::errors::log(error, request_id);
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Inner<'a> {
        code: &'static str,
        message: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        field: Option<&'a str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        retry_after_seconds: Option<u64>,
        request_id: &'a str,
    }
    #[derive(Serialize)]
    struct Outer<'a> {
        error: Inner<'a>,
    }
    let body = Outer {
        error: Inner {
            code: error.code().as_str(),
            message: error.message(),
            field: error.field(),
            retry_after_seconds: error.retry_after_seconds(),
            request_id,
        },
    };
    let mut response = json(status, JSON, request_id, &body);
    if let Some(seconds) = error.retry_after_seconds() {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// 405 on a `/v1` door.
#[must_use]
pub fn method_not_allowed(allow: &'static str, request_id: &str) -> Response<Body> {
    let refusal = Error::new(
        crate::error::ErrorCode::BadUserInput,
        format!("this method is not allowed here: use {allow}"),
    );
    let mut response = error_with_status(StatusCode::METHOD_NOT_ALLOWED, &refusal, request_id);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}
