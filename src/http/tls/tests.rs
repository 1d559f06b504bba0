//! A listener with TLS, real clients, and a gatekeeper that does as the test says.

mod any_server;
mod certificates;
mod clients;
mod keeper;

use super::*;
use crate::http::server::{Handler, Peer, ServerOptions, serve};
use crate::model::clock::ManualClock;
use any_server::{Always, AnyServer};
use axum::body::Body;
use chrono::TimeDelta;
use http::{Request, Response};
use hyper::body::Incoming;
use keeper::{Keeper, Verdict};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    date_time_ymd,
};
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, HandshakeKind, SupportedProtocolVersion};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

static TLS12: &SupportedProtocolVersion = &rustls::version::TLS12;
static TLS13: &SupportedProtocolVersion = &rustls::version::TLS13;
const VERSIONS: [&SupportedProtocolVersion; 2] = [TLS12, TLS13];

fn start_of_time() -> DateTime<Utc> {
    DateTime::from_timestamp(1_767_225_600, 0).unwrap()
}

type Authority = CertifiedIssuer<'static, KeyPair>;

fn params(name: &str, begins: DateTime<Utc>, ends: DateTime<Utc>) -> CertificateParams {
    let date = |time: DateTime<Utc>| {
        date_time_ymd(1970, 1, 1) + Duration::from_secs(time.timestamp().try_into().unwrap())
    };
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = (date(begins), date(ends));
    params
}

fn authority(name: &str) -> Authority {
    let mut params =
        params(name, start_of_time() - TimeDelta::days(1), start_of_time() + TimeDelta::days(99));
    params.subject_alt_names.clear();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A leaf and its key.
struct Identity {
    leaf: Vec<u8>,
    key: Vec<u8>,
}

fn identity(authority: &Authority, name: &str) -> Identity {
    let (begins, ends) = (start_of_time() - TimeDelta::hours(1), start_of_time() + TimeDelta::days(1));
    signed(authority, params(name, begins, ends), ExtendedKeyUsagePurpose::ClientAuth)
}

fn signed(authority: &Authority, mut params: CertificateParams, usage: ExtendedKeyUsagePurpose) -> Identity {
    params.extended_key_usages = vec![usage];
    let key = KeyPair::generate().unwrap();
    let leaf = params.signed_by(&key, authority).unwrap();
    Identity { leaf: leaf.der().to_vec(), key: key.serialize_der() }
}

/// Says who the client is.
struct Who;

impl Handler for Who {
    async fn handle(&self, _: Request<Incoming>, peer: Peer) -> Response<Body> {
        Response::new(Body::from(
            peer.certificate.map_or("nobody".to_owned(), |shown| shown.common_name.clone()),
        ))
    }
}

struct Server {
    address: SocketAddr,
    tls: Arc<Tls>,
    keeper: Arc<Keeper>,
    clock: Arc<ManualClock>,
}

impl Server {
    /// With these authorities of clients.
    async fn start(options: TlsOptions, authorities: &[&Authority]) -> Self {
        let clock = Arc::new(ManualClock::at(start_of_time()));
        let anchors = authorities.iter().map(|authority| authority.der().to_vec()).collect();
        let keeper = Arc::new(Keeper::new(Arc::clone(&clock), anchors));
        let prepared = options.prepare(clock.now()).unwrap();
        let shared = Arc::new(Arc::clone(&keeper));
        let tls = Tls::start(prepared, shared, Arc::clone(&clock) as Arc<dyn Clock>).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let options = ServerOptions { handshake_timeout: Duration::from_secs(5), ..ServerOptions::default() };
        let serving = Some(Arc::clone(&tls));
        tokio::spawn(async move {
            serve(listener, serving, Arc::new(Who), &options, std::future::pending()).await
        });
        Self { address, tls, keeper, clock }
    }

    async fn visit(&self, config: &Arc<ClientConfig>) -> std::io::Result<Visit> {
        let mut stream = connect(self.address, config).await?;
        let body = ask(&mut stream).await?;
        let connection = stream.get_ref().1;
        Ok(Visit {
            who: body,
            resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
            served: connection.peer_certificates().unwrap()[0].to_vec(),
        })
    }

    /// Whom a new client is taken for.
    async fn who(&self, config: &Arc<ClientConfig>) -> String {
        self.visit(config).await.map_or_else(|_| "closed".to_owned(), |visit| visit.who)
    }

    /// The certificate that a new connection is served with.
    async fn served(&self) -> Vec<u8> {
        self.visit(&client(None, TLS13)).await.unwrap().served
    }

    fn set(&self, verdict: Verdict) {
        *self.keeper.verdict.lock() = verdict;
    }
}

struct Visit {
    who: String,
    resumed: bool,
    served: Vec<u8>,
}

async fn connect(address: SocketAddr, config: &Arc<ClientConfig>) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::clone(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

/// One request, on a connection that stays open.
async fn ask(stream: &mut TlsStream<TcpStream>) -> std::io::Result<String> {
    stream.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await?;
    let mut text = String::new();
    let mut buffer = [0; 1024];
    loop {
        let body = text.split_once("\r\n\r\n").map(|(_, body)| body);
        if let Some(body) = body.filter(|body| ["nobody", "admitted"].contains(body)) {
            return Ok(body.to_owned());
        }
        let read = stream.read(&mut buffer).await?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        text.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
    }
}

/// A client that takes any server, and remembers its sessions.
fn client(identity: Option<&Identity>, version: &'static SupportedProtocolVersion) -> Arc<ClientConfig> {
    let builder =
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(AnyServer));
    Arc::new(match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let key = PrivatePkcs8KeyDer::from(identity.key.clone());
            let leaf = CertificateDer::from(identity.leaf.clone());
            // shown also to a server that does not name its authority
            let key =
                rustls::crypto::aws_lc_rs::sign::any_supported_type(&PrivateKeyDer::Pkcs8(key)).unwrap();
            // whether they belong together is for the server to find out
            builder.with_client_cert_resolver(Arc::new(Always(Arc::new(CertifiedKey::new(vec![leaf], key)))))
        }
    })
}
