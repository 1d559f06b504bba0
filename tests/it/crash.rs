//! The process killed in the middle of its work, again and again.

use crate::support::writers::{Writers, all_there};
use crate::support::{Server, Store};
use std::time::Duration;

const ROUNDS: usize = 10;
const WRITERS: usize = 12;

both_stores!(killed_again_and_again);

async fn killed_again_and_again(store: Store) {
    let mut server = Server::unsealed(store).await;
    let mut writes = Vec::new();
    for round in 0..ROUNDS {
        let writers = Writers::start(&server, WRITERS, round);
        // a different moment of the server's work each time, twice right after its start
        let milliseconds = if round % 5 == 4 { 10 } else { 150 + 97 * round as u64 };
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        server.kill9();
        let acknowledged = writers.finish().await;
        server.launch().await;
        server.unseal().await;
        server.audit_is_whole().await;
        all_there(&server, &acknowledged).await;
        eprintln!("round {round}: {} acknowledged writes are there", acknowledged.len());
        writes.extend(acknowledged);
    }
    assert!(writes.len() > ROUNDS * WRITERS, "only {} writes were acknowledged", writes.len());
    all_there(&server, &writes).await;
    server.stop().await;
    server.launch().await;
    server.unseal().await;
    all_there(&server, &writes).await;
    server.audit_is_whole().await;
}
