//! A scan of the query text before it is parsed. It agrees with the parser on where strings and comments end (or refuses
//! the text), so nothing can hide from it; what else is wrong with the text is for the parser to say.

use super::{QueryLimits, too_complex, within};
use crate::error::{Error, ErrorCode, Result};
use std::collections::HashSet;

/// Nested braces, brackets and parentheses. The parser recurses once for each.
const MAX_NESTING: usize = 64;

/// What the scan saw.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scanned {
    pub tokens: usize,
}

/// What was opened and not closed yet.
enum Open<'a> {
    /// A selection set, or anything else that holds no keys.
    Plain,
    /// Arguments, variables or a list: a brace in them begins an object.
    Values,
    Object {
        keys: HashSet<&'a [u8]>,
        /// Whether a colon came, and its value not yet.
        value: bool,
    },
}

/// Scans the text.
///
/// # Errors
/// `QUERY_TOO_COMPLEX` over a limit of bytes, tokens or nesting; `BAD_USER_INPUT` for a string without an end, and for an object with a key
/// twice, of which the parser would keep the last without a word.
pub fn scan(text: &str, limits: &QueryLimits) -> Result<Scanned> {
    within("bytes", text.len() as u64, limits.max_bytes as u64)?;
    let bytes = text.as_bytes();
    let mut scanned = Scanned { tokens: 0 };
    let mut open: Vec<Open<'_>> = Vec::new();
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
                enter(&mut open, byte)?;
                at += 1;
            }
            b'}' | b']' | b')' => {
                open.pop();
                at += 1;
            }
            b'"' => {
                at = end_of_string(bytes, at)?;
                // no key: if it stands for one, that is for the parser to say
                if let Some(Open::Object { value, .. }) = open.last_mut() {
                    *value = false;
                }
            }
            b'.' if bytes[at..].starts_with(b"...") => at += 3,
            _ if is_word(byte) || byte == b'-' => {
                // a name ends before dots: what is spread behind it counts for itself
                let number = byte == b'-' || byte.is_ascii_digit();
                let belongs = |b: &u8| is_word(*b) || (number && *b == b'.');
                let start = at;
                at += 1 + bytes[at + 1..].iter().take_while(|b| belongs(b)).count();
                word(&mut open, &bytes[start..at])?;
            }
            _ => {
                if let (b':', Some(Open::Object { value, .. })) = (byte, open.last_mut()) {
                    *value = true;
                }
                at += 1;
            }
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

fn enter(open: &mut Vec<Open<'_>>, byte: u8) -> Result<()> {
    if open.len() >= MAX_NESTING {
        return Err(too_complex(format!(
            "the query nests braces, brackets and parentheses deeper than {MAX_NESTING} levels"
        )));
    }
    let begun = match (byte, open.last_mut()) {
        (b'{', None | Some(Open::Plain)) => Open::Plain,
        (b'{', Some(outer)) => {
            if let Open::Object { value, .. } = outer {
                *value = false;
            }
            Open::Object { keys: HashSet::new(), value: false }
        }
        (_, Some(Open::Object { value, .. })) => {
            *value = false;
            Open::Values
        }
        _ => Open::Values,
    };
    open.push(begun);
    Ok(())
}

/// Notes a name or a number: in an object the value of a key, or a key.
fn word<'a>(open: &mut [Open<'a>], word: &'a [u8]) -> Result<()> {
    let Some(Open::Object { keys, value }) = open.last_mut() else { return Ok(()) };
    if *value {
        *value = false;
    } else if !keys.insert(word) {
        return Err(Error::new(
            ErrorCode::BadUserInput,
            "an object in the query has the same key twice: give each once",
        ));
    }
    Ok(())
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
