use super::*;
use crate::model::clock::SystemClock;
use serde_json::json;
use uuid::Uuid;

fn target(version: i64) -> Target {
    let config = Arc::new(move || Ok(json!(version)));
    Target { id: Uuid::nil(), name: "e".to_owned(), kind: "k".to_owned(), version, config }
}

fn refused(slot: &Slot) -> Option<String> {
    slot.refusal().map(|error| error.message)
}

/// A caller that read the row just before it was changed.
#[test]
fn a_former_configuration_does_not_come_back() {
    let slot = Slot::new("e".to_owned(), Tenure::new(), Arc::new(SystemClock));
    slot.check(&target(1)).unwrap();
    slot.refuse(1, &EngineError::refused("the first"));
    assert_eq!(refused(&slot).as_deref(), Some("the first"));
    slot.renew(&target(2));
    assert_eq!(refused(&slot), None, "it was said of the first");
    slot.refuse(1, &EngineError::refused("too late"));
    assert_eq!(refused(&slot), None);
    slot.refuse(2, &EngineError::refused("the second"));
    slot.check(&target(1)).unwrap();
    slot.renew(&target(1));
    assert_eq!(refused(&slot).as_deref(), Some("the second"));
    // what a process is started with
    for (read, used) in [(1, 2), (2, 2), (3, 3), (2, 3)] {
        let config = (slot.newest(target(read)).config)();
        assert_eq!(config.ok(), Some(json!(used)), "{read}");
    }
    assert_eq!(refused(&slot), None);
}

#[test]
fn the_same_version_is_taken_as_it_was_read_last() {
    let slot = Slot::new("e".to_owned(), Tenure::new(), Arc::new(SystemClock));
    slot.renew(&target(1));
    let sealed_anew = Target { config: Arc::new(|| Ok(json!("sealed anew"))), ..target(1) };
    slot.newest(sealed_anew);
    slot.renew(&target(0));
    assert_eq!((slot.newest(target(0)).config)().ok(), Some(json!("sealed anew")));
}
