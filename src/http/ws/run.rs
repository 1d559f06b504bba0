//! One operation of a socket, and what it says.

use super::messages;
use crate::error::{Error, ErrorCode};
use crate::graphql::errors::{log, server_error};
use crate::http::params::Params;
use crate::http::places::Subscribed;
use crate::http::trace;
use crate::http::transport::answer::{payload, was_executed};
use crate::http::transport::operation::Operation;
use crate::http::transport::{Api, GraphqlDoor, code_of};
use async_graphql::parser::types::OperationType;
use async_graphql::{Response, Value};
use futures_util::future::FutureExt;
use futures_util::stream::{self, BoxStream, Stream, StreamExt};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout;
use tracing::{Instrument, Span};

/// A message of an operation.
pub struct Said {
    pub id: String,
    pub text: String,
    /// Whether it is the operation's last.
    pub last: bool,
    /// Whether it says that the token is no good.
    pub unauthenticated: bool,
}

/// The errors of an operation that does not run.
pub fn refusal(id: &str, error: &Error, request_id: &str) -> String {
    log(error, request_id);
    let response = Response::from_errors(vec![server_error(error, request_id)]);
    messages::error(id, &payload(response, request_id).1)
}

/// One operation at work.
pub struct Run<A> {
    pub door: Arc<GraphqlDoor<A>>,
    pub id: String,
    pub request_id: String,
    /// Given back when the operation has ended.
    pub _place: Subscribed,
}

impl<A: Api> Run<A> {
    /// Runs it.
    pub fn messages(self, params: Params, context: A::Context) -> impl Stream<Item = Said> + Send + 'static {
        async move {
            let (within, started) = (self.door.request_timeout(), Instant::now());
            let span = trace::operation(&self.request_id);
            let begun = timeout(within, self.door.operation(params, context)).instrument(span.clone()).await;
            match begun.unwrap_or_else(|_| Err(late())) {
                Err(error) => {
                    let watch = self.door.meters().watch(started);
                    trace::answered(&span, watch.operation(), Some(error.code()));
                    watch.answered(Some(error.code()));
                    self.refused(&error)
                }
                Ok(operation) if operation.kind == OperationType::Subscription => {
                    // that it was begun: how it goes on may take days
                    let watch = self.door.meters().watch(started);
                    watch.asks_for(operation.counted_as());
                    trace::answered(&span, watch.operation(), None);
                    watch.answered(None);
                    let results = self.door.subscribe(operation);
                    Results { run: self, results, waiting: VecDeque::new(), over: false }.messages()
                }
                Ok(operation) => self.once(operation, within, started, &span).await,
            }
        }
        .flatten_stream()
    }

    fn refused(&self, error: &Error) -> BoxStream<'static, Said> {
        let said = self.said(refusal(&self.id, error, &self.request_id), true);
        stream::iter([Said { unauthenticated: error.code() == ErrorCode::Unauthenticated, ..said }]).boxed()
    }

    async fn once(
        &self,
        operation: Operation,
        within: Duration,
        started: Instant,
        span: &Span,
    ) -> BoxStream<'static, Said> {
        let watch = self.door.meters().watch(started);
        watch.asks_for(operation.counted_as());
        let answer = match self.door.gate().enter() {
            Ok(_place) => {
                let work = self.door.execute(operation).instrument(span.clone());
                timeout(within, work).await.map_err(|_| late())
            }
            Err(error) => Err(error),
        };
        let code = answer.as_ref().map_or_else(|error| Some(error.code()), code_of);
        trace::answered(span, watch.operation(), code);
        watch.answered(code);
        let response = match answer {
            Ok(response) => response,
            Err(error) => return self.refused(&error),
        };
        if !was_executed(&response) {
            return stream::iter([self.error(response)]).boxed();
        }
        let complete = self.said(messages::complete(&self.id), true);
        stream::iter([self.next(response), complete]).boxed()
    }

    fn said(&self, text: String, last: bool) -> Said {
        Said { id: self.id.clone(), text, last, unauthenticated: false }
    }

    fn next(&self, response: Response) -> Said {
        let unauthenticated = is_unauthenticated(&response);
        let text = messages::next(&self.id, &payload(response, &self.request_id).1);
        Said { unauthenticated, ..self.said(text, false) }
    }

    fn error(&self, response: Response) -> Said {
        let unauthenticated = is_unauthenticated(&response);
        let text = messages::error(&self.id, &payload(response, &self.request_id).1);
        Said { unauthenticated, ..self.said(text, true) }
    }
}

fn late() -> Error {
    Error::new(ErrorCode::Unavailable, "the operation took too long: it may or may not have had its effect")
}

fn is_unauthenticated(response: &Response) -> bool {
    let code = |error: &async_graphql::ServerError| {
        let code = error.extensions.as_ref()?.get("code")?.clone();
        Some(code == Value::from(ErrorCode::Unauthenticated.as_str()))
    };
    response.errors.iter().any(|error| code(error) == Some(true))
}

/// The results of a subscription as messages.
struct Results<A> {
    run: Run<A>,
    results: BoxStream<'static, Response>,
    waiting: VecDeque<Response>,
    over: bool,
}

impl<A: Api> Results<A> {
    fn messages(self) -> BoxStream<'static, Said> {
        stream::unfold(self, |mut results| async move { Some((results.next().await?, results)) }).boxed()
    }

    async fn next(&mut self) -> Option<Said> {
        if self.over {
            return None;
        }
        let response = match self.waiting.pop_front() {
            Some(response) => Some(response),
            None => self.results.next().await,
        };
        let Some(response) = response else {
            self.over = true;
            return Some(self.run.said(messages::complete(&self.run.id), true));
        };
        // A result without data may be an event that failed, or the end of a subscription that did: then nothing follows, and the client
        // is to hear that it failed, not that it is complete.
        if response.data == Value::Null && !response.errors.is_empty() {
            match self.results.next().now_or_never() {
                Some(None) => {
                    self.over = true;
                    return Some(self.run.error(response));
                }
                Some(Some(following)) => self.waiting.push_back(following),
                None => {}
            }
        }
        Some(self.run.next(response))
    }
}
