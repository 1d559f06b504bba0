//! The token of a request: `Authorization: Bearer TOKEN`.

use http::{HeaderMap, header};

/// Longest token text that is looked at, in bytes.
const MAX_TOKEN_LENGTH: usize = 1024;

/// What stands for a header that is there but is no bearer token. No token is empty, so it is refused like any unknown one:
/// a caller that meant to say who it is never passes as anonymous.
const INVALID: &str = "";

/// The token text, `None` for an anonymous request, or an empty text (never a valid token) for a malformed header.
#[must_use]
pub fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next()?;
    if values.next().is_some() {
        return Some(INVALID);
    }
    Some(value.to_str().map_or(INVALID, of))
}

/// The token text of `Bearer TOKEN`, or an empty text for anything else.
#[must_use]
pub fn of(value: &str) -> &str {
    token(value).unwrap_or(INVALID)
}

fn token(value: &str) -> Option<&str> {
    let (scheme, rest) = value.split_once(' ')?;
    let token = rest.trim_matches(' ');
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
    (scheme.eq_ignore_ascii_case("bearer")
        && !token.is_empty()
        && token.len() <= MAX_TOKEN_LENGTH
        && token.bytes().all(is_token))
    .then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn the_table_of_authorization() {
        let table: &[(&[u8], &str)] = &[
            (b"Bearer shub_abc", "shub_abc"),
            (b"bearer  shub_abc ", "shub_abc"),
            (b"BEARER a-._~+/=", "a-._~+/="),
            (b"Bearer", ""),
            (b"Bearer ", ""),
            (b"Bearer a b", ""),
            (b"Basic dXNlcjpwYXNz", ""),
            (b"shub_abc", ""),
            (b"Bearer \xc3\xa9", ""),
            (b"", ""),
        ];
        for (value, expected) in table {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_bytes(value).unwrap());
            assert_eq!(bearer(&headers), Some(*expected), "{}", String::from_utf8_lossy(value));
        }
        assert_eq!(bearer(&HeaderMap::new()), None);
        let mut twice = HeaderMap::new();
        twice.append(header::AUTHORIZATION, HeaderValue::from_static("Bearer a"));
        twice.append(header::AUTHORIZATION, HeaderValue::from_static("Bearer b"));
        assert_eq!(bearer(&twice), Some(""));
    }
}
