//! Targets as operators have them: servers that ask for passwords, each of one test.

use crate::support::postgres::find_bin;
use crate::support::server::free_port;
use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Of whoever administers the target, in the tours' variables.
const PASSWORD: &str = "the-administrator-s-password";

/// PostgreSQL that takes passwords only (SCRAM).
pub struct Postgres {
    folder: tempfile::TempDir,
    bin: PathBuf,
    port: u16,
}

impl Postgres {
    pub fn start() -> Self {
        let server = Self { folder: tempfile::tempdir().unwrap(), bin: find_bin(), port: free_port() };
        let folder = server.folder.path();
        std::fs::write(folder.join("password"), PASSWORD).unwrap();
        if rustix::process::geteuid().is_root() {
            assert!(Command::new("chown").args(["-R", "postgres"]).arg(folder).status().unwrap().success());
        }
        let (data, password) = (server.path("data"), server.path("password"));
        let initdb = ["-D", &data, "-U", "postgres", "-A", "scram-sha-256", "--pwfile", &password, "-N"];
        server.must("initdb", &[&initdb[..], &["-E", "UTF8", "--locale=C"]].concat());
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c port={} -c unix_socket_directories='' -c fsync=off",
            server.port
        );
        let log = server.path("log");
        server.must("pg_ctl", &["-D", &data, "-l", &log, "-w", "-s", "-t", "60", "-o", &options, "start"]);
        server
    }

    pub fn variables(&self) -> [(&'static str, String); 4] {
        [
            ("PGHOST", "127.0.0.1".to_owned()),
            ("PGPORT", self.port.to_string()),
            ("PGUSER", "postgres".to_owned()),
            ("PGPASSWORD", PASSWORD.to_owned()),
        ]
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    fn must(&self, program: &str, arguments: &[&str]) {
        let output = self.folder.path().join("output");
        assert!(self.run(program, arguments), "{program}: {:?}", std::fs::read_to_string(output));
    }

    fn run(&self, program: &str, arguments: &[&str]) -> bool {
        let program = self.bin.join(program);
        let mut command = if rustix::process::geteuid().is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        };
        // a file, not a pipe: the server that pg_ctl leaves behind would hold the pipe open
        let output = std::fs::File::create(self.folder.path().join("output")).unwrap();
        command.args(arguments).current_dir("/").stdin(Stdio::null());
        command.stdout(output.try_clone().unwrap()).stderr(output).status().unwrap().success()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.run("pg_ctl", &["-D", &self.path("data"), "-m", "immediate", "-w", "-s", "stop"]);
    }
}

/// A process that ends with this.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Redis with a password, and an ACL file.
pub struct Redis {
    _process: Process,
    _folder: tempfile::TempDir,
    port: u16,
}

impl Redis {
    pub fn start() -> Self {
        let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
        let place = folder.path().display();
        std::fs::write(folder.path().join("users.acl"), format!("user default on >{PASSWORD} ~* &* +@all\n"))
            .unwrap();
        let config = format!(
            "port {port}\nbind 127.0.0.1\nsave \"\"\ndir {place}\naclfile {place}/users.acl\nlogfile {place}/log\n"
        );
        std::fs::write(folder.path().join("redis.conf"), config).unwrap();
        let mut command = Command::new("redis-server");
        let process =
            Process(command.arg(folder.path().join("redis.conf")).stdin(Stdio::null()).spawn().unwrap());
        let end = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < end, "{:?}", std::fs::read_to_string(folder.path().join("log")));
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { _process: process, _folder: folder, port }
    }

    pub fn variables(&self) -> [(&'static str, String); 2] {
        [("REDIS_PORT", self.port.to_string()), ("REDISCLI_AUTH", PASSWORD.to_owned())]
    }
}

/// A simulated AWS, as open as it starts.
pub struct Moto {
    _process: Process,
    program: PathBuf,
    endpoint: String,
}

impl Moto {
    pub fn start() -> Self {
        let program = std::env::var("SECRETHUB_TEST_MOTO_SERVER").expect("moto is there: run tests/run");
        let mut command = Command::new(&program);
        command.args(["-H", "127.0.0.1", "-p", "0"]).stdin(Stdio::null()).stdout(Stdio::null());
        let mut process = Process(command.stderr(Stdio::piped()).spawn().unwrap());
        let mut lines = BufReader::new(process.0.stderr.take().unwrap()).lines().map_while(Result::ok);
        let endpoint = lines
            .find_map(|line| line.split_once("Running on ").map(|(_, address)| address.trim().to_owned()))
            .expect("moto says where it listens");
        // it logs every request, and stops when nobody reads
        std::thread::spawn(move || lines.for_each(drop));
        Self { _process: process, program: program.into(), endpoint }
    }

    pub fn variables(&self) -> [(&'static str, String); 5] {
        let folder = self.program.parent().unwrap_or(Path::new("")).display();
        [
            // its Python has the SDK
            ("PATH", format!("{folder}:")),
            ("AWS_ENDPOINT_URL", self.endpoint.clone()),
            ("AWS_DEFAULT_REGION", "us-east-1".to_owned()),
            ("AWS_ACCESS_KEY_ID", "administrator".to_owned()),
            ("AWS_SECRET_ACCESS_KEY", "administrator".to_owned()),
        ]
    }
}
