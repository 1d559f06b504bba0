//! What errors say.

use crate::error;
use crate::graphql::types::codes::ErrorCode;
use async_graphql::Object;

#[derive(Default)]
pub struct ErrorQuery;

#[Object]
impl ErrorQuery {
    /// All that `extensions.code` of an error can be. No token needed.
    async fn error_codes(&self) -> Vec<ErrorCode> {
        error::ErrorCode::ALL.into_iter().map(Into::into).collect()
    }
}
