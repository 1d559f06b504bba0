use super::audit::{append, bare, event};
use crate::error::{ErrorCode, Result};
use crate::model::audit::AuditEvent;
use crate::storage::audit;
use crate::storage::db::{Db, on};
use crate::storage::partitions::ensure_months;
use crate::storage::testing::{both_stores, time};

/// The partition that each event lies in, in the order of their numbers.
async fn places(db: &Db) -> Result<Vec<String>> {
    let mut tx = db.read().await?;
    on!(&mut tx, c => sqlx::query_scalar("SELECT CAST(tableoid AS regclass)::text FROM audit_logs ORDER BY sequence_number").fetch_all(c))
}

async fn months(db: Db) -> Result<()> {
    let now = time("2026-11-30T23:59:59.999999Z");
    let made = ensure_months(&db, now, 2).await?;
    if !db.is_postgres() {
        assert!(made.is_empty());
        return Ok(());
    }
    assert_eq!(made, ["audit_logs_y2026m11", "audit_logs_y2026m12", "audit_logs_y2027m01"]);
    assert!(ensure_months(&db, now, 2).await?.is_empty());

    let times = [
        "2026-11-01T00:00:00Z",
        "2026-11-30T23:59:59.999999Z",
        "2026-12-01T00:00:00Z",
        "2027-02-01T00:00:00Z", // no partition yet
        "2027-02-28T23:59:59.999999Z",
        "2027-03-01T00:00:00Z",
    ];
    let events: Vec<_> =
        (1..).zip(times).map(|(n, text)| AuditEvent { timestamp: time(text), ..event(n) }).collect();
    let mut tx = db.begin().await?;
    append(&mut tx, &events).await?;
    tx.commit().await?;
    let (nov, dec, feb, rest) =
        ("audit_logs_y2026m11", "audit_logs_y2026m12", "audit_logs_y2027m02", "audit_logs_default");
    assert_eq!(places(&db).await?, [nov, nov, dec, rest, rest, rest]);

    assert_eq!(ensure_months(&db, now, 3).await?, [feb]);
    assert_eq!(places(&db).await?, [nov, nov, dec, feb, feb, rest]);
    let mut tx = db.read().await?;
    assert!(audit::range(&mut tx, 0, 99, 99).await? == events, "nothing was lost or changed by moving");
    drop(tx);
    let mut tx = db.read().await?;
    let indexes: i64 = on!(&mut tx, c => sqlx::query_scalar("SELECT count(*) FROM pg_indexes WHERE tablename = 'audit_logs_y2027m02'").fetch_one(c))?;
    let parent: i64 = on!(&mut tx, c => sqlx::query_scalar("SELECT count(*) FROM pg_indexes WHERE tablename = 'audit_logs'").fetch_one(c))?;
    assert_eq!(indexes, parent);
    Ok(())
}

/// Several nodes make the same months while others append: each is made once, and no append fails.
async fn race(db: Db) -> Result<()> {
    let mut makers = Vec::new();
    for _ in 0..4 {
        let db = db.clone();
        makers.push(tokio::spawn(async move { ensure_months(&db, time("2026-06-01T00:00:00Z"), 3).await }));
    }
    let appender = {
        let db = db.clone();
        tokio::spawn(async move {
            for n in 1..=60 {
                let mut tx = db.begin().await?;
                append(&mut tx, &[bare(n)]).await?;
                tx.commit().await?;
            }
            Ok::<_, crate::error::Error>(())
        })
    };
    let mut made = Vec::new();
    for maker in makers {
        made.extend(maker.await.unwrap()?);
    }
    appender.await.unwrap()?;
    assert_eq!(made.len(), if db.is_postgres() { 4 } else { 0 });
    let mut tx = db.read().await?;
    let numbers: Vec<_> =
        audit::range(&mut tx, 0, 99, 99).await?.into_iter().map(|event| event.sequence_number).collect();
    assert_eq!(numbers, (1..=60).collect::<Vec<_>>());
    drop(tx);
    if db.is_postgres() {
        assert!(places(&db).await?.iter().all(|place| place == "audit_logs_y2026m06"));
    }
    Ok(())
}

/// Attaching waits for readers, and appends would wait for it: it gives up, and can be tried again.
async fn in_the_way(db: Db) -> Result<()> {
    if !db.is_postgres() {
        return Ok(());
    }
    let now = time("2026-06-01T00:00:00Z");
    let mut reader = db.read().await?;
    audit::range(&mut reader, 0, 9, 9).await?;
    assert_eq!(ensure_months(&db, now, 0).await.unwrap_err().code(), ErrorCode::Unavailable);
    let mut tx = db.begin().await?;
    append(&mut tx, &[event(1)]).await?;
    tx.commit().await?;
    drop(reader);
    assert_eq!(ensure_months(&db, now, 0).await?, ["audit_logs_y2026m06"]);
    assert_eq!(places(&db).await?, ["audit_logs_y2026m06"]);
    Ok(())
}

both_stores!(partitions_and_a_reader, in_the_way);
both_stores!(partitions_by_month, months);
both_stores!(partitions_made_by_several, race);
