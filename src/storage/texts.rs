//! Statements over many rows or keys: one group of placeholders for each, in numbers that are powers of two, so that few texts are
//! prepared and kept.

/// The texts of one statement for 1, 2, 4, ... groups.
pub(super) struct Texts {
    sqlite: Vec<String>,
    postgres: Vec<String>,
}

impl Texts {
    /// A group of `columns` placeholders for each row or key, between these two; at most `1 << longest` groups.
    pub(super) fn new(before: &str, columns: usize, after: &str, longest: u32) -> Self {
        let text = |power: u32, placeholder: &dyn Fn(usize) -> String| {
            let group = |row| {
                let placeholders = (1..=columns).map(|column| placeholder(row * columns + column));
                format!("({})", placeholders.collect::<Vec<_>>().join(", "))
            };
            let groups = (0..1_usize << power).map(group).collect::<Vec<_>>();
            format!("{before}{}{after}", groups.join(", "))
        };
        // '?' for '$1': SQLite finds the number of a named argument by a search through all names, so binding thousands of them
        // takes time by the square of their number
        Self {
            sqlite: (0..=longest).map(|power| text(power, &|_| "?".to_owned())).collect(),
            postgres: (0..=longest).map(|power| text(power, &|number| format!("${number}"))).collect(),
        }
    }

    fn of(&self, is_postgres: bool) -> &[String] {
        if is_postgres { &self.postgres } else { &self.sqlite }
    }

    /// The longest statement that is not longer than what is left, and how many rows it takes.
    pub(super) fn rows(&self, is_postgres: bool, left: usize) -> (&str, usize) {
        let texts = self.of(is_postgres);
        let power = (left.max(1).ilog2() as usize).min(texts.len() - 1);
        (&texts[power], 1 << power)
    }

    /// The shortest statement that takes all that is left, or else the longest, and how many keys it takes: the last is given
    /// again to fill it.
    pub(super) fn keys(&self, is_postgres: bool, left: usize) -> (&str, usize) {
        let texts = self.of(is_postgres);
        let power = (left.max(1).next_power_of_two().ilog2() as usize).min(texts.len() - 1);
        (&texts[power], 1 << power)
    }
}

/// Executes a statement with all rows on a [`Connected`] database, or `@on` the connection of one; how many rows it changed.
/// `$bind!(query, row)` binds the columns of one.
///
/// [`Connected`]: crate::storage::db::Connected
macro_rules! exec_rows {
    ($connection:expr, $texts:expr, $rows:expr, $bind:ident) => {{
        use $crate::storage::db::Connected;
        use $crate::storage::texts::exec_rows;
        match $connection {
            Connected::Sqlite(tx) => exec_rows!(@on &mut **tx, false, $texts, $rows, $bind),
            Connected::Postgres(tx) => exec_rows!(@on &mut **tx, true, $texts, $rows, $bind),
        }
    }};
    (@on $connection:expr, $is_postgres:literal, $texts:expr, $rows:expr, $bind:ident) => {{
        let texts: &'static $crate::storage::texts::Texts = $texts;
        let mut rest: &[_] = $rows;
        let mut changed = 0_u64;
        while !rest.is_empty() {
            let (text, count) = texts.rows($is_postgres, rest.len());
            let (chunk, later) = rest.split_at(count);
            let mut query = sqlx::query(text);
            for row in chunk {
                query = $bind!(query, row);
            }
            changed += query.execute($connection).await?.rows_affected();
            rest = later;
        }
        changed
    }};
}

/// What is found for all these keys, in no order: as many rows as the statement makes of one key, and again for keys that are given
/// again. `$query, $key => $bound` binds a key.
macro_rules! select_keys {
    ($tx:expr, $texts:expr, $keys:expr, $query:ident, $key:ident => $bind:expr) => {{
        let tx: &mut $crate::storage::db::Tx = $tx;
        let texts: &'static $crate::storage::texts::Texts = $texts;
        let mut rest: &[_] = $keys;
        let mut found = Vec::new();
        while let Some(last) = rest.len().checked_sub(1) {
            let (text, count) = texts.keys(tx.is_postgres(), rest.len());
            let rows = $crate::storage::db::on!(tx, c => {
                let mut $query = sqlx::query_as(text);
                for index in 0..count {
                    let $key = &rest[index.min(last)];
                    $query = $bind;
                }
                $query.fetch_all(c)
            })?;
            found.extend(rows);
            rest = &rest[count.min(rest.len())..];
        }
        Ok(found)
    }};
}

/// The values of one column of all rows.
macro_rules! column {
    ($rows:expr, $row:ident => $value:expr) => {
        $rows.iter().map(|$row| $value).collect::<Vec<_>>()
    };
}
pub(super) use {column, exec_rows, select_keys};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_take_what_there_is() {
        let texts = Texts::new("INSERT INTO t VALUES ", 2, " DO IT", 3);
        assert_eq!(texts.rows(true, 1), ("INSERT INTO t VALUES ($1, $2) DO IT", 1));
        assert_eq!(texts.rows(false, 3), ("INSERT INTO t VALUES (?, ?), (?, ?) DO IT", 2));
        assert_eq!(texts.rows(true, 3).0, "INSERT INTO t VALUES ($1, $2), ($3, $4) DO IT");
        assert_eq!(texts.rows(true, 100).1, 8);
        assert_eq!((texts.keys(true, 1).1, texts.keys(true, 3).1, texts.keys(true, 8).1), (1, 4, 8));
        assert_eq!(texts.keys(true, 100).1, 8);
    }
}
