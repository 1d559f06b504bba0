//! The parameters of a GraphQL request, from a JSON body or from a query string.

use crate::error::{Error, ErrorCode, Result};
use async_graphql::Variables;
use serde::Deserialize;
use serde_json::{Map, Value};

/// What a request asks. `query` is always there; `extensions` must be well formed and are not used.
pub struct Params {
    pub query: String,
    pub operation_name: Option<String>,
    pub variables: Variables,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body {
    query: Option<String>,
    operation_name: Option<String>,
    #[serde(default)]
    variables: Variables,
    #[serde(default, rename = "extensions")]
    _extensions: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct QueryString {
    query: Option<String>,
    operation_name: Option<String>,
    variables: Option<String>,
    extensions: Option<String>,
}

/// Values and keys in a request's JSON, at most. Each takes far more memory as a tree than the two bytes it may take as text.
const MAX_NODES: usize = 100_000;

impl Params {
    /// # Errors
    /// `BAD_USER_INPUT`; its sentence never repeats what was sent.
    pub fn from_body(body: &[u8]) -> Result<Self> {
        match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'{') => {}
            Some(b'[') => return Err(bad("batches are not supported: send one request at a time")),
            None => return Err(bad("the body is empty: send a JSON object with a 'query'")),
            _ => return Err(bad("the body must be a JSON object with a 'query'")),
        }
        bound_nodes(body)?;
        let body: Body = serde_json::from_slice(body).map_err(|error| describe(&error))?;
        let query = body.query.ok_or_else(no_query)?;
        let operation_name = body.operation_name.filter(|name| !name.is_empty());
        Ok(Self { query, operation_name, variables: body.variables })
    }

    /// # Errors
    /// As [`Params::from_body`].
    pub fn from_uri(uri: &http::Uri) -> Result<Self> {
        let params = axum::extract::Query::<QueryString>::try_from_uri(uri)
            .map_err(|_| bad("the query string is malformed or repeats a parameter"))?
            .0;
        let query = params.query.ok_or_else(no_query)?;
        let variables = match params.variables.filter(|text| !text.is_empty()) {
            None => Variables::default(),
            Some(text) => {
                bound_nodes(text.as_bytes())?;
                serde_json::from_str(&text)
                    .map_err(|_| Error::bad_input("variables", "'variables' must be a JSON object"))?
            }
        };
        if let Some(text) = params.extensions.filter(|text| !text.is_empty()) {
            bound_nodes(text.as_bytes())?;
            serde_json::from_str::<Option<Map<String, Value>>>(&text)
                .map_err(|_| Error::bad_input("extensions", "'extensions' must be a JSON object"))?;
        }
        let operation_name = params.operation_name.filter(|name| !name.is_empty());
        Ok(Self { query, operation_name, variables })
    }
}

/// Counts what starts a value or a key, outside strings, before any of it is parsed. Valid JSON is counted exactly enough; what
/// is not valid the parser refuses at the first fault, so it builds no more than was counted up to there.
///
/// # Errors
/// `BAD_USER_INPUT` over [`MAX_NODES`].
fn bound_nodes(json: &[u8]) -> Result<()> {
    let (mut nodes, mut in_string, mut at) = (0_usize, false, 0);
    while let Some(&byte) = json.get(at) {
        match (in_string, byte) {
            (true, b'\\') => at += 1,
            (_, b'"') => in_string = !in_string,
            (false, b'[' | b'{' | b',' | b':') => nodes += 1,
            _ => {}
        }
        at += 1;
    }
    if nodes > MAX_NODES {
        return Err(Error::new(
            ErrorCode::BadUserInput,
            format!("the request's JSON holds more than {MAX_NODES} values: send larger data as a text"),
        ));
    }
    Ok(())
}

fn no_query() -> Error {
    Error::bad_input("query", "the parameter 'query' is missing")
}

fn bad(message: &'static str) -> Error {
    Error::new(ErrorCode::BadUserInput, message)
}

/// Says what is wrong without serde's text, which repeats values.
fn describe(error: &serde_json::Error) -> Error {
    if error.is_data() {
        return bad(
            "'query' and 'operationName' must be strings, 'variables' and 'extensions' objects, and each given once",
        );
    }
    let (line, column) = (error.line(), error.column());
    Error::new(
        ErrorCode::BadUserInput,
        format!("the body is not valid JSON: it breaks off or is malformed at line {line}, column {column}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies() {
        let params = Params::from_body(
            br#" {"query":"{a}","operationName":null,"variables":{"x":[1]},"extensions":null,"more":1}"#,
        )
        .unwrap();
        assert_eq!(params.query, "{a}");
        assert_eq!(params.variables.len(), 1);
        for bad in [
            r#""#,
            r#"[{"query":"{a}"}]"#,
            r#"["{a}"]"#,
            r#""{a}""#,
            r#"{"query":1}"#,
            r#"{"query":["a"]}"#,
            r#"{"notquery":"{a}"}"#,
            r#"{"query":null}"#,
            r#"{"query":"{a}","operationName":{}}"#,
            r#"{"query":"{a}","variables":"s3cret"}"#,
            r#"{"query":"{a}","variables":["s3cret"]}"#,
            r#"{"query":"{a}","variables":0}"#,
            r#"{"query":"{a}","extensions":"s3cret"}"#,
            r#"{"query":"{a}","extensions":[1]}"#,
            r#"{"query":"{a}","query":"s3cret"}"#,
            r#"{"query":"s3cret"#,
        ] {
            let error = Params::from_body(bad.as_bytes()).err().unwrap();
            assert_eq!(error.code(), ErrorCode::BadUserInput, "{bad}");
            assert!(!error.message().contains("s3cret"), "{error}");
        }
        let deep = format!(r#"{{"query":"a","variables":{{"x":{}1{}}}}}"#, "[".repeat(500), "]".repeat(500));
        assert!(Params::from_body(deep.as_bytes()).is_err());
    }

    #[test]
    fn the_number_of_values_is_bounded_outside_strings() {
        let body = |value: &str| format!(r#"{{"query":"{{a}}","variables":{{"x":{value}}}}}"#);
        let list = |count: usize| format!("[{}0]", "0,".repeat(count - 1));
        assert!(Params::from_body(body(&list(MAX_NODES - 10)).as_bytes()).is_ok());
        let error = Params::from_body(body(&list(MAX_NODES + 10)).as_bytes()).err().unwrap();
        assert!(error.message().contains("more than 100000 values"), "{error}");
        let objects = format!("[{}0]", r#"{"a":1},"#.repeat(MAX_NODES / 3 + 1));
        assert!(Params::from_body(body(&objects).as_bytes()).is_err());
        let text = format!("\"{}\"", r#",:[{\"\\"#.repeat(MAX_NODES));
        assert!(Params::from_body(body(&text).as_bytes()).is_ok());
    }

    #[test]
    fn query_strings() {
        let uri = |text: &'static str| Params::from_uri(&http::Uri::from_static(text));
        let params =
            uri("/graphql?query=%7Ba%7D&operationName=A&variables=%7B%22x%22%3A1%7D&extensions=").unwrap();
        assert_eq!((params.query.as_str(), params.operation_name.as_deref()), ("{a}", Some("A")));
        assert_eq!(params.variables.len(), 1);
        for bad in [
            "/graphql",
            "/graphql?query=a&variables=1",
            "/graphql?query=a&variables=%5B%5D",
            "/graphql?query=a&extensions=x",
            "/graphql?query=a&query=b",
        ] {
            assert!(uri(bad).is_err(), "{bad}");
        }
    }
}
