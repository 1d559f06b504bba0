//! Reading the audit chain.

use crate::error::{Error, Result};
use crate::model::audit::AuditEvent;
use crate::storage::audit::columns;
use crate::storage::db::{Tx, on};
use crate::storage::errors::corrupt;
use crate::storage::select::{Arg, Select, bind_all};
use crate::storage::types::Inet;
use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::types::Json;
use sqlx::{AssertSqlSafe, FromRow};
use std::net::IpAddr;
use uuid::Uuid;

/// Which events; everything that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Any of these; empty = every type.
    pub event_types: Vec<String>,
    pub actor_id: Option<String>,
    /// `(path, end)`: the path itself, and what lies from `path.` up to `end`, which is left out. So `("prod.db", "prod.db/")` is
    /// prod.db and all below it, without its neighbour prod.db-2, which sorts in between. A first half that ends with a dot
    /// stands for what is below only.
    pub secret_path_prefix: Option<(String, String)>,
    pub lease_id: Option<Uuid>,
    pub access_granted: Option<bool>,
    pub source_ip: Option<IpAddr>,
    pub correlation_id: Option<String>,
    /// Not before this time.
    pub from: Option<DateTime<Utc>>,
    /// Before this time.
    pub to: Option<DateTime<Utc>>,
}

impl Filter {
    /// Whether an event at hand meets it: the same as [`list`] asks of a row.
    #[must_use]
    pub fn matches(&self, event: &AuditEvent) -> bool {
        fn same<T: PartialEq>(wanted: Option<&T>, is: Option<&T>) -> bool {
            wanted.is_none() || wanted == is
        }
        (self.event_types.is_empty() || self.event_types.contains(&event.event_type))
            && same(self.actor_id.as_ref(), event.actor_id.as_ref())
            && same(self.lease_id.as_ref(), event.lease_id.as_ref())
            && same(self.access_granted.as_ref(), event.access_granted.as_ref())
            && same(self.source_ip.as_ref(), event.source_ip.as_ref())
            && same(self.correlation_id.as_ref(), event.correlation_id.as_ref())
            && self.from.is_none_or(|from| event.timestamp >= from)
            && self.to.is_none_or(|to| event.timestamp < to)
            && self
                .secret_path_prefix
                .as_ref()
                .is_none_or(|range| within(range, event.secret_path.as_deref()))
    }
}

/// Whether a path lies in the range of [`Filter::secret_path_prefix`], compared byte by byte as the store does.
fn within((from, to): &(String, String), path: Option<&str>) -> bool {
    let Some(path) = path.filter(|path| *path >= from.as_str() && *path < to.as_str()) else { return false };
    from.ends_with('.') || path == from || path >= format!("{from}.").as_str()
}

/// An event as the databases give it.
#[derive(FromRow)]
struct EventRow {
    event_id: Uuid,
    sequence_number: i64,
    timestamp: DateTime<Utc>,
    event_type: String,
    actor_type: Option<String>,
    actor_id: Option<String>,
    token_accessor: Option<String>,
    role_name: Option<String>,
    agent_id: Option<String>,
    app_id: Option<String>,
    admin_id: Option<String>,
    agent_cert_fingerprint: Option<String>,
    app_cert_fingerprint: Option<String>,
    admin_cert_fingerprint: Option<String>,
    secret_id: Option<Uuid>,
    secret_path: Option<String>,
    secret_version: Option<i64>,
    secret_type: Option<String>,
    lease_id: Option<Uuid>,
    access_granted: Option<bool>,
    policy_matched: Option<String>,
    denial_reason: Option<String>,
    source_ip: Option<Inet>,
    hostname: Option<String>,
    k8s_namespace: Option<String>,
    k8s_pod: Option<String>,
    event_data: Json<Value>,
    response_time_ms: Option<i64>,
    correlation_id: Option<String>,
    batch_end: bool,
    previous_hash: Vec<u8>,
    current_hash: Vec<u8>,
    signature: Option<Vec<u8>>,
}

impl TryFrom<EventRow> for AuditEvent {
    type Error = Error;

    fn try_from(row: EventRow) -> Result<Self> {
        let hash = |column: &str, bytes: Vec<u8>| -> Result<[u8; 32]> {
            bytes.try_into().map_err(|_| corrupt("audit_logs", column, &row.sequence_number.to_string()))
        };
        Ok(Self {
            event_id: row.event_id,
            sequence_number: row.sequence_number,
            timestamp: row.timestamp,
            event_type: row.event_type,
            actor_type: row.actor_type,
            actor_id: row.actor_id,
            token_accessor: row.token_accessor,
            role_name: row.role_name,
            agent_id: row.agent_id,
            app_id: row.app_id,
            admin_id: row.admin_id,
            agent_cert_fingerprint: row.agent_cert_fingerprint,
            app_cert_fingerprint: row.app_cert_fingerprint,
            admin_cert_fingerprint: row.admin_cert_fingerprint,
            secret_id: row.secret_id,
            secret_path: row.secret_path,
            secret_version: row.secret_version,
            secret_type: row.secret_type,
            lease_id: row.lease_id,
            access_granted: row.access_granted,
            policy_matched: row.policy_matched,
            denial_reason: row.denial_reason,
            source_ip: row.source_ip.map(|ip| ip.0),
            hostname: row.hostname,
            k8s_namespace: row.k8s_namespace,
            k8s_pod: row.k8s_pod,
            event_data: row.event_data.0,
            response_time_ms: row.response_time_ms,
            correlation_id: row.correlation_id,
            batch_end: row.batch_end,
            previous_hash: hash("previous_hash", row.previous_hash)?,
            current_hash: hash("current_hash", row.current_hash)?,
            signature: row.signature,
        })
    }
}

macro_rules! select {
    ($tail:literal) => {
        concat!("SELECT ", columns!(), " FROM audit_logs", $tail)
    };
}

/// The events numbered `from` to `to`, both included, in order; at most `limit`.
pub async fn range(tx: &mut Tx, from: i64, to: i64, limit: i64) -> Result<Vec<AuditEvent>> {
    let rows: Vec<EventRow> = on!(tx, c => sqlx::query_as(select!(
        " WHERE sequence_number >= $1 AND sequence_number <= $2 ORDER BY sequence_number LIMIT $3"
    )).bind(from).bind(to).bind(limit).fetch_all(c))?;
    rows.into_iter().map(AuditEvent::try_from).collect()
}

pub async fn by_sequence(tx: &mut Tx, sequence_number: i64) -> Result<Option<AuditEvent>> {
    let row: Option<EventRow> = on!(tx, c => sqlx::query_as(select!(" WHERE sequence_number = $1"))
        .bind(sequence_number).fetch_optional(c))?;
    row.map(AuditEvent::try_from).transpose()
}

pub async fn by_event_id(tx: &mut Tx, event_id: Uuid) -> Result<Option<AuditEvent>> {
    let row: Option<EventRow> = on!(tx, c => sqlx::query_as(select!(" WHERE event_id = $1"))
        .bind(event_id).fetch_optional(c))?;
    row.map(AuditEvent::try_from).transpose()
}

/// Events by number, newest first or `oldest_first`: the first `limit` whose number is less than `before` and greater than `after`.
pub async fn list(
    tx: &mut Tx,
    filter: &Filter,
    before: Option<i64>,
    after: Option<i64>,
    limit: i64,
    oldest_first: bool,
) -> Result<Vec<AuditEvent>> {
    let mut select = Select::new(select!(""));
    conditions(&mut select, filter);
    if let Some(before) = before {
        select.and("sequence_number < $?", Arg::Int(before));
    }
    if let Some(after) = after {
        select.and("sequence_number > $?", Arg::Int(after));
    }
    select.order(if oldest_first { "sequence_number" } else { "sequence_number DESC" }, limit);
    let Select { text, args, .. } = select;
    let rows: Vec<EventRow> =
        on!(tx, c => bind_all!(sqlx::query_as(AssertSqlSafe(text)), &args).fetch_all(c))?;
    rows.into_iter().map(AuditEvent::try_from).collect()
}

fn conditions<'a>(select: &mut Select<'a>, filter: &'a Filter) {
    match filter.event_types.as_slice() {
        [] => {}
        // an index gives the rows of one type in order; those of several would have to be sorted
        [one] => select.and("event_type = $?", Arg::Text(one)),
        several => select.any_of("event_type", several.iter().map(|name| Arg::Text(name))),
    }
    if let Some(actor_id) = &filter.actor_id {
        select.and("actor_id = $?", Arg::Text(actor_id));
    }
    if let Some((from, to)) = &filter.secret_path_prefix {
        select.and("secret_path >= $?", Arg::Text(from));
        select.and("secret_path < $?", Arg::Text(to));
        if !from.ends_with('.') {
            select.and("(secret_path = $? OR secret_path >= $? || '.')", Arg::Text(from));
        }
    }
    if let Some(lease_id) = filter.lease_id {
        select.and("lease_id = $?", Arg::Uuid(lease_id));
    }
    match filter.access_granted {
        // spelled out as in the partial index, which a bound argument would not be matched with
        Some(false) => select.when("access_granted = false"),
        Some(true) => select.when("access_granted = true"),
        None => {}
    }
    if let Some(source_ip) = filter.source_ip {
        select.and("source_ip = $?", Arg::Inet(Inet(source_ip)));
    }
    if let Some(correlation_id) = &filter.correlation_id {
        select.and("correlation_id = $?", Arg::Text(correlation_id));
    }
    if let Some(from) = filter.from {
        select.and("timestamp >= $?", Arg::Time(from));
    }
    if let Some(to) = filter.to {
        select.and("timestamp < $?", Arg::Time(to));
    }
}
