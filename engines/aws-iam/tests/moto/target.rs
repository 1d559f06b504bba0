//! moto as a process, and what tests do there around the engine.
//!
//! With enforcement on, moto takes no signature over a form with a space in it, and answers errors of permission where the SDK does
//! not look for them. It knows neither conditions nor permissions boundaries.

use aws_sdk_iam::config::{BehaviorVersion, Credentials, Region};
use chrono::{TimeDelta, Utc};
use secrethub_engine::{Engine, Installation, Issued, Lease, Revocation};
use secrethub_engine_aws_iam::{AwsIam, Role};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use uuid::Uuid;

/// The account that moto plays.
pub const ACCOUNT: &str = "123456789012";

/// A moto server, ended on drop.
pub struct Moto {
    process: Child,
    pub endpoint: String,
    /// The access key that the engine is configured with.
    pub key: Value,
    /// A client that may do everything.
    pub admin: aws_sdk_iam::Client,
}

impl Moto {
    /// Starts one with a user `engine` that may do everything, and lets it check signatures and permissions.
    pub async fn start() -> Self {
        let moto = Self::start_open().await;
        moto.enforce().await;
        moto
    }

    /// The same, taking whatever comes: for what its enforcement does not know.
    pub async fn start_open() -> Self {
        let (process, endpoint) = spawn();
        let anyone = json!({ "access_key_id": "AKIAANYONEATALL00000", "secret_access_key": "x" });
        let admin = client(&endpoint, &anyone);
        admin.create_user().user_name("engine").send().await.unwrap();
        allow(&admin, "engine", &["*"]).await;
        let key = make_key(&admin, "engine").await;
        let admin_key = {
            admin.create_user().user_name("admin").send().await.unwrap();
            allow(&admin, "admin", &["*"]).await;
            make_key(&admin, "admin").await
        };
        let admin = client(&endpoint, &admin_key);
        Self { process, endpoint, key, admin }
    }

    async fn enforce(&self) {
        let host = self.endpoint.strip_prefix("http://").unwrap();
        let mut stream = tokio::net::TcpStream::connect(host).await.unwrap();
        let request = format!(
            "POST /moto-api/reset-auth HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1\r\nConnection: close\r\n\r\n0"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// A configuration of the engine that reaches it, through `endpoint`.
    pub fn config_at(&self, endpoint: &str) -> Value {
        let mut config = json!({
            "iam_endpoint": endpoint, "sts_endpoint": endpoint,
            "key_wait_seconds": 2, "max_attempts": 2, "operation_timeout_seconds": 20,
        });
        for key in ["access_key_id", "secret_access_key"] {
            config[key] = self.key[key].clone();
        }
        config
    }

    pub fn config(&self) -> Value {
        self.config_at(&self.endpoint)
    }

    pub async fn engine(&self) -> AwsIam {
        engine(self.config()).await
    }

    /// A client with other credentials.
    pub fn client(&self, credentials: &Value) -> aws_sdk_iam::Client {
        client(&self.endpoint, credentials)
    }

    /// The names of all users.
    pub async fn users(&self) -> Vec<String> {
        let users = self.admin.list_users().send().await.unwrap();
        users.users().iter().map(|user| user.user_name().to_owned()).collect()
    }

    /// Makes a managed policy that allows these actions. Its ARN.
    pub async fn policy(&self, name: &str, actions: &[&str]) -> String {
        let document = document(actions).to_string();
        let made =
            self.admin.create_policy().policy_name(name).policy_document(document).send().await.unwrap();
        made.policy().unwrap().arn().unwrap().to_owned()
    }

    /// Makes a group whose members may do this.
    pub async fn group(&self, name: &str, actions: &[&str]) {
        self.admin.create_group().group_name(name).send().await.unwrap();
        let document = document(actions).to_string();
        let put = self.admin.put_group_policy().group_name(name).policy_name("p").policy_document(document);
        put.send().await.unwrap();
    }

    pub async fn members(&self, group: &str) -> Vec<String> {
        let group = self.admin.get_group().group_name(group).send().await.unwrap();
        group.users().iter().map(|user| user.user_name().to_owned()).collect()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn() -> (Child, String) {
    let program = std::env::var("SECRETHUB_TEST_MOTO_SERVER")
        .expect("SECRETHUB_TEST_MOTO_SERVER must name the program moto_server (pip install 'moto[server]')");
    let mut process = Command::new(&program)
        .args(["-H", "127.0.0.1", "-p", "0"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program} does not start: {error}"));
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    let address = lines
        .by_ref()
        .map_while(Result::ok)
        .find_map(|line| line.split_once("Running on ").map(|(_, address)| address.trim().to_owned()));
    let Some(endpoint) = address else {
        let _ = process.kill();
        panic!("{program} ended before it said where it listens");
    };
    // it logs every request, and stops when nobody reads
    std::thread::spawn(move || lines.for_each(drop));
    (process, endpoint)
}

fn client(endpoint: &str, credentials: &Value) -> aws_sdk_iam::Client {
    aws_sdk_iam::Client::from_conf(
        aws_sdk_iam::Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .region(Region::new("us-east-1"))
            .endpoint_url(endpoint)
            .credentials_provider(aws_credentials(credentials))
            .build(),
    )
}

fn aws_credentials(credentials: &Value) -> Credentials {
    let text = |key: &str| credentials[key].as_str().map(str::to_owned);
    Credentials::new(
        text("access_key_id").unwrap(),
        text("secret_access_key").unwrap(),
        text("session_token"),
        None,
        "test",
    )
}

/// Lets a user do this.
pub async fn allow(admin: &aws_sdk_iam::Client, user: &str, actions: &[&str]) {
    let document = document(actions).to_string();
    let put = admin.put_user_policy().user_name(user).policy_name("may").policy_document(document);
    put.send().await.unwrap();
}

pub async fn make_key(admin: &aws_sdk_iam::Client, user: &str) -> Value {
    let made = admin.create_access_key().user_name(user).send().await.unwrap();
    let key = made.access_key().unwrap();
    json!({ "access_key_id": key.access_key_id(), "secret_access_key": key.secret_access_key() })
}

/// The ids of a user's access keys.
pub async fn keys_of(admin: &aws_sdk_iam::Client, user: &str) -> Vec<String> {
    let keys = admin.list_access_keys().user_name(user).send().await.unwrap();
    keys.access_key_metadata().iter().map(|key| key.access_key_id().unwrap().to_owned()).collect()
}

pub fn document(actions: &[&str]) -> Value {
    json!({
        "Version": "2012-10-17",
        "Statement": [{ "Effect": "Allow", "Action": actions, "Resource": "*" }],
    })
}

pub fn installation() -> Installation {
    Installation::from_bytes(*b"tests")
}

pub async fn engine(config: Value) -> AwsIam {
    AwsIam::connect(serde_json::from_value(config).unwrap(), installation()).await.unwrap()
}

pub fn role(role: Value) -> Role {
    serde_json::from_value(role).unwrap()
}

/// A user that may list users and nothing else.
pub fn lister() -> Role {
    role(json!({ "iam_user": { "policies": { "list": document(&["iam:ListUsers"]) } } }))
}

#[allow(clippy::disallowed_methods, reason = "a lease ends some time from now")]
pub fn lease() -> Lease {
    Lease { id: Uuid::new_v4(), expires_at: Utc::now() + TimeDelta::hours(1) }
}

/// By the lease id alone.
pub fn revocation(lease: &Lease) -> Revocation<Role> {
    Revocation { lease_id: lease.id, handle: None, role: None }
}

pub fn name(issued: &Issued) -> &str {
    issued.credentials["user_name"].as_str().unwrap()
}
