use super::secrets::secret;
use crate::error::Result;
use crate::storage::db::{Db, Tx, exec, on};
use crate::storage::secrets::{self, SecretRow, VersionInfo, VersionPage, VersionRow};
use crate::storage::secrets_versions::{FORGET, PRUNE};
use crate::storage::secrets_writing::POSTGRES;
use crate::storage::testing::{ODD, at, both_stores};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

async fn with_versions(tx: &mut Tx, path: &str, count: i64) -> Result<SecretRow> {
    let row = SecretRow { version: count, ..secret(path) };
    for version in 1..=count {
        let sealed = VersionRow {
            secret_id: row.id,
            version,
            encrypted_data: Some(vec![0, 255, u8::try_from(version).unwrap()]),
            key_version: 1 + version % 2,
            created_at: at(version),
            created_by: (version % 2 == 0).then(|| ODD.into()),
            deleted_at: None,
            destroyed: false,
        };
        secrets::write(tx, SecretRow { version, ..row.clone() }, sealed.clone()).await?;
        assert!(secrets::version(tx, row.id, version).await?.unwrap() == sealed);
    }
    Ok(row)
}

fn numbers(rows: &[VersionInfo]) -> Vec<i64> {
    rows.iter().map(|row| row.version).collect()
}

async fn paging(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let row = with_versions(&mut tx, "a", 12).await?;
    with_versions(&mut tx, "b", 3).await?;
    let mut found = async |after, before, limit, backward| -> Result<Vec<i64>> {
        let page = VersionPage { limit, after, before, backward };
        Ok(numbers(&secrets::versions(&mut tx, row.id, &page).await?))
    };
    assert_eq!(found(None, None, 3, false).await?, [12, 11, 10]);
    assert_eq!(found(Some(10), None, 3, false).await?, [9, 8, 7]);
    assert_eq!(found(None, None, 2, true).await?, [2, 1]);
    assert_eq!(found(None, Some(7), 2, true).await?, [9, 8]);
    assert_eq!(found(Some(11), Some(8), 9, false).await?, [10, 9]);
    Ok(())
}

async fn current(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let row = with_versions(&mut tx, "a", 2).await?;
    let current = secrets::find_current(&mut tx, "a").await?.unwrap();
    assert_eq!(current.secret, row);
    assert_eq!(current.encrypted_data.as_deref(), Some(&[0, 255, 2][..]));
    assert_eq!((current.deleted_at, current.destroyed), (None, false));
    assert_eq!(current.version_created_at, at(2));
    assert_eq!(current.version_created_by.as_deref(), Some(ODD));
    assert!(secrets::find_current(&mut tx, "b").await?.is_none());
    Ok(())
}

async fn deleting(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let row = with_versions(&mut tx, "a", 6).await?;
    let other = with_versions(&mut tx, "b", 6).await?;
    assert_eq!(secrets::set_deleted(&mut tx, row.id, &[1, 3, 99], Some(at(7))).await?, 2);
    assert_eq!(secrets::set_deleted(&mut tx, row.id, &[], Some(at(7))).await?, 0);
    let mut some = secrets::these_versions(&mut tx, row.id, &[99, 3, 2]).await?;
    some.sort_by_key(|info| info.version);
    assert_eq!(
        some.iter().map(|i| (i.version, i.deleted_at)).collect::<Vec<_>>(),
        [(2, None), (3, Some(at(7)))]
    );
    assert!(secrets::these_versions(&mut tx, row.id, &[]).await?.is_empty());
    assert_eq!(secrets::destroy(&mut tx, row.id, &[3, 4]).await?, 2);
    assert_eq!(secrets::destroy(&mut tx, row.id, &[3, 4]).await?, 0, "they are destroyed already");
    assert_eq!(secrets::set_deleted(&mut tx, row.id, &[1, 3], None).await?, 1, "3 cannot come back");
    let third = secrets::version(&mut tx, row.id, 3).await?.unwrap();
    assert!(third.encrypted_data.is_none() && third.destroyed && third.deleted_at == Some(at(7)));
    assert!(secrets::version(&mut tx, row.id, 1).await?.unwrap().deleted_at.is_none());
    assert_eq!(secrets::prune(&mut tx, row.id, 6, 1).await?, 3);
    assert_eq!(secrets::prune(&mut tx, row.id, 6, 6).await?, 0, "all are kept");
    let untouched = secrets::version(&mut tx, other.id, 3).await?.unwrap();
    assert!(untouched.encrypted_data.is_some() && !untouched.destroyed);

    secrets::remove(&mut tx, row.id).await?;
    assert!(secrets::version(&mut tx, row.id, 6).await?.is_none(), "versions go with their secret");
    assert!(secrets::version(&mut tx, other.id, 6).await?.is_some());
    // more than one statement's worth of numbers
    let many: Vec<i64> = (1..=1200).collect();
    assert_eq!(secrets::destroy(&mut tx, other.id, &many).await?, 6);
    Ok(())
}

async fn rewrapping(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let row = with_versions(&mut tx, "a", 6).await?; // keys 2 1 2 1 2 1
    secrets::destroy(&mut tx, row.id, &[2]).await?;
    let left = secrets::sealed_under_older_key(&mut tx, 2, None, 100).await?;
    let found: Vec<i64> = left.iter().map(|v| v.version).collect();
    assert_eq!(found, [4, 6], "2 is destroyed, the others have that key");
    assert!(secrets::sealed_under_older_key(&mut tx, 1, None, 100).await?.is_empty(), "none is older");
    let first = secrets::sealed_under_older_key(&mut tx, 3, None, 2).await?;
    assert_eq!(first.iter().map(|v| (v.key_version, v.version)).collect::<Vec<_>>(), [(1, 4), (1, 6)]);
    let rest = secrets::sealed_under_older_key(&mut tx, 3, Some((1, row.id, 6)), 100).await?;
    assert_eq!(rest.iter().map(|v| (v.key_version, v.version)).collect::<Vec<_>>(), [(2, 1), (2, 3), (2, 5)]);

    assert!(!secrets::replace_sealed(&mut tx, row.id, 4, b"not what is there", b"new", 2).await?);
    assert!(secrets::replace_sealed(&mut tx, row.id, 4, &[0, 255, 4], b"new", 2).await?);
    assert!(!secrets::replace_sealed(&mut tx, row.id, 4, &[0, 255, 4], b"again", 3).await?);
    assert!(!secrets::replace_sealed(&mut tx, row.id, 2, b"", b"new", 2).await?, "destroyed stays destroyed");
    assert!(!secrets::replace_sealed(&mut tx, Uuid::nil(), 4, b"new", b"x", 2).await?);
    let replaced = secrets::version(&mut tx, row.id, 4).await?.unwrap();
    assert!(replaced.encrypted_data.as_deref() == Some(b"new") && replaced.key_version == 2);
    Ok(())
}

/// A path that is written often: what there is to look at stays bounded, and both statements find it by an index.
async fn pruning(db: Db) -> Result<()> {
    const PUTS: i64 = secrets::REMEMBERED + 300;
    let mut tx = db.begin().await?;
    let mut row = with_versions(&mut tx, "a", 10).await?;
    let other = with_versions(&mut tx, "b", 10).await?;
    let first = secrets::version(&mut tx, row.id, 10).await?.unwrap();
    for version in 11..=PUTS {
        (row.version, row.max_versions) = (version, 10);
        secrets::write(&mut tx, row.clone(), VersionRow { version, ..first.clone() }).await?;
        let pruned = secrets::version(&mut tx, row.id, version - 10).await?.unwrap();
        assert!(pruned.destroyed && pruned.encrypted_data.is_none(), "{version}");
    }
    tx.commit().await?;
    if db.is_postgres() {
        let mut tx = db.begin().await?;
        exec!(&mut tx, sqlx::query("ANALYZE secret_versions"))?;
        tx.commit().await?;
    }

    let mut tx = db.begin().await?;
    let count: (i64, i64, i64) = on!(&mut tx, c => sqlx::query_as(
        "SELECT count(*), count(encrypted_data), min(version) FROM secret_versions WHERE secret_id = $1"
    ).bind(row.id).fetch_one(c))?;
    assert_eq!(count, (secrets::REMEMBERED, 10, PUTS - secrets::REMEMBERED + 1));
    assert!(secrets::version(&mut tx, other.id, 1).await?.unwrap().encrypted_data.is_some());
    for (text, index) in [
        (PRUNE, "secret_versions_data"),
        (
            FORGET,
            if db.is_postgres() { "secret_versions_pkey" } else { "sqlite_autoindex_secret_versions_1" },
        ),
    ] {
        let plan = plan(&mut tx, text).await?;
        assert!(plan.iter().any(|step| step.contains(index)), "{text}: {plan:#?}");
    }
    if db.is_postgres() {
        let plan = plan_of_writes(&mut tx).await?;
        for index in ["secret_versions_data", "secret_versions_pkey"] {
            assert!(plan.iter().any(|step| step.contains(index)), "{index}: {plan:#?}");
        }
    }
    Ok(())
}

/// Of the statement that PostgreSQL takes for any number of writes, for one that prunes and forgets.
async fn plan_of_writes(tx: &mut Tx) -> Result<Vec<String>> {
    exec!(tx, sqlx::raw_sql(AssertSqlSafe(format!("PREPARE writes AS {POSTGRES}"))))?;
    let none = ["'{}'"; 22].join(", ");
    let span = "ARRAY['00000000-0000-0000-0000-000000000000'::uuid], ARRAY[300], ARRAY[301]";
    on!(tx, c => sqlx::query_scalar(AssertSqlSafe(format!("EXPLAIN EXECUTE writes ({none}, {span}, {span})")))
        .fetch_all(c))
}

async fn plan(tx: &mut Tx, text: &str) -> Result<Vec<String>> {
    let text =
        text.replace("$1", "'00000000-0000-0000-0000-000000000000'").replace("$2", "400").replace("$3", "0");
    if tx.is_postgres() {
        return on!(tx, c => sqlx::query_scalar(AssertSqlSafe(format!("EXPLAIN {text}"))).fetch_all(c));
    }
    let steps: Vec<(i64, i64, i64, String)> =
        on!(tx, c => sqlx::query_as(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {text}"))).fetch_all(c))?;
    Ok(steps.into_iter().map(|step| step.3).collect())
}

both_stores!(version_paging, paging);
both_stores!(pruning_versions, pruning);
both_stores!(current_version, current);
both_stores!(deleting_versions, deleting);
both_stores!(rewrapping_versions, rewrapping);
