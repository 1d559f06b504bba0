//! Opening an SQLite file that others may be opening too.

use crate::error::Result;
use crate::storage::db::{ACQUIRE_TIMEOUT, BUSY_TIMEOUT};
use sqlx::Connection;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use std::time::Duration;

/// How long to wait before opening the file again where SQLite does not wait by itself.
const BUSY_STEP: Duration = Duration::from_millis(20);

/// Opens a pool. SQLite does not wait, whatever its timeout, while another process that starts at the same time turns a new file
/// to write-ahead logging; so we do.
pub(super) async fn sqlite_pool(max_connections: u32, options: SqliteConnectOptions) -> Result<SqlitePool> {
    let mut waited = Duration::ZERO;
    loop {
        let opened = SqlitePoolOptions::new()
            .max_connections(max_connections)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .test_before_acquire(false)
            // SQLite ends a transaction by itself when the disk is full; sqlx then goes on believing that there is one, and
            // would begin none on this connection any more
            .before_acquire(|connection, _| {
                let left_over = connection.is_in_transaction();
                Box::pin(async move { Ok(!left_over) })
            })
            .connect_with(options.clone())
            .await;
        match opened {
            Err(error) if is_busy(&error) && waited < BUSY_TIMEOUT => {
                tokio::time::sleep(BUSY_STEP).await;
                waited += BUSY_STEP;
            }
            opened => return Ok(opened?),
        }
    }
}

/// SQLITE_BUSY, in any of its extended forms.
fn is_busy(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(database)
        if database.code().is_some_and(|code| code.parse::<i64>().is_ok_and(|code| code & 0xff == 5)))
}
