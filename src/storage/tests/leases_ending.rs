use super::leases::{active, ended};
use crate::error::{ErrorCode, Result};
use crate::storage::db::{Db, Tx, on};
use crate::storage::leases::{self, LeaseRow, ListLeases, ending_key};
use crate::storage::leases_ending::{ending_within, page_of};
use crate::storage::page::Page;
use crate::storage::select::bind_all;
use crate::storage::testing::{at, both_stores};
use sqlx::AssertSqlSafe;
use uuid::Uuid;

/// Leases whose ends are in another order than their ids, some of them at once; and one that is revoked.
async fn some(tx: &mut Tx, engine: Uuid) -> Result<Vec<LeaseRow>> {
    let mut rows = vec![ended(engine, "prod.a", 7)];
    for (number, end) in [900, 100, 500, 500, 123_456, 100, 700, 500, 100].into_iter().enumerate() {
        let (path, actor) =
            if number % 2 == 0 { ("prod.a", "role:billing") } else { ("test.b", "role:other") };
        rows.push(LeaseRow { expires_at: at(end), actor_id: actor.into(), ..active(engine, path) });
    }
    for row in &rows {
        leases::insert(tx, row).await?;
    }
    Ok(rows)
}

/// The keys of the leases that meet a filter, found without a database.
fn expected(rows: &[LeaseRow], filter: &ListLeases) -> Vec<String> {
    let mut rows: Vec<&LeaseRow> = rows
        .iter()
        .filter(|row| !row.revoked)
        .filter(|row| filter.prefix.as_ref().is_none_or(|prefix| row.secret_path.starts_with(prefix)))
        .filter(|row| filter.actor_id.as_ref().is_none_or(|actor| row.actor_id == *actor))
        .filter(|row| filter.engine_id.is_none_or(|engine| row.engine_id == engine))
        .filter(|row| filter.states.is_empty() || filter.states.contains(&row.state.as_str()))
        .filter(|row| filter.expires_before.is_none_or(|time| row.expires_at < time))
        .collect();
    rows.sort_by_key(|row| (row.expires_at, row.lease_id));
    rows.into_iter().map(|row| ending_key(row.expires_at, row.lease_id)).collect()
}

/// All keys from one end to the other, page by page; and how often the search stopped early.
async fn walk(
    tx: &mut Tx,
    filter: &ListLeases,
    backward: bool,
    looked_at: i64,
) -> Result<(Vec<String>, usize)> {
    let (mut keys, mut stops, mut from) = (Vec::new(), 0, None::<String>);
    loop {
        let (after, before) = if backward { (None, from) } else { (from, None) };
        let page = Page { limit: 2, after, before, backward };
        let found = ending_within(tx, filter, &page, looked_at).await?;
        let of_page: Vec<_> = found.rows.iter().map(|row| ending_key(row.expires_at, row.lease_id)).collect();
        let edge = if backward { of_page.first() } else { of_page.last() }.cloned();
        stops += usize::from(found.stopped.is_some());
        from = found.stopped.or(edge);
        if backward {
            keys.splice(0..0, of_page);
        } else {
            keys.extend(of_page);
        }
        if from.is_none() {
            return Ok((keys, stops));
        }
    }
}

async fn pages(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let engine = Uuid::new_v4();
    let rows = some(&mut tx, engine).await?;
    let all = ListLeases::default();
    let searched = [
        ListLeases { prefix: Some("prod.a".into()), ..all.clone() },
        ListLeases { engine_id: Some(Uuid::new_v4()), ..all.clone() },
        ListLeases { states: vec!["issuing", "revoked"], actor_id: Some("role:other".into()), ..all.clone() },
    ];
    let plain = [
        all.clone(),
        ListLeases { actor_id: Some("role:billing".into()), ..all.clone() },
        ListLeases { expires_before: Some(at(500)), ..all.clone() },
    ];
    for backward in [false, true] {
        for filter in &plain {
            let found = walk(&mut tx, filter, backward, 3).await?;
            assert_eq!(found, (expected(&rows, filter), 0), "{filter:?}");
        }
        for filter in &searched {
            let (keys, stops) = walk(&mut tx, filter, backward, 3).await?;
            let wanted = expected(&rows, filter);
            assert_eq!(keys, wanted, "{filter:?}");
            assert!(stops > 0, "three are looked at for a page");
            let (keys, stops) = walk(&mut tx, filter, backward, 100).await?;
            assert_eq!((keys, stops), (wanted, 0), "{filter:?}");
        }
    }
    for key in ["", "x", &Uuid::new_v4().to_string(), "2026-01-01T00:00:00Z x"] {
        let page = Page { limit: 1, after: Some(key.to_owned()), ..Page::default() };
        let refused = leases::list_ending(&mut tx, &all, &page).await.err().unwrap();
        assert_eq!((refused.code(), refused.field()), (ErrorCode::BadUserInput, Some("after")), "{key}");
    }
    Ok(())
}

/// A page comes from the index that is in its order.
async fn plan(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    some(&mut tx, Uuid::new_v4()).await?;
    let postgres = tx.is_postgres();
    if postgres {
        // what it would choose for very many rows, with few in the table
        on!(&mut tx, c => sqlx::query_as::<_, (String,)>(
            "SELECT set_config('enable_seqscan', 'off', true) || set_config('enable_bitmapscan', 'off', true) \
             || set_config('enable_sort', 'off', true)"
        ).fetch_one(c))?;
    }
    for (actor, index) in [(None, "leases_active_expiry"), (Some("role:other"), "leases_actor_ending")] {
        let filter = ListLeases {
            actor_id: actor.map(str::to_owned),
            expires_before: Some(at(1000)),
            ..ListLeases::default()
        };
        let page = Page { limit: 51, ..Page::default() };
        let select = page_of(postgres, &filter, &page, None)?;
        let text = format!("EXPLAIN {}{}", if postgres { "" } else { "QUERY PLAN " }, select.text);
        let args = &select.args;
        let plan: Vec<String> = if postgres {
            let rows: Vec<(String,)> =
                on!(&mut tx, c => bind_all!(sqlx::query_as(AssertSqlSafe(text)), args).fetch_all(c))?;
            rows.into_iter().map(|(line,)| line).collect()
        } else {
            let rows: Vec<(i64, i64, i64, String)> =
                on!(&mut tx, c => bind_all!(sqlx::query_as(AssertSqlSafe(text)), args).fetch_all(c))?;
            rows.into_iter().map(|(.., line)| line).collect()
        };
        let plan = plan.join("\n");
        assert!(plan.contains(index), "{plan}");
        // what ends at one moment is sorted, never all of them
        let sorts = if postgres { "  Sort  " } else { "TEMP B-TREE FOR ORDER BY" };
        assert!(!plan.contains(sorts), "{plan}");
    }
    Ok(())
}

both_stores!(leases_ending_pages, pages);
both_stores!(leases_ending_plan, plan);
