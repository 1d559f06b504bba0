//! The months of the audit log on PostgreSQL: one partition each, made ahead of time.
//!
//! An event of a month that has none lands in the default partition, and is moved when its month is made.

use crate::error::{Error, Result};
use crate::storage::db::Db;
use chrono::{DateTime, Datelike, Months, NaiveDate, Utc};
use sqlx::postgres::PgPool;
use sqlx::{AssertSqlSafe, Executor};

/// Makes the partitions of the month of `now` and of `months_ahead` more; those that were not there yet, by name. Nothing on SQLite,
/// which has no partitions.
///
/// A month is made in a transaction that holds the audit head's lock: appends wait for it, none fails.
///
/// # Errors
/// `UNAVAILABLE` if readers of the audit log were in the way for two seconds; call again later.
pub async fn ensure_months(db: &Db, now: DateTime<Utc>, months_ahead: u32) -> Result<Vec<String>> {
    let Db::Postgres(pools) = db else { return Ok(Vec::new()) };
    let pool = &pools.writer();
    let this_month = first_of_month(now)?;
    let mut made = Vec::new();
    for ahead in 0..=months_ahead {
        let from = later(this_month, ahead)?;
        let name = partition_name(from);
        if !exists(pool, &name).await? && make(pool, &name, from, later(from, 1)?).await? {
            made.push(name);
        }
    }
    Ok(made)
}

fn first_of_month(time: DateTime<Utc>) -> Result<NaiveDate> {
    time.date_naive().with_day(1).ok_or_else(out_of_calendar)
}

fn later(month: NaiveDate, months: u32) -> Result<NaiveDate> {
    month.checked_add_months(Months::new(months)).ok_or_else(out_of_calendar)
}

fn out_of_calendar() -> Error {
    Error::internal("a month of the audit log lies outside the calendar")
}

/// `audit_logs_y2026m01`
fn partition_name(month: NaiveDate) -> String {
    format!("audit_logs_y{:04}m{:02}", month.year(), month.month())
}

async fn exists<'c>(executor: impl Executor<'c, Database = sqlx::Postgres>, name: &str) -> Result<bool> {
    // not to_regclass: it answers from a cache that may not know yet what another node committed while we waited for the lock
    let text = "SELECT EXISTS (SELECT 1 FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
                WHERE i.inhparent = CAST('audit_logs' AS regclass) AND CAST(c.relname AS text) = $1)";
    Ok(sqlx::query_scalar(text).bind(name).fetch_one(executor).await?)
}

/// Whether it was made; `false` if another node was faster.
async fn make(pool: &PgPool, name: &str, from: NaiveDate, to: NaiveDate) -> Result<bool> {
    let mut tx = pool.begin().await?;
    // attaching waits for whoever reads the default partition, and appends wait for us: give up before they would notice
    tx.execute("SET LOCAL lock_timeout = '2s'").await?;
    tx.execute("SELECT id FROM audit_head WHERE id = 1 FOR UPDATE").await?;
    if exists(&mut *tx, name).await? {
        return Ok(false);
    }
    // names and dates are our own digits; attaching makes the indexes
    let (from, to) = (format!("'{from} 00:00:00+00'"), format!("'{to} 00:00:00+00'"));
    let statements = [
        format!("CREATE TABLE {name} (LIKE audit_logs INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"),
        format!(
            "WITH moved AS (DELETE FROM audit_logs_default WHERE timestamp >= {from} AND timestamp < {to} RETURNING *) \
             INSERT INTO {name} SELECT * FROM moved"
        ),
        format!("ALTER TABLE audit_logs ATTACH PARTITION {name} FOR VALUES FROM ({from}) TO ({to})"),
    ];
    for statement in statements {
        sqlx::query(AssertSqlSafe(statement)).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    Ok(true)
}
