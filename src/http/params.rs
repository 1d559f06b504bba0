//! The parameters of a GraphQL request, from a JSON body or from a query string.

use crate::error::{Error, ErrorCode, Result};
use crate::graphql::documents::Asked;
use crate::graphql::guard::VariableLimits;
use async_graphql::Variables;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// What a request asks: a document by its text, by its name, or by the hash of automatic persisted queries.
pub struct Params {
    pub query: Option<String>,
    pub document_id: Option<String>,
    /// `extensions.persistedQuery.sha256Hash`.
    pub hash: Option<String>,
    pub operation_name: Option<String>,
    pub variables: Variables,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    query: Option<String>,
    document_id: Option<String>,
    operation_name: Option<String>,
    // their trees are built only after a look at them
    #[serde(default, borrow)]
    variables: Option<&'a RawValue>,
    #[serde(default, borrow)]
    extensions: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct QueryString {
    query: Option<String>,
    document_id: Option<String>,
    operation_name: Option<String>,
    variables: Option<String>,
    extensions: Option<String>,
}

/// Bytes of `extensions`. Of them only `persistedQuery` is used.
const MAX_EXTENSIONS: usize = 16 * 1024;
/// Bytes of a name of a document.
const MAX_ID: usize = 256;

impl Params {
    /// # Errors
    /// `BAD_USER_INPUT`; its sentence never repeats what was sent.
    pub fn from_body(body: &[u8], limits: &VariableLimits) -> Result<Self> {
        match body.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'{') => {}
            Some(b'[') => return Err(bad("batches are not supported: send one request at a time")),
            None => return Err(bad("the body is empty: send a JSON object with a 'query'")),
            _ => return Err(bad("the body must be a JSON object with a 'query'")),
        }
        let body: Body = serde_json::from_slice(body).map_err(|error| describe(&error))?;
        Self {
            query: body.query,
            document_id: body.document_id,
            hash: body.extensions.map_or(Ok(None), |raw| persisted_query(raw.get()))?,
            operation_name: body.operation_name,
            variables: body
                .variables
                .map_or_else(|| Ok(Variables::default()), |raw| limits.parse(raw.get()))?,
        }
        .checked()
    }

    /// # Errors
    /// As [`Params::from_body`].
    pub fn from_uri(uri: &http::Uri, limits: &VariableLimits) -> Result<Self> {
        let params = axum::extract::Query::<QueryString>::try_from_uri(uri)
            .map_err(|_| bad("the query string is malformed or repeats a parameter"))?
            .0;
        Self {
            query: params.query,
            document_id: params.document_id,
            hash: params.extensions.map_or(Ok(None), |text| persisted_query(&text))?,
            operation_name: params.operation_name,
            variables: limits.parse(&params.variables.unwrap_or_default())?,
        }
        .checked()
    }

    fn checked(mut self) -> Result<Self> {
        self.operation_name = self.operation_name.filter(|name| !name.is_empty());
        let names = [("documentId", &self.document_id), ("extensions.persistedQuery.sha256Hash", &self.hash)];
        for (field, name) in names {
            if name.as_ref().is_some_and(|name| name.is_empty() || name.len() > MAX_ID) {
                return Err(Error::bad_input(field, format!("write 1 to {MAX_ID} characters")));
            }
        }
        match (&self.query, &self.document_id, &self.hash) {
            (None, None, None) => {
                Err(Error::bad_input("query", "the parameter 'query' is missing, and so is 'documentId'"))
            }
            (Some(_), Some(_), _) | (_, Some(_), Some(_)) => Err(Error::bad_input(
                "documentId",
                "'documentId' names the whole document: leave out 'query' and 'extensions.persistedQuery'",
            )),
            _ => Ok(self),
        }
    }

    /// Which document is meant.
    #[must_use]
    pub fn asked(&self) -> Asked<'_> {
        Asked { text: self.query.as_deref(), id: self.document_id.as_deref(), hash: self.hash.as_deref() }
    }
}

/// The hash in `extensions`, as Apollo's protocol of automatic persisted queries has it.
fn persisted_query(extensions: &str) -> Result<Option<String>> {
    let extensions = extensions.trim_ascii();
    if extensions.is_empty() {
        return Ok(None);
    }
    if extensions.len() > MAX_EXTENSIONS {
        let message = format!("'extensions' may have at most {MAX_EXTENSIONS} bytes");
        return Err(Error::bad_input("extensions", message));
    }
    let extensions: Option<Map<String, Value>> = serde_json::from_str(extensions)
        .map_err(|_| Error::bad_input("extensions", "'extensions' must be a JSON object"))?;
    let asked = match extensions.as_ref().and_then(|all| all.get("persistedQuery")) {
        None | Some(Value::Null) => return Ok(None),
        Some(asked) => asked,
    };
    match (asked.get("version").and_then(Value::as_i64), asked.get("sha256Hash")) {
        (Some(1), Some(Value::String(hash))) => Ok(Some(hash.clone())),
        _ => Err(Error::bad_input(
            "extensions.persistedQuery",
            "write {\"version\": 1, \"sha256Hash\": \"...\"} with the SHA-256 of the query in hex",
        )),
    }
}

fn bad(message: &'static str) -> Error {
    Error::new(ErrorCode::BadUserInput, message)
}

/// Says what is wrong without serde's text, which repeats values.
fn describe(error: &serde_json::Error) -> Error {
    if error.is_data() {
        return bad(
            "'query', 'documentId' and 'operationName' must be strings, 'variables' and 'extensions' objects, and each \
             given once",
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

    fn body(text: &str) -> Result<Params> {
        Params::from_body(text.as_bytes(), &VariableLimits::default())
    }

    #[test]
    fn bodies() {
        let params =
            body(r#" {"query":"{a}","operationName":null,"variables":{"x":[1]},"extensions":null,"more":1}"#)
                .unwrap();
        assert_eq!(params.query.as_deref(), Some("{a}"));
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
            r#"{"query":"{a}","extensions":{"persistedQuery":"s3cret"}}"#,
            r#"{"query":"{a}","extensions":{"persistedQuery":{"version":2,"sha256Hash":"s3cret"}}}"#,
            r#"{"query":"{a}","extensions":{"persistedQuery":{"version":1,"sha256Hash":["s3cret"]}}}"#,
            r#"{"query":"{a}","query":"s3cret"}"#,
            r#"{"query":"{a}","variables":{},"variables":{}}"#,
            r#"{"query":"{a}","documentId":"s3cret"}"#,
            r#"{"documentId":""}"#,
            r#"{"query":"s3cret"#,
        ] {
            let error = body(bad).err().unwrap();
            assert_eq!(error.code(), ErrorCode::BadUserInput, "{bad}");
            assert!(!error.message().contains("s3cret"), "{error}");
        }
        let deep = format!(r#"{{"query":"a","variables":{{"x":{}1{}}}}}"#, "[".repeat(500), "]".repeat(500));
        assert!(body(&deep).is_err());
        let long = format!(r#"{{"query":"a","extensions":{{"x":"{}"}}}}"#, "x".repeat(MAX_EXTENSIONS));
        assert_eq!(body(&long).err().unwrap().field(), Some("extensions"));
    }

    #[test]
    fn documents_without_their_text() {
        assert_eq!(body(r#"{"documentId":"sha256:ab"}"#).unwrap().document_id.as_deref(), Some("sha256:ab"));
        let hash = r#"{"extensions":{"persistedQuery":{"version":1,"sha256Hash":"ab"},"other":[1]}}"#;
        assert_eq!(body(hash).unwrap().hash.as_deref(), Some("ab"));
        assert!(body(r#"{"query":"{a}","extensions":{"persistedQuery":null}}"#).unwrap().hash.is_none());
    }

    #[test]
    fn query_strings() {
        let uri =
            |text: &'static str| Params::from_uri(&http::Uri::from_static(text), &VariableLimits::default());
        let params =
            uri("/graphql?query=%7Ba%7D&operationName=A&variables=%7B%22x%22%3A1%7D&extensions=").unwrap();
        assert_eq!((params.query.as_deref(), params.operation_name.as_deref()), (Some("{a}"), Some("A")));
        assert_eq!(params.variables.len(), 1);
        let apq = "/graphql?extensions=%7B%22persistedQuery%22%3A%7B%22version%22%3A1%2C%22sha256Hash%22%3A%22ab%22%7D%7D";
        assert_eq!(uri(apq).unwrap().hash.as_deref(), Some("ab"));
        assert_eq!(uri("/graphql?documentId=a").unwrap().document_id.as_deref(), Some("a"));
        for bad in [
            "/graphql",
            "/graphql?query=a&variables=1",
            "/graphql?query=a&variables=%5B%5D",
            "/graphql?query=a&extensions=x",
            "/graphql?query=a&query=b",
            "/graphql?query=a&documentId=b",
        ] {
            assert!(uri(bad).is_err(), "{bad}");
        }
    }
}
