//! Appending to the audit chain: events, the head that moves to the last of them, and what other nodes must forget, together.
//!
//! On PostgreSQL that is one statement, whatever the number of events: a batch that only records is then one round trip, and
//! its own transaction.

use super::audit::{Head, columns};
use crate::error::Result;
use crate::model::audit::AuditEvent;
use crate::storage::db::{Connected, Db, Tx, exec};
use crate::storage::select::changed_one;
use crate::storage::texts::{Texts, column, exec_rows};
use crate::storage::types::Inet;
use sqlx::postgres::PgArguments;
use sqlx::query::QueryAs;
use sqlx::types::Json;
use sqlx::{Postgres, SqliteConnection};
use std::sync::LazyLock;

/// How many columns an event has.
const COLUMNS: usize = 33;
/// The longest INSERT into SQLite has `1 << LONGEST` rows: 256 rows of 33 values are 8,448 arguments, of the 32,766 that it takes.
const LONGEST: u32 = 8;

static SQLITE: LazyLock<Texts> = LazyLock::new(|| {
    Texts::new(concat!("INSERT INTO audit_logs (", columns!(), ") VALUES "), COLUMNS, "", LONGEST)
});

/// Moves the head from one place to another, in the order of [`bind_heads`].
macro_rules! move_head {
    () => {
        "UPDATE audit_head SET sequence_number = $1, current_hash = $2, signature = $3, generation = $4, updated_at = $5 \
         WHERE id = 1 AND sequence_number = $6 AND generation = $7"
    };
}
macro_rules! bind_heads {
    ($query:expr, $step:expr) => {
        $query
            .bind($step.to.sequence_number)
            .bind(&$step.to.current_hash)
            .bind(&$step.to.signature)
            .bind($step.to.generation)
            .bind($step.to.updated_at)
            .bind($step.from.sequence_number)
            .bind($step.from.generation)
    };
}

/// One array for each column: one text for any number of events. Nothing is written if the head is not where it should be.
const POSTGRES: &str = concat!(
    "WITH head AS (",
    move_head!(),
    " RETURNING id), \
     told AS (INSERT INTO cache_effects (generation, kind, key) SELECT DISTINCT $4::bigint, t.kind, t.key \
     FROM head, UNNEST($8::text[], $9::text[]) AS t (kind, key)), \
     events AS (INSERT INTO audit_logs (",
    columns!(),
    ") SELECT e.* FROM head, UNNEST($10::uuid[], $11::bigint[], $12::timestamptz[], $13::text[], $14::text[], $15::text[], \
     $16::text[], $17::text[], $18::text[], $19::text[], $20::text[], $21::text[], $22::text[], $23::text[], $24::uuid[], \
     $25::text[], $26::bigint[], $27::text[], $28::uuid[], $29::boolean[], $30::text[], $31::text[], $32::inet[], \
     $33::text[], $34::text[], $35::text[], $36::jsonb[], $37::bigint[], $38::text[], $39::boolean[], $40::bytea[], \
     $41::bytea[], $42::bytea[]) AS e) \
     SELECT count(*) FROM head"
);

/// What a batch leaves in the chain.
#[derive(Clone, Copy)]
pub struct Step<'a> {
    /// Where the chain ends before.
    pub from: &'a Head,
    /// Where it ends afterwards.
    pub to: &'a Head,
    /// Numbered and hashed.
    pub events: &'a [AuditEvent],
    /// What other nodes must forget: kinds and keys. On SQLite there is no other node.
    pub told: &'a [(&'static str, String)],
}

/// Appends, in a transaction that holds the head's lock.
///
/// # Errors
/// `CONFLICT` if the head is elsewhere.
pub async fn advance(tx: &mut Tx, step: Step<'_>) -> Result<()> {
    let moved = match &mut tx.connection {
        Connected::Postgres(tx) => postgres(step).fetch_one(&mut **tx).await?.0,
        Connected::Sqlite(connection) => {
            insert(connection, step.events).await?;
            i64::try_from(exec!(tx, bind_heads!(sqlx::query(move_head!()), step))?).unwrap_or(0)
        }
    };
    changed_one(u64::from(moved == 1))
}

/// Appends in a transaction of its own, in one round trip. `false`, and nothing done: the head is elsewhere, or the store does
/// not know this way.
///
/// # Errors
/// `UNAVAILABLE`: it may or may not have happened.
pub async fn advance_alone(db: &Db, step: Step<'_>) -> Result<bool> {
    let Db::Postgres(pools) = db else { return Ok(false) };
    let (moved,) = postgres(step).fetch_one(&pools.writer()).await?;
    Ok(moved == 1)
}

/// Whether [`advance_alone`] works here.
#[must_use]
pub fn advances_alone(db: &Db) -> bool {
    db.is_postgres()
}

/// Binds the columns of an event in their order.
macro_rules! bind_event {
    ($query:expr, $event:expr) => {
        $query
            .bind($event.event_id)
            .bind($event.sequence_number)
            .bind($event.timestamp)
            .bind(&$event.event_type)
            .bind(&$event.actor_type)
            .bind(&$event.actor_id)
            .bind(&$event.token_accessor)
            .bind(&$event.role_name)
            .bind(&$event.agent_id)
            .bind(&$event.app_id)
            .bind(&$event.admin_id)
            .bind(&$event.agent_cert_fingerprint)
            .bind(&$event.app_cert_fingerprint)
            .bind(&$event.admin_cert_fingerprint)
            .bind($event.secret_id)
            .bind(&$event.secret_path)
            .bind($event.secret_version)
            .bind(&$event.secret_type)
            .bind($event.lease_id)
            .bind($event.access_granted)
            .bind(&$event.policy_matched)
            .bind(&$event.denial_reason)
            .bind($event.source_ip.map(Inet))
            .bind(&$event.hostname)
            .bind(&$event.k8s_namespace)
            .bind(&$event.k8s_pod)
            .bind(Json(&$event.event_data))
            .bind($event.response_time_ms)
            .bind(&$event.correlation_id)
            .bind($event.batch_end)
            .bind(&$event.previous_hash[..])
            .bind(&$event.current_hash[..])
            .bind(&$event.signature)
    };
}

async fn insert(connection: &mut SqliteConnection, events: &[AuditEvent]) -> Result<()> {
    exec_rows!(@on &mut *connection, false, &SQLITE, events, bind_event);
    Ok(())
}

fn postgres(step: Step<'_>) -> QueryAs<'_, Postgres, (i64,), PgArguments> {
    let Step { events, told, .. } = step;
    bind_heads!(sqlx::query_as(POSTGRES), step)
        .bind(column!(told, effect => effect.0))
        .bind(column!(told, effect => effect.1.as_str()))
        .bind(column!(events, event => event.event_id))
        .bind(column!(events, event => event.sequence_number))
        .bind(column!(events, event => event.timestamp))
        .bind(column!(events, event => event.event_type.as_str()))
        .bind(column!(events, event => event.actor_type.as_deref()))
        .bind(column!(events, event => event.actor_id.as_deref()))
        .bind(column!(events, event => event.token_accessor.as_deref()))
        .bind(column!(events, event => event.role_name.as_deref()))
        .bind(column!(events, event => event.agent_id.as_deref()))
        .bind(column!(events, event => event.app_id.as_deref()))
        .bind(column!(events, event => event.admin_id.as_deref()))
        .bind(column!(events, event => event.agent_cert_fingerprint.as_deref()))
        .bind(column!(events, event => event.app_cert_fingerprint.as_deref()))
        .bind(column!(events, event => event.admin_cert_fingerprint.as_deref()))
        .bind(column!(events, event => event.secret_id))
        .bind(column!(events, event => event.secret_path.as_deref()))
        .bind(column!(events, event => event.secret_version))
        .bind(column!(events, event => event.secret_type.as_deref()))
        .bind(column!(events, event => event.lease_id))
        .bind(column!(events, event => event.access_granted))
        .bind(column!(events, event => event.policy_matched.as_deref()))
        .bind(column!(events, event => event.denial_reason.as_deref()))
        .bind(column!(events, event => event.source_ip.map(Inet)))
        .bind(column!(events, event => event.hostname.as_deref()))
        .bind(column!(events, event => event.k8s_namespace.as_deref()))
        .bind(column!(events, event => event.k8s_pod.as_deref()))
        .bind(column!(events, event => Json(&event.event_data)))
        .bind(column!(events, event => event.response_time_ms))
        .bind(column!(events, event => event.correlation_id.as_deref()))
        .bind(column!(events, event => event.batch_end))
        .bind(column!(events, event => &event.previous_hash[..]))
        .bind(column!(events, event => &event.current_hash[..]))
        .bind(column!(events, event => event.signature.as_deref()))
}
