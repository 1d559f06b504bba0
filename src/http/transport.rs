//! The one door of the API: GraphQL over HTTP on `/graphql`.
//!
//! The order is that of the specification: method, `Accept`, `Content-Type`, size, parameters, document, execution. What
//! goes wrong before the document is looked at has its HTTP status in either form of answer; from there on a client of
//! `application/json` gets 200.

pub mod answer;
mod api;
pub mod operation;
mod options;
mod outcome;
mod sse;

use super::bearer::bearer;
use super::body::{self, BodyError};
use super::compress;
use super::gate::{Gate, Taken, busy};
use super::ids::{correlation_id, request_id};
use super::meters::{DoorMeters, Watch};
use super::negotiation::{Accepted, Answer, accepted, is_json};
use super::params::Params;
use super::places::{Holder, Places};
use super::trace;
use crate::error::{Error, ErrorCode, Result};
pub use crate::graphql::Introspection;
use crate::graphql::documents::DocumentCache;
use crate::graphql::guard::{VariableLimits, connection_page_size};
use answer::{execution, refuse};
pub use api::{Api, Call, CallOrigin};
use async_graphql::parser::types::OperationType;
use axum::body::Body;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
pub use options::TransportOptions;
pub(super) use outcome::code_of;
use outcome::{Outcome, Refusal, malformed, not_allowed};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::Instrument;

/// Without a token there is little to say: a login, a key share.
const MAX_ANONYMOUS_BODY: usize = 64 * 1024;

/// The handler of `/graphql`.
pub struct GraphqlDoor<A> {
    api: A,
    documents: DocumentCache,
    options: TransportOptions,
    gate: Arc<Gate>,
    places: Places,
    meters: Arc<DoorMeters>,
}

impl<A: Api> GraphqlDoor<A> {
    /// `gate` bounds the work of all doors.
    pub fn new(api: A, options: TransportOptions, gate: Arc<Gate>) -> Self {
        let documents = DocumentCache::new(
            options.limits,
            connection_page_size,
            options.max_documents,
            options.max_document_bytes,
            Arc::clone(&options.persisted),
        );
        let places = Places::new(options.places);
        let meters = Arc::new(DoorMeters::new(Arc::clone(&documents.lookups), places.open()));
        Self { api, documents, gate, places, options, meters }
    }

    /// What is counted of the requests.
    #[must_use]
    pub fn meters(&self) -> &Arc<DoorMeters> {
        &self.meters
    }

    pub(super) fn api(&self) -> &A {
        &self.api
    }

    pub(super) fn places(&self) -> &Places {
        &self.places
    }

    /// How large the variables of an operation may be.
    pub(super) fn variable_limits(&self) -> VariableLimits {
        self.options.limits.variables
    }

    pub(super) fn gate(&self) -> &Gate {
        &self.gate
    }

    pub(super) fn request_timeout(&self) -> Duration {
        self.options.request_timeout
    }

    /// Answers one request. The address of `origin` is as [`super::client_address`] finds it.
    pub async fn handle<B>(&self, request: Request<B>, origin: CallOrigin) -> Response<Body>
    where
        B: hyper::body::Body<Data = Bytes> + Unpin,
    {
        let started = Instant::now();
        let id = request_id();
        let accepted = accepted(request.headers());
        let form = accepted.json.unwrap_or(Answer::Json);
        // a client that reads events alone is told in events what is wrong with its document
        let only_events = accepted.json.is_none() && accepted.events;
        let stop = origin.stop.clone();
        let encodings = encodings(request.headers());
        let watch = self.meters.watch(started);
        let span = trace::request(request.headers(), &id);
        let work = self.answer(request, origin, &id, accepted, &watch).instrument(span.clone());
        let outcome = tokio::time::timeout(self.options.request_timeout, work).await.unwrap_or_else(|_| {
            let message = "the request took too long: it may or may not have had its effect";
            Err(Error::new(ErrorCode::Unavailable, message).into())
        });
        let code = outcome.as_ref().map_or_else(|refusal| Some(refusal.error.code()), Outcome::code);
        trace::answered(&span, watch.operation(), code);
        watch.answered(code);
        match outcome {
            Ok(Outcome::Once(response)) => execution(form, &id, response),
            Ok(Outcome::Schema(response)) => {
                compress::offer(&encodings, execution(form, &id, response)).await
            }
            Ok(Outcome::Events(results, place)) => sse::events(&id, results, stop, place),
            Err(refusal) if only_events && refusal.status.is_none() => {
                let result = sse::refused(&id, &refusal.error);
                sse::events(&id, stream::iter([result]).boxed(), stop, None)
            }
            Err(refusal) => refuse(form, &id, &refusal),
        }
    }

    async fn answer<B>(
        &self,
        request: Request<B>,
        origin: CallOrigin,
        id: &str,
        accepted: Accepted,
        watch: &Watch<'_>,
    ) -> Result<Outcome, Refusal>
    where
        B: hyper::body::Body<Data = Bytes> + Unpin,
    {
        let (head, body) = request.into_parts();
        let by_get = match head.method {
            Method::POST => false,
            Method::GET => true,
            _ => return Err(not_allowed("GET, POST", "send GraphQL requests by POST or GET")),
        };
        if accepted.json.is_none() && !accepted.events {
            return Err(Refusal::status(
                StatusCode::NOT_ACCEPTABLE,
                "accept application/graphql-response+json, application/json or text/event-stream",
            ));
        }
        let (named, stranger) =
            (Holder::of(bearer(&head.headers), origin.source_ip), Holder::of(None, origin.source_ip));
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
        let variables = &self.options.limits.variables;
        let (params, _taken) = match arrived {
            Some(body) => (Params::from_body(&body.bytes, variables).map_err(malformed)?, body.taken),
            None => (Params::from_uri(&head.uri, variables).map_err(malformed)?, Taken::default()),
        };
        let caller = context.clone();
        let operation = self.operation(params, context).await?;
        watch.asks_for(operation.counted_as());
        match operation.kind {
            OperationType::Mutation if by_get => {
                Err(not_allowed("POST", "mutations change something: send them by POST"))
            }
            OperationType::Query | OperationType::Mutation => {
                let schema = operation.is_introspection();
                let response = self.execute(operation).await;
                Ok(match accepted.json {
                    Some(_) if schema => Outcome::Schema(response),
                    Some(_) => Outcome::Once(response),
                    None => Outcome::Events(stream::iter([response]).boxed(), None),
                })
            }
            OperationType::Subscription if !accepted.events => {
                let message = "subscriptions are answered as server-sent events, with 'Accept: text/event-stream', or over a \
                               WebSocket";
                Err(Error::new(ErrorCode::BadUserInput, message).into())
            }
            OperationType::Subscription => {
                // a token that anybody can make up gives no places of its own
                let holder = if self.api.is_known(&caller).await { named } else { stranger };
                let place = self.places.subscription(holder)?;
                Ok(Outcome::Events(self.subscribe(operation), Some(place)))
            }
        }
    }

    /// The body. A large one is read only of a caller who is known: whoever is not could take the memory that there is for all
    /// bodies.
    async fn posted<B>(
        &self,
        headers: &HeaderMap,
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
}

/// What the client says of compression.
fn encodings(headers: &HeaderMap) -> HeaderMap {
    let values = headers.get_all(header::ACCEPT_ENCODING).iter();
    values.map(|value| (header::ACCEPT_ENCODING, value.clone())).collect()
}

#[cfg(test)]
mod tests;
