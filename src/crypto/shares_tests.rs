use proptest::prelude::*;

use super::*;
use crate::error::ErrorCode;

fn parse(text: &str) -> Share {
    Share::parse(text).unwrap_or_else(|error| panic!("{error}"))
}

fn dealt(key: &Key32, threshold: u8, shares: u8) -> (SetId, Vec<ShareText>) {
    split(key, threshold, shares).unwrap()
}

/// Every subset of `size` out of `0..count`.
fn subsets(count: usize, size: usize) -> Vec<Vec<usize>> {
    (0u32..1 << count)
        .filter(|mask| mask.count_ones() as usize == size)
        .map(|mask| (0..count).filter(|bit| mask >> bit & 1 == 1).collect())
        .collect()
}

fn pick(texts: &[ShareText], which: &[usize]) -> Vec<Share> {
    which.iter().map(|index| parse(texts[*index].expose())).collect()
}

#[test]
fn every_subset_of_threshold_size_recovers_and_none_that_is_smaller() {
    for (threshold, count) in [(1, 1), (1, 5), (2, 2), (2, 3), (3, 5), (5, 5), (4, 7)] {
        let key = Key32::generate();
        let (_, texts) = dealt(&key, threshold, count);
        for which in subsets(count.into(), threshold.into()) {
            let found = combine(pick(&texts, &which));
            assert!(
                found.is_ok_and(|found| found.expose() == key.expose()),
                "{threshold} of {count}: {which:?}"
            );
            // the order does not matter
            let found = combine(pick(&texts, &which).into_iter().rev());
            assert!(found.is_ok_and(|found| found.expose() == key.expose()));
        }
        for which in subsets(count.into(), usize::from(threshold) - 1) {
            assert_eq!(combine(pick(&texts, &which)).err(), Some(ShareError::TooFew));
            // and not even whoever leaves out the check gets the key
            let forced = interpolate(&pick(&texts, &which));
            assert!(forced.is_none_or(|forced| forced.expose() != key.expose()));
        }
    }
}

#[test]
fn the_largest_sets_work() {
    let key = Key32::generate();
    let (_, texts) = dealt(&key, 255, 255);
    assert_eq!(texts.len(), 255);
    let all: Vec<usize> = (0..255).collect();
    assert!(combine(pick(&texts, &all)).is_ok_and(|found| found.expose() == key.expose()));
    assert_eq!(combine(pick(&texts, &all[1..])).err(), Some(ShareError::TooFew));
    let (_, texts) = dealt(&key, 2, 255);
    assert!(combine(pick(&texts, &[0, 254])).is_ok_and(|found| found.expose() == key.expose()));
    let (_, texts) = dealt(&key, 1, 255);
    assert!(all.iter().all(|i| combine(pick(&texts, &[*i])).is_ok_and(|k| k.expose() == key.expose())));
}

#[test]
fn impossible_splits_name_the_field() {
    let key = Key32::generate();
    for (threshold, shares, field) in
        [(0, 3, "threshold"), (4, 3, "threshold"), (0, 0, "shares"), (1, 0, "shares")]
    {
        let Err(error) = split(&key, threshold, shares) else { panic!("{threshold} of {shares}") };
        assert_eq!((error.code(), error.field()), (ErrorCode::BadUserInput, Some(field)));
    }
}

#[test]
fn a_share_is_read_in_any_case_and_with_space_around() {
    let (set_id, texts) = dealt(&Key32::generate(), 2, 3);
    let text = texts[1].expose();
    assert!(text.starts_with("shubk1-") && text.len() == 81 && *text == text.to_lowercase());
    for written in [text.to_owned(), text.to_uppercase(), format!(" \t{text}\r\n")] {
        let share = parse(&written);
        assert_eq!((share.set_id(), share.index(), share.threshold()), (set_id, 2, 2));
        assert_eq!(share.to_text().expose(), text);
    }
}

#[test]
fn each_single_changed_character_is_noticed() {
    let (_, texts) = dealt(&Key32::generate(), 2, 3);
    let text = texts[0].expose();
    for (at, original) in text.char_indices() {
        for other in "abcdefghijklmnopqrstuvwxyz234567".chars().filter(|other| *other != original) {
            let mut changed = text.to_owned();
            changed.replace_range(at..=at, &other.to_string());
            let expected = if at < PREFIX.len() { ShareError::NotAShare } else { ShareError::Mistyped };
            assert_eq!(Share::parse(&changed).err(), Some(expected), "{other} at {at}");
        }
        for other in ["0", "1", "8", "9", "=", " ", "ä", "\0"] {
            let mut changed = text.to_owned();
            changed.replace_range(at..=at, other);
            let found = Share::parse(&changed);
            let same = at < PREFIX.len() && changed.eq_ignore_ascii_case(text);
            assert!(same || found.err() == Some(ShareError::NotAShare), "{other} at {at}");
        }
    }
}

#[test]
fn two_exchanged_neighbours_are_noticed() {
    let (_, texts) = dealt(&Key32::generate(), 2, 3);
    let text = texts[0].expose().as_bytes();
    for at in PREFIX.len()..text.len() - 1 {
        let mut changed = text.to_vec();
        changed.swap(at, at + 1);
        if changed != text {
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(Share::parse(&changed).err(), Some(ShareError::Mistyped), "at {at}");
        }
    }
}

#[test]
fn a_share_of_another_length_is_none() {
    let (_, texts) = dealt(&Key32::generate(), 2, 3);
    let text = texts[0].expose();
    for length in 0..text.len() {
        assert_eq!(Share::parse(&text[..length]).err(), Some(ShareError::NotAShare), "length {length}");
    }
    assert_eq!(Share::parse(&format!("{text}a")).err(), Some(ShareError::NotAShare));
    assert_eq!(Share::parse("").err(), Some(ShareError::NotAShare));
}

#[test]
fn index_and_threshold_zero_are_refused_even_with_a_right_checksum() {
    let share = |index, threshold| Share { set_id: SetId([1; 8]), index, threshold, y: Box::default() };
    assert_eq!(Share::parse(share(0, 2).to_text().expose()).err(), Some(ShareError::ZeroIndex));
    assert_eq!(Share::parse(share(1, 0).to_text().expose()).err(), Some(ShareError::NotAShare));
    assert_eq!(Share::parse(share(1, 2).to_text().expose()).err(), None);
}

#[test]
fn a_collector_names_what_is_wrong_and_keeps_its_progress() {
    let key = Key32::generate();
    let (set_id, texts) = dealt(&key, 3, 5);
    let (_, foreign) = dealt(&key, 3, 5);
    let mut collector = ShareCollector::new(set_id, 3);
    assert_eq!(collector.progress(), Progress { have: 0, need: 3 });
    assert!(collector.recover().is_none());
    assert_eq!(collector.add(parse(texts[4].expose())), Ok(Progress { have: 1, need: 3 }));
    assert_eq!(collector.add(parse(texts[4].expose())), Err(ShareError::Repeated));
    assert_eq!(collector.add(parse(foreign[0].expose())), Err(ShareError::ForeignSet));
    let mut other_threshold = parse(texts[0].expose());
    other_threshold.threshold = 1;
    assert_eq!(collector.add(other_threshold), Err(ShareError::ForeignSet));
    assert_eq!(collector.progress(), Progress { have: 1, need: 3 });
    assert_eq!(collector.add(parse(texts[0].expose())), Ok(Progress { have: 2, need: 3 }));
    assert!(collector.recover().is_none());
    assert_eq!(collector.add(parse(texts[2].expose())), Ok(Progress { have: 3, need: 3 }));
    assert!(collector.recover().is_some_and(|found| found.expose() == key.expose()));
    assert_eq!(collector.add(parse(texts[1].expose())), Ok(Progress { have: 3, need: 3 }));
    assert_eq!(collector.add(parse(texts[2].expose())), Err(ShareError::Repeated));
    collector.reset();
    assert_eq!(collector.progress(), Progress { have: 0, need: 3 });
    assert!(collector.recover().is_none());
}

#[test]
fn a_forged_share_gives_a_key_that_unwraps_nothing() {
    use crate::crypto::keyring::{KeyError, unwrap_key, wrap};
    let key = Key32::generate();
    let wrapped = wrap(&key, "root", &Key32::generate());
    let (_, texts) = dealt(&key, 2, 3);
    let mut forged = parse(texts[1].expose());
    forged.y[0] ^= 1;
    let Ok(wrong) = combine([parse(texts[0].expose()), forged]) else { panic!() };
    assert_eq!(unwrap_key(&wrong, "root", &wrapped).err(), Some(KeyError::WrongKey));
}

#[test]
fn errors_are_bad_input_at_share() {
    let error = Error::from(ShareError::Mistyped);
    assert_eq!((error.code(), error.field()), (ErrorCode::BadUserInput, Some("share")));
    assert!(error.message().contains("mistyped"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn round_trip(mut key: [u8; 32], (threshold, count) in (1u8..12).prop_flat_map(|t| (Just(t), t..16))) {
        let expected = key;
        let (_, texts) = dealt(&Key32::from_bytes(&mut key), threshold, count);
        let last: Vec<usize> = (usize::from(count - threshold)..usize::from(count)).collect();
        prop_assert!(combine(pick(&texts, &last)).is_ok_and(|found| *found.expose() == expected));
    }

    #[test]
    fn arbitrary_text_never_panics(text in "(shubk1-)?\\PC{0,90}") {
        prop_assert!(Share::parse(&text).is_err());
    }
}
