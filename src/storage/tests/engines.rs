use super::leases::active;
use super::secrets::secret;
use crate::error::{ErrorCode, Result};
use crate::storage::db::{Db, Tx};
use crate::storage::engine_roles::{self, EngineRoleRow};
use crate::storage::engines::{self, EngineRow};
use crate::storage::leases::LeaseRow;
use crate::storage::page::Page;
use crate::storage::secrets::{self, SecretRow};
use crate::storage::testing::{ODD, at, both_stores};
use serde_json::json;
use sqlx::types::Json;
use uuid::Uuid;

pub(super) fn engine(name: &str) -> EngineRow {
    EngineRow {
        id: Uuid::new_v4(),
        name: name.into(),
        engine_type: "postgresql".into(),
        description: None,
        config_encrypted: vec![0, 255, 7],
        config_version: 1,
        key_version: 0,
        pending_encrypted: None,
        config_shown: Json(json!({})),
        enabled: true,
        max_ttl_seconds: None,
        max_leases: None,
        live_leases: 0,
        root_rotated_at: None,
        drift: None,
        metadata: Json(json!({})),
        created_at: at(0),
        updated_at: at(0),
    }
}

pub(super) async fn put(tx: &mut Tx, row: EngineRow) -> Result<EngineRow> {
    engines::insert(tx, &row).await?;
    Ok(row)
}

/// A secret of type `dynamic_role` and its row, issuing from this engine.
pub(super) async fn role(tx: &mut Tx, path: &str, engine_id: Uuid) -> Result<EngineRoleRow> {
    let secret = SecretRow { secret_type: "dynamic_role".into(), ..secret(path) };
    secrets::insert(tx, &secret).await?;
    let row = EngineRoleRow {
        id: Uuid::new_v4(),
        secret_id: secret.id,
        engine_id,
        key_version: 3,
        default_ttl_seconds: 60,
        max_ttl_seconds: 600,
        max_leases: None,
        max_renewals: Some(0),
        live_leases: 0,
        created_at: at(0),
        updated_at: at(0),
    };
    engine_roles::insert(tx, &row).await?;
    Ok(row)
}

async fn round_trip(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let bare = put(&mut tx, engine("bare")).await?;
    let full = EngineRow {
        description: Some(ODD.into()),
        pending_encrypted: Some(vec![1]),
        config_shown: Json(json!({ "host": ODD, "port": 5432 })),
        enabled: false,
        max_ttl_seconds: Some(i64::MAX),
        max_leases: Some(1),
        live_leases: 7,
        root_rotated_at: Some(at(123_456)),
        drift: Some(Json(json!({ "unknown": 1 }))),
        metadata: Json(json!({ "ending": true })),
        updated_at: at(9),
        ..engine("full")
    };
    let full = put(&mut tx, full).await?;
    for row in [&bare, &full] {
        assert!(engines::find(&mut tx, &row.name).await?.unwrap() == *row);
        assert!(engines::by_id(&mut tx, row.id).await?.unwrap() == *row);
    }
    assert!(engines::find(&mut tx, ODD).await?.is_none());
    let taken = engines::insert(&mut tx, &engine("full")).await.unwrap_err();
    assert_eq!(taken.code(), ErrorCode::Conflict);

    let changed = EngineRow {
        config_encrypted: vec![9],
        config_version: 2,
        key_version: 4,
        pending_encrypted: None,
        enabled: true,
        live_leases: 99,
        ..full.clone()
    };
    engines::update(&mut tx, &changed, 1).await?;
    let kept = EngineRow { live_leases: 7, ..changed.clone() };
    assert!(engines::by_id(&mut tx, full.id).await?.unwrap() == kept, "the count is not written");
    let stale = engines::update(&mut tx, &changed, 1).await.unwrap_err();
    assert_eq!(stale.code(), ErrorCode::Conflict);
    engines::set_drift(&mut tx, full.id, &json!({ "unknown": 2 })).await?;
    let found = engines::by_id(&mut tx, full.id).await?.unwrap();
    assert_eq!(found.drift, Some(Json(json!({ "unknown": 2 }))));
    engines::remove(&mut tx, full.id).await?;
    engines::remove(&mut tx, full.id).await?;
    let gone = engines::set_drift(&mut tx, full.id, &json!({})).await.unwrap_err();
    assert_eq!(gone.code(), ErrorCode::Conflict);
    assert!(engines::by_id(&mut tx, full.id).await?.is_none());
    Ok(())
}

async fn pages(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let mut ids = Vec::new();
    for name in ["c", "a", "b", "d"] {
        ids.push(put(&mut tx, engine(name)).await?.id);
    }
    ids.sort_unstable();
    let mut names = async |after: Option<&str>, before: Option<&str>, limit, backward| -> Result<String> {
        let page = Page { limit, after: after.map(Into::into), before: before.map(Into::into), backward };
        Ok(engines::list(&mut tx, &page).await?.into_iter().map(|row| row.name).collect())
    };
    assert_eq!(names(None, None, 9, false).await?, "abcd");
    assert_eq!(names(Some("a"), None, 2, false).await?, "bc");
    assert_eq!(names(None, Some("d"), 2, true).await?, "bc");
    assert_eq!(engines::ids(&mut tx, None, 9).await?, ids);
    assert_eq!(engines::ids(&mut tx, Some(ids[1]), 1).await?, &ids[2..3]);
    Ok(())
}

async fn counts(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let two = put(&mut tx, EngineRow { max_leases: Some(2), ..engine("two") }).await?;
    let off = put(&mut tx, EngineRow { enabled: false, ..engine("off") }).await?;
    let free = put(&mut tx, engine("free")).await?;
    assert!(engines::count_lease(&mut tx, two.id).await?);
    assert!(engines::count_lease(&mut tx, two.id).await?);
    assert!(!engines::count_lease(&mut tx, two.id).await?, "it has as many as it may");
    engines::discount_leases(&mut tx, two.id, 2).await?;
    assert!(engines::count_lease(&mut tx, two.id).await?);
    assert!(!engines::count_lease(&mut tx, off.id).await?, "it issues nothing");
    assert!(!engines::count_lease(&mut tx, Uuid::nil()).await?, "it is not there");
    for _ in 0..5 {
        assert!(engines::count_lease(&mut tx, free.id).await?);
    }
    assert_eq!(engines::by_id(&mut tx, free.id).await?.unwrap().live_leases, 5);

    engine_roles::discount_leases(&mut tx, Uuid::nil(), 1).await
}

async fn no_count_below_zero(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let row = put(&mut tx, engine("e")).await?;
    assert!(engines::discount_leases(&mut tx, row.id, 1).await.is_err());
    Ok(())
}

async fn roles(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let engine_row = put(&mut tx, engine("e")).await?;
    let other = put(&mut tx, engine("other")).await?;
    let one = role(&mut tx, "prod.b", engine_row.id).await?;
    role(&mut tx, "prod.a", engine_row.id).await?;
    let elsewhere = role(&mut tx, "prod.c", other.id).await?;
    assert_eq!(engine_roles::by_secret(&mut tx, one.secret_id).await?, Some(one.clone()));
    assert_eq!(engine_roles::by_secret(&mut tx, Uuid::nil()).await?, None);

    assert!(engine_roles::sealed_config(&mut tx, one.secret_id).await?.is_none());
    engine_roles::set_sealed_config(&mut tx, one.secret_id, &[0, 9], 5).await?;
    assert_eq!(engine_roles::sealed_config(&mut tx, one.secret_id).await?, Some((vec![0, 9], 5)));
    let plain = secret("prod.static");
    secrets::insert(&mut tx, &plain).await?;
    let refused = engine_roles::set_sealed_config(&mut tx, plain.id, &[1], 1).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Conflict, "a static secret has no configuration");

    let changed = EngineRoleRow {
        key_version: 4,
        default_ttl_seconds: 1,
        max_ttl_seconds: 2,
        max_leases: Some(3),
        max_renewals: None,
        updated_at: at(5),
        ..one.clone()
    };
    engine_roles::update(&mut tx, &EngineRoleRow { live_leases: 9, ..changed.clone() }).await?;
    assert_eq!(engine_roles::by_secret(&mut tx, one.secret_id).await?, Some(changed.clone()));
    let gone = engine_roles::update(&mut tx, &EngineRoleRow { id: Uuid::nil(), ..changed }).await;
    assert_eq!(gone.unwrap_err().code(), ErrorCode::Conflict);

    assert_eq!(engine_roles::paths_of(&mut tx, engine_row.id, 9).await?, ["prod.a", "prod.b"]);
    assert_eq!(engine_roles::paths_of(&mut tx, engine_row.id, 1).await?, ["prod.a"]);
    assert_eq!(engine_roles::remove_of(&mut tx, engine_row.id).await?, 2);
    assert!(engine_roles::by_secret(&mut tx, one.secret_id).await?.is_none());
    assert!(secrets::find(&mut tx, "prod.b").await?.is_none(), "the secret goes with it");
    assert!(engine_roles::by_secret(&mut tx, elsewhere.secret_id).await?.is_some());
    engines::remove(&mut tx, engine_row.id).await
}

/// What is issued at a path, in one look.
async fn issuing(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let of = EngineRow { max_ttl_seconds: Some(7), metadata: Json(json!({ "k": ODD })), ..engine("e") };
    let of = put(&mut tx, of).await?;
    put(&mut tx, engine("other")).await?;
    let row = role(&mut tx, "prod.a", of.id).await?;
    role(&mut tx, "prod.b", of.id).await?;
    secrets::insert(&mut tx, &secret("prod.static")).await?;
    engine_roles::set_sealed_config(&mut tx, row.secret_id, &[0, 9], 5).await?;
    tx.commit().await?;
    let found = engine_roles::at_path(db.glance().await?, "prod.a").await?.unwrap();
    assert!(found.engine == of);
    assert_eq!((found.secret_id, found.sealed, found.sealed_version), (row.secret_id, vec![0, 9], 5));
    let limits = (found.default_ttl_seconds, found.role_max_ttl_seconds, found.max_renewals);
    assert_eq!(limits, (60, 600, Some(0)));
    for path in ["prod.b", "prod.static", "prod", ""] {
        let none = engine_roles::at_path(db.glance().await?, path).await?;
        assert!(none.is_none(), "{path} has no configuration, or is no role");
    }
    Ok(())
}

/// Engines that the reaper looks at.
async fn with_work(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    put(&mut tx, engine("idle")).await?;
    put(&mut tx, EngineRow { enabled: false, live_leases: 1, ..engine("off with a lease") }).await?;
    put(&mut tx, EngineRow { enabled: false, ..engine("off") }).await?;
    put(&mut tx, EngineRow { pending_encrypted: Some(vec![1]), ..engine("rotating") }).await?;
    for (name, due) in [("due", at(10)), ("due later", at(11))] {
        let row = put(&mut tx, engine(name)).await?;
        let lease = LeaseRow { due_at: Some(due), ..active(row.id, "a") };
        crate::storage::leases::insert(&mut tx, &lease).await?;
    }
    let mut found = engines::with_work(&mut tx, Uuid::nil(), at(10), 9).await?;
    found.sort_by(|a, b| a.name.cmp(&b.name));
    let names: Vec<_> = found.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["due", "rotating"]);
    assert_eq!(engines::with_work(&mut tx, Uuid::nil(), at(10), 1).await?.len(), 1);
    let ended = engines::disabled_without_leases(&mut tx, 9).await?;
    assert_eq!(ended.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["off"]);
    Ok(())
}

/// An engine cannot go before its roles.
async fn roles_hold_their_engine(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let row = put(&mut tx, engine("e")).await?;
    role(&mut tx, "prod.a", row.id).await?;
    assert!(engines::remove(&mut tx, row.id).await.is_err());
    Ok(())
}

both_stores!(engine_round_trip, round_trip);
both_stores!(engine_pages, pages);
both_stores!(engine_issuing, issuing);
both_stores!(engine_with_work, with_work);
both_stores!(engine_counts, counts);
both_stores!(engine_no_count_below_zero, no_count_below_zero);
both_stores!(engine_role_rows, roles);
both_stores!(engine_roles_hold_their_engine, roles_hold_their_engine);
