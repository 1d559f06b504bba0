//! The messages of `graphql-transport-ws`, read and written.

use crate::error::Error;
use crate::graphql::guard::VariableLimits;
use crate::http::bearer;
use crate::http::params::Params;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// The longest id of an operation, in bytes.
const MAX_ID: usize = 256;

/// What a client says.
pub enum Incoming {
    Init {
        /// What was sent as its token, good or not.
        token: Option<String>,
    },
    Ping {
        payload: Option<Box<RawValue>>,
    },
    Pong,
    Subscribe {
        id: String,
        /// Or why the operation cannot run: its id hears of that, and the socket stays.
        params: Result<Box<Params>, Error>,
    },
    Complete {
        id: String,
    },
}

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type")]
    kind: String,
    id: Option<String>,
    #[serde(borrow)]
    payload: Option<&'a RawValue>,
}

/// Reads a message.
///
/// # Errors
/// A sentence that says what is wrong and repeats nothing of it.
pub fn read(text: &str, variables: &VariableLimits) -> Result<Incoming, &'static str> {
    let envelope: Envelope<'_> =
        serde_json::from_str(text).map_err(|_| "it is no JSON object with a 'type'")?;
    let payload = envelope.payload.filter(|payload| payload.get() != "null");
    if payload.is_some_and(|payload| !payload.get().starts_with('{')) {
        return Err("'payload' must be an object");
    }
    match envelope.kind.as_str() {
        "connection_init" => Ok(Incoming::Init { token: payload.map(token).transpose()?.flatten() }),
        "ping" => Ok(Incoming::Ping { payload: payload.map(ToOwned::to_owned) }),
        "pong" => Ok(Incoming::Pong),
        "subscribe" => {
            let id = id(envelope.id)?;
            let payload = payload.ok_or("'payload' is missing")?;
            let params = Params::from_body(payload.get().as_bytes(), variables);
            if params.is_err() && !is_request(payload) {
                return Err("'payload' must hold a 'query', and 'variables' that are an object");
            }
            Ok(Incoming::Subscribe { id, params: params.map(Box::new) })
        }
        "complete" => Ok(Incoming::Complete { id: id(envelope.id)? }),
        _ => Err("there is no such 'type'"),
    }
}

/// Whether a payload is one by the protocol, whatever may be wrong with the operation in it.
fn is_request(payload: &RawValue) -> bool {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Shape<'a> {
        query: Option<String>,
        document_id: Option<String>,
        #[serde(rename = "operationName")]
        _operation_name: Option<String>,
        #[serde(borrow)]
        variables: Option<&'a RawValue>,
        #[serde(borrow)]
        extensions: Option<&'a RawValue>,
    }
    let object = |value: Option<&RawValue>| value.is_none_or(|value| value.get().starts_with(['{', 'n']));
    serde_json::from_str::<Shape<'_>>(payload.get()).is_ok_and(|shape| {
        let asks = shape.query.is_some() || shape.document_id.is_some() || shape.extensions.is_some();
        asks && object(shape.variables) && object(shape.extensions)
    })
}

fn id(id: Option<String>) -> Result<String, &'static str> {
    id.filter(|id| !id.is_empty() && id.len() <= MAX_ID).ok_or("'id' must be a text of 1 to 256 bytes")
}

/// The token of an init, under the name of the header. What is there but is no token stands for one that is not good.
fn token(payload: &RawValue) -> Result<Option<String>, &'static str> {
    let payload: Map<String, Value> =
        serde_json::from_str(payload.get()).map_err(|_| "'payload' must be an object")?;
    let mut given = payload.iter().filter(|(key, _)| key.eq_ignore_ascii_case("authorization"));
    let Some((_, value)) = given.next() else { return Ok(None) };
    let only = given.next().is_none();
    let token = value.as_str().filter(|_| only).map(bearer::of).unwrap_or_default();
    Ok(Some(token.to_owned()))
}

/// A message without more than its type.
pub const ACK: &str = r#"{"type":"connection_ack"}"#;

#[derive(Serialize)]
struct Said<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a RawValue>,
}

fn say(id: Option<&str>, kind: &'static str, payload: Option<&RawValue>) -> String {
    // nothing in it can fail to be written
    serde_json::to_string(&Said { id, kind, payload }).unwrap_or_default()
}

pub fn pong(payload: Option<&RawValue>) -> String {
    say(None, "pong", payload)
}

pub fn complete(id: &str) -> String {
    say(Some(id), "complete", None)
}

/// A result, in JSON.
pub fn next(id: &str, result: &[u8]) -> String {
    say(Some(id), "next", raw(result).as_deref())
}

/// The errors of an operation that has ended with them: those of a result in JSON.
pub fn error(id: &str, result: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Errors<'a> {
        #[serde(borrow)]
        errors: Option<&'a RawValue>,
    }
    let errors = serde_json::from_slice::<Errors<'_>>(result).ok().and_then(|result| result.errors);
    say(Some(id), "error", errors)
}

fn raw(json: &[u8]) -> Option<Box<RawValue>> {
    // it was written by this program a moment ago
    serde_json::from_slice(json).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_message() {
        for text in [
            "",
            "nonsense",
            "[]",
            "{}",
            "null",
            r#"{"type":7}"#,
            r#"{"type":"start","id":"1"}"#,
            r#"{"type":"connection_init","payload":"s3cret"}"#,
            r#"{"type":"ping","payload":[1]}"#,
            r#"{"type":"subscribe","payload":{"query":"{a}"}}"#,
            r#"{"type":"subscribe","id":"","payload":{"query":"{a}"}}"#,
            r#"{"type":"subscribe","id":7,"payload":{"query":"{a}"}}"#,
            r#"{"type":"subscribe","id":"1"}"#,
            r#"{"type":"subscribe","id":"1","payload":null}"#,
            r#"{"type":"subscribe","id":"1","payload":{}}"#,
            r#"{"type":"subscribe","id":"1","payload":{"query":7}}"#,
            r#"{"type":"subscribe","id":"1","payload":{"query":"{a}","variables":"s3cret"}}"#,
            r#"{"type":"subscribe","id":"1","payload":{"query":"{a}","extensions":[]}}"#,
            r#"{"type":"subscribe","id":"1","payload":{"query":"{a}","query":"{b}"}}"#,
            r#"{"type":"complete"}"#,
            r#"{"type":"complete","id":"1"} x"#,
        ] {
            let sentence = read(text, &VariableLimits::default()).err().expect(text);
            assert!(!sentence.contains("s3cret"), "{text}");
        }
        let long = format!(r#"{{"type":"complete","id":"{}"}}"#, "x".repeat(MAX_ID + 1));
        assert!(read(&long, &VariableLimits::default()).is_err());
    }

    #[test]
    fn what_is_wrong_with_an_operation_is_no_fault_of_its_message() {
        let many = (0..101).map(|n| format!("\"v{n}\":1")).collect::<Vec<_>>().join(",");
        for (payload, field) in [
            (format!(r#"{{"query":"{{a}}","variables":{{{many}}}}}"#), "variables"),
            (
                r#"{"query":"{a}","extensions":{"persistedQuery":{"version":2}}}"#.to_owned(),
                "extensions.persistedQuery",
            ),
            (r#"{"query":"{a}","documentId":"x","variables":null}"#.to_owned(), "documentId"),
            (r#"{"documentId":""}"#.to_owned(), "documentId"),
            (r#"{"extensions":{}}"#.to_owned(), "query"),
        ] {
            let text = format!(r#"{{"type":"subscribe","id":"1","payload":{payload}}}"#);
            let Ok(Incoming::Subscribe { id, params }) = read(&text, &VariableLimits::default()) else {
                panic!("{payload}")
            };
            assert_eq!((id.as_str(), params.err().unwrap().field()), ("1", Some(field)), "{payload}");
        }
    }

    #[test]
    fn the_token_of_an_init() {
        let token = |payload: &str| {
            let text = format!(r#"{{"payload":{payload},"type":"connection_init"}}"#);
            match read(&text, &VariableLimits::default()) {
                Ok(Incoming::Init { token }) => token,
                _ => panic!("{payload}"),
            }
        };
        assert_eq!(token("null"), None);
        assert_eq!(token("{}"), None);
        assert_eq!(token(r#"{"other":1}"#), None);
        assert_eq!(token(r#"{"Authorization":"Bearer shub_a"}"#).as_deref(), Some("shub_a"));
        assert_eq!(token(r#"{"authorization":"bearer shub_a"}"#).as_deref(), Some("shub_a"));
        // a malformed one never passes as none
        for payload in [
            r#"{"Authorization":"shub_a"}"#,
            r#"{"Authorization":null}"#,
            r#"{"Authorization":["Bearer shub_a"]}"#,
            r#"{"Authorization":"Bearer a","authorization":"Bearer b"}"#,
        ] {
            assert_eq!(token(payload).as_deref(), Some(""), "{payload}");
        }
    }

    #[test]
    fn what_is_said() {
        assert_eq!(complete("a\"b"), r#"{"id":"a\"b","type":"complete"}"#);
        assert_eq!(
            next("1", br#"{"data":{"b":1,"a":2}}"#),
            r#"{"id":"1","type":"next","payload":{"data":{"b":1,"a":2}}}"#
        );
        assert_eq!(
            error("1", br#"{"errors":[{"message":"no"}],"data":null}"#),
            r#"{"id":"1","type":"error","payload":[{"message":"no"}]}"#
        );
    }
}
