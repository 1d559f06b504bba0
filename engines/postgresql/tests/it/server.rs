//! A PostgreSQL server of the tests' own: one that asks for passwords, which a server that trusts everybody would not test.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use tokio_postgres::{Client, Config, NoTls};

/// The superuser of the server.
pub const ROOT: &str = "root";
pub const ROOT_PASSWORD: &str = "the-password-of-root-is-long";

/// The server that the tests of this process share. The last of them stops it.
static SHARED: Mutex<Weak<Server>> = Mutex::new(Weak::new());

pub struct Server {
    folder: tempfile::TempDir,
    bin: PathBuf,
    pub port: u16,
    as_root: bool,
}

/// Where initdb and pg_ctl are: what tests/run found, or Debian's folder of the newest version.
fn find_bin() -> PathBuf {
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

fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // below the ports that the system gives out by itself, and differing by process
    let start = u16::try_from(std::process::id() % 10_000).unwrap();
    (0..1000)
        .map(|_| 10_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed) * 7) % 10_000)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("there is a free port")
}

impl Server {
    pub fn shared() -> Arc<Self> {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let server = Arc::new(Self::start());
            *shared = Arc::downgrade(&server);
            server
        })
    }

    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let as_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
        let server = Self { folder, bin: find_bin(), port: free_port(), as_root };
        std::fs::write(server.path("password"), ROOT_PASSWORD).unwrap();
        server.make_certificates();
        if as_root {
            let owned = Command::new("chown").args(["-R", "postgres"]).arg(server.folder.path()).status();
            assert!(owned.unwrap().success());
        }
        let (data, password) = (server.path("data"), server.path("password"));
        server.must(
            "initdb",
            &[
                "-D",
                &data,
                "-U",
                ROOT,
                "-A",
                "scram-sha-256",
                "--pwfile",
                &password,
                "-E",
                "UTF8",
                "--locale=C",
                "-N",
                "--wal-segsize=1",
            ],
        );
        server.start_again();
        server
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// `ca.pem`, `server.pem` and `server.key` of a server named localhost, and `other.pem` of another CA.
    fn make_certificates(&self) {
        let openssl = |arguments: &[&str]| {
            let mut command = Command::new("openssl");
            let output = command.args(arguments).current_dir(self.folder.path()).output().unwrap();
            assert!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
        };
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
        for ca in ["ca", "other"] {
            let (out, keyout, subject) = (format!("{ca}.pem"), format!("{ca}.key"), format!("/CN=test {ca}"));
            let arguments =
                ["req", "-x509", "-days", "2", "-out", &out, "-keyout", &keyout, "-subj", &subject];
            openssl(&[&arguments[..], &key[..]].concat());
        }
        let request = ["req", "-out", "server.csr", "-keyout", "server.key", "-subj", "/CN=localhost"];
        openssl(&[&request[..], &key[..]].concat());
        std::fs::write(self.path("names"), "subjectAltName=DNS:localhost").unwrap();
        openssl(&[
            "x509",
            "-req",
            "-in",
            "server.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            "names",
            "-out",
            "server.pem",
        ]);
    }

    pub fn pem(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(&format!("{name}.pem"))).unwrap()
    }

    /// Everything that the server has logged, every statement among it.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap()
    }

    pub fn start_again(&self) {
        let options = format!(
            "-c listen_addresses=127.0.0.1 -c port={} -c unix_socket_directories='' -c fsync=off -c max_connections=100 -c shared_buffers=16MB \
             -c autovacuum=off -c max_wal_size=64MB \
             -c log_statement=all -c log_min_messages=debug1 -c ssl=on -c ssl_cert_file={} -c ssl_key_file={}",
            self.port,
            self.path("server.pem"),
            self.path("server.key"),
        );
        let (data, log) = (self.path("data"), self.path("log"));
        self.must("pg_ctl", &["-D", &data, "-l", &log, "-w", "-s", "-t", "60", "-o", &options, "start"]);
    }

    /// Ends every process of the server at once.
    pub fn stop(&self) {
        self.run("pg_ctl", &["-D", &self.path("data"), "-m", "immediate", "-w", "-s", "stop"]);
    }

    fn must(&self, program: &str, arguments: &[&str]) {
        let (success, errors) = self.run(program, arguments);
        assert!(success, "{program}: {errors}");
    }

    fn run(&self, program: &str, arguments: &[&str]) -> (bool, String) {
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
        let command = command.args(arguments).current_dir("/").stdin(Stdio::null()).stdout(Stdio::null());
        let status = command.stderr(errors).status().unwrap();
        (status.success(), std::fs::read_to_string(self.folder.path().join("errors")).unwrap())
    }

    /// A connection that does not go through the engine.
    pub async fn log_in(
        &self,
        database: &str,
        username: &str,
        password: &str,
    ) -> Result<Client, tokio_postgres::Error> {
        let mut config = Config::new();
        config.host("127.0.0.1").port(self.port).dbname(database).user(username).password(password);
        let (client, connection) = config.connect(NoTls).await?;
        tokio::spawn(async move { drop(connection.await) });
        Ok(client)
    }

    pub async fn root(&self, database: &str) -> Client {
        self.log_in(database, ROOT, ROOT_PASSWORD).await.unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}
