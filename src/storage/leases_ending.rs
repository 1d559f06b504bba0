//! Pages of leases in the order in which they end. An index has them in it; what else is asked of them is looked for among so many
//! only, so that a page costs the same however many leases do not meet it.

use crate::error::{Error, Result};
use crate::storage::db::{Tx, on};
use crate::storage::leases::{LeaseRow, columns};
use crate::storage::leases_list::{ListLeases, conditions};
use crate::storage::page::Page;
use crate::storage::select::{Arg, Key, Select, bind_all, page_rows};
use chrono::{DateTime, Utc};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

/// The leases that are looked at for one page, at most.
const LOOKED_AT: i64 = 2000;

const KEY: Key = Key {
    greater: "(expires_at, lease_id) > ($a, $b)",
    less: "(expires_at, lease_id) < ($a, $b)",
    ascending: "expires_at, lease_id",
    descending: "expires_at DESC, lease_id DESC",
};

/// A page, and the key where the search for it ended early, if it did.
pub struct Ending {
    pub rows: Vec<LeaseRow>,
    pub stopped: Option<String>,
}

type Place = (DateTime<Utc>, Uuid);

/// The key of a lease in this order.
#[must_use]
pub fn ending_key(expires_at: DateTime<Utc>, lease_id: Uuid) -> String {
    format!("{} {lease_id}", expires_at.to_rfc3339())
}

fn place(field: &'static str, key: &str) -> Result<Place> {
    let parsed = key.split_once(' ').and_then(|(time, id)| {
        let time = DateTime::parse_from_rfc3339(time).ok()?;
        Some((time.to_utc(), Uuid::parse_str(id).ok()?))
    });
    parsed.ok_or_else(|| {
        Error::bad_input(
            field,
            "this is no cursor of this list in this order: take one from an earlier answer",
        )
    })
}

/// A page of leases that are not revoked, the one that ends first or has outlived its end for the longest before the others. The
/// page's keys are those of [`ending_key`].
///
/// # Errors
/// `BAD_USER_INPUT` at `after` or `before` for another key.
pub async fn list_ending(tx: &mut Tx, filter: &ListLeases, page: &Page) -> Result<Ending> {
    ending_within(tx, filter, page, LOOKED_AT).await
}

pub(super) async fn ending_within(
    tx: &mut Tx,
    filter: &ListLeases,
    page: &Page,
    looked_at: i64,
) -> Result<Ending> {
    let stop = if is_searched(filter) { stop(tx, filter, page, looked_at).await? } else { None };
    let select = page_of(tx.is_postgres(), filter, page, stop)?;
    let rows: Vec<LeaseRow> = page_rows!(tx, select, page)?;
    let full = i64::try_from(rows.len()).map_err(Error::internal)? >= page.limit;
    let stopped = stop.filter(|_| !full).map(|(time, id)| ending_key(time, id));
    Ok(Ending { rows, stopped })
}

/// Whether there are conditions that the order's indexes do not have.
fn is_searched(filter: &ListLeases) -> bool {
    filter.prefix.is_some()
        || filter.engine_id.is_some()
        || !filter.states.is_empty()
        || filter.token_accessor.is_some()
        || filter.role_name.is_some()
}

/// The last place to look at; none if there are fewer leases than that.
async fn stop(tx: &mut Tx, filter: &ListLeases, page: &Page, looked_at: i64) -> Result<Option<Place>> {
    let of_index = ListLeases {
        expires_before: filter.expires_before,
        overdue_at: filter.overdue_at,
        actor_id: filter.actor_id.clone(),
        ..ListLeases::default()
    };
    let mut select = select(tx.is_postgres(), PLACES, &of_index, page)?;
    select.order(if page.backward { KEY.descending } else { KEY.ascending }, 1);
    let Select { mut text, args, .. } = select;
    text.push_str(&format!(" OFFSET {}", (looked_at - 1).max(0)));
    on!(tx, c => bind_all!(sqlx::query_as(AssertSqlSafe(text)), &args).fetch_optional(c))
}

pub(super) fn page_of<'a>(
    postgres: bool,
    filter: &'a ListLeases,
    page: &Page,
    stop: Option<Place>,
) -> Result<Select<'a>> {
    let mut select = select(postgres, ROWS, filter, page)?;
    if let Some((time, id)) = stop {
        let within = if page.backward {
            "(expires_at, lease_id) >= ($a, $b)"
        } else {
            "(expires_at, lease_id) <= ($a, $b)"
        };
        select.and_two(within, Arg::Time(time), Arg::Uuid(id));
    }
    select.order(if page.backward { KEY.descending } else { KEY.ascending }, page.limit);
    Ok(select)
}

/// What is selected: for PostgreSQL, and for SQLite of all leases and of one caller's. Without statistics SQLite would prefer
/// whatever index has a column that is compared for equality.
struct Heads {
    postgres: &'static str,
    all: &'static str,
    own: &'static str,
}

macro_rules! heads {
    ($($what:expr),+) => {
        Heads {
            postgres: concat!("SELECT ", $($what),+, " FROM leases"),
            all: concat!("SELECT ", $($what),+, " FROM leases INDEXED BY leases_active_expiry"),
            own: concat!("SELECT ", $($what),+, " FROM leases INDEXED BY leases_actor_ending"),
        }
    };
}

const ROWS: Heads = heads!(columns!());
const PLACES: Heads = heads!("expires_at, lease_id");

/// The conditions, those of the page among them.
fn select<'a>(postgres: bool, heads: Heads, filter: &'a ListLeases, page: &Page) -> Result<Select<'a>> {
    let own = filter.actor_id.is_some();
    let mut select = Select::new(match (postgres, own) {
        (true, _) => heads.postgres,
        (false, false) => heads.all,
        (false, true) => heads.own,
    });
    select.when("NOT revoked");
    conditions(&mut select, filter);
    for (condition, key, field) in [(KEY.greater, &page.after, "after"), (KEY.less, &page.before, "before")] {
        if let Some(key) = key {
            let (time, id) = place(field, key)?;
            select.and_two(condition, Arg::Time(time), Arg::Uuid(id));
        }
    }
    Ok(select)
}
