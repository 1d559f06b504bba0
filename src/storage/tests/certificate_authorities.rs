use super::certificates::{certificate, put};
use crate::error::{ErrorCode, Result};
use crate::storage::certificate_authorities::{self as authorities, AuthorityRow, CrlRow};
use crate::storage::certificates::{self, CertificateRow};
use crate::storage::db::{Db, Tx};
use crate::storage::page::Page;
use crate::storage::pending_authorities::{self as pending, PendingAuthorityRow};
use crate::storage::testing::{ODD, at, both_stores};
use uuid::Uuid;

fn row(id: Uuid) -> AuthorityRow {
    AuthorityRow {
        id,
        is_default: false,
        enabled: true,
        chain_pem: String::new(),
        revocations: 0,
        crl_covers: 0,
        crl_number: 0,
        crl_this_update: None,
        crl_next_update: None,
        created_at: at(0),
        updated_at: at(0),
    }
}

/// An authority without a list, and its certificate, that ends at 1000; its id.
pub(super) async fn authority(tx: &mut Tx, serial: &str) -> Result<Uuid> {
    let certificate = CertificateRow { cert_type: "root_ca".into(), ..certificate(serial) };
    let id = put(tx, certificate).await?.id;
    authorities::insert(tx, &row(id)).await?;
    Ok(id)
}

pub(super) fn list(number: i64, covers: i64, next_update: i64) -> CrlRow {
    CrlRow {
        der: vec![0, 255, number as u8],
        number,
        covers,
        this_update: at(1),
        next_update: at(next_update),
    }
}

async fn round_trip(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let bare = authority(&mut tx, "01").await?;
    let certificate =
        put(&mut tx, CertificateRow { cert_type: "intermediate_ca".into(), ..certificate("02") });
    let full = AuthorityRow {
        is_default: true,
        enabled: false,
        chain_pem: ODD.into(),
        revocations: 5,
        crl_covers: 4,
        crl_number: 9,
        crl_this_update: Some(at(1)),
        crl_next_update: Some(at(2)),
        updated_at: at(3),
        ..row(certificate.await?.id)
    };
    authorities::insert(&mut tx, &full).await?;
    assert_eq!(authorities::by_id(&mut tx, full.id).await?, Some(full.clone()));
    assert_eq!(authorities::by_id_for_update(&mut tx, bare).await?, Some(row(bare)));
    assert_eq!(authorities::by_id(&mut tx, Uuid::nil()).await?, None);
    assert_eq!(authorities::default(&mut tx).await?, Some(full.clone()));
    assert_eq!(authorities::all(&mut tx).await?, [row(bare), full.clone()]);
    let page = async |tx: &mut Tx, after: Option<Uuid>, backward| {
        let page = Page { limit: 1, after: after.map(|id| id.to_string()), backward, ..Page::default() };
        authorities::list(tx, &page).await
    };
    assert_eq!(page(&mut tx, None, false).await?, [row(bare)]);
    assert_eq!(page(&mut tx, Some(bare), false).await?, std::slice::from_ref(&full));
    assert_eq!(page(&mut tx, None, true).await?, std::slice::from_ref(&full));
    let of = certificates::of_authorities(&mut tx, bare, full.id).await?;
    assert_eq!(of.iter().map(|row| row.id).collect::<Vec<_>>(), [bare, full.id]);
    assert_eq!(certificates::of_authorities(&mut tx, bare, bare).await?.len(), 1);
    let again = authorities::insert(&mut tx, &full).await.unwrap_err();
    assert_eq!(again.code(), ErrorCode::Conflict);

    authorities::set_enabled(&mut tx, full.id, true, at(7)).await?;
    let found = authorities::by_id(&mut tx, full.id).await?;
    assert_eq!(found, Some(AuthorityRow { enabled: true, updated_at: at(7), ..full }));
    for gone in [
        authorities::set_enabled(&mut tx, Uuid::nil(), true, at(7)).await.unwrap_err(),
        authorities::next_revocation(&mut tx, Uuid::nil()).await.unwrap_err(),
        authorities::set_default(&mut tx, Uuid::nil(), at(7)).await.unwrap_err(),
    ] {
        assert_eq!(gone.code(), ErrorCode::Conflict);
    }
    Ok(())
}

async fn anchors(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let good = authority(&mut tx, "01").await?;
    let revoked = authority(&mut tx, "02").await?;
    certificates::revoke(&mut tx, revoked, at(1), "ca_compromise", None).await?;
    put(&mut tx, CertificateRow { cert_type: "root_ca".into(), ..certificate("03") }).await?;
    authorities::set_enabled(&mut tx, good, false, at(1)).await?;
    for (time, count) in [(-1, 0), (0, 1), (999, 1), (1000, 0)] {
        let found = authorities::anchors(&mut tx, at(time)).await?;
        assert_eq!(found.len(), count, "{time}");
        assert!(found.iter().all(|row| row.id == good), "not what has no key here");
    }
    Ok(())
}

async fn one_default(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let (one, two) = (authority(&mut tx, "01").await?, authority(&mut tx, "02").await?);
    assert_eq!(authorities::default(&mut tx).await?, None);
    for id in [one, two, two] {
        authorities::set_default(&mut tx, id, at(1)).await?;
        assert_eq!(authorities::default(&mut tx).await?.map(|row| row.id), Some(id));
    }
    let certificate = put(&mut tx, certificate("03")).await?;
    let second = AuthorityRow { is_default: true, ..row(certificate.id) };
    let refused = authorities::insert(&mut tx, &second).await.unwrap_err();
    assert_eq!(refused.code(), ErrorCode::Conflict);
    tx.commit().await?;

    // several at the same time: none fails, and one is left
    let workers: Vec<_> = (0..8)
        .map(|n| {
            let db = db.clone();
            tokio::spawn(async move {
                for round in 0..5 {
                    let mut tx = db.begin().await?;
                    let id = if (n + round) % 2 == 0 { one } else { two };
                    authorities::set_default(&mut tx, id, at(1)).await?;
                    tx.commit().await?;
                }
                Ok::<_, crate::error::Error>(())
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap()?;
    }
    let mut tx = db.read().await?;
    assert_eq!(authorities::all(&mut tx).await?.iter().filter(|row| row.is_default).count(), 1);
    Ok(())
}

/// The ids of the authorities whose list is due.
async fn due(tx: &mut Tx, by: i64) -> Result<Vec<Uuid>> {
    Ok(authorities::crl_due(tx, at(by), 9).await?.into_iter().map(|row| row.id).collect())
}

async fn lists(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let (one, two) = (authority(&mut tx, "01").await?, authority(&mut tx, "02").await?);
    assert_eq!(due(&mut tx, 0).await?, [one, two], "there is none yet");
    assert_eq!(authorities::crl_due(&mut tx, at(0), 1).await?.len(), 1);
    assert_eq!(authorities::crl(&mut tx, one).await?, None);
    let state = authorities::crl_state(&mut tx, one).await?.unwrap();
    assert_eq!((state.crl_number, state.crl_this_update), (0, None));

    assert!(authorities::store_crl(&mut tx, one, 0, &list(1, 0, 100)).await?);
    assert!(authorities::store_crl(&mut tx, two, 0, &list(7, 0, 50)).await?);
    assert_eq!(authorities::crl(&mut tx, one).await?, Some(list(1, 0, 100)));
    assert_eq!(due(&mut tx, 49).await?, [] as [Uuid; 0]);
    assert_eq!(due(&mut tx, 50).await?, [two]);
    assert_eq!(authorities::next_revocation(&mut tx, one).await?, 1);
    assert_eq!(authorities::next_revocation(&mut tx, one).await?, 2);
    assert_eq!(authorities::next_revocation(&mut tx, two).await?, 1);
    assert_eq!(due(&mut tx, 0).await?, [one, two], "they lack a revocation");

    assert!(!authorities::store_crl(&mut tx, one, 0, &list(2, 2, 300)).await?, "another one is there");
    assert!(!authorities::store_crl(&mut tx, Uuid::nil(), 0, &list(1, 0, 1)).await?);
    assert!(authorities::store_crl(&mut tx, one, 1, &list(2, 2, 300)).await?);
    assert_eq!(authorities::crl(&mut tx, one).await?, Some(list(2, 2, 300)));
    assert_eq!(due(&mut tx, 0).await?, [two]);
    let state = authorities::crl_state(&mut tx, one).await?.unwrap();
    assert_eq!((state.revocations, state.crl_covers, state.crl_number), (2, 2, 2));
    assert_eq!(state.crl_next_update, Some(at(300)));
    Ok(())
}

/// Nodes that make a list at the same time: one of them stores it.
async fn one_list_of_each_number(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let id = authority(&mut tx, "01").await?;
    tx.commit().await?;
    let workers: Vec<_> = (0..6)
        .map(|_| {
            let db = db.clone();
            tokio::spawn(async move {
                let mut tx = db.begin().await?;
                let stored = authorities::store_crl(&mut tx, id, 0, &list(1, 0, 9)).await?;
                tx.commit().await?;
                Ok::<_, crate::error::Error>(u32::from(stored))
            })
        })
        .collect();
    let mut stored = 0;
    for worker in workers {
        stored += worker.await.unwrap()?;
    }
    assert_eq!(stored, 1);
    Ok(())
}

fn page(limit: i64) -> Page {
    Page { limit, ..Page::default() }
}

async fn waiting(db: Db) -> Result<()> {
    let mut tx = db.begin().await?;
    let bare = PendingAuthorityRow {
        id: Uuid::now_v7(),
        common_name: ODD.into(),
        organization: None,
        organizational_unit: None,
        key_type: "ec_p384".into(),
        csr_pem: "csr".into(),
        private_key_encrypted: vec![0, 255],
        key_version: 0,
        requested_by: "role:admin".into(),
        created_at: at(0),
    };
    let full = PendingAuthorityRow {
        id: Uuid::now_v7(),
        organization: Some("O".into()),
        organizational_unit: Some(ODD.into()),
        key_version: 2,
        ..bare.clone()
    };
    for row in [&bare, &full] {
        pending::insert(&mut tx, row).await?;
        assert!(pending::by_id(&mut tx, row.id).await?.as_ref() == Some(row));
    }
    assert!(pending::list(&mut tx, at(-1), &page(9)).await? == [bare.clone(), full.clone()]);
    assert!(pending::list(&mut tx, at(-1), &page(1)).await? == std::slice::from_ref(&bare));
    assert!(pending::list(&mut tx, at(0), &page(9)).await?.is_empty(), "not what is of that very time");
    let after = Page { after: Some(bare.id.to_string()), ..page(9) };
    assert!(pending::list(&mut tx, at(-1), &after).await? == std::slice::from_ref(&full));
    let last = Page { backward: true, ..page(9) };
    assert!(pending::list(&mut tx, at(-1), &last).await? == [bare.clone(), full.clone()]);
    assert_eq!((pending::count(&mut tx, 9).await?, pending::count(&mut tx, 1).await?), (2, 1));
    assert!(pending::sealed_under_older_key(&mut tx, 2, 9).await? == std::slice::from_ref(&bare));
    assert!(!pending::replace_sealed(&mut tx, bare.id, &[1], &[2], 2).await?);
    assert!(pending::replace_sealed(&mut tx, bare.id, &[0, 255], &[2], 2).await?);
    assert!(pending::sealed_under_older_key(&mut tx, 2, 9).await?.is_empty());
    let found = pending::by_id(&mut tx, bare.id).await?.unwrap();
    assert!((found.private_key_encrypted, found.key_version) == (vec![2], 2));
    assert!(pending::delete(&mut tx, bare.id).await?);
    assert!(!pending::delete(&mut tx, bare.id).await?, "once");
    assert!(pending::by_id(&mut tx, bare.id).await?.is_none());

    let late = PendingAuthorityRow { id: Uuid::now_v7(), created_at: at(5), ..bare.clone() };
    pending::insert(&mut tx, &bare).await?;
    pending::insert(&mut tx, &late).await?;
    assert_eq!(pending::purge(&mut tx, at(0), 9).await?, [] as [Uuid; 0], "not what is of that very time");
    assert_eq!(pending::purge(&mut tx, at(5), 1).await?, [bare.id]);
    assert_eq!(pending::purge(&mut tx, at(5), 9).await?, [full.id]);
    assert!(pending::list(&mut tx, at(-1), &page(9)).await? == [late]);
    Ok(())
}

both_stores!(authority_round_trip, round_trip);
both_stores!(authority_anchors, anchors);
both_stores!(authority_one_default, one_default);
both_stores!(authority_lists, lists);
both_stores!(authority_one_list_of_each_number, one_list_of_each_number);
both_stores!(authority_waiting, waiting);
