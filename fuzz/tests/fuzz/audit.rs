//! Exports of the audit log, and frames of engines.

use crate::{try_all, try_texts};
use secrethub::crypto::export::{CsvWriter, read_csv, read_jsonl, write_jsonl};
use secrethub_engine::wire::{FromEngine, MAX_FRAME, ToEngine, encode, read};
use secrethub_fuzz::corpus;
use serde_json::{Value, json};

const WORDS: [&str; 14] = [
    "null",
    "\"",
    "\"\"",
    ",",
    "\\N",
    "\\",
    "\n",
    "\r\n",
    "{}",
    "{\"a\":1.0}",
    "-1",
    "9223372036854775808",
    "true",
    "2026-11-24T20:47:39.771933Z",
];

#[test]
fn jsonl() {
    try_all(&corpus("jsonl").unwrap(), &WORDS, |bytes| {
        for event in read_jsonl(bytes).map_while(Result::ok) {
            let mut written = Vec::new();
            write_jsonl(&event, &mut written).unwrap();
            let again: Vec<_> = read_jsonl(written.as_slice()).collect();
            assert!(matches!(again.as_slice(), [Ok(read)] if *read == event));
        }
    });
}

#[test]
fn csv() {
    try_all(&corpus("csv").unwrap(), &WORDS, |bytes| {
        for event in read_csv(bytes).map_while(Result::ok) {
            let mut writer = CsvWriter::new(Vec::new()).unwrap();
            writer.push(&event).unwrap();
            let written = writer.finish().unwrap();
            let again: Vec<_> = read_csv(written.as_slice()).collect();
            assert!(matches!(again.as_slice(), [Ok(read)] if *read == event), "{event:?}");
        }
    });
}

/// Frames of both directions.
fn frames() -> Vec<Vec<u8>> {
    let id = "0192f0c1-0000-7000-8000-000000000001";
    let lease = json!({"id": id, "expires_at": "2026-11-24T20:47:39Z"});
    [
        json!({"call": {"id": 1, "deadline_ms": 20_000, "operation": "check"}}),
        json!({"call": {"id": 2, "deadline_ms": 1, "operation": {"issue": {"role": {"a": [1]}, "lease": lease}}}}),
        json!({"cancel": {"id": 2}}),
        json!({"sandbox": {"no_new_privs": true, "not_dumpable": true, "rlimits": true, "landlock": 5, "seccomp": true}}),
        json!({"failed": {"message": "m"}}),
        json!({"hello": {"protocol": 1, "kind": "k", "version": "1", "config_schema": {}, "role_schema": {}}}),
        json!({"answer": {"id": 1, "outcome": {"ok": {"credentials": {"p": "s"}}}}}),
    ]
    .iter()
    .map(|message: &Value| encode(message).unwrap().to_vec())
    .collect()
}

#[test]
fn frame() {
    let runtime =
        std::panic::AssertUnwindSafe(tokio::runtime::Builder::new_current_thread().build().unwrap());
    let seeds = frames();
    let known = |frame: &Vec<u8>| {
        let from: Option<FromEngine> = runtime.block_on(read(&mut frame.as_slice())).ok().flatten();
        let to: Option<ToEngine> = runtime.block_on(read(&mut frame.as_slice())).ok().flatten();
        from.is_some() || to.is_some()
    };
    assert!(seeds.iter().all(known), "the seeds are frames");
    let words =
        ["\0\0\0\u{2}{}", "null", "\"", "{", "}", "\"id\":1", "18446744073709551616", "\"restores\":true"];
    try_all(&seeds, &words, |bytes| {
        let mut rest = bytes;
        while let Ok(Some(message)) = runtime.block_on(read::<FromEngine>(&mut rest)) {
            let frame = encode(&message).unwrap();
            assert!(frame.len() <= MAX_FRAME + 4);
            let again: FromEngine = runtime.block_on(read(&mut frame.as_slice())).unwrap().unwrap();
            assert_eq!(*encode(&again).unwrap(), *frame);
        }
        let mut rest = bytes;
        while let Ok(Some(message)) = runtime.block_on(read::<ToEngine>(&mut rest)) {
            let frame = encode(&message).unwrap();
            let again: ToEngine = runtime.block_on(read(&mut frame.as_slice())).unwrap().unwrap();
            assert_eq!(*encode(&again).unwrap(), *frame);
        }
    });
}

/// A length is only a promise: what does not come takes no memory, and too much is refused before it comes.
#[test]
fn frame_lengths() {
    let runtime =
        std::panic::AssertUnwindSafe(tokio::runtime::Builder::new_current_thread().build().unwrap());
    try_texts(&[b"{}".to_vec()], &["{}"], |text| {
        for length in [text.len() as u32 + 1, MAX_FRAME as u32, MAX_FRAME as u32 + 1, u32::MAX] {
            let frame = [&length.to_be_bytes()[..], text.as_bytes()].concat();
            assert!(runtime.block_on(read::<Value>(&mut frame.as_slice())).is_err());
        }
    });
}
