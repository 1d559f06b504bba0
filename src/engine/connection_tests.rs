use super::*;
use secrethub_engine::wire::{read, write};
use serde_json::json;
use tokio::io::{DuplexStream, ReadHalf, WriteHalf, split};

/// The process's end of a connection.
struct Peer {
    from: ReadHalf<DuplexStream>,
    to: WriteHalf<DuplexStream>,
}

impl Peer {
    async fn asked(&mut self) -> Option<ToEngine> {
        read(&mut self.from).await.unwrap()
    }

    async fn call(&mut self) -> u64 {
        match self.asked().await {
            Some(ToEngine::Call { id, .. }) => id,
            _ => panic!("no call"),
        }
    }

    async fn answer(&mut self, id: u64, value: Value) {
        write(&mut self.to, &FromEngine::Answer { id, outcome: Outcome::Ok(value) }).await.unwrap();
    }
}

fn connected() -> (Connection, Peer) {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let (from, to) = split(ours);
    let connection = Connection::start(from, to, CancellationToken::new(), Arc::default());
    let (from, to) = split(theirs);
    (connection, Peer { from, to })
}

/// Time enough on any machine.
fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

#[tokio::test]
async fn answers_find_their_calls_in_any_order() {
    let (connection, mut peer) = connected();
    let both = async {
        tokio::join!(connection.call(Operation::Check, soon()), connection.call(Operation::List, soon()))
    };
    let answering = async {
        let (first, second) = (peer.call().await, peer.call().await);
        peer.answer(second, json!("second")).await;
        peer.answer(first, json!("first")).await;
    };
    let ((first, second), ()) = tokio::join!(both, answering);
    assert_eq!((first.unwrap(), second.unwrap()), (json!("first"), json!("second")));
    assert!(!connection.is_busy());
}

#[tokio::test]
async fn a_late_call_is_cancelled_and_may_still_be_answered() {
    let (connection, mut peer) = connected();
    let end = Instant::now() + Duration::from_millis(200);
    assert!(matches!(connection.call(Operation::Check, end).await, Err(Failure::Late)));
    let id = peer.call().await;
    assert!(matches!(peer.asked().await, Some(ToEngine::Cancel { id: cancelled }) if cancelled == id));
    peer.answer(id, Value::Null).await;
    tokio::time::sleep(GRACE + Duration::from_secs(1)).await;
    assert_eq!(connection.end(), None);
}

#[tokio::test]
async fn a_cancelled_call_that_is_never_answered_ends_the_connection() {
    let (connection, mut peer) = connected();
    let begun = Instant::now();
    tokio::select! {
        biased;
        _ = connection.call(Operation::Check, soon()) => panic!("nobody answers"),
        () = tokio::time::sleep(Duration::from_millis(10)) => {}
    }
    peer.call().await;
    while connection.end().is_none() {
        assert!(begun.elapsed() < GRACE + Duration::from_secs(20), "it has no more time");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(begun.elapsed() >= GRACE, "it has some time: {:?}", begun.elapsed());
    assert_eq!(connection.end(), Some(End::failure("the engine hung")));
    assert!(
        matches!(connection.call(Operation::Check, soon()).await, Err(Failure::NotSent(end)) if end.failure)
    );
}

#[tokio::test]
async fn whatever_is_not_the_protocol_ends_all_calls() {
    let messages: [&[u8]; 5] = [
        &[0xff; 4],
        &(1u32 << 30).to_be_bytes(),
        b"\0\0\0\x02{}",
        br#"....{"answer":{"id":77,"outcome":{"ok":null}}}"#,
        br#"....{"failed":{"message":"now?"}}"#,
    ];
    for message in messages {
        let (connection, mut peer) = connected();
        let calling = connection.call(Operation::Check, soon());
        let misbehaving = async {
            peer.call().await;
            let mut message = message.to_vec();
            if message.starts_with(b"....") {
                let length = u32::try_from(message.len() - 4).unwrap();
                message[..4].copy_from_slice(&length.to_be_bytes());
            }
            peer.to.write_all(&message).await.unwrap();
        };
        let (outcome, ()) = tokio::join!(calling, misbehaving);
        assert!(matches!(outcome, Err(Failure::Gone(end)) if end.failure), "{message:?}");
    }
}

#[tokio::test]
async fn how_the_process_ended_is_the_reason() {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let (from, to) = split(ours);
    let cause: Arc<OnceLock<End>> = Arc::default();
    let closing = CancellationToken::new();
    let connection = Connection::start(from, to, closing.clone(), Arc::clone(&cause));
    drop(theirs);
    let told = End { detail: Some("signal 11".to_owned()), ..End::failure("the engine's process ended") };
    cause.set(told.clone()).unwrap();
    closing.cancel();
    let outcome = connection.call(Operation::Check, soon()).await;
    assert!(matches!(outcome, Err(Failure::NotSent(end)) if end == told));
}

#[tokio::test]
async fn what_was_not_sent_is_told_from_what_was() {
    let (connection, peer) = connected();
    drop(peer);
    let outcome = connection.call(Operation::Check, soon()).await;
    assert!(matches!(outcome, Err(Failure::NotSent(end)) if end.failure), "nobody was there to hear of it");
    assert!(connection.ended_idle());

    let (connection, mut peer) = connected();
    let (outcome, ()) = tokio::join!(connection.call(Operation::Check, soon()), async {
        peer.call().await;
        drop(peer);
    });
    assert!(matches!(outcome, Err(Failure::Gone(end)) if end.failure));
    assert!(!connection.ended_idle());
}
