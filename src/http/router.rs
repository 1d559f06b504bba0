//! Which path is which door.

use super::bearer::bearer;
use super::client_address::client_address;
use super::gate::Gate;
use super::ids::{correlation_id, request_id};
use super::meters::DoorMeters;
use super::origins::{self, Origins};
use super::respond;
use super::server::{Handler, Peer};
use super::transport::{Api, Call, CallOrigin, GraphqlDoor, TransportOptions};
use super::{audit_export, compress, health, metrics, pki, playground, sys, toll, ws};
use crate::error::{Error, ErrorCode, Result};
use crate::service::context::{OpContext, Origin};
use crate::service::{App, connections, rate};
use async_graphql::{ObjectType, Schema, SubscriptionType};
use axum::body::Body;
use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{BoxStream, StreamExt};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use ipnet::IpNet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The schema as the transport calls it. Resolvers find an [`OpContext`] in their context.
pub struct SchemaApi<Q, M, S> {
    app: Arc<App>,
    schema: Schema<Q, M, S>,
}

impl<Q, M, S> Api for SchemaApi<Q, M, S>
where
    Q: ObjectType + 'static,
    M: ObjectType + 'static,
    S: SubscriptionType + 'static,
{
    type Context = OpContext;

    fn context(&self, call: Call<'_>) -> OpContext {
        let origin = Origin {
            source_ip: call.origin.source_ip,
            request_id: call.request_id,
            correlation_id: call.correlation_id,
            certificate: call.origin.certificate,
            started: call.started,
        };
        OpContext::new(Arc::clone(&self.app), call.bearer, origin)
    }

    async fn authenticate(&self, context: &OpContext) -> Result<()> {
        crate::service::tokens::me(context).await.map(drop)
    }

    async fn charge(&self, context: &OpContext, cost: u64, before: u64) -> Result<()> {
        rate::admit(context, cost, before).await
    }

    async fn execute(&self, request: async_graphql::Request) -> async_graphql::Response {
        self.schema.execute(request).await
    }

    fn subscribe(&self, request: async_graphql::Request) -> BoxStream<'static, async_graphql::Response> {
        self.schema.execute_stream(request).boxed()
    }

    fn next(&self, socket: &OpContext, request_id: String) -> OpContext {
        socket.next(request_id)
    }

    async fn admit(&self, socket: &OpContext) -> Result<()> {
        connections::admit(socket).await
    }

    async fn is_known(&self, caller: &OpContext) -> bool {
        connections::is_known(caller).await
    }

    async fn has_ended(&self, socket: &OpContext) -> bool {
        connections::has_ended(socket).await
    }

    fn ended(&self, socket: &OpContext) -> BoxFuture<'static, ()> {
        connections::ended(socket.clone()).boxed()
    }
}

/// All doors of a node.
pub struct Doors<Q, M, S> {
    app: Arc<App>,
    graphql: Arc<GraphqlDoor<SchemaApi<Q, M, S>>>,
    trusted_proxies: Vec<IpNet>,
    allowed_origins: Origins,
    request_timeout: Duration,
    gate: Arc<Gate>,
    playground: bool,
}

/// A request at a door beside GraphQL.
pub(super) struct Visit {
    pub app: Arc<App>,
    pub ctx: OpContext,
    pub id: String,
    pub gate: Arc<Gate>,
    pub meters: Arc<DoorMeters>,
    /// For the whole of a request; where a door has no such limit, for its body.
    pub timeout: Duration,
    /// Whether the page at `/` is served.
    pub playground: bool,
}

/// What `GET /` says where the playground is switched off.
const HOME: &str = "SecretHub\n\n\
    The API is GraphQL: POST /graphql with a token as 'Authorization: Bearer TOKEN'.\n\
    The README of the release has a tour, schema.graphql the schema.\n\
    State of this server: GET /v1/sys/health\n";

impl<Q, M, S> Doors<Q, M, S>
where
    Q: ObjectType + 'static,
    M: ObjectType + 'static,
    S: SubscriptionType + 'static,
{
    #[must_use]
    pub fn new(
        app: Arc<App>,
        schema: Schema<Q, M, S>,
        options: TransportOptions,
        trusted_proxies: Vec<IpNet>,
    ) -> Self {
        let request_timeout = options.request_timeout;
        let allowed_origins = options.allowed_origins.clone();
        let gate = Arc::new(Gate::new(options.max_concurrent_requests, options.max_bodies_bytes));
        let api = SchemaApi { app: Arc::clone(&app), schema };
        let graphql = Arc::new(GraphqlDoor::new(api, options, Arc::clone(&gate)));
        Self { app, graphql, trusted_proxies, allowed_origins, request_timeout, gate, playground: true }
    }

    /// Whether the page at `/` is served; it is unless told otherwise.
    #[must_use]
    pub fn with_playground(mut self, playground: bool) -> Self {
        self.playground = playground;
        self
    }

    /// Answers one request; for tests also without a socket.
    pub async fn answer<B>(&self, request: Request<B>, peer: Peer) -> Response<Body>
    where
        B: hyper::body::Body<Data = bytes::Bytes> + Unpin,
    {
        let site = self.allowed_origins.site(&request, peer.tls);
        match origins::settle(&request, &site, &request_id()) {
            Some(response) => response,
            None => origins::dressed(&site, self.admitted(request, peer).await),
        }
    }

    async fn admitted<B>(&self, request: Request<B>, peer: Peer) -> Response<Body>
    where
        B: hyper::body::Body<Data = bytes::Bytes> + Unpin,
    {
        let source_ip = client_address(peer.address.ip(), request.headers(), &self.trusted_proxies);
        let origin = CallOrigin { source_ip, certificate: peer.certificate, stop: peer.stop };
        if request.uri().path() == "/graphql" {
            if ws::is_upgrade(&request) {
                return ws::upgrade(Arc::clone(&self.graphql), request, origin);
            }
            return self.graphql.handle(request, origin).await;
        }
        let visit = self.visit(request.headers(), origin);
        let id = visit.id.clone();
        if let Err(error) = rate::admit_address(&visit.ctx, toll::of(request.uri().path())) {
            return respond::error(&error, &id);
        }
        if request.uri().path() == sys::INIT {
            // the key shares are shown in this answer and never again: it is not cut off
            return route(request, visit).await;
        }
        match tokio::time::timeout(self.request_timeout, route(request, visit)).await {
            Ok(response) => response,
            Err(_) => {
                let message = "the request took too long: it may or may not have had its effect";
                respond::error(&Error::new(ErrorCode::Unavailable, message), &id)
            }
        }
    }

    fn visit(&self, headers: &HeaderMap, origin: CallOrigin) -> Visit {
        let id = request_id();
        let origin = Origin {
            source_ip: origin.source_ip,
            request_id: id.clone(),
            correlation_id: correlation_id(headers),
            certificate: origin.certificate,
            started: Instant::now(),
        };
        let ctx = OpContext::new(Arc::clone(&self.app), bearer(headers), origin);
        Visit {
            app: Arc::clone(&self.app),
            ctx,
            id,
            gate: Arc::clone(&self.gate),
            meters: Arc::clone(self.graphql.meters()),
            timeout: self.request_timeout,
            playground: self.playground,
        }
    }
}

impl<Q, M, S> Handler for Doors<Q, M, S>
where
    Q: ObjectType + 'static,
    M: ObjectType + 'static,
    S: SubscriptionType + 'static,
{
    async fn handle(&self, request: Request<Incoming>, peer: Peer) -> Response<Body> {
        self.answer(request, peer).await
    }
}

async fn route<B>(request: Request<B>, visit: Visit) -> Response<Body>
where
    B: hyper::body::Body<Data = bytes::Bytes> + Unpin,
{
    let (head, body) = request.into_parts();
    let reads = matches!(head.method, Method::GET | Method::HEAD);
    let posts = head.method == Method::POST;
    let only = |allow: &'static str| respond::method_not_allowed(allow, &visit.id);
    if let Some(file) = playground::find(head.uri.path()).filter(|_| visit.playground) {
        return if reads { playground::serve(file, &head.headers, &visit.id) } else { only("GET, HEAD") };
    }
    match head.uri.path() {
        "/livez" if reads => health::live(&visit.id),
        "/readyz" if reads => health::ready(&visit).await,
        "/metrics" if reads => compress::offer(&head.headers, metrics::metrics(&visit).await).await,
        "/v1/sys/health" if reads => health::health(&visit).await,
        "/v1/sys/seal-status" if reads => sys::seal_status(&visit).await,
        sys::INIT if posts => sys::init(&visit, &head.headers, body).await,
        "/v1/sys/unseal" if posts => sys::unseal(&visit, &head.headers, body).await,
        "/v1/sys/seal" if posts => sys::seal(&visit).await,
        "/v1/audit/export" if head.method == Method::GET => {
            compress::offer(&head.headers, audit_export::export(visit, &head.uri).await).await
        }
        "/" if reads => {
            respond::answer(StatusCode::OK, "text/plain; charset=utf-8", &visit.id, HOME.as_bytes().to_vec())
        }
        "/livez" | "/readyz" | "/metrics" | "/v1/sys/health" | "/v1/sys/seal-status" | "/" => {
            only("GET, HEAD")
        }
        sys::INIT | "/v1/sys/unseal" | "/v1/sys/seal" => only("POST"),
        "/v1/audit/export" => only("GET"),
        path if path.starts_with(pki::PREFIX) => pki::door(&visit, &head, body).await,
        _ => respond::error(
            &Error::not_found("there is nothing at this path: the API is at /graphql"),
            &visit.id,
        ),
    }
}

#[cfg(test)]
mod tests;
