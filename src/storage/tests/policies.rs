use crate::error::{ErrorCode, Result};
use crate::storage::db::Db;
use crate::storage::page::Page;
use crate::storage::policies::{self, PolicyRow};
use crate::storage::testing::{ODD, at, both_stores};
use crate::storage::types::TextArray;
use serde_json::json;
use sqlx::types::Json;
use uuid::Uuid;

fn policy(name: &str) -> PolicyRow {
    PolicyRow {
        id: Uuid::new_v4(),
        name: name.into(),
        description: Some(ODD.into()),
        policy_document: Json(json!({"version": 1, "allowed_secrets": ["prod.db.*"], "odd": ODD, "n": null})),
        entity_bindings: TextArray(vec!["role:billing".into(), ODD.into(), String::new()]),
        max_ttl_seconds: Some(3600),
        deny_policy: true,
        created_at: at(1),
        updated_at: at(2),
    }
}

async fn round_trip(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let full = policy("full");
    let bare = PolicyRow {
        description: None,
        entity_bindings: TextArray::default(),
        max_ttl_seconds: None,
        deny_policy: false,
        ..policy("bare")
    };
    policies::insert(&mut tx, &full).await?;
    policies::insert(&mut tx, &bare).await?;
    assert_eq!(policies::find(&mut tx, "full").await?, Some(full.clone()));
    assert_eq!(policies::by_id(&mut tx, bare.id).await?, Some(bare.clone()));
    assert_eq!(policies::find(&mut tx, "Full").await?, None);
    let taken = policies::insert(&mut tx, &policy("full")).await.unwrap_err();
    assert_eq!(taken.code(), ErrorCode::Conflict);
    assert_eq!(policies::count(&mut tx).await?, 2, "a refused insert leaves the transaction usable");

    let changed = PolicyRow {
        description: Some("new".into()),
        policy_document: Json(json!([1])),
        entity_bindings: TextArray(vec!["x".into()]),
        max_ttl_seconds: Some(1),
        deny_policy: true,
        updated_at: at(9),
        ..bare.clone()
    };
    policies::update(&mut tx, &changed).await?;
    assert_eq!(policies::find(&mut tx, "bare").await?, Some(changed));
    assert!(policies::remove(&mut tx, "bare").await?);
    assert!(!policies::remove(&mut tx, "bare").await?);
    assert_eq!(policies::update(&mut tx, &bare).await.unwrap_err().code(), ErrorCode::Conflict);
    tx.commit().await?;

    let mut tx = db.read().await?;
    assert_eq!(policies::all(&mut tx).await?, [full]);
    Ok(())
}

async fn paging(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    // in the order of bytes, not of a locale
    let names = ["A", "B.a", "B_a", "a", "a-b", "aa", "é"];
    for name in names.iter().rev() {
        policies::insert(&mut tx, &policy(name)).await?;
    }
    let mut found =
        async |after: Option<&str>, before: Option<&str>, limit, backward| -> Result<Vec<String>> {
            let page = Page { limit, after: after.map(Into::into), before: before.map(Into::into), backward };
            Ok(policies::list(&mut tx, &page).await?.into_iter().map(|row| row.name).collect())
        };
    assert_eq!(found(None, None, 100, false).await?, names);
    assert_eq!(found(None, None, 3, false).await?, ["A", "B.a", "B_a"]);
    assert_eq!(found(Some("B_a"), None, 3, false).await?, ["a", "a-b", "aa"]);
    assert_eq!(found(Some("aa"), None, 3, false).await?, ["é"]);
    assert_eq!(found(None, None, 2, true).await?, ["aa", "é"]);
    assert_eq!(found(None, Some("aa"), 2, true).await?, ["a", "a-b"]);
    assert_eq!(found(Some("A"), Some("a"), 9, true).await?, ["B.a", "B_a"]);
    assert_eq!(found(Some("A"), Some("a"), 1, true).await?, ["B_a"]);
    assert_eq!(found(None, None, 0, false).await?, [""; 0]);
    Ok(())
}

both_stores!(policy_round_trip, round_trip);
both_stores!(policy_paging, paging);
