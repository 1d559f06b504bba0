//! A scan of the query text before it is parsed. It agrees with the parser on where strings and comments end (or refuses
//! the text), so nothing can hide from it; what else is wrong with the text is for the parser to say.

use super::{QueryLimits, too_complex, within};
use crate::error::{Error, ErrorCode, Result};

/// Nested braces, brackets and parentheses. The parser recurses once for each.
const MAX_NESTING: usize = 64;

/// What the scan saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scanned {
    pub tokens: usize,
}

/// Scans the text.
///
/// # Errors
/// `QUERY_TOO_COMPLEX` over a limit of bytes, tokens or nesting; `BAD_USER_INPUT` for a string without an end.
pub fn scan(text: &str, limits: &QueryLimits) -> Result<Scanned> {
    within("bytes", text.len() as u64, limits.max_bytes as u64)?;
    let bytes = text.as_bytes();
    let mut scanned = Scanned { tokens: 0 };
    let mut nesting = 0_usize;
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b' ' | b'\t' | b'\n' | b'\r' | b',' => {
                at += 1;
                continue;
            }
            b'#' => {
                at += bytes[at..].iter().take_while(|b| !matches!(b, b'\n' | b'\r')).count();
                continue;
            }
            b'{' | b'[' | b'(' => {
                nesting += 1;
                if nesting > MAX_NESTING {
                    return Err(too_complex(format!(
                        "the query nests braces, brackets and parentheses deeper than {MAX_NESTING} levels"
                    )));
                }
                at += 1;
            }
            b'}' | b']' | b')' => {
                nesting = nesting.saturating_sub(1);
                at += 1;
            }
            b'"' => at = end_of_string(bytes, at)?,
            b'.' if bytes[at..].starts_with(b"...") => at += 3,
            _ if is_word(byte) || byte == b'-' => {
                // a name ends before dots: what is spread behind it counts for itself
                let number = byte == b'-' || byte.is_ascii_digit();
                let belongs = |b: &u8| is_word(*b) || (number && *b == b'.');
                at += 1 + bytes[at + 1..].iter().take_while(|b| belongs(b)).count();
            }
            _ => at += 1,
        }
        scanned.tokens += 1;
        if scanned.tokens > limits.max_tokens {
            return Err(too_complex(format!(
                "the query has more than {} tokens, which is the most allowed",
                limits.max_tokens
            )));
        }
    }
    Ok(scanned)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The index behind the string that starts at `start`.
fn end_of_string(bytes: &[u8], start: usize) -> Result<usize> {
    let unterminated = || {
        Error::new(
            ErrorCode::BadUserInput,
            "syntax error: a string in the query has no closing quotation mark",
        )
    };
    if bytes[start..].starts_with(b"\"\"\"") {
        let mut at = start + 3;
        while at < bytes.len() {
            let rest = &bytes[at..];
            if rest.starts_with(b"\\\"\"\"") {
                at += 4;
            } else if rest.starts_with(b"\"\"\"") {
                return Ok(at + 3);
            } else {
                at += 1;
            }
        }
        return Err(unterminated());
    }
    let mut at = start + 1;
    loop {
        match bytes.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => at += 2,
            Some(b'\n' | b'\r') | None => return Err(unterminated()),
            Some(_) => at += 1,
        }
    }
}
