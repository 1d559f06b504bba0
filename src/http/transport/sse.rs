//! Server-sent events, in the "distinct connections mode" of graphql-sse: one operation to a request, its results as events `next`,
//! its end as the event `complete`.

use super::answer::payload;
use crate::error::Error;
use crate::graphql::errors::{log, server_error};
use crate::http::places::Subscribed;
use crate::http::respond;
use async_graphql::Response as Result;
use axum::body::Body;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use http::{HeaderName, HeaderValue, Response, StatusCode};
use std::convert::Infallible;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A comment is sent when nothing else was for so long: proxies cut what is silent, and a client that is gone is found out.
const KEEP_ALIVE: Duration = Duration::from_secs(12);
const COMPLETE: &[u8] = b"event: complete\ndata:\n\n";
const COMMENT: &[u8] = b":\n\n";

/// Where the stream of events is.
enum At {
    Beginning,
    Results,
    End,
}

struct Events {
    at: At,
    results: BoxStream<'static, Result>,
    id: String,
    stop: CancellationToken,
    keep_alive: Duration,
    _place: Option<Subscribed>,
}

/// Answers with results as they come. When the server is to end, the stream ends without `complete`: the client is to come back.
pub(super) fn events(
    id: &str,
    results: BoxStream<'static, Result>,
    stop: CancellationToken,
    place: Option<Subscribed>,
) -> Response<Body> {
    let events =
        Events { at: At::Beginning, results, id: id.to_owned(), stop, keep_alive: KEEP_ALIVE, _place: place };
    let bytes = stream::unfold(events, |mut events| async move {
        let bytes = events.next().await?;
        Some((Ok::<_, Infallible>(bytes), events))
    });
    let mut response = respond::answer(StatusCode::OK, "text/event-stream; charset=utf-8", id, Vec::new());
    // nginx would gather events otherwise
    response
        .headers_mut()
        .insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    *response.body_mut() = Body::from_stream(bytes);
    response
}

/// The one result of a request that was not executed.
pub(super) fn refused(id: &str, error: &Error) -> Result {
    log(error, id);
    Result::from_errors(vec![server_error(error, id)])
}

impl Events {
    async fn next(&mut self) -> Option<Bytes> {
        match self.at {
            // so that the client has the head of the answer at once
            At::Beginning => {
                self.at = At::Results;
                return Some(Bytes::from_static(COMMENT));
            }
            At::End => return None,
            At::Results => {}
        }
        tokio::select! {
            result = self.results.next() => Some(match result {
                Some(result) => next(result, &self.id),
                None => {
                    self.at = At::End;
                    Bytes::from_static(COMPLETE)
                }
            }),
            () = tokio::time::sleep(self.keep_alive) => Some(Bytes::from_static(COMMENT)),
            () = self.stop.cancelled() => None,
        }
    }
}

fn next(result: Result, id: &str) -> Bytes {
    let mut bytes = b"event: next\ndata: ".to_vec();
    // JSON has no line breaks but escaped ones
    bytes.extend_from_slice(&payload(result, id).1);
    bytes.extend_from_slice(b"\n\n");
    bytes.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    async fn text(results: Vec<Result>) -> String {
        let response = events("r-1", stream::iter(results).boxed(), CancellationToken::new(), None);
        assert_eq!(response.headers()["content-type"], "text/event-stream; charset=utf-8");
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn results_are_events_of_one_line_each() {
        let result = Result::new(async_graphql::value!({ "a": "one\ntwo\r\n\nevent: complete" }));
        assert_eq!(
            text(vec![result]).await,
            ":\n\nevent: next\ndata: {\"data\":{\"a\":\"one\\ntwo\\r\\n\\nevent: complete\"}}\n\nevent: complete\ndata:\n\n"
        );
    }

    #[tokio::test]
    async fn a_refusal_is_a_result() {
        let text = text(vec![refused("r-1", &Error::sealed())]).await;
        assert!(text.contains(r#"event: next"#) && text.contains(r#""code":"SEALED""#), "{text}");
        assert!(text.ends_with("event: complete\ndata:\n\n"), "{text}");
    }

    #[tokio::test]
    async fn it_ends_when_the_server_is_to_end() {
        let stop = CancellationToken::new();
        stop.cancel();
        let response = events("r-1", stream::pending().boxed(), stop, None);
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(bytes.as_ref(), COMMENT);
    }

    #[tokio::test]
    async fn silence_is_broken_by_comments() {
        let mut events = Events {
            at: At::Results,
            results: stream::pending().boxed(),
            id: String::new(),
            stop: CancellationToken::new(),
            keep_alive: Duration::from_millis(5),
            _place: None,
        };
        for _ in 0..3 {
            assert_eq!(events.next().await.unwrap().as_ref(), COMMENT);
        }
    }
}
