//! A fresh, migrated store per test, on each of the two databases.
//!
//! `both_stores!(name, body)` makes the tests `name::sqlite` and `name::postgres` of one `async fn body(db: Db) -> Result<()>`.
//! PostgreSQL is not optional: without `SECRETHUB_TEST_POSTGRES_URL` (the URL of a server's administrator) its half fails.

use crate::error::{Error, Result};
use crate::storage::db::{Db, StoreUrl};
use crate::storage::migrations::migrate;
use chrono::{DateTime, TimeZone, Utc};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use std::str::FromStr;
use uuid::Uuid;

const VARIABLE: &str = "SECRETHUB_TEST_POSTGRES_URL";

macro_rules! both_stores {
    ($name:ident, $body:path) => {
        mod $name {
            #[allow(unused_imports, reason = "the body is named as its module sees it")]
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn sqlite() {
                $crate::storage::testing::on_sqlite($body).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn postgres() {
                $crate::storage::testing::on_postgres($body).await;
            }
        }
    };
}
pub(crate) use both_stores;

/// Runs a body on a migrated SQLite file.
pub(crate) async fn on_sqlite<F: Future<Output = Result<()>> + Send + 'static>(body: impl FnOnce(Db) -> F) {
    let folder = tempfile::tempdir().unwrap();
    let url = StoreUrl::Sqlite(folder.path().join("test.db"));
    let db = shown(open(&url).await);
    shown(body(db.clone()).await);
    db.close().await;
}

/// Runs a body on a migrated PostgreSQL database of its own, which is dropped at the end, also if the body panics.
pub(crate) async fn on_postgres<F: Future<Output = Result<()>> + Send + 'static>(body: impl FnOnce(Db) -> F) {
    let database = PostgresDatabase::create().await;
    let db = shown(open(&database.url).await);
    let outcome = tokio::spawn(body(db.clone())).await;
    db.close().await;
    database.drop().await;
    match outcome {
        Ok(result) => shown(result),
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}

async fn open(url: &StoreUrl) -> Result<Db> {
    let db = Db::connect(url, 40).await?;
    migrate(&db).await?;
    Ok(db)
}

/// The value, or a panic that shows the private context too.
pub(crate) fn shown<T>(result: Result<T>) -> T {
    result.unwrap_or_else(|error: Error| {
        panic!("{error}; context: {}", error.log_context().unwrap_or_default())
    })
}

/// An empty PostgreSQL database of a test's own.
pub(crate) struct PostgresDatabase {
    pub(crate) url: StoreUrl,
    admin_url: String,
    name: String,
}

impl PostgresDatabase {
    pub(crate) async fn create() -> Self {
        let admin_url = std::env::var(VARIABLE).unwrap_or_else(|_| {
            panic!(
                "{VARIABLE} is not set: tests of the storage need a PostgreSQL server; \
                 set it to the URL of its administrator, such as postgres://postgres@127.0.0.1:5432/postgres"
            )
        });
        let name = format!("secrethub_test_{}", Uuid::new_v4().simple());
        let mut admin = PgConnection::connect(&admin_url).await.unwrap();
        // template0 has no connections that could be in the way of other tests' creating theirs
        sqlx::query(AssertSqlSafe(format!("CREATE DATABASE {name} TEMPLATE template0")))
            .execute(&mut admin)
            .await
            .unwrap();
        admin.close().await.unwrap();
        let (server, query) =
            admin_url.split_once('?').map_or((admin_url.as_str(), None), |(s, q)| (s, Some(q)));
        let (server, _) = server.rsplit_once('/').unwrap();
        let query = query.map(|query| format!("?{query}")).unwrap_or_default();
        Self { url: StoreUrl::Postgres(format!("{server}/{name}{query}")), admin_url, name }
    }

    pub(crate) async fn drop(self) {
        let mut admin = PgConnection::connect(&self.admin_url).await.unwrap();
        sqlx::query(AssertSqlSafe(format!("DROP DATABASE {} WITH (FORCE)", self.name)))
            .execute(&mut admin)
            .await
            .unwrap();
        admin.close().await.unwrap();
    }
}

/// A time of the year 2026, `micros` microseconds after noon of 15 June.
pub(crate) fn at(micros: i64) -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 6, 15, 12, 0, 0).unwrap() + chrono::Duration::microseconds(micros)
}

/// A time from its RFC 3339 text.
pub(crate) fn time(text: &str) -> DateTime<Utc> {
    DateTime::<Utc>::from_str(text).unwrap()
}

/// Texts that go wrong where quoting, encoding or patterns do.
pub(crate) const ODD: &str = "o'Hara \"x\" \\ % _ $1 ? {a,b} NULL \n\t é 日本 🦀 \u{feff}";
