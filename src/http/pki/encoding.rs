//! PEM out, base64 in paths in.

use data_encoding::BASE64;

/// RFC 7468: lines of 64 characters.
pub(super) fn pem(label: &str, der: &[u8]) -> String {
    const LINE: usize = 48;
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in der.chunks(LINE) {
        BASE64.encode_append(line, &mut text);
        text.push('\n');
    }
    text.push_str("-----END ");
    text.push_str(label);
    text.push_str("-----\n");
    text
}

/// The bytes that a path holds as percent-encoded base64, 1 to `most`. Clients leave different characters unencoded, and all of
/// them are taken; of base64 there is one form only.
pub(super) fn base64_of_path(path: &str, most: usize) -> Option<Vec<u8>> {
    let longest = most.div_ceil(3) * 4;
    if path.len() > 3 * longest {
        return None;
    }
    let text = percent_decode(path.as_bytes())?;
    let bytes = if text.len() > longest { None } else { BASE64.decode(&text).ok() };
    bytes.filter(|bytes| (1..=most).contains(&bytes.len()))
}

fn percent_decode(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text.iter().copied();
    while let Some(byte) = rest.next() {
        decoded.push(match byte {
            b'%' => digit(rest.next()?)? * 16 + digit(rest.next()?)?,
            byte => byte,
        });
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_decoded_within_bounds() {
        let encoded = BASE64.encode(&[0xfb, 0xff, 0xfe, 0x3e]);
        assert_eq!(encoded, "+//+Pg==");
        for path in ["+//+Pg==", "%2B%2F%2F%2BPg%3D%3D", "%2b//+Pg%3d%3d"] {
            assert_eq!(base64_of_path(path, 4).unwrap(), [0xfb, 0xff, 0xfe, 0x3e], "{path}");
            assert_eq!(base64_of_path(path, 3), None, "{path}");
        }
        for path in ["", "%", "%2", "%zz", "+//+Pg", "+//+Pg=", "-__-Pg==", "+//+Ph==", "a b=", "%0A"] {
            assert_eq!(base64_of_path(path, 4096), None, "{path}");
        }
        let most = BASE64.encode(&[7; 4096]);
        assert_eq!(base64_of_path(&most, 4096).unwrap().len(), 4096);
        assert_eq!(base64_of_path(&BASE64.encode(&[7; 4097]), 4096), None);
        assert_eq!(base64_of_path(&"%41".repeat(6000), 4096), None);
        assert_eq!(base64_of_path(&"A".repeat(1 << 20), 4096), None);
    }

    #[test]
    fn pem_has_lines_of_64() {
        let text = pem("X", &[0; 49]);
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines, ["-----BEGIN X-----", &"A".repeat(64), "AA==", "-----END X-----"]);
    }
}
