//! The two stores: which one a test runs on, and a fresh database for it.

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use std::path::Path;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    Sqlite,
    Postgres,
}

/// A database of one test. The SQLite file goes with its folder; the PostgreSQL database is dropped at the end.
pub struct Database {
    pub url: String,
    drop_from: Option<(String, String)>,
}

/// The server that the tests make their databases on. Missing is a failure: PostgreSQL is never skipped.
pub fn postgres_server() -> String {
    std::env::var("SECRETHUB_TEST_POSTGRES_URL").expect(
        "SECRETHUB_TEST_POSTGRES_URL is not set: run tests/run, or name a PostgreSQL server to test on",
    )
}

impl Database {
    pub async fn fresh(store: Store, folder: &Path) -> Self {
        match store {
            Store::Sqlite => Self::at(format!("sqlite:{}", folder.join("store.db").display())),
            Store::Postgres => Self::on_postgres(&postgres_server()).await,
        }
    }

    /// A database that someone else made and removes.
    pub fn at(url: String) -> Self {
        Self { url, drop_from: None }
    }

    async fn on_postgres(server: &str) -> Self {
        let name = format!("t_{}", uuid::Uuid::new_v4().simple());
        let mut connection = PgConnection::connect(server).await.expect("the test PostgreSQL answers");
        connection.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
        let (base, _) = server.rsplit_once('/').expect("a URL with a database name");
        Self { url: format!("{base}/{name}"), drop_from: Some((server.to_owned(), name)) }
    }

    /// The SQLite file, if it is one.
    pub fn file(&self) -> Option<&Path> {
        self.url.strip_prefix("sqlite:").map(Path::new)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let Some((server, name)) = self.drop_from.take() else { return };
        // a thread of its own: this may run inside the runtime of a test that is ending by a panic
        let dropped = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut connection = PgConnection::connect(&server).await?;
                connection.execute(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))).await?;
                Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
            })
        });
        if !matches!(dropped.join(), Ok(Ok(()))) {
            eprintln!("the test database could not be dropped");
        }
    }
}
