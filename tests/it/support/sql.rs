//! Direct access to a test's database, past the server: to look, and to tamper.

use super::store::Store;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row, SqliteConnection};

/// One connection to either database. Statements are whole texts of the test's own: nothing is bound.
pub enum Sql {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Sql {
    pub async fn open(url: &str) -> Self {
        if url.starts_with("sqlite:") {
            let mut connection = SqliteConnection::connect(url).await.expect("the SQLite file opens");
            connection.execute("PRAGMA busy_timeout = 10000").await.unwrap();
            Self::Sqlite(connection)
        } else {
            Self::Postgres(PgConnection::connect(url).await.expect("the test PostgreSQL answers"))
        }
    }

    pub fn store(&self) -> Store {
        match self {
            Self::Sqlite(_) => Store::Sqlite,
            Self::Postgres(_) => Store::Postgres,
        }
    }

    /// Runs one or more statements; the number of rows that they changed.
    pub async fn run(&mut self, sql: &str) -> u64 {
        let text = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
        let done = match self {
            Self::Sqlite(c) => text.execute(c).await.map(|d| d.rows_affected()),
            Self::Postgres(c) => text.execute(c).await.map(|d| d.rows_affected()),
        };
        done.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The rows of a query whose every column is a text (cast it).
    pub async fn rows(&mut self, sql: &str) -> Vec<Vec<Option<String>>> {
        let text = AssertSqlSafe(sql.to_owned());
        let read =
            match self {
                Self::Sqlite(c) => sqlx::query(text).fetch_all(c).await.map(|rows| {
                    rows.iter().map(|row| (0..row.len()).map(|i| row.get(i)).collect()).collect()
                }),
                Self::Postgres(c) => sqlx::query(text).fetch_all(c).await.map(|rows| {
                    rows.iter().map(|row| (0..row.len()).map(|i| row.get(i)).collect()).collect()
                }),
            };
        read.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// The one whole number that a query gives.
    pub async fn number(&mut self, expression: &str) -> i64 {
        let rows = self.rows(&format!("SELECT CAST(({expression}) AS TEXT)")).await;
        rows[0][0].as_deref().unwrap_or_else(|| panic!("{expression} is null")).parse().unwrap()
    }

    /// A bytes literal in this database's spelling.
    pub fn bytes(&self, hex: &str) -> String {
        match self {
            Self::Sqlite(_) => format!("x'{hex}'"),
            Self::Postgres(_) => format!("'\\x{hex}'::bytea"),
        }
    }

    /// The hexadecimal text of a bytes column.
    pub fn hex(&self, column: &str) -> String {
        match self {
            Self::Sqlite(_) => format!("lower(hex({column}))"),
            Self::Postgres(_) => format!("encode({column}, 'hex')"),
        }
    }

    /// Names and lower-case types of a table's columns, in order.
    pub async fn columns(&mut self, table: &str) -> Vec<(String, String)> {
        let sql = match self {
            Self::Sqlite(_) => {
                format!("SELECT name, lower(type) FROM pragma_table_info('{table}') ORDER BY cid")
            }
            Self::Postgres(_) => format!(
                "SELECT column_name::text, data_type::text FROM information_schema.columns \
                 WHERE table_name = '{table}' ORDER BY ordinal_position"
            ),
        };
        let rows = self.rows(&sql).await;
        rows.into_iter().map(|mut row| (row[0].take().unwrap(), row[1].take().unwrap())).collect()
    }
}
