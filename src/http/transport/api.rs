//! What stands behind the door, and what it is told of a caller.

use crate::error::Result;
use crate::service::certificates::PeerCertificate;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;
use tokio_util::sync::CancellationToken;

/// Who calls, as the transport knows it.
pub struct Call<'a> {
    /// `None`: anonymous. An empty text is a malformed header, to be refused like an unknown token.
    pub bearer: Option<&'a str>,
    pub origin: CallOrigin,
    pub request_id: String,
    pub correlation_id: Option<String>,
    pub started: Instant,
}

/// Where a request came from, as the connection and trusted proxies say.
#[derive(Debug, Clone, Default)]
pub struct CallOrigin {
    pub source_ip: Option<IpAddr>,
    /// The client certificate of the connection.
    pub certificate: Option<Arc<PeerCertificate>>,
    /// Cancelled when the server is to end: what lasts longer than a request ends then.
    pub stop: CancellationToken,
}

/// What stands behind the door.
pub trait Api: Send + Sync + 'static {
    /// What resolvers find in their context.
    type Context: Clone + Send + Sync + 'static;

    fn context(&self, call: Call<'_>) -> Self::Context;

    /// Whether the caller shows a valid token; asked only for introspection under [`Introspection::Authenticated`], and before
    /// a large body is read.
    fn authenticate(&self, context: &Self::Context) -> impl Future<Output = Result<()>> + Send;

    /// Charges the caller for work; to be called before it is done, for every operation, and again with what was charged `before` when
    /// more is known of it.
    fn charge(
        &self,
        context: &Self::Context,
        cost: u64,
        before: u64,
    ) -> impl Future<Output = Result<()>> + Send;

    fn execute(
        &self,
        request: async_graphql::Request,
    ) -> impl Future<Output = async_graphql::Response> + Send;

    fn subscribe(&self, request: async_graphql::Request) -> BoxStream<'static, async_graphql::Response>;

    /// The context of another operation over the same socket.
    fn next(&self, socket: &Self::Context, request_id: String) -> Self::Context;

    /// Whether a socket may be opened with this token.
    fn admit(&self, socket: &Self::Context) -> impl Future<Output = Result<()>> + Send;

    /// Whether the token is good, as far as can be told; nothing is recorded.
    fn is_known(&self, caller: &Self::Context) -> impl Future<Output = bool> + Send;

    /// Whether the token is good no longer.
    fn has_ended(&self, socket: &Self::Context) -> impl Future<Output = bool> + Send;

    /// Completes when the token is good no longer.
    fn ended(&self, socket: &Self::Context) -> BoxFuture<'static, ()>;
}
