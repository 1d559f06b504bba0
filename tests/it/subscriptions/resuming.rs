//! Coming back: nothing is missed and nothing comes twice, whatever happens to the connection and however slowly is read.

use super::client::{Event, Events, Heard, Socket};
use crate::support::writers::Writers;
use crate::support::{Server, Store};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const AUDIT: &str = "subscription($after: String) { auditEventAdded(after: $after) {
  cursor node { sequenceNumber eventType eventData eventId timestamp previousHash currentHash hostname correlationId } } }";

/// The cursor and the number of an event of the log.
fn place(data: &Value) -> (String, i64) {
    let edge = &data["auditEventAdded"];
    let number = edge["node"]["sequenceNumber"].as_str().unwrap_or_else(|| panic!("{data}"));
    (edge["cursor"].as_str().unwrap().to_owned(), number.parse().unwrap())
}

pub async fn newest(server: &Server) -> (String, i64) {
    let checkpoint = server.as_root("{ auditCheckpoint { cursor sequenceNumber } }", json!({})).await.ok();
    let checkpoint = &checkpoint["auditCheckpoint"];
    let number = checkpoint["sequenceNumber"].as_str().unwrap().parse().unwrap();
    (checkpoint["cursor"].as_str().unwrap().to_owned(), number)
}

both_stores!(a_storm_and_a_broken_line, who_reads_slowly_misses_nothing_and_holds_nobody_up);

/// Reads the log while six writers are at work, over connections that break off again and again.
async fn a_storm_and_a_broken_line(store: Store) {
    let server = Server::dev(store).await;
    let (mut cursor, mut seen) = newest(&server).await;
    let writers = Writers::start(&server, 6, 1);
    for line in 1..=24 {
        let variables = json!({"after": cursor});
        // in a different place each time, in the middle of whatever is on its way
        let most = 1 + (line * 37) % 97;
        if line % 2 == 0 {
            let mut events = Events::open(&server, Some(&server.root), AUDIT, variables).await;
            for _ in 0..most {
                next(&mut cursor, &mut seen, &events.data().await);
            }
        } else {
            let mut socket = Socket::ready(&server, Some(&server.root)).await;
            socket.subscribe("log", AUDIT, variables).await;
            for _ in 0..most {
                next(&mut cursor, &mut seen, &socket.data("log").await);
            }
        }
    }
    let written = writers.finish_unrefused().await;
    let (_, last) = newest(&server).await;
    let mut events = Events::open(&server, Some(&server.root), AUDIT, json!({"after": cursor})).await;
    while seen < last {
        next(&mut cursor, &mut seen, &events.data().await);
    }
    eprintln!("{} writes, {seen} events", written.len());
    assert!(i64::try_from(written.len()).unwrap() < seen);
    server.audit_is_whole().await;
}

/// The next event has the next number.
fn next(cursor: &mut String, seen: &mut i64, data: &Value) {
    let (at, number) = place(data);
    assert_eq!(number, *seen + 1);
    (*cursor, *seen) = (at, number);
}

/// Memory of the server's process, in KiB.
fn resident(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

async fn who_reads_slowly_misses_nothing_and_holds_nobody_up(store: Store) {
    let server = Server::dev(store).await;
    let (cursor, seen) = newest(&server).await;
    let mut slow = Vec::new();
    for _ in 0..20 {
        let mut socket = Socket::ready(&server, Some(&server.root)).await;
        socket.subscribe("log", AUDIT, json!({"after": cursor})).await;
        slow.push(socket);
    }
    let before = resident(&server);
    let writers = Writers::start(&server, 8, 1);
    let mut quick = Events::open(&server, Some(&server.root), AUDIT, json!({"after": cursor})).await;
    let (mut at, mut number) = (cursor, seen);
    let until = Instant::now() + Duration::from_secs(8);
    while Instant::now() < until {
        next(&mut at, &mut number, &quick.data().await);
    }
    writers.finish_unrefused().await;
    let grown = resident(&server).saturating_sub(before);
    let (_, last) = newest(&server).await;
    eprintln!("{last} events, 20 sockets unread, {grown} KiB more");
    // the quick one is at the end although twenty others do not read; without a bound each of them would hold all events
    while number < last {
        next(&mut at, &mut number, &quick.data().await);
    }
    assert!(grown < 100 * 1024, "{grown} KiB");
    // each of them is told everything once it reads; all at a time, or the last would be given up for not reading
    let reading = slow.into_iter().map(|mut socket| async move {
        let (mut at, mut number) = (String::new(), seen);
        while number < last {
            next(&mut at, &mut number, &socket.data("log").await);
        }
    });
    futures_util::future::join_all(reading).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_stops_and_comes_back() {
    let mut server = Server::unsealed(Store::Sqlite).await;
    let (mut cursor, mut seen) = newest(&server).await;
    let mut socket = Socket::ready(&server, Some(&server.root)).await;
    socket.subscribe("log", AUDIT, json!({"after": cursor})).await;
    let mut events = Events::open(&server, Some(&server.root), AUDIT, json!({})).await;
    server.put(&server.root, "n.a", json!({"k": 1})).await.ok();
    loop {
        let data = socket.data("log").await;
        next(&mut cursor, &mut seen, &data);
        if data["auditEventAdded"]["node"]["eventType"] == "secret.created" {
            break;
        }
    }
    // both ends are on the way before the process is gone, and none of them waits for the other
    let begun = Instant::now();
    let (code, _) = tokio::join!(socket.closed(), server.stop());
    assert_eq!(code, 1001);
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    loop {
        match events.event().await {
            Event::Next(_) => {}
            other => break assert_eq!(other, Event::End),
        }
    }
    server.launch().await;
    server.unseal().await;
    let mut socket = Socket::ready(&server, Some(&server.root)).await;
    socket.subscribe("log", AUDIT, json!({"after": cursor})).await;
    server.put(&server.root, "n.b", json!({"k": 1})).await.ok();
    let (_, last) = newest(&server).await;
    while seen < last {
        next(&mut cursor, &mut seen, &socket.data("log").await);
    }
    assert!(matches!(socket.hear_within(Duration::from_millis(300)).await, None | Some(Heard::Said(_))));
}
