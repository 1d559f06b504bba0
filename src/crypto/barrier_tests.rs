use proptest::prelude::*;

use super::*;
use crate::crypto::keyring::RootKey;

const NAME: RecordName<'static> =
    RecordName { table: "secret_versions", column: "data", id: "0192f0c1", version: 3 };

fn barrier() -> Barrier {
    Barrier::new(
        Keyring::new(RootKey::generate(), vec![DataKey::generate(1)], 1).unwrap_or_else(|_| panic!()),
    )
}

#[test]
fn what_is_sealed_opens_again_and_looks_random() {
    let barrier = barrier();
    let one = barrier.seal(&NAME, b"hunter2").unwrap();
    let two = barrier.seal(&NAME, b"hunter2").unwrap();
    assert_ne!(one, two);
    assert_eq!(one.len(), 7 + OVERHEAD);
    assert_eq!(key_version_of(&one), Some(1));
    assert_eq!(barrier.open(&NAME, &one).unwrap()[..], b"hunter2"[..]);
    assert!(barrier.open(&NAME, &barrier.seal(&NAME, b"").unwrap()).unwrap().is_empty());
}

#[test]
fn every_flipped_bit_is_noticed() {
    let barrier = barrier();
    let envelope = barrier.seal(&NAME, b"a value of some length").unwrap();
    for bit in 0..envelope.len() * 8 {
        let mut changed = envelope.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let expected = match bit / 8 {
            0 | 1 => OpenError::UnknownFormat,
            2..6 => OpenError::UnknownKeyVersion(key_version_of(&changed).unwrap()),
            _ => OpenError::Tampered,
        };
        assert_eq!(barrier.open(&NAME, &changed).err(), Some(expected), "bit {bit}");
    }
}

#[test]
fn every_length_but_its_own_is_refused() {
    let barrier = barrier();
    let envelope = barrier.seal(&NAME, b"a value of some length").unwrap();
    for length in 0..envelope.len() {
        let expected = if length < OVERHEAD { OpenError::Truncated } else { OpenError::Tampered };
        assert_eq!(barrier.open(&NAME, &envelope[..length]).err(), Some(expected), "length {length}");
    }
    let mut longer = envelope;
    longer.push(0);
    assert_eq!(barrier.open(&NAME, &longer).err(), Some(OpenError::Tampered));
}

#[test]
fn an_envelope_opens_only_at_its_own_place() {
    let barrier = barrier();
    let envelope = barrier.seal(&NAME, b"value").unwrap();
    let moved = [
        RecordName { table: "leases", ..NAME },
        RecordName { column: "credentials", ..NAME },
        RecordName { id: "0192f0c2", ..NAME },
        RecordName { version: 4, ..NAME },
        RecordName { version: -3, ..NAME },
        // the same letters, cut at another place
        RecordName { table: "secret_version", column: "sdata", ..NAME },
        RecordName { column: "data0", id: "192f0c1", ..NAME },
    ];
    for name in moved {
        assert_eq!(barrier.open(&name, &envelope).err(), Some(OpenError::Tampered), "{name:?}");
    }
}

#[test]
fn two_valid_envelopes_cannot_be_swapped() {
    let barrier = barrier();
    let other = RecordName { id: "0192f0ff", ..NAME };
    let (one, two) = (barrier.seal(&NAME, b"one").unwrap(), barrier.seal(&other, b"two").unwrap());
    assert_eq!(barrier.open(&NAME, &two).err(), Some(OpenError::Tampered));
    assert_eq!(barrier.open(&other, &one).err(), Some(OpenError::Tampered));
}

#[test]
fn a_new_data_key_seals_and_the_old_ones_still_open() {
    let old = barrier();
    let before = old.seal(&NAME, b"before").unwrap();
    let new = old.with_data_key(DataKey::generate(2)).unwrap_or_else(|_| panic!());
    let after = new.seal(&NAME, b"after").unwrap();
    assert_eq!(key_version_of(&after), Some(2));
    assert_eq!(new.open(&NAME, &before).unwrap()[..], b"before"[..]);
    assert_eq!(new.open(&NAME, &after).unwrap()[..], b"after"[..]);
    assert_eq!(old.open(&NAME, &after).err(), Some(OpenError::UnknownKeyVersion(2)));
    // the key version is authenticated: relabelling does not help
    let mut relabelled = before;
    relabelled[5] = 2;
    assert_eq!(new.open(&NAME, &relabelled).err(), Some(OpenError::Tampered));
}

#[test]
fn another_keyring_of_the_same_version_does_not_open() {
    let envelope = barrier().seal(&NAME, b"value").unwrap();
    assert_eq!(barrier().open(&NAME, &envelope).err(), Some(OpenError::Tampered));
}

#[test]
fn callers_learn_nothing_but_that_it_failed() {
    let error = Error::from(OpenError::Tampered);
    assert_eq!(error.code(), ErrorCode::Internal);
    assert_eq!(error.message(), "the stored record cannot be decrypted: ask the operator to check the store");
    assert_eq!(
        error.log_context().as_deref(),
        Some("the envelope was changed, or belongs to another record")
    );
}

/// The layout as documented, taken apart by hand.
#[test]
fn the_envelope_is_what_the_documentation_says() {
    let barrier = barrier();
    let envelope = barrier.seal(&NAME, b"value").unwrap();
    let mut name = b"secrethub-record-v1".to_vec();
    for part in ["secret_versions", "data", "0192f0c1"] {
        name.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, u8::try_from(part.len()).unwrap()]);
        name.extend_from_slice(part.as_bytes());
    }
    name.extend_from_slice(&[0, 0, 0, 0, 0, 0, 0, 3]);
    let mut key = [0; 32];
    expand(barrier.keyring().active().key().expose(), &name, &mut key);
    name.extend_from_slice(&[0xB1, 0x01, 0, 0, 0, 1]);
    assert_eq!(envelope[..6], [0xB1, 0x01, 0, 0, 0, 1]);
    let mut data = envelope[18..23].to_vec();
    let (nonce, tag) = (envelope[6..18].try_into().unwrap(), envelope[23..].try_into().unwrap());
    decrypt(&key, &nonce, &name, &mut data, &tag).unwrap();
    assert_eq!(data, b"value");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn round_trip(
        table in "\\PC{0,12}", column in "\\PC{0,12}", id in "\\PC{0,40}", version: i64,
        plaintext in proptest::collection::vec(any::<u8>(), 0..600),
    ) {
        let barrier = barrier();
        let name = RecordName { table: &table, column: &column, id: &id, version };
        let envelope = barrier.seal(&name, &plaintext).unwrap();
        prop_assert_eq!(&barrier.open(&name, &envelope).unwrap()[..], &plaintext[..]);
    }

    #[test]
    fn arbitrary_bytes_never_open(bytes in proptest::collection::vec(any::<u8>(), 0..120)) {
        prop_assert!(barrier().open(&NAME, &bytes).is_err());
    }

    #[test]
    fn names_are_told_apart(
        a in ("[ab]{0,3}", "[ab]{0,3}", "[ab]{0,3}", -2i64..2), b in ("[ab]{0,3}", "[ab]{0,3}", "[ab]{0,3}", -2i64..2),
    ) {
        let name = |t: &(String, String, String, i64)| {
            RecordName { table: &t.0, column: &t.1, id: &t.2, version: t.3 }.encode()
        };
        prop_assert_eq!(name(&a) == name(&b), a == b);
    }
}
