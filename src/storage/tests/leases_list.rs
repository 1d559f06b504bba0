use super::leases::{active, ended, lease};
use crate::error::Result;
use crate::storage::db::{Db, Tx, on};
use crate::storage::leases::{self, LeaseRow, ListLeases};
use crate::storage::leases_list::{Bounds, HALVES, list_within, of_each_path};
use crate::storage::page::Page;
use crate::storage::select::bind_all;
use crate::storage::testing::both_stores;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

/// Leases at some paths, of which some have ended, in the order of their ids.
async fn some(tx: &mut Tx) -> Result<Vec<LeaseRow>> {
    let engine = Uuid::new_v4();
    let mut rows = Vec::new();
    for path in
        ["prod.b", "prod-x.a", "prod", "prod.a", "prod.a.z", "prod.b", "prodx", "a", "prod.b", "prod.b"]
    {
        rows.push(active(engine, path));
        rows.push(ended(engine, path, 7));
        rows.push(lease(engine, path));
    }
    rows.sort_by_key(|row| row.lease_id);
    for row in &rows {
        leases::insert(tx, row).await?;
    }
    Ok(rows)
}

/// The page, found without a database.
fn expected(rows: &[LeaseRow], filter: &ListLeases, page: &Page) -> Vec<Uuid> {
    let prefix = filter.prefix.clone().unwrap();
    let below = format!("{prefix}.");
    let mut ids: Vec<Uuid> = rows
        .iter()
        .filter(|row| row.secret_path == prefix || row.secret_path.starts_with(&below))
        .filter(|row| filter.states.is_empty() || filter.states.contains(&row.state.as_str()))
        .map(|row| row.lease_id)
        .filter(|id| page.after.as_ref().is_none_or(|after| id.to_string() > *after))
        .filter(|id| page.before.as_ref().is_none_or(|before| id.to_string() < *before))
        .collect();
    let limit = page.limit as usize;
    if page.backward {
        ids.split_off(ids.len().saturating_sub(limit))
    } else {
        ids[..limit.min(ids.len())].to_vec()
    }
}

/// Each way to find a page finds the same one.
async fn every_way(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let rows = some(&mut tx).await?;
    let id = |index: usize| Some(rows[index].lease_id.to_string());
    let pages = [
        Page { limit: 99, ..Page::default() },
        Page { limit: 3, ..Page::default() },
        Page { limit: 3, backward: true, ..Page::default() },
        Page { limit: 4, after: id(7), ..Page::default() },
        Page { limit: 4, after: id(3), before: id(25), backward: true },
    ];
    for (paths, sorted) in [(200, 2000), (1, 2000), (1, 1)] {
        let bounds = Bounds { paths, sorted };
        for prefix in ["prod", "prod.a", "prod.b", "none"] {
            for states in [vec![], vec!["active"], vec!["revoked"], vec!["issuing", "revoked"]] {
                let filter = ListLeases { prefix: Some(prefix.into()), states, ..ListLeases::default() };
                for page in &pages {
                    let found = list_within(&mut tx, &filter, page, &bounds).await?;
                    let ids: Vec<_> = found.iter().map(|row| row.lease_id).collect();
                    assert_eq!(ids, expected(&rows, &filter, page), "{paths} {sorted} {filter:?} {page:?}");
                }
            }
        }
    }
    Ok(())
}

/// No step of the plan looks at more than a page of each path, however many leases it has.
async fn plan(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    some(&mut tx).await?;
    if tx.is_postgres() {
        // what it would choose for very many rows, with few in the table
        on!(&mut tx, c => sqlx::query_as::<_, (String,)>(
            "SELECT set_config('enable_seqscan', 'off', true) || set_config('enable_bitmapscan', 'off', true)"
        ).fetch_one(c))?;
    }
    for (half, index) in HALVES.iter().zip(["leases_path", "leases_path_ended"]) {
        let select =
            of_each_path(half, tx.is_postgres(), &["active"], &Page { limit: 51, ..Page::default() })?;
        let (postgres, args) = (tx.is_postgres(), &select.args);
        let text = format!("EXPLAIN {}{}", if postgres { "" } else { "QUERY PLAN " }, select.text);
        let plan: Vec<String> = if postgres {
            let rows: Vec<(String,)> = on!(&mut tx, c => bind_all!(
                sqlx::query_as(AssertSqlSafe(text)).bind("prod").bind(201_i64), args).fetch_all(c))?;
            rows.into_iter().map(|(line,)| line).collect()
        } else {
            let rows: Vec<(i64, i64, i64, String)> = on!(&mut tx, c => bind_all!(
                sqlx::query_as(AssertSqlSafe(text)).bind("prod").bind(201_i64), args).fetch_all(c))?;
            rows.into_iter().map(|(.., line)| line).collect()
        };
        let plan = plan.join("\n");
        let (of_path, everything) = if postgres {
            (format!("using {index} on"), "Seq Scan on leases")
        } else {
            (format!("USING INDEX {index} (secret_path=?)"), "SCAN leases")
        };
        assert!(plan.contains(&of_path) && !plan.contains(everything), "{plan}");
    }
    Ok(())
}

both_stores!(lease_page_every_way, every_way);
both_stores!(lease_page_plan, plan);
