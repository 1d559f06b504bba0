use super::certificate_authorities::authority;
use crate::error::{ErrorCode, Result};
use crate::storage::certificate_authorities;
use crate::storage::certificate_roles::{self as roles, CertificateRoleRow};
use crate::storage::db::Db;
use crate::storage::page::Page;
use crate::storage::testing::{ODD, at, both_stores};
use serde_json::json;
use sqlx::types::Json;
use uuid::Uuid;

pub(super) fn role(path: &str, issuer_id: Option<Uuid>) -> CertificateRoleRow {
    CertificateRoleRow {
        id: Uuid::now_v7(),
        path: path.into(),
        issuer_id,
        rules: Json(json!({ "cert_types": ["server"] })),
        ttl_seconds: 60,
        max_ttl_seconds: 60,
        renewable: false,
        requires_approval: false,
        enabled: true,
        description: None,
        metadata: Json(json!({})),
        created_at: at(0),
        updated_at: at(0),
    }
}

async fn round_trip(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let issuer = authority(&mut tx, "01").await?;
    let bare = role("pki.a", None);
    let full = CertificateRoleRow {
        rules: Json(json!({ "allowed_uris": [ODD] })),
        max_ttl_seconds: i64::MAX,
        renewable: true,
        requires_approval: true,
        enabled: false,
        description: Some(ODD.into()),
        metadata: Json(json!({ "k": [ODD] })),
        updated_at: at(5),
        ..role("pki.b", Some(issuer))
    };
    for row in [&bare, &full] {
        roles::insert(&mut tx, row).await?;
        assert_eq!(roles::by_path(&mut tx, &row.path).await?.as_ref(), Some(row));
        assert_eq!(roles::by_id(&mut tx, row.id).await?.as_ref(), Some(row));
    }
    assert_eq!(roles::by_path(&mut tx, ODD).await?, None);
    let taken = roles::insert(&mut tx, &role("pki.a", None)).await.unwrap_err();
    assert_eq!(taken.code(), ErrorCode::Conflict);
    assert_eq!(roles::paths_of(&mut tx, issuer, 9).await?, ["pki.b"]);

    let changed = CertificateRoleRow { id: bare.id, path: "pki.a".into(), created_at: at(0), ..full.clone() };
    roles::update(&mut tx, &changed).await?;
    assert_eq!(roles::by_path(&mut tx, "pki.a").await?, Some(changed.clone()));
    assert_eq!(roles::paths_of(&mut tx, issuer, 1).await?, ["pki.a"]);
    let gone = roles::update(&mut tx, &CertificateRoleRow { id: Uuid::nil(), ..changed }).await.unwrap_err();
    assert_eq!(gone.code(), ErrorCode::Conflict);
    assert!(roles::delete(&mut tx, bare.id).await?);
    assert!(!roles::delete(&mut tx, bare.id).await?);
    assert_eq!(roles::by_path(&mut tx, "pki.a").await?, None);
    let nowhere = role("pki.c", Some(Uuid::nil()));
    assert!(roles::insert(&mut tx, &nowhere).await.is_err(), "its authority is not there");
    Ok(())
}

/// A role with the authority that signs by it, in one look.
async fn with_issuer(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let (one, other) = (authority(&mut tx, "01").await?, authority(&mut tx, "02").await?);
    let (own, of_default) = (role("pki.own", Some(one)), role("pki.default", None));
    roles::insert(&mut tx, &own).await?;
    roles::insert(&mut tx, &of_default).await?;
    tx.commit().await?;
    let seen = async |path| roles::with_issuer(db.glance().await?, path).await;
    assert_eq!(seen("pki.own").await?, Some((own.clone(), Some(one))));
    assert_eq!(seen("pki.default").await?, Some((of_default.clone(), None)), "there is no default");
    assert_eq!(seen("pki").await?, None);
    let mut tx = db.begin().await?;
    certificate_authorities::set_default(&mut tx, other, at(1)).await?;
    tx.commit().await?;
    assert_eq!(seen("pki.own").await?, Some((own, Some(one))));
    assert_eq!(seen("pki.default").await?, Some((of_default, Some(other))));
    Ok(())
}

async fn pages(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    for path in ["pki.b", "pki", "pki.a", "pki-x", "pki.a.c", "pkix", "a"] {
        roles::insert(&mut tx, &role(path, None)).await?;
    }
    let mut found =
        async |prefix, after: Option<&str>, before: Option<&str>, limit, backward| -> Result<String> {
            let page = Page { limit, after: after.map(Into::into), before: before.map(Into::into), backward };
            let rows = roles::list(&mut tx, &page, prefix).await?;
            Ok(rows.into_iter().map(|row| row.path).collect::<Vec<_>>().join(" "))
        };
    assert_eq!(found(None, None, None, 9, false).await?, "a pki pki-x pki.a pki.a.c pki.b pkix");
    assert_eq!(found(Some("pki"), None, None, 9, false).await?, "pki pki.a pki.a.c pki.b");
    assert_eq!(found(Some("pki"), Some("pki"), None, 2, false).await?, "pki.a pki.a.c");
    assert_eq!(found(Some("pki"), None, Some("pki.b"), 2, true).await?, "pki.a pki.a.c");
    assert_eq!(found(Some("pki.a"), None, None, 9, false).await?, "pki.a pki.a.c");
    assert_eq!(found(Some(ODD), None, None, 9, false).await?, "");
    Ok(())
}

both_stores!(certificate_roles_with_issuer, with_issuer);
both_stores!(certificate_role_round_trip, round_trip);
both_stores!(certificate_role_pages, pages);
