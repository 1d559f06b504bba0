//! Spans on their way to a collector: OTLP over HTTP, by a bounded queue that loses what does not fit. No request waits for it.

use crate::config::Telemetry;
use crate::error::{Error, Result};
use async_trait::async_trait;
use bytes::Bytes;
use http::{Request, Response};
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider,
};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tracing::Subscriber;
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::registry::LookupSpan;

/// Spans that may wait; more are lost.
const QUEUE: usize = 4096;
/// Spans that are sent together.
const BATCH: usize = 512;
const DELAY: Duration = Duration::from_secs(2);
/// How long the collector may take.
const TIMEOUT: Duration = Duration::from_secs(5);
/// How long the end of the process waits for the last spans.
const LAST_WORDS: Duration = Duration::from_secs(3);
const NAME: &str = "secrethub";

/// Ends the sending of spans in order.
pub struct Spans(SdkTracerProvider);

impl Spans {
    /// Starts sending.
    ///
    /// # Errors
    /// Internal if the client cannot be made.
    pub fn start(settings: &Telemetry) -> Result<Self> {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Collector::new()?)
            .with_endpoint(&settings.traces_url)
            .with_timeout(TIMEOUT)
            .build()
            .map_err(Error::internal)?;
        let queue = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(DELAY)
            .build();
        let resource = Resource::builder()
            .with_attribute(KeyValue::new("service.name", service_name()))
            .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_span_processor(BatchSpanProcessor::builder(exporter).with_batch_config(queue).build())
            // who calls within a trace has decided for all of it
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(settings.sample_ratio))))
            .with_resource(resource)
            .build();
        Ok(Self(provider))
    }

    /// Takes the spans of the program.
    pub fn layer<S>(&self) -> OpenTelemetryLayer<S, SdkTracer>
    where
        S: Subscriber + for<'span> LookupSpan<'span>,
    {
        OpenTelemetryLayer::new(self.0.tracer(NAME))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_level(false)
            .with_tracked_inactivity(false)
            .with_context_activation(false)
    }

    /// Sends what waits, as far as there is time.
    pub async fn end(self) {
        // it waits for a thread of its own, which waits for this runtime
        let ended = tokio::task::spawn_blocking(move || self.0.shutdown_with_timeout(LAST_WORDS)).await;
        if !matches!(ended, Ok(Ok(()))) {
            tracing::debug!("the last spans could not be sent");
        }
    }
}

/// As OpenTelemetry's own programs are named.
fn service_name() -> String {
    std::env::var("OTEL_SERVICE_NAME").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| NAME.to_owned())
}

/// The way to the collector. The spans' queue has a thread of its own, and this a runtime that its client needs.
#[derive(Debug)]
struct Collector {
    client: reqwest::Client,
    runtime: Handle,
    away: AtomicBool,
}

impl Collector {
    fn new() -> Result<Self> {
        let client = reqwest::Client::builder()
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(Error::internal)?;
        Ok(Self { client, runtime: Handle::current(), away: AtomicBool::new(false) })
    }

    /// Says once that it is away, and once that it is back.
    fn note(&self, answers: bool) {
        if self.away.swap(!answers, Ordering::Relaxed) != answers {
            return;
        }
        if answers {
            tracing::info!("the collector of spans answers again");
        } else {
            tracing::warn!("the collector of spans does not take them: they are lost until it does");
        }
    }
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: Request<Bytes>) -> std::result::Result<Response<Bytes>, HttpError> {
        let client = self.client.clone();
        let sending = self.runtime.spawn(async move {
            let answer = client.execute(request.try_into()?).await?;
            let status = answer.status();
            // what it says beside its status is of no use here, and could be without end
            drop(answer);
            Ok::<_, HttpError>(status)
        });
        let outcome = sending.await.map_err(HttpError::from).and_then(|sent| sent);
        self.note(outcome.as_ref().is_ok_and(http::StatusCode::is_success));
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = outcome?;
        Ok(response)
    }
}
