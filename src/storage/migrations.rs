//! The schema, brought up to date at start.

use crate::error::{Error, ErrorCode, Result};
use crate::storage::db::Db;
use sqlx::Connection;
use sqlx::migrate::{MigrateError, Migrator};

pub(super) static SQLITE: Migrator = sqlx::migrate!("./migrations/sqlite");
pub(super) static POSTGRES: Migrator = sqlx::migrate!("./migrations/postgres");

// `run_direct`, not `run`: the future of `run` on a borrowed connection is not `Send` for the compiler, which says that
// `Acquire` "is not general enough".

/// Applies the migrations that are missing. Several processes may start at once: one applies, the others wait for it.
///
/// # Errors
/// `UNAVAILABLE` if the database cannot be reached, or was written by a newer or an altered version of the program.
pub async fn migrate(db: &Db) -> Result<()> {
    match db {
        Db::Sqlite { writer, .. } => {
            // sqlx takes no lock on SQLite: without this transaction two processes would both create the first table.
            // Each migration's own transaction is a savepoint in it.
            let mut tx = writer.begin_with("BEGIN IMMEDIATE").await?;
            SQLITE.run_direct(None, &mut *tx, false).await.map_err(explain)?;
            tx.commit().await?;
        }
        Db::Postgres(pools) => {
            let pool = &pools.writer();
            // a connection of its own, closed at the end: if a migration fails, sqlx leaves its advisory lock taken
            let mut connection = pool.acquire().await?.detach();
            let done = migrate_postgres(&mut connection).await;
            let closed = connection.close().await;
            done?;
            closed?;
        }
    }
    Ok(())
}

async fn migrate_postgres(connection: &mut sqlx::PgConnection) -> Result<()> {
    // a migration may take its time, and so may waiting for the one who is at it
    sqlx::query("SET statement_timeout = 0").execute(&mut *connection).await?;
    POSTGRES.run_direct(None, &mut *connection, false).await.map_err(explain)
}

fn explain(error: MigrateError) -> Error {
    match error {
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => Error::from(error),
        MigrateError::VersionMissing(version) => Error::new(
            ErrorCode::Unavailable,
            "the database was written by a newer version of secrethub: start that version, or restore a backup of this one",
        )
        .with_context(format!("migration {version} is applied and unknown to this program")),
        MigrateError::VersionMismatch(version) | MigrateError::Dirty(version) => Error::new(
            ErrorCode::Unavailable,
            "the database's schema is not the one of this version of secrethub: start the version that wrote it",
        )
        .with_context(format!("migration {version} was altered or left unfinished")),
        other => Error::internal(other),
    }
}
