use crate::error::{ErrorCode, Result};
use crate::storage::db::Db;
use crate::storage::page::Page;
use crate::storage::roles::{self, LoginFailures, RoleRow, SecretIdRow};
use crate::storage::testing::{ODD, at, both_stores};
use crate::storage::types::TextArray;
use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::types::Json;
use uuid::Uuid;

pub(super) fn role(name: &str) -> RoleRow {
    RoleRow {
        role_id: Uuid::new_v4(),
        role_name: name.into(),
        policies: TextArray(vec!["a".into(), ODD.into()]),
        token_policies: TextArray::default(),
        ttl_seconds: 60,
        max_ttl_seconds: 60,
        bind_secret_id: true,
        secret_id_num_uses: 0,
        secret_id_ttl_seconds: None,
        bound_cidr_list: TextArray(vec!["10.0.0.0/8".into(), "2001:db8::/32".into()]),
        token_bound_cidr_list: TextArray::default(),
        token_num_uses: 0,
        token_period_seconds: None,
        entity_type: "app".into(),
        enabled: true,
        description: None,
        metadata: Json(json!({"team": ODD})),
        created_at: at(1),
        updated_at: at(2),
    }
}

pub(super) fn secret_id(
    role_id: Uuid,
    uses_left: Option<i64>,
    expires_at: Option<DateTime<Utc>>,
) -> SecretIdRow {
    let accessor = Uuid::new_v4();
    SecretIdRow {
        accessor,
        role_id,
        secret_id_hash: accessor.as_bytes().repeat(2),
        uses_left,
        expires_at,
        bound_cidr_list: TextArray(vec!["127.0.0.1/32".into()]),
        metadata: Json(json!({"n": 1})),
        created_by: Some("role:x".into()),
        created_at: at(0),
        last_used_at: None,
    }
}

async fn round_trip(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let row = role("billing");
    roles::insert(&mut tx, &row).await?;
    assert_eq!(roles::find(&mut tx, "billing").await?, Some(row.clone()));
    assert_eq!(roles::insert(&mut tx, &role("billing")).await.unwrap_err().code(), ErrorCode::Conflict);
    let changed = RoleRow {
        policies: TextArray::default(),
        token_policies: TextArray(vec!["t".into()]),
        ttl_seconds: 61,
        max_ttl_seconds: 62,
        bind_secret_id: false,
        secret_id_num_uses: 3,
        secret_id_ttl_seconds: Some(4),
        bound_cidr_list: TextArray::default(),
        token_bound_cidr_list: TextArray(vec!["10.1.0.0/16".into()]),
        token_num_uses: 5,
        token_period_seconds: Some(6),
        entity_type: "admin".into(),
        enabled: false,
        description: Some(ODD.into()),
        metadata: Json(json!({})),
        updated_at: at(7),
        ..row
    };
    roles::update(&mut tx, &changed).await?;
    assert_eq!(roles::by_id(&mut tx, changed.role_id).await?, Some(changed.clone()));
    for name in ["a", "c", "B"] {
        roles::insert(&mut tx, &role(name)).await?;
    }
    let page = Page { limit: 2, after: Some("a".into()), ..Page::default() };
    let names: Vec<_> = roles::list(&mut tx, &page).await?.into_iter().map(|r| r.role_name).collect();
    assert_eq!(names, ["billing", "c"]);
    let page = Page { limit: 2, before: Some("billing".into()), backward: true, ..Page::default() };
    let names: Vec<_> = roles::list(&mut tx, &page).await?.into_iter().map(|r| r.role_name).collect();
    assert_eq!(names, ["B", "a"]);
    assert!(roles::remove(&mut tx, changed.role_id).await?);
    assert!(!roles::remove(&mut tx, changed.role_id).await?);
    assert_eq!(roles::update(&mut tx, &changed).await.unwrap_err().code(), ErrorCode::Conflict);
    let longer = RoleRow { ttl_seconds: 100, max_ttl_seconds: 99, ..role("z") };
    assert!(roles::insert(&mut tx, &longer).await.is_err(), "a TTL above its maximum");
    Ok(())
}

async fn secret_ids(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let (row, other) = (role("a"), role("b"));
    roles::insert(&mut tx, &row).await?;
    roles::insert(&mut tx, &other).await?;
    let limited = secret_id(row.role_id, Some(2), Some(at(100)));
    let bare = SecretIdRow {
        created_by: None,
        bound_cidr_list: TextArray::default(),
        last_used_at: Some(at(5)),
        ..secret_id(row.role_id, None, None)
    };
    for id in [&limited, &bare] {
        roles::insert_secret_id(&mut tx, id).await?;
        assert!(roles::secret_id_by_accessor(&mut tx, id.accessor).await?.unwrap() == *id);
        let hash = Some(id.secret_id_hash.as_slice().try_into().unwrap());
        let (its_role, found) = roles::presented(&mut tx, (row.role_id, hash)).await?.unwrap();
        assert!(its_role == row && found.unwrap() == *id);
        let (its_role, found) = roles::presented(&mut tx, (other.role_id, hash)).await?.unwrap();
        assert!(its_role == other && found.is_none());
        assert!(roles::presented(&mut tx, (row.role_id, None)).await?.unwrap().1.is_none());
        assert!(roles::presented(&mut tx, (Uuid::nil(), hash)).await?.is_none());
    }
    // two uses, not after its end
    assert!(!roles::use_secret_id(&mut tx, limited.accessor, false, at(100)).await?);
    assert!(!roles::use_secret_id(&mut tx, limited.accessor, true, at(99)).await?, "not its last");
    assert!(roles::use_secret_id(&mut tx, limited.accessor, false, at(99)).await?);
    let used = roles::secret_id_by_accessor(&mut tx, limited.accessor).await?.unwrap();
    assert_eq!((used.uses_left, used.last_used_at), (Some(1), Some(at(99))));
    assert!(!roles::use_secret_id(&mut tx, limited.accessor, false, at(99)).await?, "its last");
    assert!(!roles::use_secret_id(&mut tx, limited.accessor, true, at(100)).await?);
    assert!(roles::use_secret_id(&mut tx, limited.accessor, true, at(99)).await?);
    assert!(
        roles::secret_id_by_accessor(&mut tx, limited.accessor).await?.is_none(),
        "gone with its last use"
    );
    assert!(!roles::use_secret_id(&mut tx, limited.accessor, true, at(99)).await?);
    for _ in 0..3 {
        assert!(roles::use_secret_id(&mut tx, bare.accessor, false, at(1_000_000)).await?);
    }
    assert_eq!(roles::secret_id_by_accessor(&mut tx, bare.accessor).await?.unwrap().uses_left, None);
    assert!(roles::remove_secret_id(&mut tx, bare.accessor).await?);
    assert!(!roles::remove_secret_id(&mut tx, bare.accessor).await?);

    let mut accessors = Vec::new();
    for n in 0..5 {
        let id = secret_id(row.role_id, None, Some(at(n)));
        roles::insert_secret_id(&mut tx, &id).await?;
        accessors.push(id.accessor);
    }
    roles::insert_secret_id(&mut tx, &secret_id(other.role_id, None, None)).await?;
    accessors.sort_unstable();
    let mut found = Vec::new();
    loop {
        let after = found.last().map(Uuid::to_string);
        let page = Page { limit: 2, after, ..Page::default() };
        let rows = roles::secret_ids(&mut tx, row.role_id, &page).await?;
        if rows.is_empty() {
            break;
        }
        found.extend(rows.into_iter().map(|id| id.accessor));
    }
    assert_eq!(found, accessors);
    let page = Page { limit: 2, before: Some(accessors[4].to_string()), backward: true, ..Page::default() };
    let rows = roles::secret_ids(&mut tx, row.role_id, &page).await?;
    assert_eq!(rows.into_iter().map(|id| id.accessor).collect::<Vec<_>>(), accessors[2..4]);
    let page = Page { before: Some("7".into()), ..page };
    assert_eq!(roles::secret_ids(&mut tx, row.role_id, &page).await.err().unwrap().field(), Some("before"));
    assert_eq!(roles::purge_secret_ids(&mut tx, at(3), 3).await?, 3);
    assert_eq!(roles::purge_secret_ids(&mut tx, at(3), 3).await?, 1);
    assert_eq!(roles::purge_secret_ids(&mut tx, at(3), 3).await?, 0);
    roles::remove(&mut tx, row.role_id).await?;
    let page = Page { limit: 9, ..Page::default() };
    assert!(roles::secret_ids(&mut tx, row.role_id, &page).await?.is_empty(), "they go with their role");
    Ok(())
}

async fn one_winner(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let row = role("a");
    roles::insert(&mut tx, &row).await?;
    let id = secret_id(row.role_id, Some(1), None);
    roles::insert_secret_id(&mut tx, &id).await?;
    tx.commit().await?;
    let start = std::sync::Arc::new(tokio::sync::Barrier::new(32));
    let tries: Vec<_> = (0..32)
        .map(|_| {
            let (db, start) = (db.clone(), start.clone());
            tokio::spawn(async move {
                start.wait().await;
                let mut tx = db.begin().await?;
                let won = roles::use_secret_id(&mut tx, id.accessor, true, at(0)).await?;
                tx.commit().await?;
                Ok::<_, crate::error::Error>(won)
            })
        })
        .collect();
    let mut winners = 0;
    for attempt in tries {
        winners += usize::from(attempt.await.unwrap()?);
    }
    assert_eq!(winners, 1);
    Ok(())
}

async fn login_failures(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    assert_eq!(roles::failures(&mut tx, ODD).await?, None);
    let row = LoginFailures { subject: ODD.into(), failures: 1, last_failed_at: at(1), locked_until: None };
    roles::put_failures(&mut tx, &row).await?;
    assert_eq!(roles::failures(&mut tx, ODD).await?, Some(row.clone()));
    let locked = LoginFailures { failures: 2, last_failed_at: at(2), locked_until: Some(at(50)), ..row };
    roles::put_failures(&mut tx, &locked).await?;
    assert_eq!(roles::failures(&mut tx, ODD).await?, Some(locked.clone()));
    let old = LoginFailures { subject: "old".into(), locked_until: None, ..locked.clone() };
    roles::put_failures(&mut tx, &old).await?;
    assert_eq!(roles::purge_failures(&mut tx, at(10), 9).await?, 1, "a lock that still holds is kept");
    assert_eq!(roles::failures(&mut tx, "old").await?, None);
    roles::clear_failures(&mut tx, ODD).await?;
    assert_eq!(roles::failures(&mut tx, ODD).await?, None);
    roles::clear_failures(&mut tx, ODD).await
}

both_stores!(role_round_trip, round_trip);
both_stores!(role_secret_ids, secret_ids);
both_stores!(secret_id_has_one_winner, one_winner);
both_stores!(failed_logins, login_failures);
