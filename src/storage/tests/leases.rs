use crate::error::{ErrorCode, Result};
use crate::storage::db::{Db, Tx};
use crate::storage::leases::{self, LeaseRow, ListLeases, LiveLease};
use crate::storage::page::Page;
use crate::storage::testing::{ODD, at, both_stores};
use crate::storage::types::Inet;
use serde_json::json;
use sqlx::types::Json;
use uuid::Uuid;

/// A lease that is being issued, and is taken for lost at 100.
pub(super) fn lease(engine_id: Uuid, path: &str) -> LeaseRow {
    LeaseRow {
        lease_id: Uuid::now_v7(),
        secret_id: Uuid::new_v4(),
        secret_path: path.into(),
        engine_id,
        engine_type: "postgresql".into(),
        agent_id: None,
        app_id: None,
        actor_id: "role:billing".into(),
        token_accessor: Uuid::new_v4(),
        role_name: None,
        state: "issuing".into(),
        issued_at: at(0),
        expires_at: at(1000),
        max_expires_at: at(5000),
        ttl_seconds: 1,
        renewed_count: 0,
        last_renewed_at: None,
        max_renewals: None,
        due_at: Some(at(100)),
        revoked: false,
        revoked_at: None,
        revocation_reason: None,
        revocation_attempts: 0,
        last_revocation_error: None,
        credentials: None,
        engine_metadata: Json(json!({})),
        idempotency_key: None,
        source_ip: None,
        correlation_id: None,
        claimed_by: None,
    }
}

/// One whose credentials are out.
pub(super) fn active(engine_id: Uuid, path: &str) -> LeaseRow {
    LeaseRow {
        state: "active".into(),
        due_at: Some(at(1000)),
        credentials: Some(vec![7]),
        ..lease(engine_id, path)
    }
}

/// One that has ended, at this time.
pub(super) fn ended(engine_id: Uuid, path: &str, micros: i64) -> LeaseRow {
    LeaseRow {
        state: "revoked".into(),
        due_at: None,
        revoked: true,
        revoked_at: Some(at(micros)),
        ..lease(engine_id, path)
    }
}

pub(super) async fn put(tx: &mut Tx, row: LeaseRow) -> Result<LeaseRow> {
    leases::insert(tx, &row).await?;
    Ok(row)
}

async fn round_trip(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let engine = Uuid::new_v4();
    let bare = put(&mut tx, lease(engine, "prod.a")).await?;
    let full = LeaseRow {
        claimed_by: Some(Uuid::new_v4()),
        agent_id: Some("agent:x".into()),
        app_id: Some("app:y".into()),
        actor_id: ODD.into(),
        role_name: Some("billing".into()),
        renewed_count: 3,
        last_renewed_at: Some(at(123_456)),
        max_renewals: Some(0),
        revocation_reason: Some(ODD.into()),
        revocation_attempts: 2,
        last_revocation_error: Some(ODD.into()),
        credentials: Some(vec![0, 255]),
        engine_metadata: Json(json!({ "user": ODD, "deep": [{ "n": -7 }] })),
        idempotency_key: Some("key-1".into()),
        source_ip: Some(Inet("2001:db8::1".parse().unwrap())),
        correlation_id: Some(ODD.into()),
        ..active(engine, "prod.b")
    };
    let full = put(&mut tx, full).await?;
    let gone = put(&mut tx, ended(engine, "prod.c", 9)).await?;
    for row in [&bare, &full, &gone] {
        assert!(leases::by_id(&mut tx, row.lease_id).await?.unwrap() == *row);
    }
    assert!(leases::by_id(&mut tx, Uuid::nil()).await?.is_none());
    assert!(leases::by_key(&mut tx, ODD, "key-1").await?.unwrap() == full);
    assert!(leases::by_key(&mut tx, "role:billing", "key-1").await?.is_none(), "it is another's key");

    let again = LeaseRow { lease_id: Uuid::now_v7(), ..full.clone() };
    let refused = leases::insert(&mut tx, &again).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Conflict);
    put(&mut tx, LeaseRow { actor_id: "another".into(), ..again.clone() }).await?;
    let key_again = LeaseRow { lease_id: Uuid::now_v7(), idempotency_key: None, ..again };
    put(&mut tx, key_again.clone()).await?;
    put(&mut tx, LeaseRow { lease_id: Uuid::now_v7(), ..key_again }).await?;
    Ok(())
}

/// What the database itself refuses of a lease.
async fn impossible(db: Db) -> Result<()> {
    let row = lease(Uuid::new_v4(), "prod.a");
    for wrong in [
        LeaseRow { state: "unheard-of".into(), ..row.clone() },
        LeaseRow { due_at: None, ..row.clone() },
        LeaseRow { revoked: true, ..row.clone() },
        LeaseRow { state: "revoked".into(), ..row.clone() },
        LeaseRow { credentials: Some(vec![1]), ..ended(row.engine_id, "prod.a", 1) },
        LeaseRow { expires_at: at(-1), ..row.clone() },
        LeaseRow { ttl_seconds: 0, ..row },
    ] {
        let mut tx = db.begin().await?;
        assert!(leases::insert(&mut tx, &wrong).await.is_err(), "{}", wrong.state);
    }
    Ok(())
}

struct Listed {
    tx: Tx,
    rows: Vec<LeaseRow>,
}

impl Listed {
    /// Which of the rows, by their index, in the order in which they come.
    async fn get(&mut self, filter: ListLeases) -> Result<Vec<usize>> {
        self.page(filter, &Page { limit: 99, ..Page::default() }).await
    }

    async fn page(&mut self, filter: ListLeases, page: &Page) -> Result<Vec<usize>> {
        let found = leases::list(&mut self.tx, &filter, page).await?;
        let index = |row: &LeaseRow| self.rows.iter().position(|known| known == row).unwrap();
        Ok(found.iter().map(index).collect())
    }
}

async fn filters(db: Db) -> Result<()> {
    let (engine, token) = (Uuid::new_v4(), Uuid::new_v4());
    let other = Uuid::new_v4();
    let rows = vec![
        lease(engine, "prod.db"),
        LeaseRow { expires_at: at(500), ..active(engine, "prod.db.x") },
        LeaseRow { token_accessor: token, ..active(engine, "prod.dba") },
        LeaseRow { state: "revoking".into(), expires_at: at(10), ..active(other, "prod.db-1") },
        LeaseRow { actor_id: "another".into(), expires_at: at(1), ..ended(other, "prod", 9) },
        LeaseRow { role_name: Some("billing".into()), ..active(other, "z") },
    ];
    let mut tx = db.begin().await?;
    for row in &rows {
        leases::insert(&mut tx, row).await?;
    }
    let mut listed = Listed { tx, rows };
    let all = ListLeases::default();
    assert_eq!(listed.get(all.clone()).await?, [0, 1, 2, 3, 4, 5]);
    let within = ListLeases { prefix: Some("prod.db".into()), ..all.clone() };
    assert_eq!(listed.get(within.clone()).await?, [0, 1], "neither prod.dba nor prod.db-1");
    let prod = ListLeases { prefix: Some("prod".into()), ..all.clone() };
    assert_eq!(listed.get(prod.clone()).await?, [0, 1, 2, 3, 4]);
    assert_eq!(listed.get(ListLeases { engine_id: Some(engine), ..all.clone() }).await?, [0, 1, 2]);
    assert_eq!(listed.get(ListLeases { states: vec!["active"], ..all.clone() }).await?, [1, 2, 5]);
    let ending = ListLeases { states: vec!["revoking", "revoked"], ..all.clone() };
    assert_eq!(listed.get(ending).await?, [3, 4]);
    let before = ListLeases { expires_before: Some(at(500)), ..all.clone() };
    assert_eq!(listed.get(before).await?, [3], "before, and not revoked");
    assert_eq!(listed.get(ListLeases { overdue_at: Some(at(501)), ..all.clone() }).await?, [1, 3]);
    assert_eq!(listed.get(ListLeases { actor_id: Some("another".into()), ..all.clone() }).await?, [4]);
    assert_eq!(listed.get(ListLeases { token_accessor: Some(token), ..all.clone() }).await?, [2]);
    assert_eq!(listed.get(ListLeases { role_name: Some("billing".into()), ..all.clone() }).await?, [5]);
    let several = ListLeases {
        engine_id: Some(engine),
        states: vec!["active", "issuing"],
        expires_before: Some(at(501)),
        actor_id: Some("role:billing".into()),
        ..within
    };
    assert_eq!(listed.get(several).await?, [1]);

    let key = |listed: &Listed, index: usize| Some(listed.rows[index].lease_id.to_string());
    let page = Page { limit: 2, after: key(&listed, 1), ..Page::default() };
    assert_eq!(listed.page(all.clone(), &page).await?, [2, 3]);
    let page = Page { limit: 2, before: key(&listed, 4), backward: true, ..Page::default() };
    assert_eq!(listed.page(prod, &page).await?, [2, 3]);
    for (field, page) in [
        ("after", Page { limit: 1, after: Some("x".into()), ..Page::default() }),
        ("before", Page { limit: 1, before: Some(String::new()), ..Page::default() }),
    ] {
        let refused = leases::list(&mut listed.tx, &all, &page).await.err().unwrap();
        assert_eq!(refused.field(), Some(field));
    }
    Ok(())
}

async fn overdue_and_live(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let engine = Uuid::new_v4();
    let mut live = Vec::new();
    for micros in [30, 10, 20, 40] {
        let row = LeaseRow { expires_at: at(micros), ..active(engine, "prod.a") };
        let LeaseRow { lease_id, state, issued_at, .. } = put(&mut tx, row).await?;
        live.push(LiveLease { lease_id, state, issued_at });
    }
    put(&mut tx, LeaseRow { expires_at: at(1), ..ended(engine, "prod.a", 5) }).await?;
    let other =
        LeaseRow { expires_at: at(15), engine_type: "redis".into(), ..active(Uuid::new_v4(), "prod.a") };
    put(&mut tx, other).await?;
    let mut late = leases::overdue(&mut tx, at(40), 99).await?;
    late.sort();
    let kind = active(engine, "prod.a").engine_type;
    assert_eq!(late, [(kind.clone(), 3, at(10)), ("redis".to_owned(), 1, at(15))]);
    let counted: i64 = leases::overdue(&mut tx, at(40), 2).await?.iter().map(|kind| kind.1).sum();
    assert_eq!(counted, 2, "counted no further");
    assert!(leases::overdue(&mut tx, at(10), 99).await?.is_empty());
    assert_eq!(leases::on_their_way(&mut tx, 99).await?, [0, 0]);
    for (state, count) in [("issuing", 3), ("revoking", 2)] {
        for _ in 0..count {
            put(&mut tx, LeaseRow { state: state.into(), ..lease(Uuid::new_v4(), "prod.a") }).await?;
        }
    }
    assert_eq!(leases::on_their_way(&mut tx, 99).await?, [3, 2]);
    assert_eq!(leases::on_their_way(&mut tx, 1).await?, [1, 1], "counted no further");
    assert_eq!(leases::live_of(&mut tx, engine, None, 9).await?, live);
    assert_eq!(leases::live_of(&mut tx, engine, Some(live[1].lease_id), 1).await?, &live[2..3]);
    Ok(())
}

async fn purge(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let engine = Uuid::new_v4();
    for micros in [1, 2, 3, 10] {
        put(&mut tx, ended(engine, "prod.a", micros)).await?;
    }
    let live = put(&mut tx, LeaseRow { state: "revoking".into(), ..active(engine, "prod.a") }).await?;
    assert_eq!(leases::purge(&mut tx, at(10), 2).await?, 2);
    assert_eq!(leases::purge(&mut tx, at(10), 2).await?, 1);
    assert_eq!(leases::purge(&mut tx, at(10), 2).await?, 0);
    let page = Page { limit: 9, ..Page::default() };
    assert_eq!(leases::list(&mut tx, &ListLeases::default(), &page).await?.len(), 2);
    assert!(leases::by_id(&mut tx, live.lease_id).await?.is_some(), "what is not revoked stays");
    Ok(())
}

both_stores!(lease_round_trip, round_trip);
both_stores!(lease_impossible, impossible);
both_stores!(lease_filters, filters);
both_stores!(lease_overdue_and_live, overdue_and_live);
both_stores!(lease_purge, purge);
