//! One line of CSV per event; the rules of a cell are in the documentation of the module above.

use std::io::{BufRead, Write};

use serde_json::{Map, Value};

use super::jsonl::{Read, to_object};
use super::lines::Lines;
use super::{ReadError, ReadProblem};
use crate::crypto::audit::write_json;
use crate::error::{Error, Result};
use crate::model::audit::AuditEvent;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    /// Numbers, booleans and objects, as they stand in JSON.
    Json,
}

use Kind::{Json, Text};

/// The fields of an event in their order.
pub(super) const COLUMNS: [(&str, Kind); 33] = [
    ("event_id", Text),
    ("sequence_number", Json),
    ("timestamp", Text),
    ("event_type", Text),
    ("actor_type", Text),
    ("actor_id", Text),
    ("token_accessor", Text),
    ("role_name", Text),
    ("agent_id", Text),
    ("app_id", Text),
    ("admin_id", Text),
    ("agent_cert_fingerprint", Text),
    ("app_cert_fingerprint", Text),
    ("admin_cert_fingerprint", Text),
    ("secret_id", Text),
    ("secret_path", Text),
    ("secret_version", Json),
    ("secret_type", Text),
    ("lease_id", Text),
    ("access_granted", Json),
    ("policy_matched", Text),
    ("denial_reason", Text),
    ("source_ip", Text),
    ("hostname", Text),
    ("k8s_namespace", Text),
    ("k8s_pod", Text),
    ("event_data", Json),
    ("response_time_ms", Json),
    ("correlation_id", Text),
    ("batch_end", Json),
    ("previous_hash", Text),
    ("current_hash", Text),
    ("signature", Text),
];

const NULL: &str = "\\N";

/// Writes events as CSV.
pub struct CsvWriter<W: Write>(csv::Writer<W>);

impl<W: Write> CsvWriter<W> {
    /// Begins with the header.
    pub fn new(out: W) -> Result<Self> {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(COLUMNS.iter().map(|(name, _)| *name)).map_err(Error::internal)?;
        Ok(Self(writer))
    }

    pub fn push(&mut self, event: &AuditEvent) -> Result<()> {
        let object = to_object(event)?;
        let cells = COLUMNS.iter().map(|(name, kind)| match object.get(*name) {
            Some(Value::Null) if *name != "event_data" => NULL.to_owned(),
            Some(Value::String(text)) if *kind == Text => escape(text),
            Some(value) => json_text(value),
            None => NULL.to_owned(),
        });
        self.0.write_record(cells).map_err(Error::internal)
    }

    /// Flushes, and gives the target back.
    pub fn finish(self) -> Result<W> {
        self.0.into_inner().map_err(|error| Error::internal(error.into_error()))
    }
}

/// The events of a file, in its order; ends after the first error.
pub struct CsvEvents<R> {
    lines: Lines<R>,
    header_read: bool,
}

#[must_use]
pub fn read_csv<R: BufRead>(reader: R) -> CsvEvents<R> {
    CsvEvents { lines: Lines::new(reader), header_read: false }
}

impl<R: BufRead> Iterator for CsvEvents<R> {
    type Item = Result<AuditEvent, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if !self.header_read {
            self.header_read = true;
            let header = self.lines.next(|line| {
                let header = split(line)?;
                let same = header.iter().eq(COLUMNS.iter().map(|(name, _)| *name));
                same.then_some(()).ok_or(ReadProblem::Header)
            });
            match header {
                Some(Ok(())) => {}
                Some(Err(error)) => return Some(Err(error)),
                None => return Some(Err(ReadError { line: 1, problem: ReadProblem::Header })),
            }
        }
        self.lines.next(parse)
    }
}

/// A line is parsed by itself, so that a quote that is never closed cannot swallow the rest of the file.
fn split(line: &str) -> Result<csv::StringRecord, ReadProblem> {
    let malformed = |what: &str| ReadProblem::Malformed(what.to_owned());
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .buffer_capacity(line.len().max(1))
        .from_reader(line.as_bytes());
    let mut record = csv::StringRecord::new();
    match reader.read_record(&mut record) {
        Ok(true) => Ok(record),
        Ok(false) => Err(malformed("the line is empty")),
        Err(error) => Err(ReadProblem::Malformed(error.to_string())),
    }
}

fn parse(line: &str) -> Result<AuditEvent, ReadProblem> {
    let record = split(line)?;
    if record.len() != COLUMNS.len() {
        let what = format!("it has {} cells where {} are needed", record.len(), COLUMNS.len());
        return Err(ReadProblem::Malformed(what));
    }
    let mut object = Map::new();
    for ((name, kind), cell) in COLUMNS.iter().zip(&record) {
        let value = match kind {
            // an event's data may itself be null, which is not the absence of a value
            _ if cell == NULL && *name != "event_data" => Some(Value::Null),
            Text => unescape(cell).map(Value::String),
            // only as it is written: see the documentation of the module above
            Json => serde_json::from_str(cell).ok().filter(|value: &Value| {
                (!value.is_null() || *name == "event_data") && json_text(value) == cell
            }),
        };
        let what = || ReadProblem::Malformed(format!("the cell of {name} is not written as in an export"));
        object.insert((*name).to_owned(), value.ok_or_else(what)?);
    }
    let read: serde_json::Result<Read> = serde_json::from_value(Value::Object(object));
    read.map(|read| read.0).map_err(|error| ReadProblem::Malformed(error.to_string()))
}

fn json_text(value: &Value) -> String {
    let mut out = Vec::new();
    write_json(value, &mut out);
    String::from_utf8(out).unwrap_or_default()
}

pub(super) fn escape(text: &str) -> String {
    let mut cell = String::with_capacity(text.len() + 2);
    if text.starts_with(['=', '+', '-', '@']) {
        cell.push('\\');
    }
    for character in text.chars() {
        match character {
            '\\' => cell.push_str("\\\\"),
            '\n' => cell.push_str("\\n"),
            '\r' => cell.push_str("\\r"),
            '\t' => cell.push_str("\\t"),
            '\0' => cell.push_str("\\0"),
            other => cell.push(other),
        }
    }
    cell
}

/// Takes back [`escape`], and nothing that it does not write.
pub(super) fn unescape(cell: &str) -> Option<String> {
    let mut text = String::with_capacity(cell.len());
    let mut characters = cell.chars();
    while let Some(character) = characters.next() {
        text.push(match character {
            '\\' => match characters.next()? {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                '0' => '\0',
                same @ ('\\' | '=' | '+' | '-' | '@') => same,
                _ => return None,
            },
            other => other,
        });
    }
    (escape(&text) == cell).then_some(text)
}
