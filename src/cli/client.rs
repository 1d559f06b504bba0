//! The client side: a running server over HTTP.

use super::failure::Failure;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Certificate, Identity, Method, RequestBuilder, Response, redirect};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

const TIMEOUT: Duration = Duration::from_secs(60);
const TOKEN: &str = "SECRETHUB_TOKEN";

/// Where the server is. The token comes from the environment variable `SECRETHUB_TOKEN` alone.
#[derive(clap::Args, Debug)]
pub struct ServerArgs {
    /// Address of the server.
    #[arg(
        long,
        env = "SECRETHUB_ADDR",
        default_value = "http://127.0.0.1:8200",
        value_name = "URL",
        global = true
    )]
    address: String,
    /// PEM file with the certificate authority of the server, when the system does not know it.
    #[arg(long, env = "SECRETHUB_CACERT", value_name = "PEM", global = true)]
    ca_cert: Option<PathBuf>,
    /// PEM file with a client certificate and those above it, for a server that asks for one.
    #[arg(long, env = "SECRETHUB_CLIENT_CERT", value_name = "PEM", global = true)]
    client_cert: Option<PathBuf>,
    /// PEM file with its private key.
    #[arg(long, env = "SECRETHUB_CLIENT_KEY", value_name = "PEM", global = true)]
    client_key: Option<PathBuf>,
}

pub struct Client {
    http: reqwest::Client,
    base: String,
    token: Option<Zeroizing<String>>,
    /// Whether it has a certificate to show.
    identified: bool,
}

/// A file that the command line names.
fn file(path: &Path) -> Result<Zeroizing<Vec<u8>>, Failure> {
    std::fs::read(path).map(Zeroizing::new).map_err(|error| unusable(path, &error.to_string()))
}

fn unusable(path: &Path, what: &str) -> Failure {
    Failure::misused(format!("{}: {what}", path.display()))
}

/// The certificate that the client shows, if it has one.
fn identity(args: &ServerArgs) -> Result<Option<Identity>, Failure> {
    let (certificate, key) = match (&args.client_cert, &args.client_key) {
        (None, None) => return Ok(None),
        (Some(certificate), Some(key)) => (certificate, key),
        _ => {
            return Err(Failure::misused(
                "--client-cert (SECRETHUB_CLIENT_CERT) and --client-key (SECRETHUB_CLIENT_KEY) go together: give both or neither",
            ));
        }
    };
    let mut pem = file(key)?;
    pem.push(b'\n');
    pem.extend_from_slice(&file(certificate)?);
    let identity = Identity::from_pem(&pem).map_err(|_| {
        let what = format!("and {} are not a certificate and its private key in PEM form", key.display());
        unusable(certificate, &what)
    })?;
    Ok(Some(identity))
}

impl Client {
    pub fn new(args: &ServerArgs) -> Result<Self, Failure> {
        let base = args.address.trim_end_matches('/').to_owned();
        if !base.starts_with("http://") && !base.starts_with("https://") {
            return Err(Failure::misused("the address of the server starts with http:// or https://"));
        }
        // no proxy and no redirect: both would take the token somewhere it was not sent to
        let mut builder =
            reqwest::Client::builder().connect_timeout(TIMEOUT).redirect(redirect::Policy::none()).no_proxy();
        if let Some(path) = &args.ca_cert {
            let certificates = Certificate::from_pem_bundle(&file(path)?)
                .map_err(|_| unusable(path, "holds no certificate in PEM form"))?;
            builder = builder.tls_certs_only(certificates);
        }
        let identity = identity(args)?;
        let identified = identity.is_some();
        if let Some(identity) = identity {
            builder = builder.identity(identity);
        }
        let http =
            builder.build().map_err(|error| Failure::new(format!("cannot start a client: {error}")))?;
        let token = std::env::var(TOKEN).ok().filter(|token| !token.is_empty()).map(Zeroizing::new);
        Ok(Self { http, base, token, identified })
    }

    pub async fn get(&self, path: &str) -> Result<Value, Failure> {
        let response = self.send(self.request(Method::GET, path).timeout(TIMEOUT)).await?;
        read(response).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let request = self.request(Method::POST, path).timeout(TIMEOUT).json(body);
        read(self.send(request).await?).await
    }

    /// A response whose body is read piece by piece.
    pub async fn stream(&self, path: &str) -> Result<Response, Failure> {
        let response = self.send(self.request(Method::GET, path)).await?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(match read(response).await {
            Err(failure) => failure,
            Ok(_) => Failure::new("the server answered with no file"),
        })
    }

    /// The `data` of a GraphQL request, or the first of its errors.
    pub async fn graphql(&self, query: &str, variables: Value) -> Result<Value, Failure> {
        let mut answer = self.post("/graphql", &json!({ "query": query, "variables": variables })).await?;
        match answer["errors"].get(0) {
            Some(error) => {
                let extensions = &error["extensions"];
                Err(refused(
                    &error["message"],
                    &extensions["code"],
                    &extensions["field"],
                    &extensions["requestId"],
                ))
            }
            None => Ok(answer["data"].take()),
        }
    }

    pub fn require_token(&self) -> Result<(), Failure> {
        match self.token {
            Some(_) => Ok(()),
            None => Err(Failure::misused(format!(
                "this needs a token: put it into the environment variable {TOKEN}"
            ))),
        }
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token.as_str()),
            None => request,
        }
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, Failure> {
        request.send().await.map_err(|error| {
            let mut reason: &dyn std::error::Error = &error;
            while let Some(inner) = reason.source() {
                reason = inner;
            }
            let reason = reason.to_string();
            if let Some(what) = refused_client(&reason, self.identified) {
                return Failure::new(format!("{} {what}", self.base));
            }
            Failure::new(match refused_certificate(&reason) {
                Some(what) => format!("the certificate of {} was refused: {what}", self.base),
                None => format!("no answer from {}: {reason}: is the server running there?", self.base),
            })
        })
    }
}

/// What is wrong with the server's certificate, and what to do. rustls says it in the names of its own types.
fn refused_certificate(reason: &str) -> Option<&'static str> {
    let known = [
        (
            "CaUsedAsEndEntity",
            "it is that of a certificate authority (CA:TRUE), which is no server certificate: make one with \
             'basicConstraints = CA:FALSE' for the server, signed by that authority, and give the authority by --ca-cert",
        ),
        (
            "UnknownIssuer",
            "it is not signed by an authority that is trusted here: give that authority by --ca-cert or SECRETHUB_CACERT",
        ),
        (
            "NotValidForName",
            "it is made for another name: use that name as the address, or make one for this name",
        ),
        (
            "not valid for name",
            "it is made for another name: use that name as the address, or make one for this name",
        ),
        ("xpired", "it has expired: renew it, or set this machine's clock right"),
    ];
    let of_certificate = reason.contains("certificate");
    known.into_iter().find(|(sign, _)| of_certificate && reason.contains(sign)).map(|(_, what)| what)
}

/// What the server has against the client's certificate, or against there being none, and what to do. Its alert tells.
fn refused_client(reason: &str, identified: bool) -> Option<&'static str> {
    let alert = reason.split_once("fatal alert: ")?.1;
    if !identified {
        // TLS 1.2 has no alert of its own for it
        let asks = ["CertificateRequired", "HandshakeFailure", "BadCertificate"];
        return asks.iter().any(|sign| alert.starts_with(sign)).then_some(
            "asks for a client certificate: give one and its key by --client-cert and --client-key, or SECRETHUB_CLIENT_CERT and \
             SECRETHUB_CLIENT_KEY",
        );
    }
    let known = [
        ("CertificateExpired", "refuses the client certificate: it has expired or is not valid yet"),
        ("CertificateRevoked", "refuses the client certificate: it, or an authority above it, was revoked"),
        (
            "UnknownCA",
            "refuses the client certificate: it is of no authority that is good there, or those between it and the root are not in the file",
        ),
        ("UnsupportedCertificate", "refuses the client certificate: it is not for clients"),
        ("DecryptError", "refuses the client certificate: it is not of an authority there"),
        ("BadCertificate", "refuses the client certificate: get another one"),
    ];
    known.into_iter().find(|(sign, _)| alert.starts_with(sign)).map(|(_, what)| what)
}

async fn read(response: Response) -> Result<Value, Failure> {
    let status = response.status();
    let is_json = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| value.contains("json"));
    if !is_json {
        return Err(Failure::new(format!("the answer ({status}) is not one of a SecretHub server")));
    }
    let body: Value =
        response.json().await.map_err(|_| Failure::new("the answer of the server is not valid JSON"))?;
    match &body["error"] {
        Value::Object(error) => {
            let part = |name: &str| error.get(name).unwrap_or(&Value::Null);
            Err(refused(part("message"), part("code"), part("field"), part("requestId")))
        }
        _ => Ok(body),
    }
}

fn refused(message: &Value, code: &Value, field: &Value, request_id: &Value) -> Failure {
    let mut text = message.as_str().unwrap_or("the server refused the request").to_owned();
    if let Some(field) = field.as_str() {
        text = format!("{field}: {text}");
    }
    let code = code.as_str().unwrap_or("no code");
    let request_id = request_id.as_str().unwrap_or("unknown");
    Failure::new(format!("{text} ({code}, request {request_id})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refused_certificates_are_explained() {
        for (reason, word) in [
            ("invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))", "CA:FALSE"),
            ("invalid peer certificate: UnknownIssuer", "--ca-cert"),
            (
                "invalid peer certificate: certificate not valid for name \"a\"; certificate is only valid for b",
                "name",
            ),
            ("invalid peer certificate: certificate expired: verification time 1", "renew"),
        ] {
            assert!(refused_certificate(reason).is_some_and(|what| what.contains(word)), "{reason}");
        }
        assert_eq!(refused_certificate("Connection refused (os error 111)"), None);
    }

    #[test]
    fn a_server_that_wants_another_client_certificate_is_understood() {
        for (alert, identified, word) in [
            ("CertificateRequired", false, "--client-cert"),
            ("HandshakeFailure", false, "--client-cert"),
            ("CertificateRevoked", true, "revoked"),
            ("UnknownCA", true, "no authority"),
        ] {
            let reason = format!("received fatal alert: {alert}");
            let what = refused_client(&reason, identified);
            assert!(what.is_some_and(|what| what.contains(word)), "{alert}: {what:?}");
        }
        assert_eq!(refused_client("received fatal alert: ProtocolVersion", false), None);
        assert_eq!(refused_client("received fatal alert: HandshakeFailure", true), None);
        assert_eq!(refused_client("Connection refused (os error 111)", true), None);
    }
}
