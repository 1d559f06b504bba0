//! The set of event types is closed: each is written by some operation of the service.

use crate::model::audit::EventType;
use std::path::Path;

fn read(folder: &Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            if !path.ends_with("tests") {
                read(&path, text);
            }
        } else if !path.ends_with("tests.rs") {
            text.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}

#[test]
fn every_event_type_is_written_somewhere() {
    let mut text = String::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/service"), &mut text);
    let words: std::collections::HashSet<&str> =
        text.split(|c: char| !c.is_ascii_alphanumeric() && c != ':').collect();
    let unwritten: Vec<_> = EventType::ALL
        .iter()
        .filter(|event_type| !words.contains(format!("EventType::{event_type:?}").as_str()))
        .collect();
    assert!(unwritten.is_empty(), "nothing writes {unwritten:?}");
}
