//! Request ids: our own for every request, and the caller's to find it by.

use http::HeaderMap;
use uuid::Uuid;

/// The header that carries the caller's id in and ours out.
pub const REQUEST_ID: &str = "x-request-id";
const MAX_LENGTH: usize = 128;

/// A new id: a UUID of version 7, so ids sort by time.
#[must_use]
pub fn request_id() -> String {
    Uuid::now_v7().to_string()
}

/// The caller's id, if it is one that can stand in a log: 1 to 128 of `[A-Za-z0-9._-]`.
#[must_use]
pub fn correlation_id(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(REQUEST_ID)?.to_str().ok()?;
    let fits = (1..=MAX_LENGTH).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    fits.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn only_plain_ids_are_taken() {
        for (text, taken) in
            [("ci-run_42.a", true), ("", false), ("a b", false), ("a\"b", false), ("ä", false)]
        {
            let mut headers = HeaderMap::new();
            headers.insert(REQUEST_ID, HeaderValue::from_bytes(text.as_bytes()).unwrap());
            assert_eq!(correlation_id(&headers).is_some(), taken, "{text}");
        }
        let mut headers = HeaderMap::new();
        headers.insert(REQUEST_ID, HeaderValue::from_str(&"a".repeat(129)).unwrap());
        assert_eq!(correlation_id(&headers), None);
    }
}
