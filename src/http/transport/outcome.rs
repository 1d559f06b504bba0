//! What a request to `/graphql` comes to: an answer, or a refusal before there is one.

use super::super::places::Subscribed;
use crate::error::{Error, ErrorCode};
use crate::graphql::errors;
use futures_util::stream::BoxStream;
use http::StatusCode;

/// What a request comes to.
pub(super) enum Outcome {
    Once(async_graphql::Response),
    /// The schema, which holds nothing secret.
    Schema(async_graphql::Response),
    Events(BoxStream<'static, async_graphql::Response>, Option<Subscribed>),
}

impl Outcome {
    /// How it is counted: a stream counts as begun.
    pub(super) fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Once(response) | Self::Schema(response) => code_of(response),
            Self::Events(..) => None,
        }
    }
}

/// Of its first error; `None` without one.
pub(in crate::http) fn code_of(response: &async_graphql::Response) -> Option<ErrorCode> {
    response.errors.first().map(errors::code_of)
}

/// A request that gets no execution: its status where one is due for both forms of answer, else by [`Answer`](super::super::negotiation::Answer).
pub(super) struct Refusal {
    pub(super) status: Option<StatusCode>,
    pub(super) allow: Option<&'static str>,
    pub(super) error: Error,
}

impl Refusal {
    pub(super) fn status(status: StatusCode, message: &'static str) -> Self {
        Self { status: Some(status), allow: None, error: Error::new(ErrorCode::BadUserInput, message) }
    }
}

/// Of the document: answered by the rules of the form of the answer.
impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let status = match error.code() {
            ErrorCode::Unavailable | ErrorCode::Internal | ErrorCode::RateLimited => {
                StatusCode::from_u16(error.code().http_status()).ok()
            }
            _ => None,
        };
        Self { status, allow: None, error }
    }
}

pub(super) fn malformed(error: Error) -> Refusal {
    Refusal { status: Some(StatusCode::BAD_REQUEST), allow: None, error }
}

pub(super) fn not_allowed(allow: &'static str, message: &'static str) -> Refusal {
    Refusal { allow: Some(allow), ..Refusal::status(StatusCode::METHOD_NOT_ALLOWED, message) }
}
