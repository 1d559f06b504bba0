//! Pages of leases. Those below a prefix come from the index of paths, a few from each path, for neither database can know from
//! its statistics where in the order of ids the leases of a path lie.

use crate::error::Result;
use crate::storage::db::{Tx, on};
use crate::storage::leases::{LeaseRow, WITHIN, columns};
use crate::storage::page::Page;
use crate::storage::select::{Arg, Select, bind_all, key};
use chrono::{DateTime, Utc};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

/// Which leases a list is of.
#[derive(Debug, Clone, Default)]
pub struct ListLeases {
    /// This path and those below it.
    pub prefix: Option<String>,
    pub engine_id: Option<Uuid>,
    /// Any of these states; empty: whatever state.
    pub states: Vec<&'static str>,
    pub expires_before: Option<DateTime<Utc>>,
    /// Only what has outlived its expiry at this time and is not revoked.
    pub overdue_at: Option<DateTime<Utc>>,
    /// Only of this caller.
    pub actor_id: Option<String>,
    pub token_accessor: Option<Uuid>,
    /// Of those who logged in as this AppRole.
    pub role_name: Option<String>,
}

impl ListLeases {
    /// The prefix, if no other condition has an index that serves better.
    fn prefix_alone(&self) -> Option<&str> {
        let other = self.engine_id.is_some()
            || self.expires_before.is_some()
            || self.overdue_at.is_some()
            || self.actor_id.is_some()
            || self.token_accessor.is_some()
            || self.role_name.is_some();
        self.prefix.as_deref().filter(|_| !other)
    }

    /// The states that are wanted of one half; `None`: nothing of it is.
    fn states_of(&self, half: &Half) -> Option<Vec<&'static str>> {
        if self.states.is_empty() {
            return Some(Vec::new());
        }
        let of_half = |state: &&&str| (**state == ENDED) == half.ended;
        let states: Vec<_> = self.states.iter().filter(of_half).copied().collect();
        (!states.is_empty()).then_some(states)
    }
}

const ENDED: &str = "revoked";

/// Up to where each way to find a page is taken.
pub(super) struct Bounds {
    /// The most paths below the prefix to take a page's worth of leases from each.
    pub(super) paths: i64,
    /// The most leases below the prefix to sort.
    pub(super) sorted: i64,
}

const BOUNDS: Bounds = Bounds { paths: 200, sorted: 2000 };

/// Leases that have ended, or those that have not: an index of paths for each.
pub(super) struct Half {
    ended: bool,
    flag: &'static str,
    sqlite: Below,
    postgres: Below,
}

/// The statements that look for the paths below `$1` which have leases: from one to the next, so that it does not matter how many
/// each has.
struct Below {
    /// How many, counted up to `$2`.
    paths: &'static str,
    /// The lease ids of a page's worth from each of at most `$2`, to be continued with conditions.
    of_each: &'static str,
    end: &'static str,
}

/// Only the first path has no index entry to come from, and only PostgreSQL asks how its text compares.
macro_rules! paths {
    ($flag:literal, $index:literal, $collation:literal) => {
        concat!(
            "WITH RECURSIVE below (path, n) AS (SELECT CAST($1 AS TEXT)",
            $collation,
            ", 1 UNION ALL SELECT (SELECT secret_path FROM leases ",
            $index,
            " WHERE ",
            $flag,
            " AND secret_path > CASE WHEN path > $1 THEN path ELSE $1 || '.' END AND secret_path < $1 || '/' \
             ORDER BY secret_path LIMIT 1), n + 1 FROM below WHERE path IS NOT NULL AND n < $2) "
        )
    };
}

macro_rules! half {
    ($ended:literal, $flag:literal, $index:literal) => {
        Half {
            ended: $ended,
            flag: $flag,
            // without statistics SQLite might prefer an index of another column; it has no LATERAL
            sqlite: Below {
                paths: concat!(paths!($flag, $index, ""), "SELECT count(path) FROM below"),
                of_each: concat!(
                    paths!($flag, $index, ""),
                    "SELECT ",
                    columns!(),
                    " FROM leases WHERE lease_id IN (SELECT one.lease_id FROM below CROSS JOIN leases AS one \
                     WHERE one.lease_id IN (SELECT lease_id FROM leases ",
                    $index
                ),
                end: ")",
            },
            postgres: Below {
                paths: concat!(paths!($flag, "", " COLLATE \"C\""), "SELECT count(path) FROM below"),
                of_each: concat!(
                    paths!($flag, "", " COLLATE \"C\""),
                    "SELECT ",
                    columns!(),
                    " FROM leases WHERE lease_id IN (SELECT one.lease_id FROM below CROSS JOIN LATERAL (SELECT lease_id FROM leases"
                ),
                end: ") AS one",
            },
        }
    };
}

pub(super) const HALVES: [Half; 2] = [
    half!(false, "NOT revoked", "INDEXED BY leases_path"),
    half!(true, "revoked", "INDEXED BY leases_path_ended"),
];

/// A page of leases in the order in which they were made, oldest first; the page's keys are lease ids as texts.
///
/// # Errors
/// `BAD_USER_INPUT` at `after` or `before` for a key that is no lease id.
pub async fn list(tx: &mut Tx, filter: &ListLeases, page: &Page) -> Result<Vec<LeaseRow>> {
    list_within(tx, filter, page, &BOUNDS).await
}

pub(super) async fn list_within(
    tx: &mut Tx,
    filter: &ListLeases,
    page: &Page,
    bounds: &Bounds,
) -> Result<Vec<LeaseRow>> {
    let mut rows = match filter.prefix_alone() {
        None => fetch(tx, None, by_conditions(filter, page)?).await?,
        Some(prefix) => {
            let mut rows = Vec::new();
            for half in &HALVES {
                if let Some(states) = filter.states_of(half) {
                    rows.extend(below(tx, prefix, half, &states, page, bounds).await?);
                }
            }
            rows
        }
    };
    rows.sort_unstable_by_key(|row| row.lease_id);
    let limit = usize::try_from(page.limit).unwrap_or_default();
    if page.backward {
        rows.drain(..rows.len().saturating_sub(limit));
    } else {
        rows.truncate(limit);
    }
    Ok(rows)
}

async fn fetch(tx: &mut Tx, prefix: Option<(&str, i64)>, select: Select<'_>) -> Result<Vec<LeaseRow>> {
    let Select { text, args, .. } = select;
    on!(tx, c => {
        let query = sqlx::query_as(AssertSqlSafe(text));
        let query = match prefix { Some((path, bound)) => query.bind(path).bind(bound), None => query };
        bind_all!(query, &args).fetch_all(c)
    })
}

/// A page of one half of the leases below a prefix.
async fn below(
    tx: &mut Tx,
    prefix: &str,
    half: &Half,
    states: &[&str],
    page: &Page,
    bounds: &Bounds,
) -> Result<Vec<LeaseRow>> {
    let more = bounds.paths + 1;
    let texts = if tx.is_postgres() { &half.postgres } else { &half.sqlite };
    let (paths,): (i64,) = on!(tx, c => sqlx::query_as(texts.paths).bind(prefix).bind(more).fetch_one(c))?;
    if paths <= bounds.paths {
        let select = of_each_path(half, tx.is_postgres(), states, page)?;
        return fetch(tx, Some((prefix, more)), select).await;
    }
    let few = count(tx, prefix, half, bounds.sorted + 1).await? <= bounds.sorted;
    fetch(tx, None, of_many_paths(prefix, half, few, states, page)?).await
}

/// How many of a half there are below a prefix, counted up to `most`.
async fn count(tx: &mut Tx, prefix: &str, half: &Half, most: i64) -> Result<i64> {
    let mut select = Select::new("SELECT count(*) FROM (SELECT 1 FROM leases");
    select.when(half.flag);
    select.and(WITHIN, Arg::Text(prefix));
    let Select { mut text, args, .. } = select;
    text.push_str(&format!(" LIMIT {most}) AS counted"));
    let (found,): (i64,) = on!(tx, c => bind_all!(sqlx::query_as(AssertSqlSafe(text)), &args).fetch_one(c))?;
    Ok(found)
}

/// The first of each path, and of those the first. Placeholders 1 and 2 are the prefix and the bound on paths.
pub(super) fn of_each_path<'a>(
    half: &Half,
    postgres: bool,
    states: &[&'a str],
    page: &Page,
) -> Result<Select<'a>> {
    let texts = if postgres { &half.postgres } else { &half.sqlite };
    let mut select = Select::after(texts.of_each, 2);
    select.when(half.flag);
    select.when("secret_path = below.path");
    if !states.is_empty() {
        select.any_of("state", states.iter().map(|state| Arg::Text(state)));
    }
    select.page_by_id(page, &key!("lease_id"))?;
    select.text.push_str(texts.end);
    select.order(if page.backward { "one.lease_id DESC" } else { "one.lease_id" }, page.limit);
    select.text.push(')');
    Ok(select)
}

/// Of more paths than a page is taken from each: few leases are sorted; of many, so many are below the prefix that a walk in the
/// order of ids soon has a page of them.
fn of_many_paths<'a>(
    prefix: &'a str,
    half: &Half,
    few: bool,
    states: &[&'a str],
    page: &Page,
) -> Result<Select<'a>> {
    let mut select = if few {
        let mut select = Select::new("WITH few AS MATERIALIZED (SELECT lease_id FROM leases");
        select.when(half.flag);
        select.and(WITHIN, Arg::Text(prefix));
        select.text.push_str(concat!(") SELECT ", columns!(), " FROM leases"));
        select.text.push_str(" WHERE lease_id IN (SELECT lease_id FROM few)");
        select
    } else {
        let mut select = Select::new(concat!("SELECT ", columns!(), " FROM leases"));
        select.when(half.flag);
        select.and(WALKED, Arg::Text(prefix));
        select
    };
    if !states.is_empty() {
        select.any_of("state", states.iter().map(|state| Arg::Text(state)));
    }
    select.page_by_id(page, &key!("lease_id"))?;
    Ok(select)
}

/// As [`WITHIN`], of an expression that no index has.
const WALKED: &str = "(secret_path || '' >= $? AND secret_path || '' < $? || '/' \
                      AND (secret_path || '' = $? OR secret_path || '' > $? || '.'))";

/// By whatever index fits the conditions.
fn by_conditions<'a>(filter: &'a ListLeases, page: &Page) -> Result<Select<'a>> {
    let mut select = Select::new(concat!("SELECT ", columns!(), " FROM leases"));
    conditions(&mut select, filter);
    select.page_by_id(page, &key!("lease_id"))?;
    Ok(select)
}

pub(super) fn conditions<'a>(select: &mut Select<'a>, filter: &'a ListLeases) {
    if let Some(prefix) = &filter.prefix {
        select.and(WITHIN, Arg::Text(prefix));
    }
    if let Some(engine_id) = filter.engine_id {
        select.and("engine_id = $?", Arg::Uuid(engine_id));
    }
    if !filter.states.is_empty() {
        select.any_of("state", filter.states.iter().map(|state| Arg::Text(state)));
        if !filter.states.contains(&ENDED) {
            select.when("NOT revoked");
        }
    }
    for time in [filter.expires_before, filter.overdue_at].into_iter().flatten() {
        select.when("NOT revoked");
        select.and("expires_at < $?", Arg::Time(time));
    }
    if let Some(actor) = &filter.actor_id {
        select.and("actor_id = $?", Arg::Text(actor));
    }
    if let Some(accessor) = filter.token_accessor {
        select.and("token_accessor = $?", Arg::Uuid(accessor));
    }
    if let Some(name) = &filter.role_name {
        select.and("role_name = $?", Arg::Text(name));
    }
}
