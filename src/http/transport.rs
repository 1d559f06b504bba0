//! The one door of the API: GraphQL over HTTP on `/graphql`.
//!
//! The order is that of the specification: method, `Accept`, `Content-Type`, size, parameters, document, execution. What
//! goes wrong before the document is looked at has its HTTP status in either form of answer; from there on a client of
//! `application/json` gets 200.

mod answer;

use super::bearer::bearer;
use super::body::{self, BodyError};
use super::gate::{Gate, Taken, busy};
use super::ids::{correlation_id, request_id};
use super::meters::{DoorMeters, Watch};
use super::negotiation::{Answer, accepted, is_json};
use super::params::Params;
use super::trace;
use crate::error::{Error, ErrorCode, Result};
pub use crate::graphql::Introspection;
use crate::graphql::documents::DocumentCache;
use crate::graphql::errors::known_code;
use crate::graphql::guard::{OperationMeasure, QueryLimits, connection_page_size};
use crate::graphql::operations::Operation;
use crate::graphql::{nulls, order};
use crate::service::certificates::PeerCertificate;
use answer::{execution, refuse};
use async_graphql::parser::types::OperationType;
use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::Instrument;

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
}

/// Without a token there is little to say: a login, a key share.
const MAX_ANONYMOUS_BODY: usize = 64 * 1024;

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
        }
    }
}

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
}

/// What stands behind the door.
pub trait Api: Send + Sync + 'static {
    /// What resolvers find in their context.
    type Context: Clone + Send + Sync + 'static;

    fn context(&self, call: Call<'_>) -> Self::Context;

    /// Whether the caller shows a valid token; asked only for introspection under [`Introspection::Authenticated`], and before
    /// a large body is read.
    fn authenticate(&self, context: &Self::Context) -> impl Future<Output = Result<()>> + Send;

    fn execute(
        &self,
        request: async_graphql::Request,
    ) -> impl Future<Output = async_graphql::Response> + Send;
}

/// The handler of `/graphql`.
pub struct GraphqlDoor<A> {
    api: A,
    documents: DocumentCache,
    options: TransportOptions,
    gate: Arc<Gate>,
    meters: Arc<DoorMeters>,
}

/// A request that gets no execution: its status where one is due for both forms of answer, else by [`Answer`].
struct Refusal {
    status: Option<StatusCode>,
    allow: Option<&'static str>,
    error: Error,
}

impl Refusal {
    fn status(status: StatusCode, message: &'static str) -> Self {
        Self { status: Some(status), allow: None, error: Error::new(ErrorCode::BadUserInput, message) }
    }
}

/// Of the document: answered by the rules of the form of the answer.
impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let status = match error.code() {
            ErrorCode::Unavailable | ErrorCode::Internal => {
                StatusCode::from_u16(error.code().http_status()).ok()
            }
            _ => None,
        };
        Self { status, allow: None, error }
    }
}

impl<A: Api> GraphqlDoor<A> {
    /// `gate` bounds the work of all doors.
    pub fn new(api: A, options: TransportOptions, gate: Arc<Gate>) -> Self {
        let documents = DocumentCache::new(
            options.limits,
            connection_page_size,
            options.max_documents,
            options.max_document_bytes,
        );
        let meters = DoorMeters::new(Arc::clone(&documents.lookups));
        Self { api, documents, gate, options, meters: Arc::new(meters) }
    }

    /// What is counted of the requests.
    #[must_use]
    pub fn meters(&self) -> &Arc<DoorMeters> {
        &self.meters
    }

    /// Answers one request. The address of `origin` is as [`super::client_address`] finds it.
    pub async fn handle<B>(&self, request: Request<B>, origin: CallOrigin) -> Response<Body>
    where
        B: hyper::body::Body<Data = Bytes> + Unpin,
    {
        let started = Instant::now();
        let id = request_id();
        let accepted = accepted(request.headers());
        let form = accepted.unwrap_or(Answer::Json);
        let watch = self.meters.watch(started);
        let span = trace::request(request.headers(), &id);
        let work = self.answer(request, origin, &id, accepted, &watch).instrument(span.clone());
        let refusal = match tokio::time::timeout(self.options.request_timeout, work).await {
            Ok(Ok(mut response)) => {
                let answer = execution(form, &id, &mut response);
                let code =
                    response.errors.first().map(|error| known_code(error).unwrap_or(ErrorCode::Internal));
                trace::answered(&span, &watch, code);
                watch.answered(code);
                return answer;
            }
            Ok(Err(refusal)) => refusal,
            Err(_) => Refusal::from(Error::new(
                ErrorCode::Unavailable,
                "the request took too long: it may or may not have had its effect",
            )),
        };
        trace::answered(&span, &watch, Some(refusal.error.code()));
        watch.answered(Some(refusal.error.code()));
        refuse(form, &id, &refusal)
    }

    async fn answer<B>(
        &self,
        request: Request<B>,
        origin: CallOrigin,
        id: &str,
        accepted: Option<Answer>,
        watch: &Watch<'_>,
    ) -> Result<async_graphql::Response, Refusal>
    where
        B: hyper::body::Body<Data = Bytes> + Unpin,
    {
        let (head, body) = request.into_parts();
        let by_get = match head.method {
            Method::POST => false,
            Method::GET => true,
            _ => return Err(not_allowed("GET, POST", "send GraphQL requests by POST or GET")),
        };
        if accepted.is_none() {
            return Err(Refusal::status(
                StatusCode::NOT_ACCEPTABLE,
                "accept application/graphql-response+json or application/json",
            ));
        }
        let context = self.api.context(Call {
            bearer: bearer(&head.headers),
            origin,
            request_id: id.to_owned(),
            correlation_id: correlation_id(&head.headers),
            started: watch.started(),
        });
        let arrived = if by_get { None } else { Some(self.posted(&head.headers, body, &context).await?) };
        // not before the body is here: slow senders hold no places
        let _place = self.gate.enter()?;
        let (params, _taken) = match arrived {
            Some(body) => (Params::from_body(&body.bytes).map_err(malformed)?, body.taken),
            None => (Params::from_uri(&head.uri).map_err(malformed)?, Taken::default()),
        };

        let prepared =
            self.documents.prepare(&params.query, params.operation_name.as_deref(), &params.variables)?;
        watch.asks_for(Operation::of(&prepared.document.parsed, params.operation_name.as_deref()));
        match prepared.operation.operation_type {
            OperationType::Query => {}
            OperationType::Mutation if by_get => {
                return Err(not_allowed("POST", "mutations change something: send them by POST"));
            }
            OperationType::Mutation => {}
            OperationType::Subscription => {
                let message = "subscriptions are not served on this transport";
                return Err(Error::new(ErrorCode::BadUserInput, message).into());
            }
        }
        self.admit_introspection(&prepared.operation, &context).await?;

        let mut call = async_graphql::Request::new(params.query).variables(params.variables).data(context);
        call.operation_name.clone_from(&params.operation_name);
        call.set_parsed_query(prepared.document.parsed.clone());
        let mut response = self.api.execute(call).await;
        let operation = params.operation_name.as_deref();
        nulls::complete(&prepared.document.parsed, operation, &mut response);
        order::arrange(&prepared.document.parsed, operation, &mut response);
        Ok(response)
    }

    /// The body. A large one is read only of a caller who is known: whoever is not could take the memory that there is for all
    /// bodies.
    async fn posted<B>(
        &self,
        headers: &http::HeaderMap,
        body: B,
        context: &A::Context,
    ) -> Result<body::Read, Refusal>
    where
        B: hyper::body::Body<Data = Bytes> + Unpin,
    {
        if !is_json(headers) {
            return Err(Refusal::status(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "send the request as 'Content-Type: application/json' in utf-8",
            ));
        }
        let anonymous = self.options.max_body_bytes.min(MAX_ANONYMOUS_BODY);
        let (limit, stranger) = match bearer(headers) {
            None | Some("") => (anonymous, None),
            Some(_) if body::may_exceed(&body, anonymous) => match self.api.authenticate(context).await {
                Ok(()) => (self.options.max_body_bytes, None),
                Err(error) => (anonymous, Some(error)),
            },
            Some(_) => (anonymous, None),
        };
        body::read(body, limit, &self.gate).await.map_err(|error| match (error, stranger) {
            (BodyError::TooLarge, Some(error)) => error.into(),
            (BodyError::TooLarge, None) => {
                Refusal::status(StatusCode::PAYLOAD_TOO_LARGE, "the request is larger than this server takes")
            }
            (BodyError::Broken, _) => {
                Refusal::status(StatusCode::BAD_REQUEST, "the request's body broke off")
            }
            (BodyError::Busy, _) => busy().into(),
        })
    }

    async fn admit_introspection(&self, operation: &OperationMeasure, context: &A::Context) -> Result<()> {
        if !operation.cost.introspects {
            return Ok(());
        }
        match self.options.introspection {
            Introspection::Always => Ok(()),
            Introspection::Authenticated => self.api.authenticate(context).await,
            Introspection::Never => Err(Error::forbidden(
                "introspection is turned off: the schema is in schema.graphql of the release",
            )),
        }
    }
}

fn malformed(error: Error) -> Refusal {
    Refusal { status: Some(StatusCode::BAD_REQUEST), allow: None, error }
}

fn not_allowed(allow: &'static str, message: &'static str) -> Refusal {
    Refusal { allow: Some(allow), ..Refusal::status(StatusCode::METHOD_NOT_ALLOWED, message) }
}

#[cfg(test)]
mod tests;
