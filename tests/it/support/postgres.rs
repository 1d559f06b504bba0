//! A PostgreSQL server that one test starts, crashes and starts again.

use super::server::free_port;
use rustix::process::{Pid, Signal};
use std::path::PathBuf;
use std::process::{Command, Output};

pub struct PostgresServer {
    folder: tempfile::TempDir,
    bin: PathBuf,
    port: u16,
    as_root: bool,
    /// Of the superuser `secrethub`, when it lets nobody in without one.
    password: Option<&'static str>,
}

/// The superuser's password on a server that asks for one.
pub const PASSWORD: &str = "password-of-the-target";

/// Where initdb and pg_ctl are: what tests/run found, or Debian's folder of the newest version.
pub fn find_bin() -> PathBuf {
    if let Ok(folder) = std::env::var("SECRETHUB_TEST_POSTGRES_BIN") {
        return PathBuf::from(folder);
    }
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .expect("PostgreSQL is installed: run tests/run")
        .map(|entry| entry.unwrap().path().join("bin"))
        .filter(|folder| folder.join("initdb").exists())
        .collect();
    found.sort();
    found.pop().expect("PostgreSQL is installed: run tests/run")
}

impl PostgresServer {
    /// A server that lets everyone in.
    pub fn start() -> Self {
        Self::make(None)
    }

    /// A server that engines make accounts on: nobody gets in without a password.
    pub fn start_as_target() -> Self {
        Self::make(Some(PASSWORD))
    }

    fn make(password: Option<&'static str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let as_root = rustix::process::geteuid().is_root();
        if as_root {
            assert!(Command::new("chown").arg("postgres").arg(folder.path()).status().unwrap().success());
        }
        let server = Self { folder, bin: find_bin(), port: free_port(), as_root, password };
        let data = server.data();
        let file = server.folder.path().join("password").display().to_string();
        let mut arguments = vec!["-D", &data, "-U", "secrethub", "-E", "UTF8", "--locale=C", "-N"];
        match password {
            Some(password) => {
                std::fs::write(&file, password).unwrap();
                arguments.extend(["-A", "scram-sha-256", "--pwfile", &file]);
            }
            None => arguments.extend(["-A", "trust"]),
        }
        server.must("initdb", &arguments);
        server.start_again();
        server
    }

    fn data(&self) -> String {
        self.folder.path().join("data").display().to_string()
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        let password = self.password.map(|password| format!(":{password}")).unwrap_or_default();
        format!("postgres://secrethub{password}@127.0.0.1:{}/postgres", self.port)
    }

    /// Ends every process of the server at once, as a crash of its machine would.
    pub fn crash(&self) {
        self.must("pg_ctl", &["-D", &self.data(), "-m", "immediate", "-w", "-s", "stop"]);
    }

    pub fn start_again(&self) {
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c port={} -c unix_socket_directories='' -c fsync={} -c max_connections=200",
            self.port,
            // what is issued there is of no value after the test
            if self.password.is_some() { "off" } else { "on" }
        );
        let log = self.folder.path().join("log").display().to_string();
        self.must(
            "pg_ctl",
            &["-D", &self.data(), "-l", &log, "-w", "-s", "-t", "60", "-o", &options, "start"],
        );
    }

    /// Stops every process of the server in its tracks: connections stay open and nothing answers.
    pub fn freeze(&self) {
        self.signal(Signal::STOP);
    }

    pub fn thaw(&self) {
        self.signal(Signal::CONT);
    }

    /// To the server's first process, and to those that it started.
    fn signal(&self, signal: Signal) {
        let Ok(file) = std::fs::read_to_string(format!("{}/postmaster.pid", self.data())) else { return };
        let first = file.lines().next().unwrap_or_default();
        let children = Command::new("ps").args(["-o", "pid=", "--ppid", first]).output().unwrap();
        let children = String::from_utf8_lossy(&children.stdout).into_owned();
        for pid in std::iter::once(first).chain(children.split_whitespace()) {
            if let Some(pid) = pid.parse().ok().and_then(Pid::from_raw) {
                rustix::process::kill_process(pid, signal).ok();
            }
        }
    }

    fn must(&self, program: &str, arguments: &[&str]) {
        let output = self.run(program, arguments);
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn run(&self, program: &str, arguments: &[&str]) -> Output {
        let program = self.bin.join(program);
        let mut command = if self.as_root {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        // a file, not a pipe: the server that pg_ctl leaves behind would hold the pipe open
        let errors = std::fs::File::create(self.folder.path().join("errors")).unwrap();
        let status = command
            .args(arguments)
            .current_dir("/")
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .stderr(errors)
            .status()
            .unwrap();
        let stderr = std::fs::read(self.folder.path().join("errors")).unwrap();
        Output { status, stdout: Vec::new(), stderr }
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        self.thaw();
        self.run("pg_ctl", &["-D", &self.data(), "-m", "immediate", "-w", "-s", "stop"]);
    }
}
