//! A server with a root, an authority below it that is the default, and what most tests ask of them.

use super::outside::{openssl, read, request};
use crate::support::{Options, Reply, Server, Store, text};
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const ROOT: &str = "mutation($input: CreateRootCaInput!) { createRootCa(input: $input) {
  certificate { serialNumber certificatePem } } }";
const BELOW: &str = "mutation($input: CreateIntermediateCaInput!) { createIntermediateCa(input: $input) {
  certificate { serialNumber certificatePem chainPem } } }";
const SIGN: &str = "mutation($input: SignCertificateInput!) { signCertificate(input: $input) {
  certificate { serialNumber fingerprint certificatePem chainPem names commonName validUntil entityId }
  enrollment { enrollmentId state } warnings } }";
const REVOKE: &str = "mutation($input: RevokeCertificateInput!) { revokeCertificate(input: $input) {
  certificate { revoked } } }";
/// How long what is done in the background may take: if the server could not get a certificate of its own, it tries again after half a
/// minute.
const SOON: Duration = Duration::from_secs(60);

pub struct Scene {
    pub server: Server,
    pub folder: TempDir,
    /// Serial numbers.
    pub root: String,
    pub issuing: String,
}

/// A certificate with its key, in files.
pub struct Holder {
    pub name: String,
    pub serial: String,
    pub fingerprint: String,
}

impl Scene {
    pub async fn plain(store: Store) -> Self {
        Self::on(Server::dev(store).await).await
    }

    /// With TLS, once the server has a certificate of its authority.
    pub async fn tls(store: Store) -> Self {
        let scene = Self::on(Server::start(store, Options { tls: true, ..Options::default() }).await).await;
        scene.until_trusted().await;
        scene
    }

    /// Without an authority.
    pub fn bare(server: Server) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { server, folder, root: String::new(), issuing: String::new() }
    }

    pub async fn on(server: Server) -> Self {
        let mut scene = Self::bare(server);
        scene.root = scene.new_root(json!({"commonName": "Root", "organization": "Example"}), "root").await;
        let below = json!({"commonName": "Issuing", "issuerSerialNumber": scene.root, "makeDefault": true});
        scene.issuing = scene.new_below(below, "issuing").await.unwrap();
        scene
    }

    pub fn place(&self) -> &Path {
        self.folder.path()
    }

    /// A root, its certificate in NAME.pem; its serial number.
    pub async fn new_root(&self, input: Value, name: &str) -> String {
        let made = self.server.as_root(ROOT, json!({ "input": input })).await.ok();
        self.keep(&made, "/createRootCa/certificate", name)
    }

    /// An authority below, its certificate in NAME.pem and all above it in NAME.chain; its serial number.
    pub async fn new_below(&self, input: Value, name: &str) -> Result<String, Reply> {
        let reply = self.server.as_root(BELOW, json!({ "input": input })).await;
        if !reply.is_ok() {
            return Err(reply);
        }
        Ok(self.keep(&reply.data, "/createIntermediateCa/certificate", name))
    }

    fn keep(&self, answer: &Value, at: &str, name: &str) -> String {
        let certificate = answer.pointer(at).unwrap();
        let pem = text(certificate, "/certificatePem");
        self.write(&format!("{name}.pem"), pem);
        let chain = certificate["chainPem"].as_str().unwrap_or_default();
        self.write(&format!("{name}.chain"), chain);
        self.write(&format!("{name}.full"), &format!("{pem}{chain}"));
        text(certificate, "/serialNumber").to_owned()
    }

    pub fn write(&self, name: &str, text: &str) {
        std::fs::write(self.place().join(name), text).unwrap();
    }

    pub async fn until_trusted(&self) {
        self.until_trusted_at(&self.server.address()).await;
    }

    /// The same of another node.
    pub async fn until_trusted_at(&self, address: &str) {
        let since = Instant::now();
        let url = format!("{address}/livez");
        let ask = || {
            Command::new("curl")
                .args(["-sf", "--cacert", "root.pem", &url])
                .current_dir(self.place())
                .output()
        };
        while !ask().unwrap().status.success() {
            assert!(
                since.elapsed() < SOON,
                "the server at {address} has no certificate of its authority: {}",
                self.server.log()
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub async fn sign(&self, token: &str, input: Value) -> Reply {
        self.server.graphql(Some(token), SIGN, json!({ "input": input })).await
    }

    /// A client certificate signed for root, in NAME.pem (with its chain in NAME.full) and NAME.key.
    pub async fn client(&self, name: &str, more: Value) -> Holder {
        let csr = request(self.place(), name, &format!("/CN={name}"), &[]);
        let mut input = json!({"certType": "AGENT_CLIENT", "csrPem": csr, "entityId": name});
        for (key, value) in more.as_object().into_iter().flatten() {
            input[key] = value.clone();
        }
        let signed = self.sign(&self.server.root, input).await.ok();
        let serial = self.keep(&signed, "/signCertificate/certificate", name);
        let fingerprint = text(&signed, "/signCertificate/certificate/fingerprint").to_owned();
        Holder { name: name.to_owned(), serial, fingerprint }
    }

    pub async fn revoke(&self, serial: &str) -> Reply {
        self.server
            .as_root(REVOKE, json!({"input": {"serialNumber": serial, "reason": "KEY_COMPROMISE"}}))
            .await
    }

    /// A GraphQL request by `curl` over a connection with the certificate NAME.full and the key given; `None` if it was closed.
    pub fn curl(
        &self,
        shown: Option<(&str, &str)>,
        token: Option<&str>,
        query: &str,
        more: &[&str],
    ) -> Option<Value> {
        curl_at(self.place(), &self.server.address(), shown, token, query, more)
    }

    /// What `curl` says of a connection with this certificate and key, which must not be served.
    pub fn refusal(&self, shown: (&str, &str)) -> String {
        let ended = Command::new("curl")
            .args(["-sS", "--max-time", "30", "--cacert", "root.pem", "--cert", shown.0, "--key", shown.1])
            .arg(format!("{}/livez", self.server.address()))
            .current_dir(self.place())
            .output()
            .unwrap();
        assert!(!ended.status.success(), "{} is served", shown.0);
        String::from_utf8_lossy(&ended.stderr).into_owned()
    }

    /// Logs in with a certificate; `None` if the connection was closed.
    pub fn login(&self, holder: &Holder) -> Option<Value> {
        let shown = (format!("{}.full", holder.name), format!("{}.key", holder.name));
        self.curl(
            Some((&shown.0, &shown.1)),
            None,
            "mutation { loginWithCertificate { token policies } }",
            &[],
        )
    }

    /// What a door of `/v1/pki` answers, in a file.
    pub async fn fetch(&self, path: &str, file: &str) -> u16 {
        let url = format!("{}/v1/pki/{path}", self.server.address());
        let answer = self.server.http.get(url).send().await.unwrap();
        let status = answer.status().as_u16();
        std::fs::write(self.place().join(file), answer.bytes().await.unwrap()).unwrap();
        status
    }

    /// What `openssl ocsp` says of NAME.pem by the authority in ISSUER.pem, asked by POST; `how`: more arguments.
    pub fn ocsp(&self, serial: &str, issuer: &str, name: &str, how: &[&str]) -> String {
        let url = format!("{}/v1/pki/{serial}/ocsp", self.server.address());
        let (issuer, certificate) = (format!("{issuer}.pem"), format!("{name}.pem"));
        let mut arguments = vec!["ocsp"];
        arguments.extend(how);
        arguments.extend(["-issuer", &issuer, "-cert", &certificate, "-url", &url, "-CAfile", "root.pem"]);
        openssl(self.place(), &arguments)
    }

    /// Waits until an authority has a revocation list, which is then in list.crl.
    pub async fn first_list(&self, authority: &str) {
        let since = Instant::now();
        while self.fetch(&format!("{authority}/crl"), "list.crl").await != 200 {
            assert!(since.elapsed() < SOON, "{authority} has no list");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until the revocation list of an authority names a serial number; the list in text.
    pub async fn until_listed(&self, authority: &str, serial: &str) -> String {
        let (since, wanted) = (Instant::now(), serial.to_uppercase());
        loop {
            // the first list may be on its way still
            let list = if self.fetch(&format!("{authority}/crl"), "list.crl").await == 200 {
                openssl(self.place(), &["crl", "-inform", "DER", "-in", "list.crl", "-noout", "-text"])
            } else {
                String::new()
            };
            if list.contains(&wanted) {
                return list;
            }
            assert!(since.elapsed() < SOON, "{serial} is not listed: {list}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub fn pem(&self, name: &str) -> String {
        read(self.place(), &format!("{name}.pem"))
    }
}

pub fn curl_at(
    place: &Path,
    address: &str,
    shown: Option<(&str, &str)>,
    token: Option<&str>,
    query: &str,
    more: &[&str],
) -> Option<Value> {
    let mut command = Command::new("curl");
    command.args(["-sS", "--max-time", "30", "--cacert", "root.pem", "-H", "Content-Type: application/json"]);
    if let Some((certificate, key)) = shown {
        command.args(["--cert", certificate, "--key", key]);
    }
    if let Some(token) = token {
        command.args(["-H", &format!("Authorization: Bearer {token}")]);
    }
    command.args(more).args(["--data-binary", "@-", &format!("{address}/graphql")]).current_dir(place);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let body = json!({ "query": query }).to_string();
    // a connection that is refused at once may not read it
    child.stdin.take().unwrap().write_all(body.as_bytes()).ok();
    let ended = child.wait_with_output().unwrap();
    ended.status.success().then(|| serde_json::from_slice(&ended.stdout).unwrap())
}
