//! Text around DER (RFC 7468): read as tools write it, written as the standard says.

use data_encoding::BASE64;
use zeroize::Zeroizing;

/// Bytes of one line of base64: 64 characters.
const LINE: usize = 48;

/// One block. What it holds is wiped when it goes, since it may be a private key.
pub struct Block {
    /// The words after `BEGIN`.
    pub label: String,
    pub der: Zeroizing<Vec<u8>>,
}

/// The blocks of a text, in its order. Text before, between and after blocks is skipped, as openssl prints some there.
///
/// `None` if a block does not end, ends under another label, is empty, or has anything in it but base64 (such as the headers
/// of an encrypted key), or if there are more than `most`.
#[must_use]
pub fn read(text: &str, most: usize) -> Option<Vec<Block>> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        let Some(label) = line.strip_prefix("-----BEGIN ").and_then(|rest| rest.strip_suffix("-----")) else {
            // an end without a beginning is a text cut short at its top
            if line.starts_with("-----END ") {
                return None;
            }
            continue;
        };
        if blocks.len() == most {
            return None;
        }
        // with its full capacity from the start the text never moves, and so leaves no copy behind
        let mut body = Zeroizing::new(String::with_capacity(text.len()));
        loop {
            let line = lines.next()?;
            if let Some(end) = line.strip_prefix("-----END ") {
                if end.strip_suffix("-----")? != label {
                    return None;
                }
                break;
            }
            body.push_str(line);
        }
        let der = Zeroizing::new(BASE64.decode(body.as_bytes()).ok()?);
        if der.is_empty() {
            return None;
        }
        blocks.push(Block { label: label.to_owned(), der });
    }
    Some(blocks)
}

/// A block of this label. The caller wipes it if it is secret; there is no other copy.
#[must_use]
pub fn write(label: &str, der: &[u8]) -> String {
    let frame = 2 * label.len() + "-----BEGIN -----\n".len() + "-----END -----\n".len();
    let lines = der.len().div_ceil(LINE);
    let mut text = String::with_capacity(frame + lines + BASE64.encode_len(der.len()));
    for part in ["-----BEGIN ", label, "-----\n"] {
        text.push_str(part);
    }
    for line in der.chunks(LINE) {
        BASE64.encode_append(line, &mut text);
        text.push('\n');
    }
    for part in ["-----END ", label, "-----\n"] {
        text.push_str(part);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn odd_texts_are_no_blocks() {
        let good = write("X", &[1; 100]);
        assert_eq!(read(&good, 1).unwrap().len(), 1);
        assert_eq!(read("", 1).unwrap().len(), 0);
        assert_eq!(read("hello\nworld", 1).unwrap().len(), 0);
        assert_eq!(read(&format!("subject=a\n{good}\n\n  {good}trailing"), 2).unwrap().len(), 2);
        assert!(read(&format!("{good}{good}"), 1).is_none(), "more than asked for");
        for text in [
            "-----BEGIN X-----\n",
            "-----BEGIN X-----\nAAAA\n",
            "-----BEGIN X-----\nAAAA\n-----END Y-----",
            "-----BEGIN X-----\nAAAA\n-----END X",
            "-----BEGIN X-----\n-----END X-----",
            "-----BEGIN X-----\nAAA\n-----END X-----",
            "-----BEGIN X-----\nA\0AA\n-----END X-----",
            "-----BEGIN X-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END X-----",
            "-----BEGIN X-----\nAAAA\n-----BEGIN X-----\nAAAA\n-----END X-----",
            "-----END X-----",
        ] {
            assert!(read(text, 5).is_none(), "{text}");
        }
    }

    #[test]
    fn secrets_are_written_without_growing() {
        for length in [1, 47, 48, 49, 1000] {
            let text = write("PRIVATE KEY", &vec![7; length]);
            assert_eq!(text.len(), text.capacity(), "{length}");
        }
    }

    proptest! {
        #[test]
        fn anything_is_read_without_panic(text in "(-----(BEGIN|END) X?-----\n|[A-Za-z=\\-\n]{0,9})*") {
            let _ = read(&text, 3);
        }

        #[test]
        fn what_is_written_is_read(der in proptest::collection::vec(any::<u8>(), 1..300)) {
            let text = write("CERTIFICATE", &der);
            let blocks = read(&text, 1).unwrap();
            prop_assert_eq!(&blocks[0].label, "CERTIFICATE");
            prop_assert_eq!(&**blocks[0].der, der.as_slice());
            prop_assert!(text.lines().all(|line| line.len() <= 64));
        }
    }
}
