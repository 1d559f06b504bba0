use super::*;

#[test]
fn a_wrapped_key_comes_back_under_its_key_and_purpose_only() {
    let (kek, key) = (Key32::generate(), Key32::generate());
    let wrapped = wrap(&kek, "root", &key);
    assert_eq!(wrapped.len(), 61);
    assert_ne!(wrapped, wrap(&kek, "root", &key), "nonces are random");
    assert!(unwrap_key(&kek, "root", &wrapped).is_ok_and(|found| found.expose() == key.expose()));
    assert_eq!(unwrap_key(&kek, "data:1", &wrapped).err(), Some(KeyError::WrongKey));
    assert_eq!(unwrap_key(&Key32::generate(), "root", &wrapped).err(), Some(KeyError::WrongKey));
}

#[test]
fn a_changed_or_cut_wrapping_is_refused() {
    let kek = Key32::generate();
    let wrapped = wrap(&kek, "root", &Key32::generate());
    for bit in 0..wrapped.len() * 8 {
        let mut changed = wrapped.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let expected = if bit < 8 { KeyError::Malformed } else { KeyError::WrongKey };
        assert_eq!(unwrap_key(&kek, "root", &changed).err(), Some(expected), "bit {bit}");
    }
    for length in 0..wrapped.len() {
        assert_eq!(unwrap_key(&kek, "root", &wrapped[..length]).err(), Some(KeyError::Malformed));
    }
    let longer = [wrapped, vec![0]].concat();
    assert_eq!(unwrap_key(&kek, "root", &longer).err(), Some(KeyError::Malformed));
}

#[test]
fn a_data_key_cannot_take_another_versions_place() {
    let root = RootKey::generate();
    let wrapped = root.wrap_data_key(&DataKey::generate(3));
    assert!(root.unwrap_data_key(3, &wrapped).is_ok_and(|key| key.version() == 3));
    assert_eq!(root.unwrap_data_key(2, &wrapped).err(), Some(KeyError::WrongKey));
    assert_eq!(RootKey::generate().unwrap_data_key(3, &wrapped).err(), Some(KeyError::WrongKey));
}

#[test]
fn the_root_key_survives_wrapping_and_notices_a_wrong_unseal_key() {
    let (root, unseal) = (RootKey::generate(), Key32::generate());
    let wrapped = root.wrap(&unseal);
    let found = RootKey::unwrap(&unseal, &wrapped);
    assert!(found.is_ok_and(|found| found.derive("x").expose() == root.derive("x").expose()));
    assert_eq!(RootKey::unwrap(&Key32::generate(), &wrapped).err(), Some(KeyError::WrongKey));
}

#[test]
fn labels_give_unrelated_keys() {
    let root = RootKey::generate();
    assert_eq!(root.derive("a").expose(), root.derive("a").expose());
    assert_ne!(root.derive("a").expose(), root.derive("b").expose());
    assert_ne!(root.derive("a").expose(), RootKey::generate().derive("a").expose());
}

#[test]
fn a_keyring_is_complete_or_refused() {
    let keys = |versions: &[u32]| versions.iter().map(|v| DataKey::generate(*v)).collect::<Vec<_>>();
    let made = |versions: &[u32], active| Keyring::new(RootKey::generate(), keys(versions), active).err();
    assert_eq!(made(&[2, 1], 2), None);
    assert_eq!(made(&[1, 2, 1], 2), Some(KeyError::RepeatedVersion(1)));
    assert_eq!(made(&[1, 2], 3), Some(KeyError::MissingVersion(3)));
    assert_eq!(made(&[], 1), Some(KeyError::MissingVersion(1)));
    assert_eq!(made(&[0, 1], 1), Some(KeyError::ZeroVersion));
}

#[test]
fn an_added_key_becomes_active_if_it_is_the_highest() {
    let Ok(ring) = Keyring::new(RootKey::generate(), vec![DataKey::generate(2)], 2) else { panic!() };
    let Ok(newer) = ring.with_added(DataKey::generate(3)) else { panic!() };
    let Ok(older) = newer.with_added(DataKey::generate(1)) else { panic!() };
    assert_eq!((ring.active().version(), newer.active().version(), older.active().version()), (2, 3, 3));
    assert_eq!(older.versions().collect::<Vec<_>>(), [1, 2, 3]);
    assert!(older.get(1).is_some() && older.get(4).is_none());
    assert_eq!(older.with_added(DataKey::generate(2)).err(), Some(KeyError::RepeatedVersion(2)));
    assert_eq!(ring.secret_id_hmac().expose(), older.secret_id_hmac().expose());
}
