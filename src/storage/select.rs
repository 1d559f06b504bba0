//! SELECTs whose conditions depend on what is asked: put together from fixed fragments and bound arguments, never from values.

use crate::error::{Error, Result};
use crate::storage::page::Page;
use crate::storage::types::Inet;
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// A value to bind.
pub(super) enum Arg<'a> {
    Text(&'a str),
    Int(i64),
    Uuid(Uuid),
    Inet(Inet),
    Time(DateTime<Utc>),
}

/// The text so far and its arguments.
pub(super) struct Select<'a> {
    pub(super) text: String,
    pub(super) args: Vec<Arg<'a>>,
    conditions: usize,
    /// Placeholders that the head uses already.
    bound: usize,
}

/// Binds every argument of a [`Select`] to a query.
macro_rules! bind_all {
    ($query:expr, $args:expr) => {{
        let mut query = $query;
        for arg in $args {
            query = match arg {
                $crate::storage::select::Arg::Text(value) => query.bind(*value),
                $crate::storage::select::Arg::Int(value) => query.bind(*value),
                $crate::storage::select::Arg::Uuid(value) => query.bind(*value),
                $crate::storage::select::Arg::Inet(value) => query.bind(*value),
                $crate::storage::select::Arg::Time(value) => query.bind(*value),
            };
        }
        query
    }};
}
/// The rows of a page, in ascending order whichever way it was taken.
macro_rules! page_rows {
    ($tx:expr, $select:expr, $page:expr) => {{
        let $crate::storage::select::Select { text, args, .. } = $select;
        let found = $crate::storage::db::on!($tx, c => $crate::storage::select::bind_all!(
            sqlx::query_as(sqlx::AssertSqlSafe(text)), &args
        ).fetch_all(c));
        found.map(|mut rows: Vec<_>| {
            if $page.backward {
                rows.reverse();
            }
            rows
        })
    }};
}
pub(super) use {bind_all, page_rows};

impl<'a> Select<'a> {
    pub(super) fn new(head: &'static str) -> Self {
        Self::after(head, 0)
    }

    /// A head (of any statement) that already has `bound` placeholders, which the caller binds first.
    pub(super) fn after(head: &'static str, bound: usize) -> Self {
        Self { text: head.to_owned(), args: Vec::new(), conditions: 0, bound }
    }

    /// Adds an argument; the number of its placeholder.
    fn push(&mut self, arg: Arg<'a>) -> usize {
        self.args.push(arg);
        self.bound + self.args.len()
    }

    /// A condition without an argument.
    pub(super) fn when(&mut self, condition: &'static str) {
        self.text.push_str(if self.conditions == 0 { " WHERE " } else { " AND " });
        self.text.push_str(condition);
        self.conditions += 1;
    }

    /// A condition on one argument, which stands as `$?` in it, as often as needed.
    pub(super) fn and(&mut self, condition: &'static str, arg: Arg<'a>) {
        self.when("");
        let number = self.push(arg);
        self.text.push_str(&condition.replace("$?", &format!("${number}")));
    }

    /// A condition on two arguments, which stand as `$a` and `$b` in it.
    pub(super) fn and_two(&mut self, condition: &'static str, a: Arg<'a>, b: Arg<'a>) {
        self.when("");
        let (a, b) = (self.push(a), self.push(b));
        self.text.push_str(&condition.replace("$a", &format!("${a}")).replace("$b", &format!("${b}")));
    }

    /// `column IN (...)`; with an empty list nothing matches.
    pub(super) fn any_of(&mut self, column: &'static str, values: impl IntoIterator<Item = Arg<'a>>) {
        self.when(column);
        self.text.push_str(" IN (");
        let first = self.args.len();
        for arg in values {
            if self.args.len() > first {
                self.text.push_str(", ");
            }
            let number = self.push(arg);
            self.text.push_str(&format!("${number}"));
        }
        // PostgreSQL takes no empty list
        self.text.push_str(if self.args.len() == first { "NULL)" } else { ")" });
    }

    /// Order and limit.
    pub(super) fn order(&mut self, order: &'static str, limit: i64) {
        let number = self.push(Arg::Int(limit.max(0)));
        self.text.push_str(&format!(" ORDER BY {order} LIMIT ${number}"));
    }

    /// The same as [`page`](Self::page) over a column of UUIDs; the page's keys are UUIDs as texts.
    ///
    /// # Errors
    /// `BAD_USER_INPUT` at `after` or `before` for a key that is no UUID.
    pub(super) fn page_by_id(&mut self, page: &Page, key: &Key) -> Result<()> {
        for (condition, cursor, field) in
            [(key.greater, &page.after, "after"), (key.less, &page.before, "before")]
        {
            if let Some(cursor) = cursor {
                let id = Uuid::parse_str(cursor).map_err(|_| {
                    Error::bad_input(field, "this is no cursor of this list: take one from an earlier answer")
                })?;
                self.and(condition, Arg::Uuid(id));
            }
        }
        self.order(if page.backward { key.descending } else { key.ascending }, page.limit);
        Ok(())
    }

    /// The conditions, order and limit of one page; the fragments name the page's key.
    pub(super) fn page(&mut self, page: &'a Page, key: &Key) {
        if let Some(after) = &page.after {
            self.and(key.greater, Arg::Text(after));
        }
        if let Some(before) = &page.before {
            self.and(key.less, Arg::Text(before));
        }
        self.order(if page.backward { key.descending } else { key.ascending }, page.limit);
    }
}

/// The fragments that a page needs of its key column.
pub(super) struct Key {
    pub(super) greater: &'static str,
    pub(super) less: &'static str,
    pub(super) ascending: &'static str,
    pub(super) descending: &'static str,
}

macro_rules! key {
    ($column:literal) => {
        $crate::storage::select::Key {
            greater: concat!($column, " > $?"),
            less: concat!($column, " < $?"),
            ascending: $column,
            descending: concat!($column, " DESC"),
        }
    };
}
pub(super) use key;

/// A text as a LIKE pattern that finds it anywhere, for `ESCAPE '\'`.
pub(super) fn like_anywhere(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

/// For an update by key of a row that the caller has just read.
///
/// # Errors
/// `CONFLICT` if it was not there any more.
pub(super) fn changed_one(rows: u64) -> Result<()> {
    if rows == 1 {
        return Ok(());
    }
    Err(Error::conflict("the record was changed or removed meanwhile: read it again and retry"))
}
