//! Which web pages may talk to this server: its own, and those of the origins that are allowed.
//!
//! A page of another site can make a browser send requests here, over a connection that shows the user's client certificate, and it can
//! open WebSockets, which no preflight guards. Such a page is turned away before anything is done. Programs send no `Origin` and are
//! not concerned.

use super::respond;
use crate::error::Error;
use axum::body::Body;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use std::str::FromStr;

/// Headers of a request that pages of allowed origins may send, and headers of an answer that they may read.
const REQUEST_HEADERS: &str = "authorization, content-type, x-request-id";
const ANSWER_HEADERS: &str = "x-request-id, retry-after";
/// How long a browser may remember what it was allowed, in seconds.
const REMEMBERED: &str = "600";

/// The origins that are allowed beside the server's own, as browsers write them.
#[derive(Debug, Clone, Default)]
pub struct Origins(Vec<HeaderValue>);

/// Where a request comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Site {
    /// A program, or a page of this server.
    Own,
    /// A page of an allowed origin.
    Allowed(HeaderValue),
    /// A page of any other site.
    Foreign,
}

impl Origins {
    /// # Errors
    /// A sentence about the first that is no origin.
    pub fn parse(texts: &[String]) -> Result<Self, String> {
        let origin = |text: &String| {
            let well_formed = of(text).is_some_and(|origin| origin.text() == *text);
            let value = HeaderValue::from_str(text).ok().filter(|_| well_formed);
            value.ok_or_else(|| {
                format!("'{text}' is no origin: write SCHEME://HOST or SCHEME://HOST:PORT in small letters, such as https://console.example")
            })
        };
        texts.iter().map(origin).collect::<Result<_, _>>().map(Self)
    }

    /// Where a request comes from, which came over TLS or not.
    pub fn site<B>(&self, request: &Request<B>, tls: bool) -> Site {
        let headers = request.headers();
        let Some(sent) = headers.get(header::ORIGIN) else {
            // not every request of a page has an origin, but browsers say this of all
            let fetched = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
            return if matches!(fetched, Some(b"cross-site" | b"same-site")) {
                Site::Foreign
            } else {
                Site::Own
            };
        };
        if self.0.contains(sent) {
            return Site::Allowed(sent.clone());
        }
        let own = sent.to_str().ok().and_then(of).is_some_and(|origin| {
            let host = host(headers, request.uri()).and_then(|host| origin.beside(&host));
            (origin.scheme == "https" || !tls) && host.as_ref() == Some(&origin)
        });
        if own { Site::Own } else { Site::Foreign }
    }
}

/// The name that the server was called by.
fn host(headers: &HeaderMap, uri: &Uri) -> Option<String> {
    let of_uri = || uri.authority().map(ToString::to_string);
    of_uri().or_else(|| Some(headers.get(header::HOST)?.to_str().ok()?.to_owned()))
}

#[derive(PartialEq, Eq)]
struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl Origin {
    /// The origin of the same scheme at this `HOST` or `HOST:PORT`.
    fn beside(&self, authority: &str) -> Option<Self> {
        of(&format!("{}://{authority}", self.scheme))
    }

    /// As browsers write it.
    fn text(&self) -> String {
        if Some(self.port) == usual_port(&self.scheme) {
            format!("{}://{}", self.scheme, self.host)
        } else {
            format!("{}://{}:{}", self.scheme, self.host, self.port)
        }
    }
}

fn usual_port(scheme: &str) -> Option<u16> {
    match scheme {
        "https" => Some(443),
        "http" => Some(80),
        _ => None,
    }
}

fn of(text: &str) -> Option<Origin> {
    let uri = Uri::from_str(text).ok()?;
    let scheme = uri.scheme_str()?.to_ascii_lowercase();
    let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'))?;
    if uri.path() != "/" || uri.query().is_some() {
        return None;
    }
    let of_host = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:[]".contains(&byte);
    if !authority.host().bytes().all(of_host) {
        return None;
    }
    let port = uri.port_u16().or_else(|| usual_port(&scheme))?;
    Some(Origin { host: authority.host().to_ascii_lowercase(), scheme, port })
}

/// Whether a page may not make this request, wherever it comes from: it does something, or asks the API.
fn matters<B>(request: &Request<B>) -> bool {
    let path = request.uri().path();
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    path == "/graphql" || (!reads && !path.starts_with("/v1/pki/"))
}

/// What is answered at once: a question of a browser whether a page may, or a page that may not.
pub fn settle<B>(request: &Request<B>, site: &Site, id: &str) -> Option<Response<Body>> {
    let asks = request.method() == Method::OPTIONS
        && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    match site {
        Site::Foreign if matters(request) => {
            let message = "pages of this origin may not talk to the server: it is neither the server's own nor listed in \
                           listener.allowed_origins";
            Some(respond::error(&Error::forbidden(message), id))
        }
        Site::Allowed(_) if asks => {
            let mut response = respond::answer(StatusCode::NO_CONTENT, respond::JSON, id, Vec::new());
            let headers = response.headers_mut();
            headers.remove(header::CONTENT_TYPE);
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST"));
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static(REQUEST_HEADERS));
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static(REMEMBERED));
            Some(dressed(site, response))
        }
        _ => None,
    }
}

/// An answer that a page of an allowed origin can read.
pub fn dressed(site: &Site, mut response: Response<Body>) -> Response<Body> {
    if let Site::Allowed(origin) = site {
        let headers = response.headers_mut();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(ANSWER_HEADERS));
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(headers: &[(&'static str, &'static str)]) -> Request<()> {
        let mut request = Request::new(());
        *request.uri_mut() = Uri::from_static("/graphql");
        for (name, value) in headers {
            request.headers_mut().insert(*name, HeaderValue::from_static(value));
        }
        request
    }

    fn site(headers: &[(&'static str, &'static str)], tls: bool) -> Site {
        let origins = Origins::parse(&["https://console.example".to_owned()]).unwrap();
        origins.site(&request(headers), tls)
    }

    #[test]
    fn programs_and_own_pages_are_no_strangers() {
        assert_eq!(site(&[], true), Site::Own);
        assert_eq!(site(&[("sec-fetch-site", "none")], true), Site::Own);
        assert_eq!(site(&[("sec-fetch-site", "same-origin")], true), Site::Own);
        for (host, origin, tls) in [
            ("hub.example", "https://hub.example", true),
            ("hub.example:443", "https://hub.example", true),
            ("HUB.example", "https://hub.example", true),
            ("127.0.0.1:8200", "http://127.0.0.1:8200", false),
            ("[::1]:8200", "http://[::1]:8200", false),
            // a proxy may end TLS
            ("hub.example", "https://hub.example", false),
        ] {
            assert_eq!(site(&[("host", host), ("origin", origin)], tls), Site::Own, "{host} {origin}");
        }
    }

    #[test]
    fn other_pages_are() {
        assert_eq!(site(&[("sec-fetch-site", "cross-site")], true), Site::Foreign);
        assert_eq!(site(&[("sec-fetch-site", "same-site")], true), Site::Foreign);
        for origin in [
            "https://evil.example",
            "http://hub.example",
            "https://hub.example:8443",
            "https://hub.example.evil.example",
            "https://user@hub.example",
            "null",
            "",
            "hub.example",
            "https://console.example:444",
        ] {
            assert_eq!(site(&[("host", "hub.example"), ("origin", origin)], true), Site::Foreign, "{origin}");
        }
        assert_eq!(site(&[("origin", "https://hub.example")], true), Site::Foreign, "without a host");
    }

    #[test]
    fn allowed_pages_are_answered_exactly() {
        let allowed = site(&[("origin", "https://console.example"), ("host", "hub.example")], true);
        assert_eq!(allowed, Site::Allowed(HeaderValue::from_static("https://console.example")));
        let mut asked = request(&[("access-control-request-method", "POST")]);
        *asked.method_mut() = Method::OPTIONS;
        let answer = settle(&asked, &allowed, "r").unwrap();
        assert_eq!(answer.status(), StatusCode::NO_CONTENT);
        assert_eq!(answer.headers()["access-control-allow-origin"], "https://console.example");
        assert!(!answer.headers().contains_key("access-control-allow-credentials"));
        assert_eq!(settle(&asked, &Site::Foreign, "r").unwrap().status(), StatusCode::FORBIDDEN);
        assert!(settle(&asked, &Site::Own, "r").is_none());
        assert!(settle(&request(&[]), &allowed, "r").is_none());
    }

    #[test]
    fn what_is_no_origin() {
        for text in [
            "*",
            "https://*",
            "https://a.example/",
            "https://A.example",
            "a.example",
            "https://a.example:443",
            "null",
            "",
        ] {
            assert!(Origins::parse(&[text.to_owned()]).is_err(), "{text}");
        }
        assert!(
            Origins::parse(&["http://localhost:5173".to_owned(), "https://[::1]:8443".to_owned()]).is_ok()
        );
    }
}
