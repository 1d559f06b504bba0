//! Sealed records and key shares.

use crate::{try_all, try_texts};
use secrethub::crypto::barrier::{Barrier, OVERHEAD, RecordName, key_version_of};
use secrethub::crypto::keyring::{DataKey, Keyring, RootKey};
use secrethub::crypto::memory::Key32;
use secrethub::crypto::shares::{Share, ShareCollector, split};

#[test]
fn envelope() {
    let keyring =
        Keyring::new(RootKey::generate(), vec![DataKey::generate(1), DataKey::generate(7)], 7).unwrap();
    let barrier = Barrier::new(keyring);
    let name = RecordName { table: "secrets", column: "data", id: "a.b", version: 3 };
    let good = [&b""[..], b"value", &[0; 100]].map(|plain| barrier.seal(&name, plain).unwrap());
    let barrier = std::panic::AssertUnwindSafe(barrier);
    try_all(&good, &["\u{b1}\u{1}"], |bytes| {
        let opened = barrier.open(&name, bytes);
        // nobody can make one that opens, and what opens is one of ours
        assert_eq!(opened.is_ok(), good.iter().any(|good| good == bytes));
        if let Ok(plain) = opened {
            assert_eq!(plain.len() + OVERHEAD, bytes.len());
            assert_eq!(key_version_of(bytes), Some(7));
        }
        assert!(barrier.open(&RecordName { version: 4, ..name }, bytes).is_err());
    });
}

#[test]
fn share() {
    let (_, shares) = split(&Key32::generate(), 2, 3).unwrap();
    let seeds: Vec<Vec<u8>> = shares.iter().map(|share| share.expose().as_bytes().to_vec()).collect();
    try_texts(&seeds, &["shub", "-", " ", "\n", "a", "A", "7", "="], |text| {
        let Ok(share) = Share::parse(text) else { return };
        assert!(share.index() > 0 && share.threshold() > 0);
        // the checksum leaves no room for another way to write it
        assert_eq!(share.to_text().expose(), text.trim().to_ascii_lowercase());
        let mut collector = ShareCollector::new(share.set_id(), 2);
        let threshold = share.threshold();
        assert_eq!(collector.add(share).is_ok(), threshold == 2);
        assert!(collector.recover().is_none(), "one share is not enough");
    });
}
