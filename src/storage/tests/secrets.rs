use crate::error::{ErrorCode, Result};
use crate::storage::db::{Db, Tx};
use crate::storage::page::Page;
use crate::storage::secrets::{self, SecretRow};
use crate::storage::testing::{ODD, at, both_stores};
use serde_json::json;
use sqlx::types::Json;
use uuid::Uuid;

pub(super) fn secret(path: &str) -> SecretRow {
    SecretRow {
        id: Uuid::new_v4(),
        secret_path: path.into(),
        secret_type: "static".into(),
        version: 0,
        metadata: Json(json!({})),
        description: None,
        max_versions: 0,
        rotation_enabled: false,
        rotation_schedule: None,
        last_rotated_at: None,
        next_rotation_at: None,
        created_by: None,
        created_at: at(0),
        updated_at: at(0),
    }
}

fn full(path: &str) -> SecretRow {
    SecretRow {
        secret_type: "dynamic_role".into(),
        version: i64::MAX,
        metadata: Json(json!({"owner": ODD, "deep": [{"a": [null, true, -7, 9_007_199_254_740_993_i64]}]})),
        description: Some(ODD.into()),
        max_versions: 10,
        rotation_enabled: true,
        rotation_schedule: Some("0 3 * * *".into()),
        last_rotated_at: Some(at(123_456)),
        next_rotation_at: Some(at(-1)),
        created_by: Some("role:billing".into()),
        created_at: at(100_000),
        updated_at: at(999_999),
        ..secret(path)
    }
}

async fn round_trip(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let (full, bare) = (full("prod.full"), secret("prod.bare"));
    secrets::insert(&mut tx, &full).await?;
    secrets::insert(&mut tx, &bare).await?;
    assert_eq!(secrets::find(&mut tx, "prod.full").await?, Some(full.clone()));
    assert_eq!(secrets::find_for_update(&mut tx, "prod.bare").await?, Some(bare.clone()));
    assert_eq!(secrets::by_id(&mut tx, full.id).await?, Some(full.clone()));
    assert_eq!(secrets::find(&mut tx, "prod").await?, None);
    assert!(secrets::find_current(&mut tx, "prod.bare").await?.is_none(), "it has no version yet");
    let taken = secrets::insert(&mut tx, &secret("prod.full")).await.unwrap_err();
    assert_eq!(taken.code(), ErrorCode::Conflict);

    let changed = SecretRow {
        id: bare.id,
        secret_path: bare.secret_path.clone(),
        secret_type: bare.secret_type.clone(),
        created_by: None,
        created_at: bare.created_at,
        ..full
    };
    secrets::update(&mut tx, &changed).await?;
    assert_eq!(secrets::by_id(&mut tx, bare.id).await?, Some(changed.clone()));
    secrets::remove(&mut tx, bare.id).await?;
    assert_eq!(secrets::by_id(&mut tx, bare.id).await?, None);
    assert_eq!(secrets::update(&mut tx, &changed).await.unwrap_err().code(), ErrorCode::Conflict);
    Ok(())
}

async fn refused(db: Db) -> Result<()> {
    for broken in [
        SecretRow { version: -1, ..secret("a") },
        SecretRow { secret_type: "other".into(), ..secret("b") },
        SecretRow { max_versions: -1, ..secret("c") },
        secret(""),
    ] {
        let mut tx = db.begin().await?;
        assert!(secrets::insert(&mut tx, &broken).await.is_err(), "{broken:?}");
    }
    Ok(())
}

async fn paths(
    tx: &mut Tx,
    range: Option<(&str, &str)>,
    kind: Option<&str>,
    search: Option<&str>,
    page: &Page,
) -> Result<Vec<String>> {
    let range = range.map(|(from, to)| (from.to_owned(), to.to_owned()));
    Ok(secrets::list(tx, range, kind, search, page).await?.into_iter().map(|row| row.secret_path).collect())
}

async fn lists(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    for path in ["prod.dba.x", "prod.db", "prod.db.b", "prod.db-2.x", "prod.db.a", "prod.d", "prod.db_x"] {
        secrets::insert(&mut tx, &secret(path)).await?;
    }
    let described = SecretRow { description: Some("Half OFF: 50%_off \\o/".into()), ..full("zeta") };
    secrets::insert(&mut tx, &described).await?;

    let all = Page { limit: 100, ..Page::default() };
    // the paths below prod.db: from "prod.db." to "prod.db/", the byte after the dot
    let below = Some(("prod.db.", "prod.db/"));
    assert_eq!(paths(&mut tx, below, None, None, &all).await?, ["prod.db.a", "prod.db.b"]);
    let last = Page { limit: 1, backward: true, ..Page::default() };
    assert_eq!(paths(&mut tx, below, None, None, &last).await?, ["prod.db.b"]);
    let first = Page { limit: 1, before: Some("prod.db.b".into()), backward: true, ..Page::default() };
    assert_eq!(paths(&mut tx, below, None, None, &first).await?, ["prod.db.a"]);
    let next = Page { limit: 2, after: Some("prod.db".into()), ..Page::default() };
    assert_eq!(paths(&mut tx, None, None, None, &next).await?, ["prod.db-2.x", "prod.db.a"]);

    assert_eq!(paths(&mut tx, None, Some("dynamic_role"), None, &all).await?, ["zeta"]);
    assert_eq!(paths(&mut tx, None, Some("static"), None, &all).await?.len(), 7);
    assert_eq!(paths(&mut tx, None, None, Some("DB_"), &all).await?, ["prod.db_x"], "_ is no wildcard");
    assert_eq!(paths(&mut tx, None, None, Some("50%_O"), &all).await?, ["zeta"]);
    assert_eq!(paths(&mut tx, None, None, Some("50%off"), &all).await?, [""; 0], "% is no wildcard");
    assert_eq!(paths(&mut tx, None, None, Some("\\O"), &all).await?, ["zeta"]);
    assert_eq!(paths(&mut tx, below, Some("static"), Some(".B"), &all).await?, ["prod.db.b"]);
    Ok(())
}

async fn steps(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    for path in ["a", "a.b", "a-c", "b", "c"] {
        secrets::insert(&mut tx, &secret(path)).await?;
    }
    let page = |limit, after: Option<&str>, backward| Page {
        limit,
        after: after.map(str::to_owned),
        before: None,
        backward,
    };
    let last = |path: &str| Some(path.to_owned());
    // byte by byte: '-' before '.'
    assert_eq!(secrets::step(&mut tx, None, &page(2, None, false)).await?, (2, last("a-c")));
    assert_eq!(secrets::step(&mut tx, None, &page(9, Some("a-c"), false)).await?, (3, last("c")));
    assert_eq!(secrets::step(&mut tx, None, &page(2, None, true)).await?, (2, last("b")));
    assert_eq!(secrets::step(&mut tx, None, &page(2, Some("c"), false)).await?, (0, None));
    let range = ("a".to_owned(), "a/".to_owned());
    assert_eq!(secrets::step(&mut tx, Some(&range), &page(9, None, false)).await?, (3, last("a.b")));
    Ok(())
}

both_stores!(stepping_through_paths, steps);
both_stores!(secret_round_trip, round_trip);
both_stores!(secret_refused, refused);
both_stores!(secret_lists, lists);
