//! Redis servers, and an engine that is connected to them.

use data_encoding::HEXLOWER;
use deadpool_redis::redis::{self, Connection, RedisResult};
use secrethub_engine::conformance::{Client, DEADLINE, installation};
use secrethub_engine::wire::Operation;
use secrethub_engine::{EngineError, Issued, Lease, Live, Result};
use secrethub_engine_redis::Redis;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fs;
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use uuid::Uuid;

pub const ROOT: &str = "root-password";
pub const ACCOUNT: &str = "secrethub";
pub const PASSWORD: &str = "the-engine-s-own-password";
/// What the configuration's documentation says that the account needs, and nothing else.
const RIGHTS: &str = "-@all +ping +unwatch +acl|whoami +acl|users +acl|setuser +acl|deluser +acl|save \
                      +acl|getuser +config|rewrite";

/// Where a server keeps its ACL.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keeps {
    AclFile,
    ConfigFile,
    Nothing,
}

/// A server process, which ends with this.
pub struct Server {
    child: Child,
    arguments: Vec<String>,
    pub port: u16,
    pub dir: TempDir,
}

pub fn hash(password: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(password))
}

/// A port below those that outgoing connections get, so that none of them is quicker than the server.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id().wrapping_mul(251).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 20_000 + u16::try_from(number % 12_000).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

impl Server {
    pub fn start(keeps: Keeps) -> Self {
        Self::start_with(keeps, RIGHTS)
    }

    /// A server whose engine account has these rights.
    pub fn start_with(keeps: Keeps, rights: &str) -> Self {
        let (dir, port) = (TempDir::new().unwrap(), free_port());
        let engine = format!("user {ACCOUNT} on #{} {rights}", hash(PASSWORD));
        let place = dir.path().display().to_string();
        let mut lines = vec![
            format!("port {port}"),
            "bind 127.0.0.1".to_owned(),
            "save \"\"".to_owned(),
            format!("dir {place}"),
        ];
        if keeps == Keeps::AclFile {
            lines.push(format!("aclfile {place}/users.acl"));
            let root = format!("user default on #{} ~* &* +@all", hash(ROOT));
            fs::write(dir.path().join("users.acl"), format!("{root}\n{engine}\n")).unwrap();
        } else {
            lines.extend([format!("requirepass {ROOT}"), engine]);
        }
        let arguments = if keeps == Keeps::Nothing {
            let words = lines.iter().flat_map(|line| line.split(' ').enumerate());
            words
                .map(
                    |(at, word)| {
                        if at == 0 { format!("--{word}") } else { word.trim_matches('"').to_owned() }
                    },
                )
                .collect()
        } else {
            fs::write(dir.path().join("redis.conf"), lines.join("\n") + "\n").unwrap();
            vec![format!("{place}/redis.conf")]
        };
        Self::run(arguments, port, dir)
    }

    pub fn run(arguments: Vec<String>, port: u16, dir: TempDir) -> Self {
        let child = spawn(&arguments);
        let mut server = Self { child, arguments, port, dir };
        server.wait();
        server
    }

    fn wait(&mut self) {
        let start = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(20), "redis-server starts");
            assert!(self.child.try_wait().unwrap().is_none(), "redis-server stays");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn stop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn go_on(&mut self) {
        self.child = spawn(&self.arguments);
        self.wait();
    }

    pub fn restart(&mut self) {
        self.stop();
        self.go_on();
    }

    pub fn login(&self, username: &str, password: &str) -> RedisResult<Connection> {
        let address = redis::ConnectionAddr::Tcp("127.0.0.1".to_owned(), self.port);
        let settings = redis::RedisConnectionInfo::default().set_username(username).set_password(password);
        let info = redis::IntoConnectionInfo::into_connection_info(address).unwrap();
        redis::Client::open(info.set_redis_settings(settings))
            .unwrap()
            .get_connection_with_timeout(Duration::from_secs(10))
    }

    pub fn root(&self) -> Connection {
        self.login("default", ROOT).unwrap()
    }

    pub fn accepts(&self, credentials: &Value) -> bool {
        let text = |field: &str| credentials[field].as_str().unwrap().to_owned();
        self.login(&text("username"), &text("password")).is_ok()
    }

    /// The names that carry the installation's mark.
    pub fn accounts(&self) -> Vec<String> {
        let users: Vec<String> = redis::cmd("ACL").arg("USERS").query(&mut self.root()).unwrap();
        users.into_iter().filter(|name| name.contains(installation().as_str())).collect()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

fn spawn(arguments: &[String]) -> Child {
    Command::new("redis-server").args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

impl Drop for Server {
    fn drop(&mut self) {
        // it may have been stopped
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn config(servers: &[&Server]) -> Value {
    let nodes: Vec<_> =
        servers.iter().map(|server| json!({ "host": "127.0.0.1", "port": server.port })).collect();
    json!({
        "nodes": nodes,
        "username": ACCOUNT,
        "password": PASSWORD,
        "connect_timeout_ms": 1000,
        "response_timeout_ms": 5000,
    })
}

pub fn role() -> Value {
    json!({ "rules": ["~app:*", "+@read", "+@connection", "&news"] })
}

pub async fn engine(config: Value) -> Client {
    Client::connect::<Redis>(config, installation()).await.unwrap()
}

pub fn lease() -> Lease {
    Lease { id: Uuid::new_v4(), expires_at: Default::default() }
}

pub async fn call(client: &Client, operation: Operation) -> Result<Value, EngineError> {
    client.call(operation, DEADLINE).await
}

pub fn live(lease: &Lease, issued: &Issued) -> Live<Value> {
    Live {
        lease: lease.clone(),
        role: role(),
        handle: issued.handle.clone(),
        credentials: issued.credentials.clone(),
    }
}
