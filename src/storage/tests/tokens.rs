use super::certificates;
use crate::error::{ErrorCode, Result};
use crate::storage::db::{Db, Tx};
use crate::storage::page::Page;
use crate::storage::testing::{ODD, at, both_stores};
use crate::storage::tokens::{self, RevokedToken, TokenRow};
use crate::storage::types::TextArray;
use serde_json::json;
use sqlx::types::Json;
use uuid::Uuid;

pub(super) fn token(parent: Option<Uuid>) -> TokenRow {
    let accessor = Uuid::new_v4();
    TokenRow {
        accessor,
        token_hash: accessor.as_bytes().repeat(2),
        parent_accessor: parent,
        display_name: ODD.into(),
        entity: None,
        entity_type: "app".into(),
        role_id: None,
        role_name: None,
        policies: TextArray(vec!["a".into(), ODD.into()]),
        bound_cidr_list: TextArray::default(),
        ttl_seconds: None,
        period_seconds: None,
        uses_left: None,
        renewable: false,
        created_at: at(0),
        expires_at: None,
        max_expires_at: None,
        revoked_at: None,
        revocation_reason: None,
        metadata: Json(json!({})),
        certificate_id: None,
        certificate_fingerprint: None,
    }
}

async fn put(tx: &mut Tx, row: TokenRow) -> Result<TokenRow> {
    tokens::insert(tx, &row).await?;
    Ok(row)
}

fn sorted(revoked: &[RevokedToken]) -> Vec<Uuid> {
    let mut accessors: Vec<_> = revoked.iter().map(|token| token.accessor).collect();
    accessors.sort_unstable();
    accessors
}

fn accessors(rows: &[&TokenRow]) -> Vec<Uuid> {
    let mut accessors: Vec<_> = rows.iter().map(|row| row.accessor).collect();
    accessors.sort_unstable();
    accessors
}

async fn round_trip(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let bare = put(&mut tx, token(None)).await?;
    let full = TokenRow {
        entity: Some("role:billing".into()),
        entity_type: "admin".into(),
        role_id: Some(Uuid::new_v4()),
        role_name: Some("billing".into()),
        bound_cidr_list: TextArray(vec!["::1/128".into()]),
        ttl_seconds: Some(1),
        period_seconds: Some(2),
        uses_left: Some(2),
        renewable: true,
        expires_at: Some(at(10)),
        max_expires_at: Some(at(20)),
        revocation_reason: Some(ODD.into()),
        metadata: Json(json!({"k": [ODD]})),
        certificate_id: Some(Uuid::now_v7()),
        certificate_fingerprint: Some("ab".repeat(32)),
        ..token(Some(bare.accessor))
    };
    let full = put(&mut tx, full).await?;
    for row in [&bare, &full] {
        assert!(tokens::by_hash(&mut tx, &row.token_hash).await?.unwrap() == *row);
        assert!(tokens::by_accessor(&mut tx, row.accessor).await?.unwrap() == *row);
    }
    assert!(tokens::by_hash(&mut tx, b"").await?.is_none());
    tokens::renew(&mut tx, full.accessor, at(15)).await?;
    assert_eq!(tokens::by_accessor(&mut tx, full.accessor).await?.unwrap().expires_at, Some(at(15)));
    assert!(tokens::use_once(&mut tx, full.accessor).await?);
    assert!(tokens::use_once(&mut tx, full.accessor).await?);
    assert!(!tokens::use_once(&mut tx, full.accessor).await?);
    assert_eq!(tokens::by_accessor(&mut tx, full.accessor).await?.unwrap().uses_left, Some(0));
    assert!(tokens::use_once(&mut tx, bare.accessor).await?, "it has no limit");
    assert!(!tokens::use_once(&mut tx, Uuid::nil()).await?);
    tokens::revoke_tree(&mut tx, bare.accessor, at(30), ODD).await?;
    assert!(!tokens::use_once(&mut tx, bare.accessor).await?);
    let renewed = tokens::renew(&mut tx, bare.accessor, Some(at(99))).await.unwrap_err();
    assert_eq!(renewed.code(), ErrorCode::Conflict);
    Ok(())
}

async fn trees(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let root = put(&mut tx, token(None)).await?;
    let left = put(&mut tx, token(Some(root.accessor))).await?;
    let right = put(&mut tx, token(Some(root.accessor))).await?;
    let leaf = put(&mut tx, token(Some(left.accessor))).await?;
    let stranger = put(&mut tx, token(None)).await?;

    let revoked = tokens::revoke_tree(&mut tx, left.accessor, at(1), "first").await?;
    assert_eq!(sorted(&revoked), accessors(&[&left, &leaf]));
    assert!(revoked.iter().all(|token| token.token_hash == token.accessor.as_bytes().repeat(2)));
    // a child below what is revoked already is still found
    let late = put(&mut tx, token(Some(leaf.accessor))).await?;
    let revoked = tokens::revoke_tree(&mut tx, root.accessor, at(2), ODD).await?;
    assert_eq!(sorted(&revoked), accessors(&[&root, &right, &late]));
    let left = tokens::by_accessor(&mut tx, left.accessor).await?.unwrap();
    assert_eq!((left.revoked_at, left.revocation_reason.as_deref()), (Some(at(1)), Some("first")));
    let late = tokens::by_accessor(&mut tx, late.accessor).await?.unwrap();
    assert_eq!((late.revoked_at, late.revocation_reason.as_deref()), (Some(at(2)), Some(ODD)));
    assert!(tokens::by_accessor(&mut tx, stranger.accessor).await?.unwrap().revoked_at.is_none());
    assert!(tokens::revoke_tree(&mut tx, root.accessor, at(3), "again").await?.is_empty());
    assert!(tokens::revoke_tree(&mut tx, Uuid::nil(), at(3), "nobody").await?.is_empty());
    Ok(())
}

async fn of_role(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let role = Uuid::new_v4();
    let role_id = Some(role);
    let one = put(&mut tx, TokenRow { role_id, ..token(None) }).await?;
    let two = put(&mut tx, TokenRow { role_id, ..token(Some(one.accessor)) }).await?;
    let child = put(&mut tx, token(Some(two.accessor))).await?;
    let grandchild = put(&mut tx, token(Some(child.accessor))).await?;
    put(&mut tx, token(None)).await?;
    let revoked = tokens::revoke_of_role(&mut tx, role, at(1), "role").await?;
    assert_eq!(sorted(&revoked), accessors(&[&one, &two, &child, &grandchild]));
    Ok(())
}

/// Of a certificate and of those that it, as an authority, answers for.
async fn of_certificate(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let root = certificates::put(&mut tx, certificates::certificate("00")).await?.id;
    let middle = certificates::put(&mut tx, certificates::issued(root, "01")).await?.id;
    let leaf = certificates::put(&mut tx, certificates::issued(middle, "02")).await?.id;
    let other = certificates::put(&mut tx, certificates::issued(root, "03")).await?.id;
    let with = |certificate: Uuid, parent| TokenRow {
        certificate_id: Some(certificate),
        certificate_fingerprint: Some("ab".into()),
        ..token(parent)
    };
    let one = put(&mut tx, with(leaf, None)).await?;
    let child = put(&mut tx, token(Some(one.accessor))).await?;
    let elsewhere = put(&mut tx, with(other, None)).await?;
    let ended = put(&mut tx, TokenRow { expires_at: Some(at(1)), ..with(other, None) }).await?;
    put(&mut tx, token(None)).await?;
    assert_eq!(tokens::live_of_certificate(&mut tx, leaf, at(1), 9).await?, [one.accessor]);
    assert_eq!(tokens::live_of_certificate(&mut tx, other, at(1), 9).await?, [elsewhere.accessor]);
    assert_eq!(tokens::live_of_certificate(&mut tx, other, at(0), 1).await?.len(), 1);

    assert!(tokens::revoke_of_certificate(&mut tx, Uuid::nil(), at(2), "nobody").await?.is_empty());
    let revoked = tokens::revoke_of_certificate(&mut tx, middle, at(2), ODD).await?;
    assert_eq!(sorted(&revoked), accessors(&[&one, &child]));
    assert!(tokens::revoke_of_certificate(&mut tx, leaf, at(3), "again").await?.is_empty());
    let revoked = tokens::revoke_of_certificate(&mut tx, other, at(3), ODD).await?;
    assert_eq!(sorted(&revoked), accessors(&[&elsewhere, &ended]));
    assert!(tokens::live_of_certificate(&mut tx, other, at(0), 9).await?.is_empty());
    Ok(())
}

async fn list_and_purge(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let mut expected = Vec::new();
    let mut parent = None;
    for n in 0..4 {
        let row = put(&mut tx, TokenRow { expires_at: Some(at(n)), ..token(parent) }).await?;
        parent = Some(row.accessor);
        expected.push(row.accessor);
    }
    let forever = put(&mut tx, token(None)).await?;
    let revoked = put(&mut tx, TokenRow { revoked_at: Some(at(0)), ..token(None) }).await?;
    expected.extend([forever.accessor, revoked.accessor]);
    expected.sort_unstable();
    assert_eq!(
        tokens::purge(&mut tx, at(3), 9).await?,
        1,
        "the chain's last is not due, so its parents stay"
    );
    let mut purged = Vec::new();
    loop {
        let removed = tokens::purge(&mut tx, at(4), 9).await?;
        if removed == 0 {
            break;
        }
        purged.push(removed);
    }
    assert_eq!(purged, [1; 4], "leaves first");
    assert!(tokens::by_accessor(&mut tx, forever.accessor).await?.is_some(), "what does not end stays");
    Ok(())
}

async fn live(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let mut rows = Vec::new();
    for _ in 0..5 {
        rows.push(put(&mut tx, TokenRow { expires_at: Some(at(9)), ..token(None) }).await?.accessor);
    }
    rows.push(put(&mut tx, TokenRow { uses_left: Some(1), ..token(None) }).await?.accessor);
    rows.sort_unstable();
    put(&mut tx, TokenRow { expires_at: Some(at(8)), ..token(None) }).await?;
    put(&mut tx, TokenRow { revoked_at: Some(at(1)), ..token(None) }).await?;
    let mut found =
        async |after: Option<usize>, before: Option<usize>, limit, backward| -> Result<Vec<Uuid>> {
            let key = |index: Option<usize>| index.map(|index| rows[index].to_string());
            let page = Page { limit, after: key(after), before: key(before), backward };
            Ok(tokens::list(&mut tx, at(8), &page).await?.into_iter().map(|row| row.accessor).collect())
        };
    assert_eq!(found(None, None, 9, false).await?, rows);
    assert_eq!(found(Some(1), None, 2, false).await?, &rows[2..4]);
    assert_eq!(found(None, Some(5), 2, true).await?, &rows[3..5]);
    let wrong = Page { limit: 1, after: Some("x".into()), ..Page::default() };
    assert_eq!(tokens::list(&mut tx, at(8), &wrong).await.err().unwrap().field(), Some("after"));
    Ok(())
}

both_stores!(token_live, live);
both_stores!(token_round_trip, round_trip);
both_stores!(token_trees, trees);
both_stores!(tokens_of_role, of_role);
both_stores!(tokens_of_certificate, of_certificate);
both_stores!(token_list_and_purge, list_and_purge);
