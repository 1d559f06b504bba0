//! Compression of answers, only of those in which nothing secret stands.
//!
//! The length of a compressed answer tells what in it repeats: who can have a client ask for a text of his choice, and watches the encrypted
//! line, learns secrets that stand beside it letter by letter (BREACH). So no answer of an execution is compressed, and no message of a socket or a
//! stream; the schema, the metrics, the web page and exports of the log are.

use axum::body::Body;
use http::{HeaderMap, Request, Response, header};
use std::convert::Infallible;
use tower::ServiceExt;
use tower_http::compression::Compression;
use tower_http::compression::predicate::SizeAbove;

/// Shorter answers gain nothing.
const LEAST: u16 = 1024;

/// Compresses an answer in a way that the client takes, if there is one.
pub async fn offer(headers: &HeaderMap, response: Response<Body>) -> Response<Body> {
    if !headers.contains_key(header::ACCEPT_ENCODING) {
        return response;
    }
    let mut request = Request::new(());
    for value in headers.get_all(header::ACCEPT_ENCODING) {
        request.headers_mut().append(header::ACCEPT_ENCODING, value.clone());
    }
    let mut response = Some(response);
    // called once
    let given = tower::service_fn(move |_: Request<()>| {
        let response = response.take().unwrap_or_default();
        async move { Ok::<_, Infallible>(response) }
    });
    let compression = Compression::new(given).gzip(true).br(true).compress_when(SizeAbove::new(LEAST));
    match compression.oneshot(request).await {
        Ok(response) => response.map(Body::new),
        Err(never) => match never {},
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use http_body_util::BodyExt;

    async fn encoding(accepted: &'static str, length: usize) -> (Option<String>, usize) {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(accepted));
        let response = offer(&headers, Response::new(Body::from("a".repeat(length)))).await;
        let encoding = response.headers().get(header::CONTENT_ENCODING);
        let encoding = encoding.map(|value| value.to_str().unwrap().to_owned());
        (encoding, response.into_body().collect().await.unwrap().to_bytes().len())
    }

    #[tokio::test]
    async fn what_the_client_takes() {
        for (accepted, expected) in [
            ("gzip", Some("gzip")),
            ("gzip, deflate, br", Some("br")),
            ("br;q=0.1, gzip;q=0.9", Some("gzip")),
            ("identity", None),
            ("gzip;q=0", None),
            ("compress", None),
        ] {
            let (encoding, length) = encoding(accepted, 100_000).await;
            assert_eq!(encoding.as_deref(), expected, "{accepted}");
            assert!(
                if expected.is_some() { length < 2000 } else { length == 100_000 },
                "{accepted}: {length}"
            );
        }
        assert_eq!(encoding("gzip, br", 1000).await, (None, 1000));
        let plain = offer(&HeaderMap::new(), Response::new(Body::from("a".repeat(5000)))).await;
        assert!(!plain.headers().contains_key(header::CONTENT_ENCODING));
    }
}
