use data_encoding::HEXLOWER;
use serde_json::json;

use super::fixture::{bare, full, log, rechain};
use super::*;
use crate::model::audit::AuditEvent;

fn check(signer: &AuditSigner, events: &[AuditEvent], end: Option<&Checkpoint>) -> Result<Summary, Fault> {
    let mut verifier = ChainVerifier::new(signer.public_key(), None);
    events.iter().try_for_each(|event| verifier.push(event))?;
    verifier.finish(end)
}

fn checkpoint(event: &AuditEvent) -> Checkpoint {
    Checkpoint {
        sequence: event.sequence_number,
        hash: event.current_hash,
        signature: event.signature.clone().unwrap(),
    }
}

fn fault(sequence: i64, problem: Problem) -> Result<Summary, Fault> {
    Err(Fault { sequence, problem })
}

type Edit = fn(&mut AuditEvent);

/// One change for every field that is hashed, by the field's name.
fn edits() -> Vec<(&'static str, Edit)> {
    macro_rules! texts {
        ($($field:ident),*) => { vec![$((stringify!($field), (|e| e.$field = Some("edited".to_owned())) as Edit),)*] };
    }
    let mut edits = texts![
        actor_type,
        actor_id,
        token_accessor,
        role_name,
        agent_id,
        app_id,
        admin_id,
        agent_cert_fingerprint,
        app_cert_fingerprint,
        admin_cert_fingerprint,
        secret_path,
        secret_type,
        policy_matched,
        denial_reason,
        hostname,
        k8s_namespace,
        k8s_pod,
        correlation_id
    ];
    let others: [(&'static str, Edit); 12] = [
        ("event_id", |e| e.event_id = uuid::Uuid::from_u128(99)),
        ("sequence_number", |e| e.sequence_number += 1000),
        ("timestamp", |e| e.timestamp += chrono::Duration::microseconds(1)),
        ("event_type", |e| e.event_type.push('x')),
        ("secret_id", |e| e.secret_id = Some(uuid::Uuid::from_u128(98))),
        ("secret_version", |e| e.secret_version = Some(-1)),
        ("lease_id", |e| e.lease_id = Some(uuid::Uuid::from_u128(97))),
        ("access_granted", |e| e.access_granted = Some(e.access_granted != Some(true))),
        ("source_ip", |e| e.source_ip = Some("10.0.0.1".parse().unwrap())),
        ("event_data", |e| e.event_data = json!({"b": 1})),
        ("response_time_ms", |e| e.response_time_ms = Some(0)),
        ("batch_end", |e| e.batch_end = !e.batch_end),
    ];
    edits.extend(others);
    edits
}

#[test]
fn a_valid_log_passes() {
    let signer = AuditSigner::generate();
    for count in 1..8 {
        let events = log(&signer, count);
        let last = events.last().unwrap();
        let summary = check(&signer, &events, Some(&checkpoint(last))).unwrap();
        assert_eq!(summary.checked, count as u64);
        assert_eq!(summary.last, Anchor { sequence: last.sequence_number, hash: last.current_hash });
    }
    assert_eq!(check(&signer, &[], None), Ok(Summary { checked: 0, last: Anchor::BEGINNING }));
}

#[test]
fn an_edit_of_any_field_in_any_row_names_the_row() {
    let signer = AuditSigner::generate();
    let events = log(&signer, 7);
    assert_eq!(edits().len() + 3, 33, "every field but previous_hash, current_hash and signature");
    for (field, edit) in edits() {
        for row in 0..events.len() {
            let mut edited = events.clone();
            edit(&mut edited[row]);
            let found = check(&signer, &edited, None).unwrap_err();
            assert_eq!(found.sequence, row as i64 + 1, "{field} in row {row}: {found}");
            let expected = field == "sequence_number" || found.problem == Problem::Edited;
            assert!(expected, "{field} in row {row}: {found}");
        }
    }
    for row in 0..events.len() {
        let mut edited = events.clone();
        edited[row].previous_hash[0] ^= 1;
        assert_eq!(check(&signer, &edited, None), fault(row as i64 + 1, Problem::WrongPreviousHash));
        let mut edited = events.clone();
        edited[row].current_hash[0] ^= 1;
        assert_eq!(check(&signer, &edited, None), fault(row as i64 + 1, Problem::Edited));
    }
}

#[test]
fn each_edit_changes_the_hash_also_from_null() {
    let mut buf = Vec::new();
    for (field, edit) in edits() {
        for original in [full(), bare()] {
            let mut edited = original.clone();
            edit(&mut edited);
            assert_ne!(hash(&original, &mut buf), hash(&edited, &mut buf), "{field}");
        }
    }
}

#[test]
fn an_edit_with_a_new_hash_is_betrayed_by_what_follows() {
    let signer = AuditSigner::generate();
    let events = log(&signer, 7);
    let mut rehashed = events.clone();
    rehashed[3].hostname = Some("elsewhere".to_owned());
    rehashed[3].current_hash = hash(&rehashed[3], &mut Vec::new());
    assert_eq!(check(&signer, &rehashed, None), fault(5, Problem::WrongPreviousHash));
    // the whole log made anew, by someone without the key
    let mut forged = events.clone();
    rechain(&mut forged, &AuditSigner::generate(), 3);
    assert_eq!(check(&signer, &forged, None), fault(3, Problem::SignatureBad));
    // and by someone with it: only a checkpoint tells
    let mut forged = events.clone();
    forged[0].hostname = Some("elsewhere".to_owned());
    rechain(&mut forged, &signer, 3);
    assert!(check(&signer, &forged, None).is_ok());
    assert_eq!(check(&signer, &forged, Some(&checkpoint(&events[6]))), fault(7, Problem::CheckpointMismatch));
}

#[test]
fn removed_swapped_and_repeated_rows_are_named() {
    let signer = AuditSigner::generate();
    let events = log(&signer, 7);
    for row in 0..6 {
        let mut removed = events.clone();
        removed.remove(row);
        let expected = fault(row as i64 + 1, Problem::Gap { found: row as i64 + 2 });
        assert_eq!(check(&signer, &removed, None), expected);
        let mut swapped = events.clone();
        swapped.swap(row, row + 1);
        assert_eq!(check(&signer, &swapped, None), expected);
        let mut repeated = events.clone();
        repeated.insert(row, events[row].clone());
        let expected = Problem::Reordered { expected: row as i64 + 2 };
        assert_eq!(check(&signer, &repeated, None), fault(row as i64 + 1, expected));
    }
    // renumbered after the removal
    let mut removed = events.clone();
    removed.remove(2);
    removed[2].sequence_number = 3;
    assert_eq!(check(&signer, &removed, None), fault(3, Problem::WrongPreviousHash));
}

#[test]
fn signatures_are_where_they_belong() {
    let signer = AuditSigner::generate();
    let events = log(&signer, 7);
    let mut changed = events.clone();
    changed[2].signature = None;
    assert_eq!(check(&signer, &changed, None), fault(3, Problem::SignatureMissing));
    for bad in [vec![], vec![0; 64], events[5].signature.clone().unwrap(), vec![1; 65]] {
        changed[2].signature = Some(bad);
        assert_eq!(check(&signer, &changed, None), fault(3, Problem::SignatureBad));
    }
    let mut changed = events.clone();
    changed[1].signature = events[2].signature.clone();
    assert_eq!(check(&signer, &changed, None), fault(2, Problem::SignatureUnexpected));
}

#[test]
fn a_cut_tail_is_noticed() {
    let signer = AuditSigner::generate();
    let events = log(&signer, 7);
    let noted = checkpoint(&events[6]);
    for length in 0..7 {
        let expected = fault(length as i64 + 1, Problem::Truncated { checkpoint: 7 });
        assert_eq!(check(&signer, &events[..length], Some(&noted)), expected);
        let without = check(&signer, &events[..length], None);
        match length % 3 {
            0 => assert!(without.is_ok()),
            _ => assert_eq!(without, fault(length as i64, Problem::UnsignedEnd)),
        }
    }
}

#[test]
fn checkpoints_on_the_way_are_compared_if_they_are_known_before() {
    let signer = AuditSigner::generate();
    let events = log(&signer, 7);
    let noted = checkpoint(&events[2]);
    let run = |events: &[AuditEvent], early: Option<&Checkpoint>, late: Option<&Checkpoint>| {
        let mut verifier = ChainVerifier::new(signer.public_key(), None);
        early.map_or(Ok(()), |early| verifier.expect(early))?;
        events.iter().try_for_each(|event| verifier.push(event))?;
        verifier.finish(late)
    };
    assert!(run(&events, Some(&noted), Some(&noted)).is_ok());
    assert_eq!(run(&events, None, Some(&noted)), fault(3, Problem::CheckpointNotCovered));
    assert_eq!(run(&events[..1], Some(&noted), None), fault(2, Problem::Truncated { checkpoint: 3 }));
    let mut rewritten = events.clone();
    rewritten[1].hostname = Some("elsewhere".to_owned());
    rechain(&mut rewritten, &signer, 3);
    assert_eq!(run(&rewritten, Some(&noted), None), fault(3, Problem::CheckpointMismatch));
    let unsigned = Checkpoint { signature: vec![0; 64], ..noted.clone() };
    assert_eq!(run(&events, Some(&unsigned), None), fault(3, Problem::CheckpointSignatureBad));
    assert_eq!(run(&events, Some(&noted), Some(&unsigned)), fault(3, Problem::CheckpointSignatureBad));
}

#[test]
fn a_part_of_a_log_is_checked_from_its_anchor() {
    let signer = AuditSigner::generate();
    let events = log(&signer, 7);
    let run = |start| {
        let mut verifier = ChainVerifier::new(signer.public_key(), start);
        events[3..].iter().try_for_each(|event| verifier.push(event))?;
        verifier.finish(None)
    };
    let anchor = Anchor { sequence: 3, hash: events[2].current_hash };
    assert_eq!(Anchor::before(&events[3]), anchor);
    assert_eq!(run(Some(anchor)).unwrap().checked, 4);
    assert_eq!(run(None), fault(1, Problem::Gap { found: 4 }));
    let other = Anchor { hash: [1; 32], ..anchor };
    assert_eq!(run(Some(other)), fault(4, Problem::WrongPreviousHash));
}

/// RFC 8032, section 7.1, test 2, for the key; the strict rules for the rest.
#[test]
fn signing_is_ed25519() {
    let secret =
        HEXLOWER.decode(b"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb").unwrap();
    let signer = AuditSigner::from_secret(&secret).unwrap_or_else(|_| panic!());
    let public = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
    assert_eq!(HEXLOWER.encode(&signer.public_key()), public);
    assert_eq!(signer.to_secret()[..], secret[..]);
    let signature = signer.sign(&[1; 32]);
    assert!(verify_signature(&signer.public_key(), &[1; 32], &signature));
    assert!(!verify_signature(&signer.public_key(), &[2; 32], &signature));
    assert!(!verify_signature(&AuditSigner::generate().public_key(), &[1; 32], &signature));
    for length in 0..64 {
        assert!(!verify_signature(&signer.public_key(), &[1; 32], &signature[..length]));
    }
    // the neutral point as key and R, s = 0: lenient verifiers take it for every message
    let mut weak = [0; 64];
    weak[0] = 1;
    assert!(!verify_signature(weak.first_chunk().unwrap(), &[1; 32], &weak));
    assert!(AuditSigner::from_secret(&secret[1..]).is_err());
}

#[test]
fn faults_are_sentences() {
    let fault = Fault { sequence: 3, problem: Problem::Gap { found: 5 } };
    let expected = "event 3: it is missing: event 5 stands in its place, so it was removed or moved";
    assert_eq!(fault.to_string(), expected);
}
