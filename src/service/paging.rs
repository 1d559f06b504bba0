//! Pages: cursors, limits, and the connection that every list is answered with (Relay's cursor connections).

use crate::error::{Error, Result};
use crate::storage::page::Page;
use data_encoding::BASE64URL_NOPAD;

/// The most items on a page, and how many there are if no number is asked for.
pub const MAX_PAGE: i32 = 100;
pub const DEFAULT_PAGE: i32 = 50;

/// Which part of a list is asked for.
#[derive(Debug, Clone, Default)]
pub struct PageRequest {
    pub first: Option<i32>,
    pub after: Option<String>,
    pub last: Option<i32>,
    pub before: Option<String>,
}

/// A part of a list, in the list's order.
#[derive(Debug, Clone)]
pub struct Connection<T> {
    /// Cursors and items.
    pub edges: Vec<(String, T)>,
    pub has_next_page: bool,
    pub has_previous_page: bool,
    /// Where to go on backward: the first edge's, unless the search for the page stopped elsewhere.
    pub start_cursor: Option<String>,
    /// Where to go on forward: the last edge's, unless the search for the page stopped elsewhere.
    pub end_cursor: Option<String>,
}

impl<T> Connection<T> {
    /// There is more, but it was not looked for: the next page goes on from this key.
    pub(super) fn stopped_at(mut self, key: &str, backward: bool) -> Self {
        if backward {
            self.has_previous_page = true;
            self.start_cursor = Some(Cursor::text(key));
        } else {
            self.has_next_page = true;
            self.end_cursor = Some(Cursor::text(key));
        }
        self
    }
}

/// The position of an item in its list, as an opaque text.
pub struct Cursor;

impl Cursor {
    /// From the key that the list is ordered by.
    #[must_use]
    pub fn text(key: impl AsRef<[u8]>) -> String {
        BASE64URL_NOPAD.encode(key.as_ref())
    }

    /// The number behind a cursor of what is ordered by numbers.
    pub(super) fn number(field: &'static str, cursor: &str) -> Result<i64> {
        let key = Self::key(field, cursor)?;
        key.parse().map_err(|_| {
            Error::bad_input(field, "this is no cursor of this list: take one from an earlier answer")
        })
    }

    fn key(field: &'static str, cursor: &str) -> Result<String> {
        let bad =
            || Error::bad_input(field, "this is no cursor of this list: take one from an earlier answer");
        let bytes = BASE64URL_NOPAD.decode(cursor.as_bytes()).map_err(|_| bad())?;
        // no key of ours has control characters, and PostgreSQL takes no text with a NUL
        let key = String::from_utf8(bytes).map_err(|_| bad())?;
        if key.chars().any(char::is_control) { Err(bad()) } else { Ok(key) }
    }
}

/// A checked page request.
#[derive(Debug, Clone)]
pub struct Window {
    pub limit: usize,
    pub backward: bool,
    pub after: Option<String>,
    pub before: Option<String>,
}

impl PageRequest {
    /// # Errors
    /// `BAD_USER_INPUT` at `first`, `last`, `after` or `before`.
    pub fn window(&self) -> Result<Window> {
        let (field, number) = match (self.first, self.last) {
            (Some(_), Some(_)) => return Err(Error::bad_input("first", "give either 'first' or 'last'")),
            (None, Some(last)) => ("last", last),
            (first, None) => ("first", first.unwrap_or(DEFAULT_PAGE)),
        };
        let limit = usize::try_from(number).ok().filter(|_| (1..=MAX_PAGE).contains(&number));
        Ok(Window {
            limit: limit.ok_or_else(|| Error::bad_input(field, "a page has 1 to 100 items"))?,
            backward: self.last.is_some(),
            after: self.after.as_deref().map(|cursor| Cursor::key("after", cursor)).transpose()?,
            before: self.before.as_deref().map(|cursor| Cursor::key("before", cursor)).transpose()?,
        })
    }
}

impl Window {
    /// The rows to ask the store for: one more than the page, to know whether there are more.
    pub fn page(&self) -> Result<Page> {
        let limit = i64::try_from(self.limit).map_err(Error::internal)? + 1;
        Ok(Page { limit, after: self.after.clone(), before: self.before.clone(), backward: self.backward })
    }

    /// The number behind a cursor of a list that is ordered by numbers.
    pub fn numbers(&self) -> Result<(Option<i64>, Option<i64>)> {
        let number = |field: &'static str, key: &Option<String>| {
            let parsed = key.as_deref().map(str::parse::<i64>).transpose();
            parsed.map_err(|_| {
                Error::bad_input(field, "this is no cursor of this list: take one from an earlier answer")
            })
        };
        Ok((number("after", &self.after)?, number("before", &self.before)?))
    }

    /// Makes the answer from rows in the list's order, of which there may be one too many at the far end.
    pub fn connection<R, T>(
        &self,
        mut rows: Vec<R>,
        cursor: impl Fn(&R) -> String,
        convert: impl Fn(R) -> T,
    ) -> Connection<T> {
        let more = rows.len() > self.limit;
        if more && self.backward {
            rows.drain(..rows.len() - self.limit);
        } else {
            rows.truncate(self.limit);
        }
        let (next, previous) = match self.backward {
            false => (more, self.after.is_some()),
            true => (self.before.is_some(), more),
        };
        let edges: Vec<_> = rows.into_iter().map(|row| (cursor(&row), convert(row))).collect();
        Connection {
            start_cursor: edges.first().map(|(cursor, _)| cursor.clone()),
            end_cursor: edges.last().map(|(cursor, _)| cursor.clone()),
            edges,
            has_next_page: next,
            has_previous_page: previous,
        }
    }
}
