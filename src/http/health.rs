//! What watches a node: load balancers, orchestrators, people.

use super::respond;
use super::router::Visit;
use super::sys::StatusBody;
use crate::error::{Error, ErrorCode};
use crate::service::seal;
use axum::body::Body;
use http::{Response, StatusCode};
use std::time::Duration;

/// A store that takes longer to answer is as good as gone for whoever chooses among nodes.
const STORE_PATIENCE: Duration = Duration::from_secs(3);

/// The process runs.
pub(super) fn live(id: &str) -> Response<Body> {
    respond::json(StatusCode::OK, respond::JSON, id, &serde_json::json!({ "live": true }))
}

/// The node can serve: unsealed, and its store answers.
pub(super) async fn ready(visit: &Visit) -> Response<Body> {
    let ready = async {
        seal::require_unsealed(&visit.app)?;
        visit.app.ready().await
    };
    let outcome = match tokio::time::timeout(STORE_PATIENCE, ready).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Error::new(ErrorCode::Unavailable, "the store does not answer in time")),
    };
    match outcome {
        Ok(()) => {
            respond::json(StatusCode::OK, respond::JSON, &visit.id, &serde_json::json!({ "ready": true }))
        }
        Err(error) => respond::error_with_status(StatusCode::SERVICE_UNAVAILABLE, &error, &visit.id),
    }
}

/// 200 active, 503 sealed, 501 not initialised; the seal status either way.
pub(super) async fn health(visit: &Visit) -> Response<Body> {
    let status = seal::status(&visit.app).await;
    let code = match (status.initialized, status.sealed) {
        (false, _) => StatusCode::NOT_IMPLEMENTED,
        (true, true) => StatusCode::SERVICE_UNAVAILABLE,
        (true, false) => StatusCode::OK,
    };
    respond::json(code, respond::JSON, &visit.id, &StatusBody::from(&status))
}
