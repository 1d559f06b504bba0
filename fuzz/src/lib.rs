//! What the fuzz targets share; the targets are the tests in `tests/`.
//!
//! Bytes at random hardly get past a parser's first step. So each target also has seeds, good inputs of which the random bytes make
//! bad ones: they are read as a list of edits. That works the same with plain random bytes, as in `cargo test`, and with a fuzzer that
//! looks at the coverage (`cargo bolero test`).

/// Edits made to one seed, at most.
const MOST_EDITS: usize = 8;

/// A seed, edited as `script` says. Words are inserted whole, since they are rarely hit upon byte by byte.
#[must_use]
pub fn edited(seeds: &[Vec<u8>], words: &[&str], script: &[u8]) -> Vec<u8> {
    let mut script = script.iter().copied();
    let mut next = |below: usize| {
        let number = usize::from(script.next().unwrap_or(0)) << 8 | usize::from(script.next().unwrap_or(0));
        number.checked_rem(below).unwrap_or(0)
    };
    let mut text = seeds.get(next(seeds.len())).cloned().unwrap_or_default();
    for _ in 0..next(MOST_EDITS + 1) {
        let at = next(text.len() + 1);
        let length = next(9).min(text.len() - at);
        match next(7) {
            0 => drop(text.drain(at..at + length)),
            1 => text.truncate(at),
            2 => {
                if let Some(byte) = text.get_mut(at) {
                    *byte = next(256) as u8;
                }
            }
            3 => {
                if let Some(byte) = text.get_mut(at) {
                    *byte ^= 1 << next(8);
                }
            }
            4 => insert(&mut text, at, words.get(next(words.len())).unwrap_or(&"").as_bytes()),
            5 => {
                let copy = text[at..at + length].repeat(next(40));
                insert(&mut text, at, &copy);
            }
            _ => {
                let other =
                    seeds.get(next(seeds.len())).map_or(&[][..], |seed| &seed[next(seed.len() + 1)..]);
                text.truncate(at);
                text.extend_from_slice(other);
            }
        }
    }
    text
}

fn insert(text: &mut Vec<u8>, at: usize, what: &[u8]) {
    text.splice(at..at, what.iter().copied());
}

/// The files of a target's folder in `corpus/`, in the order of their names: seeds, and what once went wrong.
///
/// # Errors
/// If there are none.
pub fn corpus(target: &str) -> std::io::Result<Vec<Vec<u8>>> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut files = std::fs::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()?;
    files.sort();
    files.iter().map(std::fs::read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_change_and_their_absence_does_not() {
        let seeds = [b"one".to_vec(), b"two".to_vec()];
        assert_eq!(edited(&seeds, &["w"], &[]), b"one");
        assert_eq!(edited(&seeds, &["w"], &[0, 1, 0, 0]), b"two");
        // one edit, at 1, of no length: the word is inserted
        assert_eq!(edited(&seeds, &["w"], &[0, 0, 0, 1, 0, 1, 0, 0, 0, 4, 0, 0]), b"owne");
        assert_eq!(edited(&[], &[], &[0xff; 64]), edited(&[], &[], &[0xff; 64]));
    }

    #[test]
    fn the_corpora_are_small() {
        let folders = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus")).unwrap();
        let names = folders.map(|folder| folder.unwrap().file_name().into_string().unwrap());
        let bytes: usize = names.map(|name| corpus(&name).unwrap().iter().map(Vec::len).sum::<usize>()).sum();
        assert!((1..200_000).contains(&bytes), "{bytes} bytes");
    }
}
