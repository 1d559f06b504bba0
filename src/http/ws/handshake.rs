//! How a connection becomes a socket (RFC 6455, section 4).

use super::session::Session;
use crate::error::{Error, ErrorCode};
use crate::http::bearer::bearer;
use crate::http::ids::{correlation_id, request_id};
use crate::http::respond;
use crate::http::server::Continuation;
use crate::http::transport::{Api, CallOrigin, GraphqlDoor};
use axum::body::Body;
use data_encoding::BASE64;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use zeroize::Zeroizing;

/// The one subprotocol that is spoken here.
const SUBPROTOCOL: &str = "graphql-transport-ws";
/// The largest message of a client. Larger values are written by POST, where a body counts among the memory for bodies.
const MAX_MESSAGE: usize = 64 * 1024;
/// What a socket takes while nothing is said.
const BUFFER: usize = 4 * 1024;

/// Whether a client asks for a socket.
pub fn is_upgrade<B>(request: &Request<B>) -> bool {
    request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && lists(request.headers(), header::CONNECTION, "upgrade")
        && lists(request.headers(), header::UPGRADE, "websocket")
}

/// Whether a header lists a word, in whatever case.
fn lists(headers: &HeaderMap, name: HeaderName, word: &str) -> bool {
    words(headers, name).any(|listed| listed.eq_ignore_ascii_case(word))
}

fn words(headers: &HeaderMap, name: HeaderName) -> impl Iterator<Item = &str> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// The answer that opens a socket, with the session that goes on over it; or why there is none.
pub fn upgrade<A: Api, B>(
    door: Arc<GraphqlDoor<A>>,
    mut request: Request<B>,
    origin: CallOrigin,
) -> Response<Body> {
    let id = request_id();
    let headers = request.headers();
    let key = match key(headers) {
        Ok(key) => derive_accept_key(key.as_bytes()),
        Err((status, message)) => {
            let error = Error::new(ErrorCode::BadUserInput, message);
            let mut response = respond::error_with_status(status, &error, &id);
            response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
            return response;
        }
    };
    // A browser cannot see the status of a refused handshake, but it sees the code that a socket is closed with: so one is opened, to be
    // closed as the protocol's own servers do.
    let speaks = words(headers, header::SEC_WEBSOCKET_PROTOCOL).any(|offered| offered == SUBPROTOCOL);
    let session = Session {
        door,
        speaks,
        bearer: bearer(headers).map(|token| Zeroizing::new(token.to_owned())),
        correlation_id: correlation_id(headers),
        origin,
    };
    let upgraded = hyper::upgrade::on(&mut request);
    let goes_on = async move {
        let stream = match upgraded.await {
            Ok(stream) => TokioIo::new(stream),
            Err(error) => {
                tracing::debug!(error = %error, "a connection did not become a socket");
                return;
            }
        };
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(BUFFER)
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        session.run(WebSocketStream::from_raw_socket(stream, Role::Server, Some(config)).await).await;
    };
    let mut response = respond::answer(StatusCode::SWITCHING_PROTOCOLS, respond::JSON, &id, Vec::new());
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_TYPE);
    headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    if let Ok(key) = HeaderValue::from_str(&key) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, key);
    }
    if speaks {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(SUBPROTOCOL));
    }
    response.extensions_mut().insert(Continuation::new(goes_on.boxed()));
    response
}

/// The client's key: 16 bytes of its own choice in Base64.
fn key(headers: &HeaderMap) -> Result<&str, (StatusCode, &'static str)> {
    let one = |name: HeaderName| {
        let mut values = headers.get_all(name).iter();
        values.next().filter(|_| values.next().is_none())?.to_str().ok()
    };
    if one(header::SEC_WEBSOCKET_VERSION) != Some("13") {
        return Err((StatusCode::UPGRADE_REQUIRED, "this server speaks version 13 of WebSocket (RFC 6455)"));
    }
    one(header::SEC_WEBSOCKET_KEY)
        .map(str::trim)
        .filter(|key| BASE64.decode(key.as_bytes()).is_ok_and(|bytes| bytes.len() == 16))
        .ok_or((StatusCode::BAD_REQUEST, "Sec-WebSocket-Key holds 16 bytes in Base64"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&'static str, &'static str)]) -> Request<()> {
        let mut request = Request::new(());
        for (name, value) in headers {
            request.headers_mut().append(*name, HeaderValue::from_static(value));
        }
        request
    }

    #[test]
    fn who_asks_for_a_socket() {
        let asks = |headers: &[(&'static str, &'static str)]| is_upgrade(&request(headers));
        assert!(asks(&[("connection", "keep-alive, Upgrade"), ("upgrade", "WebSocket")]));
        assert!(!asks(&[("connection", "keep-alive"), ("upgrade", "websocket")]));
        assert!(!asks(&[("connection", "upgrade"), ("upgrade", "h2c")]));
        assert!(!asks(&[("connection", "upgrade")]));
        let mut post = request(&[("connection", "upgrade"), ("upgrade", "websocket")]);
        *post.method_mut() = Method::POST;
        assert!(!is_upgrade(&post));
    }

    #[test]
    fn keys_and_versions() {
        let status = |headers: &[(&'static str, &'static str)]| {
            key(request(headers).headers()).err().map(|(status, _)| status.as_u16())
        };
        let (version, good) =
            (("sec-websocket-version", "13"), ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="));
        assert_eq!(status(&[version, good]), None);
        assert_eq!(status(&[("sec-websocket-version", "8"), good]), Some(426));
        assert_eq!(status(&[good]), Some(426));
        assert_eq!(status(&[version]), Some(400));
        assert_eq!(status(&[version, good, good]), Some(400));
        assert_eq!(status(&[version, ("sec-websocket-key", "c2hvcnQ=")]), Some(400));
        assert_eq!(status(&[version, ("sec-websocket-key", "no base64 of sixteen bytes")]), Some(400));
    }
}
