//! The server loop: connections in, requests to the handler, and an orderly end.

mod peer;

use super::patience::{Activity, Noted, Patient};
use super::per_address::PerAddress;
use super::tls::Tls;
use crate::error::{Error, Result};
use axum::body::Body;
use http::{Method, Request, Response, header};
use hyper::body::{Body as _, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
pub use peer::{Continuation, Peer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    fn handle(&self, request: Request<Incoming>, peer: Peer) -> impl Future<Output = Response<Body>> + Send;
}

/// Settings of the loop.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Connections at a time; more wait in the system's queue.
    pub max_connections: usize,
    /// Connections from one address at a time; more are closed at once.
    pub max_connections_per_address: usize,
    /// How long a client may leave an answer unread.
    pub write_timeout: Duration,
    /// For a TLS handshake, and for the decision on the client's certificate.
    pub handshake_timeout: Duration,
    /// How long requests in flight may take to finish once the server is told to stop.
    pub shutdown_timeout: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            max_connections: 4096,
            max_connections_per_address: 1024,
            write_timeout: Duration::from_secs(30),
            handshake_timeout: Duration::from_secs(10),
            shutdown_timeout: Duration::from_secs(30),
        }
    }
}

/// From the first byte of a request's head to its last; also how long an idle connection is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
const MAX_HEADERS: usize = 100;
/// The head of a request and each read of its body; the query of a GET is in the head.
const MAX_BUFFER: usize = 256 * 1024;
const MAX_STREAMS: u32 = 200;
/// How long an HTTP/2 connection is kept on which nothing happens; pings are nothing.
const IDLE_HTTP2: Duration = Duration::from_secs(120);
/// After an error of accept (out of file descriptors), before the next try.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[derive(Clone)]
struct Ends {
    /// Finish what is in flight.
    stop: CancellationToken,
    /// Out of patience.
    kill: CancellationToken,
}

/// What a connection waits for, and how long.
#[derive(Clone, Copy)]
struct Patience {
    write: Duration,
    handshake: Duration,
}

/// Serves until `stop` completes, then finishes what is in flight.
///
/// # Errors
/// Internal if the listener is gone.
pub async fn serve<H: Handler>(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    handler: Arc<H>,
    options: &ServerOptions,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let places = Arc::new(Semaphore::new(options.max_connections));
    let addresses = PerAddress::default();
    let connections = TaskTracker::new();
    let ends = Ends { stop: CancellationToken::new(), kill: CancellationToken::new() };
    tokio::pin!(stop);
    loop {
        let place = tokio::select! {
            () = &mut stop => break,
            place = Arc::clone(&places).acquire_owned() => place.map_err(Error::internal)?,
        };
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(error = %error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Some(counted) = addresses.enter(address.ip(), options.max_connections_per_address) else {
            tracing::debug!(address = %address.ip(), "an address has as many connections as it may");
            continue;
        };
        let patience = Patience { write: options.write_timeout, handshake: options.handshake_timeout };
        let (tls, handler, ends) = (tls.clone(), Arc::clone(&handler), ends.clone());
        connections.spawn(async move {
            connection(stream, patience, address, tls, handler, ends).await;
            drop((place, counted));
        });
    }
    drop(listener);
    connections.close();
    ends.stop.cancel();
    if tokio::time::timeout(options.shutdown_timeout, connections.wait()).await.is_err() {
        tracing::warn!(connections = connections.len(), "requests were still in flight when time ran out");
        ends.kill.cancel();
        connections.wait().await;
    }
    Ok(())
}

async fn connection<H: Handler>(
    stream: TcpStream,
    patience: Patience,
    address: SocketAddr,
    tls: Option<Arc<Tls>>,
    handler: Arc<H>,
    ends: Ends,
) {
    // answers are written whole, so nothing is gained by waiting for more to send
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(error = %error, "nodelay could not be set");
    }
    let stream = Patient::new(stream, patience.write);
    // Over TLS the client names the protocol. In plain text it is HTTP/1.1: no browser or proxy starts HTTP/2 there unasked,
    // and guessing the protocol from the first bytes has no time limit.
    let Some(tls) = tls else {
        return http1(stream, Peer { stop: ends.stop.clone(), ..Peer::at(address) }, handler, ends).await;
    };
    let accepted = tokio::select! {
        accepted = tokio::time::timeout(patience.handshake, tls.accept(stream, address)) => accepted,
        () = ends.stop.cancelled() => return,
    };
    match accepted {
        Ok(Some(accepted)) => {
            let peer =
                Peer { address, certificate: accepted.certificate, tls: true, stop: ends.stop.clone() };
            if accepted.stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                http2(accepted.stream, peer, handler, ends, IDLE_HTTP2).await;
            } else {
                http1(accepted.stream, peer, handler, ends).await;
            }
        }
        Ok(None) => {}
        Err(_) => tracing::debug!(%address, "a TLS handshake took too long"),
    }
}

async fn http1<H, S>(stream: S, peer: Peer, handler: Arc<H>, ends: Ends)
where
    H: Handler,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let used = AtomicBool::new(false);
    let goes_on: Mutex<Option<Continuation>> = Mutex::new(None);
    let service = service_fn(|request| {
        used.store(true, Ordering::Relaxed);
        let (handler, peer, goes_on) = (Arc::clone(&handler), peer.clone(), &goes_on);
        async move {
            let mut response = handler.handle(request, peer).await;
            *goes_on.lock() = response.extensions_mut().remove::<Continuation>();
            Ok::<_, Infallible>(response)
        }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_BUFFER);
    let connection = builder.serve_connection(TokioIo::new(stream), service).with_upgrades();
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = ends.stop.cancelled() => {
            if !used.load(Ordering::Relaxed) {
                // hyper would wait for a first request
                return;
            }
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection.as_mut() => ended,
                () = ends.kill.cancelled() => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = %error, "a connection broke off");
        return;
    }
    let goes_on = goes_on.lock().take().and_then(|goes_on| goes_on.take());
    if let Some(goes_on) = goes_on {
        tokio::select! {
            () = goes_on => {}
            () = ends.kill.cancelled() => {}
        }
    }
}

async fn http2<H, S>(stream: S, peer: Peer, handler: Arc<H>, ends: Ends, idle: Duration)
where
    H: Handler,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let activity = Activity::new();
    let service = service_fn(|request| {
        let (handler, activity, peer) = (Arc::clone(&handler), activity.clone(), peer.clone());
        async move {
            let working = activity.begin();
            let asks_for_head = request.method() == Method::HEAD;
            let response = handler.handle(request, peer).await;
            let response = if asks_for_head { without_body(response) } else { response };
            drop(working);
            Ok::<_, Infallible>(response.map(|body| Noted { body, activity }))
        }
    });
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(MAX_BUFFER).unwrap_or(u32::MAX))
        .keep_alive_interval(HEAD_TIMEOUT)
        .keep_alive_timeout(HEAD_TIMEOUT);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = ends.stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection.as_mut() => ended,
                () = ends.kill.cancelled() => return,
            }
        }
        () = activity.idle(idle) => {
            // what is stuck in the windows of its streams has waited long enough as well
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection.as_mut() => ended,
                () = tokio::time::sleep(idle) => return,
                () = ends.kill.cancelled() => return,
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = %error, "a connection broke off");
    }
}

/// The answer to a HEAD. Over HTTP/1.1 hyper leaves the body out by itself, over HTTP/2 it would send it, which ends the stream with
/// an error at the client.
fn without_body(response: Response<Body>) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    if !body.is_end_stream()
        && let Some(length) = body.size_hint().exact()
    {
        head.headers.entry(header::CONTENT_LENGTH).or_insert_with(|| length.into());
    }
    Response::from_parts(head, Body::empty())
}

#[cfg(test)]
mod tests;
