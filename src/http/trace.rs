//! The span of a request, in the trace of its caller if there is one.

use crate::error::ErrorCode;
use crate::graphql::operations::Operation;
use crate::model::trace::SPANS;
use http::HeaderMap;
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt;

const TRACEPARENT: &str = "traceparent";

/// W3C's trace context, of which the ids count. `tracestate` is a text of the caller's own making: spans do not carry it.
struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        if key == TRACEPARENT { self.0.get(key)?.to_str().ok() } else { None }
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}

/// Begins the span of a request; it costs next to nothing if nobody collects spans.
pub fn request(headers: &HeaderMap, id: &str) -> Span {
    let span = tracing::info_span!(
        target: SPANS,
        "request",
        otel.kind = "server",
        otel.status_code = Empty,
        operation = Empty,
        code = Empty,
        request_id = id
    );
    if span.is_disabled() || !headers.contains_key(TRACEPARENT) {
        return span;
    }
    let caller = TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(headers));
    // one that cannot be read is none
    if caller.span().span_context().is_valid() {
        let _ = span.set_parent(caller);
    }
    span
}

/// The same for an operation over a socket, whose messages carry no trace context.
pub fn operation(id: &str) -> Span {
    request(&HeaderMap::new(), id)
}

/// Says how the request ended.
pub fn answered(span: &Span, operation: Operation, code: Option<ErrorCode>) {
    if span.is_disabled() {
        return;
    }
    let operation = operation.name();
    span.record("operation", operation);
    // the field `otel.name` does not count once a span has begun
    span.context().span().update_name(operation);
    span.record("code", code.map_or("OK", ErrorCode::as_str));
    if matches!(code, Some(ErrorCode::Internal | ErrorCode::Unavailable | ErrorCode::EngineUnavailable)) {
        span.record("otel.status_code", "ERROR");
    }
}
