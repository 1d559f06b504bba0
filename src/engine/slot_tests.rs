use super::*;
use crate::model::clock::SystemClock;

/// A caller that read the row just before it was changed.
#[test]
fn a_former_configuration_does_not_come_back() {
    let slot = Slot::new("e".to_owned(), Tenure::new(), Arc::new(SystemClock));
    slot.check(1).unwrap();
    slot.refuse(1, &EngineError::refused("the first"));
    assert!(slot.refusal(1).is_some());
    slot.renew(2);
    assert!(slot.refusal(1).is_none(), "it was said of the first");
    slot.refuse(1, &EngineError::refused("too late"));
    assert!(slot.refusal(2).is_none());
    slot.refuse(2, &EngineError::refused("the second"));
    slot.check(1).unwrap();
    slot.renew(1);
    let said = [1, 2].map(|version| slot.refusal(version).map(|error| error.message));
    assert_eq!(said, [Some("the second".to_owned()), Some("the second".to_owned())]);
    slot.check(3).unwrap();
    assert!(slot.refusal(3).is_none());
}
