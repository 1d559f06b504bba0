use super::*;
use crate::crypto::memory::Key32;
use crate::model::certificates::CertType;
use crate::model::clock::SystemClock;
use crate::service::certificates::PeerCertificate;
use crate::service::{HostIdentity, Limits, Settings};
use crate::storage::db::StoreUrl;
use async_graphql::{Context, EmptyMutation, EmptySubscription, Object};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use uuid::Uuid;

struct Query;

#[Object]
impl Query {
    /// The certificate that a resolver sees.
    async fn shown(&self, ctx: &Context<'_>) -> Option<String> {
        let shown = ctx.data_unchecked::<OpContext>().origin().certificate.clone();
        shown.map(|shown| shown.common_name.clone())
    }
}

type TestDoors = Doors<Query, EmptyMutation, EmptySubscription>;

async fn doors() -> (TestDoors, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let store = format!("sqlite://{}", directory.path().join("store.db").display());
    let settings = Settings {
        store: StoreUrl::parse(&store).unwrap(),
        max_connections: 4,
        cluster_name: "test".to_owned(),
        static_seal: Some(Key32::generate()),
        host: HostIdentity::default(),
        limits: Limits::default(),
        cache_bytes: 1 << 20,
        partitions_ahead: 1,
        engines: crate::engine::EngineSettings::default(),
        pki: crate::service::certificates::PkiSettings::default(),
        rates: crate::service::rate::RateSettings::default(),
    };
    let app = App::start(settings, Arc::new(SystemClock)).await.unwrap();
    let schema = Schema::build(Query, EmptyMutation, EmptySubscription).finish();
    // the proxy is trusted, for addresses
    let proxies = vec!["127.0.0.1/32".parse().unwrap()];
    (Doors::new(app, schema, TransportOptions::default(), proxies), directory)
}

const FORGED: &[&str] = &[
    "x-forwarded-client-cert",
    "x-ssl-client-cert",
    "ssl-client-cert",
    "ssl_client_cert",
    "x-ssl-cert",
    "x-client-cert",
    "x-amzn-mtls-clientcert",
    "x-arr-clientcert",
    "client-cert",
    "client-cert-chain",
    "ssl_client_s_dn",
    "ssl_client_verify",
];

fn request(forged: bool, path: &str, body: &'static str) -> Request<Full<Bytes>> {
    let mut request = Request::post(path).header("content-type", "application/json");
    for name in FORGED.iter().filter(|_| forged) {
        request = request
            .header(*name, "Hash=00;Subject=\"CN=forged\"")
            .header(*name, "-----BEGIN%20CERTIFICATE-----");
    }
    request.body(Full::new(Bytes::from_static(body.as_bytes()))).unwrap()
}

#[tokio::test]
async fn who_a_client_is_by_certificate_only_its_connection_says() {
    let (doors, _directory) = doors().await;
    let shown = PeerCertificate {
        id: Uuid::nil(),
        fingerprint: "00".to_owned(),
        cert_type: CertType::ALL[0],
        common_name: "shown".to_owned(),
        serial_number: "01".to_owned(),
    };
    let anonymous = Peer::at("127.0.0.1:1".parse().unwrap());
    let known = Peer { certificate: Some(Arc::new(shown)), ..anonymous.clone() };
    for forged in [false, true] {
        for (peer, expected) in [(&anonymous, "null"), (&known, "\"shown\"")] {
            let asked = request(forged, "/graphql", "{\"query\": \"{ shown }\"}");
            let response = doors.answer(asked, peer.clone()).await;
            let body = response.into_body().collect().await.unwrap().to_bytes();
            assert_eq!(body, format!("{{\"data\":{{\"shown\":{expected}}}}}").as_bytes());
        }
        let (head, _) = request(forged, "/v1/sys/seal", "").into_parts();
        let origin = CallOrigin { certificate: known.certificate.clone(), ..CallOrigin::default() };
        let visit = doors.visit(&head.headers, origin);
        assert_eq!(visit.ctx.origin().certificate.as_ref().unwrap().common_name, "shown");
        let visit = doors.visit(&head.headers, CallOrigin::default());
        assert!(visit.ctx.origin().certificate.is_none());
    }
}

#[tokio::test]
async fn the_doors_of_certificates_are_open_to_all() {
    let (doors, _directory) = doors().await;
    let request = Request::get("/v1/pki/4a/crl").body(Full::new(Bytes::new())).unwrap();
    let response = doors.answer(request, Peer::at("127.0.0.1:1".parse().unwrap())).await;
    assert_ne!(response.status(), StatusCode::UNAUTHORIZED);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert!(body["error"]["code"].is_string());
}
