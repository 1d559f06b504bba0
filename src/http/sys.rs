//! The system doors: what must work before anyone can have a token, and from scripts without GraphQL.

use super::body::{self, BodyError};
use super::gate::busy;
use super::negotiation::is_json;
use super::respond;
use super::router::Visit;
use crate::error::{Error, ErrorCode};
use crate::service::seal::{self, SealStatus};
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// A share has some eighty characters.
const MAX_BODY: usize = 64 * 1024;

/// The door of initialisation, which has no time limit of its own.
pub(super) const INIT: &str = "/v1/sys/init";

/// The seal status as JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct StatusBody<'a> {
    initialized: bool,
    sealed: bool,
    threshold: Option<i64>,
    shares: Option<i64>,
    progress: i64,
    version: &'a str,
    cluster_name: Option<&'a str>,
    seal_type: Option<&'a str>,
}

impl<'a> From<&'a SealStatus> for StatusBody<'a> {
    fn from(status: &'a SealStatus) -> Self {
        Self {
            initialized: status.initialized,
            sealed: status.sealed,
            threshold: status.threshold,
            shares: status.shares,
            progress: status.progress,
            version: &status.version,
            cluster_name: status.cluster_name.as_deref(),
            seal_type: status.seal_type.as_deref(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Init {
    // a static seal has no shares, so both may be left out; otherwise 0 is refused with the field's name
    #[serde(default)]
    shares: i64,
    #[serde(default)]
    threshold: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InitBody<'a> {
    shares: Vec<&'a str>,
    root_token: &'a str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unseal {
    share: Option<Zeroizing<String>>,
    #[serde(default)]
    reset: bool,
}

pub(super) async fn seal_status(visit: &Visit) -> Response<Body> {
    match visit.gate.enter() {
        Ok(_place) => status_answer(&seal::status(&visit.app).await, &visit.id),
        Err(error) => respond::error(&error, &visit.id),
    }
}

pub(super) async fn init<B>(visit: &Visit, headers: &HeaderMap, body: B) -> Response<Body>
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
{
    let reading = read(visit, headers, body, "write {\"shares\": 5, \"threshold\": 3}");
    let asked: Init = match tokio::time::timeout(visit.timeout, reading).await {
        Ok(Ok(asked)) => asked,
        Ok(Err((status, error))) => return respond::error_with_status(status, &error, &visit.id),
        Err(_) => {
            let late =
                Error::new(ErrorCode::Unavailable, "the request's body took too long: nothing was done");
            return respond::error(&late, &visit.id);
        }
    };
    let _place = match visit.gate.enter() {
        Ok(place) => place,
        Err(error) => return respond::error(&error, &visit.id),
    };
    match seal::initialize(&visit.ctx, asked.shares, asked.threshold).await {
        Ok(made) => {
            let body = InitBody {
                shares: made.shares.iter().map(|share| share.expose()).collect(),
                root_token: &made.root_token,
            };
            respond::json(StatusCode::OK, respond::JSON, &visit.id, &body)
        }
        Err(error) => respond::error(&error, &visit.id),
    }
}

pub(super) async fn unseal<B>(visit: &Visit, headers: &HeaderMap, body: B) -> Response<Body>
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
{
    let example = "write {\"share\": \"...\"} or {\"reset\": true}";
    let asked: Unseal = match read(visit, headers, body, example).await {
        Ok(asked) => asked,
        Err((status, error)) => return respond::error_with_status(status, &error, &visit.id),
    };
    let _place = match visit.gate.enter() {
        Ok(place) => place,
        Err(error) => return respond::error(&error, &visit.id),
    };
    let outcome = match (asked.share, asked.reset) {
        (Some(share), false) => seal::unseal(&visit.ctx, &share).await,
        (None, true) => Ok(seal::reset_unseal(&visit.ctx).await),
        _ => Err(Error::bad_input("share", "give either a 'share' or 'reset': true")),
    };
    match outcome {
        Ok(status) => status_answer(&status, &visit.id),
        Err(error) => respond::error(&error, &visit.id),
    }
}

pub(super) async fn seal(visit: &Visit) -> Response<Body> {
    let _place = match visit.gate.enter() {
        Ok(place) => place,
        Err(error) => return respond::error(&error, &visit.id),
    };
    match seal::seal(&visit.ctx).await {
        Ok(status) => status_answer(&status, &visit.id),
        Err(error) => respond::error(&error, &visit.id),
    }
}

fn status_answer(status: &SealStatus, id: &str) -> Response<Body> {
    respond::json(StatusCode::OK, respond::JSON, id, &StatusBody::from(status))
}

/// A JSON body. What is wrong with it is said without repeating it.
async fn read<T, B>(
    visit: &Visit,
    headers: &HeaderMap,
    body: B,
    example: &'static str,
) -> Result<T, (StatusCode, Error)>
where
    T: DeserializeOwned,
    B: hyper::body::Body<Data = Bytes> + Unpin,
{
    let bad = |message: String| Error::new(ErrorCode::BadUserInput, message);
    if !is_json(headers) {
        let error = bad("send the request as 'Content-Type: application/json' in utf-8".to_owned());
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, error));
    }
    let body = body::read(body, MAX_BODY, &visit.gate).await.map_err(|error| match error {
        BodyError::TooLarge => {
            let error = bad(format!("the request is larger than {MAX_BODY} bytes"));
            (StatusCode::PAYLOAD_TOO_LARGE, error)
        }
        BodyError::Broken => (StatusCode::BAD_REQUEST, bad("the request's body broke off".to_owned())),
        BodyError::Busy => (StatusCode::SERVICE_UNAVAILABLE, busy()),
    })?;
    let bytes = &body.bytes;
    let is_object = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
    serde_json::from_slice(bytes).ok().filter(|_| is_object).ok_or_else(|| {
        (StatusCode::BAD_REQUEST, bad(format!("the body is not the JSON object that is expected: {example}")))
    })
}
