//! The server loop: connections in, requests to the handler, and an orderly end.

use crate::error::{Error, Result};
use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Answers requests. `peer` is the other end of the socket.
pub trait Handler: Send + Sync + 'static {
    fn handle(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// Settings of the loop.
#[derive(Debug, Clone)]
pub struct ServerOptions {
    /// Connections at a time; more wait in the system's queue.
    pub max_connections: usize,
    /// How long requests in flight may take to finish once the server is told to stop.
    pub shutdown_timeout: Duration,
}

/// From the first byte of a request's head to its last; also how long an idle connection is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_HEADERS: usize = 100;
/// The head of a request and each read of its body; the query of a GET is in the head.
const MAX_BUFFER: usize = 256 * 1024;
const MAX_STREAMS: u32 = 200;
/// After an error of accept (out of file descriptors), before the next try.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[derive(Clone)]
struct Ends {
    /// Finish what is in flight.
    stop: CancellationToken,
    /// Out of patience.
    kill: CancellationToken,
}

/// Serves until `stop` completes, then finishes what is in flight.
///
/// # Errors
/// Internal if the listener is gone.
pub async fn serve<H: Handler>(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    handler: Arc<H>,
    options: &ServerOptions,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let places = Arc::new(Semaphore::new(options.max_connections));
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
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(error = %error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (tls, handler, ends) = (tls.clone(), Arc::clone(&handler), ends.clone());
        connections.spawn(async move {
            connection(stream, peer, tls, handler, ends).await;
            drop(place);
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
    peer: SocketAddr,
    tls: Option<TlsAcceptor>,
    handler: Arc<H>,
    ends: Ends,
) {
    // answers are written whole, so nothing is gained by waiting for more to send
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(error = %error, "nodelay could not be set");
    }
    // Over TLS the client names the protocol. In plain text it is HTTP/1.1: no browser or proxy starts HTTP/2 there unasked,
    // and guessing the protocol from the first bytes has no time limit.
    let Some(tls) = tls else { return http1(stream, peer, handler, ends).await };
    let handshake = tokio::select! {
        handshake = tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)) => handshake,
        () = ends.stop.cancelled() => return,
    };
    match handshake {
        Ok(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
            http2(stream, peer, handler, ends).await;
        }
        Ok(Ok(stream)) => http1(stream, peer, handler, ends).await,
        Ok(Err(error)) => tracing::debug!(error = %error, "a TLS handshake failed"),
        Err(_) => tracing::debug!("a TLS handshake took too long"),
    }
}

async fn http1<H, S>(stream: S, peer: SocketAddr, handler: Arc<H>, ends: Ends)
where
    H: Handler,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let used = AtomicBool::new(false);
    let service = service_fn(|request| {
        used.store(true, Ordering::Relaxed);
        let handler = Arc::clone(&handler);
        async move { Ok::<_, Infallible>(handler.handle(request, peer).await) }
    });
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_BUFFER);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
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
    }
}

async fn http2<H, S>(stream: S, peer: SocketAddr, handler: Arc<H>, ends: Ends)
where
    H: Handler,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let handler = Arc::clone(&handler);
        async move { Ok::<_, Infallible>(handler.handle(request, peer).await) }
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
    };
    if let Err(error) = ended {
        tracing::debug!(error = %error, "a connection broke off");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    struct Echo;

    impl Handler for Echo {
        async fn handle(&self, request: Request<Incoming>, _: SocketAddr) -> Response<Body> {
            if request.uri().path() == "/slow" {
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            Response::new(Body::from("done"))
        }
    }

    async fn ask(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes()).await.unwrap();
        let mut text = String::new();
        let mut buffer = [0; 1024];
        while !text.contains("done") {
            match stream.read(&mut buffer).await.unwrap() {
                0 => break,
                n => text.push_str(std::str::from_utf8(&buffer[..n]).unwrap()),
            }
        }
        text
    }

    #[tokio::test]
    async fn stopping_finishes_what_is_in_flight_and_does_not_wait_for_idle_connections() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let options = ServerOptions { max_connections: 10, shutdown_timeout: Duration::from_secs(5) };
        let server = tokio::spawn(async move {
            let stop = async move { drop(stopped.await) };
            serve(listener, None, Arc::new(Echo), &options, stop).await
        });
        assert!(ask(address, "/").await.contains("done"));
        let _never_used = TcpStream::connect(address).await.unwrap();
        let slow = tokio::spawn(async move { ask(address, "/slow").await });
        tokio::time::sleep(Duration::from_millis(100)).await;
        stop.send(()).unwrap();
        tokio::time::timeout(Duration::from_secs(2), server).await.unwrap().unwrap().unwrap();
        assert!(slow.await.unwrap().contains("done"));
        assert!(TcpStream::connect(address).await.is_err());
    }
}
