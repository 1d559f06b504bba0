//! How leases begin: counted at their role and engine, and then active, with what was issued. In a batch both are decided on what was
//! read ahead, and put off.

use crate::error::{Error, Result};
use crate::storage::batch::Later;
use crate::storage::db::{Connected, Tx, exec_known};
use crate::storage::leases::{LeaseRow, columns};
use crate::storage::texts::{Texts, column, exec_rows, select_keys};
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;
use sqlx::{FromRow, PgConnection, SqliteConnection};
use std::collections::HashMap;
use std::sync::LazyLock;
use uuid::Uuid;

/// What a role has room for.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub(crate) struct RoleRoom {
    pub(crate) secret_id: Uuid,
    engine_id: Uuid,
    role_most: Option<i64>,
    role_live: i64,
}

/// What an engine has room for.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub(crate) struct EngineRoom {
    pub(crate) id: Uuid,
    enabled: bool,
    config_version: i64,
    engine_most: Option<i64>,
    engine_live: i64,
}

#[derive(FromRow)]
pub(crate) struct Room {
    #[sqlx(flatten)]
    pub(crate) role: RoleRoom,
    #[sqlx(flatten)]
    pub(crate) engine: EngineRoom,
}

/// Why a lease does not begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRoom {
    /// There is no such role any more.
    NoRole,
    /// The engine's configuration is another one by now.
    Changed,
    Disabled,
    /// The role has as many live leases as it may.
    Role,
    /// The engine has as many live leases as it may: this many.
    Engine(i64),
}

/// The lease of an issue that begins, counted at its engine and its role: if the engine is enabled and of this version, and neither has
/// as many leases as it may. Otherwise nothing is done.
///
/// # Errors
/// `CONFLICT`, here or when the batch is written, if the caller has used the idempotency key for another lease.
pub async fn begin(tx: &mut Tx, row: LeaseRow, config_version: i64) -> Result<Option<NoRoom>> {
    let Some(Room { role, engine }) = room(tx, row.secret_id).await? else {
        return Ok(Some(NoRoom::NoRole));
    };
    if engine.id != row.engine_id || engine.config_version != config_version {
        return Ok(Some(NoRoom::Changed));
    }
    if role.role_most.is_some_and(|most| role.role_live >= most) {
        return Ok(Some(NoRoom::Role));
    }
    match engine {
        EngineRoom { enabled: false, .. } => return Ok(Some(NoRoom::Disabled)),
        EngineRoom { engine_most: Some(most), engine_live, .. } if engine_live >= most => {
            return Ok(Some(NoRoom::Engine(most)));
        }
        _ => {}
    }
    if let Some(ahead) = tx.ahead() {
        if let Some(Some(role)) = ahead.lease_roles.get_mut(&row.secret_id) {
            role.role_live += 1;
        }
        if let Some(engine) = ahead.lease_engines.get_mut(&row.engine_id) {
            engine.engine_live += 1;
        }
    }
    tx.put_off(Later::Lease(Box::new(row))).await?;
    Ok(None)
}

async fn room(tx: &mut Tx, secret_id: Uuid) -> Result<Option<Room>> {
    if let Some(ahead) = tx.ahead()
        && let Some(role) = ahead.lease_roles.get(&secret_id)
    {
        let Some(role) = role else { return Ok(None) };
        if let Some(engine) = ahead.lease_engines.get(&role.engine_id) {
            return Ok(Some(Room { role: role.clone(), engine: engine.clone() }));
        }
    }
    let found = rooms(tx, &[secret_id]).await?.pop();
    if let Some(ahead) = tx.ahead() {
        // what follows in the batch is mostly of the same role
        ahead.lease_roles.insert(secret_id, found.as_ref().map(|room| room.role.clone()));
        ahead.lease_engines.extend(found.as_ref().map(|room| (room.engine.id, room.engine.clone())));
    }
    Ok(found)
}

/// Of all roles of these secrets, in no order.
pub(super) async fn rooms(tx: &mut Tx, secrets: &[Uuid]) -> Result<Vec<Room>> {
    static TEXTS: LazyLock<Texts> = LazyLock::new(|| {
        let head = "SELECT r.secret_id, r.engine_id, r.max_leases AS role_most, r.live_leases AS role_live, \
             e.id, e.enabled, e.config_version, e.max_leases AS engine_most, e.live_leases AS engine_live \
             FROM engine_roles r JOIN engines e ON e.id = r.engine_id WHERE r.secret_id IN (";
        Texts::new(head, 1, ")", 6)
    });
    select_keys!(tx, &TEXTS, secrets, query, id => query.bind(id))
}

/// What makes a lease active. No `Debug`: it holds a ciphertext.
pub struct Activation {
    pub lease_id: Uuid,
    /// Sealed.
    pub credentials: Vec<u8>,
    pub handle: Value,
    pub expires_at: DateTime<Utc>,
}

/// From `issuing` to `active`. `false`: its revocation has begun meanwhile.
pub async fn activate(tx: &mut Tx, activation: Activation) -> Result<bool> {
    let id = activation.lease_id;
    let known = tx.ahead().and_then(|ahead| ahead.issuing.insert(id, None));
    match known {
        Some(None) => Ok(false),
        Some(Some(())) => {
            tx.put_off(Later::Active(Box::new(activation))).await?;
            Ok(true)
        }
        // nothing that is read ahead but this lease is another one by it
        None => Ok(exec_known!(tx, bind_active!(sqlx::query(ACTIVATE), activation))? == 1),
    }
}

const ACTIVATE: &str = "UPDATE leases SET state = 'active', credentials = $2, engine_metadata = $3, due_at = $4 \
     WHERE lease_id = $1 AND state = 'issuing'";

macro_rules! bind_active {
    ($query:expr, $activation:expr) => {
        $query
            .bind($activation.lease_id)
            .bind(&$activation.credentials[..])
            .bind(Json(&$activation.handle))
            .bind($activation.expires_at)
    };
}
use bind_active;

/// A lease that is being issued.
#[derive(FromRow)]
pub(crate) struct IssuingLease {
    pub(crate) lease_id: Uuid,
}

/// Which of these leases are being issued, in no order.
pub(super) async fn issuing(tx: &mut Tx, leases: &[Uuid]) -> Result<Vec<IssuingLease>> {
    static TEXTS: LazyLock<Texts> = LazyLock::new(|| {
        Texts::new("SELECT lease_id FROM leases WHERE state = 'issuing' AND lease_id IN (", 1, ")", 6)
    });
    select_keys!(tx, &TEXTS, leases, query, id => query.bind(id))
}

/// As [`activate`], of leases that are being issued.
pub(super) async fn activate_all(connection: &mut Connected, rows: &[Activation]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut changed = 0;
    match connection {
        Connected::Postgres(tx) => {
            let query = sqlx::query(
                "UPDATE leases SET state = 'active', credentials = a.credentials, engine_metadata = a.handle, due_at = a.due_at \
                 FROM UNNEST($1::uuid[], $2::bytea[], $3::jsonb[], $4::timestamptz[]) AS a (id, credentials, handle, due_at) \
                 WHERE lease_id = a.id AND state = 'issuing'",
            )
            .bind(column!(rows, row => row.lease_id))
            .bind(column!(rows, row => &row.credentials[..]))
            .bind(column!(rows, row => Json(&row.handle)))
            .bind(column!(rows, row => row.expires_at));
            changed = query.execute(&mut **tx).await?.rows_affected();
        }
        Connected::Sqlite(tx) => {
            for row in rows {
                let query = bind_active!(sqlx::query(ACTIVATE), row);
                changed += query.execute(&mut **tx).await?.rows_affected();
            }
        }
    }
    if changed == rows.len() as u64 {
        return Ok(());
    }
    Err(Error::conflict("a lease was revoked while its credentials were issued"))
}

/// Binds the columns of a lease in their order.
macro_rules! bind_lease {
    ($query:expr, $row:expr) => {
        $query
            .bind($row.lease_id)
            .bind($row.secret_id)
            .bind(&$row.secret_path)
            .bind($row.engine_id)
            .bind(&$row.engine_type)
            .bind(&$row.agent_id)
            .bind(&$row.app_id)
            .bind(&$row.actor_id)
            .bind($row.token_accessor)
            .bind(&$row.role_name)
            .bind(&$row.state)
            .bind($row.issued_at)
            .bind($row.expires_at)
            .bind($row.max_expires_at)
            .bind($row.ttl_seconds)
            .bind($row.renewed_count)
            .bind($row.last_renewed_at)
            .bind($row.max_renewals)
            .bind($row.due_at)
            .bind($row.revoked)
            .bind($row.revoked_at)
            .bind(&$row.revocation_reason)
            .bind($row.revocation_attempts)
            .bind(&$row.last_revocation_error)
            .bind(&$row.credentials)
            .bind(&$row.engine_metadata)
            .bind(&$row.idempotency_key)
            .bind($row.source_ip)
            .bind(&$row.correlation_id)
            .bind($row.claimed_by)
    };
}

/// Leases that count for nothing.
pub(super) async fn insert_all(connection: &mut Connected, rows: &[LeaseRow]) -> Result<()> {
    write(connection, rows, &[], &[]).await
}

/// Leases, counted at their engines and roles.
pub(super) async fn begin_all(connection: &mut Connected, rows: &[LeaseRow]) -> Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let engines = counted(rows.iter().map(|row| row.engine_id));
    let roles = counted(rows.iter().map(|row| row.secret_id));
    write(connection, rows, &engines, &roles).await
}

async fn write(
    connection: &mut Connected,
    rows: &[LeaseRow],
    engines: &[(Uuid, i64)],
    roles: &[(Uuid, i64)],
) -> Result<()> {
    let inserted = match connection {
        Connected::Postgres(tx) => postgres(tx, rows, engines, roles).await?,
        Connected::Sqlite(tx) => {
            let inserted = sqlite(tx, rows).await?;
            for (text, counts) in [(COUNT_ENGINE, engines), (COUNT_ROLE, roles)] {
                for (id, count) in counts {
                    sqlx::query(text).bind(id).bind(count).execute(&mut **tx).await?;
                }
            }
            inserted
        }
    };
    if inserted == rows.len() as u64 {
        return Ok(());
    }
    Err(Error::conflict("the idempotency key was used for another lease: choose a new one"))
}

const COUNT_ENGINE: &str = "UPDATE engines SET live_leases = live_leases + $2 WHERE id = $1";
const COUNT_ROLE: &str = "UPDATE engine_roles SET live_leases = live_leases + $2 WHERE secret_id = $1";

fn counted(ids: impl Iterator<Item = Uuid>) -> Vec<(Uuid, i64)> {
    let mut counts = HashMap::new();
    for id in ids {
        *counts.entry(id).or_insert(0) += 1;
    }
    counts.into_iter().collect()
}

async fn sqlite(connection: &mut SqliteConnection, rows: &[LeaseRow]) -> Result<u64> {
    static TEXTS: LazyLock<Texts> = LazyLock::new(|| {
        let head = concat!("INSERT INTO leases (", columns!(), ") VALUES ");
        Texts::new(head, 30, " ON CONFLICT DO NOTHING", 6)
    });
    Ok(exec_rows!(@on &mut *connection, false, &TEXTS, rows, bind_lease))
}

const POSTGRES: &str = concat!(
    "WITH engines_counted AS (UPDATE engines SET live_leases = live_leases + e.n \
     FROM UNNEST($31::uuid[], $32::bigint[]) AS e (id, n) WHERE engines.id = e.id), \
     roles_counted AS (UPDATE engine_roles SET live_leases = live_leases + r.n \
     FROM UNNEST($33::uuid[], $34::bigint[]) AS r (id, n) WHERE secret_id = r.id) \
     INSERT INTO leases (",
    columns!(),
    ") SELECT * FROM UNNEST($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], \
     $9::uuid[], $10::text[], $11::text[], $12::timestamptz[], $13::timestamptz[], $14::timestamptz[], $15::bigint[], \
     $16::bigint[], $17::timestamptz[], $18::bigint[], $19::timestamptz[], $20::boolean[], $21::timestamptz[], $22::text[], \
     $23::bigint[], $24::text[], $25::bytea[], $26::jsonb[], $27::text[], $28::inet[], $29::text[], $30::uuid[]) \
     ON CONFLICT DO NOTHING"
);

async fn postgres(
    connection: &mut PgConnection,
    rows: &[LeaseRow],
    engines: &[(Uuid, i64)],
    roles: &[(Uuid, i64)],
) -> Result<u64> {
    let query = sqlx::query(POSTGRES)
        .bind(column!(rows, row => row.lease_id))
        .bind(column!(rows, row => row.secret_id))
        .bind(column!(rows, row => row.secret_path.as_str()))
        .bind(column!(rows, row => row.engine_id))
        .bind(column!(rows, row => row.engine_type.as_str()))
        .bind(column!(rows, row => row.agent_id.as_deref()))
        .bind(column!(rows, row => row.app_id.as_deref()))
        .bind(column!(rows, row => row.actor_id.as_str()))
        .bind(column!(rows, row => row.token_accessor))
        .bind(column!(rows, row => row.role_name.as_deref()))
        .bind(column!(rows, row => row.state.as_str()))
        .bind(column!(rows, row => row.issued_at))
        .bind(column!(rows, row => row.expires_at))
        .bind(column!(rows, row => row.max_expires_at))
        .bind(column!(rows, row => row.ttl_seconds))
        .bind(column!(rows, row => row.renewed_count))
        .bind(column!(rows, row => row.last_renewed_at))
        .bind(column!(rows, row => row.max_renewals))
        .bind(column!(rows, row => row.due_at))
        .bind(column!(rows, row => row.revoked))
        .bind(column!(rows, row => row.revoked_at))
        .bind(column!(rows, row => row.revocation_reason.as_deref()))
        .bind(column!(rows, row => row.revocation_attempts))
        .bind(column!(rows, row => row.last_revocation_error.as_deref()))
        .bind(column!(rows, row => row.credentials.as_deref()))
        .bind(column!(rows, row => Json(&row.engine_metadata.0)))
        .bind(column!(rows, row => row.idempotency_key.as_deref()))
        .bind(column!(rows, row => row.source_ip))
        .bind(column!(rows, row => row.correlation_id.as_deref()))
        .bind(column!(rows, row => row.claimed_by))
        .bind(column!(engines, count => count.0))
        .bind(column!(engines, count => count.1))
        .bind(column!(roles, count => count.0))
        .bind(column!(roles, count => count.1));
    Ok(query.execute(connection).await?.rows_affected())
}
