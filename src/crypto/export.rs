//! The audit log as a file: JSON lines or CSV, written by `secrethub audit export`, read by `secrethub audit verify`.
//!
//! Both hold every field under its own name, one event to a line, and come back exactly. Hashes and signatures are
//! lower-case hex, times RFC 3339 in UTC with six decimals, `event_data` is the canonical JSON that is hashed. A reader takes
//! nothing that a writer would not have written there (another time zone, a second key of the same name, white space
//! in `event_data`): such text could mean one thing to the verifier and another to the next program.
//!
//! # CSV
//!
//! A header line, then one line per event, as in RFC 4180, with these rules inside a cell, so that null and the empty
//! text stay apart, every event is one line and no spreadsheet takes a cell for a formula:
//!
//! | in the file | stands for |
//! |---|---|
//! | `\N`, alone | null |
//! | `\\` | a backslash |
//! | `\n` `\r` `\t` `\0` | line feed, carriage return, tab, NUL |
//! | `\=` `\+` `\-` `\@`, at the start | that character |
//!
//! Numbers, booleans and `event_data` stand as in JSON; `\N` is null for them too.

mod csv_file;
mod jsonl;
mod lines;

use std::fmt;
use std::io;

pub use csv_file::{CsvEvents, CsvWriter, read_csv};
pub use jsonl::{JsonlEvents, read_jsonl, write_jsonl};

use crate::error::Error;

/// The longest line that is read, in bytes.
pub const MAX_LINE_BYTES: usize = 4 << 20;

/// Why a file cannot be read, and where.
#[derive(Debug)]
pub struct ReadError {
    /// Counted from 1; the header of a CSV file is line 1.
    pub line: u64,
    pub problem: ReadProblem,
}

#[derive(Debug)]
pub enum ReadProblem {
    /// Longer than [`MAX_LINE_BYTES`].
    TooLong,
    NotUtf8,
    /// The header of a CSV file does not name exactly the fields of an event, in order.
    Header,
    /// Not an event as a writer writes it; the text says what and where.
    Malformed(String),
    Io(io::Error),
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: ", self.line)?;
        match &self.problem {
            ReadProblem::TooLong => write!(f, "it is longer than {MAX_LINE_BYTES} bytes"),
            ReadProblem::NotUtf8 => f.write_str("it is not UTF-8"),
            ReadProblem::Header => {
                f.write_str("the header is not that of an audit export: use the file as it was exported")
            }
            ReadProblem::Malformed(what) => write!(f, "it is not an event as it is exported: {what}"),
            ReadProblem::Io(error) => write!(f, "the file cannot be read: {error}"),
        }
    }
}

impl std::error::Error for ReadError {}

impl From<ReadError> for Error {
    fn from(error: ReadError) -> Self {
        match error.problem {
            // the operating system's text is for the log
            ReadProblem::Io(_) => {
                Self::bad_input("file", "the file cannot be read: check that it is there and readable")
                    .with_context(error)
            }
            _ => Self::bad_input("file", error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
