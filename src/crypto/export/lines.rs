//! Lines of a limited length.

use std::io::BufRead;

use super::{MAX_LINE_BYTES, ReadError, ReadProblem};

/// Reads line by line into one buffer, never more than the limit, and stops for good after an error.
pub(super) struct Lines<R> {
    reader: R,
    line: u64,
    buffer: Vec<u8>,
    limit: usize,
    done: bool,
}

impl<R: BufRead> Lines<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, line: 0, buffer: Vec::new(), limit: MAX_LINE_BYTES, done: false }
    }

    /// The next line through `parse`, which says what is wrong with it.
    pub(super) fn next<T>(
        &mut self,
        parse: impl FnOnce(&str) -> Result<T, ReadProblem>,
    ) -> Option<Result<T, ReadError>> {
        if self.done {
            return None;
        }
        self.line += 1;
        let parsed = match self.fill() {
            Ok(false) => {
                self.done = true;
                return None;
            }
            Ok(true) => match std::str::from_utf8(&self.buffer) {
                Ok(text) => parse(text),
                Err(_) => Err(ReadProblem::NotUtf8),
            },
            Err(problem) => Err(problem),
        };
        Some(parsed.map_err(|problem| {
            self.done = true;
            ReadError { line: self.line, problem }
        }))
    }

    /// Fills the buffer with a line without its end; false at the end of the file.
    fn fill(&mut self) -> Result<bool, ReadProblem> {
        self.buffer.clear();
        loop {
            let available = match self.reader.fill_buf() {
                Ok(available) => available,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(ReadProblem::Io(error)),
            };
            if available.is_empty() {
                return Ok(!self.buffer.is_empty());
            }
            let end = available.iter().position(|byte| *byte == b'\n');
            let part = end.unwrap_or(available.len());
            if self.buffer.len() + part > self.limit {
                return Err(ReadProblem::TooLong);
            }
            self.buffer.extend_from_slice(&available[..part]);
            self.reader.consume(part + usize::from(end.is_some()));
            if end.is_some() {
                if self.buffer.last() == Some(&b'\r') {
                    self.buffer.pop();
                }
                return Ok(true);
            }
        }
    }
}
