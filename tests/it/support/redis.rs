//! A Redis server that engines make accounts on.

use super::server::free_port;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

pub const PASSWORD: &str = "password-of-the-redis-target";

pub struct RedisServer {
    folder: tempfile::TempDir,
    port: u16,
    child: Option<Child>,
    keeps_accounts: bool,
}

impl RedisServer {
    /// One that keeps its accounts in a file.
    pub fn start() -> Self {
        Self::make(true)
    }

    /// One that forgets them when it ends.
    pub fn start_forgetful() -> Self {
        Self::make(false)
    }

    fn make(keeps_accounts: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        if keeps_accounts {
            let line = format!("user default on >{PASSWORD} ~* &* +@all\n");
            std::fs::write(folder.path().join("users.acl"), line).unwrap();
        }
        let mut server = Self { folder, port: free_port(), child: None, keeps_accounts };
        server.start_again();
        server
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn start_again(&mut self) {
        let mut command = Command::new("redis-server");
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"]);
        command.arg(self.folder.path());
        if self.keeps_accounts {
            command.args(["--aclfile", "users.acl"]);
        } else {
            command.args(["--requirepass", PASSWORD]);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.child = Some(child.expect("redis-server is installed: run tests/run"));
        for _ in 0..200 {
            if self.command("default", PASSWORD, &["PING"]) == "PONG" {
                return;
            }
            std::thread::sleep(Duration::from_millis(25));
        }
        panic!("redis-server does not answer");
    }

    /// Ends it at once.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }

    /// What a command answers to this user.
    pub fn command(&self, user: &str, password: &str, words: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "--no-auth-warning", "--user", user])
            .env("REDISCLI_AUTH", password)
            .args(words)
            .output()
            .expect("redis-cli is installed: run tests/run");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// The names of all users but the server's own.
    pub fn users(&self) -> Vec<String> {
        let answer = self.command("default", PASSWORD, &["ACL", "USERS"]);
        answer.lines().filter(|name| *name != "default" && !name.is_empty()).map(str::to_owned).collect()
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}
