//! What is checked of DER before anything decodes it: the outline.
//!
//! The decoders sort the members of a SET while they read them, in quadratic time, and take members in any order. So what comes
//! from outside is walked over once before: lengths in their shortest form, no tags of several bytes, no nesting deeper than any
//! certificate has, sets small and in order (X.690, sections 10.1 and 11.6), and nothing left over at the end.

/// How deep certificates and requests nest, twice over.
const MAX_DEPTH: usize = 24;
/// The most members of a SET. A set is one part of a name, or the attributes of a request.
const MAX_SET: usize = 16;

const SET: u8 = 0x31;
const CONSTRUCTED: u8 = 0x20;
const TAG_NUMBER: u8 = 0x1f;

/// Whether these bytes are one DER value within bounds.
#[must_use]
pub fn fine(der: &[u8]) -> bool {
    matches!(value(der, MAX_DEPTH), Some([]))
}

/// Walks over one value; what follows it.
fn value(der: &[u8], depth: usize) -> Option<&[u8]> {
    let (tag, content, rest) = split(der)?;
    if tag & CONSTRUCTED != 0 {
        members(tag, content, depth.checked_sub(1)?)?;
    }
    Some(rest)
}

fn members(tag: u8, mut content: &[u8], depth: usize) -> Option<()> {
    let mut previous: Option<&[u8]> = None;
    let mut count = 0;
    while !content.is_empty() {
        let rest = value(content, depth)?;
        if tag == SET {
            let member = &content[..content.len() - rest.len()];
            count += 1;
            if count > MAX_SET || previous.is_some_and(|previous| previous >= member) {
                return None;
            }
            previous = Some(member);
        }
        content = rest;
    }
    Some(())
}

/// The values that follow each other in a content, each with its tag and length.
#[must_use]
pub fn members_of(mut content: &[u8]) -> Option<Vec<&[u8]>> {
    let mut members = Vec::new();
    while !content.is_empty() {
        let (_, _, rest) = split(content)?;
        members.push(&content[..content.len() - rest.len()]);
        content = rest;
    }
    Some(members)
}

/// Tag, content and what follows of the first value.
#[must_use]
pub fn split(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    if tag & TAG_NUMBER == TAG_NUMBER {
        return None;
    }
    let length = if first < 0x80 {
        usize::from(first)
    } else {
        let (bytes, after) = rest.split_at_checked(usize::from(first & 0x7f)).filter(|(bytes, _)| {
            // neither the indefinite form nor more than 4 GiB, and no longer than it must be
            (1..=4).contains(&bytes.len()) && bytes[0] != 0
        })?;
        rest = after;
        bytes.iter().fold(0, |length: usize, byte| length << 8 | usize::from(*byte))
    };
    if first >= 0x80 && length < 0x80 {
        return None;
    }
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_outline_is_strict() {
        for der in [&[0x30, 0][..], &[0x05, 0], &[0x31, 6, 2, 1, 1, 2, 1, 2], &[0x30, 3, 2, 1, 1]] {
            assert!(fine(der), "{der:x?}");
        }
        let mut long = vec![4, 0x81, 0x80];
        long.extend([0; 0x80]);
        assert!(fine(&long));
        for der in [
            &[][..],
            &[0x30],
            &[0x30, 1],
            &[0x30, 0, 0],
            &[0x30, 0x80, 0, 0],
            &[0x30, 0x81, 0],
            &[0x04, 0x81, 1, 0],
            &[0x04, 0x82, 0, 1, 0],
            &[0x04, 0x85, 0, 0, 0, 0, 1, 0],
            &[0x04, 0xff],
            &[0x1f, 0x81, 0x01, 0],
            &[0x31, 6, 2, 1, 2, 2, 1, 1],
            &[0x31, 6, 2, 1, 1, 2, 1, 1],
            &[0x30, 2, 2, 1],
        ] {
            assert!(!fine(der), "{der:x?}");
        }
    }

    #[test]
    fn depth_and_sets_have_bounds() {
        let nested = |depth: usize| (0..depth).fold(vec![5, 0], |inner, _| wrap(0x30, &inner));
        assert!(fine(&nested(MAX_DEPTH)));
        assert!(!fine(&nested(MAX_DEPTH + 1)));
        let set = |count: u8| wrap(SET, &(0..count).flat_map(|n| [2, 1, n]).collect::<Vec<_>>());
        assert!(fine(&set(16)));
        assert!(!fine(&set(17)));
    }

    fn wrap(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).unwrap();
        let mut der = if length < 0x80 { vec![tag, length] } else { vec![tag, 0x81, length] };
        der.extend_from_slice(content);
        der
    }

    proptest! {
        #[test]
        fn anything_is_walked_without_panic(der in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = fine(&der);
        }
    }
}
