//! The settings of `/graphql`.

use crate::graphql::Introspection;
use crate::graphql::guard::QueryLimits;
use crate::graphql::persisted::Persisted;
use crate::http::origins::Origins;
use crate::http::places::PlaceLimits;
use std::sync::Arc;
use std::time::Duration;

/// Settings of the door.
#[derive(Debug, Clone)]
pub struct TransportOptions {
    pub limits: QueryLimits,
    pub introspection: Introspection,
    /// Bytes of a request's body. A secret of 1 MiB must fit, with JSON escapes that make six bytes of one.
    pub max_body_bytes: usize,
    /// From the first byte of the head to the answer.
    pub request_timeout: Duration,
    /// Requests in work at a time; more are turned away with 503.
    pub max_concurrent_requests: usize,
    /// Memory for the bodies of all requests together.
    pub max_bodies_bytes: usize,
    /// Documents remembered, and the memory they may take in bytes.
    pub max_documents: usize,
    pub max_document_bytes: u64,
    /// Those of the manifest.
    pub persisted: Arc<Persisted>,
    /// Web pages that may talk to the server, beside its own.
    pub allowed_origins: Origins,
    /// Sockets and subscriptions that may be open.
    pub places: PlaceLimits,
}

impl Default for TransportOptions {
    fn default() -> Self {
        Self {
            limits: QueryLimits::default(),
            introspection: Introspection::default(),
            max_body_bytes: 8 * 1024 * 1024,
            request_timeout: Duration::from_secs(30),
            max_concurrent_requests: 2048,
            max_bodies_bytes: 256 * 1024 * 1024,
            max_documents: 1000,
            max_document_bytes: 8 * 1024 * 1024,
            persisted: Arc::default(),
            allowed_origins: Origins::default(),
            places: PlaceLimits::default(),
        }
    }
}
