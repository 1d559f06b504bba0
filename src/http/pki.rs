//! What relying parties fetch without a token: authorities' certificates, revocation lists, and answers of OCSP.
//!
//! `{issuer}` is the serial number of an authority, or `default`. How long an answer may be cached follows RFC 5019, section 6.2.

mod encoding;

use super::body::{self, BodyError};
use super::gate::{Gate, busy};
use super::respond;
use super::router::Visit;
use crate::crypto::primitives::sha256;
use crate::error::{Error, ErrorCode, Result};
use crate::model::certificates::parse_serial;
use crate::service::App;
use crate::service::certificates::ocsp::{self, MAX_REQUEST, OcspAnswer};
use crate::service::certificates::publish::{self, PublishedCrl};
use axum::body::Body;
use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use data_encoding::HEXLOWER;
use encoding::{base64_of_path, pem};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};

pub(super) const PREFIX: &str = "/v1/pki/";
/// Certificates and lists change without notice (another default authority, a revocation), so caches ask again soon.
const FRESH_SECONDS: i64 = 300;
/// RFC 8555, section 9.1.
const CHAIN: &str = "application/pem-certificate-chain";
const PEM: &str = "application/x-pem-file";
const CRL: &str = "application/pkix-crl";
const OCSP_REQUEST: &str = "application/ocsp-request";
const OCSP_RESPONSE: &str = "application/ocsp-response";

/// What is published.
trait Publisher: Sync {
    fn chain(&self, issuer: &str) -> impl Future<Output = Result<Option<Vec<Vec<u8>>>>> + Send;
    fn crl(&self, issuer: &str) -> impl Future<Output = Result<Option<PublishedCrl>>> + Send;
    fn ocsp(&self, issuer: &str, request: &[u8]) -> impl Future<Output = OcspAnswer> + Send;
}

impl Publisher for App {
    async fn chain(&self, issuer: &str) -> Result<Option<Vec<Vec<u8>>>> {
        publish::ca_chain(self, issuer).await
    }

    async fn crl(&self, issuer: &str) -> Result<Option<PublishedCrl>> {
        publish::crl(self, issuer).await
    }

    async fn ocsp(&self, issuer: &str, request: &[u8]) -> OcspAnswer {
        ocsp::ocsp(self, issuer, request).await
    }
}

/// One request at these doors.
struct Fetch<'a, P> {
    publisher: &'a P,
    now: DateTime<Utc>,
    id: &'a str,
    headers: &'a HeaderMap,
}

/// How long an answer may be kept, since when it is true, and what it is known by if not by a hash of it.
#[derive(Default)]
struct Cacheable {
    seconds: i64,
    modified: Option<DateTime<Utc>>,
    tag: Option<String>,
}

type Form = (&'static str, Bytes);

pub(super) async fn door<B>(visit: &Visit, head: &Parts, body: B) -> Response<Body>
where
    B: hyper::body::Body<Data = Bytes> + Unpin,
{
    let fetch = Fetch {
        publisher: visit.app.as_ref(),
        now: visit.app.clock().now(),
        id: &visit.id,
        headers: &head.headers,
    };
    answer(&fetch, &visit.gate, head, body).await
}

async fn answer<P, B>(fetch: &Fetch<'_, P>, gate: &Gate, head: &Parts, body: B) -> Response<Body>
where
    P: Publisher,
    B: hyper::body::Body<Data = Bytes> + Unpin,
{
    let path = head.uri.path();
    let asked = path.strip_prefix(PREFIX).and_then(|rest| rest.split_once('/'));
    let Some((issuer, document)) = asked.and_then(|(issuer, document)| Some((serial(issuer)?, document)))
    else {
        return fetch.unknown();
    };
    let reads = matches!(head.method, Method::GET | Method::HEAD);
    if document == "ocsp" {
        if head.method != Method::POST {
            return respond::method_not_allowed("POST", fetch.id);
        }
        if !is_ocsp_request(&head.headers) {
            return fetch
                .refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send 'Content-Type: application/ocsp-request'");
        }
        let read = body::read(body, MAX_REQUEST, gate).await;
        return match (read, gate.enter()) {
            (Ok(read), Ok(_place)) => fetch.ocsp_posted(&issuer, &read.bytes).await,
            (Err(BodyError::TooLarge), _) => {
                fetch.refuse(StatusCode::PAYLOAD_TOO_LARGE, "the request is larger than this server takes")
            }
            (Err(BodyError::Broken), _) => {
                fetch.refuse(StatusCode::BAD_REQUEST, "the request's body broke off")
            }
            (Err(BodyError::Busy), _) | (_, Err(_)) => respond::error(&busy(), fetch.id),
        };
    }
    if !reads {
        return respond::method_not_allowed("GET, HEAD", fetch.id);
    }
    match gate.enter() {
        Ok(_place) => fetch.document(&issuer, document).await,
        Err(error) => respond::error(&error, fetch.id),
    }
}

/// The serial number in the form it is stored in, or `default`.
fn serial(text: &str) -> Option<String> {
    if text == "default" { Some(text.to_owned()) } else { parse_serial(text) }
}

fn is_ocsp_request(headers: &HeaderMap) -> bool {
    let text = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case(OCSP_REQUEST)
}

impl<P: Publisher> Fetch<'_, P> {
    async fn document(&self, issuer: &str, document: &str) -> Response<Body> {
        let found = match document {
            "ca.pem" => self.certificates(issuer, |chain| (CHAIN, pem_of(chain))).await,
            "ca.der" => {
                let nearest = |chain: &[Vec<u8>]| chain.first().cloned().unwrap_or_default().into();
                self.certificates(issuer, |chain| ("application/pkix-cert", nearest(chain))).await
            }
            "crl" => self.list(issuer, |der| (CRL, der)).await,
            "crl.pem" => self.list(issuer, |der| (PEM, pem("X509 CRL", &der).into())).await,
            _ => match document.strip_prefix("ocsp/") {
                Some(encoded) => return self.ocsp_got(issuer, encoded).await,
                None => Ok(None),
            },
        };
        match found {
            Ok(Some(response)) => response,
            Ok(None) => self.unknown(),
            Err(error) => respond::error(&error, self.id),
        }
    }

    async fn certificates(
        &self,
        issuer: &str,
        form: impl Fn(&[Vec<u8>]) -> Form,
    ) -> Result<Option<Response<Body>>> {
        let chain = self.publisher.chain(issuer).await?.filter(|chain| !chain.is_empty());
        let kept = Cacheable { seconds: FRESH_SECONDS, ..Cacheable::default() };
        Ok(chain.map(|chain| self.cacheable(form(&chain), kept)))
    }

    async fn list(&self, issuer: &str, form: impl Fn(Bytes) -> Form) -> Result<Option<Response<Body>>> {
        let list = self.publisher.crl(issuer).await?;
        Ok(list.map(|list| {
            let left = (list.next_update - self.now).num_seconds();
            // a list of a million entries is not hashed for every request: it ends with its signature
            let signature = HEXLOWER.encode(&list.der[list.der.len().saturating_sub(16)..]);
            let kept = Cacheable {
                seconds: left.clamp(0, FRESH_SECONDS),
                modified: Some(list.this_update),
                tag: Some(format!("{}-{signature}", list.number)),
            };
            self.cacheable(form(list.der), kept)
        }))
    }

    /// RFC 6960, appendix A.1: the request in base64, percent-encoded, in the path.
    async fn ocsp_got(&self, issuer: &str, encoded: &str) -> Response<Body> {
        let Some(request) = base64_of_path(encoded, MAX_REQUEST) else {
            return self.refuse(
                StatusCode::BAD_REQUEST,
                "the path does not end with an OCSP request in base64 that fits",
            );
        };
        let answer = self.publisher.ocsp(issuer, &request).await;
        match answer.expires_in.and_then(|seconds| i64::try_from(seconds).ok()) {
            Some(seconds) if seconds > 0 => {
                let kept = Cacheable { seconds, ..Cacheable::default() };
                self.cacheable((OCSP_RESPONSE, answer.der.into()), kept)
            }
            _ => respond::answer(StatusCode::OK, OCSP_RESPONSE, self.id, answer.der),
        }
    }

    async fn ocsp_posted(&self, issuer: &str, request: &[u8]) -> Response<Body> {
        let answer = self.publisher.ocsp(issuer, request).await;
        respond::answer(StatusCode::OK, OCSP_RESPONSE, self.id, answer.der)
    }

    fn cacheable(&self, (kind, body): Form, kept: Cacheable) -> Response<Body> {
        let tag = kept.tag.unwrap_or_else(|| HEXLOWER.encode(&sha256(&body)[..16]));
        let etag = format!("\"{tag}\"");
        let mut response = if self.has(&etag) {
            let mut response = respond::answer(StatusCode::NOT_MODIFIED, kind, self.id, Bytes::new());
            response.headers_mut().remove(header::CONTENT_TYPE);
            response
        } else {
            respond::answer(StatusCode::OK, kind, self.id, body)
        };
        let control = format!("max-age={}, public, no-transform, must-revalidate", kept.seconds);
        let expires = self.now.checked_add_signed(TimeDelta::seconds(kept.seconds.min(1 << 31)));
        let headers = response.headers_mut();
        let mut set = |name, text: String| {
            if let Ok(value) = HeaderValue::from_str(&text) {
                headers.insert(name, value);
            }
        };
        set(header::CACHE_CONTROL, control);
        set(header::ETAG, etag);
        set(header::EXPIRES, http_date(expires.unwrap_or(self.now)));
        if let Some(modified) = kept.modified {
            set(header::LAST_MODIFIED, http_date(modified));
        }
        response
    }

    /// Whether the client says that it has this already.
    fn has(&self, etag: &str) -> bool {
        let values = self.headers.get_all(header::IF_NONE_MATCH).iter();
        values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .any(|given| given == "*" || given.strip_prefix("W/").unwrap_or(given) == etag)
    }

    fn unknown(&self) -> Response<Body> {
        let message = "there is nothing at this path: write /v1/pki/{issuer}/ca.pem, ca.der, crl, crl.pem or ocsp, with the \
             serial number of an authority or 'default'";
        respond::error(&Error::not_found(message), self.id)
    }

    fn refuse(&self, status: StatusCode, message: &'static str) -> Response<Body> {
        respond::error_with_status(status, &Error::new(ErrorCode::BadUserInput, message), self.id)
    }
}

fn pem_of(chain: &[Vec<u8>]) -> Bytes {
    chain.iter().map(|der| pem("CERTIFICATE", der)).collect::<String>().into()
}

/// RFC 9110, section 5.6.7.
fn http_date(time: DateTime<Utc>) -> String {
    time.format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[cfg(test)]
mod tests;
