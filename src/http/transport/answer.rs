//! What a request is answered with: the JSON of an execution or of a refusal, and its status.

use super::Refusal;
use crate::graphql::errors::{log, sanitize, server_error};
use crate::http::negotiation::Answer;
use crate::http::respond;
use async_graphql::{ServerError, Value};
use axum::body::Body;
use http::{HeaderValue, Response, StatusCode, header};
use serde::Serialize;
use std::collections::BTreeMap;

/// The answer's body. `data` is left out when nothing was executed, as the specification wants it.
#[derive(Serialize)]
struct Out<'a> {
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [ServerError],
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Value>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    extensions: &'a BTreeMap<String, Value>,
}

/// Makes its errors presentable, and the answer of it.
pub(super) fn execution(form: Answer, id: &str, response: &mut async_graphql::Response) -> Response<Body> {
    // a document that fails validation is not executed; its errors have no path
    let executed = response.data != Value::Null || response.errors.iter().any(|error| !error.path.is_empty());
    for error in &mut response.errors {
        sanitize(error, id);
    }
    let status = match form {
        Answer::GraphqlResponse if !executed => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    };
    let out = Out {
        errors: &response.errors,
        data: executed.then_some(&response.data),
        extensions: &response.extensions,
    };
    respond::json(status, form.content_type(), id, &out)
}

pub(super) fn refuse(form: Answer, id: &str, refusal: &Refusal) -> Response<Body> {
    log(&refusal.error, id);
    let status = refusal.status.unwrap_or_else(|| match form {
        Answer::Json => StatusCode::OK,
        Answer::GraphqlResponse => {
            StatusCode::from_u16(refusal.error.code().http_status()).unwrap_or(StatusCode::BAD_REQUEST)
        }
    });
    let errors = [server_error(&refusal.error, id)];
    let out = Out { errors: &errors, data: None, extensions: &BTreeMap::new() };
    let mut response = respond::json(status, form.content_type(), id, &out);
    let headers = response.headers_mut();
    if let Some(allow) = refusal.allow {
        headers.insert(header::ALLOW, HeaderValue::from_static(allow));
    }
    if let Some(seconds) = refusal.error.retry_after_seconds() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}
