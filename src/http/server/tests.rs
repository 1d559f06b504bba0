use super::*;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

struct Echo;

impl Handler for Echo {
    async fn handle(&self, request: Request<Incoming>, _: Peer) -> Response<Body> {
        if request.uri().path() == "/slow" {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        if request.uri().path() == "/large" {
            return Response::new(Body::from(vec![b'x'; 64 << 20]));
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
    let options = ServerOptions { shutdown_timeout: Duration::from_secs(5), ..ServerOptions::default() };
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

/// A server with these settings, until the test ends.
async fn start(options: ServerOptions) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(
        async move { serve(listener, None, Arc::new(Echo), &options, std::future::pending()).await },
    );
    address
}

#[tokio::test]
async fn a_client_that_never_reads_is_cut_off() {
    let options = ServerOptions {
        max_connections: 1,
        write_timeout: Duration::from_millis(200),
        ..ServerOptions::default()
    };
    let address = start(options).await;
    let mut stuck = TcpStream::connect(address).await.unwrap();
    stuck.write_all(b"GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    // the one connection there may be is free again, though the other end is still open
    let answer = tokio::time::timeout(Duration::from_secs(5), ask(address, "/")).await.unwrap();
    assert!(answer.contains("done"));
    drop(stuck);
}

#[tokio::test]
async fn one_address_takes_its_share_of_connections_only() {
    let address = start(ServerOptions { max_connections_per_address: 1, ..ServerOptions::default() }).await;
    let held = TcpStream::connect(address).await.unwrap();
    tokio::time::sleep(Duration::from_millis(50)).await;
    let mut second = TcpStream::connect(address).await.unwrap();
    assert!(matches!(second.read(&mut [0; 1]).await, Ok(0) | Err(_)));
    drop(held);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(ask(address, "/").await.contains("done"));
}

#[tokio::test]
async fn an_idle_http2_connection_ends() {
    let (near, mut far) = tokio::io::duplex(64 * 1024);
    let ends = Ends { stop: CancellationToken::new(), kill: CancellationToken::new() };
    let peer = Peer::at("192.0.2.1:1".parse().unwrap());
    let idle = Duration::from_millis(100);
    let server = tokio::spawn(http2(near, peer, Arc::new(Echo), ends, idle));
    // the preface and empty settings, and then nothing
    far.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    tokio::time::timeout(Duration::from_secs(5), server).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_head_over_http2_is_answered_with_what_a_get_says_of_its_body() {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let ends = Ends { stop: CancellationToken::new(), kill: CancellationToken::new() };
    let peer = Peer::at("192.0.2.1:1".parse().unwrap());
    tokio::spawn(http2(near, peer, Arc::new(Echo), ends, Duration::from_secs(60)));
    let (mut client, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(far)).await.unwrap();
    tokio::spawn(connection);
    for (method, body) in [(Method::GET, "done"), (Method::HEAD, "")] {
        let request =
            Request::builder().method(&method).uri("https://localhost/").body(Empty::<Bytes>::new()).unwrap();
        let answer = client.send_request(request).await.unwrap();
        assert_eq!(answer.headers()[header::CONTENT_LENGTH], "4", "{method}");
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), body, "{method}");
    }
}
