//! `GET /v1/audit/export`: the audit log as a file, in pages so that its length does not matter.

use super::respond;
use super::router::Visit;
use crate::crypto::export::{CsvWriter, write_jsonl};
use crate::error::{Error, ErrorCode, Result};
use crate::graphql::errors::log;
use crate::model::audit::AuditEvent;
use crate::service::audit;
use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Response, StatusCode, Uri, header};
use serde::Deserialize;
use std::sync::Arc;

/// Events read from the store at a time.
const PAGE: i64 = 1000;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    /// The first sequence number.
    from: Option<i64>,
    /// Events at most; without it, up to the end of the log.
    limit: Option<i64>,
    format: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Format {
    Jsonl,
    Csv,
}

/// Where the export is.
struct Export {
    visit: Visit,
    format: Format,
    next: i64,
    left: i64,
    first: bool,
}

/// Streams the log. The first page is read before the answer begins, so a refusal has its status; what fails later cuts the
/// answer off, which every HTTP client notices.
pub(super) async fn export(visit: Visit, uri: &Uri) -> Response<Body> {
    let mut export = match parse(uri) {
        Ok((from, limit, format)) => Export { visit, format, next: from, left: limit, first: true },
        Err(error) => return respond::error(&error, &visit.id),
    };
    let first = match export.first_page().await {
        Ok(page) => page.unwrap_or_default(),
        Err(error) => return respond::error(&error, &export.visit.id),
    };
    let (content_type, name) = match export.format {
        Format::Jsonl => ("application/jsonl; charset=utf-8", "attachment; filename=\"audit.jsonl\""),
        Format::Csv => ("text/csv; charset=utf-8", "attachment; filename=\"audit.csv\""),
    };
    let mut response = respond::answer(StatusCode::OK, content_type, &export.visit.id, Vec::new());
    response.headers_mut().insert(header::CONTENT_DISPOSITION, HeaderValue::from_static(name));
    let pages = stream::try_unfold((Some(first), export), |(ready, mut export)| async move {
        if let Some(page) = ready {
            return Ok(Some((Bytes::from(page), (None, export))));
        }
        match export.page().await {
            Ok(Some(page)) => Ok(Some((Bytes::from(page), (None, export)))),
            Ok(None) => Ok(None),
            Err(error) => {
                log(&error, &export.visit.id);
                Err(error)
            }
        }
    });
    *response.body_mut() = Body::from_stream(pages);
    response
}

impl Export {
    /// As [`Export::page`], for a request that may find the server busy.
    async fn first_page(&mut self) -> Result<Option<Vec<u8>>> {
        drop(self.visit.gate.enter()?);
        self.page().await
    }

    /// The next page as bytes; `None` at the end.
    async fn page(&mut self) -> Result<Option<Vec<u8>>> {
        if self.left == 0 {
            return Ok(None);
        }
        // for this page only: while the client reads it, others may work
        let gate = Arc::clone(&self.visit.gate);
        let _place = gate.wait().await?;
        let asked = self.left.min(PAGE);
        let events = audit::export_page(&self.visit.ctx, self.next, asked).await?;
        let bytes = encode(&events, self.format, self.first)?;
        self.first = false;
        self.left = match events.last() {
            // a short page is the end; reading on would only find the events of this export
            Some(last) if i64::try_from(events.len()).is_ok_and(|read| read == asked) => {
                self.next = last.sequence_number.saturating_add(1);
                self.left - asked
            }
            _ => 0,
        };
        Ok(Some(bytes))
    }
}

fn encode(events: &[AuditEvent], format: Format, first: bool) -> Result<Vec<u8>> {
    match format {
        Format::Jsonl => {
            let mut bytes = Vec::with_capacity(events.len() * 1024);
            for event in events {
                write_jsonl(event, &mut bytes)?;
            }
            Ok(bytes)
        }
        Format::Csv => {
            let mut writer = CsvWriter::new(Vec::with_capacity(events.len() * 1024))?;
            for event in events {
                writer.push(event)?;
            }
            let bytes = writer.finish()?;
            if first {
                return Ok(bytes);
            }
            // the header has no quoted line ends
            let header = bytes.iter().position(|byte| *byte == b'\n').map_or(0, |end| end + 1);
            Ok(bytes[header..].to_vec())
        }
    }
}

fn parse(uri: &Uri) -> Result<(i64, i64, Format)> {
    let query = axum::extract::Query::<Query>::try_from_uri(uri)
        .map_err(|_| {
            Error::new(ErrorCode::BadUserInput, "the parameters are from, limit and format, each once")
        })?
        .0;
    let from = query.from.unwrap_or(1);
    if from < 1 {
        return Err(Error::bad_input("from", "sequence numbers start at 1"));
    }
    let limit = query.limit.unwrap_or(i64::MAX);
    if limit < 1 {
        return Err(Error::bad_input("limit", "ask for at least one event"));
    }
    let format = match query.format.as_deref() {
        None | Some("jsonl") => Format::Jsonl,
        Some("csv") => Format::Csv,
        Some(_) => return Err(Error::bad_input("format", "write jsonl or csv")),
    };
    Ok((from, limit, format))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters() {
        let parsed = |text: &'static str| parse(&Uri::from_static(text));
        assert!(parsed("/x").is_ok_and(|p| p.0 == 1 && p.1 == i64::MAX && p.2 == Format::Jsonl));
        assert!(
            parsed("/x?from=7&limit=2&format=csv").is_ok_and(|p| p.0 == 7 && p.1 == 2 && p.2 == Format::Csv)
        );
        for bad in
            ["/x?from=0", "/x?from=a", "/x?limit=0", "/x?format=xml", "/x?form=csv", "/x?from=1&from=2"]
        {
            assert!(parsed(bad).is_err(), "{bad}");
        }
    }
}
