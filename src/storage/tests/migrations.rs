use crate::error::{ErrorCode, Result};
use crate::storage::db::{Db, StoreUrl, exec};
use crate::storage::migrations::{POSTGRES, SQLITE, migrate};
use crate::storage::testing::{PostgresDatabase, both_stores, shown};
use std::collections::BTreeSet;

#[test]
fn files_are_paired() {
    let names = |folder: &str| -> BTreeSet<String> {
        std::fs::read_dir(format!("{}/migrations/{folder}", env!("CARGO_MANIFEST_DIR")))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    };
    let (sqlite, postgres) = (names("sqlite"), names("postgres"));
    assert_eq!(sqlite, postgres);
    // also what was compiled in: a new file is not seen until this crate is built again
    let compiled = |migrator: &sqlx::migrate::Migrator| -> BTreeSet<String> {
        migrator.iter().map(|m| format!("{:04}_{}.sql", m.version, m.description.replace(' ', "_"))).collect()
    };
    assert_eq!(compiled(&SQLITE), sqlite);
    assert_eq!(compiled(&POSTGRES), postgres);
}

async fn again(db: Db) -> Result<()> {
    migrate(&db).await?;
    migrate(&db).await
}

async fn newer(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    exec!(
        &mut tx,
        sqlx::query(
            "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) \
             VALUES (9999, 'from the future', true, $1, 0)"
        )
        .bind(vec![1_u8])
    )?;
    tx.commit().await?;
    let refused = migrate(&db).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Unavailable);
    assert!(refused.message().starts_with("the database was written by a newer version of secrethub: "));
    // and the refusal leaves no lock behind
    assert_eq!(migrate(&db).await.unwrap_err().code(), ErrorCode::Unavailable);
    Ok(())
}

async fn altered(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    exec!(
        &mut tx,
        sqlx::query("UPDATE _sqlx_migrations SET checksum = $1 WHERE version = 2").bind(vec![1_u8])
    )?;
    tx.commit().await?;
    assert_eq!(migrate(&db).await.unwrap_err().code(), ErrorCode::Unavailable);
    Ok(())
}

/// Four servers that start at the same time on an empty database, each with its own connections.
async fn together(url: &StoreUrl) {
    let starts: Vec<_> = (0..4)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move {
                let db = Db::connect(&url, 2).await?;
                let done = migrate(&db).await;
                db.close().await;
                done
            })
        })
        .collect();
    for start in starts {
        shown(start.await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn four_at_once_on_sqlite() {
    let folder = tempfile::tempdir().unwrap();
    for n in 0..20 {
        together(&StoreUrl::Sqlite(folder.path().join(format!("{n}.db")))).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn four_at_once_on_postgres() {
    let database = PostgresDatabase::create().await;
    together(&database.url).await;
    database.drop().await;
}

both_stores!(migrate_again, again);
both_stores!(migrate_newer, newer);
both_stores!(migrate_altered, altered);
