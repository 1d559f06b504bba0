use super::*;
use crate::crypto::audit::fixture::bare;
use serde_json::json;

fn event(sequence_number: i64) -> AuditEvent {
    let event_type = if sequence_number % 2 == 0 { "even" } else { "odd" };
    AuditEvent { sequence_number, event_type: event_type.to_owned(), ..bare() }
}

fn batch(from: i64, to: i64) -> Vec<AuditEvent> {
    (from..=to).map(event).collect()
}

fn numbers(found: Option<(Vec<Arc<AuditEvent>>, i64)>) -> Option<(Vec<i64>, i64)> {
    found.map(|(events, looked)| (events.iter().map(|event| event.sequence_number).collect(), looked))
}

#[test]
fn the_ring_gives_what_follows_or_says_that_it_cannot() {
    let mut ring = Ring::default();
    let all = Filter::default();
    assert_eq!(numbers(ring.after(0, &all)), None);
    ring.append(batch(10, 12));
    ring.append(batch(13, 14));
    assert_eq!(numbers(ring.after(9, &all)), Some((vec![10, 11, 12, 13, 14], 14)));
    assert_eq!(numbers(ring.after(12, &all)), Some((vec![13, 14], 14)));
    assert_eq!(numbers(ring.after(8, &all)), None, "9 is missing");
    assert_eq!(numbers(ring.after(14, &all)), None, "nothing follows");
    let even = Filter { event_types: vec!["even".to_owned()], ..Filter::default() };
    assert_eq!(numbers(ring.after(9, &even)), Some((vec![10, 12, 14], 14)));
    let none = Filter { event_types: vec!["none".to_owned()], ..Filter::default() };
    assert_eq!(numbers(ring.after(9, &none)), Some((vec![], 14)), "looked at, and to be passed over");
}

#[test]
fn a_step_takes_some_and_goes_on_from_there() {
    let mut ring = Ring::default();
    ring.append(batch(1, 3000));
    let step = STEP as i64;
    let (found, looked) = numbers(ring.after(0, &Filter::default())).unwrap();
    assert_eq!((found.len(), looked), (STEP, step));
    let even = Filter { event_types: vec!["even".to_owned()], ..Filter::default() };
    let (found, looked) = numbers(ring.after(step, &even)).unwrap();
    assert_eq!((found.len(), looked), (STEP, 3 * step));
    let none = Filter { event_types: vec!["none".to_owned()], ..Filter::default() };
    assert_eq!(numbers(ring.after(step, &none)), Some((vec![], step + RING_STRIDE as i64)));
}

#[test]
fn a_gap_empties_the_ring() {
    let mut ring = Ring::default();
    ring.append(batch(1, 3));
    // 4 and 5 are another node's
    ring.append(batch(6, 7));
    let all = Filter::default();
    assert_eq!(numbers(ring.after(3, &all)), None);
    assert_eq!(numbers(ring.after(5, &all)), Some((vec![6, 7], 7)));
}

#[test]
fn the_ring_is_bounded_by_number_and_by_memory() {
    let mut ring = Ring::default();
    for start in 0..50 {
        ring.append(batch(start * 200 + 1, start * 200 + 200));
    }
    assert_eq!(ring.events.len(), MOST_EVENTS);
    assert_eq!(ring.bytes, ring.events.iter().map(|(bytes, _)| bytes).sum::<usize>());
    let large = |sequence_number| AuditEvent {
        event_data: json!({"text": "x".repeat(1 << 20)}),
        ..event(sequence_number)
    };
    ring.append((10_001..=10_030).map(large).collect());
    assert!(ring.bytes <= MOST_BYTES && ring.events.len() < 10, "{} events", ring.events.len());
    assert_eq!(ring.events.back().map(|(_, event)| event.sequence_number), Some(10_030));
}

#[test]
fn nothing_is_kept_while_nobody_follows() {
    let feed = Arc::new(Feed::default());
    feed.push(batch(1, 3));
    assert!(feed.ring.read().events.is_empty());
    assert_eq!(*feed.head.borrow(), 3, "the end is known all the same");
    let reader = feed.reader(Filter::default(), 3);
    feed.push(batch(4, 5));
    assert_eq!(feed.ring.read().events.len(), 2);
    assert!(reader.is_behind());
    drop(reader);
    assert!(feed.ring.read().events.is_empty());
}

#[tokio::test]
async fn a_reader_waits_for_what_it_has_not_seen() {
    let feed = Arc::new(Feed::default());
    feed.push(batch(1, 5));
    let mut reader = feed.reader(Filter::default(), 5);
    let moved = reader.moved();
    tokio::pin!(moved);
    assert!(futures_util::poll!(&mut moved).is_pending());
    // an older end that is heard of late is no news
    feed.reached(4);
    assert!(futures_util::poll!(&mut moved).is_pending());
    feed.push(batch(6, 6));
    moved.await;
}
