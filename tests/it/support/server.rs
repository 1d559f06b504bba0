//! A `secrethub` process of one test: started, killed, restarted, and always ended with the test.

use super::store::{Database, Store};
use super::text;
use serde_json::{Value, json};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The root token of a server in dev mode.
pub const DEV_TOKEN: &str = "shub_root-token-of-a-test-server-in-dev-mode";
const START_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// `secrethub dev`: initialised and unsealed at start.
    Dev,
    /// `secrethub server --config FILE`.
    Server,
}

/// How to start a server; `Options::default()` is dev mode with our own log at `debug`.
pub struct Options {
    pub mode: Mode,
    pub log_level: &'static str,
    /// More lines of the configuration file, whole sections.
    pub config: String,
    /// Key shares to make and to need, when the server is initialised by the test.
    pub shares: (usize, usize),
    pub environment: Vec<(String, String)>,
    /// HTTPS, with a certificate of the server's own authority once there is one.
    pub tls: bool,
    /// Start it with SIGXFSZ ignored, so that a file that may not grow is an error and not the end.
    pub file_limits_are_errors: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mode: Mode::Dev,
            log_level: "info,secrethub=debug",
            config: String::new(),
            shares: (3, 2),
            environment: Vec::new(),
            tls: false,
            file_limits_are_errors: false,
        }
    }
}

impl Options {
    pub fn server() -> Self {
        Self { mode: Mode::Server, ..Self::default() }
    }
}

pub struct Server {
    pub database: Database,
    pub folder: TempDir,
    pub options: Options,
    pub port: u16,
    /// Key shares, when the test initialised the server.
    pub shares: Vec<String>,
    pub root: String,
    pub http: reqwest::Client,
    child: Option<Child>,
}

/// A port of this machine that nobody listens on, outside the range of outgoing connections. Tests run in processes of their
/// own, so the search begins at a different place in each.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..2000 {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let offset = (std::process::id().wrapping_mul(7) + step) % 12_000;
        let port = 20_000 + u16::try_from(offset).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port")
}

pub fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_secrethub"))
}

impl Server {
    /// A server in dev mode on a fresh database: the quickest way to a working one.
    pub async fn dev(store: Store) -> Self {
        Self::start(store, Options::default()).await
    }

    /// A server with a configuration file on a fresh database, initialised and unsealed.
    pub async fn unsealed(store: Store) -> Self {
        let mut server = Self::start(store, Options::server()).await;
        server.initialize().await;
        server.unseal().await;
        server
    }

    /// A server on a fresh database, as the options say; in server mode neither initialised nor unsealed.
    pub async fn start(store: Store, options: Options) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::fresh(store, folder.path()).await;
        Self::start_on(database, folder, options).await
    }

    pub async fn start_on(database: Database, folder: TempDir, options: Options) -> Self {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(60))
            // whom the server is shown to be is tested with other clients
            .tls_danger_accept_invalid_certs(options.tls)
            .pool_max_idle_per_host(256)
            .build()
            .unwrap();
        let mut server = Self {
            database,
            folder,
            options,
            port: free_port(),
            shares: Vec::new(),
            root: DEV_TOKEN.to_owned(),
            http,
            child: None,
        };
        server.launch().await;
        server
    }

    pub fn address(&self) -> String {
        let scheme = if self.options.tls { "https" } else { "http" };
        format!("{scheme}://127.0.0.1:{}", self.port)
    }

    pub fn log_path(&self) -> PathBuf {
        self.folder.path().join("server.log")
    }

    /// Everything that the server wrote to its standard error and output so far, over all its starts.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(self.log_path()).unwrap_or_default()).into_owned()
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the server runs").id()
    }

    /// The configuration file of server mode.
    fn write_config(&self) -> PathBuf {
        let path = self.folder.path().join("secrethub.toml");
        let tls = if self.options.tls {
            "tls = \"issued\"\ntls_names = [\"localhost\", \"127.0.0.1\"]\n"
        } else {
            ""
        };
        let text = format!(
            "[storage]\nurl = {:?}\n\n[listener]\naddress = \"127.0.0.1:{}\"\n{}\n[log]\nlevel = {:?}\nformat = \"json\"\n\n{}\n",
            self.database.url, self.port, tls, self.options.log_level, self.options.config
        );
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Starts the process and waits until it answers.
    pub async fn launch(&mut self) {
        assert!(self.child.is_none(), "the server runs already");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.log_path()).unwrap();
        let mut command = if self.options.file_limits_are_errors {
            let mut shell = Command::new("sh");
            shell.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(program());
            shell
        } else {
            Command::new(program())
        };
        match self.options.mode {
            Mode::Dev => {
                command
                    .args(["dev", "--listen", &format!("127.0.0.1:{}", self.port)])
                    .args(["--root-token", DEV_TOKEN, "--store", &self.database.url])
                    .args(["--log-level", self.options.log_level])
                    .args(self.options.tls.then_some("--tls"));
            }
            Mode::Server => {
                command.arg("server").arg("--config").arg(self.write_config());
            }
        }
        let child = command
            .current_dir(self.folder.path())
            .envs(self.options.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.child = Some(child);
        self.wait_until_it_answers().await;
    }

    async fn wait_until_it_answers(&mut self) {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            if let Ok(answer) = self.http.get(format!("{}/livez", self.address())).send().await
                && answer.status().is_success()
            {
                return;
            }
            if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().unwrap()) {
                self.child = None;
                panic!("the server ended with {status} at start:\n{}", self.log());
            }
            assert!(Instant::now() < deadline, "the server does not answer:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Initialises the server and keeps the shares and the root token.
    pub async fn initialize(&mut self) {
        let (shares, threshold) = self.options.shares;
        let reply = self
            .graphql(
                None,
                "mutation($input: InitializeInput!) { initialize(input: $input) { shares rootToken } }",
                json!({"input": {"shares": shares, "threshold": threshold}}),
            )
            .await
            .ok();
        self.root = text(&reply, "/initialize/rootToken").to_owned();
        let made = reply["initialize"]["shares"].as_array().unwrap();
        self.shares = made.iter().map(|share| share.as_str().unwrap().to_owned()).collect();
        assert_eq!(self.shares.len(), shares);
    }

    /// Gives one share; what the server says of its seal.
    pub async fn give_share(&self, share: &str) -> super::Reply {
        self.graphql(
            None,
            "mutation($input: UnsealInput!) { unseal(input: $input) {
               status { initialized sealed threshold shares progress } } }",
            json!({"input": {"share": share}}),
        )
        .await
    }

    /// Gives as many shares as are needed.
    pub async fn unseal(&self) {
        let mut status = Value::Null;
        for share in self.shares.iter().take(self.options.shares.1) {
            status = self.give_share(share).await.ok();
        }
        assert_eq!(status["unseal"]["status"]["sealed"], json!(false), "{status}");
    }

    /// Ends the process with SIGKILL, in the middle of whatever it does.
    pub fn kill9(&mut self) {
        let mut child = self.child.take().expect("the server runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Waits for the process to end by itself, as it does at a fail point.
    pub async fn ended(&mut self) {
        let mut child = self.child.take().expect("the server runs");
        let deadline = Instant::now() + Duration::from_secs(60);
        while child.try_wait().unwrap().is_none() {
            if Instant::now() > deadline {
                child.kill().ok();
                child.wait().ok();
                panic!("the server did not end by itself:\n{}", self.log());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Asks the process to end (SIGTERM) and waits for it.
    pub async fn stop(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("the server runs");
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            if Instant::now() > deadline {
                child.kill().ok();
                child.wait().ok();
                panic!("the server did not end within a minute of SIGTERM:\n{}", self.log());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Stops the server and starts it on the same store; sealed afterwards in server mode.
    pub async fn restart(&mut self) {
        if self.child.is_some() {
            self.stop().await;
        }
        self.launch().await;
    }

    /// Runs another `secrethub` command against this server, with the root token.
    pub fn command(&self, arguments: &[&str]) -> std::process::Output {
        Command::new(program())
            .args(arguments)
            .current_dir(self.folder.path())
            .env("SECRETHUB_ADDR", self.address())
            .env("SECRETHUB_TOKEN", &self.root)
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
        if std::thread::panicking() {
            let log = self.log();
            let from = log.char_indices().rev().nth(4000).map_or(0, |(at, _)| at);
            eprintln!("--- the end of the server's log ---\n{}", &log[from..]);
        }
    }
}
