//! Media types: what the client sends, and what it wants back (GraphQL over HTTP, RFC 9110 §12.5.1).

use http::{HeaderMap, header};

/// The two forms of a GraphQL answer. They differ in when a refused request has a status other than 200.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// `application/json`: a well-formed request gets 200 whatever became of it.
    Json,
    /// `application/graphql-response+json`: a request that was not executed gets 4xx.
    GraphqlResponse,
}

impl Answer {
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json; charset=utf-8",
            Self::GraphqlResponse => "application/graphql-response+json; charset=utf-8",
        }
    }
}

/// What the client takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// The form of an answer in one piece; `None` if it takes neither.
    pub json: Option<Answer>,
    /// Whether it takes `text/event-stream`. No wildcard means that.
    pub events: bool,
}

/// What the client takes, by its `Accept`.
#[must_use]
pub fn accepted(headers: &HeaderMap) -> Accepted {
    Accepted { json: form(headers), events: takes_events(headers) }
}

fn takes_events(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|range| {
            let mut parts = range.split(';').map(str::trim);
            parts.next().is_some_and(|name| name.eq_ignore_ascii_case("text/event-stream"))
                && parts.find_map(quality) != Some(0)
        })
}

/// Picks the form of the answer; `None` if the client accepts neither (406). Without `Accept`, or for a wildcard, it is
/// `application/json`. Of equal quality, the one named first wins.
#[must_use]
fn form(headers: &HeaderMap) -> Option<Answer> {
    let mut best: Option<(u16, Answer)> = None;
    let mut any_header = false;
    // ranges by how precisely they name a type: a precise one overrules a wildcard's quality
    let mut precise: [Option<u16>; 2] = [None, None];
    let mut wildcard: Option<u16> = None;
    for value in headers.get_all(header::ACCEPT) {
        any_header = true;
        for range in value.to_str().unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next().unwrap_or_default().to_ascii_lowercase();
            let quality = parts.find_map(quality).unwrap_or(1000);
            let named = match name.as_str() {
                "application/json" => Answer::Json,
                "application/graphql-response+json" => Answer::GraphqlResponse,
                "*/*" | "application/*" => {
                    wildcard = Some(wildcard.unwrap_or(0).max(quality));
                    continue;
                }
                _ => continue,
            };
            precise[named as usize] = Some(quality);
            if quality > 0 && best.is_none_or(|(so_far, _)| quality > so_far) {
                best = Some((quality, named));
            }
        }
    }
    if !any_header {
        return Some(Answer::Json);
    }
    if let Some(quality) = wildcard.filter(|quality| *quality > 0) {
        // what the wildcard stands for, unless named (or ruled out) by itself
        let stands_for = [Answer::Json, Answer::GraphqlResponse]
            .into_iter()
            .find(|answer| precise[*answer as usize].is_none());
        if let Some(answer) = stands_for
            && best.is_none_or(|(so_far, _)| quality > so_far)
        {
            best = Some((quality, answer));
        }
    }
    best.map(|(_, answer)| answer)
}

/// `q=0.5` in thousandths.
fn quality(parameter: &str) -> Option<u16> {
    let value = parameter.strip_prefix("q=").or_else(|| parameter.strip_prefix("Q="))?;
    let number: f32 = value.parse().ok()?;
    // clamped to 0..=1000, so the cast is exact
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Some((number.clamp(0.0, 1.0) * 1000.0) as u16)
}

/// Whether the body is JSON in UTF-8, the only thing that is taken. A browser cannot send it across origins without asking
/// first, so it also keeps other sites' forms out.
#[must_use]
pub fn is_json(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return false };
    let Ok(value) = value.to_str() else { return false };
    let mut parts = value.split(';').map(str::trim);
    if !parts.next().is_some_and(|name| name.eq_ignore_ascii_case("application/json")) {
        return false;
    }
    parts.all(|parameter| match parameter.split_once('=') {
        Some((name, charset)) if name.trim().eq_ignore_ascii_case("charset") => {
            let charset = charset.trim().trim_matches('"');
            charset.eq_ignore_ascii_case("utf-8") || charset.eq_ignore_ascii_case("utf8")
        }
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn the_table_of_accept() {
        let table: &[(&str, Option<Answer>)] = &[
            ("application/json", Some(Answer::Json)),
            ("application/graphql-response+json", Some(Answer::GraphqlResponse)),
            ("Application/GraphQL-Response+JSON; charset=utf-8", Some(Answer::GraphqlResponse)),
            ("*/*", Some(Answer::Json)),
            ("application/*", Some(Answer::Json)),
            ("application/graphql-response+json, application/json;q=0.9", Some(Answer::GraphqlResponse)),
            ("application/json;q=0.5, application/graphql-response+json", Some(Answer::GraphqlResponse)),
            ("application/json, application/graphql-response+json", Some(Answer::Json)),
            ("application/graphql-response+json;q=0.5, */*;q=0.1", Some(Answer::GraphqlResponse)),
            ("application/graphql-response+json;q=0.1, */*;q=0.5", Some(Answer::Json)),
            ("application/json;q=0, */*", Some(Answer::GraphqlResponse)),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Some(Answer::Json)),
            ("text/html", None),
            ("application/json;q=0", None),
            ("*/*;q=0", None),
            ("multipart/mixed", None),
        ];
        for (accept, expected) in table {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            let expected = Accepted { json: *expected, events: false };
            assert_eq!(accepted(&headers), expected, "{accept}");
        }
        assert_eq!(accepted(&HeaderMap::new()), Accepted { json: Some(Answer::Json), events: false });
    }

    #[test]
    fn events_are_asked_for_by_name() {
        for (accept, json, events) in [
            ("text/event-stream", None, true),
            ("Text/Event-Stream; q=0.3", None, true),
            ("text/event-stream;q=0", None, false),
            ("application/json, text/event-stream", Some(Answer::Json), true),
            ("text/event-stream, */*;q=0.1", Some(Answer::Json), true),
            ("text/*", None, false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
            assert_eq!(accepted(&headers), Accepted { json, events }, "{accept}");
        }
    }

    #[test]
    fn the_table_of_content_types() {
        let table = [
            ("application/json", true),
            ("application/json; charset=utf-8", true),
            ("APPLICATION/JSON;charset=\"UTF-8\"", true),
            ("application/json; charset=latin1", false),
            ("application/json; charset=utf-16", false),
            ("application/graphql", false),
            ("text/plain", false),
            ("application/x-www-form-urlencoded", false),
            ("multipart/form-data; boundary=x", false),
            ("application/jsonx", false),
        ];
        for (value, expected) in table {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(value));
            assert_eq!(is_json(&headers), expected, "{value}");
            headers.append(header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
            assert!(!is_json(&headers));
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
