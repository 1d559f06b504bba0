//! Errors of a store: what a driver's say to the caller, and records that no writer of ours made.

use crate::error::{Error, ErrorCode};

/// What a driver's error means for the caller: whether trying again can help. The text stays in the private context.
impl From<sqlx::Error> for Error {
    fn from(error: sqlx::Error) -> Self {
        if is_passing(&error) { Self::unavailable(error) } else { Self::internal(error) }
    }
}

fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed
        | sqlx::Error::Protocol(_)
        | sqlx::Error::BeginFailed
        | sqlx::Error::InvalidSavePointStatement => true,
        sqlx::Error::Database(database) => {
            let code = database.code().unwrap_or_default();
            if database.try_downcast_ref::<sqlx::postgres::PgDatabaseError>().is_some() {
                // connection, resources (53100 is "disk full"), operator intervention and time-outs, I/O, conflicts, read-only
                ["08", "53", "57", "58"].iter().any(|class| code.starts_with(class))
                    || matches!(&*code, "40001" | "40P01" | "55P03" | "25006" | "25P02" | "3D000" | "28P01")
            } else {
                // SQLITE_BUSY, LOCKED, READONLY, IOERR, FULL, CANTOPEN; the low byte is the primary code
                code.parse::<i64>().is_ok_and(|code| matches!(code & 0xff, 5 | 6 | 8 | 10 | 13 | 14))
            }
        }
        _ => false,
    }
}

/// A stored value that no writer of ours produced: names table, column and row for the log, nothing for the caller.
#[must_use]
pub fn corrupt(table: &str, column: &str, row: &str) -> Error {
    Error::new(ErrorCode::Internal, "a stored record is damaged: report the request id to the operator")
        .with_context(format!("corrupt value in {table}.{column}, row {row}"))
}
