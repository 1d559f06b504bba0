//! The store gone and back: `UNAVAILABLE` while it is gone, recovery without a restart, no acknowledged write lost.

use crate::support::postgres::PostgresServer;
use crate::support::server::Server;
use crate::support::store::Database;
use crate::support::writers::{Writers, all_there};
use crate::support::{Options, Store};
use serde_json::json;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Longer than the store's own time limits, so that a request that hangs is a failure.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);
/// The server's limit for a request is 30 s; one that hangs in the store is over by then.
const GIVEN_UP_WITHIN: Duration = Duration::from_secs(35);
const RECOVERS_WITHIN: Duration = Duration::from_secs(30);

/// A write must be refused with `UNAVAILABLE`, within reasonable time, and so must a read.
async fn unavailable(server: &Server) {
    let asked = Instant::now();
    server.put(&server.root, "outage.during", json!({"k": "v"})).await.refused("UNAVAILABLE");
    server.read(&server.root, "outage.before").await.refused("UNAVAILABLE");
    assert!(asked.elapsed() < ANSWER_WITHIN, "the answers took {:?}", asked.elapsed());
}

/// The server must come back by itself.
async fn recovers(server: &Server, path: &str) {
    let since = Instant::now();
    loop {
        let reply = server.put(&server.root, path, json!({"k": "v"})).await;
        if reply.is_ok() {
            break;
        }
        reply.refused("UNAVAILABLE");
        assert!(since.elapsed() < RECOVERS_WITHIN, "not back: {}", reply.body);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    eprintln!("back after {:?}", since.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_gone_and_back() {
    let postgres = PostgresServer::start();
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start_on(Database::at(postgres.url()), folder, Options::server()).await;
    server.initialize().await;
    server.unseal().await;
    server.put(&server.root, "outage.before", json!({"k": "v"})).await.ok();
    let mut writes = Vec::new();
    for round in 0..3 {
        let writers = Writers::start(&server, 8, round);
        tokio::time::sleep(Duration::from_millis(400)).await;
        postgres.crash();
        unavailable(&server).await;
        let alive = server.door("GET", "/livez", None, None).await.0;
        let ready = server.door("GET", "/readyz", None, None).await.0;
        assert_eq!((alive, ready), (200, 503), "alive, not ready");
        let status = server.graphql(None, "{ sealStatus { sealed } }", json!({})).await.ok();
        assert_eq!(status["sealStatus"]["sealed"], json!(false), "the keys are still there");
        postgres.start_again();
        recovers(&server, &format!("outage.after.r{round}")).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
        writes.extend(writers.finish().await);
        assert_eq!(server.door("GET", "/readyz", None, None).await.0, 200);
    }
    assert!(writes.len() > 50, "only {} writes were acknowledged", writes.len());
    all_there(&server, &writes).await;
    server.audit_is_whole().await;
    server.restart().await;
    server.unseal().await;
    all_there(&server, &writes).await;
    server.audit_is_whole().await;
}

/// PostgreSQL that takes requests and never answers, as behind a broken network: refused in time all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_hangs() {
    let postgres = PostgresServer::start();
    let folder = tempfile::tempdir().unwrap();
    let mut server = Server::start_on(Database::at(postgres.url()), folder, Options::server()).await;
    server.initialize().await;
    server.unseal().await;
    server.put(&server.root, "outage.before", json!({"k": "v"})).await.ok();
    let writers = Writers::start(&server, 8, 0);
    tokio::time::sleep(Duration::from_millis(400)).await;
    postgres.freeze();
    let asked = Instant::now();
    let refused = server.put(&server.root, "outage.during", json!({"k": "v"})).await;
    let put_took = asked.elapsed();
    let read = server.read(&server.root, "outage.before").await;
    let read_took = asked.elapsed().saturating_sub(put_took);
    let ready = server.door("GET", "/readyz", None, None).await.0;
    postgres.thaw();
    eprintln!("a write was refused after {put_took:?}, a read after {read_took:?}");
    refused.refused("UNAVAILABLE");
    read.refused("UNAVAILABLE");
    assert_eq!(ready, 503);
    assert!(put_took < GIVEN_UP_WITHIN && read_took < GIVEN_UP_WITHIN, "{put_took:?}, {read_took:?}");
    recovers(&server, "outage.after").await;
    let writes = writers.finish().await;
    all_there(&server, &writes).await;
    server.audit_is_whole().await;
}

/// PostgreSQL that is not there at start: the program says so and ends, rather than hang or serve nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_missing_at_start() {
    let folder = tempfile::tempdir().unwrap();
    let port = crate::support::server::free_port();
    let output = Command::new(crate::support::server::program())
        .args(["dev", "--listen", &format!("127.0.0.1:{}", crate::support::server::free_port())])
        .args(["--store", &format!("postgres://who:planted-password@127.0.0.1:{port}/secrethub")])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!output.status.success(), "{said}");
    assert!(said.contains(&format!("PostgreSQL at 127.0.0.1:{port} cannot be used")), "{said}");
    assert!(!said.contains("planted-password"), "{said}");
}

/// A small file system of its own, as root; gone with the value.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    fn mount(at: &'a Path) -> Option<Self> {
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=12m", "secrethub-test"])
            .arg(at)
            .stderr(std::process::Stdio::null())
            .status();
        mounted.is_ok_and(|status| status.success()).then_some(Self(at))
    }

    /// Takes what space is left.
    fn fill(&self) {
        let filler = self.0.join("filler");
        std::io::Write::write_all(&mut std::fs::File::create(filler).unwrap(), &vec![0; 16 << 20])
            .expect_err("the disk is full");
    }

    fn free(&self) {
        std::fs::remove_file(self.0.join("filler")).unwrap();
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        Command::new("umount").arg("-l").arg(self.0).status().ok();
    }
}

/// Where no file system can be mounted: the largest size of a file that the process may write, set from outside.
fn limit_files(server: &Server, bytes: &str) {
    let limit = format!("--fsize={bytes}:unlimited");
    let status = Command::new("prlimit").args(["--pid", &server.pid().to_string(), &limit]).status();
    assert!(status.unwrap().success(), "prlimit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disk_full() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("disk");
    std::fs::create_dir(&place).unwrap();
    let disk = SmallDisk::mount(&place);
    let database = Database::at(format!("sqlite:{}", place.join("store.db").display()));
    let options = Options { file_limits_are_errors: disk.is_none(), ..Options::server() };
    // the server's folder is another one: its log must not fill the disk
    let mut server = Server::start_on(database, tempfile::tempdir().unwrap(), options).await;
    server.initialize().await;
    server.unseal().await;
    server.put(&server.root, "outage.before", json!({"k": "v"})).await.ok();
    let mut writes = Vec::new();
    for round in 0..3 {
        let writers = Writers::start(&server, 4, round);
        tokio::time::sleep(Duration::from_millis(200)).await;
        match &disk {
            Some(disk) => disk.fill(),
            None => limit_files(&server, "4096"),
        }
        // what is left in the file's last pages may still take a few writes
        let since = Instant::now();
        loop {
            let big = "x".repeat(200_000);
            let reply = server.put(&server.root, "outage.big", json!({ "k": big })).await;
            if !reply.is_ok() {
                reply.refused("UNAVAILABLE");
                break;
            }
            assert!(since.elapsed() < ANSWER_WITHIN, "the disk is never full");
        }
        assert_eq!(server.door("GET", "/livez", None, None).await.0, 200);
        writes.extend(writers.finish().await);
        match &disk {
            Some(disk) => disk.free(),
            None => limit_files(&server, "unlimited"),
        }
        recovers(&server, &format!("outage.after.r{round}")).await;
        all_there(&server, &writes).await;
        server.audit_is_whole().await;
    }
    assert!(writes.len() > 20, "only {} writes were acknowledged", writes.len());
    server.restart().await;
    server.unseal().await;
    all_there(&server, &writes).await;
    server.audit_is_whole().await;
    server.kill9();
}

both_stores!(reads_need_their_audit_record);

/// What cannot be recorded is not handed out: with the audit table gone, no value leaves.
async fn reads_need_their_audit_record(store: Store) {
    let server = Server::dev(store).await;
    server.put(&server.root, "outage.before", json!({"k": "planted-value"})).await.ok();
    let mut sql = crate::support::sql::Sql::open(&server.database.url).await;
    sql.run("ALTER TABLE audit_logs RENAME TO audit_logs_away").await;
    let reply = server.read(&server.root, "outage.before").await;
    assert!(!reply.is_ok() && !reply.body.contains("planted-value"), "{}", reply.body);
    let refused = server.put(&server.root, "outage.during", json!({"k": "v"})).await;
    assert!(!refused.is_ok(), "{}", refused.body);
    sql.run("ALTER TABLE audit_logs_away RENAME TO audit_logs").await;
    recovers(&server, "outage.after").await;
    let read = server.read(&server.root, "outage.during").await;
    assert_eq!(read.ok()["secret"], json!(null), "the refused write left nothing");
    server.audit_is_whole().await;
}
