use super::*;
use http::Request;
use http_body_util::{BodyExt, Full};
use parking_lot::Mutex;

const SERIAL: &str = "4a00000000000000000000000000007f";

/// One authority, and what OCSP was asked.
#[derive(Default)]
struct One {
    failing: Option<ErrorCode>,
    expires_in: Option<u64>,
    asked: Mutex<Vec<(String, Vec<u8>)>>,
}

impl One {
    fn find<T>(&self, issuer: &str, found: T) -> Result<Option<T>> {
        match self.failing {
            Some(ErrorCode::Sealed) => Err(Error::sealed()),
            Some(_) => Err(Error::unavailable("closed")),
            None => Ok((issuer == SERIAL || issuer == "default").then_some(found)),
        }
    }
}

impl Publisher for One {
    async fn chain(&self, issuer: &str) -> Result<Option<Vec<Vec<u8>>>> {
        self.find(issuer, vec![b"near".to_vec(), b"far".to_vec()])
    }

    async fn crl(&self, issuer: &str) -> Result<Option<PublishedCrl>> {
        let list = PublishedCrl {
            der: Bytes::from_static(b"a list of what was revoked"),
            number: 7,
            this_update: now() - TimeDelta::seconds(60),
            next_update: now() + TimeDelta::seconds(100),
        };
        self.find(issuer, list)
    }

    async fn ocsp(&self, issuer: &str, request: &[u8]) -> OcspAnswer {
        self.asked.lock().push((issuer.to_owned(), request.to_vec()));
        OcspAnswer { der: b"answer".to_vec(), expires_in: self.expires_in }
    }
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}

async fn send(publisher: &One, request: Request<&'static [u8]>) -> (StatusCode, HeaderMap, Vec<u8>) {
    let (head, body) = request.into_parts();
    let fetch = Fetch { publisher, now: now(), id: "id", headers: &head.headers };
    let gate = Gate::new(1, 1 << 20);
    let response = answer(&fetch, &gate, &head, Full::new(Bytes::from_static(body))).await;
    let (head, body) = response.into_parts();
    (head.status, head.headers, body.collect().await.unwrap().to_bytes().to_vec())
}

async fn get(publisher: &One, path: &str) -> (StatusCode, HeaderMap, Vec<u8>) {
    send(publisher, Request::get(path).body(&b""[..]).unwrap()).await
}

async fn post(path: &str, kind: &str, body: &'static [u8]) -> (StatusCode, HeaderMap, Vec<u8>) {
    let request = Request::post(path).header("content-type", kind).body(body).unwrap();
    send(&One { expires_in: Some(60), ..One::default() }, request).await
}

fn code(body: &[u8]) -> String {
    let body: serde_json::Value = serde_json::from_slice(body).unwrap();
    body["error"]["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn documents_have_their_types_and_may_be_cached() {
    let near = "-----BEGIN CERTIFICATE-----\nbmVhcg==\n-----END CERTIFICATE-----\n";
    let far = "-----BEGIN CERTIFICATE-----\nZmFy\n-----END CERTIFICATE-----\n";
    for (document, kind, body, seconds) in [
        ("ca.pem", CHAIN, format!("{near}{far}"), 300),
        ("ca.der", "application/pkix-cert", "near".to_owned(), 300),
        ("crl", CRL, "a list of what was revoked".to_owned(), 100),
    ] {
        // as people copy it from openssl
        for issuer in ["default", SERIAL, "4A:00:00:00:00:00:00:00:00:00:00:00:00:00:00:7F"] {
            let path = format!("/v1/pki/{issuer}/{document}");
            let (status, headers, answered) = get(&One::default(), &path).await;
            assert_eq!(status, StatusCode::OK, "{path}");
            assert_eq!(headers["content-type"], kind);
            assert_eq!(String::from_utf8(answered).unwrap(), body);
            let control = format!("max-age={seconds}, public, no-transform, must-revalidate");
            assert_eq!(headers["cache-control"], control.as_str());
            let request =
                Request::get(&path).header("if-none-match", &headers["etag"]).body(&b""[..]).unwrap();
            let (status, again, answered) = send(&One::default(), request).await;
            assert_eq!((status, answered.len()), (StatusCode::NOT_MODIFIED, 0));
            assert_eq!(again["etag"], headers["etag"]);
        }
    }
    let (_, headers, body) = get(&One::default(), "/v1/pki/default/crl.pem").await;
    assert!(body.starts_with(b"-----BEGIN X509 CRL-----\n"));
    assert_eq!(headers["last-modified"], "Tue, 14 Nov 2023 22:12:20 GMT");
    assert_eq!(headers["expires"], "Tue, 14 Nov 2023 22:15:00 GMT");
}

#[tokio::test]
async fn what_is_not_there_and_what_cannot_be_had_is_said_as_at_other_doors() {
    for path in [
        "/v1/pki/",
        "/v1/pki/default",
        "/v1/pki/default/",
        "/v1/pki/default/crl/x",
        "/v1/pki/default/key.pem",
        "/v1/pki/4a/ca.pem",
        "/v1/pki/4a/crl",
        "/v1/pki/nobody/crl",
        "/v1/pki/../crl",
        "/v1/pki/nobody/ocsp/MAA=",
    ] {
        let publisher = One::default();
        let (status, headers, body) = get(&publisher, path).await;
        assert_eq!((status, code(&body).as_str()), (StatusCode::NOT_FOUND, "NOT_FOUND"), "{path}");
        assert_eq!(headers["cache-control"], "no-store");
        assert!(publisher.asked.lock().is_empty());
    }
    for failing in [ErrorCode::Sealed, ErrorCode::Unavailable] {
        for document in ["ca.pem", "ca.der", "crl", "crl.pem"] {
            let publisher = One { failing: Some(failing), ..One::default() };
            let (status, headers, body) = get(&publisher, &format!("/v1/pki/default/{document}")).await;
            assert_eq!((status, code(&body).as_str()), (StatusCode::SERVICE_UNAVAILABLE, failing.as_str()));
            assert_eq!(headers["cache-control"], "no-store");
        }
    }
    let (status, headers, _) = post("/v1/pki/default/crl", OCSP_REQUEST, b"x").await;
    assert_eq!(
        (status, &headers["allow"]),
        (StatusCode::METHOD_NOT_ALLOWED, &HeaderValue::from_static("GET, HEAD"))
    );
    let (status, headers, _) = get(&One::default(), "/v1/pki/default/ocsp").await;
    assert_eq!(
        (status, &headers["allow"]),
        (StatusCode::METHOD_NOT_ALLOWED, &HeaderValue::from_static("POST"))
    );
}

#[tokio::test]
async fn ocsp_is_answered_by_get_and_by_post() {
    let publisher = One { expires_in: Some(600), ..One::default() };
    let (status, headers, body) = get(&publisher, "/v1/pki/default/ocsp/%2B//%2BPg%3D%3D").await;
    assert_eq!((status, body.as_slice()), (StatusCode::OK, &b"answer"[..]));
    assert_eq!(headers["content-type"], OCSP_RESPONSE);
    assert_eq!(headers["cache-control"], "max-age=600, public, no-transform, must-revalidate");
    assert_eq!(headers["expires"], "Tue, 14 Nov 2023 22:23:20 GMT");
    assert!(headers.contains_key("etag"));
    assert_eq!(*publisher.asked.lock(), [("default".to_owned(), vec![0xfb, 0xff, 0xfe, 0x3e])]);

    // what has a nonce is for the one who asked
    let (_, headers, _) = get(&One::default(), "/v1/pki/default/ocsp/MAA=").await;
    assert_eq!(headers["cache-control"], "no-store");
    let path = format!("/v1/pki/{SERIAL}/ocsp");
    let (status, headers, body) = post(&path, OCSP_REQUEST, b"request").await;
    assert_eq!((status, body.as_slice()), (StatusCode::OK, &b"answer"[..]));
    assert_eq!(headers["cache-control"], "no-store");

    assert_eq!(post(&path, "application/json", b"{}").await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(post(&path, OCSP_REQUEST, &[0; MAX_REQUEST]).await.0, StatusCode::OK);
    assert_eq!(post(&path, OCSP_REQUEST, &[0; MAX_REQUEST + 1]).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    for encoded in ["", "!", "MAA", &"A".repeat(20_000)] {
        let publisher = One::default();
        let (status, _, body) = get(&publisher, &format!("/v1/pki/default/ocsp/{encoded}")).await;
        assert_eq!((status, code(&body).as_str()), (StatusCode::BAD_REQUEST, "BAD_USER_INPUT"));
        assert!(publisher.asked.lock().is_empty());
    }
}
